"""The surveys of choices.py and networks.py, cut and drawn once as a run does it, and maps judged
at chosen places.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import xarray as xr

import geomfaf as gm
from geomfaf.models.baselines import make_baseline
from geomfaf.models.fold_models import window_rows
from geomfaf.models.network.options import Training
from geomfaf.progress import quiet, say, show_progress
from geomfaf.rasters.bands import grid_of, valid_cells
from geomfaf.rasters.grid import Grid
from geomfaf.run.steps import (
    bands_in_folds,
    coarse_stack,
    cut_windows,
    draw_tables,
    run_grid,
    screen_in_folds,
)
from geomfaf.run.steps import stack_choices as choices_of_stack
from geomfaf.run.template import init_project
from geomfaf.survey.cleaning.check import check_survey
from geomfaf.windows.folds import Folds
from geomfaf.windows.negatives import draw_seed
from geomfaf.windows.windows import deposit_cells, window_frame

SURVEYS = (
    "synthetic 0",
    "synthetic 1",
    "synthetic 2",
    "clb_finland",
    "mtpainter_sa",
    "murchison_wa",
)
UNCUT = 1e6
"""Metres beyond every distance."""

GROUND = 1500
"""Cells drawn once that stand for the ground."""


class Kept:
    """Finished figures, one line of a file each: a measurement goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rows = (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )

    def done(self, what: str, **at: object) -> set[str]:
        """Return the values of ``what`` in the lines of one survey, draw, seed."""
        return {row[what] for row in self.rows if {name: row[name] for name in at} == at}

    def add(self, **row: object) -> None:
        """Keep one line."""
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")


def parser(text: str | None, folder: str, draws: int) -> argparse.ArgumentParser:
    """Return the options that the measurements on several surveys share, and show
    their progress.
    """
    show_progress("auto")
    options = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--areas", type=Path, default=Path("../shared/areas"))
    options.add_argument("--folder", type=Path, default=Path(folder))
    options.add_argument("--draws", type=int, default=draws)
    return options


def surveys_there(areas: Path) -> list[str]:
    """Return the surveys that can be made or are in the folder."""
    there = [
        name
        for name in SURVEYS
        if name.startswith("synthetic") or (areas / f"{name}.gpkg").exists()
    ]
    for name in SURVEYS:
        if name not in there:
            say(f"{name}.gpkg is not in {areas}: left out")
    return there


@dataclass(frozen=True)
class Case:
    """One survey, cut and drawn as a run does it, and the places at which maps are judged."""

    stack: xr.DataArray
    folds: Folds
    tables: list[gpd.GeoDataFrame]
    bands: list[list[str]]
    places: gpd.GeoDataFrame
    deposit: np.ndarray


@cache
def case_of(survey: str, areas: Path, folder: Path, draws: int) -> Case:
    """Build a survey's stack, folds and windows with a run's defaults."""
    return case_from(project_of(survey, areas, folder, draws))


def case_from(project: gm.Project) -> Case:
    """Build the stack, folds and windows of a project."""
    stack, folds, tables, bands, checked = drawn(project)
    size = int(tables[0]["size"].iloc[0])
    places, deposit = placed_at(checked.deposits, grid_of(stack), valid_cells(stack), size)
    return Case(stack, folds, tables, bands, places, deposit)


def project_of(
    survey: str, areas: Path, folder: Path, draws: int, structure: Sequence[str] | None = None
) -> gm.Project:
    """Return the project of a survey with a run's settings; named structural bands where given,
    their distances not cut.
    """
    own = folder / survey.replace(" ", "_")
    own.mkdir(parents=True, exist_ok=True)
    source = areas / f"{survey}.gpkg"
    if survey.startswith("synthetic"):
        source = own / "survey.gpkg"
        if not source.exists():
            gm.write_survey(gm.make_survey("small", seed=int(survey.split()[1]))[0], source)
    toml = own / "geomfaf.toml"
    init_project([source], toml, overwrite=True)
    text = toml.read_text(encoding="utf-8")
    settings = {"evaluate": f"draws = {draws}"}
    if structure is not None:
        settings["structure"] = f"bands = {json.dumps(list(structure))}\nmax = {UNCUT}"
    for table, line in settings.items():
        text = text.replace(f"[{table}]\n", f"[{table}]\n{line}\n")
    toml.write_text(text, encoding="utf-8")
    return gm.load_project(toml)


def placed_at(
    deposits: gpd.GeoDataFrame, grid: Grid, valid: np.ndarray, size: int
) -> tuple[gpd.GeoDataFrame, np.ndarray]:
    """Return the windows centred on deposits and on cells drawn once, and which are deposits."""
    rows, cols = deposit_cells(deposits, grid)
    on = valid[rows, cols]
    ground = np.random.default_rng(0).choice(np.flatnonzero(valid), GROUND, replace=False)
    at_row = np.r_[rows[on], ground // grid.width] - size // 2
    at_col = np.r_[cols[on], ground % grid.width] - size // 2
    places = window_frame(grid, at_row, at_col, size, valid, np.zeros(len(at_row), int))
    return places, np.arange(len(places)) < on.sum()


def drawn(
    project: gm.Project,
) -> tuple[xr.DataArray, Folds, list[gpd.GeoDataFrame], list[list[str]], gm.Survey]:
    """Return a project's stack, folds, labelled windows of every draw, bands of every fold, and its
    checked survey.
    """
    checked, _ = check_survey(project.read(), **project.stage("check"))
    grid = run_grid(project, checked)
    evidence = coarse_stack(project, checked, grid)
    reach = gm.autocorrelation_range(evidence, seed=project.seed)
    ore, folds = cut_windows(project, checked, grid, reach)
    _, chosen = screen_in_folds(project, checked, folds, evidence)
    screened = {name for part in chosen for name in part}
    kept = [element for element in checked.elements if element in screened]
    stack = gm.build_stack(checked, grid, elements=kept, **choices_of_stack(project, checked))
    return (
        stack,
        folds,
        draw_tables(project, ore, folds, stack, chosen),
        bands_in_folds(stack, chosen),
        checked,
    )


def network_scores(
    case: Case, draw: int, options: Training, seed: int | None = None
) -> dict[str, np.ndarray]:
    """Return the held-out score of every place, of the ensemble and of the network alone; the seed
    is the draw's unless given.
    """
    seed = draw_seed(0, draw) if seed is None else seed
    with quiet():
        model = gm.train_model(
            case.stack,
            case.tables[draw],
            case.folds,
            options=options,
            bands=case.bands,
            seed=seed,
            device="cpu",
        )

        def judge(fold, places):
            said = model.fold_models[fold].judge_windows(case.stack, places)
            return np.stack([said.score, said.network])

        found = in_folds(case, judge, rows=2)
    return {"joined": found[0], "alone": found[1]}


def simple_scores(case: Case, draw: int, name: str, seed: int | None = None) -> np.ndarray:
    """Return the held-out score of every place by a simple model."""

    def judge(fold: int, places: gpd.GeoDataFrame) -> np.ndarray:
        own = case.tables[draw][case.folds.training(case.tables[draw], fold)]
        rows = [window_rows(case.stack, windows, case.bands[fold]) for windows in (own, places)]
        fitted = make_baseline(name, seed=draw_seed(0, draw) if seed is None else seed).fit(
            rows[0], own["label"].to_numpy()
        )
        return fitted.predict_proba(rows[1])[:, 1]

    return in_folds(case, judge)[0]


def in_folds(
    case: Case, judge: Callable[[int, gpd.GeoDataFrame], np.ndarray], rows: int = 1
) -> np.ndarray:
    """Return every place's scores by the model of its fold, (rows, places)."""
    fold_of = case.folds.of_windows(case.places)
    scores = np.full((rows, len(case.places)), np.nan)
    for fold in range(case.folds.count):
        if (fold_of == fold).any():
            scores[:, fold_of == fold] = judge(fold, case.places[fold_of == fold])
    return scores


def placed(deposit: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the share of the ground that each deposit outranks, ties one half."""
    ground = np.sort(scores[~deposit])
    own = scores[deposit]
    return (
        (np.searchsorted(ground, own, "left") + np.searchsorted(ground, own, "right"))
        / 2
        / len(ground)
    )


def figures(case: Case, scores: np.ndarray) -> dict[str, float]:
    """Return the held-out map AUC and the shares of the deposits in the best 5, 10 and 20 % of the
    ground.
    """
    rank = placed(case.deposit, scores)
    return {
        "auc": float(rank.mean()),
        **{f"capture_{n}": float((rank > 1 - n / 100).mean()) for n in (5, 10, 20)},
    }
