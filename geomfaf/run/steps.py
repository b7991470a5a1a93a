"""What the settings of a project say of its grid, stack, windows, folds and training; used by a
run, step by step.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError, UsageError
from ..evidence.geology import study_area_mask
from ..evidence.inverse_distance import IdwOptions
from ..evidence.stack import build_stack, survey_grid
from ..models.network.options import Training, training_options
from ..progress import say
from ..rasters.bands import bands_of, valid_cells
from ..rasters.grid import Grid
from ..survey.read import read_layer
from ..survey.survey import Source, Survey
from ..windows.folds import Folds, spatial_folds
from ..windows.negatives import DRAWS, draw_seed, draw_windows
from ..windows.screen import screen_elements
from ..windows.windows import DEFAULT_SIZE, centred_windows, tiled_windows, window_centres
from .project import Project

IDW_OPTIONS = ("minimum", "max_distance", "anisotropy", "errors")
"""Settings of ``[grid]`` that are fields of :class:`geomfaf.IdwOptions`."""

FALLBACK_ELEMENTS = 3
"""Elements used when none passes the screening and there is neither geology nor faults."""

COARSE_CELLS = 200

PAPER_CELLS = 1560
PAPER_WINDOW = 128


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
    return build_stack(
        survey, coarse, **{**choices, "options": replace(choices["options"], errors=False)}
    )


def cut_windows(
    project: Project, survey: Survey, grid: Grid, autocorrelation: float = np.nan
) -> tuple[gpd.GeoDataFrame, Folds]:
    """Return the deposits' windows (or all tiles) and the folds."""
    paper = project.preset == "paper"
    settings = project.stage("windows")
    valid = study_area_mask(survey.study_area, grid)
    size = settings.pop("size", PAPER_WINDOW if paper else DEFAULT_SIZE)
    kind = settings.pop("kind", "tiled" if paper else "centred")
    if kind not in ("tiled", "centred"):
        raise UsageError(f'windows of kind "{kind}" are unknown: use "centred" or "tiled".')
    known = inspect.signature(tiled_windows if kind == "tiled" else draw_windows).parameters
    for name in settings:
        if name not in known:
            raise UsageError(f"[windows] {name} has no meaning for {kind} windows.")
    if kind == "tiled":
        windows = tiled_windows(grid, size, deposits=survey.deposits, valid=valid, **settings)
    else:
        windows = centred_windows(grid, size, survey.deposits, valid, negatives=0)
    options = project.stage("folds")
    if "zones" in options:
        options["zones"] = read_layer(Source(project.folder / options["zones"])).to_crs(grid.crs)
    return windows, spatial_folds(
        windows, grid, valid, seed=project.seed, autocorrelation=autocorrelation, **options
    )


def draw_tables(
    project: Project,
    ore: gpd.GeoDataFrame,
    folds: Folds,
    stack: xr.DataArray,
    chosen: list[list[str]],
) -> list[gpd.GeoDataFrame]:
    """Return the labelled windows of every draw; tiles are what they are in each of them."""
    count = project.stage("evaluate").get("draws", DRAWS)
    if not isinstance(count, int) or count < 1:
        raise UsageError(f"[evaluate] draws = {count} must be a whole number from 1.")
    if (ore["label"] == 0).any():
        return [ore.assign(fold=folds.of_windows(ore) + 1)] * count
    ore = _with_data(ore, folds, stack)
    rule = project.stage("windows", "rule", "negatives", "min_distance")
    tables = []
    for number in range(count):
        seed = draw_seed(project.seed, number)
        table = draw_windows(
            ore, folds, stack, bands=bands_in_folds(stack, chosen), seed=seed, **rule
        )
        tables.append(table.assign(fold=folds.of_windows(table) + 1))
    return tables


def _with_data(ore: gpd.GeoDataFrame, folds: Folds, stack: xr.DataArray) -> gpd.GeoDataFrame:
    """Return the deposits' windows whose centre has data: the folds are dealt before the bands are
    known.
    """
    known = valid_cells(stack)[window_centres(ore, folds.grid)]
    if known.all():
        return ore
    say(
        f"{int((~known).sum())} of {len(ore)} deposits' cells have no data in the stack: they"
        " neither train nor test"
    )
    kept = ore[known].reset_index(drop=True)
    for fold in range(folds.count):
        if not folds.training(kept, fold).any():
            raise DataError(
                f"fold {fold + 1} has no deposit left to learn from: {int((~known).sum())} of"
                f" {len(ore)} lie on ground without data. Raise max_distance under [grid], or take"
                " fewer folds."
            )
    return kept


def screen_in_folds(
    project: Project, survey: Survey, folds: Folds
) -> tuple[pd.DataFrame, list[list[str]]]:
    """Screen with all deposits for the table, and without each fold's ground for the models.

    Choosing elements by deposits is learning from them: a fold model that is tested on a deposit
    may not use elements chosen with it.
    """
    if not survey.elements:
        return pd.DataFrame(), [[] for _ in range(folds.count)]
    options = {"seed": project.seed, **project.stage("screen")}
    table = screen_elements(survey.samples, survey.deposits, survey.elements, **options)
    options["radius"] = table.attrs["radius"]
    no_other_evidence = survey.geology is None and survey.faults is None
    chosen = []
    for fold in range(folds.count):
        away_samples, away_deposits = (
            frame[_away(folds, frame, fold, table.attrs["radius"])]
            for frame in (survey.samples, survey.deposits)
        )
        part = table.iloc[
            :0
        ]  # no deposit is far enough from this fold's ground: nothing can be learned of elements
        if len(away_deposits):
            part = screen_elements(away_samples, away_deposits, survey.elements, **options)
        kept = set(part.loc[part["kept"], "element"])
        if not kept and no_other_evidence:
            kept = set(part["element"].head(FALLBACK_ELEMENTS)) or set(
                list(survey.elements)[:FALLBACK_ELEMENTS]
            )
        chosen.append([element for element in survey.elements if element in kept])
    table["kept_in_folds"] = [
        f"{sum(e in part for part in chosen)} of {folds.count}" for e in table["element"]
    ]
    passed = int(table["kept"].sum())
    say(
        f"{passed} of {len(table)} elements tell ore from barren ground (ore: within"
        f" {options['radius']:g} m)"
    )
    if not any(chosen) or (no_other_evidence and not passed):
        rest = (
            "geology and faults make the evidence"
            if not no_other_evidence
            else "the best three are used all the same"
        )
        say(f"no element passes the screening: {rest}")
    return table, chosen


def _away(folds: Folds, points: gpd.GeoDataFrame, fold: int, radius: float) -> np.ndarray:
    """Return which points lie farther than the radius from a fold's blocks (and are on no test
    ground).
    """
    ground = folds.blocks().query("fold == @fold + 1").geometry.buffer(radius).union_all()
    return ~points.geometry.intersects(ground).to_numpy()


def stack_choices(project: Project, survey: Survey) -> dict[str, Any]:
    """Return what the project says of the stack, as :func:`geomfaf.build_stack` takes it."""
    choices: dict[str, Any] = {
        **project.stage("grid", "power", "neighbours", "radius", "scale"),
        **project.stage("rasterize"),
    }
    if "neighbours" in choices:
        choices["neighbours"] = (
            choices["neighbours"] or None
        )  # 0 = all samples, as TOML has no null
    settings = {"errors": True, **project.stage("grid", *IDW_OPTIONS)}
    if "anisotropy" in settings:
        settings["anisotropy"] = tuple(settings["anisotropy"])
    if project.stage("grid", "barriers").get("barriers"):
        if survey.faults is None:
            raise UsageError("[grid] barriers = true needs faults, and the survey has none.")
        settings["barriers"] = survey.faults
    return {**choices, "options": IdwOptions(**settings)}


def bands_in_folds(stack: xr.DataArray, chosen: list[list[str]]) -> list[list[str]]:
    """Return the bands that each fold may use: the elements chosen without its ground, and all that
    is not chosen.
    """
    others = [band.name for band in bands_of(stack) if band.kind not in ("element", "ratio")]
    return [[*elements, *others] for elements in chosen]


def training_settings(project: Project) -> tuple[Training, str]:
    """Return the options of the training and its device, as the project says."""
    settings = project.stage("train")
    device = settings.pop("device", "auto")
    return training_options(project.preset, **settings), device
