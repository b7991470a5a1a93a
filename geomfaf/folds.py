"""Folds that do not leak: spatial blocks with a margin that no training window enters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from .errors import DataError, UsageError
from .grid import Grid
from .read import Source, read_layer
from .windows import window_centres


@dataclass(frozen=True)
class Folds:
    """Square blocks of cells, each in one of ``count`` folds.

    Attributes
    ----------
    grid : Grid
        The grid that is cut.
    block : int
        Cells along a block.
    table : ndarray
        (block rows, block columns) int: the fold of each block, from 0.
    margin : int
        A window within this many cells of a fold's blocks does not train that fold's model.
    """

    grid: Grid
    block: int
    table: np.ndarray
    margin: int

    @property
    def count(self) -> int:
        """Number of folds."""
        return int(self.table.max()) + 1

    def raster(self) -> np.ndarray:
        """Return the fold of every cell, (y, x) int16."""
        rows, cols = np.arange(self.grid.height) // self.block, np.arange(self.grid.width) // self.block
        return self.table[np.ix_(rows, cols)].astype(np.int16)

    def of_windows(self, windows: gpd.GeoDataFrame) -> np.ndarray:
        """Return the fold that tests each window: that of its centre cell."""
        rows, cols = window_centres(windows, self.grid)
        return self.table[rows // self.block, cols // self.block]

    def training(self, windows: gpd.GeoDataFrame, fold: int) -> np.ndarray:
        """Return which windows may train the model that is tested on ``fold``, (windows,) bool.

        A test window is centred in the fold's blocks and reaches half a window out of them; with a margin of a
        whole window, no training window shares a cell with it.
        """
        total = np.zeros((self.grid.height + 1, self.grid.width + 1), np.int64)
        total[1:, 1:] = (self.raster() == fold).cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
        row, col, size = (windows[name].to_numpy() for name in ("row", "col", "size"))
        top, bottom = (np.clip(v, 0, self.grid.height) for v in (row - self.margin, row + size + self.margin))
        left, right = (np.clip(v, 0, self.grid.width) for v in (col - self.margin, col + size + self.margin))
        return total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left] == 0

    def blocks(self) -> gpd.GeoDataFrame:
        """Return the blocks as polygons with fold (from 1), row, col, and block and margin in cells."""
        rows, cols = np.indices(self.table.shape).reshape(2, -1)
        shapes = []
        for row, col in zip(rows * self.block, cols * self.block, strict=True):
            height, width = min(self.block, self.grid.height - row), min(self.block, self.grid.width - col)
            shapes.append(shapely.box(*self.grid.window_bounds(row, col, height, width)))
        columns = {"fold": self.table.ravel() + 1, "row": rows, "col": cols, "block": self.block, "margin": self.margin}
        return gpd.GeoDataFrame(columns, geometry=shapes, crs=self.grid.crs)


def spatial_folds(
    windows: gpd.GeoDataFrame,
    grid: Grid,
    valid: np.ndarray,
    *,
    count: int = 5,
    block: int | None = None,
    seed: int = 0,
) -> Folds:
    """Cut the map into blocks and deal them into folds with about equally many deposits.

    Parameters
    ----------
    count : int
        Folds wanted; fewer when fewer blocks hold deposits.
    block : int, optional
        Cells along a block, at least two windows. When omitted, the larger of an eighth of the longer side and four
        windows, halved (down to two windows) until every fold can be trained and tested.

    Raises
    ------
    DataError
        When the deposits are too close together to learn from some and test on others.
    """
    size = int(windows["size"].iloc[0])
    if count < 2:
        raise UsageError(f"folds = {count}: at least 2 are needed to test on ground that was not learned from.")
    if block is not None and block < 2 * size:
        raise UsageError(f"block = {block} cells: at least two windows ({2 * size} cells) are needed.")
    wanted = max(max(grid.shape) // 8, 4 * size) if block is None else block
    while True:
        folds = _deal(windows, grid, valid, count, wanted, seed)
        if folds is not None and all(_usable(windows, folds, fold) for fold in range(folds.count)):
            return folds
        if block is not None or wanted <= 2 * size:
            raise DataError(
                f"the deposits lie too close together: with blocks of {wanted} cells ({wanted * grid.cell:g} m) there "
                "is no split in which every fold has deposits to test and deposits and barren ground to learn from. "
                "Use smaller cells, a smaller window or block, or a larger study area."
            )
        wanted = max(wanted // 2, 2 * size)


def read_folds(path: str | Path, grid: Grid) -> tuple[gpd.GeoDataFrame, Folds]:
    """Read the windows and the folds that ``geomfaf windows`` wrote for a grid."""
    windows = read_layer(Source(Path(path), "windows"))
    blocks = read_layer(Source(Path(path), "folds")).sort_values(["row", "col"])
    table = blocks["fold"].to_numpy().reshape(blocks["row"].max() + 1, blocks["col"].max() + 1) - 1
    folds = Folds(grid, int(blocks["block"].iloc[0]), table, int(blocks["margin"].iloc[0]))
    # Block by block: a grid of finer cells over the same ground has the same outer bounds.
    same = windows.crs == grid.crs and table.shape == tuple(-(-length // folds.block) for length in grid.shape)
    if not same or not np.allclose(blocks.bounds, folds.blocks().bounds, rtol=0, atol=grid.cell / 1e3):
        raise DataError(f"{path} was cut from another grid than this stack: run `geomfaf windows` on it again.")
    return windows, folds


def shared_cells(windows: gpd.GeoDataFrame, train: np.ndarray, test: np.ndarray) -> int:
    """Return how many pairs of a training and a test window share a cell: 0 in a split that does not leak."""
    row, col, size = (windows[name].to_numpy() for name in ("row", "col", "size"))
    near_rows = np.abs(row[train][:, None] - row[test]) < np.maximum(size[train][:, None], size[test])
    near_cols = np.abs(col[train][:, None] - col[test]) < np.maximum(size[train][:, None], size[test])
    return int((near_rows & near_cols).sum())


def random_split(labels: np.ndarray, *, test_share: float = 0.2, seed: int = 0) -> np.ndarray:
    """Return a random, stratified test mask: the paper's split. **It leaks**: overlapping windows and the synthetic
    neighbours of a window stand on both sides. For comparison with published figures only.
    """
    rng = np.random.default_rng(seed)
    test = np.zeros(len(labels), bool)
    for value in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == value))
        test[members[: max(1, round(test_share * len(members)))]] = True
    return test


def _deal(windows: gpd.GeoDataFrame, grid: Grid, valid: np.ndarray, count: int, block: int, seed: int) -> Folds | None:
    """Deal the blocks, richest first, each to the fold with fewest deposits, then with least ground."""
    shape = tuple(-(-length // block) for length in grid.shape)
    rows, cols = window_centres(windows[windows["label"] == 1], grid)
    deposits = np.zeros(shape, int)
    np.add.at(deposits, (rows // block, cols // block), 1)
    count = min(count, int((deposits > 0).sum()))
    if count < 2:
        return None
    at_row, at_col = np.nonzero(valid)
    ground = np.zeros(shape, int)
    np.add.at(ground, (at_row // block, at_col // block), 1)
    order = np.random.default_rng(seed).permutation(deposits.size)
    order = order[np.argsort(-deposits.ravel()[order], kind="stable")]
    table = np.zeros(shape, int)
    held, area = np.zeros(count, int), np.zeros(count, int)
    for index in order:
        fold = np.lexsort((area, held))[0] if deposits.flat[index] else np.argmin(area)
        table.flat[index] = fold
        held[fold] += deposits.flat[index]
        area[fold] += ground.flat[index]
    return Folds(grid, block, table, margin=int(windows["size"].iloc[0]))


def _usable(windows: gpd.GeoDataFrame, folds: Folds, fold: int) -> bool:
    labels, train = windows["label"].to_numpy(), folds.training(windows, fold)
    return bool((labels[train] == 1).any() and (labels[train] == 0).sum() >= 2)
