"""A whole run: settings from ``geomfaf.toml``, every stage in order, one folder of results."""

from __future__ import annotations

import hashlib
import inspect
import json
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from .assays import detection_limits
from .bands import bands_of
from .check import check_survey
from .compositions import use_log_ratios
from .errors import OutputExistsError, UsageError, nearest_name
from .evaluate import Evaluation, evaluate_model, evaluate_paper_protocol
from .findings import require_accepted
from .folds import Folds, spatial_folds
from .formats import hidden_password, is_database
from .grid import Grid
from .idw import IdwOptions
from .model import Model, file_hash, library_versions, load_model, save_model, train_model
from .predict import predict_scores
from .progress import say
from .rasterize import study_area_mask
from .read import ROLES, Source, Survey, read_survey
from .report import draw_scores, draw_stack, write_summary
from .screen import screen_elements
from .stack import build_stack, survey_grid
from .targets import make_cells, make_targets
from .train import Training, training_options
from .windows import DEFAULT_SIZE, centred_windows, tiled_windows
from .write import write_findings, write_json, write_layers, write_raster, write_table

FALLBACK_ELEMENTS = 3
"""Elements used when none passes the screening and there is neither geology nor faults."""

PAPER_CELLS = 1560
IDW_OPTIONS = ("minimum", "max_distance", "anisotropy", "errors")
PAPER_WINDOW = 128


@dataclass(frozen=True)
class Project:
    """Settings of a run, as :func:`load_project` reads them: one table a stage, its keyword arguments as keys."""

    folder: Path
    sources: dict[str, Source]
    out: Path
    preset: str = "compact"
    crs: str | None = None
    seed: int = 0
    elements: list[str] | None = None
    units: dict[str, str] = field(default_factory=dict)
    geology_column: str | None = None
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)

    def read(self) -> Survey:
        """Read the survey as the settings say."""
        return read_survey(
            self.sources, elements=self.elements, units=self.units, geology_column=self.geology_column, crs=self.crs
        )

    def stage(self, name: str, *keys: str) -> dict[str, Any]:
        """Return the settings of one stage, all of them or some keys."""
        table = self.stages.get(name, {})
        return {key: value for key, value in table.items() if not keys or key in keys}


def load_project(path: str | Path) -> Project:
    """Read ``geomfaf.toml``; a key that no stage knows is refused with the nearest one that exists."""
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist: write one with `geomfaf init survey.gpkg`.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}.") from error
    known = allowed_keys()
    top = {"out", "preset", "crs", "seed"}
    for name, value in content.items():
        tables = {*known, *ROLES}
        if name not in top | tables or isinstance(value, dict) != (name in tables):
            raise UsageError(f'{path.name}: "{name}" is no setting.{nearest_name(name, top | tables)}')
    sources: dict[str, Source] = {}
    extra = {"samples": {"elements", "units"}, "geology": {"column"}}
    for role in ROLES:
        if role in content:
            allowed = {f.name for f in fields(Source)} | extra.get(role, set())
            table = _checked(path, role, content[role], allowed)
            if "path" not in table:
                raise UsageError(f"{path.name}: [{role}] has no path.")
            options = {k: v for k, v in table.items() if k not in {"path", *extra.get(role, set())}}
            place = table["path"]
            sources[role] = Source(place if is_database(place) else path.parent / place, **options)
    stages = {name: _checked(path, name, content[name], known[name]) for name in known if name in content}
    limits = stages.get("check", {}).get("detection_limits")
    if isinstance(limits, str):
        stages["check"]["detection_limits"] = str(path.parent / limits)
    return Project(
        folder=path.parent,
        sources=sources,
        out=path.parent / content.get("out", "out"),
        preset=content.get("preset", "compact"),
        crs=content.get("crs"),
        seed=content.get("seed", 0),
        elements=content.get("samples", {}).get("elements"),
        units=content.get("samples", {}).get("units", {}),
        geology_column=content.get("geology", {}).get("column"),
        stages=stages,
    )


def allowed_keys() -> dict[str, set[str]]:
    """Return the keys of every stage's table: the keyword arguments of its functions."""

    def keywords(*functions: Callable, without: tuple[str, ...] = ()) -> set[str]:
        names = {
            parameter.name
            for function in functions
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        return names - {"seed", *without}

    return {
        "check": keywords(check_survey),
        "composition": keywords(use_log_ratios),
        "grid": {"cell", "power", "neighbours", "radius", "scale", "barriers", *IDW_OPTIONS},
        "screen": keywords(screen_elements),
        "rasterize": {"geology", "faults"},
        "windows": {"kind", "size", *keywords(tiled_windows, centred_windows, without=("deposits", "valid"))},
        "folds": keywords(spatial_folds),
        "train": {f.name for f in fields(Training)} | {"device"},
        "predict": keywords(predict_scores),
        "evaluate": {"baselines", "paper_protocol"},
        "targets": keywords(make_targets, without=("stack", "faults")),
    }


def run_project(project: Project, *, overwrite: bool = False) -> Path:
    """Run every stage and fill the run folder; return the folder.

    An interrupted run goes on with its training where it stopped. A finished one is kept unless ``overwrite`` is
    given; even then, a trained model whose inputs did not change is used again.
    """
    out = project.out
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
        grid, windows, folds = cut_windows(project, survey)
    with _timed(timings, "screen"):
        screening, chosen = screen_in_folds(project, survey, folds)
        write_table(screening, out / "screen.csv", overwrite=True)
    with _timed(timings, "stack"):
        stack = _stack(
            project, survey, grid, sorted({e for part in chosen for e in part}, key=list(survey.elements).index)
        )
        write_raster(stack, out / "stack.tif", overwrite=True)
        write_layers({"windows": windows, "folds": folds.blocks()}, out / "windows.gpkg", overwrite=True)
    with _timed(timings, "train"):
        model = _train(project, stack, windows, folds, chosen)
    with _timed(timings, "predict"):
        scores = predict_scores(model, stack, **project.stage("predict"))
        write_raster(scores, out / "scores.tif", overwrite=True)
    with _timed(timings, "evaluate"):
        evaluation = _evaluate(project, model, stack, windows, survey, scores)
    with _timed(timings, "targets and maps"):
        targets = _write_targets(project, model, stack, survey, scores)
        draw_stack(stack, out / "stack.png", overwrite=True)
        draw_scores(scores, targets, survey, out / "scores.png", overwrite=True)
        write_summary(
            out / "summary.md",
            survey=survey,
            findings=findings,
            screening=screening,
            evaluation=evaluation.table,
            verdict=evaluation.verdict,
            targets=targets,
            stack=stack,
        )
    write_json(_record(project, survey, grid, folds, timings), out / "run.json", overwrite=True)
    return out


def cut_windows(project: Project, survey: Survey) -> tuple[Grid, gpd.GeoDataFrame, Folds]:
    """Return the run's grid, the labelled windows and the folds."""
    paper = project.preset == "paper"
    settings = project.stage("windows")
    cell = project.stage("grid").get("cell")
    if cell is None and paper:
        west, south, east, north = survey_grid(survey).bounds
        cell = max(east - west, north - south) / PAPER_CELLS
    grid = survey_grid(survey, cell)
    grid.require_memory(len(survey.elements) + 2)
    valid = study_area_mask(survey.study_area, grid)
    size = settings.pop("size", PAPER_WINDOW if paper else DEFAULT_SIZE)
    kind = settings.pop("kind", "tiled" if paper else "centred")
    if kind not in ("tiled", "centred"):
        raise UsageError(f'windows of kind "{kind}" are unknown: use "centred" or "tiled".')
    known = inspect.signature(tiled_windows if kind == "tiled" else centred_windows).parameters
    for name in settings:
        if name not in known:
            raise UsageError(f"[windows] {name} has no meaning for {kind} windows.")
    if kind == "tiled":
        windows = tiled_windows(grid, size, deposits=survey.deposits, valid=valid, **settings)
    else:
        windows = centred_windows(grid, size, survey.deposits, valid, seed=project.seed, **settings)
    folds = spatial_folds(windows, grid, valid, seed=project.seed, **project.stage("folds"))
    windows["fold"] = folds.of_windows(windows) + 1
    return grid, windows, folds


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


def _stack(project: Project, survey: Survey, grid: Grid, elements: list[str]) -> xr.DataArray:
    choices = {**project.stage("grid", "power", "neighbours", "radius", "scale"), **project.stage("rasterize")}
    if "neighbours" in choices:
        choices["neighbours"] = choices["neighbours"] or None  # 0 = all samples, as TOML has no null
    settings = {"errors": True, **project.stage("grid", *IDW_OPTIONS)}
    if "anisotropy" in settings:
        settings["anisotropy"] = tuple(settings["anisotropy"])
    if project.stage("grid", "barriers").get("barriers"):
        if survey.faults is None:
            raise UsageError("[grid] barriers = true needs faults, and the survey has none.")
        settings["barriers"] = survey.faults
    return build_stack(survey, grid, elements=elements, options=IdwOptions(**settings), **choices)


def _train(
    project: Project, stack: xr.DataArray, windows: gpd.GeoDataFrame, folds: Folds, chosen: list[list[str]]
) -> Model:
    """Train, or take the model that was trained on exactly these inputs."""
    settings = project.stage("train")
    device = settings.pop("device", "auto")
    options = training_options(project.preset, **settings)
    others = [band.name for band in bands_of(stack) if band.kind not in ("element", "ratio")]
    bands = [[*elements, *others] for elements in chosen]
    split = (folds.block, folds.margin, folds.table.tolist())
    state = (asdict(options), bands, project.seed, windows.drop(columns="geometry").to_csv(), split)
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


def _evaluate(
    project: Project, model: Model, stack: xr.DataArray, windows: gpd.GeoDataFrame, survey: Survey, scores: xr.DataArray
) -> Evaluation:
    settings, out = project.stage("evaluate"), project.out
    stride = project.stage("predict").get("stride")
    options = {"baselines": settings["baselines"]} if "baselines" in settings else {}
    evaluation = evaluate_model(model, stack, windows, survey.deposits, scores, stride=stride, **options)
    table = evaluation.table
    if settings.get("paper_protocol", project.preset == "paper"):
        device = project.stage("train").get("device", "auto")
        leaky = evaluate_paper_protocol(stack, windows, options=model.options, seed=model.seed, device=device)
        table = pd.concat([table, leaky], ignore_index=True)
        say("the paper's protocol balances before it splits: its figures leak and are for comparison only")
    write_table(table, out / "evaluation.csv", overwrite=True)
    content = {
        "verdict": evaluation.verdict,
        "models": table.to_dict("records"),
        "held_out_shares": evaluation.placements,
    }
    write_json(content, out / "evaluation.json", overwrite=True)
    for line in evaluation.verdict:
        say(line)
    return Evaluation(table, evaluation.verdict, evaluation.placements)


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


def _checked(path: Path, name: str, table: Mapping[str, Any], allowed: set[str]) -> dict[str, Any]:
    for key in table:
        if key not in allowed:
            hint = nearest_name(key, allowed) or f" It knows {', '.join(sorted(allowed))}."
            raise UsageError(f'{path.name}: [{name}] has no setting "{key}".{hint}')
    return dict(table)
