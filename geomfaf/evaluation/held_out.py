"""Held-out scores: every place judged by models that were trained on other ground, one set of
scores a draw.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import xarray as xr

from ..files import library_versions
from ..models.baselines import NETWORK, make_baseline
from ..models.predict import Lattice, ground_features, lattice_scores, model_lattice
from ..progress import say, track
from ..rasters.bands import valid_cells
from ..windows.features import Features, window_features
from ..windows.folds import Folds

if TYPE_CHECKING:
    from ..models.fold_models import Model


@dataclass(frozen=True)
class Draw:
    """One draw of barren windows and the held-out scores of the models that were trained on it.

    Attributes
    ----------
    windows : GeoDataFrame
        See :func:`geomfaf.draw_windows`.
    seed : int
        Of the models.
    maps : dict
        Model -> (y, x) float32, NaN where not valid.
    scores : dict
        Model -> (windows,) score of each window that tests, NaN for the others.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> gm.Draw(windows, seed=0)
    <Draw: 700 windows, seed 0, judged by no model yet>
    """

    windows: gpd.GeoDataFrame
    seed: int
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        judged = ", ".join(self.maps) or "no model yet"
        return f"<Draw: {len(self.windows)} windows, seed {self.seed}, judged by {judged}>"


def network_draw(
    model: Model,
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    *,
    stride: int | None = None,
    heldout: np.ndarray | None = None,
    table: Features | None = None,
) -> Draw:
    """Return the held-out scores of a trained network.

    Parameters
    ----------
    stride : int, optional
        Of the map, see :func:`geomfaf.predict_scores`.
    heldout : (y, x) ndarray, optional
        The model's own map where it is there already; only that of its network is computed then.
    table : Features, optional
        Of all centres of the map's windows, where they are there already.
    """
    # 1. maps, of the ensemble and of its network
    names = list(dict.fromkeys([model.name, NETWORK]))
    maps = {}
    if heldout is None or len(names) > 1:
        maps = dict(zip(names, _held_out_maps(model, stack, stride, table), strict=False))
    if heldout is not None:
        maps = {**maps, model.name: heldout}
    # 2. windows, each judged by the fold model that tests it
    scores = {name: np.full(len(windows), np.nan) for name in names}
    for fold_model in model.fold_models:
        test = model.folds.testing(windows, fold_model.fold)
        if test.any():
            said = fold_model.judge_windows(stack, windows[test])
            scores[NETWORK][test] = said.network
            scores[model.name][test] = said.score
    return Draw(windows, model.seed, {name: maps[name] for name in names}, scores)


def _held_out_maps(
    model: Model,
    stack: xr.DataArray,
    stride: int | None,
    table: Features | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of all ground by the fold model that never saw it, (y, x): of the model,
    and of its network alone.
    """
    valid = valid_cells(stack)
    raster = model.folds.raster()
    lattice = model_lattice(model, valid, stride)
    joined = np.full(valid.shape, np.nan, np.float32)
    network = np.full(valid.shape, np.nan, np.float32)
    for fold_model in track(model.fold_models, "scoring held-out ground", unit="folds"):
        own = raster == fold_model.fold
        wanted = lattice.near(own & valid)
        if not wanted.any():
            continue
        odds = fold_model.odds(ground_features(model, stack, lattice, wanted, table))
        seen = fold_model.classifier.seen_
        found = lattice_scores(
            stack,
            lattice,
            wanted,
            fold_model.encoder,
            fold_model.judge,
            seen,
            odds,
        )
        joined[own] = lattice.blend(found[0])[own]
        network[own] = lattice.blend(found[-1])[own]
    return joined, network


class Baselines:
    """The simple models on one map: their feature tables are made once for all draws and folds.

    Parameters
    ----------
    stack : DataArray
    folds : Folds
    bands : sequence of sequences of str
        Bands that each fold may use.
    lattice : Lattice
        Centres at which the maps are scored; the network's.
    size : int
        Cells along a window.
    names : sequence of str
        See :data:`geomfaf.models.baselines.BASELINES`.
    """

    def __init__(
        self,
        stack: xr.DataArray,
        folds: Folds,
        bands: Sequence[Sequence[str]],
        lattice: Lattice,
        size: int,
        names: Sequence[str],
    ) -> None:
        self.stack = stack
        self.folds = folds
        self.lattice = lattice
        self.size = size
        self.names = tuple(names)
        named = list(stack["band"].values)
        self.bands: list[list[str]] = []
        for own in bands:
            allowed = set(own)
            self.bands.append([name for name in named if name in allowed])
        self.at = np.nonzero(lattice.wanted)
        self.ground: Features = window_features(
            stack, lattice.rows[self.at[0]], lattice.cols[self.at[1]], size
        )
        # What was kept under another key was computed from something else.
        # The cells, the split and the versions of the libraries: each can change a score.
        digest = hashlib.sha256(stack.values.tobytes())
        split = (
            folds.table.tolist(),
            folds.block,
            folds.margin,
            folds.linkage,
            self.bands,
            lattice.stride,
            size,
        )
        digest.update(json.dumps([split, library_versions()]).encode())
        self.key = digest.hexdigest()

    def draw(self, draw: Draw, *, label: str = "simple models", folder: Path | None = None) -> Draw:
        """Return the draw with the simple models' held-out scores added; finished folds in
        ``folder`` are taken.
        """
        maps = {name: np.full(self.lattice.valid.shape, np.nan, np.float32) for name in self.names}
        scores = {name: np.full(len(draw.windows), np.nan) for name in self.names}
        raster = self.folds.raster()
        table = self.table(draw)
        steps = [(fold, name) for fold in range(self.folds.count) for name in self.names]
        for fold, name in track(steps, label, unit="models"):
            # Centres up to a stride beside the fold's ground have a say in its cells.
            own = raster == fold
            near = self.lattice.near(own & self.lattice.valid)[self.at]
            test = self.folds.testing(draw.windows, fold)
            found = remembered(
                folder,
                (self.key, draw.windows, draw.seed, fold, name),
                partial(
                    self._judged,
                    name,
                    draw,
                    fold,
                    table,
                    near,
                ),
            )
            # From the centres to the fold's cells, and to its test windows.
            lattice = np.full(self.lattice.wanted.shape, np.nan, np.float32)
            lattice[self.at[0][near], self.at[1][near]] = found["places"]
            maps[name][own] = self.lattice.blend(lattice)[own]
            scores[name][test] = found["windows"]
        return Draw(draw.windows, draw.seed, {**draw.maps, **maps}, {**draw.scores, **scores})

    def _judged(
        self,
        name: str,
        draw: Draw,
        fold: int,
        table: Features,
        near: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Return what a simple model says of a fold's centres (near) and of its test windows."""
        fitted = self.fitted(name, draw, fold, table)
        bands = self.bands[fold]
        test = self.folds.testing(draw.windows, fold)
        return {
            "places": fitted.predict_proba(self.ground[near].select(bands=bands))[:, 1],
            "windows": fitted.predict_proba(table[test].select(bands=bands))[:, 1],
        }

    def fitted(
        self,
        name: Any,
        draw: Draw,
        fold: int,
        table: Features | None = None,
    ) -> Any:
        """Return one simple model of one fold, by its name or on a classifier of scikit-learn, trained
        on a draw's windows.
        """
        train = self.folds.training(draw.windows, fold)
        rows = (self.table(draw) if table is None else table)[train].select(bands=self.bands[fold])
        labels = draw.windows["label"].to_numpy()
        return make_baseline(name, seed=draw.seed).fit(rows, labels[train])

    def table(self, draw: Draw) -> Features:
        """Return the features of a draw's windows."""
        half = self.size // 2
        # Windows are given by their upper left cell, features by the centre.
        rows = draw.windows["row"] + half
        return window_features(self.stack, rows, draw.windows["col"] + half, self.size)


def remembered(
    folder: Path | None, state: tuple, compute: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return arrays from a file in ``folder`` when they were computed from the same state, else
    compute and keep.
    """
    if folder is None:
        return compute()
    # A table counts by what stands in it, not by where it lies in the memory.
    words = [
        part.drop(columns="geometry").to_csv() if isinstance(part, gpd.GeoDataFrame) else part
        for part in state
    ]
    path = folder / f"{hashlib.sha256(repr(words).encode()).hexdigest()[:24]}.npz"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)  # each part has a checksum
        except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile):
            say("what was kept of the evaluation is damaged: it is computed again")
    # Written beside and renamed: a file that is there is whole.
    found = compute()
    folder.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial.npz")
    np.savez(beside, **found)  # type: ignore[arg-type]
    beside.replace(path)
    return found
