"""A whole run: settings from ``geomfaf.toml``, every stage in order, one folder of results."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from .assays import detection_limits
from .assess import (
    DRAWS,
    Assessment,
    assess_map,
    assessment_record,
    baseline_scores,
    draw_seed,
    risk_return_bands,
    with_applicability,
)
from .bands import bands_of
from .check import check_survey
from .compositions import use_log_ratios
from .errors import OutputExistsError, UsageError
from .evaluate import evaluate_paper_protocol
from .explain import factor_attention
from .findings import require_accepted
from .folds import Folds, spatial_folds
from .formats import hidden_password, is_database
from .grid import Grid
from .heldout import NETWORK
from .idw import IdwOptions
from .model import Model, train_model
from .model_files import load_model, save_model
from .negatives import draw_windows
from .predict import predict_scores
from .progress import say
from .rasterize import study_area_mask
from .read import Source, Survey, read_layer
from .recipe import Training, training_options
from .report import draw_curves, draw_scores, draw_stack, write_summary
from .screen import screen_elements
from .settings import IDW_OPTIONS, Project
from .stack import build_stack, survey_grid
from .starting_weights import pinned
from .targets import make_cells, make_targets
from .variogram import autocorrelation_range
from .windows import DEFAULT_SIZE, centred_windows, tiled_windows
from .write import file_hash, library_versions, write_findings, write_json, write_layers, write_raster, write_table

FALLBACK_ELEMENTS = 3
"""Elements used when none passes the screening and there is neither geology nor faults."""

COARSE_CELLS = 200

PAPER_CELLS = 1560
PAPER_WINDOW = 128


def run_project(project: Project, *, overwrite: bool = False) -> Path:
    """Run every stage and fill the run folder; return the folder.

    An interrupted run goes on with its training where it stopped. A finished one is kept unless ``overwrite`` is
    given; even then, a trained model whose inputs did not change is used again.
    """
    out = project.out
    training_settings(project)  # a wrong one is refused now, not after minutes of gridding
    if (out / "run.json").exists() and not overwrite:
        raise OutputExistsError(f"{out} holds a finished run: remove it, change out =, or use --overwrite.")
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").unlink(missing_ok=True)
    timings: dict[str, float] = {}
    with _timed(timings, "read and check"):
        read = project.read()
        survey, findings = check_survey(read, **project.stage("check"))
        write_findings(findings, survey.findings, read.layers(), out, overwrite=True)
        write_table(detection_limits(survey.samples), out / "detection_limits.csv", overwrite=True)
        require_accepted(findings)
        if "composition" in project.stages and survey.elements:
            survey = use_log_ratios(survey, **project.stage("composition"))
    with _timed(timings, "windows and folds"):
        grid = run_grid(project, survey)
        evidence = coarse_stack(project, survey, grid)
        ore, folds = cut_windows(project, survey, grid, autocorrelation_range(evidence, seed=project.seed))
    with _timed(timings, "screen"):
        screening, chosen = screen_in_folds(project, survey, folds)
        write_table(screening, out / "screen.csv", overwrite=True)
    with _timed(timings, "stack"):
        kept = sorted({e for part in chosen for e in part}, key=list(survey.elements).index)
        stack = build_stack(survey, grid, elements=kept, **stack_choices(project, survey))
        write_raster(stack, out / "stack.tif", overwrite=True)
        tables = draw_tables(project, ore, folds, stack, chosen)
        windows = tables[0]
        write_layers({"windows": windows, "folds": folds.blocks()}, out / "windows.gpkg", overwrite=True)
    with _timed(timings, "train"):
        model = _train(project, stack, windows, folds, chosen)
        write_table(factor_attention(model, stack, windows), out / "attention.csv", overwrite=True)
    with _timed(timings, "predict"):
        scores = predict_scores(model, stack, **project.stage("predict"))
    with _timed(timings, "evaluate"):
        assessed = _assess(project, model, stack, tables, survey, scores, evidence)
        scores, line = with_applicability(_chosen_map(project, assessed, scores), model, stack, windows)
        say(line)
        write_raster(scores, out / "scores.tif", overwrite=True)
        assessed = replace(assessed, verdict=[*assessed.verdict, line])
        write_json(assessment_record(assessed), out / "evaluation.json", overwrite=True)
    with _timed(timings, "targets and maps"):
        targets = _write_targets(project, model, stack, survey, scores)
        draw_stack(stack, out / "stack.png", overwrite=True)
        draw_scores(scores, targets, survey, out / "scores.png", overwrite=True)
        draw_curves(assessed.evaluation.curves, assessed.table, out / "curves.png", overwrite=True)
        write_summary(
            out / "summary.md",
            survey=survey,
            findings=findings,
            screening=screening,
            evaluation=assessed.table,
            verdict=assessed.verdict,
            chosen=chosen_model(project, assessed),
            targets=targets,
            stack=stack,
        )
    write_json(_record(project, survey, grid, folds, timings), out / "run.json", overwrite=True)
    return out


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
    """Return every band on about two hundred cells a side: no deposit had a say in it, and it costs little.

    It gives the bands' variogram range and is what the null test looks at.
    """
    factor = max(1, max(grid.shape) // COARSE_CELLS)
    coarse = Grid.from_bounds(grid.bounds, grid.cell * factor, grid.crs)
    choices = stack_choices(project, survey)
    return build_stack(survey, coarse, **{**choices, "options": replace(choices["options"], errors=False)})


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
    return windows, spatial_folds(windows, grid, valid, seed=project.seed, autocorrelation=autocorrelation, **options)


def draw_tables(
    project: Project, ore: gpd.GeoDataFrame, folds: Folds, stack: xr.DataArray, chosen: list[list[str]]
) -> list[gpd.GeoDataFrame]:
    """Return the labelled windows of every draw; tiles are what they are in each of them."""
    count = project.stage("evaluate").get("draws", DRAWS)
    if not isinstance(count, int) or count < 1:
        raise UsageError(f"[evaluate] draws = {count} must be a whole number from 1.")
    if (ore["label"] == 0).any():
        return [ore.assign(fold=folds.of_windows(ore) + 1)] * count
    rule = project.stage("windows", "rule", "negatives", "min_distance")
    tables = []
    for number in range(count):
        seed = draw_seed(project.seed, number)
        table = draw_windows(ore, folds, stack, bands=bands_in_folds(stack, chosen), seed=seed, **rule)
        tables.append(table.assign(fold=folds.of_windows(table) + 1))
    return tables


def screen_in_folds(project: Project, survey: Survey, folds: Folds) -> tuple[pd.DataFrame, list[list[str]]]:
    """Screen with all deposits for the table, and without each fold's ground for the models.

    Choosing elements by deposits is learning from them: a fold model that is tested on a deposit may not use elements
    chosen with it.
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
            frame[_away(folds, frame, fold, table.attrs["radius"])] for frame in (survey.samples, survey.deposits)
        )
        part = table.iloc[:0]  # no deposit is far enough from this fold's ground: nothing can be learned of elements
        if len(away_deposits):
            part = screen_elements(away_samples, away_deposits, survey.elements, **options)
        kept = set(part.loc[part["kept"], "element"])
        if not kept and no_other_evidence:
            kept = set(part["element"].head(FALLBACK_ELEMENTS)) or set(list(survey.elements)[:FALLBACK_ELEMENTS])
        chosen.append([element for element in survey.elements if element in kept])
    table["kept_in_folds"] = [f"{sum(e in part for part in chosen)} of {folds.count}" for e in table["element"]]
    passed = int(table["kept"].sum())
    say(f"{passed} of {len(table)} elements tell ore from barren ground (ore: within {options['radius']:g} m)")
    if not any(chosen) or (no_other_evidence and not passed):
        rest = (
            "geology and faults make the evidence" if not no_other_evidence else "the best three are used all the same"
        )
        say(f"no element passes the screening: {rest}")
    return table, chosen


def _away(folds: Folds, points: gpd.GeoDataFrame, fold: int, radius: float) -> np.ndarray:
    """Return which points lie farther than the radius from a fold's blocks (and are on no test ground)."""
    ground = folds.blocks().query("fold == @fold + 1").geometry.buffer(radius).union_all()
    return ~points.geometry.intersects(ground).to_numpy()


def stack_choices(project: Project, survey: Survey) -> dict[str, Any]:
    """Return what the project says of the stack, as :func:`geomfaf.build_stack` takes it."""
    choices: dict[str, Any] = {
        **project.stage("grid", "power", "neighbours", "radius", "scale"),
        **project.stage("rasterize"),
    }
    if "neighbours" in choices:
        choices["neighbours"] = choices["neighbours"] or None  # 0 = all samples, as TOML has no null
    settings = {"errors": True, **project.stage("grid", *IDW_OPTIONS)}
    if "anisotropy" in settings:
        settings["anisotropy"] = tuple(settings["anisotropy"])
    if project.stage("grid", "barriers").get("barriers"):
        if survey.faults is None:
            raise UsageError("[grid] barriers = true needs faults, and the survey has none.")
        settings["barriers"] = survey.faults
    return {**choices, "options": IdwOptions(**settings)}


def bands_in_folds(stack: xr.DataArray, chosen: list[list[str]]) -> list[list[str]]:
    """Return the bands that each fold may use: the elements chosen without its ground, and all that is not chosen."""
    others = [band.name for band in bands_of(stack) if band.kind not in ("element", "ratio")]
    return [[*elements, *others] for elements in chosen]


def training_settings(project: Project) -> tuple[Training, str]:
    """Return the options of the training and its device, as the project says."""
    settings = project.stage("train")
    device = settings.pop("device", "auto")
    return training_options(project.preset, **settings), device


def _train(
    project: Project, stack: xr.DataArray, windows: gpd.GeoDataFrame, folds: Folds, chosen: list[list[str]]
) -> Model:
    """Train, or take the model that was trained on exactly these inputs."""
    options, device = training_settings(project)
    options = pinned(options)
    bands = bands_in_folds(stack, chosen)
    split = (folds.block, folds.margin, folds.table.tolist())
    choices = asdict(replace(options, weights=""))  # the hash stands for the file, wherever it lies
    state = (choices, bands, project.seed, windows.drop(columns="geometry").to_csv(), split)
    digest = hashlib.sha256(json.dumps([state, library_versions()]).encode())
    digest.update(stack.values.tobytes())
    fingerprint, folder = digest.hexdigest()[:16], project.out / "model"
    note = folder / "inputs.sha256"
    if note.exists() and note.read_text().strip() == fingerprint and (folder / "model.json").exists():
        say("training skipped: its inputs did not change since model/ was written")
        return load_model(folder, device=device)
    checkpoints = folder / f"checkpoint-{fingerprint}"
    checkpoints.mkdir(parents=True, exist_ok=True)
    model = train_model(
        stack, windows, folds, options=options, bands=bands, seed=project.seed, device=device, checkpoints=checkpoints
    )
    note.unlink(missing_ok=True)
    save_model(model, folder, overwrite=True)
    note.write_text(fingerprint + "\n")
    for old in folder.glob("checkpoint-*"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    return model


def _assess(
    project: Project,
    model: Model,
    stack: xr.DataArray,
    tables: list[gpd.GeoDataFrame],
    survey: Survey,
    scores: xr.DataArray,
    evidence: xr.DataArray,
) -> Assessment:
    settings, out = project.stage("evaluate"), project.out
    kept = out / "model" / "evaluation"
    stride = project.stage("predict").get("stride")
    found = assess_map(
        model, stack, tables, survey.deposits, scores, evidence=evidence, settings=settings, stride=stride, folder=kept
    )
    table = found.table
    if settings.get("paper_protocol", project.preset == "paper"):
        device = project.stage("train").get("device", "auto")
        kept.mkdir(parents=True, exist_ok=True)
        leaky = evaluate_paper_protocol(
            stack,
            tables[0],
            options=model.options,
            seed=model.seed,
            device=device,
            checkpoint=kept / "paper_protocol.safetensors",
        )
        table = pd.concat([table, leaky], ignore_index=True)
        say("the paper's protocol balances before it splits: its figures leak and are for comparison only")
    found = replace(found, evaluation=replace(found.evaluation, table=table))
    write_table(table, out / "evaluation.csv", overwrite=True)
    write_table(found.evaluation.curves.reset_index(), out / "curves.csv", overwrite=True)
    for line in found.verdict:
        say(line)
    for file in kept.glob("*"):
        file.unlink()
    if kept.exists():
        kept.rmdir()
    return found


def chosen_model(project: Project, assessed: Assessment) -> str:
    """Return the name of the model whose map is written."""
    return assessed.evaluation.recommended if project.model == "auto" else project.model


def _chosen_map(project: Project, assessed: Assessment, scores: xr.DataArray) -> xr.DataArray:
    """Return the score map of the model that the settings or the figures choose; write its risk-return map."""
    evaluation, out, name = assessed.evaluation, project.out, chosen_model(project, assessed)
    if name != NETWORK:
        if name not in evaluation.aucs:
            raise UsageError(f'model = "{name}" was not evaluated: add it to [evaluate] baselines.')
        say(f"the score map is that of {name}" + (", which is ahead here" if project.model == "auto" else ""))
        scores = baseline_scores(evaluation, name)
    risk = risk_return_bands(evaluation, name)
    if risk is not None:
        write_raster(risk, out / "risk_return.tif", overwrite=True)
    return scores


def _write_targets(
    project: Project, model: Model, stack: xr.DataArray, survey: Survey, scores: xr.DataArray
) -> gpd.GeoDataFrame:
    options = project.stage("targets")
    targets = make_targets(scores, survey.deposits, stack=stack, faults=survey.faults, **options)
    cells = make_cells(scores, model.size, survey.deposits)
    out = project.out
    write_layers(
        {"targets": targets, "cells": cells, "deposits": survey.deposits}, out / "targets.gpkg", overwrite=True
    )
    write_table(targets.drop(columns="geometry"), out / "targets.csv", overwrite=True)
    say(f"{len(targets)} targets, {int((targets['status'] == 'new').sum())} of them without a known deposit")
    return targets


def _record(project: Project, survey: Survey, grid: Grid, folds: Folds, timings: dict[str, float]) -> dict[str, Any]:
    inputs = {
        role: {**{k: v for k, v in asdict(source).items() if v}, **_identity(source.path)}
        for role, source in project.sources.items()
    }
    return {
        "inputs": inputs,
        "settings": {"preset": project.preset, "seed": project.seed, "crs": project.crs, **project.stages},
        "elements": survey.elements,
        "grid": {"crs": grid.crs.to_string(), "cell": grid.cell, "shape": grid.shape, "bounds": grid.bounds},
        "folds": {"count": folds.count, "block_cells": folds.block, "margin_cells": folds.margin},
        "versions": library_versions(),
        "seconds": {name: round(value, 2) for name, value in timings.items()},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _identity(path: str | Path) -> dict[str, str]:
    """Return the hash of a file or of a folder's files; a database has its address, without the password."""
    if is_database(path):
        return {"path": hidden_password(str(path))}
    files = sorted(p for p in Path(path).iterdir() if p.is_file()) if Path(path).is_dir() else [path]
    hashes = [file_hash(file) for file in files]
    return {"sha256": hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()}


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    timings[name] = time.monotonic() - started
    say(f"{name}: {timings[name]:.1f} s")
