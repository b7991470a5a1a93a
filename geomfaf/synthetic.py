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

import numpy as np
import pandas as pd
import xarray as xr
from geopandas import GeoDataFrame, points_from_xy
from numpy.random import Generator
from shapely import box

from .errors import UsageError, nearest_name
from .files import finished_file
from .rasters.grid import Grid
from .survey.survey import Survey
from .synthetic_ground import (
    CELL,
    CRS,
    HOST,
    ORE_FAULTS,
    SIZES,
    at_points,
    cell_centres,
    drain,
    make_faults,
    make_geology,
    make_intrusions,
    nearest_geometry,
    noise,
)

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
    faults, blocks = make_faults(rngs[0], plan, area)
    receiver, upstream, _ = drain(rngs[1], grid)
    geology = make_geology(rngs[2], grid, blocks, upstream)
    intrusions = make_intrusions(rngs[3], plan, area, faults)
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

    Parameters
    ----------
    survey : Survey
        In one CRS.
    path : path
        Ending in ``.gpkg``.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputExistsError
        When there is a file already, without ``overwrite``.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> path = gm.write_survey(gm.make_survey("small")[0], f"{tempfile.mkdtemp()}/survey.gpkg")
    >>> path.name
    'survey.gpkg'
    """
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as unfinished:
        for role, frame in survey.layers().items():
            # Version 1.2: QGIS 3.22 warns about later ones.
            new = {} if unfinished.exists() else {"VERSION": "1.2"}
            frame.to_file(
                unfinished, layer=role, driver="GPKG", engine="pyogrio", dataset_options=new
            )
    return path


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
    xy = cell_centres(grid)
    conduit = np.exp(
        -nearest_geometry(faults.geometry[faults["fault_type"].isin(ORE_FAULTS)].to_numpy(), xy)[1]
        / 600
    )
    heat = np.exp(-((nearest_geometry(bodies.geometry.to_numpy(), xy)[1] / 2_200) ** 2))
    host = (
        geology["stratum"]
        .map(HOST)
        .to_numpy()[nearest_geometry(geology.geometry.to_numpy(), xy)[0]]
    )
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
    rock = strata[nearest_geometry(geology.geometry.to_numpy(), xy)[0]]
    # 2. what the ground holds without deposits; a smooth background meets clustered deposits by
    #    chance and would pass for a signal: that part is taken out
    known = len(deposits) * 2 // 3
    nearest = np.stack([distance.min(axis=1), distance[:, :known].min(axis=1)], axis=1)
    near = np.exp(-0.5 * (nearest / 500) ** 2)
    near -= near.mean(axis=0)
    # A repeated sample has the ground's value of the first and a laboratory error of its own.
    place = np.unique(xy, axis=0, return_inverse=True)[1].ravel()
    shared = [noise(rng, grid, 4_000) for _ in range(3)]
    data: dict[str, object] = {"sample_id": [f"S{number:05d}" for number in range(1, len(xy) + 1)]}
    for number, (name, e) in enumerate(ELEMENTS.items()):
        field = 0.4 * shared[number % 3]
        field = field + 0.4 * noise(rng, grid, 3_000) + 0.35 * noise(rng, grid, 450)
        ground = at_points(grid, field, xy)
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
