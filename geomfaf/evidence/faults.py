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

from ..errors import require_known
from ..rasters.bands import Band
from ..rasters.blocks import Window, fill_blocks
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
            require_known(kind, FAULT_BANDS, "fault band")
        self.grid = grid
        self.kinds = tuple(kinds)
        self.radius = 10 * grid.cell if radius is None else radius
        self.ends = segments_of(faults)
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

    def _presence(self, window: Window) -> np.ndarray:
        return self.shapes.burn(self.grid.window(*window), all_touched=True) > 0

    def _distance(self, window: Window, inside: np.ndarray | None) -> np.ndarray:
        """Return the exact distance of cell centres to the nearest line."""
        row, column, height, width = window
        wanted = np.ones((height, width), bool) if inside is None else inside
        return distance_to_segments(self.grid, self.shapes.tree, self.ends, (row, column), wanted)

    def _cell_distance(self, window: Window, inside: np.ndarray | None) -> np.ndarray:
        """Return the distance of cell centres to the nearest centre of a cell that a fault touches.

        The window is widened until every cell's nearest fault cell of the grid lies in it.
        """
        row, column, height, width = window
        result = np.full((height, width), np.nan, np.float32)
        if not len(self.within):
            return result
        # 1. How many cells around the window may hold the nearest fault cell.
        x, y = self.grid.xy(row + (height - 1) / 2, column + (width - 1) / 2)
        middle = shapely.Point(float(x), float(y))
        _, metres = self.within.query_nearest(middle, return_distance=True, all_matches=False)
        cell_height, cell_width = self.grid.sides
        away = float(metres[0]) / min(cell_height, cell_width)
        longer = max(cell_height, cell_width) / min(cell_height, cell_width)
        halo = math.ceil(away + longer * math.hypot(height, width) / 2) + 2
        top = max(0, row - halo)
        left = max(0, column - halo)
        bottom = min(self.grid.height, row + height + halo)
        right = min(self.grid.width, column + width + halo)
        # 2. Twelve bytes a cell and more: the transform keeps the coordinates of nearest cells.
        wide = (top, left, bottom - top, right - left)
        self.grid.window(*wide).require_memory(5, copies=1)
        # 3. The distance transform of the wide window; of it, the window.
        touched = self._presence(wide)
        if touched.any():
            cells = distance_transform_edt(~touched, sampling=(cell_height / cell_width, 1.0))
            own_rows = slice(row - top, row - top + height)
            own_columns = slice(column - left, column - left + width)
            result[...] = cells[own_rows, own_columns] * cell_width
        if inside is not None:
            result[~inside] = np.nan
        return result

    def _density(self, window: Window) -> np.ndarray:
        """Return km of fault per km2 within the radius."""
        return line_density(self.grid, self.shapes, window, self.radius)


def distance_to_segments(
    grid: Grid,
    tree: shapely.STRtree,
    ends: np.ndarray,
    corner: tuple[int, int],
    wanted: np.ndarray,
) -> np.ndarray:
    """Return the exact distance of a window's cell centres to the nearest of many segments.

    The distance is 1-Lipschitz: with d the distance of a tile's centre and h that of the centre to
    the tile's outermost cell, the nearest segment of every cell lies within d + 2 h of the centre.

    Parameters
    ----------
    tree : STRtree
        Of the segments.
    ends : ndarray
        (segments, 4) x1, y1, x2, y2.
    corner : tuple of int
        First row and first column of the window.
    wanted : ndarray
        (height, width) bool; other cells are NaN.

    Returns
    -------
    ndarray
        float32 (height, width), metres.
    """
    # 1. Tiles of the window that hold a wanted cell; the window is filled up to whole tiles.
    height, width = wanted.shape
    down = -(-height // TILE)
    across = -(-width // TILE)
    square = np.full((down * TILE, across * TILE), np.nan, np.float32)
    asked = np.zeros(square.shape, bool)
    asked[:height, :width] = wanted
    tiles = np.argwhere(asked.reshape(down, TILE, across, TILE).any(axis=(1, 3)))
    if not len(tiles) or not len(ends):
        return square[:height, :width]
    first = np.array(corner) + tiles * TILE
    # 2. Segments that may be the nearest of a cell of a tile.
    tile, segment = _candidates(grid, tree, first)
    # 3. The least squared distance of every cell, some pairs of tile and segment at a time.
    least = np.full((len(tiles), TILE, TILE), np.inf)
    steps = np.arange(TILE)
    for part in _slices(len(tile), PAIRS):
        at = first[tile[part]]
        x = grid.xy(0, at[:, 1:] + steps)[0]
        y = grid.xy(at[:, :1] + steps, 0)[1]
        squared = _squared_distances(x, y, ends[segment[part]])
        here, start = np.unique(tile[part], return_index=True)
        least[here] = np.minimum(least[here], np.minimum.reduceat(squared, start, axis=0))
    # 4. Tiles back to their places.
    placed = square.reshape(down, TILE, across, TILE).transpose(0, 2, 1, 3)
    placed[tuple(tiles.T)] = np.sqrt(least)
    square[~asked] = np.nan
    return square[:height, :width]


def _candidates(
    grid: Grid, tree: shapely.STRtree, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of tile and segment, sorted by tile, that hold the nearest one of every cell.

    ``first`` (tiles, 2) is the first row and column of each tile.
    """
    # First, middle and last cell of each tile along its diagonal.
    half = (TILE - 1) / 2
    diagonal = [[0, half, TILE - 1]]
    x, y = grid.xy(first[:, :1] + diagonal, first[:, 1:] + diagonal)
    centres = shapely.points(x[:, 1], y[:, 1])
    reach = np.hypot(x[:, 2] - x[:, 1], y[:, 2] - y[:, 1])
    _, nearest = tree.query_nearest(centres, return_distance=True, all_matches=False)
    tile, segment = tree.query(
        centres,
        predicate="dwithin",
        distance=nearest + 2.001 * reach + 1e-6,
    )
    order = np.argsort(tile, kind="stable")
    return tile[order], segment[order]


def line_density(
    grid: Grid,
    shapes: Shapes,
    window: Window,
    radius: float,
) -> np.ndarray:
    """Return km of line per km2 within a radius of each cell centre of a window.

    Lines are cut into pieces of a tenth of a cell, each counted in the cell of its midpoint. Ground
    beyond the grid is not counted, neither its lines nor its area.
    """
    # 1. The window with a margin of the radius, and the pieces of lines in it.
    row, column, height, width = window
    sides = grid.sides
    down = int(radius // sides[0])
    across = int(radius // sides[1])
    wide = (row - down, column - across, height + 2 * down, width + 2 * across)
    near = shapes.tree.query(shapely.box(*grid.window(*wide).bounds))
    pieces = shapely.segmentize(shapes.shapes[near], min(sides) / 10)
    ends, line = shapely.get_coordinates(pieces, return_index=True)
    joined = np.flatnonzero(line[1:] == line[:-1])
    middle = (ends[joined] + ends[joined + 1]) / 2
    along = ends[joined + 1] - ends[joined]
    lengths = np.rint(np.hypot(along[:, 0], along[:, 1]) * MICROMETRES).astype(np.int64)
    # 2. Micrometres of line in every cell.
    length = cell_sums(grid, wide, middle, lengths)
    # 3. Cells of the grid, whose ground counts.
    ground = cells_on_grid(grid, wide)
    # 4. Both summed within the radius.
    metres = sum_within(length, (down, across), radius, sides) / MICROMETRES
    area = sum_within(ground, (down, across), radius, sides) * grid.cell_area
    return (metres / 1e3 / (area / 1e6)).astype(np.float32)


def cell_sums(
    grid: Grid,
    window: Window,
    xy: np.ndarray,
    amounts: np.ndarray,
) -> np.ndarray:
    """Return the sum of the amounts of points in each cell of a window, int64 (height, width)."""
    first_row, first_column, height, width = window
    rows, columns = grid.rowcol(xy[:, 0], xy[:, 1])
    on_grid = rows >= 0
    rows = rows - first_row
    columns = columns - first_column
    kept = on_grid & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    sums = np.zeros((height, width), np.int64)
    np.add.at(sums, (rows[kept], columns[kept]), amounts[kept])
    return sums


def cells_on_grid(grid: Grid, window: Window) -> np.ndarray:
    """Return 1 for the cells of a window that lie on the grid, else 0; int64 (height, width)."""
    first_row, first_column, height, width = window
    rows = np.arange(first_row, first_row + height)
    columns = np.arange(first_column, first_column + width)
    in_rows = (rows >= 0) & (rows < grid.height)
    in_columns = (columns >= 0) & (columns < grid.width)
    return (in_rows[:, None] & in_columns).astype(np.int64)


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

    Parameters
    ----------
    faults : GeoDataFrame
        Lines in the CRS of the grid.
    grid : Grid
        The cells, in metres.
    kinds : sequence of {"distance", "cell_distance", "presence", "density"}
        Metres, metres, 0 or 1, km per km2.
    mask : ndarray, optional
        (y, x) bool; cells outside stay NaN.
    radius : float, optional
        Metres, of the density; ten cells when omitted.

    Returns
    -------
    ndarray
        float32 (kinds, y, x).

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> distance = gm.fault_bands(survey.faults, grid, ["distance"])[0]
    >>> distance.shape == grid.shape, float(distance.min()) < 200
    (True, True)
    """
    layer = FaultLayer(faults, grid, kinds, radius=radius)

    def compute(
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        inside = None if mask is None else mask[row : row + height, column : column + width]
        return layer.block(row, column, height, width, inside)

    return fill_blocks(compute, grid, len(kinds), "measuring faults")


def segments_of(lines: gpd.GeoDataFrame) -> np.ndarray:
    """Return (segments, 4) x1, y1, x2, y2 of all lines: an index of pieces is far tighter than one
    of long lines.
    """
    parts = shapely.get_parts(lines.geometry.to_numpy())
    coordinates, line = shapely.get_coordinates(parts, return_index=True)
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
    # Where the foot of the perpendicular lies: 0 at the segment's begin, 1 at its end.
    scaled = along / np.where(length2 > 0, length2, 1.0)[:, None]
    foot = (dy * scaled[:, 1:])[:, :, None] + (dx * scaled[:, :1])[:, None, :]
    np.clip(foot, 0.0, 1.0, out=foot)
    off_x = dx[:, None, :] - foot * along[:, 0, None, None]
    off_y = dy[:, :, None] - foot * along[:, 1, None, None]
    return off_x**2 + off_y**2


def sum_within(
    values: np.ndarray,
    reach: tuple[int, int],
    radius: float,
    sides: tuple[float, float],
) -> np.ndarray:
    """Return the sums over the cells within the radius, for all cells but ``reach`` at each edge.

    ``reach`` counts rows and columns, ``sides`` are a cell's height and width in metres. Whole
    numbers go in, so that the order of addition has no say.
    """
    down, across = reach
    height = values.shape[0] - 2 * down
    width = values.shape[1] - 2 * across
    sums = np.zeros((height, width), np.int64)
    # The sum over a stretch of a row is the difference of two running sums.
    running = np.zeros((values.shape[0], values.shape[1] + 1), np.int64)
    np.cumsum(values, axis=1, out=running[:, 1:])
    for row in range(-down, down + 1):
        away = np.hypot(np.arange(across + 1) * sides[1], row * sides[0])
        half = int((away <= radius).sum()) - 1
        if half < 0:
            continue
        lines = running[down + row : down + row + height]
        begin = lines[:, across - half : across - half + width]
        end = lines[:, across + half + 1 : across + half + 1 + width]
        sums += end - begin
    return sums
