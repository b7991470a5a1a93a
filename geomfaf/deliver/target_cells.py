"""Targets or a window's size go in; the cells inside them come out, and what a raster says there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely

from ..rasters.grid import Bounds, Grid
from ..rasters.reader import RasterReader
from ..rasters.strips import ROWS, strips, values_at
from ..windows.windows import require_size
from .target_ground import cells_inside

CELL_SHARE = 0.25
"""A target that covers less of a window cell does not give it its status."""


@dataclass(frozen=True)
class TargetCells:
    """The cells inside targets: a few hundredths of the map, so that maps larger than memory can be
    asked about them.

    Attributes
    ----------
    cell : (cells,) ndarray
        Number of each cell, row by row from 0 at the top left, ascending.
    target : (cells,) ndarray
        Number of the target that holds it, from 1 in the order that the targets came in.
    count : int
        Targets.
    """

    cell: np.ndarray
    target: np.ndarray
    count: int

    @classmethod
    def of(cls, polygons: Iterable[shapely.Geometry], grid: Grid) -> TargetCells:
        """Return the cells whose centres lie in polygons."""
        polygons = list(polygons)
        inside = cells_inside(polygons, grid).ravel()
        cell = np.flatnonzero(inside)
        return cls(cell, inside[cell], len(polygons))

    def values(self, reader: RasterReader, band: str) -> np.ndarray:
        """Return what a band says of each cell, float32."""
        return values_at(reader, band, self.cell)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean on each target of some values of the cells; gaps belong to none.

        >>> cells = TargetCells(np.arange(4), np.array([1, 2, 2, 1]), 2)
        >>> cells.means(np.array([1.0, 5.0, np.nan, 2.0])).tolist()
        [1.5, 5.0]
        """
        known = np.isfinite(values)
        target = self.target[known]
        counts = np.bincount(target, minlength=self.count + 1)
        sums = np.bincount(target, weights=values[known], minlength=self.count + 1)
        # A foreign grid has no held-out scores: NaN there, not zero.
        with np.errstate(invalid="ignore"):
            return (sums / counts)[1:]

    def split(self) -> Iterator[np.ndarray]:
        """Yield the places, among the cells, of those of one target after the other."""
        order = np.argsort(self.target, kind="stable")
        ends = np.searchsorted(self.target[order], np.arange(1, self.count + 2))
        for start, stop in pairwise(ends):
            yield order[start:stop]


class WindowCells:
    """The windows that lie side by side on a grid, numbered row by row from 1 at the top left.

    They are those of :func:`geomfaf.windows.windows.tiled_windows`, for maps of a million of them.

    Parameters
    ----------
    grid : Grid
    size : int
        Cells along a window.
    """

    def __init__(self, grid: Grid, size: int) -> None:
        require_size(size, grid)
        self.grid = grid
        self.size = size
        self.across = -(-grid.width // size)
        self.count = self.across * -(-grid.height // size)

    def number(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return the number of the window that holds each cell."""
        return rows // self.size * self.across + cols // self.size + 1

    def means(self, reader: RasterReader, band: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of a band in each window, NaN where it has gaps alone, and the number of
        cells that are none.
        """
        means = np.full(self.count, np.nan)
        counts = np.zeros(self.count, np.int64)
        cols = np.arange(self.grid.width)
        # Windows are whole in a strip: their cells are added in the order of the map.
        for first, strip in strips(reader, band, max(1, ROWS // self.size) * self.size):
            before = first // self.size * self.across
            number = self.number(np.arange(len(strip))[:, None], cols) - 1
            known = np.isfinite(strip)
            total = int(number[-1, -1]) + 1
            some = slice(before, before + total)
            counts[some] = np.bincount(number[known], minlength=total)
            sums = np.bincount(number[known], weights=strip[known], minlength=total)
            with np.errstate(invalid="ignore"):
                means[some] = sums / counts[some]
        return means, counts

    def main_targets(self, inside: TargetCells, names: np.ndarray) -> np.ndarray:
        """Return, for each window, the target that covers most of it, 0 where none covers enough.

        Parameters
        ----------
        inside : TargetCells
        names : (targets,) ndarray
            The number that stands for each target.
        """
        main = np.zeros(self.count, int)
        # 1. How many cells of a window each target covers.
        number = self.number(*np.divmod(inside.cell, self.grid.width)) - 1
        pair = number * (inside.count + 1) + inside.target
        pairs, covered = np.unique(pair, return_counts=True)
        window, target = np.divmod(pairs, inside.count + 1)
        # 2. The largest share that is large enough; of equal ones the first target's.
        rows = np.minimum(self.size, self.grid.height - window // self.across * self.size)
        cols = np.minimum(self.size, self.grid.width - window % self.across * self.size)
        enough = covered / (rows * cols) >= CELL_SHARE
        window, target, covered = window[enough], target[enough], covered[enough]
        order = np.lexsort((-target, covered))
        main[window[order]] = names[target[order] - 1]
        return main

    def squares(self, numbers: np.ndarray) -> np.ndarray:
        """Return the part of the grid that each window of some numbers has."""
        down, across = np.divmod(numbers - 1, self.across)
        columns = range(0, self.grid.width, self.size)
        rows = range(0, self.grid.height, self.size)
        # The edges of the first row and of the first column of windows are those of all.
        bounds = [self._bounds(0, column) for column in columns]
        west, _, east, _ = np.array(bounds).T
        bounds = [self._bounds(row, 0) for row in rows]
        _, south, _, north = np.array(bounds).T
        return shapely.box(west[across], south[down], east[across], north[down])

    def _bounds(self, row: int, column: int) -> Bounds:
        height = min(self.size, self.grid.height - row)
        width = min(self.size, self.grid.width - column)
        return self.grid.window_bounds(row, column, height, width)
