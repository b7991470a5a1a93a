"""Turn the faults into bands, block by block: distance, presence, density.

The layer is made ready once (:class:`FaultLayer`); its ``block`` gives any window of the grid from
the straight pieces of the lines that a spatial index finds, with the same bits whatever the blocks
are. Distances are exact across the borders of blocks: the index looks as far as the nearest fault
is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence

import geopandas as gpd
import numpy as np
import shapely
from scipy.ndimage import distance_transform_edt

from ..errors import UsageError
from ..rasters.bands import Band
from ..rasters.blocks import fill_blocks
from ..rasters.grid import Grid
from .geology import Shapes

FAULT_BANDS = {
    "distance": Band("fault_distance", "distance", "m", "Distance to nearest fault (m)"),
    "cell_distance": Band(
        "fault_cell_distance", "distance", "m", "Distance to nearest cell with a fault (m)"
    ),
    "presence": Band("fault_presence", "presence", "", "Fault in cell"),
    "density": Band("fault_density", "density", "km/km2", "Fault density (km/km2)"),
}

TILE = 16
"""Cells along the tiles that share their candidates: measured, 8 and 32 are slower."""

PAIRS = 2_000
"""Pairs of tile and segment worked on at once: their 256 distances each stay in the cache."""

MICROMETRES = 1e6
"""Lengths are added as whole micrometres: their sums do not depend on the order of addition."""


class FaultLayer:
    """Fault lines, ready to give the wanted bands of any window.

    Parameters
    ----------
    faults : GeoDataFrame
        Lines in the CRS of the grid.
    grid : Grid
        The whole grid.
    kinds : sequence of {"distance", "cell_distance", "presence", "density"}
        The bands, in this order.
    radius : float, optional
        Of the density, metres; ten cells by default.
    """

    def __init__(
        self,
        faults: gpd.GeoDataFrame,
        grid: Grid,
        kinds: Sequence[str] = ("distance",),
        *,
        radius: float | None = None,
    ):
        grid.require_crs(faults.crs, "faults")
        for kind in kinds:
            if kind not in FAULT_BANDS:
                raise UsageError(f'fault band "{kind}" is unknown: use {", ".join(FAULT_BANDS)}.')
        self.grid = grid
        self.kinds = tuple(kinds)
        self.radius = 10 * grid.cell if radius is None else radius
        self.ends = _segments(faults)
        self.shapes = Shapes(shapely.linestrings(self.ends.reshape(-1, 2, 2)))
        if "cell_distance" in kinds:
            within = shapely.intersection(self.shapes.shapes, shapely.box(*grid.bounds))
            self.within = shapely.STRtree(within[~shapely.is_empty(within)])

    @property
    def bands(self) -> list[Band]:
        """What the bands of a block are."""
        return [FAULT_BANDS[kind] for kind in self.kinds]

    @property
    def making(self) -> list[dict[str, str]]:
        """What each band remembers of its making: nothing beyond its name."""
        return [{} for _ in self.kinds]

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (kinds, height, width); distances are NaN where ``inside`` is False."""
        window = (row, column, height, width)
        make = {
            "distance": lambda: self._distance(window, inside),
            "cell_distance": lambda: self._cell_distance(window, inside),
            "presence": lambda: self._presence(window).astype(np.float32),
            "density": lambda: self._density(window),
        }
        return np.stack([make[kind]() for kind in self.kinds])

    def fingerprint(self) -> str:
        """Return a hash of the lines, kinds and radius."""
        settings = f"{self.kinds}{self.radius!r}".encode()
        return hashlib.sha256(settings + self.ends.tobytes()).hexdigest()

    def _presence(self, window: tuple[int, int, int, int]) -> np.ndarray:
        return self.shapes.burn(self.grid.window(*window), all_touched=True) > 0

    def _distance(self, window: tuple[int, int, int, int], inside: np.ndarray | None) -> np.ndarray:
        """Return the exact distance of cell centres to the nearest line.

        The distance is 1-Lipschitz: with d the distance of a tile's centre and h that of the centre
        to the tile's outermost cell, the nearest segment of every cell lies within d + 2 h of the
        centre.
        """
        row, column, height, width = window
        down = -(-height // TILE)
        across = -(-width // TILE)
        square = np.full((down * TILE, across * TILE), np.nan, np.float32)
        wanted = np.zeros(square.shape, bool)
        wanted[:height, :width] = True if inside is None else inside
        tiles = np.argwhere(wanted.reshape(down, TILE, across, TILE).any(axis=(1, 3)))
        if not len(tiles) or not len(self.ends):
            return square[:height, :width]
        half = (TILE - 1) / 2
        first = np.array([row, column]) + tiles * TILE
        x, y = self.grid.xy(
            first[:, :1] + [[0, half, TILE - 1]], first[:, 1:] + [[0, half, TILE - 1]]
        )
        centres = shapely.points(x[:, 1], y[:, 1])
        reach = np.hypot(x[:, 2] - x[:, 1], y[:, 2] - y[:, 1])
        (_, _), nearest = self.shapes.tree.query_nearest(
            centres, return_distance=True, all_matches=False
        )
        tile, segment = self.shapes.tree.query(
            centres, predicate="dwithin", distance=nearest + 2.001 * reach + 1e-6
        )
        order = np.argsort(tile, kind="stable")
        tile = tile[order]
        segment = segment[order]
        least = np.full((len(tiles), TILE, TILE), np.inf)
        steps = np.arange(TILE)
        for part in _slices(len(tile), PAIRS):
            corner = first[tile[part]]
            across_x = self.grid.xy(0, corner[:, 1:] + steps)[0]
            down_y = self.grid.xy(corner[:, :1] + steps, 0)[1]
            squared = _squared_distances(across_x, down_y, self.ends[segment[part]])
            here, start = np.unique(tile[part], return_index=True)
            least[here] = np.minimum(least[here], np.minimum.reduceat(squared, start, axis=0))
        placed = square.reshape(down, TILE, across, TILE).transpose(0, 2, 1, 3)
        placed[tuple(tiles.T)] = np.sqrt(least)
        square[~wanted] = np.nan
        return square[:height, :width]

    def _cell_distance(
        self, window: tuple[int, int, int, int], inside: np.ndarray | None
    ) -> np.ndarray:
        """Return the distance of cell centres to the nearest centre of a cell that a fault touches.

        The window is widened until every cell's nearest fault cell of the grid lies in it. Cells
        are square.
        """
        row, column, height, width = window
        middle = self.grid.xy(row + (height - 1) / 2, column + (width - 1) / 2)
        centre = shapely.Point(*map(float, middle))
        diagonal = math.hypot(height, width) / 2
        result = np.full((height, width), np.nan, np.float32)
        if not len(self.within):
            return result
        away = (
            float(self.within.query_nearest(centre, return_distance=True, all_matches=False)[1][0])
            / self.grid.cell
        )
        halo = math.ceil(away + diagonal) + 2
        top = max(0, row - halo)
        left = max(0, column - halo)
        bottom = min(self.grid.height, row + height + halo)
        right = min(self.grid.width, column + width + halo)
        # Twelve bytes a cell and more: the transform keeps the coordinates of the nearest cells.
        self.grid.window(top, left, bottom - top, right - left).require_memory(5, copies=1)
        found = self._presence((top, left, bottom - top, right - left))
        if found.any():
            far = distance_transform_edt(~found)[
                row - top : row - top + height, column - left : column - left + width
            ]
            result[...] = far * self.grid.cell
        if inside is not None:
            result[~inside] = np.nan
        return result

    def _density(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """Return km of fault per km2 within the radius.

        Lines are cut into pieces of a tenth of a cell, each counted in the cell of its midpoint.
        Ground beyond the grid is not counted, neither its faults nor its area.
        """
        row, column, height, width = window
        reach = int(self.radius // self.grid.cell)
        wide = (row - reach, column - reach, height + 2 * reach, width + 2 * reach)
        near = self.shapes.tree.query(shapely.box(*self.grid.window(*wide).bounds))
        pieces = shapely.segmentize(self.shapes.shapes[near], self.grid.cell / 10)
        ends, line = shapely.get_coordinates(pieces, return_index=True)
        joined = np.flatnonzero(line[1:] == line[:-1])
        middle = (ends[joined] + ends[joined + 1]) / 2
        lengths = np.rint(np.hypot(*(ends[joined + 1] - ends[joined]).T) * MICROMETRES).astype(
            np.int64
        )
        rows, cols = self.grid.rowcol(middle[:, 0], middle[:, 1])
        rows, cols, outside = rows - wide[0], cols - wide[1], rows < 0
        kept = ~outside & (rows >= 0) & (cols >= 0) & (rows < wide[2]) & (cols < wide[3])
        length = np.zeros(wide[2:], np.int64)
        np.add.at(length, (rows[kept], cols[kept]), lengths[kept])
        ground = np.zeros(wide[2:], np.int64)
        in_rows, in_cols = (
            slice(max(0, -start), max(0, min(size, limit - start)))
            for start, size, limit in (
                (wide[0], wide[2], self.grid.height),
                (wide[1], wide[3], self.grid.width),
            )
        )
        ground[in_rows, in_cols] = 1
        metres = _sum_within(length, reach, self.radius, self.grid.cell) / MICROMETRES
        area = _sum_within(ground, reach, self.radius, self.grid.cell) * self.grid.cell_area
        return (metres / 1e3 / (area / 1e6)).astype(np.float32)


def fault_distance(
    faults: gpd.GeoDataFrame, grid: Grid, *, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the exact distance from each cell centre to the nearest fault line.

    Parameters
    ----------
    mask : ndarray, optional
        (y, x) bool; cells outside stay NaN.

    Returns
    -------
    ndarray
        float32 (y, x), metres.

    Examples
    --------
    >>> line = gpd.GeoDataFrame(geometry=[shapely.LineString([(50, 0), (50, 100)])], crs=32633)
    >>> fault_distance(line, Grid.from_bounds((0, 0, 300, 100), 100, 32633)).tolist()
    [[0.0, 100.0, 200.0]]
    """
    return fault_bands(faults, grid, ["distance"], mask=mask)[0]


def fault_presence(faults: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """Return 1 where a fault touches the cell, else 0; float32 (y, x)."""
    return fault_bands(faults, grid, ["presence"])[0]


def fault_density(
    faults: gpd.GeoDataFrame, grid: Grid, *, radius: float | None = None
) -> np.ndarray:
    """Return the length of faults within a radius of each cell centre, per area.

    Lines are cut into pieces of a tenth of a cell, each counted in the cell of its midpoint. Ground
    beyond the grid is not counted, neither its faults nor its area.

    Parameters
    ----------
    radius : float, optional
        Metres; ten cells by default.

    Returns
    -------
    ndarray
        float32 (y, x), km of fault per km2.
    """
    return fault_bands(faults, grid, ["density"], radius=radius)[0]


def fault_bands(
    faults: gpd.GeoDataFrame,
    grid: Grid,
    kinds: Sequence[str],
    *,
    mask: np.ndarray | None = None,
    radius: float | None = None,
) -> np.ndarray:
    """Return float32 (kinds, y, x): distance, cell_distance, presence, density by name.

    ``cell_distance`` is the distance transform: to the centre of the nearest cell with a fault,
    half a cell's diagonal off at most.
    """
    layer = FaultLayer(faults, grid, kinds, radius=radius)

    def compute(row: int, column: int, height: int, width: int) -> np.ndarray:
        inside = None if mask is None else mask[row : row + height, column : column + width]
        return layer.block(row, column, height, width, inside)

    return fill_blocks(compute, grid, len(kinds), "measuring faults")


def _segments(faults: gpd.GeoDataFrame) -> np.ndarray:
    """Return (segments, 4) x1, y1, x2, y2 of all lines: an index of pieces is far tighter than one
    of long lines.
    """
    coordinates, line = shapely.get_coordinates(
        shapely.get_parts(faults.geometry.to_numpy()), return_index=True
    )
    start = np.flatnonzero(line[1:] == line[:-1])
    return np.hstack([coordinates[start], coordinates[start + 1]])


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _squared_distances(x: np.ndarray, y: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return (pairs, rows, columns): of the points x (pairs, columns), y (pairs, rows) to a segment
    each.
    """
    along = ends[:, 2:] - ends[:, :2]
    length2 = (along**2).sum(axis=1)
    dx = x - ends[:, :1]
    dy = y - ends[:, 1:2]
    scaled = along / np.where(length2 > 0, length2, 1.0)[:, None]
    place = (dy * scaled[:, 1:])[:, :, None] + (dx * scaled[:, :1])[:, None, :]
    np.clip(place, 0.0, 1.0, out=place)
    off_x = dx[:, None, :] - place * along[:, 0, None, None]
    off_y = dy[:, :, None] - place * along[:, 1, None, None]
    return off_x**2 + off_y**2


def _sum_within(values: np.ndarray, reach: int, radius: float, cell: float) -> np.ndarray:
    """Return the sums over the cells within the radius, for all cells but ``reach`` at
    each edge.
    """
    height, width = (length - 2 * reach for length in values.shape)
    sums = np.zeros((height, width), np.int64)
    ahead = np.zeros((values.shape[0], values.shape[1] + 1), np.int64)
    np.cumsum(values, axis=1, out=ahead[:, 1:])
    for row in range(-reach, reach + 1):
        half = int((np.hypot(np.arange(reach + 1), row) * cell <= radius).sum()) - 1
        lines = ahead[reach + row : reach + row + height]
        if half >= 0:
            sums += (
                lines[:, reach + half + 1 : reach + half + 1 + width]
                - lines[:, reach - half : reach - half + width]
            )
    return sums
