"""Deposits, a grid and a stack go in; labelled windows and the folds that judge them come out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import xarray as xr

from ..errors import DataError, UsageError
from ..progress import say
from ..rasters.bands import reach_of
from ..rasters.grid import Grid
from ..rasters.reader import RasterReader
from .folds import Folds, fold_number, spatial_folds
from .negatives import draw_seed, draw_windows
from .variogram import autocorrelation_range
from .windows import DEFAULT_SIZE, NEGATIVES, centred_windows, tiled_windows, window_centres

WINDOW_KINDS = ("centred", "tiled")


def make_windows(  # noqa: PLR0913  (one keyword a setting of [windows] and [folds])
    stack: xr.DataArray | RasterReader,
    deposits: gpd.GeoDataFrame,
    *,
    kind: str = "centred",
    size: int = DEFAULT_SIZE,
    strides: Sequence[int] | None = None,
    rule: str = "distance",
    negatives: float = NEGATIVES,
    min_distance: int | None = None,
    fold_kind: str | None = None,
    fold_count: int | None = None,
    fold_block: int | None = None,
    zones: gpd.GeoDataFrame | None = None,
    fold_column: str | None = None,
    seed: int = 0,
) -> tuple[gpd.GeoDataFrame, Folds]:
    """Cut a stack into labelled windows with leak-free spatial folds.

    It is :func:`cut_windows` on the stack's valid cells, with the range of its variograms, and one
    draw of :func:`label_windows`. A run calls the two by themselves, because it chooses elements
    in the folds before it makes the stack.

    Parameters
    ----------
    stack : DataArray or RasterReader
        (band, y, x), see :func:`geomfaf.build_stack`; its file is read in parts.
    deposits : GeoDataFrame
        Points, in any CRS.
    kind, size, strides, fold_kind, fold_count, fold_block, zones, fold_column
        See :func:`cut_windows`.
    rule, negatives, min_distance, seed
        See :func:`geomfaf.draw_windows`.

    Returns
    -------
    windows : GeoDataFrame
        See :func:`geomfaf.tiled_windows`; ``fold`` (from 1) is the fold that tests the window.
    folds : Folds
        What :func:`geomfaf.train_model` takes.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> set(windows["label"]), folds.count
    ({0, 1}, 5)
    """
    source = RasterReader.of(stack)
    windows, folds = cut_windows(
        deposits,
        source.grid,
        source.valid,
        kind=kind,
        size=size,
        strides=strides,
        fold_kind=fold_kind,
        fold_count=fold_count,
        fold_block=fold_block,
        zones=zones,
        fold_column=fold_column,
        autocorrelation=autocorrelation_range(source, seed=seed),
        reach=reach_of(source.making),
        seed=seed,
    )
    draws = label_windows(
        windows,
        folds,
        source,
        rule=rule,
        negatives=negatives,
        min_distance=min_distance,
        seed=seed,
    )
    return draws[0], folds


def cut_windows(  # noqa: PLR0913  (one keyword a setting of [windows] and [folds])
    deposits: gpd.GeoDataFrame,
    grid: Grid,
    valid: np.ndarray,
    *,
    kind: str = "centred",
    size: int = DEFAULT_SIZE,
    strides: Sequence[int] | None = None,
    fold_kind: str | None = None,
    fold_count: int | None = None,
    fold_block: int | None = None,
    zones: gpd.GeoDataFrame | None = None,
    fold_column: str | None = None,
    autocorrelation: float = math.nan,
    reach: float = 0.0,
    seed: int = 0,
) -> tuple[gpd.GeoDataFrame, Folds]:
    """Return the deposits' windows (or all tiles) and the folds; no band is looked at.

    Parameters
    ----------
    deposits, zones : GeoDataFrame
        In any CRS.
    valid : ndarray
        (y, x) bool, the cells that count.
    kind : {"centred", "tiled"}
        One window on each deposit, or the paper's tiles over the whole map.
    size : int
        Cells along a window.
    strides : sequence of int, optional
        Of tiles only, see :func:`geomfaf.tiled_windows`.
    fold_kind, fold_count, fold_block, zones, autocorrelation, reach
        ``kind``, ``count``, ``block``, ``zones``, ``autocorrelation`` and ``reach`` of
        :func:`geomfaf.spatial_folds`.
    fold_column : str, optional
        A column of folds of your own, of ``zones``, or of the deposits where there are no zones:
        each value is a fold, and ground belongs to the nearest feature.
    """
    if kind not in WINDOW_KINDS:
        raise UsageError(f'windows of kind "{kind}" are unknown: use {" or ".join(WINDOW_KINDS)}.')
    if kind == "centred" and strides:
        raise UsageError("strides have no meaning for centred windows: leave them out.")
    deposits = deposits.to_crs(grid.crs)
    if kind == "tiled":
        windows = tiled_windows(grid, size, strides=strides, deposits=deposits, valid=valid)
    else:
        # Barren ones are drawn for each fold, when its ground is known.
        windows = centred_windows(grid, size, deposits, valid, negatives=0)
    if zones is None and fold_column is not None:
        zones = deposits
    folds = spatial_folds(
        windows,
        grid,
        valid,
        count=fold_count,
        block=fold_block,
        kind=fold_kind,
        zones=None if zones is None else zones.to_crs(grid.crs),
        column=fold_column,
        autocorrelation=autocorrelation,
        reach=reach,
        seed=seed,
    )
    return windows, folds


def label_windows(  # noqa: PLR0913  (one keyword a setting of [windows])
    windows: gpd.GeoDataFrame,
    folds: Folds,
    stack: xr.DataArray | RasterReader,
    *,
    rule: str = "distance",
    negatives: float = NEGATIVES,
    min_distance: int | None = None,
    bands: Sequence[Sequence[str]] | None = None,
    draws: int = 1,
    seed: int = 0,
) -> list[gpd.GeoDataFrame]:
    """Return the labelled windows of every draw, each with the fold that tests it (from 1).

    Deposits' windows get barren ones beside them, anew in each draw; tiles have their labels
    already and are the same in all draws.

    Parameters
    ----------
    windows, folds
        See :func:`cut_windows`.
    rule, negatives, min_distance, bands, seed
        See :func:`geomfaf.draw_windows`; each draw has a seed of its own.
    """
    if (windows["label"] == 0).any():
        return [windows.assign(fold=fold_number(folds.of_windows(windows)))] * draws
    source = RasterReader.of(stack)
    ore = with_data(windows, folds, source)
    tables = []
    for number in range(draws):
        table = draw_windows(
            ore,
            folds,
            source,
            rule=rule,
            negatives=negatives,
            min_distance=min_distance,
            bands=bands,
            seed=draw_seed(seed, number),
        )
        tables.append(table.assign(fold=fold_number(folds.of_windows(table))))
    return tables


def with_data(
    windows: gpd.GeoDataFrame,
    folds: Folds,
    stack: xr.DataArray | RasterReader,
) -> gpd.GeoDataFrame:
    """Return the deposits' windows whose centre has data.

    The folds are dealt before the bands are known.
    """
    known = RasterReader.of(stack).valid[window_centres(windows, folds.grid)]
    if known.all():
        return windows
    lost = f"{int((~known).sum())} of {len(windows)}"
    say(f"{lost} deposits' cells have no data in the stack: they neither train nor test")
    kept = windows[known].reset_index(drop=True)
    for fold in range(folds.count):
        if not folds.training(kept, fold).any():
            raise DataError(
                f"fold {fold_number(fold)} has no deposit left to learn from: {lost} lie on ground"
                " without data. Raise max_distance under [grid], or take fewer folds."
            )
    return kept
