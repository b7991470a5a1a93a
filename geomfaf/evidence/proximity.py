"""Lines, points or polygons go in; distances to them, their density or presence come out as bands.

Everything is exact and block by block, as the distance to faults is: a spatial index of straight
pieces finds what a window needs, and lengths, areas and numbers are added as whole numbers, so that
a cell's bits do not depend on the block that asks for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from ..errors import DataError, UsageError, require_known
from ..rasters.bands import REACH, Band
from ..rasters.grid import Grid
from ..survey.read import read_layer
from ..survey.survey import Source
from .faults import (
    cell_sums,
    cells_on_grid,
    distance_to_segments,
    line_density,
    segments_of,
    sum_within,
)
from .geology import Shapes
from .inverse_distance import plan_grid, prepare
from .layers import SCREENED, EvidenceLayer

PROXIMITY_KINDS = ("distance", "density", "presence", "value", "strike")

RADIUS_CELLS = 10
"""Cells of the radius of densities and mixtures, where it is not said."""

TOUCHING = 1.0
"""Cells within which a point counts as a deposit's own place."""


@dataclass(frozen=True)
class ProximitySource:
    """A layer whose features are evidence by their nearness.

    Parameters
    ----------
    path : str, Path or GeoDataFrame
    name : str
        Of the band.
    layer, where, crs : str, optional
        See :class:`geomfaf.Source`.
    kind : {"distance", "density", "presence", "value", "strike"}
        Metres to the nearest feature (0 inside polygons); km per km2 of lines, number per km2 of
        points or share of polygons within ``radius``; 0 or 1 in the cell; or the points' column
        interpolated by inverse distances, as a value or as a strike (degrees, two bands: sine and
        cosine of the doubled angle, as 10 and 190 degrees are one strike).
    max : float, optional
        Metres; farther ground has this distance: what lies beyond does not differ.
    radius : float, optional
        Metres, of the density; ten cells when omitted.
    column : str, optional
        Of "value" and "strike".
    unit : str
        Of the column.

    Raises
    ------
    UsageError
        For a distance that is not above 0, an unknown kind, or a column that is missing.
    DataError
        For a layer without CRS or feature.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> granite = gm.ProximitySource(survey.faults, "faults", max=2000)
    >>> float(gm.build_stack(survey, grid, elements=[], proximity=[granite]).sel(band="faults").max())
    2000.0
    """

    path: str | Path | gpd.GeoDataFrame
    name: str
    layer: str | None = None
    where: str | None = None
    crs: str | None = None
    kind: str = "distance"
    max: float | None = None
    radius: float | None = None
    column: str | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        require_known(self.kind, PROXIMITY_KINDS, f"{self.name}: kind")
        for key, number in (("max", self.max), ("radius", self.radius)):
            if number is not None and not (np.isfinite(number) and number > 0):
                raise UsageError(f"{self.name}: {key} = {number} must be metres above 0.")
        if (self.column is None) == (self.kind in ("value", "strike")):
            raise UsageError(
                f'{self.name}: column belongs to kind "value" or "strike", and these need it.'
            )

    def read(self, grid: Grid) -> gpd.GeoDataFrame:
        """Return the features in the CRS of a grid."""
        if isinstance(self.path, gpd.GeoDataFrame):
            features = self.path
        else:
            features = read_layer(
                Source(self.path, layer=self.layer, where=self.where, crs=self.crs)
            )
        if features.crs is None:
            raise DataError(f'{self.name} has no CRS: say it, for instance crs = "EPSG:32650".')
        # Rows without a place are near to nothing.
        features = features[features.geometry.notna() & ~features.geometry.is_empty]
        if not len(features):
            raise DataError(f"{self.name} has no feature: check path, layer and where.")
        return features.to_crs(grid.crs)


def proximity_layer(
    source: ProximitySource, grid: Grid, deposits: gpd.GeoDataFrame | None = None
) -> EvidenceLayer:
    """Return the layer of a source, ready to give its bands for any window.

    Raises
    ------
    DataError
        When points of it are the deposits themselves: the distance to them is the answer.
    """
    # 1. The features; deposits among them would give the answer away.
    features = source.read(grid)
    if deposits is not None:
        _refuse_deposits(source, features, deposits, grid)
    if source.kind in ("value", "strike"):
        return PointValueLayer(source, features, grid)
    # 2. Single shapes, and the band that the kind makes of them.
    shapes = shapely.get_parts(features.geometry.to_numpy())
    text = source.name
    if source.kind == "distance":
        band = Band(source.name, "distance", "m", f"Distance to {text} (m)")
        return DistanceLayer(band, shapes, grid, most=source.max)
    if source.kind == "presence":
        return PresenceLayer(Band(source.name, "presence", "", f"{text} in cell"), shapes, grid)
    radius = density_radius(source.radius, grid)
    unit = _density_unit(shapes)
    label = f"Density of {text} within {radius:g} m" + (f" ({unit})" if unit else "")
    return DensityLayer(Band(source.name, "density", unit, label), shapes, grid, radius)


class DistanceLayer:
    """Metres from cell centres to the nearest of some shapes.

    Parameters
    ----------
    band : Band
    shapes : ndarray of geometry
        Points, lines or polygons, single ones.
    grid : Grid
    most : float, optional
        Longer distances are cut to it.
    inside_of : ndarray of geometry, optional
        Polygons inside which the distance is negative ("signed"); without them it is 0 inside the
        polygons among the shapes.
    bounded : bool
        Whether ``most`` is how far the band looks, and the folds' margin is as wide at least.
    """

    def __init__(
        self,
        band: Band,
        shapes: np.ndarray,
        grid: Grid,
        *,
        most: float | None = None,
        inside_of: np.ndarray | None = None,
        bounded: bool = False,
    ):
        self.bands = [band]
        self.making = [dict(SCREENED)]
        if bounded and most is not None:
            self.making[0][REACH] = f"{most:g}"
        self.grid = grid
        self.most = most
        self.signed = inside_of is not None
        # A tree of straight pieces: the exact distance to each is cheap.
        self.ends = pieces_of(shapes)
        self.tree = shapely.STRtree(shapely.linestrings(self.ends.reshape(-1, 2, 2)))
        polygons = shapes[shapely.get_dimensions(shapes) == 2] if inside_of is None else inside_of
        self.polygons = Shapes(polygons) if len(polygons) else None

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (1, height, width), metres."""
        wanted = np.ones((height, width), bool) if inside is None else inside
        # 1. Metres to the nearest boundary, cut where farther ground does not differ.
        metres = distance_to_segments(self.grid, self.tree, self.ends, (row, column), wanted)
        if self.most is not None:
            metres = np.minimum(metres, np.float32(self.most))
        # 2. Inside a polygon the distance is 0, or counts downwards.
        if self.polygons is not None:
            within = self.polygons.burn(self.grid.window(row, column, height, width)) > 0
            own = -metres if self.signed else np.where(np.isfinite(metres), np.float32(0), metres)
            metres = np.where(within, own, metres)
        return metres[None]

    def fingerprint(self) -> str:
        """Return a hash of the shapes."""
        digest = hashlib.sha256(f"{self.bands}{self.most!r}{self.signed}".encode())
        digest.update(self.ends.tobytes())
        if self.polygons is not None:
            digest.update(self.polygons.digest())
        return digest.hexdigest()


class PresenceLayer:
    """1 where a shape touches the cell (a polygon: holds its centre), else 0."""

    def __init__(self, band: Band, shapes: np.ndarray, grid: Grid):
        self.bands = [band]
        self.making = [dict(SCREENED)]
        self.grid = grid
        # A polygon is there where it holds a cell's centre, a line where it touches the cell.
        flat = shapely.get_dimensions(shapes) == 2
        self.polygons = Shapes(shapes[flat])
        self.others = Shapes(shapes[~flat])

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (1, height, width), 0 or 1."""
        window = self.grid.window(row, column, height, width)
        there = self.polygons.burn(window) > 0
        there |= self.others.burn(window, all_touched=True) > 0
        return there[None].astype(np.float32)

    def fingerprint(self) -> str:
        """Return a hash of the shapes."""
        digest = hashlib.sha256(f"presence{self.bands}".encode())
        digest.update(self.polygons.digest() + self.others.digest())
        return digest.hexdigest()


class DensityLayer:
    """Length of lines, number of points or share of polygons within a radius of cell centres.

    Ground beyond the grid is not counted, neither what lies on it nor its area.
    """

    def __init__(
        self,
        band: Band,
        shapes: np.ndarray,
        grid: Grid,
        radius: float,
    ):
        self.bands = [band]
        self.making = [density_making(radius, grid)]
        self.grid = grid
        self.radius = radius
        self.dimension = dimension_of(shapes)
        self.shapes = Shapes(shapes)
        self.points = shapely.get_coordinates(shapes) if self.dimension == 0 else np.empty((0, 2))

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (1, height, width)."""
        window = (row, column, height, width)
        if self.dimension == 1:
            return line_density(self.grid, self.shapes, window, self.radius)[None]
        # 1. The window with a margin of the radius.
        sides = self.grid.sides
        reach = (int(self.radius // sides[0]), int(self.radius // sides[1]))
        down, across = reach
        wide = (row - down, column - across, height + 2 * down, width + 2 * across)
        on_grid = cells_on_grid(self.grid, wide)
        # 2. Points in each cell, or cells whose centre lies in a polygon.
        if self.dimension == 0:
            ones = np.ones(len(self.points), np.int64)
            amount = cell_sums(self.grid, wide, self.points, ones)
        else:
            amount = (self.shapes.burn(self.grid.window(*wide)) > 0) * on_grid
        # 3. Both summed within the radius.
        total = sum_within(amount, reach, self.radius, sides)
        cells = sum_within(on_grid, reach, self.radius, sides)
        area = cells * (self.grid.cell_area / 1e6) if self.dimension == 0 else cells
        return (total / area)[None].astype(np.float32)

    def fingerprint(self) -> str:
        """Return a hash of the shapes and the radius."""
        digest = hashlib.sha256(f"{self.bands}{self.radius!r}".encode())
        digest.update(self.shapes.digest())
        return digest.hexdigest()


class PointValueLayer:
    """A column of points, such as counts of heavy minerals or strikes, by inverse distances."""

    def __init__(self, source: ProximitySource, points: gpd.GeoDataFrame, grid: Grid):
        column = str(source.column)
        if column not in points:
            raise UsageError(
                f'{source.name} has no column "{column}", it has'
                f" {', '.join(str(name) for name in points.columns.drop('geometry'))}."
            )
        values = points[column].astype(float)
        known = points[values.notna()]
        name = source.name
        if source.kind == "value":
            label = f"{name} ({source.unit})" if source.unit else name
            self.bands = [Band(name, "continuous", source.unit, f"{label}, IDW")]
            layer = known[["geometry"]].assign(**{name: values[values.notna()]})
        else:
            # A strike has no direction: of twice the angle, 10 and 190 degrees are one.
            doubled = np.deg2rad(2 * values[values.notna()])
            self.bands = []
            layer = known[["geometry"]]
            for suffix, part in (("sin", np.sin(doubled)), ("cos", np.cos(doubled))):
                own = f"{name}_{suffix}"
                layer = layer.assign(**{own: part})
                self.bands.append(Band(own, "continuous", "", f"{name}, {suffix} of twice"))
        names = [band.name for band in self.bands]
        self.plan, _ = plan_grid(gpd.GeoDataFrame(layer, crs=points.crs), names, grid)
        prepare(self.plan)
        self.making = [dict(SCREENED) for _ in names]

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (bands, height, width)."""
        return self.plan.block(row, column, height, width)

    def fingerprint(self) -> str:
        """Return a hash of points and values."""
        return self.plan.fingerprint()


def pieces_of(shapes: np.ndarray) -> np.ndarray:
    """Return (pieces, 4) x1, y1, x2, y2 of lines, of polygons' boundaries and of points.

    A point is a piece without length.

    >>> pieces_of(np.array([shapely.Point(1, 2), shapely.LineString([(0, 0), (3, 4)])])).tolist()
    [[1.0, 2.0, 1.0, 2.0], [0.0, 0.0, 3.0, 4.0]]
    """
    # Points as pieces without length, polygons by their boundary.
    dimension = shapely.get_dimensions(shapes)
    points = shapely.get_coordinates(shapes[dimension == 0])
    lines = np.concatenate([shapes[dimension == 1], shapely.boundary(shapes[dimension == 2])])
    pieces = segments_of(gpd.GeoDataFrame(geometry=lines)) if len(lines) else np.empty((0, 4))
    return np.concatenate([np.hstack([points, points]), pieces])


def density_radius(radius: float | None, grid: Grid) -> float:
    """Return the radius of a density in metres: ten cells where it is not said."""
    return RADIUS_CELLS * grid.cell if radius is None else radius


def density_reach(radius: float, grid: Grid) -> float:
    """Return how many metres around a cell a density or mixture looks at.

    A cell more than the radius: a line on the edge of some ground counts on either side of it.
    """
    return radius + grid.cell


def density_making(radius: float, grid: Grid) -> dict[str, str]:
    """Return what a band of what lies within a radius remembers of its making."""
    reach = density_reach(radius, grid)
    return {"density_radius": f"{radius:g}", REACH: f"{reach:g}", **SCREENED}


def dimension_of(shapes: np.ndarray) -> int:
    """Return 0 for points, 1 for lines, 2 for polygons; a mixture is refused."""
    found = np.unique(shapely.get_dimensions(shapes))
    if len(found) > 1:
        raise DataError(
            "a density is of points, of lines or of polygons, not of a mixture: choose with where."
        )
    return int(found[0])


def _density_unit(shapes: np.ndarray) -> str:
    return ("1/km2", "km/km2", "")[dimension_of(shapes)]


def _refuse_deposits(
    source: ProximitySource,
    features: gpd.GeoDataFrame,
    deposits: gpd.GeoDataFrame,
    grid: Grid,
) -> None:
    """Refuse points that are the deposits themselves."""
    # A line or polygon near a deposit is geology; a point on it may be the deposit itself.
    points = features.geometry[features.geom_type.isin(["Point", "MultiPoint"])]
    if not len(points) or not len(deposits):
        return
    tree = shapely.STRtree(shapely.get_parts(points.to_numpy()))
    places = deposits.to_crs(grid.crs).geometry.to_numpy()
    pairs = tree.query(places, predicate="dwithin", distance=TOUCHING * grid.cell)
    count = len(np.unique(pairs[0]))
    if count:
        raise DataError(
            f"{source.name}: {count} of {len(deposits)} deposits are among its points (within a"
            " cell): how near a deposit is would be told to the model. Leave them out with where."
        )
