"""Windows: square pieces of the stack that a model reads, tiled over the map or centred
on places.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import geopandas as gpd
import numpy as np
import shapely
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import distance_transform_edt

from ..errors import DataError, UsageError
from ..progress import say
from ..rasters.grid import Grid

DEFAULT_SIZE = 16
"""Cells along a window; the smallest compact network was best there on real surveys."""

NEGATIVES = 4.0
"""Random barren windows for each deposit window."""


def tiled_windows(
    grid: Grid,
    size: int,
    *,
    strides: Sequence[int] | None = None,
    deposits: gpd.GeoDataFrame | None = None,
    valid: np.ndarray | None = None,
) -> gpd.GeoDataFrame:
    """Cut the grid into windows, numbered row by row from 1 at the top left.

    Parameters
    ----------
    grid : Grid
        The cells, in metres.
    size : int
        Cells along a side.
    strides : sequence of int, optional
        Cells from window to window; one pass over the map for each ("asynchronous" strides); the
        size, hence windows that do not overlap, when omitted. Every cell is covered: the last
        windows of a row or column overhang the grid and what lies beyond reads as nodata.
    deposits : GeoDataFrame, optional
        A window that holds one or more gets label 1.
    valid : ndarray, optional
        (y, x) bool, the cells that count; windows without any are left out (numbers are given
        before).

    Returns
    -------
    GeoDataFrame
        number, row, col, size, label, deposits, valid_share; the geometry is the window's part of
        the grid.

    Raises
    ------
    UsageError
        For a stride that is not 1 to the window's size.

    Examples
    --------
    >>> tiled_windows(Grid.from_bounds((0, 0, 500, 300), 100, 32633), 2)[["number", "row", "col"]].values.tolist()
    [[1, 0, 0], [2, 0, 2], [3, 0, 4], [4, 2, 0], [5, 2, 2], [6, 2, 4]]
    """
    require_size(size, grid)
    # 1. The corners of every pass, each once.
    corners: set[tuple[int, int]] = set()
    for stride in strides or [size]:
        if not 1 <= stride <= size:
            raise UsageError(
                f"a stride of {stride} must be 1 to the window size {size}: no cell may be lost."
            )
        first_rows = _starts(grid.height, size, stride)
        first_cols = _starts(grid.width, size, stride)
        corners.update(product(first_rows, first_cols))
    ordered = np.array(sorted(corners))
    rows = ordered[:, 0]
    cols = ordered[:, 1]
    # 2. Deposits in each window.
    count = np.zeros(len(ordered), int)
    if deposits is not None and len(deposits):
        at_row, at_col = deposit_cells(deposits, grid)
        # (windows, deposits): cells down and across from the window's corner.
        down = at_row - rows[:, None]
        across = at_col - cols[:, None]
        inside = (down >= 0) & (down < size)
        inside &= (across >= 0) & (across < size)
        count = inside.sum(axis=1)
    # 3. Windows without ground are left out.
    table = window_frame(
        grid,
        rows,
        cols,
        size,
        valid,
        count,
    )
    return table[table["valid_share"] > 0].reset_index(drop=True)


def centred_windows(
    grid: Grid,
    size: int,
    deposits: gpd.GeoDataFrame,
    valid: np.ndarray,
    *,
    negatives: float = NEGATIVES,
    min_distance: int | None = None,
    seed: int = 0,
) -> gpd.GeoDataFrame:
    """Put one window on each deposit and random barren ones elsewhere.

    The barren ones keep away from *all* deposits. Where folds are to be judged, take
    ``negatives=0`` here and :func:`geomfaf.draw_windows`, which draws them for each fold without
    the deposits that test it.

    Parameters
    ----------
    grid : Grid
        The cells, in metres.
    size : int
        Cells along a side; the deposit lies in cell ``size // 2`` of its window.
    deposits : GeoDataFrame
        Points of the known deposits.
    valid : ndarray
        (y, x) bool, the cells that count.
    negatives : float
        Barren windows for each deposit window.
    min_distance : int, optional
        Cells between the centre of a barren window and any deposit; the window size when omitted.
    seed : int
        Of the barren windows' places.

    Returns
    -------
    GeoDataFrame
        As :func:`tiled_windows`; deposit windows first. Deposits of one cell share a window. One on
        ground that is not valid gets none: what a window on it learned would be that there is no
        data.

    Raises
    ------
    DataError
        When no deposit lies on valid ground, or no ground is far enough from all of them.

    Examples
    --------
    >>> import geomfaf as gm
    >>> import numpy as np
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> windows = gm.centred_windows(grid, 8, survey.deposits, np.ones(grid.shape, bool))
    >>> windows["label"].value_counts().to_dict()
    {0: 144, 1: 36}
    """
    require_size(size, grid)
    # 1. Deposits on the grid; those without data around them teach nothing.
    rows, cols = deposit_cells(deposits, grid)
    occupied = np.zeros(grid.shape, bool)
    occupied[rows, cols] = True
    known = valid[rows, cols]
    if not known.any():
        raise DataError(
            "no deposit lies on the grid where it is valid: there is nothing to centre a window on."
        )
    if not known.all():
        say(
            f"{int((~known).sum())} of {len(known)} deposits lie on ground without data and get no"
            " window"
        )
    # 2. One window a cell with deposits.
    flat = rows * grid.width + cols
    cells, count = np.unique(flat[known], return_counts=True)
    if negatives == 0:
        return windows_on(grid, cells, size, valid, count)
    # 3. Barren windows at random, far enough from every deposit.
    reach = size if min_distance is None else min_distance
    far = distance_transform_edt(~occupied) >= reach
    free = np.flatnonzero(valid & far)
    if not len(free):
        raise DataError(
            f"no ground is {reach} cells ({reach * grid.cell:g} m) away from every deposit: "
            "lower min_distance or use smaller cells."
        )
    wanted = min(round(negatives * len(cells)), len(free))
    rng = np.random.default_rng(seed)
    barren = np.sort(rng.choice(free, wanted, replace=False))
    centres = np.concatenate([cells, barren])
    count = np.concatenate([count, np.zeros(wanted, int)])
    return windows_on(grid, centres, size, valid, count)


def windows_on(
    grid: Grid,
    cells: np.ndarray,
    size: int,
    valid: np.ndarray,
    count: np.ndarray,
) -> gpd.GeoDataFrame:
    """Return the windows centred on cells given by their flat numbers, with so many deposits."""
    centre_rows, centre_cols = np.divmod(cells, grid.width)
    top = centre_rows - size // 2
    left = centre_cols - size // 2
    return window_frame(grid, top, left, size, valid, count)


def deposit_cells(deposits: gpd.GeoDataFrame, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each deposit that lies on the grid.

    Deposits in another CRS are brought into the grid's: in degrees none of them would lie on it.
    """
    if deposits.crs is None:
        grid.require_crs(None, "deposits")
    if grid.crs != deposits.crs:
        deposits = deposits.to_crs(grid.crs)
    rows, cols = grid.rowcol(deposits.geometry.x, deposits.geometry.y)
    on_grid = rows >= 0
    return rows[on_grid], cols[on_grid]


def valid_deposits(
    deposits: gpd.GeoDataFrame,
    grid: Grid,
    valid: np.ndarray,
    otherwise: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the deposits that count: those on valid ground.

    Parameters
    ----------
    valid : ndarray
        (y, x) bool.
    otherwise : str
        What cannot be done where there is none, for the message.

    Raises
    ------
    DataError
        When no deposit lies on valid ground.
    """
    rows, cols = deposit_cells(deposits, grid)
    counts = valid[rows, cols]
    if not counts.any():
        raise DataError(f"no deposit lies on valid ground: {otherwise}.")
    return rows[counts], cols[counts]


def window_centres(windows: gpd.GeoDataFrame, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the centre cells, moved onto the grid where a window
    overhangs it.
    """
    half = windows["size"].to_numpy() // 2
    rows = windows["row"].to_numpy() + half
    cols = windows["col"].to_numpy() + half
    rows = np.clip(rows, 0, grid.height - 1)
    cols = np.clip(cols, 0, grid.width - 1)
    return rows, cols


def read_windows(
    array: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int,
    fill: float = np.nan,
) -> np.ndarray:
    """Return the windows of a (channel, y, x) array as (windows, channel, size, size).

    ``rows`` and ``cols`` are the top-left cells and may lie off the array; what overhangs is
    ``fill``.
    """
    rows = np.asarray(rows)
    cols = np.asarray(cols)
    inside = (rows >= 0) & (rows + size <= array.shape[1])
    inside &= (cols >= 0) & (cols + size <= array.shape[2])
    taken = np.empty((len(rows), len(array), size, size), array.dtype)
    # 1. Windows on the array are copied as they lie in the memory, row of cells by row of cells.
    if inside.any():
        every = sliding_window_view(array, (size, size), axis=(1, 2))
        every = every.transpose(1, 2, 0, 3, 4)
        taken[inside] = every[rows[inside], cols[inside]]
    # 2. Those that overhang are gathered cell by cell.
    if not inside.all():
        taken[~inside] = _overhanging(array, rows[~inside], cols[~inside], size, fill)
    return taken


def _overhanging(
    array: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int,
    fill: float,
) -> np.ndarray:
    """Return windows of which some cells lie off the array, see :func:`read_windows`."""
    # 1. The cells of each window, moved onto the array.
    at_row = rows[:, None] + np.arange(size)
    at_col = cols[:, None] + np.arange(size)
    in_row = (at_row >= 0) & (at_row < array.shape[1])
    in_col = (at_col >= 0) & (at_col < array.shape[2])
    at_row = np.clip(at_row, 0, array.shape[1] - 1)
    at_col = np.clip(at_col, 0, array.shape[2] - 1)
    taken = array[:, at_row[:, :, None], at_col[:, None, :]]
    # 2. What was moved is filled.
    outside = ~(in_row[:, :, None] & in_col[:, None, :])
    taken[:, outside] = fill
    return taken.swapaxes(0, 1)


def _starts(length: int, size: int, stride: int) -> range:
    """Return the first cells of the windows along one axis: the last one reaches the end."""
    return range(0, max(length - size, 0) + stride, stride)


def require_size(size: int, grid: Grid) -> None:
    """Refuse a window of fewer than two cells, or of more than the grid has."""
    if not 2 <= size <= min(grid.shape):
        raise UsageError(
            f"a window of {size} cells does not fit a grid of {grid.height} x {grid.width} cells: "
            f"choose 2 to {min(grid.shape)}, or smaller cells."
        )


def window_frame(
    grid: Grid,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int,
    valid: np.ndarray | None,
    count: np.ndarray,
) -> gpd.GeoDataFrame:
    """Return the table of windows with these top-left cells and numbers of deposits, see
    :func:`tiled_windows`.
    """
    # 1. Each window's part of the grid.
    top = np.clip(rows, 0, None)
    left = np.clip(cols, 0, None)
    bottom = np.minimum(rows + size, grid.height)
    right = np.minimum(cols + size, grid.width)
    edges = []
    heights = bottom - top
    widths = right - left
    for row, col, height, width in zip(top, left, heights, widths, strict=True):
        edges.append(grid.window_bounds(row, col, height, width))
    # 2. How many of its cells count.
    total = summed_cells(np.ones(grid.shape, bool) if valid is None else valid)
    down_to_bottom = total[bottom, right] - total[bottom, left]
    down_to_top = total[top, right] - total[top, left]
    cells = down_to_bottom - down_to_top
    columns = {
        "number": np.arange(1, len(rows) + 1),
        "row": rows,
        "col": cols,
        "size": np.full(len(rows), size),
        "label": (count > 0).astype(int),
        "deposits": count,
        "valid_share": cells / size**2,
    }
    squares = shapely.box(*np.array(edges).T)
    return gpd.GeoDataFrame(columns, geometry=squares, crs=grid.crs)


def summed_cells(cells: np.ndarray) -> np.ndarray:
    """Return int (y + 1, x + 1): how many cells of (y, x) bool lie above and left of each corner.

    The number in a rectangle is then the difference of its four corners (Crow 1984, doi
    10.1145/800031.808600).

    >>> summed_cells(np.array([[True, False], [True, True]])).tolist()
    [[0, 0, 0], [0, 1, 1], [0, 2, 3]]
    """
    # As narrow as the count allows, and summed in place: the map may be large.
    kind = np.int32 if cells.size < np.iinfo(np.int32).max else np.int64
    total = np.zeros((cells.shape[0] + 1, cells.shape[1] + 1), kind)
    inner = total[1:, 1:]
    np.cumsum(cells, axis=0, out=inner)
    np.cumsum(inner, axis=1, out=inner)
    return total
