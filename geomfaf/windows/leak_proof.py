"""Windows and folds go in; the proof, cell by cell, that no fold is tested on what trained it."""

from __future__ import annotations

from collections.abc import Iterator

import geopandas as gpd
import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_cdt

from ..errors import InternalError
from ..rasters.grid import Grid
from .folds import Folds, deposit_clusters, fold_number
from .windows import window_centres

ROWS = 1024
"""Rows of cells whose distances are held at once."""

REACH = 512
"""Cells beyond which the gap on a map of more rows than that is not told exactly."""


def prove_leak_free(windows: gpd.GeoDataFrame, folds: Folds) -> pd.DataFrame:
    """Show, cell by cell, that no fold is tested on what trained it; return the figures of each
    fold.

    It shares no code with the choice of the training windows: the cells that training windows read
    are drawn on the map, and so are the cells that any window centred on the fold's ground could
    read.

    Parameters
    ----------
    windows : GeoDataFrame
        Labelled windows of one size, see :func:`geomfaf.centred_windows`.
    folds : Folds
        See :func:`geomfaf.spatial_folds`.

    Returns
    -------
    DataFrame
        fold, train, train_ore, test, test_ore (numbers of windows), gap (cells between the fold's
        blocks and the nearest training window, at least the margin; 512 stands for more on a map of
        more than 1,024 rows).

    Raises
    ------
    InternalError
        When a cell trains and tests, a training window lies within the margin, or one cluster lies
        in two folds.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> proof = gm.prove_leak_free(windows, folds)
    >>> bool((proof["gap"] >= folds.margin).all())
    True
    """
    raster = folds.raster()
    rows = []
    # 1. No cluster of deposits is tested by two folds.
    _require_whole_clusters(windows, folds, raster)
    size = int(windows["size"].max())
    for fold in range(folds.count):
        # 2. The cells that this fold's windows read, and those that any test window could read.
        train = folds.training(windows, fold)
        test = folds.testing(windows, fold)
        learned = _cells_of(windows[train], folds.grid)
        judged = _cells_of(windows[test], folds.grid)
        gap = max(folds.grid.shape)
        touched = False
        reach = max(REACH, 2 * folds.margin)
        for rows_of, away in _chessboard_distances(raster == fold, reach):
            # 1 for a neighbour, so that the free cells between are one fewer.
            here = learned[rows_of]
            if here.any():
                gap = min(gap, int(away[here].min()) - 1)
            # What a window centred on the fold's ground reaches.
            reachable = away <= size // 2
            touched |= bool((here & (judged[rows_of] | reachable)).any())
        number = fold_number(fold)
        # 3. The two must be apart, by a margin of free ground.
        if touched:
            raise InternalError(
                f"the split leaks: training and test windows of fold {number} share cells"
            )
        if gap < folds.margin:
            raise InternalError(
                f"the split leaks: fold {number} trains {gap} cells from its test ground, not"
                f" {folds.margin}"
            )
        # 4. What the proof found, for people.
        ore = windows["label"].to_numpy() == 1
        row = {
            "fold": number,
            "train": train.sum(),
            "train_ore": (train & ore).sum(),
            "test": test.sum(),
            "test_ore": (test & ore).sum(),
            "gap": gap,
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _chessboard_distances(cells: np.ndarray, reach: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Give the chessboard distance to some of (y, x) bool, some rows at a time: of the whole map they
    would take twenty times its memory. On a map of more rows than that, those beyond the reach are
    no less than it.
    """
    height = len(cells)
    for first in range(0, height, ROWS):
        last = min(first + ROWS, height)
        top = max(first - reach, 0)
        bottom = min(last + reach, height)
        part = cells[top:bottom]
        away = np.full(part.shape, reach + 1)
        if part.any():
            away = distance_transform_cdt(~part, metric="chessboard")
        yield slice(first, last), away[first - top : last - top]


def _require_whole_clusters(
    windows: gpd.GeoDataFrame,
    folds: Folds,
    raster: np.ndarray,
) -> None:
    """Raise :class:`InternalError` when deposits of one cluster are tested by two folds."""
    if folds.linkage <= 0:
        return
    rows, cols = window_centres(windows[windows["label"] == 1], folds.grid)
    cluster = deposit_clusters(rows, cols, folds.linkage)
    tested = pd.Series(raster[rows, cols]).groupby(cluster).nunique()
    if (tested > 1).any():
        raise InternalError("the split leaks: a cluster of deposits lies in two folds")


def shared_cells(
    windows: gpd.GeoDataFrame,
    train: np.ndarray,
    test: np.ndarray,
) -> int:
    """Return how many pairs of a training and a test window share a cell: 0 in a split that does
    not leak.
    """
    row = windows["row"].to_numpy()
    col = windows["col"].to_numpy()
    size = windows["size"].to_numpy()
    # Pairs (training, test): two squares meet when both their axes do.
    reach = np.maximum(size[train][:, None], size[test])
    rows_apart = np.abs(row[train][:, None] - row[test])
    cols_apart = np.abs(col[train][:, None] - col[test])
    near_rows = rows_apart < reach
    near_cols = cols_apart < reach
    return int((near_rows & near_cols).sum())


def _cells_of(windows: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """Return which cells the windows read, (y, x) bool."""
    cells = np.zeros(grid.shape, bool)
    for row, col, size in windows[["row", "col", "size"]].to_numpy():
        # A window may overhang the grid above or on the left.
        top = max(row, 0)
        left = max(col, 0)
        cells[top : row + size, left : col + size] = True
    return cells
