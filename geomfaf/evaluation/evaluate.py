"""How good is the map on ground it never saw? The network and the simplest rivals, on the same
folds and draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError
from ..models.baselines import BASELINES, NETWORK
from ..models.fold_models import Model, training_data
from ..models.network.augment import smote
from ..models.network.classifier import MFAFClassifier
from ..models.network.options import Training
from ..models.predict import SCORE_BANDS, Lattice, default_stride, model_lattice
from ..rasters.bands import bands_of, grid_of, score_values, valid_cells
from ..windows.folds import Folds, prove_leak_free, random_split
from ..windows.windows import deposit_cells
from .held_out import Baselines, Draw, network_draw
from .intervals import bootstrap_interval, mean_interval
from .metrics import AREAS, boyce_index, place_deposits, prediction_area, window_metrics
from .verdict import recommended, verdict

CURVE = np.linspace(0, 1, 1001)
"""Shares of area at which the capture curves are kept."""


@dataclass(frozen=True)
class Evaluation:
    """Result of :func:`evaluate_model`.

    Attributes
    ----------
    table : DataFrame
        One row a model: map figures with their 95 % intervals, spread over draws and folds, window
        figures, counts.
    verdict : list of str
        What the figures do and do not support, in plain sentences.
    aucs : dict
        Model -> for each held-out deposit, the share of the valid area that scores lower (ties one
        half), the mean over the draws.
    curves : DataFrame
        Captured share of the deposits by share of area (the index), a column a model.
    proof : DataFrame
        See :func:`geomfaf.prove_leak_free`, of the first draw.
    recommended : str
        The model to map with, see :func:`geomfaf.evaluation.verdict.recommended`.
    draws : list of Draw
        Every draw with the held-out maps of all models.
    simple : Baselines
        The simple models' feature tables, to map with one of them.
    """

    table: pd.DataFrame
    verdict: list[str]
    aucs: dict[str, np.ndarray]
    curves: pd.DataFrame
    proof: pd.DataFrame
    recommended: str
    draws: list[Draw]
    simple: Baselines

    def risk_return(self, model: str) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of a model's held-out score over the draws, (y, x)
        each.
        """
        maps = np.stack([draw.maps[model] for draw in self.draws if model in draw.maps])
        spread = (
            maps.std(axis=0, ddof=1)
            if len(maps) > 1
            else np.full(maps.shape[1:], np.nan, np.float32)
        )
        return maps.mean(axis=0), spread


def evaluate_model(
    model: Model,
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    deposits: gpd.GeoDataFrame,
    scores: xr.DataArray,
    *,
    baselines: Sequence[str] | None = None,
    stride: int | None = None,
    draws: Sequence[Draw] = (),
    folder: Path | None = None,
) -> Evaluation:
    """Evaluate a model and its simplest rivals on the same folds, draws, windows and bands.

    Every figure comes from out-of-fold scores: a window or cell is judged by the model of its fold,
    which was trained on windows that share no cell with it. Every draw is proved to be free of
    leaks first.

    Parameters
    ----------
    scores : DataArray
        Result of :func:`geomfaf.predict_scores` on the same stack.
    baselines : sequence of str, optional
        Names of the simple models; all that are registered when omitted.
    stride : int, optional
        Of the baselines' maps; use the one of ``scores``.
    draws : sequence of Draw
        More draws of barren windows and seeds, with or without the network's held-out scores on
        them.
    folder : Path, optional
        Keeps what is finished, fold by fold, so that an interrupted evaluation goes on.
    """
    for what, array in (("the stack", stack), ("the score map", scores)):
        model.folds.grid.require_same(grid_of(array), what)
    for table in (windows, *(draw.windows for draw in draws)):
        if (table["size"] != model.size).any():
            raise DataError(
                f"windows of {table['size'].max()} cells cannot test a model of windows of"
                f" {model.size} cells: its folds keep no distance for them. Give the windows that"
                " it was trained on."
            )
    proofs = [
        prove_leak_free(table, model.folds)
        for table in (windows, *(draw.windows for draw in draws))
    ]
    valid = valid_cells(stack)
    at = _deposits_on(valid, deposits, model.folds)
    said = next(band.description for band in bands_of(scores) if band.name == "score")
    if said != SCORE_BANDS[0].description:
        raise DataError(
            f'the score map is not the network\'s but "{said}": run `geomfaf predict` and give its'
            " result."
        )
    (heldout,) = score_values(scores, ["heldout_score"])
    if not np.isfinite(heldout[valid]).any():
        raise DataError(
            "the score map has no held-out scores: it was predicted on another grid than the"
            " model's, to the last digit. Run `geomfaf predict` on the stack that the model was"
            " trained on."
        )
    first = network_draw(model, stack, windows, stride=stride, heldout=heldout)
    bands = [member.bands for member in model.members]
    names = list(BASELINES if baselines is None else baselines)
    lattice = model_lattice(model, valid, stride)
    simple = Baselines(stack, model.folds, bands, lattice, model.size, names)
    done = [
        simple.draw(draw, label=f"simple models, draw {number} of {1 + len(draws)}", folder=folder)
        for number, draw in enumerate((first, *draws), start=1)
    ]
    return summarise(done, simple, proofs[0], at)


def evaluate_baselines(
    stack: xr.DataArray,
    folds: Folds,
    draws: Sequence[Draw],
    deposits: gpd.GeoDataFrame,
    *,
    baselines: Sequence[str] | None = None,
    bands: Sequence[Sequence[str]] | None = None,
    stride: int | None = None,
    folder: Path | None = None,
) -> Evaluation:
    """Evaluate the simple models alone, without any network; see :func:`evaluate_model`."""
    proofs = [prove_leak_free(draw.windows, folds) for draw in draws]
    size = int(draws[0].windows["size"].iloc[0])
    valid = valid_cells(stack)
    bands = [[str(name) for name in stack["band"].values]] * folds.count if bands is None else bands
    lattice = Lattice(valid, default_stride(size) if stride is None else stride)
    simple = Baselines(
        stack, folds, bands, lattice, size, list(BASELINES if baselines is None else baselines)
    )
    done = [
        simple.draw(draw, label=f"simple models, draw {number} of {len(draws)}", folder=folder)
        for number, draw in enumerate(draws, start=1)
    ]
    return summarise(done, simple, proofs[0], _deposits_on(valid, deposits, folds))


def _deposits_on(
    valid: np.ndarray, deposits: gpd.GeoDataFrame, folds: Folds
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the deposits on valid ground."""
    rows, cols = deposit_cells(deposits, folds.grid)
    rows, cols = rows[valid[rows, cols]], cols[valid[rows, cols]]
    if not len(rows):
        raise DataError("no deposit lies on valid ground: nothing can be evaluated.")
    return rows, cols


def summarise(
    draws: list[Draw], simple: Baselines, proof: pd.DataFrame, at: tuple[np.ndarray, np.ndarray]
) -> Evaluation:
    """Return the figures of all models over all draws, given the deposits' rows and columns."""
    folds = simple.folds
    valid = simple.lattice.valid
    clusters = folds.clusters(*at)
    fold_of = folds.raster()[at]
    table = []
    aucs = {}
    curves = {}
    for name in draws[0].maps:
        own = [draw for draw in draws if name in draw.maps]
        placed = [place_deposits(draw.maps[name], valid, *at) for draw in own]
        aucs[name] = np.mean([p.auc for p in placed], axis=0)
        curves[name] = np.mean([p.captured(CURVE) for p in placed], axis=0)
        row = {
            "model": name,
            "protocol": "spatial folds",
            "draws": len(own),
            "deposits": len(clusters),
        }
        row |= {
            "clusters": len(np.unique(clusters)),
            **_map_figures(aucs[name], curves[name], clusters, draws[0].seed),
        }
        row["boyce"] = float(np.mean([boyce_index(p) for p in placed]))
        row["map_auc_sd_draws"] = _spread([p.auc.mean() for p in placed])
        row["map_auc_sd_folds"] = _spread(
            [aucs[name][fold_of == fold].mean() for fold in np.unique(fold_of)]
        )
        table.append({**row, **_window_figures(own, name)})
    captured = pd.DataFrame(
        {name: curve.mean(axis=0) for name, curve in curves.items()}, index=CURVE
    )
    captured.index.name = "area"
    model = next((name for name in (NETWORK, "extra trees") if name in aucs), next(iter(aucs)))
    return Evaluation(
        pd.DataFrame(table),
        verdict(aucs, clusters, model=model),
        aucs,
        captured,
        proof,
        recommended(aucs, clusters, model=model),
        draws,
        simple,
    )


def _map_figures(
    auc: np.ndarray, curve: np.ndarray, clusters: np.ndarray, seed: int
) -> dict[str, float]:
    """Return map AUC, captures, P-A intersection and Nd, each with its interval over clusters of
    deposits.
    """
    columns = [int(np.abs(CURVE - area).argmin()) for area in AREAS]

    def figures(weights: np.ndarray) -> np.ndarray:
        shares = weights / weights.sum(axis=1, keepdims=True)
        meets = prediction_area(CURVE, shares @ curve)
        return np.column_stack(
            [shares @ auc, (shares @ curve)[:, columns], meets, (1 - meets) / meets]
        )

    names = ["map_auc", *(f"capture_{100 * area:g}" for area in AREAS), "pa_area", "nd"]
    found = figures(np.ones((1, len(auc))))[0]
    low, high = bootstrap_interval(figures, clusters, seed=seed)
    low[0], high[0] = mean_interval(auc, clusters, bounds=(0, 1))
    result: dict[str, float] = {}
    for name, value, least, most in zip(names, found, low, high, strict=True):
        result |= {name: float(value), f"{name}_low": float(least), f"{name}_high": float(most)}
    return result


def _window_figures(draws: list[Draw], name: str) -> dict[str, float]:
    """Return the mean of each window figure over the draws."""
    rows = []
    for draw in draws:
        tested = np.isfinite(draw.scores[name])
        rows.append(
            window_metrics(draw.windows["label"].to_numpy()[tested], draw.scores[name][tested])
        )
    means = pd.DataFrame(rows).mean()
    return {
        str(key): round(value) if str(key).endswith("windows") else float(value)
        for key, value in means.items()
    }


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def evaluate_paper_protocol(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    *,
    options: Training | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: Path | None = None,
) -> pd.DataFrame:
    """Return the window metrics under the paper's protocol: balance first, then split at random 80
    to 20.

    **These figures leak** and are for comparison with published ones only: synthetic windows stand
    in the test part beside the windows they were made from, and overlapping windows on both sides
    of the split. An interrupted training goes on from the checkpoint, where there is one.
    """
    options = replace((options or Training()).fresh(), partners=(), joining="mean")
    if "trains" in windows:  # every place once, whichever folds it was drawn for
        windows = windows.drop_duplicates(["row", "col"])
    names = [band.name for band in bands_of(stack)]
    x, labels, _ = training_data(stack, windows, names)
    x, labels = smote(x, labels, seed=seed)
    noise = np.random.default_rng(seed).normal(0, options.noise**0.5, x.shape)
    x = x + noise.astype(np.float32)
    test = random_split(labels, seed=seed)
    classifier = MFAFClassifier(options, seed=seed, device=device).fit(
        x[~test], labels[~test], checkpoint=checkpoint, label="paper's protocol"
    )
    figures = window_metrics(labels[test], classifier.predict_proba(x[test])[:, 1])
    return pd.DataFrame([{"model": NETWORK, "protocol": "paper (leaks)", **figures}])
