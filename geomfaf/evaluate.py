"""How good is the map on ground it never saw? Window and map metrics, the simplest rivals, a verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from .augment import smote
from .bands import bands_of, grid_of
from .baselines import BASELINES, make_baseline
from .errors import DataError
from .features import window_features
from .folds import random_split
from .model import FoldModel, Model, training_data
from .predict import model_lattice, score_values
from .progress import track
from .screen import rank_auc
from .stack import valid_cells
from .train import MFAFClassifier, Training
from .windows import deposit_cells, read_windows

AREAS = (0.05, 0.10, 0.20)
"""Shares of the valid area for which the captured deposits are counted."""

DRAWS = 2000
"""Bootstrap draws of deposit clusters behind every interval."""


@dataclass(frozen=True)
class Evaluation:
    """Result of :func:`evaluate_model`.

    Attributes
    ----------
    table : DataFrame
        One row a model: window metrics, map AUC with its 95 % interval, captures, counts.
    verdict : list of str
        What the figures do and do not support, in plain sentences.
    placements : dict
        Model -> for each held-out deposit, the share of the valid area that scores higher.
    """

    table: pd.DataFrame
    verdict: list[str]
    placements: dict[str, np.ndarray]


def window_metrics(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Return accuracy, AUC, recall and F1 of window scores at the threshold 0.5."""
    from sklearn.metrics import accuracy_score, f1_score, recall_score

    said = scores > 0.5
    return {
        "accuracy": float(accuracy_score(labels, said)),
        "auc": rank_auc(scores, labels == 1),
        "recall": float(recall_score(labels, said, zero_division=0)),
        "f1": float(f1_score(labels, said, zero_division=0)),
    }


def higher_share(score: np.ndarray, valid: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Return for each deposit the share of the valid area that scores higher; ties count one half.

    One minus its mean is the AUC of deposits against all valid cells; a deposit is captured by the best x of the area
    when its share is at most x. Cells that are not valid, or have no score, are never counted.

    >>> score = np.array([[0.9, 0.5, 0.1, np.nan]])
    >>> higher_share(score, np.isfinite(score), np.array([0, 0]), np.array([0, 1])).round(3).tolist()
    [0.167, 0.5]
    """
    cells = np.sort(score[valid & np.isfinite(score)])
    own = score[rows, cols]
    above = len(cells) - np.searchsorted(cells, own, side="right")
    tied = np.searchsorted(cells, own, side="right") - np.searchsorted(cells, own, side="left")
    return np.where(np.isfinite(own), (above + tied / 2) / max(len(cells), 1), np.nan)


def map_metrics(shares: np.ndarray, clusters: np.ndarray, *, seed: int = 0) -> dict[str, float]:
    """Return map AUC with a 95 % interval and the captures, from :func:`higher_share`.

    The interval resamples clusters of deposits, because neighbours are no independent witnesses.
    """
    low, high = _interval(1 - shares, clusters, seed)
    figures = {"map_auc": float(1 - shares.mean()), "map_auc_low": low, "map_auc_high": high}
    for area in AREAS:
        captured = int((shares <= area).sum())
        figures |= {
            f"capture_{area:.0%}".rstrip("%"): captured / len(shares),
            f"captured_{area:.0%}".rstrip("%"): captured,
        }
    return figures


def evaluate_model(
    model: Model,
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    deposits: gpd.GeoDataFrame,
    scores: xr.DataArray,
    *,
    baselines: Sequence[str] = tuple(BASELINES),
    stride: int | None = None,
) -> Evaluation:
    """Evaluate a model and its simplest rivals on the same folds, windows and bands.

    Every figure comes from out-of-fold scores: a window or cell is judged by the model of its fold, which was trained
    on windows that share no cell with it.

    Parameters
    ----------
    scores : DataArray
        Result of :func:`geomfaf.predict_scores` on the same stack.
    stride : int, optional
        Of the baselines' maps; use the one of ``scores``.
    """
    for what, array in (("the stack", stack), ("the score map", scores)):
        model.folds.grid.require_same(grid_of(array), what)
    if (windows["size"] != model.size).any():
        raise DataError(
            f"windows of {windows['size'].max()} cells cannot test a model of windows of {model.size} cells: "
            "its folds keep no distance for them. Give the windows that it was trained on."
        )
    valid = valid_cells(stack)
    rows, cols = deposit_cells(deposits, model.folds.grid)
    rows, cols = rows[valid[rows, cols]], cols[valid[rows, cols]]
    if not len(rows):
        raise DataError("no deposit lies on valid ground: nothing can be evaluated.")
    clusters = (rows // model.folds.block) * model.folds.table.shape[1] + cols // model.folds.block
    lattice = model_lattice(model, valid, stride)
    labels, fold_of = windows["label"].to_numpy(), model.folds.of_windows(windows)
    (heldout,) = score_values(scores, ["heldout_score"])
    out_of_fold = {"MFAF": np.full(len(windows), np.nan), **{name: np.full(len(windows), np.nan) for name in baselines}}
    half, at = model.size // 2, np.nonzero(lattice.wanted)
    # Nothing in these tables is learned, so one of each serves all folds.
    table_of_windows = window_features(stack, windows["row"] + half, windows["col"] + half, model.size)
    table_of_map = window_features(stack, lattice.rows[at[0]], lattice.cols[at[1]], model.size)
    maps = {"MFAF": heldout, **{name: np.full(heldout.shape, np.nan, np.float32) for name in baselines}}
    for member in track(model.members, "evaluating", unit="folds"):
        # In the order of the member's channels: its encoder makes the windows that the rivals are tested on.
        names = list(dict.fromkeys(channel.band for channel in member.encoder.channels))
        train, test = model.folds.training(windows, member.fold), fold_of == member.fold
        x_test = _encoded(stack, windows[test], names, member)
        out_of_fold["MFAF"][test] = member.classifier.predict_proba(x_test)[:, 1]
        own = model.folds.raster() == member.fold
        near = lattice.near(own & valid)[at]
        rows_of_fold, ground = table_of_windows.select(bands=names), table_of_map[near].select(bands=names)
        for name in baselines:
            rival = make_baseline(name, seed=model.seed)
            rival.fit(rows_of_fold[train], labels[train])
            out_of_fold[name][test] = rival.predict_proba(rows_of_fold[test])[:, 1]
            found = np.full(lattice.wanted.shape, np.nan, np.float32)
            found[at[0][near], at[1][near]] = rival.predict_proba(ground)[:, 1]
            maps[name][own] = lattice.blend(found)[own]
    table, placements = [], {}
    for name, window_scores in out_of_fold.items():
        placements[name] = higher_share(maps[name], valid, rows, cols)
        figures = {**window_metrics(labels, window_scores), **map_metrics(placements[name], clusters, seed=model.seed)}
        counts = {"windows": len(windows), "ore_windows": int(labels.sum()), "deposits": len(rows)}
        table.append({"model": name, "protocol": "spatial folds", **figures, **counts})
    return Evaluation(pd.DataFrame(table), verdict(placements, clusters, seed=model.seed), placements)


def evaluate_paper_protocol(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    *,
    options: Training | None = None,
    seed: int = 0,
    device: str = "auto",
) -> pd.DataFrame:
    """Return the window metrics under the paper's protocol: balance first, then split at random 80 to 20.

    **These figures leak** and are for comparison with published ones only: synthetic windows stand in the test part
    beside the windows they were made from, and overlapping windows on both sides of the split.
    """
    options = options or Training()
    names = [band.name for band in bands_of(stack)]
    x, labels, _ = training_data(stack, windows, names)
    x, labels = smote(x, labels, seed=seed)
    noise = np.random.default_rng(seed).normal(0, options.noise**0.5, x.shape)
    x = x + noise.astype(np.float32)
    test = random_split(labels, seed=seed)
    classifier = MFAFClassifier(options, seed=seed, device=device).fit(
        x[~test], labels[~test], label="paper's protocol"
    )
    figures = window_metrics(labels[test], classifier.predict_proba(x[test])[:, 1])
    counts = {"windows": int(test.sum()), "ore_windows": int(labels[test].sum())}
    return pd.DataFrame([{"model": "MFAF", "protocol": "paper (leaks)", **figures, **counts}])


def verdict(placements: dict[str, np.ndarray], clusters: np.ndarray, *, seed: int = 0) -> list[str]:
    """Say in plain sentences whether the map beats chance and whether a simpler model does better."""
    count, groups = len(clusters), len(np.unique(clusters))
    own = 1 - placements["MFAF"]
    low, high = _interval(own, clusters, seed)
    held = f"held-out map AUC {own.mean():.3f}, 95 % interval {low:.3f} to {high:.3f}, {count} deposits"
    if low > 0.5:
        lines = [f"MFAF's map ranks unseen deposits better than chance ({held})."]
    elif high < 0.5:
        lines = [f"MFAF's map ranks unseen deposits worse than chance ({held}): do not use it."]
    else:
        lines = [f"The data do not show that MFAF's map is better than chance ({held})."]
    for name, shares in placements.items():
        if name == "MFAF":
            continue
        difference = own - (1 - shares)
        low, high = _interval(difference, clusters, seed)
        gap = f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        if low > 0:
            lines.append(f"MFAF is ahead of {name} (difference in map AUC {gap}).")
        elif high < 0:
            lines.append(f"{name[0].upper()}{name[1:]} beats MFAF here (difference in map AUC {gap}): prefer its map.")
        else:
            lines.append(f"MFAF and {name} cannot be told apart with these deposits (difference in map AUC {gap}).")
    if count < 20:
        lines.append(f"With {count} held-out deposits no share or AUC means much without its interval.")
    if groups < 5:
        lines.append(f"The deposits lie in only {groups} blocks of ground: the intervals are themselves uncertain.")
    return lines


def _encoded(stack: xr.DataArray, windows: gpd.GeoDataFrame, names: list[str], member: FoldModel) -> np.ndarray:
    size = int(windows["size"].iloc[0]) if len(windows) else 1
    raw = read_windows(stack.sel(band=names).values, windows["row"].to_numpy(), windows["col"].to_numpy(), size)
    return np.ascontiguousarray(member.encoder.transform(raw.swapaxes(0, 1), names).swapaxes(0, 1))


def _interval(values: np.ndarray, clusters: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean over deposits, drawing whole clusters."""
    _, group = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(group, weights=values), np.bincount(group)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
