"""A project and its survey go in; grid, folds, screened elements and what else it settles come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import UsageError
from ..evidence.catchments import CatchmentOptions
from ..evidence.derivatives import DERIVED, parse_derived
from ..evidence.geology import study_area_mask
from ..evidence.inverse_distance import IDW_SETTINGS, IdwOptions
from ..evidence.own_rasters import RasterSource
from ..evidence.proximity import ProximitySource, density_radius, density_reach
from ..evidence.stack import build_stack, survey_grid
from ..evidence.structure import WITH_RADIUS, longest_distance
from ..models.network.options import Training, training_options
from ..progress import say
from ..rasters.bands import bands_of, grid_of, making_of_bands
from ..rasters.grid import Grid
from ..settings.tables import TABLES
from ..survey.read import read_layer
from ..survey.survey import Source, Survey
from ..windows import assembly
from ..windows.folds import Folds, fold_number
from ..windows.screen import default_radius, screen_bands, screen_elements
from .project import Project

FALLBACK_ELEMENTS = 3
"""Elements used when none passes the screening and there is neither geology nor faults."""

COARSE_CELLS = 200

PAPER_CELLS = 1560
PAPER_WINDOWS = {"kind": "tiled", "size": 128}


def run_grid(project: Project, survey: Survey) -> Grid:
    """Return the run's grid, refused when its bands would not fit into memory."""
    cell = project.stage("grid").get("cell")
    if cell is None and project.preset == "paper":
        west, south, east, north = survey_grid(survey).bounds
        cell = max(east - west, north - south) / PAPER_CELLS
    grid = survey_grid(survey, cell)
    grid.require_memory(len(survey.elements) + 2)
    return grid


def coarse_stack(project: Project, survey: Survey, grid: Grid) -> xr.DataArray:
    """Return every band on about two hundred cells a side: no deposit had a say in it, and it costs
    little.

    It gives the bands' variogram range and is what the null test looks at.
    """
    factor = max(1, max(grid.shape) // COARSE_CELLS)
    coarse = Grid.from_bounds(grid.bounds, grid.cell * factor, grid.crs)
    choices = stack_choices(project, survey)
    # Bands have the names and the radii of the run's own cells.
    choices["radii"] = choices["radii"] or [density_radius(None, grid)]
    choices["structure_max"] = longest_distance(choices["structure_max"], grid)
    near = choices["proximity"]
    choices["proximity"] = [replace(own, radius=density_radius(own.radius, grid)) for own in near]
    return build_stack(
        survey, coarse, **{**choices, "options": replace(choices["options"], errors=False)}
    )


def cut_windows(
    project: Project,
    survey: Survey,
    grid: Grid,
    autocorrelation: float = np.nan,
) -> tuple[gpd.GeoDataFrame, Folds]:
    """Return the deposits' windows (or all tiles) and the folds."""
    paper = project.preset == "paper"
    settings = project.stage("windows", "kind", "size", "strides")
    settings = {**(PAPER_WINDOWS if paper else {}), **settings}
    if settings.get("kind") == "tiled":
        for name in project.stage("windows", "rule", "negatives", "min_distance"):
            raise UsageError(f"[windows] {name} has no meaning for tiled windows.")
    folds = project.stage("folds")
    zones = folds.pop("zones", None)
    if zones is not None:
        settings["zones"] = read_layer(Source(project.folder / zones))
    settings |= {f"fold_{name}": value for name, value in folds.items()}
    return assembly.cut_windows(
        survey.deposits,
        grid,
        study_area_mask(survey.study_area, grid),
        autocorrelation=autocorrelation,
        reach=evidence_reach(project, grid),
        seed=project.seed,
        **settings,
    )


def evidence_reach(project: Project, grid: Grid) -> float:
    """Return how many metres around a cell the bands of a project look at, see
    :data:`geomfaf.rasters.bands.REACH`.
    """
    structure = project.stage("structure")
    found = [0.0]
    bands = set(structure.get("bands", ()))
    if bands - set(WITH_RADIUS):
        found.append(longest_distance(structure.get("max"), grid))
    if bands & set(WITH_RADIUS):
        radii = structure.get("radii") or [density_radius(None, grid)]
        found.append(density_reach(max(radii), grid))
    for source in own_sources(project, "proximity", ProximitySource):
        if source.kind == "density":
            found.append(density_reach(density_radius(source.radius, grid), grid))
    for source in own_sources(project, "rasters", RasterSource):
        for text in source.derive:
            name, argument = parse_derived(text, source.name)
            found.append(DERIVED[name].halo(argument) * max(grid.sides))
    return max(found)


def draw_tables(
    project: Project,
    ore: gpd.GeoDataFrame,
    folds: Folds,
    stack: xr.DataArray,
    chosen: list[list[str]],
) -> list[gpd.GeoDataFrame]:
    """Return the labelled windows of every draw; tiles are what they are in each of them."""
    return assembly.label_windows(
        ore,
        folds,
        stack,
        bands=bands_in_folds(stack, chosen),
        draws=project.stage("evaluate").get("draws", TABLES["evaluate"]["draws"].default),
        seed=project.seed,
        **project.stage("windows", "rule", "negatives", "min_distance"),
    )


def screen_in_folds(
    project: Project,
    survey: Survey,
    folds: Folds,
    evidence: xr.DataArray | None = None,
) -> tuple[pd.DataFrame, list[list[str]]]:
    """Screen with all deposits for the table, and without each fold's ground for the models.

    Choosing elements by deposits is learning from them: a fold model that is tested on a deposit
    may not use elements chosen with it. Bands of the user's own (rasters, nearness, structure) are
    screened alike, on the cells of ``evidence``.

    Returns
    -------
    table : DataFrame
        See :func:`geomfaf.screen_elements`, and in how many folds each element is kept.
    chosen : list of list of str
        The elements and the bands of each fold.
    """
    bands, kept_bands = _screen_own_bands(project, survey, folds, evidence)
    if not survey.elements:
        return bands, kept_bands
    options = {"seed": project.seed, **project.stage("screen")}
    # 1. with all deposits: what people read
    table = screen_elements(survey.samples, survey.deposits, survey.elements, **options)
    options["radius"] = table.attrs["radius"]
    # 2. for each fold without its ground: what its model may use
    chosen = []
    for fold in range(folds.count):
        kept = _kept_without(fold, survey, folds, options)
        chosen.append([element for element in survey.elements if element in kept])
    table["kept_in_folds"] = _kept_in_folds(table["element"], chosen)
    _say_screening(table, chosen, options["radius"], _elements_alone(survey))
    if len(bands):
        table = pd.concat([table, bands], ignore_index=True)
    both = [elements + names for elements, names in zip(chosen, kept_bands, strict=True)]
    return table, both


def _screen_own_bands(
    project: Project,
    survey: Survey,
    folds: Folds,
    evidence: xr.DataArray | None,
) -> tuple[pd.DataFrame, list[list[str]]]:
    """Return the table of the screened bands and those that each fold may use."""
    names = [] if evidence is None else screened_bands(evidence)
    if evidence is None or not names:
        return pd.DataFrame(), [[] for _ in range(folds.count)]
    settings = project.stage("screen", "radius", "critical")
    radius = settings.pop("radius", None) or default_radius(survey.samples)
    table = screen_bands(evidence, survey.deposits, names, radius=radius, **settings)
    grid = grid_of(evidence)
    rows, columns = np.indices(grid.shape).reshape(2, -1)
    cells = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*grid.xy(rows, columns)), crs=grid.crs)
    chosen = []
    for fold in range(folds.count):
        # Neither the fold's ground nor its deposits, nor what lies within the radius of either.
        away = _away(folds, cells, fold, radius).reshape(grid.shape)
        deposits = survey.deposits[_away(folds, survey.deposits, fold, radius)]
        kept: set[str] = set()
        if len(deposits):
            part = screen_bands(
                evidence,
                deposits,
                names,
                radius=radius,
                where=away,
                **settings,
            )
            kept = set(part.loc[part["kept"], "element"])
        chosen.append([name for name in names if name in kept])
    table["kept_in_folds"] = _kept_in_folds(table["element"], chosen)
    passed = int(table["kept"].sum())
    say(f"{passed} of {len(table)} further bands tell ore from barren ground, high or low")
    return table, chosen


def _kept_in_folds(names: Iterable[str], chosen: Sequence[Sequence[str]]) -> list[str]:
    """Return in how many folds each name was kept, as people read it."""
    texts = []
    for name in names:
        count = sum(name in kept for kept in chosen)
        texts.append(f"{count} of {len(chosen)}")
    return texts


def _elements_alone(survey: Survey) -> bool:
    return survey.geology is None and survey.faults is None


def _kept_without(
    fold: int,
    survey: Survey,
    folds: Folds,
    options: dict[str, Any],
) -> set[str]:
    """Return the elements that pass the screening without a fold's ground."""
    samples = survey.samples[_away(folds, survey.samples, fold, options["radius"])]
    deposits = survey.deposits[_away(folds, survey.deposits, fold, options["radius"])]
    if not len(deposits):
        # No deposit is far enough from this fold's ground: nothing can be learned of elements.
        return set(list(survey.elements)[:FALLBACK_ELEMENTS]) if _elements_alone(survey) else set()
    part = screen_elements(samples, deposits, survey.elements, **options)
    kept = set(part.loc[part["kept"], "element"])
    if kept or not _elements_alone(survey):
        return kept
    return set(part["element"].head(FALLBACK_ELEMENTS))


def _say_screening(
    table: pd.DataFrame,
    chosen: list[list[str]],
    radius: float,
    elements_alone: bool,
) -> None:
    passed = int(table["kept"].sum())
    say(f"{passed} of {len(table)} elements tell ore from barren ground (ore: within {radius:g} m)")
    if any(chosen) and (passed or not elements_alone):
        return
    rest = "geology and faults make the evidence"
    if elements_alone:
        rest = "the best three are used all the same"
    say(f"no element passes the screening: {rest}")


def _away(
    folds: Folds,
    points: gpd.GeoDataFrame,
    fold: int,
    radius: float,
) -> np.ndarray:
    """Return which points lie farther than the radius from a fold's blocks (and are on no test
    ground).
    """
    blocks = folds.blocks()
    blocks = blocks[blocks["fold"] == fold_number(fold)]
    ground = blocks.geometry.buffer(radius).union_all()
    return ~points.geometry.intersects(ground).to_numpy()


def stack_choices(project: Project, survey: Survey) -> dict[str, Any]:
    """Return what the project says of the stack, as :func:`geomfaf.build_stack` takes it."""
    choices: dict[str, Any] = {
        **project.stage("grid", "power", "neighbours", "radius", "scale"),
        **project.stage("rasterize"),
    }
    if "neighbours" in choices:
        # 0 = all samples, as TOML has no null
        choices["neighbours"] = choices["neighbours"] or None
    settings = {"errors": True, **project.stage("grid", *IDW_SETTINGS)}
    if "anisotropy" in settings:
        settings["anisotropy"] = tuple(settings["anisotropy"])
    if project.stage("grid", "barriers").get("barriers"):
        if survey.faults is None:
            raise UsageError("[grid] barriers = true needs faults, and the survey has none.")
        settings["barriers"] = survey.faults
    structure = project.stage("structure")
    return {
        **choices,
        "options": IdwOptions(**settings),
        "rasters": own_sources(project, "rasters", RasterSource),
        "proximity": own_sources(project, "proximity", ProximitySource),
        "structure": structure.get("bands", ()),
        "radii": structure.get("radii"),
        "structure_max": structure.get("max"),
        "fault_type": structure.get("fault_type"),
        "catchments": _catchments(project),
        "geochemistry": project.stage("grid").get("features", ()),
    }


def _catchments(project: Project) -> CatchmentOptions | None:
    """Return how catchments are found; None where elements are interpolated."""
    if project.stage("grid").get("method", "idw") == "idw":
        return None
    settings = project.stage("catchments")
    if not settings.get("dem"):
        raise UsageError('[grid] method = "catchment" needs dem = "..." under [catchments].')
    return CatchmentOptions(**settings)


def own_sources(project: Project, table: str, kind: Callable[..., Any]) -> list[Any]:
    """Return the sources that ``[[rasters]]`` or ``[[proximity]]`` name."""
    found = []
    for settings in project.repeated(table):
        for name in ("path", "name"):
            if not settings.get(name):
                raise UsageError(f"[[{table}]] needs {name}: add it to each of these tables.")
        found.append(kind(**settings))
    return found


def screened_bands(stack: xr.DataArray) -> list[str]:
    """Return the bands that a fold uses only where they pass its screening, elements left aside."""
    making = making_of_bands(stack)
    names = [str(name) for name in stack["band"].values]
    return [name for name in names if making.get(name, {}).get("screened")]


def bands_in_folds(stack: xr.DataArray, chosen: list[list[str]]) -> list[list[str]]:
    """Return the bands that each fold may use: the elements chosen without its ground, and all that
    is not chosen.
    """
    screened = set(screened_bands(stack))
    named = bands_of(stack)
    others = set()
    for band in named:
        if band.kind not in ("element", "ratio") and band.name not in screened:
            others.add(band.name)
    # In the stack's order: features of all ground have it, and a model knows its columns by it.
    return [
        [band.name for band in named if band.name in others or band.name in own] for own in chosen
    ]


def training_settings(project: Project) -> tuple[Training, str]:
    """Return the options of the training and its device, as the project says."""
    settings = project.stage("train")
    device = settings.pop("device", "auto")
    return training_options(project.preset, **settings), device
