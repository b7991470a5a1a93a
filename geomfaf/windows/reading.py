"""A stack in memory or in a file goes in; the windows of any places come out.

What lies in a file is read block by block, and only the blocks that hold some of the windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from affine import Affine

from ..rasters.bands import as_dataarray
from ..rasters.blocks import BLOCK
from ..rasters.grid import Grid
from ..rasters.reader import RasterReader
from .windows import read_windows


def windows_from(
    stack: xr.DataArray | RasterReader,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int,
    names: Sequence[str] | None = None,
) -> np.ndarray:
    """Return the windows of a stack as float32 (windows, band, size, size).

    Parameters
    ----------
    rows, cols : (windows,) int
        Their top-left cells, which may lie off the grid; what overhangs is NaN.
    names : sequence of str, optional
        Bands, in this order; all when omitted.
    """
    source = RasterReader.of(stack)
    rows = np.asarray(rows)
    cols = np.asarray(cols)
    chosen = source.names if names is None else list(names)
    if source.array is not None:
        # The windows of all bands: a copy of the chosen bands would be one of the whole map.
        taken = read_windows(source.array.values, rows, cols, size)
        if chosen == source.names:
            return taken
        return taken[:, [source.names.index(name) for name in chosen]]
    taken = np.empty((len(rows), len(chosen), size, size), np.float32)
    for some in same_block(rows, cols):
        # The part of the block that its windows reach, and a window beyond it.
        top = int(rows[some].min())
        left = int(cols[some].min())
        height = int(rows[some].max()) + size - top
        width = int(cols[some].max()) + size - left
        part = source.read(top, left, height, width, chosen)
        taken[some] = read_windows(part, rows[some] - top, cols[some] - left, size)
    return taken


def same_block(rows: np.ndarray, cols: np.ndarray) -> Iterator[np.ndarray]:
    """Give the numbers of the places in each block of the map, one block after the other.

    >>> [some.tolist() for some in same_block(np.array([0, 600, 9]), np.array([0, 0, 500]))]
    [[0, 2], [1]]
    """
    block_row = rows // BLOCK
    block_col = cols // BLOCK
    order = np.lexsort((block_col, block_row))
    changes = np.diff(block_row[order]).astype(bool) | np.diff(block_col[order]).astype(bool)
    yield from np.split(order, np.flatnonzero(changes) + 1) if len(order) else ()


def strip_of(
    stack: xr.DataArray | RasterReader,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int,
    names: Sequence[str] | None = None,
) -> xr.DataArray:
    """Return windows side by side as bands like those of the stack: the window of place ``i``
    begins at row 0, column ``i * size``.
    """
    source = RasterReader.of(stack)
    chosen = source.names if names is None else list(names)
    cells = windows_from(source, rows, cols, size, chosen)
    # (windows, bands, rows, columns) -> (bands, rows, windows x columns)
    strip = cells.transpose(1, 2, 0, 3).reshape(len(chosen), size, -1)
    # Where the strip lies does not matter; its cells must be as large as the stack's.
    transform = Affine(*tuple(source.grid.transform)[:6])
    grid = Grid(source.grid.crs, transform, strip.shape[1:])
    bands = {band.name: band for band in source.bands}
    return as_dataarray(strip, grid, [bands[name] for name in chosen])
