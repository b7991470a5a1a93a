"""Held-out figures with and without calibration, on finished run folders (``geomfaf run``, trained
without any).

    python benchmarks/calibration.py RUN [RUN ...]

The models of each run are taken as they are; only the inner ones are trained, once, and kept in
RUN/calibration. Brier score and calibration error are given as a run prints them, on the windows as
they were drawn (four barren ones a deposit), and at even odds, which is what the probabilities are
meant for.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from idw import write

from geomfaf.evaluation.held_out import network_draw, remembered
from geomfaf.evaluation.metrics import BINS, place_deposits, window_metrics
from geomfaf.files import file_hash
from geomfaf.models.baselines import NETWORK
from geomfaf.models.fold_models import Model, inner_scores
from geomfaf.models.model_files import load_model
from geomfaf.models.network.calibrate import KINDS, even_odds, fit_calibration
from geomfaf.models.predict import Lattice, ground_features, lattice_scores, model_lattice
from geomfaf.progress import show_progress, track
from geomfaf.rasters.bands import grid_of, valid_cells
from geomfaf.rasters.geotiff import read_raster
from geomfaf.survey.read import read_layer
from geomfaf.survey.survey import Source
from geomfaf.windows.folds import read_folds
from geomfaf.windows.windows import deposit_cells


def even_figures(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Return Brier score and expected calibration error with ore and barren windows of the same
    weight.
    """
    weights = even_odds(labels)
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    gap = np.bincount(bins, weights * (scores - labels), BINS)
    return float(np.average((scores - labels) ** 2, weights=weights)), float(np.abs(gap).sum())


def learned_inside(
    run: Path, model: Model, stack: xr.DataArray, windows
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the inner scores and labels of every fold."""
    found = []
    for member in model.members:
        names = list(dict.fromkeys(channel.band for channel in member.encoder.channels))

        def compute(member=member, names=names) -> dict[str, np.ndarray]:
            own = {"options": model.options, "seed": model.seed + member.fold, "device": "cpu"}
            scores, labels = inner_scores(stack, windows, model.folds, member.fold, names, **own)
            return {"scores": scores, "labels": labels}

        state = (file_hash(run / "model" / "weights.safetensors"), windows, member.fold, names)
        kept = remembered(run / "calibration", state, compute)
        found.append((kept["scores"], kept["labels"]))
    return found


def lattice_of(model: Model, stack: xr.DataArray, lattice: Lattice) -> list[np.ndarray]:
    """Return what each fold's network says, before calibration, on the centres that its ground
    leans on.
    """
    found = []
    raster = model.folds.raster()
    for member in track(model.members, "scoring held-out ground", unit="folds"):
        wanted = lattice.near((raster == member.fold) & lattice.valid)
        odds = member.odds(ground_features(model, stack, lattice, wanted))
        found.append(
            lattice_scores(stack, lattice, wanted, member.encoder, member.judge, model.size, odds)[
                0
            ]
        )
    return found


def measure(run: Path) -> list[dict]:
    """Return one row a kind of calibration."""
    stack = read_raster(run / "stack.tif")
    model = load_model(run / "model", device="cpu")
    windows, _ = read_folds(run / "windows.gpkg", grid_of(stack))
    deposits = read_layer(Source(run / "targets.gpkg", "deposits"))
    valid = valid_cells(stack)
    rows, cols = deposit_cells(deposits, model.folds.grid)
    rows, cols = rows[valid[rows, cols]], cols[valid[rows, cols]]
    fold_of = model.folds.raster()[rows, cols]
    inner = learned_inside(run, model, stack, windows)
    table = []
    lattice = model_lattice(model, valid)
    said = lattice_of(model, stack, lattice)
    window_said = (
        network_draw(model, stack, windows, heldout=np.zeros(valid.shape))
        .scores[NETWORK]
        .astype(np.float32)
    )
    tested = np.isfinite(window_said)
    judged_by = model.folds.of_windows(windows)
    labels = windows["label"].to_numpy()[tested]
    for kind in KINDS:
        curves = [fit_calibration(kind, *scores) for scores in inner]
        score = np.full(valid.shape, np.nan, np.float32)
        scores = window_said.copy()
        for fold, curve in enumerate(curves):
            own = model.folds.raster() == fold
            score[own] = lattice.blend(curve.apply(said[fold]))[own]
            scores[judged_by == fold] = curve.apply(window_said[judged_by == fold])
        scores = scores[tested]
        figures = window_metrics(labels, scores)
        even = even_figures(labels, scores)
        row = {
            "area": run.parent.name if run.name == "out" else run.name,
            "calibration": kind,
            "temperatures": _range([c.temperature for c in curves], kind),
        }
        row |= {"Brier": figures["brier"], "calibration error": figures["calibration_error"]}
        row |= {"Brier, even odds": even[0], "calibration error, even odds": even[1]}
        row |= {
            "window AUC": figures["auc"],
            "map AUC": float(place_deposits(score, valid, rows, cols).auc.mean()),
        }
        row["map AUC in the folds"] = _in_folds(score, valid, (rows, cols), fold_of, model)
        table.append(row)
        print(row, file=sys.stderr, flush=True)
    return table


def _in_folds(
    score: np.ndarray, valid: np.ndarray, at: tuple, fold_of: np.ndarray, model: Model
) -> float:
    """Return the mean AUC of deposits against the ground of their own fold: its scores come from
    one model.
    """
    raster = model.folds.raster()
    aucs = np.empty(len(fold_of))
    for fold in np.unique(fold_of):
        own = fold_of == fold
        aucs[own] = place_deposits(score, valid & (raster == fold), at[0][own], at[1][own]).auc
    return float(aucs.mean())


def _range(temperatures: Sequence[float], kind: str) -> str:
    return f"{min(temperatures):.2f} to {max(temperatures):.2f}" if kind == "temperature" else "-"


def main() -> None:
    """Measure the runs and write the table."""
    torch.set_num_threads(1)
    show_progress("auto")
    table = [row for run in sys.argv[1:] for row in measure(Path(run))]
    write(
        pd.DataFrame(table),
        "calibration",
        "MFAF with its partners, default settings, spatial folds, one draw.",
    )


if __name__ == "__main__":
    main()
