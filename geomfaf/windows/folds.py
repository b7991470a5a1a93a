"""Folds that do not leak: spatial blocks with a margin that no training window enters."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..errors import DataError, UsageError, require_known
from ..progress import say
from ..rasters.grid import Grid
from .windows import summed_cells, window_centres
from .zones import zone_table

KINDS = ("blocks", "clusters", "checkerboard")

DEFAULT_COUNT = 5

FEW = 20
"""With fewer deposits, each cluster is left out in turn: every deposit that can be learned from
counts then.
"""

MOST = 10
"""Most folds made so: a network is trained for each."""

LINKS = (1.0, 0.5, 0.0)
"""Windows within which deposits are one cluster, the first tried first."""

FAIR = 2.0
"""No fold may hold more than this many times its fair share of the deposits."""


EVERY_FOLD = 0
NO_FOLD = -1
"""Values of the column ``trains`` beside a fold's number (from 1): any fold that the place allows,
or none.
"""


def fold_number(fold: Any) -> Any:
    """Return the number by which people and files know a fold, from 1; it counts from 0 inside.

    >>> fold_number(0)
    1
    """
    return fold + 1


def fold_index(number: Any) -> Any:
    """Return the fold of a number that :func:`fold_number` gave.

    >>> fold_index(1)
    0
    """
    return number - 1


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
    linkage : float
        Deposits within this many cells of each other are one cluster, which no split tears apart.
    """

    grid: Grid
    block: int
    table: np.ndarray
    margin: int
    linkage: float = 0.0

    def __repr__(self) -> str:
        size = self.block * self.grid.cell
        return (
            f"<Folds: {self.count} folds of blocks of {size:,.0f} m, {self.margin} cells between>"
        )

    @property
    def count(self) -> int:
        """Number of folds."""
        return int(self.table.max()) + 1

    def raster(self) -> np.ndarray:
        """Return the fold of every cell, (y, x) int16."""
        return self.of_cells(0, 0, *self.grid.shape)

    def of_cells(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return the fold of every cell of a rectangle of the grid, (height, width) int16."""
        rows = np.arange(row, row + height) // self.block
        cols = np.arange(column, column + width) // self.block
        return self.table[np.ix_(rows, cols)].astype(np.int16)

    def at(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the fold of each of some cells of the grid."""
        return self.table[rows // self.block, cols // self.block]

    def of_windows(self, windows: gpd.GeoDataFrame) -> np.ndarray:
        """Return the fold that tests each window: that of its centre cell."""
        return self.at(*window_centres(windows, self.grid))

    def training(self, windows: gpd.GeoDataFrame, fold: int) -> np.ndarray:
        """Return which windows may train the model that is tested on ``fold``, (windows,) bool.

        A test window is centred in the fold's blocks and reaches half a window out of them; with a
        margin of a whole window, no training window shares a cell with it. A window drawn for one
        fold alone (column ``trains``, see :func:`geomfaf.draw_windows`) trains no other.
        """
        # 1. Each window with its margin, cut to the grid.
        row = windows["row"].to_numpy()
        col = windows["col"].to_numpy()
        size = windows["size"].to_numpy()
        top = np.clip(row - self.margin, 0, self.grid.height)
        bottom = np.clip(row + size + self.margin, 0, self.grid.height)
        left = np.clip(col - self.margin, 0, self.grid.width)
        right = np.clip(col + size + self.margin, 0, self.grid.width)
        # 2. How many cells of the fold lie in it.
        total = summed_cells(self.raster() == fold)
        down_to_bottom = total[bottom, right] - total[bottom, left]
        down_to_top = total[top, right] - total[top, left]
        away = down_to_bottom == down_to_top
        # 3. Windows that were drawn for another fold train that one alone.
        if "trains" in windows:
            away &= windows["trains"].isin([EVERY_FOLD, fold_number(fold)]).to_numpy()
        return away

    def testing(self, windows: gpd.GeoDataFrame, fold: int) -> np.ndarray:
        """Return which windows test ``fold``, (windows,) bool: those centred in it that were not
        drawn to train.
        """
        own = self.of_windows(windows) == fold
        if "trains" not in windows:
            return own
        return own & windows["trains"].isin([EVERY_FOLD, NO_FOLD]).to_numpy()

    def clusters(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the cluster of deposits in these cells: those of one block, or within the linkage
        of one another.

        Blocks are as long as the bands resemble themselves: deposits of one block are no
        independent witnesses.
        """
        block_rows = rows // self.block
        block_cols = cols // self.block
        block_of = block_rows * self.table.shape[1] + block_cols
        # Blocks shorter than two windows (those of zones) say nothing: a window's reach does.
        reach = 0 if self.block >= 2 * self.margin else self.margin
        near = deposit_clusters(rows, cols, max(self.linkage, reach))
        # Each deposit is linked with the first of its block and with the first of its neighbours.
        _, first, own = np.unique(block_of, return_index=True, return_inverse=True)
        _, first_near, own_near = np.unique(near, return_index=True, return_inverse=True)
        every = np.arange(len(rows))
        begin = np.concatenate([every, every])
        end = np.concatenate([first[own], first_near[own_near]])
        return _components(begin, end, len(rows))

    def same_split(self, other: Folds) -> bool:
        """Return whether the same blocks test the same folds, with the same ground kept free around
        them.
        """
        same_ground = (self.block, self.margin) == (other.block, other.margin)
        same_linkage = self.linkage == other.linkage
        return same_ground and same_linkage and np.array_equal(self.table, other.table)

    def blocks(self) -> gpd.GeoDataFrame:
        """Return the blocks as polygons with fold (from 1), row, col, and block and margin in
        cells.
        """
        rows, cols = np.indices(self.table.shape).reshape(2, -1)
        shapes = []
        # The blocks at the lower and right edge end with the grid.
        for row, col in zip(rows * self.block, cols * self.block, strict=True):
            height = min(self.block, self.grid.height - row)
            width = min(self.block, self.grid.width - col)
            bounds = self.grid.window_bounds(row, col, height, width)
            shapes.append(shapely.box(*bounds))
        columns = {
            "fold": fold_number(self.table.ravel()),
            "row": rows,
            "col": cols,
            "block": self.block,
            "margin": self.margin,
            "linkage": float(self.linkage),
        }
        return gpd.GeoDataFrame(columns, geometry=shapes, crs=self.grid.crs)


def spatial_folds(  # noqa: PLR0913  (one keyword a setting of [folds])
    windows: gpd.GeoDataFrame,
    grid: Grid,
    valid: np.ndarray,
    *,
    count: int | None = None,
    block: int | None = None,
    kind: str | None = None,
    zones: gpd.GeoDataFrame | None = None,
    column: str | None = None,
    autocorrelation: float = math.nan,
    reach: float = 0.0,
    seed: int = 0,
) -> Folds:
    """Cut the map into blocks and deal them into folds with about equally many deposits.

    Deposits within a window of each other are one cluster, and the blocks of one cluster go to one
    fold. Where that would leave one fold with most deposits, first the blocks are halved, then the
    distance that makes a cluster.

    Parameters
    ----------
    windows : GeoDataFrame
        Labelled windows of one size; those with deposits are dealt.
    grid : Grid
        The cells, in metres.
    valid : ndarray
        (y, x) bool, the cells that count.
    count : int
        Folds wanted, fewer when fewer blocks hold deposits. When omitted 5, or with fewer than 20
        deposits one for each cluster of them, if there are at most ten.
    block : int, optional
        Cells along a block, at least two windows. When omitted, the larger of two windows and
        ``autocorrelation`` (an eighth of the longer side and four windows when that is unknown),
        halved down to two windows until there are folds enough, every one can be trained and
        tested, and none holds more than twice its share of the deposits.
    kind : {"blocks", "clusters", "checkerboard"}, optional
        ``"clusters"`` leaves out one cluster of deposits at a time, with its share of the barren
        blocks. ``"checkerboard"`` makes two folds of alternating blocks.
    zones : GeoDataFrame, optional
        Polygons, one a fold, instead of blocks; ground in none belongs to the nearest. Their edges
        are followed to a quarter of a window. Points have the ground that is nearest to them.
    column : str, optional
        Column of ``zones`` whose values are the folds.
    autocorrelation : float
        Metres, see :func:`geomfaf.autocorrelation_range`.
    reach : float
        Metres around a cell that its bands look at (the radius of a density, say). The margin that
        no training window enters is a window, or the reach where that is farther: what lies on
        test ground then has no say in any training window.
    seed : int
        Of the order in which blocks are dealt.

    Returns
    -------
    Folds
        Block by block which fold it tests, with the margin in cells.

    Raises
    ------
    DataError
        When the deposits are too close together to learn from some and test on others.
    UsageError
        For fewer than two folds, a block below two windows, or an unknown kind.

    Examples
    --------
    >>> import geomfaf as gm
    >>> import numpy as np
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> valid = np.ones(grid.shape, bool)
    >>> windows = gm.centred_windows(grid, 8, survey.deposits, valid)
    >>> gm.spatial_folds(windows, grid, valid, count=3)
    <Folds: 3 folds of blocks of 6,400 m, 8 cells between>
    """
    size = int(windows["size"].iloc[0])
    # The shorter side of a cell decides: as many cells reach as far in either direction.
    margin = max(size, math.ceil(reach / min(grid.sides) - 1e-9))
    if count is not None and count < 2:
        raise UsageError(
            f"folds = {count}: at least 2 are needed to test on ground that was not learned from."
        )
    if block is not None and block < 2 * size:
        raise UsageError(
            f"block = {block} cells: at least two windows ({2 * size} cells) are needed."
        )
    if kind is not None:
        require_known(kind, KINDS, "kind of folds")
    # 1. Splits that need no dealing.
    if zones is not None:
        # A quarter of a window follows their edges.
        table = zone_table(zones, grid, max(1, size // 4), column)
        folds = Folds(grid, max(1, size // 4), table, margin)
        return _require_usable(folds, windows, "the zones")
    sides = [block] if block is not None else _block_sides(grid, size, autocorrelation)
    if kind == "checkerboard":
        blocks = blocks_along(grid, sides[0])
        table = np.indices(blocks).sum(axis=0) % 2
        folds = Folds(grid, sides[0], table, margin)
        return _require_usable(folds, windows, "the checkerboard")
    # 2. As many folds as wanted first; fewer only where no size of blocks gives them.
    wanted = count or DEFAULT_COUNT
    for least, linkage, side in product((wanted, 2), LINKS, sides):
        undealt = np.zeros((0, 0), int)
        cut = Folds(grid, side, undealt, margin, linkage * size)
        dealt = _deal(windows, valid, cut, count, kind, seed)
        if dealt is None or dealt.count < least:
            continue
        if all(_usable(windows, dealt, fold) for fold in range(dealt.count)):
            _say_choice(dealt, autocorrelation, size)
            return dealt
    raise DataError(
        f"the deposits lie too close together: with blocks of {sides[-1]} cells"
        f" ({sides[-1] * grid.cell:g} m) there is no split in which every fold has deposits to test"
        " and deposits and barren ground to learn from. Use smaller cells, a smaller window or"
        " block, or a larger study area."
    )


def blocks_along(grid: Grid, side: int) -> tuple[int, int]:
    """Return how many blocks of so many cells lie down and across a grid; the last may overhang."""
    return -(-grid.height // side), -(-grid.width // side)


def deposit_clusters(
    rows: np.ndarray,
    cols: np.ndarray,
    linkage: float,
) -> np.ndarray:
    """Return the cluster of each deposit by single linkage: cells within ``linkage`` of each other
    are in one.

    >>> deposit_clusters(np.array([0, 0, 9, 0]), np.array([0, 3, 9, 6]), 3).tolist()
    [0, 0, 1, 0]
    """
    tree = cKDTree(np.column_stack([rows, cols]))
    pairs = tree.query_pairs(linkage, output_type="ndarray")
    return _components(pairs[:, 0], pairs[:, 1], len(rows))


def random_split(
    labels: np.ndarray,
    *,
    test_share: float = 0.2,
    seed: int = 0,
) -> np.ndarray:
    """Return a random, stratified test mask: the paper's split. **It leaks**: overlapping windows
    and the synthetic neighbours of a window stand on both sides. For comparison with published
    figures only.
    """
    rng = np.random.default_rng(seed)
    test = np.zeros(len(labels), bool)
    for value in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == value))
        tested = max(1, round(test_share * len(members)))
        test[members[:tested]] = True
    return test


def _block_sides(
    grid: Grid,
    size: int,
    autocorrelation: float,
) -> list[int]:
    """Return the cells along a block that are tried, largest first."""
    if np.isfinite(autocorrelation):
        first = math.ceil(autocorrelation / min(grid.sides))
    else:
        first = max(max(grid.shape) // 8, 4 * size)
    return _halved(max(first, 2 * size), 2 * size)


def _halved(value: int, least: int) -> list[int]:
    values = [value]
    while values[-1] > least:
        values.append(max(values[-1] // 2, least))
    return values


def _components(
    first: np.ndarray,
    second: np.ndarray,
    count: int,
) -> np.ndarray:
    """Return the connected component of each of ``count`` things, from pairs that hold together."""
    held_together = np.ones(len(first), bool)
    links = coo_array((held_together, (first, second)), (count, count))
    return connected_components(links, directed=False)[1]


def _deal(
    windows: gpd.GeoDataFrame,
    valid: np.ndarray,
    cut: Folds,
    count: int | None,
    kind: str | None,
    seed: int,
) -> Folds | None:
    """Deal the blocks, richest first, each to the fold with fewest deposits, then with least
    ground.

    Blocks that hold deposits of one cluster are dealt as one.
    """
    # 1. Blocks that hold deposits of one cluster are one unit.
    shape = blocks_along(cut.grid, cut.block)
    ore = windows[windows["label"] == 1]
    rows, cols = window_centres(ore, cut.grid)
    block_of = (rows // cut.block) * shape[1] + cols // cut.block
    cluster = deposit_clusters(rows, cols, cut.linkage)
    # Each deposit's block is linked with that of the first deposit of its cluster.
    _, first_in_cluster = np.unique(cluster, return_index=True)
    first_block = block_of[first_in_cluster]
    unit = _components(block_of, first_block[cluster], math.prod(shape))
    # 2. How many folds there can be, and whether they can be fair.
    deposits = np.bincount(unit[block_of], minlength=unit.max() + 1)
    groups = int((deposits > 0).sum())
    few = count is None and len(rows) < FEW and groups <= MOST
    if kind == "clusters" or few:
        count = groups
    count = min(count or DEFAULT_COUNT, groups)
    fair_share = len(rows) / count
    unfair = deposits.max() > FAIR * fair_share
    if count < 2 or (unfair and groups > count):
        return None
    # 3. The units in the order in which they are dealt: richest first, else by chance.
    first_cols = np.arange(shape[1]) * cut.block
    valid_in_blocks = np.zeros(shape, np.int64)
    for row in range(shape[0]):
        rows_of = valid[row * cut.block : (row + 1) * cut.block]
        valid_in_blocks[row] = np.add.reduceat(np.count_nonzero(rows_of, axis=0), first_cols)
    ground = np.zeros(len(deposits), np.int64)
    np.add.at(ground, unit, valid_in_blocks.ravel())
    shuffled = np.random.default_rng(seed).permutation(len(deposits))
    richest_first = np.argsort(-deposits[shuffled], kind="stable")
    order = shuffled[richest_first]
    # 4. Each to the fold with fewest deposits, barren ones to the fold with least ground.
    fold_of = np.zeros(len(deposits), int)
    held = np.zeros(count, int)
    area = np.zeros(count, int)
    for number in order:
        fold = np.argmin(area)
        if deposits[number]:
            fold = np.lexsort((area, held))[0]
        fold_of[number] = fold
        held[fold] += deposits[number]
        area[fold] += ground[number]
    table = fold_of[unit].reshape(shape)
    return replace(cut, table=table)


def _require_usable(folds: Folds, windows: gpd.GeoDataFrame, what: str) -> Folds:
    for fold in range(folds.count):
        if not _usable(windows, folds, fold):
            raise DataError(
                f"without fold {fold_number(fold)} {what} leave no deposit, or no barren window, a window"
                " away to learn from: use other zones, another block, or another kind of folds."
            )
    return folds


def _usable(windows: gpd.GeoDataFrame, folds: Folds, fold: int) -> bool:
    labels = windows["label"].to_numpy()
    train = folds.training(windows, fold)
    # Without any barren window in the table, they are drawn later on the ground that is left.
    to_be_drawn = (labels == 1).all()
    barren = to_be_drawn or (labels[train] == 0).sum() >= 2
    return bool(barren and (labels[train] == 1).any())


def _say_choice(folds: Folds, autocorrelation: float, size: int) -> None:
    metres = folds.grid.cell
    known = ""
    if np.isfinite(autocorrelation):
        known = f"the bands' variogram range is {autocorrelation:,.0f} m; "
    smaller = np.isfinite(autocorrelation) and folds.block * metres < autocorrelation
    note = ": shorter than the range" if smaller else ""
    say(f"{known}{folds.count} folds of blocks of {folds.block * metres:,.0f} m{note}")
    if folds.linkage < size:
        say(
            f"the deposits lie so close that only those within {folds.linkage * metres:,.0f} m of"
            " each other stay in one fold"
        )
