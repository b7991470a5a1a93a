"""How good are window scores? Their figures against labels."""

from __future__ import annotations

import numpy as np

from ..errors import DataError
from .intervals import bootstrap_interval
from .metrics import with_intervals

BINS = 10
"""Equal bins of the score in the calibration error."""


def window_metrics(
    labels: np.ndarray,
    scores: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return the figures of window scores against labels; with ``clusters`` also their 95 %
    intervals.

    Parameters
    ----------
    labels : (windows,) ndarray
        1 = ore, 0 = barren.
    scores : (windows,) ndarray
        P(ore), 0 to 1.
    clusters : (windows,) ndarray, optional
        Which cluster of ground each window belongs to.

    Returns
    -------
    dict
        ``windows``, ``ore_windows``, ``accuracy``, ``recall`` and ``f1`` at the threshold 0.5,
        ``auc``, ``average_precision``, ``brier`` (mean squared error of the probability) and
        ``calibration_error`` (mean distance of said and found share of ore over ten bins, Naeini et
        al. 2015, doi 10.1609/aaai.v29i1.9602).
    """
    labels = np.asarray(labels)
    scores = np.asarray(scores, float)
    _require_probabilities(labels, scores)
    names = ["accuracy", "auc", "average_precision", "recall", "f1", "brier", "calibration_error"]
    found = _window_figures(labels == 1, scores, np.ones((1, len(labels))))[0]
    counts = {"windows": len(labels), "ore_windows": int((labels == 1).sum())}
    if clusters is None:
        return {**counts, **{name: float(value) for name, value in zip(names, found, strict=True)}}
    low, high = bootstrap_interval(
        lambda drawn: _window_figures(labels == 1, scores, drawn), clusters, seed=seed
    )
    return {**counts, **with_intervals(names, found, low, high)}


def _window_figures(ore: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the figures of :func:`window_metrics` for each row of weights, (draws, 7)."""
    # 1. ore and barren weight of each score, best first; windows of one score stand together
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    positive = np.add.reduceat((weights * ore)[:, order], starts, axis=1)
    negative = np.add.reduceat((weights * ~ore)[:, order], starts, axis=1)
    hits = positive.cumsum(axis=1)
    alarms = negative.cumsum(axis=1)
    all_ore = hits[:, -1]
    all_barren = alarms[:, -1]
    total = weights.sum(axis=1)
    # 2. what is called ore at one half
    said = scores > 0.5
    true = (weights * (said & ore)).sum(axis=1)
    called = (weights * said).sum(axis=1)
    # 3. the figures; NaN where one kind of window was not drawn
    bins = np.eye(BINS)[np.minimum((scores * BINS).astype(int), BINS - 1)]
    outranked = all_barren[:, None] - alarms + negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (positive * outranked).sum(axis=1) / (all_ore * all_barren)
        precision = np.nan_to_num(hits / (hits + alarms))
        average_precision = (positive * precision).sum(axis=1) / all_ore
        recall = np.nan_to_num(true / all_ore)
        f1 = np.nan_to_num(2 * true / (called + all_ore))
    accuracy = weights @ (said == ore) / total
    brier = weights @ (scores - ore) ** 2 / total
    calibration = np.abs((weights * (scores - ore)) @ bins).sum(axis=1) / total
    return np.stack([accuracy, auc, average_precision, recall, f1, brier, calibration], axis=1)


def _require_probabilities(labels: np.ndarray, scores: np.ndarray) -> None:
    if len(labels) != len(scores) or not len(labels):
        raise DataError(
            f"{len(scores)} scores do not judge {len(labels)} labelled windows: give one score a"
            " window."
        )
    wrong = np.flatnonzero(~((scores >= 0) & (scores <= 1)))
    if len(wrong):
        raise DataError(
            f"the score of window {wrong[0]} is {scores[wrong[0]]}, not a probability from 0 to 1 "
            f"({len(wrong)} of {len(scores)} are not): every window needs a held-out P(ore)."
        )
