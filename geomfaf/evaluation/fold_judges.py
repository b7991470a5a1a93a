"""The model that made a map goes in; what judges any ground fold by fold, whichever kind of model it
is, comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from affine import Affine

from ..models.baselines import BASELINES, NETWORK, make_baseline
from ..models.predict import Lattice, default_stride
from ..rasters.bands import as_dataarray, bands_of, grid_of
from ..rasters.grid import Grid
from ..windows.features import Features, window_features
from ..windows.windows import read_windows
from .baseline_map import MAP_STRIDE

if TYPE_CHECKING:  # it needs torch
    from ..models.fold_models import Model

AT_ONCE = 4000
"""Windows that are judged together."""


@dataclass(frozen=True)
class Ground:
    """Windows of a stack with the features that simple models read, made once for all fold models.

    Attributes
    ----------
    stack : DataArray
    windows : DataFrame
        row, col and size of each.
    features : Features
    """

    stack: xr.DataArray
    windows: pd.DataFrame
    features: Features

    @classmethod
    def of(cls, stack: xr.DataArray, windows: pd.DataFrame) -> Ground:
        """Return the ground of windows."""
        return cls(stack, windows, _features(stack, windows))

    def without(self, factor: str) -> Ground:
        """Return the ground with a factor at its median, see :func:`occluded`."""
        stack = occluded(self.stack, factor)
        own = _features(stack.sel(band=[factor]), self.windows)
        return Ground(stack, self.windows, _replaced(self.features, factor, own.values))

    def dealt_out(self, factor: str, orders: Sequence[np.ndarray]) -> Ground:
        """Return ground of windows side by side (see :func:`side_by_side`) once for each order,
        one behind the other, with a factor's windows in that order.
        """
        times = len(orders)
        order = np.concatenate(orders)
        layer = band_number(self.stack, factor)
        size = self.stack.sizes["y"]
        # (rows, windows, columns): the strip cut into its windows, and put together again.
        windows = self.stack.values[layer].reshape(size, len(self.windows), size)
        cells = np.tile(self.stack.values, (1, 1, times))
        cells[layer] = windows[:, order].reshape(size, -1)
        stack, table = _strip(cells, self.stack, len(order))
        # The same of the features that simple models read.
        repeated = replace(self.features, values=np.tile(self.features.values, (times, 1)))
        own = self.features.select(bands=[factor]).values[order]
        return Ground(stack, table, _replaced(repeated, factor, own))


def _replaced(features: Features, factor: str, values: np.ndarray) -> Features:
    """Return features with other values of one band."""
    columns = [column.band == factor for column in features.columns]
    changed = features.values.copy()
    changed[:, columns] = values
    return replace(features, values=changed)


def band_number(stack: xr.DataArray, name: str) -> int:
    """Return the place of a band in a stack, from 0."""
    names = [str(band) for band in stack["band"].values]
    return names.index(name)


def _features(stack: xr.DataArray, windows: pd.DataFrame) -> Features:
    """Return the features of windows given by their top-left cells."""
    size = int(windows["size"].iloc[0])
    centre_rows = windows["row"] + size // 2
    centre_cols = windows["col"] + size // 2
    return window_features(stack, centre_rows, centre_cols, size)


@dataclass(frozen=True)
class FoldJudges:
    """The fold models that made a map, whichever kind they are.

    Attributes
    ----------
    folds : int
        How many there are.
    size : int
        Cells along a window.
    stride : int
        Cells between the centres of the windows that made the map.
    judge : callable
        (fold, ground) -> (windows,) scores.
    """

    folds: int
    size: int
    stride: int
    judge: Callable[[int, Ground], np.ndarray]

    def mean(self, ground: Ground) -> np.ndarray:
        """Return the mean score of each window over the fold models: what the map shows."""
        return np.mean([self.judge(fold, ground) for fold in range(self.folds)], axis=0)


def fold_judges(
    name: str,
    model: Model,
    stack: xr.DataArray,
    windows: pd.DataFrame,
    *,
    stride: int | None = None,
) -> FoldJudges:
    """Return the fold models of a map.

    Parameters
    ----------
    name : str
        The model that made the map: a simple one is fitted again on each fold's windows, as it was
        for the map; any other name stands for ``model``.
    windows : DataFrame
        The labelled windows that trained them.
    stride : int, optional
        Of the map.
    """
    size = model.size
    stride = default_stride(size) if stride is None else stride
    count = len(model.fold_models)
    if name in BASELINES:
        judge = _simple_judge(name, model, stack, windows)
        return FoldJudges(count, size, min(stride, MAP_STRIDE), judge)
    trained = model.network_alone() if name == NETWORK != model.name else model
    return FoldJudges(count, size, stride, _network_judge(trained))


def _network_judge(model: Model) -> Callable[[int, Ground], np.ndarray]:
    """Return what judges windows by a trained fold model, some thousand at a time."""
    from ..models.fold_models import encode_windows

    def judge(fold: int, ground: Ground) -> np.ndarray:
        own = model.fold_models[fold]
        # A class band has a channel a class: each band once, in the order of the channels.
        names = list(dict.fromkeys(channel.band for channel in own.encoder.channels))
        parts = []
        for first in range(0, len(ground.windows), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            x = encode_windows(ground.stack, ground.windows[some], names, own.encoder)
            parts.append(own.judge(x, own.odds(ground.features[some])).score)
        return np.concatenate(parts)

    return judge


def _simple_judge(
    name: str,
    model: Model,
    stack: xr.DataArray,
    windows: pd.DataFrame,
) -> Callable[[int, Ground], np.ndarray]:
    """Return what judges windows by a simple model, fitted on the windows and bands of each fold of
    a model.
    """
    in_stack = [str(band) for band in stack["band"].values]
    table = _features(stack, windows)
    labels = windows["label"].to_numpy()
    bands = []
    fitted = []
    for fold, fold_model in enumerate(model.fold_models):
        own = [band for band in in_stack if band in fold_model.bands]
        train = model.folds.training(windows, fold)
        learner = make_baseline(name, seed=model.seed)
        fitted.append(learner.fit(table[train].select(bands=own), labels[train]))
        bands.append(own)

    def judge(fold: int, ground: Ground) -> np.ndarray:
        return fitted[fold].predict_proba(ground.features.select(bands=bands[fold]))[:, 1]

    return judge


def occluded(stack: xr.DataArray, factor: str) -> xr.DataArray:
    """Return the stack with one band at its median wherever it has a value; a class band is at its
    commonest class.
    """
    changed = stack.copy()
    number = band_number(stack, factor)
    layer = stack.values[number]
    known = np.isfinite(layer)
    # A band without any value stays as it is. Class numbers have no middle: the commonest stands.
    if not known.any():
        usual = np.nan
    elif bands_of(stack)[number].kind == "class":
        classes, counts = np.unique(layer[known], return_counts=True)
        usual = float(classes[np.argmax(counts)])
    else:
        usual = float(np.median(layer[known]))
    changed.values[number] = np.where(known, usual, np.nan)
    return changed


def side_by_side(stack: xr.DataArray, windows: pd.DataFrame, size: int) -> Ground:
    """Return windows as one strip of ground, side by side."""
    rows = windows["row"].to_numpy()
    cols = windows["col"].to_numpy()
    # (windows, bands, rows, columns) -> (bands, rows, windows x columns)
    cells = read_windows(stack.values, rows, cols, size)
    strip = cells.transpose(1, 2, 0, 3).reshape(len(stack), size, -1)
    return Ground.of(*_strip(strip, stack, len(windows)))


def _strip(cells: np.ndarray, stack: xr.DataArray, count: int) -> tuple[xr.DataArray, pd.DataFrame]:
    """Return so many windows that lie side by side as bands like those of a stack, and the table of
    where each begins.
    """
    size = cells.shape[1]
    # Where the strip lies does not matter; its cells must be as large as the stack's.
    grid = grid_of(stack)
    transform = Affine(*tuple(grid.transform)[:6])
    strip_grid = Grid(grid.crs, transform, (size, cells.shape[2]))
    table = pd.DataFrame(
        {
            "row": 0,
            "col": np.arange(count) * size,
            "size": size,
        }
    )
    return as_dataarray(cells, strip_grid, bands_of(stack)), table


def windows_at(lattice: Lattice, wanted: np.ndarray, size: int) -> pd.DataFrame:
    """Return the windows centred on lattice points."""
    down, across = np.nonzero(wanted)
    half = size // 2
    columns = {
        "row": lattice.rows[down] - half,
        "col": lattice.cols[across] - half,
        "size": size,
    }
    return pd.DataFrame(columns)
