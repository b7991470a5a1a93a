"""A raster goes in; a band of it comes out from top to bottom, or the values of chosen cells.

What needs whole bands but not all of them at once reads here: memory holds a band at most, or some
rows of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import xarray as xr

from .reader import RasterReader

ROWS = 512
"""Rows of a strip: those of the tiles of a file, so that each is unpacked once."""

Raster: TypeAlias = xr.DataArray | str | Path | RasterReader
"""A raster in memory, the file that holds one, or a reader of either."""


def strips(
    reader: RasterReader,
    band: str,
    rows: int | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the values, (rows, x) float32, of one strip after the other."""
    step = ROWS if rows is None else rows
    height, width = reader.grid.shape
    for first in range(0, height, step):
        (strip,) = reader.read(first, 0, min(step, height - first), width, [band])
        yield first, strip


def whole_band(reader: RasterReader, band: str) -> np.ndarray:
    """Return a band, (y, x) float32. Memory holds it once."""
    whole = np.empty(reader.grid.shape, np.float32)
    for first, strip in strips(reader, band):
        whole[first : first + len(strip)] = strip
    return whole


def sorted_values(
    reader: RasterReader, band: str, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return all values of a band but its gaps, the lowest first, and those of some cells.

    Memory holds the band once. See :func:`values_at` for the cells.
    """
    width = reader.grid.width
    values = np.empty(reader.grid.size, np.float32)
    here = np.empty(len(cells), np.float32)
    count = 0
    for first, strip in strips(reader, band):
        known = strip[np.isfinite(strip)]
        values[count : count + len(known)] = known
        count += len(known)
        some = _between(cells, first * width, strip.size)
        here[some] = strip.ravel()[cells[some] - first * width]
    values = values[:count]
    values.sort()
    return values, here


def values_at(reader: RasterReader, band: str, cells: np.ndarray) -> np.ndarray:
    """Return the values of a band at some cells, float32.

    Parameters
    ----------
    cells : ndarray
        Numbers of cells, row by row from 0 at the top left, ascending.

    Examples
    --------
    >>> from geomfaf.rasters.bands import Band, as_dataarray
    >>> from geomfaf.rasters.grid import Grid
    >>> grid = Grid.from_bounds((0, 0, 300, 200), 100, 32633)
    >>> raster = as_dataarray(np.arange(6).reshape(1, 2, 3), grid, [Band("Au")])
    >>> values_at(RasterReader(raster), "Au", np.array([1, 5])).tolist()
    [1.0, 5.0]
    """
    height, width = reader.grid.shape
    values = np.empty(len(cells), np.float32)
    for first in range(0, height, ROWS):
        rows = min(ROWS, height - first)
        some = _between(cells, first * width, rows * width)
        # Ground without a cell that is asked for is not read.
        if some.stop > some.start:
            (strip,) = reader.read(first, 0, rows, width, [band])
            values[some] = strip.ravel()[cells[some] - first * width]
    return values


def _between(cells: np.ndarray, first: int, count: int) -> slice:
    """Return which of some ascending cells are among ``count`` cells from a first one on."""
    start, stop = np.searchsorted(cells, [first, first + count])
    return slice(int(start), int(stop))
