"""A whole run: settings from ``geomfaf.toml``, every stage in order, one folder of results."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import xarray as xr

from ..deliver.figures import draw_curves, draw_scores, draw_stack
from ..deliver.layers import write_findings, write_layers, write_survey_layers
from ..deliver.report import is_supported, write_summary
from ..deliver.targets import make_cells, make_targets, placed_deposits
from ..errors import OutputExistsError, UsageError
from ..evaluation.evaluate import evaluate_paper_protocol
from ..evaluation.run_evaluation import (
    Assessment,
    assess_map,
    assessment_record,
    baseline_scores,
    risk_return_bands,
    with_applicability,
)
from ..evaluation.verdict import block_lines
from ..evidence.stack import build_stack
from ..files import file_hash, library_versions, write_json, write_table
from ..models.attention import factor_attention
from ..models.baselines import NETWORK
from ..models.fold_models import Model, train_model
from ..models.model_files import load_model, save_model
from ..models.network.devices import choose_device
from ..models.network.starting_weights import pinned
from ..models.network.uncertainty import PASSES, UNCERTAINTIES, require_uncertainty
from ..models.predict import predict_scores
from ..progress import say
from ..rasters.bands import bands_of, grid_record
from ..rasters.geotiff import write_raster
from ..rasters.grid import Grid
from ..survey.cleaning.check import check_survey
from ..survey.cleaning.element_columns import detection_limits
from ..survey.cleaning.findings import require_accepted
from ..survey.cleaning.log_ratios import use_log_ratios
from ..survey.formats import hidden_password, is_database
from ..survey.survey import Survey
from ..windows.folds import Folds
from ..windows.variogram import autocorrelation_range
from .project import Project
from .steps import (
    bands_in_folds,
    coarse_stack,
    cut_windows,
    draw_tables,
    run_grid,
    screen_in_folds,
    stack_choices,
    training_settings,
)


def run_project(project: Project, *, overwrite: bool = False) -> Path:
    """Run every stage and fill the run folder; return the folder.

    An interrupted run goes on with its training where it stopped. A finished one is kept unless
    ``overwrite`` is given; even then, a trained model whose inputs did not change is used again.
    """
    out = project.out
    _refuse_impossible(project)
    if (out / "run.json").exists() and not overwrite:
        raise OutputExistsError(
            f"{out} holds a finished run: remove it, change out =, or use --overwrite."
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "run.json").unlink(missing_ok=True)
    timings: dict[str, float] = {}
    with _timed(timings, "read and check"):
        read = project.read()
        survey, findings = check_survey(read, **project.stage("check"))
        write_findings(findings, survey.findings, read.layers(), out, overwrite=True)
        write_table(detection_limits(survey), out / "detection_limits.csv", overwrite=True)
        require_accepted(findings)
        write_survey_layers(survey, out, overwrite=True)
        if "composition" in project.stages and survey.elements:
            survey = use_log_ratios(survey, **project.stage("composition"))
    with _timed(timings, "windows and folds"):
        grid = run_grid(project, survey)
        evidence = coarse_stack(project, survey, grid)
        reach = autocorrelation_range(evidence, seed=project.seed)
        ore, folds = cut_windows(project, survey, grid, reach)
    with _timed(timings, "screen"):
        screening, chosen = screen_in_folds(project, survey, folds)
        write_table(screening, out / "screen.csv", overwrite=True)
    with _timed(timings, "stack"):
        kept = sorted({e for part in chosen for e in part}, key=list(survey.elements).index)
        stack = build_stack(survey, grid, elements=kept, **stack_choices(project, survey))
        write_raster(stack, out / "stack.tif", overwrite=True)
        tables = draw_tables(project, ore, folds, stack, chosen)
        windows = tables[0]
        write_layers(
            {"windows": windows, "folds": folds.blocks()}, out / "windows.gpkg", overwrite=True
        )
    with _timed(timings, "train"):
        model = _train(project, stack, windows, folds, chosen)
        write_table(factor_attention(model, stack, windows), out / "attention.csv", overwrite=True)
    with _timed(timings, "predict"):
        scores = predict_scores(model, stack, **project.stage("predict"))
    with _timed(timings, "evaluate"):
        assessed = _assess(project, model, stack, tables, survey, scores, evidence)
        scores, line = with_applicability(
            _chosen_map(project, assessed, scores), model, stack, windows
        )
        say(line)
        write_raster(scores, out / "scores.tif", overwrite=True)
        assessed = replace(assessed, verdict=[*assessed.verdict, *block_lines(folds, reach), line])
        write_json(assessment_record(assessed), out / "evaluation.json", overwrite=True)
    with _timed(timings, "targets and maps"):
        targets, placed = _write_targets(project, model, stack, survey, scores)
        mapped = chosen_model(project, assessed)
        supported = is_supported(assessed.table, mapped)
        draw_stack(stack, out / "stack.png", overwrite=True)
        draw_scores(
            scores, targets, survey, out / "scores.png", supported=supported, overwrite=True
        )
        draw_curves(assessed.evaluation.curves, assessed.table, out / "curves.png", overwrite=True)
        write_summary(
            out / "summary.md",
            survey=survey,
            findings=findings,
            screening=screening,
            evaluation=assessed.table,
            verdict=assessed.verdict,
            chosen=mapped,
            targets=targets,
            placed=placed,
            stack=stack,
        )
    record = _record(project, survey, grid, folds, timings)
    write_json({**record, "variogram_range_m": reach}, out / "run.json", overwrite=True)
    return out


def _refuse_impossible(project: Project) -> None:
    """Refuse now what would be refused after minutes of gridding, or after hours of training."""
    options, device = training_settings(project)
    choose_device(device)
    wanted = {"uncertainty": UNCERTAINTIES[0], "passes": PASSES, **project.stage("predict")}
    require_uncertainty(wanted["uncertainty"], wanted["passes"], options)


def _train(
    project: Project,
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    chosen: list[list[str]],
) -> Model:
    """Train, or take the model that was trained on exactly these inputs."""
    options, device = training_settings(project)
    options = pinned(options)
    bands = bands_in_folds(stack, chosen)
    split = (
        folds.block,
        folds.margin,
        folds.linkage,
        folds.table.tolist(),
        grid_record(folds.grid),
    )
    named = [asdict(band) for band in bands_of(stack)]
    choices = asdict(replace(options, weights=""))  # the hash stands for the file, wherever it lies
    state = (choices, bands, project.seed, windows.drop(columns="geometry").to_csv(), split, named)
    digest = hashlib.sha256(json.dumps([state, library_versions()]).encode())
    digest.update(stack.values.tobytes())
    fingerprint = digest.hexdigest()[:16]
    folder = project.out / "model"
    note = folder / "inputs.sha256"
    if (
        note.exists()
        and note.read_text().strip() == fingerprint
        and (folder / "model.json").exists()
    ):
        say("training skipped: its inputs did not change since model/ was written")
        # The weights may be named by another path now; that they are the same is in the
        # fingerprint.
        return replace(load_model(folder, device=device), options=options)
    checkpoints = folder / f"checkpoint-{fingerprint}"
    checkpoints.mkdir(parents=True, exist_ok=True)
    model = train_model(
        stack,
        windows,
        folds,
        options=options,
        bands=bands,
        seed=project.seed,
        device=device,
        checkpoints=checkpoints,
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
    settings = project.stage("evaluate")
    out = project.out
    kept = out / "model" / "evaluation"
    stride = project.stage("predict").get("stride")
    found = assess_map(
        model,
        stack,
        tables,
        survey.deposits,
        scores,
        evidence=evidence,
        settings=settings,
        stride=stride,
        folder=kept,
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
        say(
            "the paper's protocol balances before it splits: its figures leak and are for"
            " comparison only"
        )
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
    """Return the score map of the model that the settings or the figures choose; write its
    risk-return map.
    """
    evaluation = assessed.evaluation
    out = project.out
    name = chosen_model(project, assessed)
    if name != NETWORK:
        if name not in evaluation.aucs:
            raise UsageError(f'model = "{name}" was not evaluated: add it to [evaluate] baselines.')
        say(
            f"the score map is that of {name}"
            + (", which is ahead here" if project.model == "auto" else "")
        )
        scores = baseline_scores(evaluation, name)
    risk = risk_return_bands(evaluation, name)
    (out / "risk_return.tif").unlink(missing_ok=True)  # of an earlier run with more draws
    if risk is not None:
        write_raster(risk, out / "risk_return.tif", overwrite=True)
    return scores


def _write_targets(
    project: Project, model: Model, stack: xr.DataArray, survey: Survey, scores: xr.DataArray
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Write targets, cells and deposits; return the targets, and the deposits with what the map
    says of them.
    """
    options = project.stage("targets")
    targets = make_targets(scores, survey.deposits, stack=stack, faults=survey.faults, **options)
    cells = make_cells(scores, model.size, survey.deposits)
    out = project.out
    placed = placed_deposits(scores, survey.deposits, targets)
    write_layers(
        {"targets": targets, "cells": cells, "deposits": placed},
        out / "targets.gpkg",
        overwrite=True,
    )
    write_table(targets.drop(columns="geometry"), out / "targets.csv", overwrite=True)
    say(
        f"{len(targets)} targets, {int((targets['status'] == 'new').sum())} of them without a known"
        " deposit"
    )
    return targets, placed


def _record(
    project: Project, survey: Survey, grid: Grid, folds: Folds, timings: dict[str, float]
) -> dict[str, Any]:
    inputs = {
        role: {**{k: v for k, v in asdict(source).items() if v}, **_identity(source.path)}
        for role, source in project.sources.items()
    }
    return {
        "inputs": inputs,
        "settings": {
            "preset": project.preset,
            "seed": project.seed,
            "crs": project.crs,
            **project.stages,
        },
        "elements": survey.elements,
        "grid": {
            "crs": grid.crs.to_string(),
            "cell": grid.cell,
            "shape": grid.shape,
            "bounds": grid.bounds,
        },
        "folds": {"count": folds.count, "block_cells": folds.block, "margin_cells": folds.margin},
        "versions": library_versions(),
        "seconds": {name: round(value, 2) for name, value in timings.items()},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _identity(path: str | Path) -> dict[str, str]:
    """Return the hash of a file or of a folder's files; a database has its address, without the
    password.
    """
    if is_database(path):
        return {"path": hidden_password(str(path))}
    files = (
        sorted(p for p in Path(path).iterdir() if p.is_file()) if Path(path).is_dir() else [path]
    )
    hashes = [file_hash(file) for file in files]
    return {
        "sha256": (
            hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        )
    }


@contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    timings[name] = time.monotonic() - started
    say(f"{name}: {timings[name]:.1f} s")
