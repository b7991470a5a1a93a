"""Inverse-distance weighting with all samples: near ones exactly, far ones by interpolation.

Seen from a square, what samples beyond its neighbour squares contribute is a smooth function of the
place. It is evaluated at q x q Chebyshev nodes and interpolated (a tensor of one-dimensional
barycentric formulas, Berrut and Trefethen 2004, doi 10.1137/S0036144502417715), level by level down
a quadtree over the *cells*, as in the target half of Greengard and Rokhlin's (1987) fast multipole
method. The cost per sample grows with the number of levels instead of the number of cells.

**Error bound.** Every weight is positive and interpolated with a relative error of at most
``separation_error(q, power)``, the worst case over samples at the smallest separation; so are the
sums of weights and of weighted values, and their ratio errs by twice that. Values are shifted to
their minimum first, which makes signed ones positive: the error is relative to (estimate -
minimum).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Executor
from functools import lru_cache

import numpy as np

from ...errors import UsageError
from ...rasters.grid import Grid
from .quadtree import DEPTH, TOP, Target, Tree, far_cell
from .samples import missing_patterns

BLOCK = 512
"""Cells of the grid along a square of the level at which blocks begin."""

MOST_POWER = 8.0
"""Steeper weights are no longer smooth enough, nor within the range of floating point."""


@lru_cache(maxsize=64)
def separation_error(q: int, power: float) -> float:
    """Return the worst relative error of interpolating ``d ** -power`` over one square.

    The square is [-1, 1] x [-1, 1]; the samples stand on the nearest places that are not in it or
    its neighbours, a side of [-3, 3] x [-3, 3].

    >>> [f"{separation_error(q, 2.0):.0e}" for q in (6, 10, 14)]
    ['6e-04', '1e-06', '4e-09']
    """
    # 1. The Lagrange polynomials of the nodes at many places of one axis.
    nodes = chebyshev_nodes(q)
    places = np.linspace(-1, 1, 41)
    basis = np.ones((len(places), q))
    for i in range(q):
        for j in range(q):
            if i != j:
                basis[:, i] *= (places - nodes[j]) / (nodes[i] - nodes[j])
    # 2. The worst error over samples along the nearest side; by symmetry one half of it is enough.
    worst = 0.0
    for aside in np.linspace(0, 3, 25):
        at_nodes = np.hypot(nodes[:, None] - 3, nodes[None, :] - aside) ** -power
        exact = np.hypot(places[:, None] - 3, places[None, :] - aside) ** -power
        interpolated = basis @ at_nodes @ basis.T
        error = np.abs(interpolated / exact - 1)
        worst = max(worst, float(error.max()))
    return worst


def chebyshev_nodes(q: int) -> np.ndarray:
    """Return the q zeros of the Chebyshev polynomial of degree q."""
    return np.cos(np.pi * (2 * np.arange(q) + 1) / (2 * q))


def nodes_for(tolerance: float, power: float) -> int:
    """Return the fewest nodes a side whose error bound, doubled for the quotient, meets the
    tolerance.
    """
    for q in range(4, 31):
        if 2.0 * separation_error(q, power) <= tolerance:
            return q
    raise UsageError(
        f"a tolerance of {tolerance:g} is below what interpolation reaches: use 0 for direct sums."
    )


class FarField:
    """All-samples estimates over a grid, block by block; safe to share between threads and to
    pickle.

    Parameters
    ----------
    xy : ndarray
        (places, 2) metres.
    values : ndarray
        (bands, places); NaN where a band has no value.
    grid : Grid
        The whole grid.
    power : float
        At most :data:`MOST_POWER`.
    tolerance : float
        Relative error allowed; see the module.
    """

    def __init__(
        self,
        xy: np.ndarray,
        values: np.ndarray,
        grid: Grid,
        power: float,
        tolerance: float = 1e-6,
    ):
        # 1. Columns to sum: values above their minimum, then the weights of each missing pattern.
        # A column that is all zero keeps a band without any value apart: 0 / 0 becomes NaN.
        known = np.isfinite(values)
        patterns, pattern = missing_patterns(values)
        lowest = np.nanmin(np.where(known, values, np.inf), axis=1)
        shift = np.where(known.any(axis=1), lowest, 0.0)
        shifted = np.where(known, values - shift[:, None], 0.0)
        columns = np.vstack([shifted, patterns])
        weight_column = (len(values) + pattern).astype(np.int64)
        self.target = Target(grid.x, -grid.y, shift, weight_column)
        # 2. The level at which blocks begin: the first whose squares are about as large as they.
        west, south, east, north = grid.bounds
        extent = max(east - west, north - south)
        base = BLOCK * max(grid.transform.a, -grid.transform.e)
        below = max(0, math.ceil(math.log2(extent / base) - 1e-12))
        side = base * 2.0**below if below else extent
        q = nodes_for(tolerance, power)
        self.level = TOP + below
        # 3. The root square: the grid's own and a ring of neighbours of its size.
        square = (west - side, north - 2 * side, 4 * side)
        self.tree = _make_tree(xy, columns.T, square, chebyshev_nodes(q), power)
        self.fields: dict[tuple[int, int], np.ndarray] = {}

    def build(self, pool: Executor | None = None) -> FarField:
        """Compute the fields of the cells down to the level where blocks begin, a level's cells in
        parallel.
        """
        run = map if pool is None else pool.map
        shape = (self.tree.columns.shape[1], len(self.tree.nodes) ** 2)
        above = {(0, 0): np.zeros(shape)}
        none = np.empty((0, 0, 0), np.float32)
        for level in range(TOP, self.level + 1):
            end = (len(self.target.down), len(self.target.x))
            cells = list(self._cells(level, (0, 0), end))

            def field(cell, level=level, above=above):
                column, row = cell
                parent = above[column >> 1, row >> 1]
                fields = np.stack([parent, np.empty(shape)])
                far_cell(
                    self.tree,
                    self.target,
                    (level, column, row),
                    fields,
                    (0, 0),
                    none,
                )
                return fields[1]

            above = dict(zip(cells, run(field, cells), strict=True))
        self.fields = above
        return self

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return float32 (bands, height, width) of a window of the grid."""
        out = np.empty((len(self.target.shift), height, width), np.float32)
        # Room for the fields of a cell, its parent and those below it, one a level.
        levels = DEPTH - self.level + 2
        fields = np.empty((levels, self.tree.columns.shape[1], len(self.tree.nodes) ** 2))
        end = (row + height, column + width)
        for cell in self._cells(self.level, (row, column), end):
            fields[1] = self.fields[cell]
            far_cell(
                self.tree,
                self.target,
                (self.level, *cell),
                fields,
                (row, column),
                out,
            )
        return out

    def _cells(
        self, level: int, begin: tuple[int, int], end: tuple[int, int]
    ) -> Iterator[tuple[int, int]]:
        """Yield (column, row) of the quadtree cells that hold the centres of a window's
        grid cells.
        """
        scale = (1 << level) / self.tree.size
        # The outermost centres, west to east and south to north.
        x = self.target.x[[begin[1], end[1] - 1]]
        y = -self.target.down[[end[0] - 1, begin[0]]]
        # One more on each side where rounding may have moved an edge; a cell without centres costs
        # nothing.
        columns = (np.floor((x - self.tree.west) * scale + [-1e-6, 1e-6])).astype(int)
        rows = (np.floor((y - self.tree.south) * scale + [-1e-6, 1e-6])).astype(int)
        for row in range(rows[0], rows[1] + 1):
            for column in range(columns[0], columns[1] + 1):
                yield int(column), int(row)


def _make_tree(
    xy,
    columns,
    square,
    nodes,
    power,
) -> Tree:
    west, south, size = square
    # 1. Sums go four samples at a time: fewer are filled up with samples outside the square that have
    # no weight.
    lacking = max(0, 4 - len(xy))
    xy = np.vstack([xy, np.full((lacking, 2), west - size)])
    columns = np.vstack([columns, np.zeros((lacking, columns.shape[1]))])
    # 2. The Morton code of each sample: the bits of column and row of its finest square by turns.
    place = (xy - (west, south)) / size * 2.0**DEPTH
    inside = ((place >= 0) & (place < 2.0**DEPTH)).all(axis=1)
    cell = np.where(inside[:, None], place, 0).astype(np.int64)
    morton = _spread_bits(cell[:, 0]) | (_spread_bits(cell[:, 1]) << 1)
    beyond = np.int64(1) << 2 * DEPTH
    codes = np.where(inside, morton, beyond)
    # 3. Samples in the order of their codes; those outside the square come last.
    order = np.argsort(codes, kind="stable")
    return Tree(
        codes=codes[order][: inside.sum()],
        x=np.ascontiguousarray(xy[order, 0], dtype=np.float64),
        y=np.ascontiguousarray(xy[order, 1], dtype=np.float64),
        columns=np.ascontiguousarray(columns[order], dtype=np.float64),
        west=west,
        south=south,
        size=size,
        nodes=nodes,
        power=float(power),
    )


def _spread_bits(number: np.ndarray) -> np.ndarray:
    """Put the bits of 16-bit numbers on the even places."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        number = (number | (number << shift)) & mask
    return number
