"""A made-up survey whose truth is known: folded and faulted strata, a drainage, deposits and their
halos.

It is as rich as the survey of Gao et al. (2023), doi 10.3390/su151310269, which is not public.
Deposits follow some kinds of faults, the host rock and **hidden intrusions that no layer shows**.
The background's chance likeness to the deposits is taken out: this survey cannot tell how often a
screening keeps an element without a signal.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import contourpy
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from geopandas import GeoDataFrame, points_from_xy
from numpy.random import Generator
from scipy.interpolate import RegularGridInterpolator
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from shapely import LineString, Polygon, box

from .errors import UsageError, nearest_name
from .files import finished_file
from .rasters.grid import Bounds, Grid
from .survey.survey import Survey

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
COMMODITIES = {
    "Ag": 0.30,
    "Cu": 0.19,
    "Au": 0.16,
    "Sn": 0.12,
    "Sb": 0.07,
    "Hg": 0.06,
    "Mo": 0.06,
    "Ba": 0.04,
}


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


@dataclass(frozen=True)
class Element:
    """Crustal median and detection limit in a unit; spread and halo in log10 units; reach of the
    halo in metres.
    """

    unit: str
    median: float
    limit: float
    spread: float
    halo: float = 0.0
    reach: float = 1.0
    rocks: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)  # added in each of HOST


# Medians are those of stream sediments of southern China. An element without a halo has no
# lithology effect either: it would tell the host rock, and with it the deposits.
ELEMENTS = {
    "Ag": Element(
        "ppb",
        75,
        25,
        0.22,
        0.31,
        750,
        (0.02, 0.0, 0.03, 0.02, 0.0),
    ),
    "Au": Element(
        "ppb",
        1.1,
        0.3,
        0.30,
        0.32,
        550,
        (0.0, 0.0, 0.02, 0.03, 0.05),
    ),
    "B": Element("ppm", 45, 10, 0.26),
    "Sn": Element(
        "ppm",
        3.0,
        1.0,
        0.21,
        0.21,
        650,
        (0.05, -0.03, 0.0, 0.03, 0.0),
    ),
    "Cu": Element(
        "ppm",
        20,
        3.0,
        0.22,
        0.24,
        650,
        (0.0, -0.04, 0.03, 0.04, 0.0),
    ),
    "Ba": Element(
        "ppm",
        420,
        50,
        0.20,
        0.19,
        800,
        (0.06, -0.05, 0.0, 0.03, 0.02),
    ),
    "Mn": Element("ppm", 480, 50, 0.28),
    "Pb": Element("ppm", 25, 5.0, 0.22),
    "Zn": Element("ppm", 65, 10, 0.20),
    "As": Element("ppm", 8.0, 1.0, 0.30),
    "Sb": Element(
        "ppm",
        0.6,
        0.1,
        0.27,
        0.24,
        850,
        (0.0, 0.05, 0.05, 0.0, 0.0),
    ),
    "Hg": Element(
        "ppb",
        40,
        8.0,
        0.26,
        0.28,
        900,
        (0.0, 0.05, 0.06, 0.0, 0.0),
    ),
    "Mo": Element(
        "ppm",
        0.8,
        0.2,
        0.25,
        0.26,
        600,
        (0.0, 0.0, 0.05, 0.0, 0.0),
    ),
    "W": Element("ppm", 1.8, 0.4, 0.25),
    "Bi": Element("ppm", 0.35, 0.1, 0.24),
    "F": Element("ppm", 450, 150, 0.16),
}


@dataclass(frozen=True)
class Truth:
    """What only the maker of a synthetic survey knows.

    Attributes
    ----------
    probability : xarray.DataArray
        Expected number of deposits in a 200 m cell, (y, x). Random deposits do not follow it; halos
        still do.
    undiscovered, intrusions : GeoDataFrame
        The deposits that the survey does not list; the outlines of the hidden intrusions.
    elements : DataFrame
        element, column, unit, detection_limit and signal (whether deposits have a halo of it).
    """

    probability: xr.DataArray
    undiscovered: GeoDataFrame
    intrusions: GeoDataFrame
    elements: pd.DataFrame


def make_survey(
    size: str = "small", *, seed: int = 0, random_deposits: bool = False
) -> tuple[Survey, Truth]:
    """Make a synthetic survey and its truth; the same seed gives the same survey.

    Parameters
    ----------
    size : {"small", "paper"}
        20 x 20 km, 1,900 samples, 36 known and 18 undiscovered deposits; or 40 x 40 km, 7,512, 64
        and 32.
    seed : int
        Seed of all randomness.
    random_deposits : bool
        Move the deposits to random places once all else is made: a method that finds them leaks its
        labels.

    Returns
    -------
    Survey, Truth
        Ag, Au and Hg are in ppb, the rest in ppm; a censored value is minus its detection limit.

    Raises
    ------
    UsageError
        When the size is unknown.

    Examples
    --------
    >>> survey, truth = make_survey("small", seed=0)
    >>> len(survey.samples), len(survey.deposits), len(truth.undiscovered)
    (1900, 36, 18)
    """
    if size not in SIZES:
        names = " or ".join(f'"{name}"' for name in SIZES)
        raise UsageError(
            f'"{size}" is no size of a synthetic survey: use {names}.{nearest_name(size, SIZES)}'
        )
    plan = SIZES[size]
    grid = Grid.from_bounds(plan.bounds, CELL, CRS)
    area = box(*plan.bounds)
    # One stream of random numbers a stage: a change in one stage leaves the others as they were.
    rngs = np.random.default_rng(seed).spawn(8)
    faults, blocks = _make_faults(rngs[0], plan, area)
    receiver, upstream, _ = _drain(rngs[1], grid)
    geology = _make_geology(rngs[2], grid, blocks, upstream)
    intrusions = _make_intrusions(rngs[3], plan, area, faults)
    expected = _expect(plan.deposits, grid, geology, faults, intrusions)
    deposits = _place_deposits(rngs[4], grid, expected, plan.deposits)
    places = _place_samples(rngs[5], grid, receiver, upstream, plan.samples)
    samples = _analyse(rngs[6], grid, geology, deposits, places)
    if random_deposits:
        deposits = _place_deposits(
            rngs[7], grid, np.full(grid.shape, plan.deposits / grid.size), plan.deposits
        )
    known = plan.deposits * 2 // 3
    study_area = GeoDataFrame({"name": ["survey"]}, geometry=[area], crs=CRS)
    table = pd.DataFrame(
        [
            (name, f"{name}_{e.unit}", e.unit, float(e.limit), e.halo > 0)
            for name, e in ELEMENTS.items()
        ],
        columns=["element", "column", "unit", "detection_limit", "signal"],
    )
    units = dict(zip(table["column"], table["unit"], strict=True))
    cells = xr.DataArray(
        expected, {"y": grid.y, "x": grid.x}, ("y", "x"), "probability", {"units": "1", "crs": CRS}
    )
    survey = Survey(
        samples,
        deposits[:known].copy(),
        geology,
        faults,
        study_area,
        units,
        "stratum",
    )
    return survey, Truth(cells, deposits[known:].reset_index(drop=True), intrusions, table)


def write_survey(survey: Survey, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a survey into one GeoPackage with the layers samples, deposits, geology, faults and
    study_area.

    Written under a temporary name and then renamed, so that no half-written file is left. A file
    that is there is kept unless ``overwrite`` is given.
    """
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as unfinished:
        for role, frame in survey.layers().items():
            frame.to_file(unfinished, layer=role, driver="GPKG", engine="pyogrio")
    return path


def _noise(rng: Generator, grid: Grid, reach: float) -> np.ndarray:
    """Return a smooth random field of mean 0 and variance 1 with correlation
    exp(-(distance/reach)^2 / 2).
    """
    field = gaussian_filter(
        rng.standard_normal(grid.shape), reach / grid.cell / np.sqrt(2), mode="wrap"
    )
    return (field - field.mean()) / field.std()


def _at(grid: Grid, field: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Interpolate a field between cell centres at points (n, 2)."""
    return RegularGridInterpolator((grid.y, grid.x), field, bounds_error=False, fill_value=None)(
        xy[:, ::-1]
    )


def _centres(grid: Grid) -> np.ndarray:
    """Return the cell centres, (cells, 2), row by row."""
    return np.stack(np.meshgrid(grid.x, grid.y), axis=-1).reshape(-1, 2)


def _nearest(geometries: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _make_faults(rng: Generator, plan: Size, area: Polygon) -> tuple[GeoDataFrame, np.ndarray]:
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


def _drain(rng: Generator, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the cell that each cell's water flows into, negative at outlets, its number of
    upstream cells, and how far up it lies: more than the cell below, without a unit.
    """
    # 1. hills on a plain that falls to one side
    hills = sum(
        share * _noise(rng, grid, reach)
        for share, reach in ((1.0, 5_000), (0.8, 1_800), (0.9, 350))
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


def _make_geology(
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
    xy = _centres(grid)
    shifts = rng.normal(0, 0.42, len(blocks))
    in_column = _at(wide, height, xy) + shifts[_nearest(blocks, xy)[0]]
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
    code = np.searchsorted(levels, _at(wide, height, spots) + shifts[_nearest(blocks, spots)[0]])
    code[_at(fine, floor, spots) > shore] = len(STRATA)
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
    askew = np.column_stack([250 * _noise(rng, fine, 600).ravel() for _ in range(2)])
    blurred = gaussian_filter(np.kron(water, np.ones((4, 4))), 4.0)
    return fine, _at(fine, blurred, _centres(fine) + askew).reshape(fine.shape)


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
    across = across + 1_500 * _noise(rng, grid, 7_000)
    phase = rng.uniform(0, 2 * np.pi, 3)
    plunge = 0.5 * np.sin(2 * np.pi * along / 26_000 + phase[2]) + 0.4 * _noise(rng, grid, 5_000)
    folds = np.sin(2 * np.pi * across / 12_500 + phase[0]) + 0.4 * np.sin(
        2 * np.pi * across / 4_700 + phase[1]
    )
    return folds + plunge + 0.1 * _noise(rng, grid, 1_200)


def _make_intrusions(
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


def _expect(
    count: int,
    grid: Grid,
    geology: GeoDataFrame,
    faults: GeoDataFrame,
    bodies: GeoDataFrame,
) -> np.ndarray:
    """Return the expected number of deposits in a cell, from ore-bearing faults, host rock and
    intrusions.
    """
    xy = _centres(grid)
    conduit = np.exp(
        -_nearest(faults.geometry[faults["fault_type"].isin(ORE_FAULTS)].to_numpy(), xy)[1] / 600
    )
    heat = np.exp(-((_nearest(bodies.geometry.to_numpy(), xy)[1] / 2_200) ** 2))
    host = geology["stratum"].map(HOST).to_numpy()[_nearest(geology.geometry.to_numpy(), xy)[0]]
    weight = np.exp(2.6 * conduit + 2.0 * host + 1.8 * heat)
    return (weight / weight.sum() * count).reshape(grid.shape)


def _place_deposits(
    rng: Generator,
    grid: Grid,
    expected: np.ndarray,
    count: int,
) -> GeoDataFrame:
    """Draw deposits without replacement, at least 600 m apart, in random order, each with a main
    commodity.
    """
    # The shortest of exponential waiting times is that of a cell in proportion to its rate.
    order = np.argsort(rng.exponential(size=grid.size) / expected.ravel())
    spots = _scattered(rng, grid, 0.5)[order]
    chosen = spots[:1]
    for spot in spots[1:]:
        if len(chosen) < count and np.hypot(*(chosen - spot).T).min() >= 600:
            chosen = np.vstack([chosen, spot])
    # The likeliest spots come first, and what is undiscovered shall not depend on that.
    x, y = rng.permutation(chosen).T
    data = {"name": [f"Deposit {number:02d}" for number in range(1, count + 1)]}
    data["commodity"] = rng.choice(list(COMMODITIES), count, p=list(COMMODITIES.values())).tolist()
    return GeoDataFrame(data, geometry=points_from_xy(x, y), crs=CRS)


def _scattered(rng: Generator, grid: Grid, most: float) -> np.ndarray:
    """Return a point in each cell, (cells, 2), up to a share of the cell off its centre."""
    row, col = np.indices(grid.shape) + rng.uniform(-most, most, (2, *grid.shape))
    return np.stack(grid.xy(row, col), axis=-1).reshape(-1, 2)


def _place_samples(
    rng: Generator,
    grid: Grid,
    receiver: np.ndarray,
    upstream: np.ndarray,
    count: int,
) -> np.ndarray:
    """Return points on streams, (count, 2); the last one in a hundred repeat earlier ones."""
    # Surveys sample small streams: neither slopes nor main rivers.
    weight = np.where((upstream >= 3) & (receiver >= 0), 1 / (1 + upstream / 150), 0)
    cells = rng.choice(grid.size, count - count // 100, replace=False, p=weight / weight.sum())
    nodes = _scattered(rng, grid, 0.4)  # off the centres, so that streams wind
    step = rng.uniform(0, 1, (cells.size, 1))
    places = np.round(nodes[cells] + step * (nodes[receiver[cells]] - nodes[cells]), 1)
    return np.vstack([places, rng.choice(places, count // 100, replace=False)])


def _analyse(
    rng: Generator,
    grid: Grid,
    geology: GeoDataFrame,
    deposits: GeoDataFrame,
    xy: np.ndarray,
) -> GeoDataFrame:
    """Analyse samples: background, lithology, halos and noise multiply; then the laboratory rounds
    and censors.
    """
    # 1. how near the deposits are, and the rock
    offsets = xy[:, None] - deposits.get_coordinates().to_numpy()
    distance = np.hypot(*offsets.transpose(2, 0, 1))
    strata = geology["stratum"].map(list(HOST).index).to_numpy()
    rock = strata[_nearest(geology.geometry.to_numpy(), xy)[0]]
    # 2. what the ground holds without deposits; a smooth background meets clustered deposits by
    #    chance and would pass for a signal: that part is taken out
    known = len(deposits) * 2 // 3
    nearest = np.stack([distance.min(axis=1), distance[:, :known].min(axis=1)], axis=1)
    near = np.exp(-0.5 * (nearest / 500) ** 2)
    near -= near.mean(axis=0)
    # A repeated sample has the ground's value of the first and a laboratory error of its own.
    place = np.unique(xy, axis=0, return_inverse=True)[1].ravel()
    shared = [_noise(rng, grid, 4_000) for _ in range(3)]
    data: dict[str, object] = {"sample_id": [f"S{number:05d}" for number in range(1, len(xy) + 1)]}
    for number, (name, e) in enumerate(ELEMENTS.items()):
        field = 0.4 * shared[number % 3]
        field = field + 0.4 * _noise(rng, grid, 3_000) + 0.35 * _noise(rng, grid, 450)
        ground = _at(grid, field, xy)
        ground = ground - near @ np.linalg.lstsq(near, ground, rcond=None)[0]
        ground = ground + 0.75 * rng.standard_normal(len(xy))[place]
        # 3. background, halo, rock and laboratory error multiply
        own = np.where(deposits["commodity"] == name, 1.6, 0.9)
        size = rng.lognormal(-0.15, 0.45, len(deposits)) * own
        halo = (size * np.exp(-0.5 * (distance / e.reach) ** 2)).max(axis=1)
        error = 0.02 * rng.standard_normal(len(xy))
        log = e.spread * ground + e.halo * halo + np.array(e.rocks)[rock] + error
        data[f"{name}_{e.unit}"] = _reported(rng, name, e, e.median * 10**log)
    return GeoDataFrame(data, geometry=points_from_xy(*xy.T), crs=CRS)


def _reported(
    rng: Generator,
    name: str,
    element: Element,
    value: np.ndarray,
) -> np.ndarray:
    """Return what a laboratory reports: three digits, minus the limit of what is below it."""
    rounded = [float(f"{number:.3g}") for number in value]
    reported = np.where(value < element.limit, -element.limit, rounded)
    if name in ("W", "Bi", "F"):
        reported[rng.random(len(value)) < 0.004] = np.nan  # too little material was left
    return reported
