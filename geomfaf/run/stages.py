"""The stages of a run, in order: each reads what those before it wrote and writes its own files."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..deliver.field_files import write_field_files
from ..deliver.figures.run_figures import draw_overview
from ..deliver.isolines import write_isolines
from ..deliver.layers import write_findings, write_layers, write_survey_layers
from ..deliver.qgis.project import write_project
from ..deliver.report.write import write_report, write_summary
from ..deliver.rounding import rounded, significant
from ..deliver.run_folder import read_run, titles
from ..deliver.target_ground import cells_inside
from ..deliver.targets import (
    placed_at_targets,
    target_layers,
    targets_and_elements,
    with_factors,
)
from ..errors import UsageError
from ..evaluation.baseline_map import baseline_scores
from ..evaluation.evaluate import evaluate_paper_protocol
from ..evaluation.factor_influence import agreement_sentence, factor_agreement, factor_influence
from ..evaluation.fold_judges import FoldJudges, fold_judges
from ..evaluation.run_evaluation import (
    Assessment,
    assess_map,
    assessment_record,
    risk_return_bands,
    with_applicability,
)
from ..evaluation.target_factors import occluded_scores, target_contributions
from ..evaluation.verdict import block_lines
from ..evidence.stack import build_stack
from ..files import library_versions, write_json, write_table
from ..models.baselines import BASELINES, NETWORK
from ..models.predict import predict_scores
from ..progress import say
from ..rasters.bands import with_making
from ..rasters.geotiff import write_raster
from ..survey.cleaning.element_columns import detection_limits
from ..survey.cleaning.findings import require_accepted
from ..survey.commodities import commodity_sentence, main_commodities, map_title
from ..survey.formats import hidden_password, is_database
from ..windows.variogram import autocorrelation_range
from .first_map import first_map
from .memory import Stage
from .project import Project
from .results import Results
from .stage_settings import (
    check_settings,
    evaluate_settings,
    fold_settings,
    inputs_of,
    judge_settings,
    no_settings,
    of_table,
    own_inputs,
    screen_settings,
    shown_settings,
    stack_settings,
    train_settings,
    with_pinned_weights,
)
from .steps import (
    bands_in_folds,
    coarse_stack,
    cut_windows,
    draw_tables,
    screen_in_folds,
    stack_choices,
    training_settings,
)

QUICK_LINE = (
    "This is a quick look: one draw of barren windows, two rivals, no null test. Run without --quick"
    " before anything is decided on it."
)

LIKELY = 0.2
"""Share of the map, best first, that targets are looked for on; where they reach beyond it, the
model is asked again.
"""

EXACT = 17
"""Digits that give a float64 back to the bit."""


def check(run: Results, _: Path) -> None:
    """Check and clean the survey; write what was found and the survey as it is used."""
    survey, findings = run.checked
    write_findings(findings, survey.findings, run.read.layers(), run.out, overwrite=True)
    write_table(detection_limits(survey), run.out / "detection_limits.csv", overwrite=True)
    require_accepted(findings)
    write_survey_layers(survey, run.out, overwrite=True)
    rest = {"elements": survey.elements, "geology_column": survey.geology_column}
    write_json(rest, run.kept / "survey.json", overwrite=True)


def cut_folds(run: Results, _: Path) -> None:
    """Cut the deposits' windows and the folds, from bands that no deposit had a say in."""
    evidence = coarse_stack(run.project, run.survey, run.grid)
    reach = autocorrelation_range(evidence, seed=run.project.seed)
    ore, folds = cut_windows(run.project, run.survey, run.grid, reach)
    write_raster(evidence, run.kept / "evidence.tif", overwrite=True)
    layers = {"windows": ore, "folds": folds.blocks()}
    write_layers(layers, run.kept / "folds.gpkg", overwrite=True)
    write_json({"variogram_range_m": reach}, run.kept / "folds.json", overwrite=True)


def screen(run: Results, _: Path) -> None:
    """Choose the elements, for each fold without its ground."""
    table, chosen = screen_in_folds(run.project, run.survey, run.folds, run.evidence)
    write_table(table, run.out / "screen.csv", overwrite=True)
    write_json({"chosen": chosen}, run.kept / "screen.json", overwrite=True)


def stack(run: Results, _: Path) -> None:
    """Build the bands and draw the barren windows on them."""
    survey = run.survey
    chosen = {name for part in run.chosen for name in part}
    kept = [element for element in survey.elements if element in chosen]
    choices = stack_choices(run.project, survey)
    bands = build_stack(survey, run.grid, elements=kept, **choices)
    write_raster(bands, run.out / "stack.tif", overwrite=True)
    tables = draw_tables(run.project, run.ore, run.folds, bands, run.chosen)
    draws = {f"draw_{number}": table for number, table in enumerate(tables, start=1)}
    write_layers(draws, run.kept / "draws.gpkg", overwrite=True)
    write_json({"draws": len(draws)}, run.kept / "draws.json", overwrite=True)
    layers = {"windows": tables[0], "folds": run.folds.blocks()}
    write_layers(layers, run.out / "windows.gpkg", overwrite=True)


def train(run: Results, unfinished: Path) -> None:
    """Train a network a fold; checkpoints let an interrupted training go on."""
    # A run that trains nothing anew needs no torch, which takes seconds to load.
    from ..models.attention import factor_attention
    from ..models.fold_models import train_model
    from ..models.model_files import save_model

    options, device = training_settings(run.project)
    model = train_model(
        run.stack,
        run.tables[0],
        run.folds,
        options=with_pinned_weights(options),
        bands=bands_in_folds(run.stack, run.chosen),
        seed=run.project.seed,
        device=device,
        checkpoints=unfinished,
    )
    save_model(model, run.out / "model", overwrite=True)
    attention = factor_attention(model, run.stack, run.tables[0])
    write_table(attention, run.out / "attention.csv", overwrite=True)


def predict(run: Results, _: Path) -> None:
    """Score every cell with the trained model."""
    scores = predict_scores(run.model, run.stack, **run.project.stage("predict"))
    write_raster(scores, run.kept / "prediction.tif", overwrite=True)


def evaluate(run: Results, unfinished: Path) -> None:
    """Judge the map, choose whose map is written, and write it with the ground it speaks for."""
    with first_map(run):
        _judge_and_write(run, unfinished)


def _judge_and_write(run: Results, unfinished: Path) -> None:
    assessed = _assess(run, unfinished)
    chosen = _chosen_model(run.project, assessed)
    scores = _chosen_map(run, assessed, chosen)
    scores, line = with_applicability(scores, run.model, run.stack, run.tables[0])
    say(line)
    if run.project.quick:
        names = map(str, scores["band"].values)
        scores = with_making(scores, {name: {"quick": QUICK_LINE} for name in names})
    write_raster(scores, run.out / "scores.tif", overwrite=True)
    said = commodity_sentence(main_commodities(run.survey.deposits), run.screening)
    verdict = [*assessed.verdict, *block_lines(run.folds, run.reach), line, *filter(None, [said])]
    if run.project.quick:
        verdict = [f"{QUICK_LINE} {verdict[0]}", *verdict[1:]]
    assessed = replace(assessed, verdict=verdict)
    agreement = _influence(run, chosen)
    record = {
        **assessment_record(assessed),
        "chosen_model": chosen,
        "factor_agreement": agreement,
    }
    write_json(record, run.out / "evaluation.json", overwrite=True)
    write_table(assessed.table, run.out / "evaluation.csv", overwrite=True)
    curves = assessed.evaluation.curves.reset_index()
    write_table(curves, run.out / "curves.csv", overwrite=True)


def _assess(run: Results, unfinished: Path) -> Assessment:
    """Return the evaluation; what is finished of it lies in ``unfinished``."""
    settings = {**run.project.stage("evaluate"), **run.project.stage("predict", "stride")}
    found = assess_map(
        run.model,
        run.stack,
        run.tables,
        run.survey.deposits,
        run.prediction,
        evidence=run.evidence,
        settings=settings,
        folder=unfinished,
    )
    for line in found.verdict:
        say(line)
    if not settings.get("paper_protocol", run.project.preset == "paper"):
        return found
    leaky = evaluate_paper_protocol(
        run.stack,
        run.tables[0],
        options=run.model.options,
        seed=run.model.seed,
        device=run.project.stage("train").get("device", "auto"),
        checkpoint=unfinished / "paper_protocol.safetensors",
    )
    say("the paper's protocol balances before it splits: its row leaks, for comparison only")
    table = pd.concat([found.table, leaky], ignore_index=True)
    return replace(found, evaluation=replace(found.evaluation, table=table))


def _chosen_model(project: Project, assessed: Assessment) -> str:
    """Return the name of the model whose map is written."""
    evaluation = assessed.evaluation
    if project.model == "auto":
        return evaluation.recommended
    if project.model not in evaluation.aucs:
        raise UsageError(
            f'model = "{project.model}" was not evaluated: add it to [evaluate] baselines.'
        )
    return project.model


def _chosen_map(run: Results, assessed: Assessment, name: str) -> xr.DataArray:
    """Return the score map of the chosen model; write its risk-return map."""
    scores = run.prediction
    if name == NETWORK != run.model.name:
        alone = run.model.network_alone()
        scores = predict_scores(alone, run.stack, **run.project.stage("predict"))
    elif name != run.model.name:
        ahead = ", which is ahead here" if run.project.model == "auto" else ""
        say(f"the score map is that of {name}{ahead}")
        scores = baseline_scores(assessed.evaluation, name)
    risk = risk_return_bands(assessed.evaluation, name)
    if risk is not None:
        write_raster(risk, run.out / "risk_return.tif", overwrite=True)
    return scores


def factors(run: Results, _: Path) -> None:
    """Ask the model about all ground that may be a target, with one factor after the other at its
    median: other settings of the targets need not ask it again.
    """
    score = run.scores.sel(band="score").values
    best = score >= np.nanquantile(score, 1 - LIKELY)
    found = occluded_scores(_judges(run), run.stack, best)
    write_table(found.table(), run.kept / "occluded.csv", digits=EXACT, overwrite=True)
    write_json({"stride": found.stride}, run.kept / "occluded.json", overwrite=True)


def targets(run: Results, _: Path) -> None:
    """Outline the targets and the numbered cells; place the deposits on the map."""
    survey = run.survey
    evidence: dict[str, Any] = {
        "stack": run.stack,
        "samples": survey.samples,
        "size": run.window_size,
    }
    settings = run.project.stage("targets")
    found, elements = targets_and_elements(
        run.scores, survey.deposits, faults=survey.faults, **evidence, **settings
    )
    labels = cells_inside(found.geometry, run.grid)
    occluded = run.occluded
    if not occluded.covers(run.stack, labels > 0):
        occluded = occluded_scores(_judges(run), run.stack, labels > 0)
    contributions = target_contributions(occluded, run.stack, labels)
    found = with_factors(found, contributions)
    layers = target_layers(found, run.scores, survey.deposits, **evidence, elements=elements)
    layers["target_factors"] = placed_at_targets(rounded(contributions), found)
    write_layers(layers, run.out / "targets.gpkg", overwrite=True)
    rules = {
        "known_distance_m": round(found.attrs["known_distance"], 1),
        "min_km2": significant(found.attrs["min_km2"], 4),
        "max_km2": significant(found.attrs["max_km2"], 4),
        "threshold": round(found.attrs["threshold"], 4),
    }
    write_json(rules, run.kept / "targets.json", overwrite=True)
    # Six digits would move longitude and latitude by ten metres.
    rows = layers["targets"].drop(columns="geometry")
    write_table(rows, run.out / "targets.csv", digits=10, overwrite=True)
    new = int((found["list"] == "exploration").sum())
    say(
        f"{new} exploration targets on ground farther than"
        f" {found.attrs['known_distance']:,.0f} m from any known deposit, and"
        f" {len(found) - new} pieces of ground around known deposits that score as high"
    )


def _judges(run: Results, chosen: str | None = None) -> FoldJudges:
    """Return the fold models that made the map."""
    name = run.evaluation["chosen_model"] if chosen is None else chosen
    stride = run.project.stage("predict").get("stride")
    return fold_judges(name, run.model, run.stack, run.tables[0], stride=stride)


def _influence(run: Results, chosen: str) -> str:
    """Write how much each factor weighs on the map; return how far the measures agree."""
    attention = None if chosen in BASELINES else pd.read_csv(run.out / "attention.csv")
    judges = _judges(run, chosen)
    table = factor_influence(judges, run.model, run.stack, run.tables[0], attention)
    write_table(table, run.out / "factors.csv", overwrite=True)
    return agreement_sentence(factor_agreement(table))


def isolines(run: Results, _: Path) -> None:
    """Draw what the elements alone say: isolines, anomalies, concentration-area curves."""
    write_isolines(run.out, overwrite=True)


def report(run: Results, _: Path) -> None:
    """Draw and write what people open, from the files of the folder alone."""
    record = project_record(run)
    shown = read_run(run.out, record)
    draw_overview(shown)
    write_summary(shown)
    write_report(shown)
    write_project(run.out, record)
    write_field_files(run.out)


def project_record(run: Results) -> dict[str, Any]:
    """Return what run.json says of data, settings and program; what stages cost is not in it."""
    project = run.project
    grid = run.grid
    bounds = {"crs": grid.crs.to_string(), "cell": grid.cell}
    commodities = main_commodities(run.survey.deposits)
    return {
        "title": map_title(commodities),
        "commodities": commodities,
        "inputs": {**inputs_of(project), **own_inputs(project)},
        "settings": {
            "preset": project.preset,
            "model": project.model,
            "seed": project.seed,
            "quick": project.quick,
            "crs": project.crs,
            **project.stages,
        },
        "project": {
            "file": str(project.path or ""),
            "content": _without_passwords(project.content),
        },
        **titles(project.content, run.survey.deposits),
        "elements": run.survey.elements,
        "geology_column": run.survey.geology_column,
        "chosen_model": run.evaluation["chosen_model"],
        "targets": run.target_rules,
        "grid": {
            **bounds,
            "shape": grid.shape,
            "bounds": grid.bounds,
        },
        "versions": library_versions(),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _without_passwords(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of the project file without the passwords of databases."""
    shown: dict[str, Any] = {}
    for name, table in content.items():
        place = table.get("path") if isinstance(table, dict) else None
        if isinstance(place, str) and is_database(place):
            shown[name] = {**table, "path": hidden_password(place)}
        else:
            shown[name] = table
    return shown


_JUDGED = ("check", "folds", "screen", "stack", "train", "predict")
_TARGETED = ("check", "stack", "evaluate", "factors")
_SHOWN = ("check", "screen", "stack", "evaluate", "targets", "isolines")

STAGES = (
    Stage("check", check, check_settings, "survey"),
    Stage("folds", cut_folds, fold_settings, "windows", ("check",)),
    Stage("screen", screen, screen_settings, "windows", ("check", "folds")),
    Stage("stack", stack, stack_settings, "windows", ("check", "folds", "screen")),
    Stage("train", train, train_settings, "models", ("folds", "screen", "stack")),
    Stage("predict", predict, of_table("predict"), "models", ("stack", "train")),
    Stage("evaluate", evaluate, evaluate_settings, "evaluation", _JUDGED),
    Stage("factors", factors, judge_settings, "evaluation", ("stack", "train", "evaluate")),
    Stage("targets", targets, of_table("targets"), "deliver", _TARGETED),
    Stage("isolines", isolines, no_settings, "deliver", ("check", "stack")),
    Stage("report", report, shown_settings, "deliver", _SHOWN),
)
"""In the order in which they run; each names the stages whose files it reads."""
