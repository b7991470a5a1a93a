"""The one grid object: which ground a raster's cells cover.

Every row, column, coordinate and window of geomfaf comes from here, so that the half-pixel
question is answered once: **a cell is an area and its value stands at its centre**. Arrays are
(band, y, x), north-up, row 0 in the north; bounds are west, south, east, north.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from ..errors import DataError, UsageError

Bounds = tuple[float, float, float, float]

EDGE = 1e-6
"""Share of a cell by which rounding may put a point of the outermost edge outside the grid."""


FARTHEST = 1e8
"""Metres: more than twice around the Earth is no place."""


def lon_lat(x: np.ndarray, y: np.ndarray, crs: CRS) -> tuple[np.ndarray, np.ndarray]:
    """Return longitude and latitude (WGS 84) of places; NaN in a local grid, such as a mine's, as
    nobody knows where it lies.

    >>> [axis.round(2).tolist() for axis in lon_lat(np.array([5e5]), np.array([6.7e6]), CRS(32633))]
    [[15.0], [60.44]]
    """
    if crs.geodetic_crs is None:
        return np.full(len(x), np.nan), np.full(len(x), np.nan)
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    return np.asarray(lon, float), np.asarray(lat, float)


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid of square or rectangular cells.

    Parameters
    ----------
    crs : pyproj.CRS
        Projected coordinate reference system, in metres.
    transform : affine.Affine
        Maps (column, row) of a cell's north-west *corner* to (x, y).
    shape : tuple of int
        Rows and columns.

    Raises
    ------
    UsageError
        For a CRS that is not in metres, a turned transform, or a cell that is no positive number.

    Examples
    --------
    >>> grid = Grid.from_bounds((0, 0, 400, 300), cell=100, crs=32633)
    >>> grid.shape
    (3, 4)
    >>> grid.x.tolist(), grid.y.tolist()
    ([50.0, 150.0, 250.0, 350.0], [250.0, 150.0, 50.0])
    """

    crs: CRS
    transform: Affine
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if self.transform.b or self.transform.d or self.transform.a <= 0 or self.transform.e >= 0:
            raise UsageError(
                f"the transform {tuple(self.transform)[:6]} is not north-up: geomfaf's grids have"
                " no rotation, a positive cell width and a negative cell height. Warp the raster"
                " to north-up first."
            )
        if min(self.shape) < 1:
            raise UsageError(
                f"a grid of {self.shape[0]} x {self.shape[1]} cells is empty: check bounds and cell"
                " size."
            )

    @classmethod
    def from_bounds(cls, bounds: Bounds, cell: float, crs: object) -> Grid:
        """Build the smallest grid of square cells that covers the bounds.

        Edges lie on whole multiples of the cell size, so that two surveys of one region share
        their cells.

        Raises
        ------
        UsageError
            When the bounds are not west < east, south < north, or the cell is not positive.
        DataError
            When the CRS is geographic: distances in degrees are no distances.
        """
        west, south, east, north = (float(value) for value in bounds)
        if (
            not all(map(math.isfinite, (west, south, east, north)))
            or west >= east
            or south >= north
        ):
            raise UsageError(
                f"bounds {bounds} are not west,south,east,north with west < east and south < north."
            )
        if not (math.isfinite(cell) and cell > 0):
            raise UsageError(f"a cell size of {cell} is not a positive number of metres.")
        if max(map(abs, (west, south, east, north))) > FARTHEST:
            raise UsageError(
                f"bounds {bounds} reach farther than twice around the Earth: a coordinate is wrong,"
                " or the unit is (--xy-unit)."
            )
        crs = require_metres(crs)
        # The tolerance keeps 0.1 + 0.2 style rounding from adding a row of cells.
        # Edges on whole multiples of the cell: outwards, so that the bounds are covered.
        left = math.floor(west / cell + 1e-9)
        bottom = math.floor(south / cell + 1e-9)
        right = math.ceil(east / cell - 1e-9)
        top = math.ceil(north / cell - 1e-9)
        transform = Affine(cell, 0.0, left * cell, 0.0, -cell, top * cell)
        return cls(crs, transform, (max(top - bottom, 1), max(right - left, 1)))

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.shape[1]

    @property
    def size(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]

    @property
    def cell(self) -> float:
        """Cell size in metres (the geometric mean of width and height when they differ)."""
        a = float(self.transform.a)
        e = -float(self.transform.e)
        return a if a == e else math.sqrt(a * e)

    @property
    def sides(self) -> tuple[float, float]:
        """Height and width of a cell in metres: cells need not be square."""
        return -float(self.transform.e), float(self.transform.a)

    @property
    def cell_area(self) -> float:
        """Area of one cell in square metres."""
        return float(-self.transform.a * self.transform.e)

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north of the outer cell edges."""
        return self.window_bounds(0, 0, self.height, self.width)

    @property
    def x(self) -> np.ndarray:
        """Easting of the cell centres, (columns,) float64."""
        return self.xy(0, np.arange(self.width))[0]

    @property
    def y(self) -> np.ndarray:
        """Northing of the cell centres, (rows,) float64, descending."""
        return self.xy(np.arange(self.height), 0)[1]

    def xy(
        self,
        row: object,
        col: object,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of the centres of cells, broadcast like ``row`` and ``col``."""
        rows, cols = np.broadcast_arrays(np.asarray(row, float), np.asarray(col, float))
        # A cell's centre is half a cell from its corner: written here and nowhere else.
        x = self.transform.c + (cols + 0.5) * self.transform.a
        y = self.transform.f + (rows + 0.5) * self.transform.e
        return x, y

    def rowcol(
        self,
        x: object,
        y: object,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return row and column of the cells that hold points, -1 for both where outside.

        A point on an inner edge belongs to the cell east or south of it; on the outermost
        edge it belongs to the outermost cell, so that no point of the bounds is lost.

        >>> grid = Grid.from_bounds((0, 0, 400, 300), cell=100, crs=32633)
        >>> [v.tolist() for v in grid.rowcol([0, 150, 400, 401], [300, 50, 0, 0])]
        [[0, 2, 2, -1], [0, 1, 3, -1]]
        """
        xs, ys = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
        # Places in cells from the upper left corner, not yet cut to whole ones.
        col = (xs - self.transform.c) / self.transform.a
        row = (ys - self.transform.f) / self.transform.e
        # The edge belongs to the grid, with room for what rounding does to it.
        inside = (
            (col >= -EDGE)
            & (col <= self.width + EDGE)
            & (row >= -EDGE)
            & (row <= self.height + EDGE)
        )
        # Cut to whole cells; a point on the outermost edge would be one too far.
        cols = np.floor(np.where(inside, col, 0.0)).astype(np.int64)
        rows = np.floor(np.where(inside, row, 0.0)).astype(np.int64)
        cols = np.clip(cols, 0, self.width - 1)
        rows = np.clip(rows, 0, self.height - 1)
        return np.where(inside, rows, -1), np.where(inside, cols, -1)

    def window_bounds(
        self,
        row: int,
        col: int,
        height: int,
        width: int,
    ) -> Bounds:
        """Return west, south, east, north of a rectangle of cells, which may overhang the grid."""
        t = self.transform
        west = t.c + col * t.a
        east = t.c + (col + width) * t.a
        north = t.f + row * t.e
        south = t.f + (row + height) * t.e
        return float(west), float(south), float(east), float(north)

    def window(
        self,
        row: int,
        col: int,
        height: int,
        width: int,
    ) -> Grid:
        """Return the grid of a rectangle of cells; it may overhang this grid."""
        t = self.transform
        corner = Affine(t.a, 0.0, t.c + col * t.a, 0.0, t.e, t.f + row * t.e)
        return Grid(self.crs, corner, (int(height), int(width)))

    def refined(self, factor: int) -> Grid:
        """Return the grid over the same ground with cells ``factor`` times smaller."""
        # The upper left corner stays where it is.
        t = self.transform
        finer = Affine(t.a / factor, 0.0, t.c, 0.0, t.e / factor, t.f)
        return Grid(self.crs, finer, (self.height * factor, self.width * factor))

    def blocks(self, size: int = 512) -> Iterator[tuple[int, int, Grid]]:
        """Yield (first row, first column, sub-grid) of the square blocks that cover the grid."""
        for row in range(0, self.height, size):
            for col in range(0, self.width, size):
                height = min(size, self.height - row)
                width = min(size, self.width - col)
                yield row, col, self.window(row, col, height, width)

    def require_memory(self, bands: int, *, copies: float = 3.0) -> None:
        """Refuse a grid whose float32 bands would not fit into the memory that is free.

        Parameters
        ----------
        bands : int
            Number of float32 bands that are held at once.
        copies : float
            How many times the bands are held while they are worked on.
        """
        import psutil

        self._require_room(bands, copies, psutil.virtual_memory().available, "are free")

    def require_disk(
        self,
        bands: int,
        folder: Path,
        *,
        copies: float = 1.0,
    ) -> None:
        """Refuse a grid whose float32 bands would not fit on the disk of a folder, compression left
        aside.
        """
        self._require_room(
            bands, copies, shutil.disk_usage(folder).free, f"are free on the disk of {folder}"
        )

    def _require_room(
        self,
        bands: int,
        copies: float,
        free: int,
        where: str,
    ) -> None:
        # float32: four bytes a value.
        needed = self.size * bands * 4 * copies
        if needed > free:
            raise UsageError(
                f"a cell size of {self.cell:g} m gives {self.height:,} x {self.width:,} cells;"
                f" {bands} bands need about {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB {where}."
                f" Use cells of at least {_round_up(self.cell * math.sqrt(needed / free)):g} m or a"
                " smaller study area."
            )

    def require_crs(self, crs: object, what: str) -> None:
        """Raise :class:`DataError` when a layer has no CRS or is in another one than this grid."""
        if crs is None:
            raise DataError(f"the {what} have no CRS: set one, for instance layer.set_crs(32633).")
        if self.crs != crs:
            name = CRS.from_user_input(crs).name
            raise DataError(
                f"the {what} are in {name}, the grid in {self.crs.name}: reproject one of them."
            )

    def require_same(self, other: Grid, what: str) -> None:
        """Raise :class:`DataError` that says in what another grid differs from this one."""
        if self.crs != other.crs:
            raise DataError(
                f"{what} is in {other.crs.name}, not in {self.crs.name}: warp it to the same CRS"
                " first."
            )
        # A millionth of a cell is rounding in some file format, more is another place.
        mine = tuple(self.transform)[:6]
        theirs = tuple(other.transform)[:6]
        same = np.allclose(mine, theirs, rtol=0, atol=self.cell * 1e-6)
        if not same or self.shape != other.shape:
            raise DataError(
                f"{what} is on another grid: {other.height} x {other.width} cells of {other.cell:g}"
                f" m from {other.bounds}, not {self.height} x {self.width} cells of {self.cell:g} m"
                f" from {self.bounds}."
            )


def require_metres(crs: object) -> CRS:
    """Return the CRS when its axes are metres of a projection, else raise :class:`DataError`."""
    crs = parse_crs(crs)
    if crs.is_geographic:
        raise DataError(
            f"{crs.name} is geographic: its units are degrees, and distances in degrees are no"
            " distances. Reproject to a metric CRS first, for instance"
            " layer.to_crs(layer.estimate_utm_crs()), or let `geomfaf init` choose the UTM zone."
        )
    # A projection may count in feet.
    units = {axis.unit_name for axis in crs.axis_info}
    if units - {"metre", "meter", "m"}:
        raise DataError(
            f"{crs.name} is measured in {', '.join(sorted(units))}, not in metres: reproject it to"
            " a metric CRS first."
        )
    return crs


def default_cell_size(bounds: Bounds) -> float:
    """Return a round cell size in metres that gives 500 to 1,000 cells along the longer side.

    The prototype's skill figures on real surveys were measured at that resolution.

    >>> default_cell_size((0, 0, 68_000, 82_000))
    100.0
    """
    west, south, east, north = bounds
    longest = max(east - west, north - south)
    if not (math.isfinite(longest) and longest > 0):
        raise UsageError(
            f"bounds {bounds} cover no ground, so no cell size can be chosen: give bounds or a cell"
            " size."
        )
    # The largest round step that still gives 500 cells.
    decade = 10.0 ** math.floor(math.log10(longest / 500))
    return max(
        step * decade
        for step in (1.0, 2.0, 2.5, 5.0)
        if step * decade <= longest / 500 * (1 + 1e-9)
    )


def _round_up(value: float) -> float:
    """Return the next number with two significant digits."""
    decade = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / decade - 1e-9) * decade


def parse_crs(text: object) -> CRS:
    """Return a CRS from an EPSG code, name or WKT, with a plain message when it is none."""
    try:
        return CRS.from_user_input(int(str(text)) if str(text).isdigit() else text)
    except (CRSError, ValueError) as error:
        raise UsageError(
            f'"{text}" is not a coordinate reference system: give an EPSG code such as EPSG:32650.'
        ) from error
