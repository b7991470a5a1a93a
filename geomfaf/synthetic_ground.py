"""The ground of a made-up survey: faults, a drainage, folded and faulted strata, hidden intrusions."""

from __future__ import annotations

from dataclasses import dataclass

import contourpy
import numpy as np
import shapely
from geopandas import GeoDataFrame
from numpy.random import Generator
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from shapely import LineString, Polygon, box

from .rasters.grid import Bounds, Grid

CRS = "EPSG:32650"
CELL = 200.0  # metres; the cells of the truth and of the drainage
STRIKE = np.radians(52.0)  # azimuth of the fold axes and of the regional faults
AZIMUTHS = {
    "NE": 42.0,
    "NW": 318.0,
    "N-S": 2.0,
}
ORE_FAULTS = ("NW", "N-S")  # the regional and the NE faults are barren
# Oldest first, with the share of the ground outside the valleys that the paper's sample counts
# suggest.
STRATA = {
    "Devonian": 0.05,
    "Carboniferous": 0.27,
    "Permian": 0.21,
    "Triassic": 0.47,
}
HOST = {
    "Devonian": 0.0,
    "Carboniferous": 0.2,
    "Permian": 0.65,
    "Triassic": 1.0,
    "Quaternary": 0.0,
}  # how well


@dataclass(frozen=True)
class Size:
    """How large a survey is; ``deposits`` counts the undiscovered third too."""

    bounds: Bounds
    samples: int
    deposits: int
    regional_faults: int
    swarms: int
    intrusions: int


SIZES = {
    "small": Size(
        (400_000, 2_400_000, 420_000, 2_420_000),
        1_900,
        54,
        2,
        7,
        3,
    ),
    "paper": Size(
        (400_000, 2_400_000, 440_000, 2_440_000),
        7_512,
        96,
        3,
        18,
        7,
    ),
}


def noise(rng: Generator, grid: Grid, reach: float) -> np.ndarray:
    """Return a smooth random field of mean 0 and variance 1 with correlation
    exp(-(distance/reach)^2 / 2).
    """
    field = gaussian_filter(
        rng.standard_normal(grid.shape), reach / grid.cell / np.sqrt(2), mode="wrap"
    )
    return (field - field.mean()) / field.std()


def at_points(grid: Grid, field: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Interpolate a field between cell centres at points (n, 2)."""
    return RegularGridInterpolator((grid.y, grid.x), field, bounds_error=False, fill_value=None)(
        xy[:, ::-1]
    )


def cell_centres(grid: Grid) -> np.ndarray:
    """Return the cell centres, (cells, 2), row by row."""
    return np.stack(np.meshgrid(grid.x, grid.y), axis=-1).reshape(-1, 2)


def nearest_geometry(geometries: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of and the distance to the geometry that is nearest to, or holds, each
    point.
    """
    tree = shapely.STRtree(geometries)
    points = shapely.points(xy)
    (_, index), distance = tree.query_nearest(points, return_distance=True, all_matches=False)
    return index, distance


def _curve(
    rng: Generator,
    middle: np.ndarray,
    azimuth: float,
    length: float,
) -> LineString:
    """Return a slightly curved line through a point; the azimuth is in radians from north, lengths
    in metres.
    """
    along = np.linspace(-0.5, 0.5, max(int(length / 250), 8))
    # 1. how far the line leaves the straight one: two waves and a bow
    turns = length / rng.uniform(9_000, 16_000)
    phase = rng.uniform(0, 2 * np.pi, 2)
    waves = np.sin(2 * np.pi * turns * along + phase[0]) + 0.3 * np.sin(
        17 * turns * along + phase[1]
    )
    bow = (
        rng.normal(0, 0.035) * min(length, 8_000) * (1 - 4 * along**2) + 330 * min(turns, 1) * waves
    )
    # 2. along and across the azimuth
    ahead = np.array([np.sin(azimuth), np.cos(azimuth)])
    aside = np.array([np.cos(azimuth), -np.sin(azimuth)])
    return LineString(middle + np.outer(along * length, ahead) + np.outer(bow, aside))


def make_faults(rng: Generator, plan: Size, area: Polygon) -> tuple[GeoDataFrame, np.ndarray]:
    """Return the faults, and the blocks into which the regional and the cross faults cut
    the area.
    """
    # 1. the regional faults cut the area into strips, the cross faults the strips into blocks
    rows = _regional_faults(rng, plan, area)
    regional = [line for _, line in rows]
    strips = shapely.get_parts(shapely.polygonize([shapely.union_all([area.boundary, *regional])]))
    rows += _cross_faults(rng, strips, area)
    cutting = [line for _, line in rows]
    network = shapely.union_all([area.boundary, *cutting], grid_size=1.0)
    blocks = shapely.get_parts(shapely.polygonize([network]).intersection(area))
    # 2. swarms of short faults
    rows += _fault_swarms(rng, plan, area)
    # 3. what lies in the area and is long enough to be mapped
    kinds = [kind for kind, _ in rows]
    lines = [line for _, line in rows]
    faults = GeoDataFrame({"fault_type": kinds}, geometry=lines, crs=CRS)
    faults = faults.clip(area, sort=True).explode(ignore_index=True)
    mapped = (faults.length > 1_200) & (faults.geom_type == "LineString")
    faults = faults[mapped].reset_index(drop=True)
    faults["fault_id"] = [f"F{number:02d}" for number in range(1, len(faults) + 1)]
    return faults, blocks


def _regional_faults(rng: Generator, plan: Size, area: Polygon) -> list[tuple[str, LineString]]:
    """Return long faults along the strike, side by side across the area."""
    west, south, east, north = area.bounds
    side = east - west
    centre = np.array([(west + east) / 2, (south + north) / 2])
    aside = np.array([np.cos(STRIKE), -np.sin(STRIKE)])
    rows = []
    for share in np.linspace(-0.5, 0.5, plan.regional_faults) * (1 - 1 / plan.regional_faults):
        middle = centre + (share + rng.normal(0, 0.03)) * side * aside
        rows.append(("regional", _curve(rng, middle, STRIKE + rng.normal(0, 0.04), 2 * side)))
    return rows


def _cross_faults(
    rng: Generator, strips: np.ndarray, area: Polygon
) -> list[tuple[str, LineString]]:
    """Return north-westerly faults that end at the edges of their strip."""
    west, _, east, _ = area.bounds
    ahead = np.array([np.sin(STRIKE), np.cos(STRIKE)])
    rows = []
    for strip in strips[np.argsort(shapely.get_x(shapely.centroid(strips)))]:
        for _ in range(max(1, round(strip.area / 1.1e8))):
            along = rng.uniform(-0.5, 0.5) * np.sqrt(strip.area)
            middle = np.array(strip.centroid.coords[0]) + along * ahead
            azimuth = np.radians(AZIMUTHS["NW"] + rng.normal(0, 9))
            # 25 m too long on both sides, so that the cut still meets the strip's edge after
            # snapping.
            line = _curve(rng, middle, azimuth, 1.5 * (east - west)).intersection(strip.buffer(25))
            rows.append(("NW", line))
    return rows


def _fault_swarms(rng: Generator, plan: Size, area: Polygon) -> list[tuple[str, LineString]]:
    """Return swarms of three to five short faults of one direction."""
    west, south, east, north = area.bounds
    rows = []
    for swarm in range(plan.swarms):
        kind = list(AZIMUTHS)[swarm % len(AZIMUTHS)]
        middle = rng.uniform((west, south), (east, north))
        azimuth = np.radians(AZIMUTHS[kind] + rng.normal(0, 6))
        for _ in range(rng.integers(3, 6)):
            spot = middle + rng.normal(0, 1_500, 2)
            length = 3_800 * np.exp(rng.normal(0, 0.45))
            rows.append((kind, _curve(rng, spot, azimuth + rng.normal(0, 0.07), length)))
    return rows


def drain(rng: Generator, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cell that each cell's water flows into, negative at outlets, its number of
    upstream cells, and how far up it lies: more than the cell below, without a unit.
    """
    # 1. hills on a plain that falls to one side
    hills = sum(
        share * noise(rng, grid, reach) for share, reach in ((1.0, 5_000), (0.8, 1_800), (0.9, 350))
    )
    height = (
        hills + (grid.y[:, None] - grid.y.min() - 0.5 * (grid.x - grid.x.min())) / 15_000
    ).ravel()
    # 2. steps to the eight neighbours; the cost of a step grows with its height
    cell = np.arange(grid.size).reshape(grid.shape)
    straight = ((cell[1:], cell[:-1], 1.0), (cell[:, 1:], cell[:, :-1], 1.0))
    slanting = (
        (cell[1:, 1:], cell[:-1, :-1], np.sqrt(2)),
        (cell[1:, :-1], cell[:-1, 1:], np.sqrt(2)),
    )
    steps = [(a.ravel(), b.ravel(), np.full(a.size, far)) for a, b, far in straight + slanting]
    start = np.concatenate([one for one, _, _ in steps])
    end = np.concatenate([other for _, other, _ in steps])
    length = np.concatenate([far for _, _, far in steps])
    cost = length * np.exp(1.2 * np.maximum(height[start], height[end]))
    edge = np.concatenate([cell[0], cell[-1], cell[1:-1, 0], cell[1:-1, -1]])
    # 3. the cheapest way over the hills to the lowest parts of the edge: a tree of streams without
    #    pits
    outlets = edge[height[edge] < np.quantile(height[edge], 0.12)]
    graph = coo_array((cost, (start, end)), shape=(grid.size, grid.size)).tocsr()
    way, receiver, _ = dijkstra(
        graph,
        directed=False,
        indices=outlets,
        min_only=True,
        return_predecessors=True,
    )
    # 4. how many cells drain through each, from the farthest down
    upstream = np.ones(grid.size, int)
    for source in np.argsort(-way):
        if receiver[source] >= 0:
            upstream[receiver[source]] += upstream[source]
    return receiver, upstream, way


def make_geology(
    rng: Generator,
    grid: Grid,
    blocks: np.ndarray,
    upstream: np.ndarray,
) -> GeoDataFrame:
    """Map folded strata, shifted from block to block, under the Quaternary of the main valleys."""
    area = box(*grid.bounds)
    # 1. how high in the column each place lies; finer cells for smooth contacts, and a margin so
    #    that they run on past the edge
    wide = grid.window(-5, -5, grid.height + 10, grid.width + 10).refined(2)
    height = _fold(rng, wide)
    xy = cell_centres(grid)
    shifts = rng.normal(0, 0.42, len(blocks))
    in_column = at_points(wide, height, xy) + shifts[nearest_geometry(blocks, xy)[0]]
    levels = np.quantile(in_column, np.cumsum(list(STRATA.values()))[:-1])
    # 2. the valley floors
    fine, floor = _valley_floor(rng, grid, upstream)
    shore = np.quantile(floor, 0.975)
    # 3. the faces between contacts, banks, blocks and the edge; those that bulge beyond it go
    drawn = contourpy.contour_generator(fine.x, fine.y, floor).lines(shore)
    lines = [area.boundary, *shapely.boundary(blocks), *(LineString(line) for line in drawn)]
    lines += _contacts(wide, height, blocks, shifts, levels)
    # The faces of one noded network can neither overlap nor leave a gap.
    faces = shapely.get_parts(shapely.polygonize([shapely.union_all(lines, grid_size=1.0)]))
    faces = faces[shapely.within(shapely.point_on_surface(faces), area)]
    # 4. the stratum of each face
    spots = shapely.get_coordinates(shapely.point_on_surface(faces))
    code = np.searchsorted(
        levels, at_points(wide, height, spots) + shifts[nearest_geometry(blocks, spots)[0]]
    )
    code[at_points(fine, floor, spots) > shore] = len(STRATA)
    _merge_specks(faces, code)
    strata = GeoDataFrame({"stratum": np.array([*HOST])[code]}, geometry=faces, crs=CRS)
    return strata.dissolve("stratum", method="coverage").explode().reset_index()


def _valley_floor(rng: Generator, grid: Grid, upstream: np.ndarray) -> tuple[Grid, np.ndarray]:
    """Return a fine grid and how deep in a valley its cells lie: blurred water, drawn askew so that
    it winds, a floor that widens downstream and ends in a tip.
    """
    fine = grid.window(-1, -1, grid.height + 2, grid.width + 2).refined(4)
    streams = np.sqrt(np.maximum(upstream - 60.0, 0)).reshape(grid.shape)
    water = np.pad(streams, 1, mode="edge")
    askew = np.column_stack([250 * noise(rng, fine, 600).ravel() for _ in range(2)])
    blurred = gaussian_filter(np.kron(water, np.ones((4, 4))), 4.0)
    return fine, at_points(fine, blurred, cell_centres(fine) + askew).reshape(fine.shape)


def _contacts(
    wide: Grid,
    height: np.ndarray,
    blocks: np.ndarray,
    shifts: np.ndarray,
    levels: np.ndarray,
) -> list[shapely.Geometry]:
    """Return the contacts between strata, a geometry a block, shifted as the block is."""
    contours = contourpy.contour_generator(wide.x, wide.y, height)
    found = []
    for block, shift in zip(blocks, shifts, strict=True):
        lines = []
        for level in levels:
            lines += [LineString(line) for line in contours.lines(level - shift)]
        # 5 m too long: a contact that stops short of the block's edge would not bound a face.
        found.append(shapely.MultiLineString(lines).simplify(3).intersection(block.buffer(5)))
    return found


def _merge_specks(faces: np.ndarray, code: np.ndarray) -> None:
    """Give a face below 6 ha the stratum of the neighbour with which it shares most of its border,
    in place.
    """
    tree = shapely.STRtree(faces)
    for face in np.flatnonzero(shapely.area(faces) < 6e4):
        near = np.setdiff1d(tree.query(faces[face]), face)
        shared = shapely.length(shapely.intersection(faces[face], faces[near]))
        code[face] = code[near[np.argmax(shared)]]


def _fold(rng: Generator, grid: Grid) -> np.ndarray:
    """Return how high in the column of strata the ground lies: plunging folds along the strike."""
    x = grid.x - grid.x.mean()
    y = (grid.y - grid.y.mean())[:, None]
    along = x * np.sin(STRIKE) + y * np.cos(STRIKE)
    across = x * np.cos(STRIKE) - y * np.sin(STRIKE)
    across = across + 1_500 * noise(rng, grid, 7_000)
    phase = rng.uniform(0, 2 * np.pi, 3)
    plunge = 0.5 * np.sin(2 * np.pi * along / 26_000 + phase[2]) + 0.4 * noise(rng, grid, 5_000)
    folds = np.sin(2 * np.pi * across / 12_500 + phase[0]) + 0.4 * np.sin(
        2 * np.pi * across / 4_700 + phase[1]
    )
    return folds + plunge + 0.1 * noise(rng, grid, 1_200)


def make_intrusions(
    rng: Generator,
    plan: Size,
    area: Polygon,
    faults: GeoDataFrame,
) -> GeoDataFrame:
    """Return lobate bodies close to ore-bearing faults."""
    angle = np.linspace(0, 2 * np.pi, 73)[:-1]
    bodies = []
    lines = faults.geometry[faults["fault_type"].isin(ORE_FAULTS)].to_numpy()
    for number in rng.choice(len(lines), plan.intrusions, replace=False):
        middle = shapely.line_interpolate_point(
            lines[number], rng.uniform(0.2, 0.8), normalized=True
        )
        lobes = sum(
            rng.normal(0, 0.35 / k) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4)
        )
        radius = rng.uniform(700, 1_700) * np.maximum(1 + lobes, 0.4)
        rim = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]) + rng.normal(
            0, 500, 2
        )
        bodies.append(Polygon(shapely.get_coordinates(middle) + rim).intersection(area))
    return GeoDataFrame(
        {"name": [f"I{n}" for n in range(1, len(bodies) + 1)]}, geometry=bodies, crs=CRS
    )
