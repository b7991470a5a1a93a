"""Calibrated scores: a window said to be ore at 70 % should be ore in 70 of 100 cases, at even
odds.

What is said is corrected by one rising curve a fold model. It is learned inside the fold: its
training ground is split once more into spatial parts, networks trained without a part score the
windows of that part, and the curve is fitted to these scores. The fold's test ground has no part in
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from ...errors import DataError, UsageError
from ...progress import track
from ...windows.folds import Folds, shared_cells

KINDS = ("none", "temperature", "isotonic")

COOLEST = 0.1
HOTTEST = 10.0
"""Bounds of a temperature: where a few windows are told apart without error the best one would be
0.
"""

LARGEST_LOGIT = 30.0
"""Scores are float32, which has no number between 1 - 6e-8 and 1: a score of 1 stands for no
certainty.
"""


@dataclass(frozen=True)
class Calibration:
    """A rising curve from said to calibrated scores.

    Attributes
    ----------
    kind : {"none", "temperature", "isotonic"}
        ``"temperature"``: sigmoid(logit(score) / T) (Guo et al. 2017). ``"isotonic"``: straight
        lines between the breakpoints (Zadrozny and Elkan 2002).
    temperature : float
        T.
    said, found : tuple of float
        The breakpoints of an isotonic curve.

    Examples
    --------
    >>> Calibration("temperature", temperature=2.0).apply(np.array([0.1, 0.5, 0.9])).round(3)
    array([0.25, 0.5 , 0.75])
    """

    kind: str = "none"
    temperature: float = 1.0
    said: tuple[float, ...] = ()
    found: tuple[float, ...] = ()

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Return the calibrated scores, shaped and typed like ``scores``; NaN stays NaN."""
        if self.kind == "none":
            return scores
        if self.kind == "isotonic":
            return np.interp(scores, self.said, self.found).astype(scores.dtype)
        return expit(log_odds(scores) / self.temperature).astype(scores.dtype)

    def as_json(self) -> dict:
        """Return what :meth:`from_json` reads: plain numbers, which JSON keeps to the bit."""
        if self.kind == "isotonic":
            return {"kind": self.kind, "said": list(self.said), "found": list(self.found)}
        if self.kind == "none":
            return {"kind": self.kind}
        return {"kind": self.kind, "temperature": self.temperature}

    @classmethod
    def from_json(cls, content: dict | None) -> Calibration:
        """Return the calibration that :meth:`as_json` described; None is none."""
        if content is None:
            return UNCALIBRATED
        breakpoints = {name: tuple(content[name]) for name in ("said", "found") if name in content}
        return cls(**{**content, **breakpoints})


UNCALIBRATED = Calibration()


def log_odds(scores: np.ndarray) -> np.ndarray:
    """Return log(p / (1 - p)) in float64, finite also for scores of 0 and 1."""
    return np.clip(logit(np.asarray(scores, float)), -LARGEST_LOGIT, LARGEST_LOGIT)


def log_loss(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean of -log(probability of what is there)."""
    return float(
        np.average(np.logaddexp(0, np.where(labels == 1, -logits, logits)), weights=weights)
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return the temperature T of smallest log loss of ``logits / T`` (Guo et al. 2017, ICML).

    Above 1 the scores were too sure of themselves, below 1 not sure enough. The loss is convex in 1
    / T, so there is one best value; it is sought between 0.1 and 10.

    Examples
    --------
    Said with log odds of 2, found in three of four cases, log odds of log(3): T = 2 / log(3).

    >>> said, ore = np.array([2.0, 2, 2, 2, -2, -2, -2, -2]), np.array([1, 1, 1, 0, 0, 0, 0, 1])
    >>> round(fit_temperature(said, ore, np.ones(8)), 4), round(2 / np.log(3).item(), 4)
    (1.8205, 1.8205)
    """
    logits, labels, weights = _checked(logits, labels, weights)
    found = minimize_scalar(
        lambda power: log_loss(logits / np.exp(power), labels, weights),
        bounds=(np.log(COOLEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-7},
    )
    # Where 1 is best already, the search ends a rounding error beside it.
    better = found.fun < log_loss(logits, labels, weights)
    return float(np.exp(found.x)) if better else 1.0


def fit_isotonic(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the breakpoints of the rising curve of smallest squared error (Zadrozny and Elkan
    2002, KDD).

    It is scikit-learn's, kept as numbers: between breakpoints it is straight, outside of them it is
    level. Different scores may become one: the order of the places is kept but for such ties.
    """
    from sklearn.isotonic import IsotonicRegression

    scores, labels, weights = _checked(scores, labels, weights)
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
        scores, labels, sample_weight=weights
    )
    said = curve.X_thresholds_.tolist()
    found = curve.y_thresholds_.tolist()
    return tuple(said), tuple(found)


def fit_calibration(kind: str, scores: np.ndarray, labels: np.ndarray) -> Calibration:
    """Return the calibration of a kind for scores of windows that their networks never saw, at even
    odds.

    There are four barren windows for each deposit because someone said so, not because the ground
    is like that. Ore and barren windows weigh the same, as in every probability of geomfaf.
    """
    if kind not in KINDS:
        raise UsageError(f'calibration = "{kind}" is unknown: use {" or ".join(KINDS)}.')
    if kind == "none":
        return UNCALIBRATED
    labels = np.asarray(labels)
    weights = even_odds(labels)
    if kind == "isotonic":
        said, found = fit_isotonic(scores, labels, weights)
        return Calibration(kind, said=said, found=found)
    return Calibration(kind, temperature=fit_temperature(log_odds(scores), labels, weights))


def even_odds(labels: np.ndarray) -> np.ndarray:
    """Return weights that sum to one half for ore and to one half for barren windows.

    >>> even_odds(np.array([1, 0, 0, 0, 0]))
    array([0.5  , 0.125, 0.125, 0.125, 0.125])
    """
    ore = np.asarray(labels) == 1
    if ore.all() or not ore.any():
        raise DataError(
            "calibration needs scores of windows with and without deposits, and one kind is"
            " missing."
        )
    return np.where(ore, 0.5 / ore.sum(), 0.5 / (~ore).sum())


def scores_by_parts(
    own: gpd.GeoDataFrame,
    folds: Folds,
    learn: Callable[[gpd.GeoDataFrame, gpd.GeoDataFrame], np.ndarray],
    label: str,
) -> np.ndarray:
    """Return the score of each of a fold's training windows by a model that did not see its ground,
    else NaN.

    The blocks of the other folds are the inner parts, kept apart by the same margin as the folds
    themselves. A part without windows to test, or without two windows of each kind to learn from,
    is left out.
    """
    own = own.drop(columns="trains", errors="ignore")
    labels = own["label"].to_numpy()
    scores = np.full(len(own), np.nan)
    for part in track(range(folds.count), label, unit="inner parts"):
        train = folds.training(own, part)
        test = folds.testing(own, part)
        if not test.any() or np.bincount(labels[train], minlength=2).min() < 2:
            continue
        if shared_cells(own, train, test):
            raise DataError(f"{label}: inner windows share cells, the split leaks. This is a bug.")
        scores[test] = learn(own[train], own[test])
    return scores


def scores_inside(
    windows: gpd.GeoDataFrame,
    folds: Folds,
    fold: int,
    learn: Callable[[gpd.GeoDataFrame, gpd.GeoDataFrame], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of a fold's training windows by networks that did not see them, and their
    labels.

    Parameters
    ----------
    windows : GeoDataFrame
        All windows; those that may not train the fold's model are never looked at.
    learn : callable
        Training windows, test windows -> scores of the test windows.
    """
    own = windows[folds.training(windows, fold)]
    labels = own["label"].to_numpy()
    scores = scores_by_parts(own, folds, learn, f"calibrating fold {fold + 1}")
    known = np.isfinite(scores)
    if len(np.unique(labels[known])) < 2:
        raise DataError(
            f"the training ground of fold {fold + 1} cannot be split once more into parts with"
            " deposits to learn from and to test on, which calibration needs: use calibration ="
            ' "none", more folds, or a smaller window.'
        )
    return scores[known], labels[known]


def _checked(
    values: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the three as float, int and float arrays, refused when they do not fit together."""
    values = np.asarray(values, float)
    labels = np.asarray(labels)
    weights = np.asarray(weights, float)
    if not len(values) == len(labels) == len(weights) or not len(values):
        raise DataError(
            f"{len(values)} scores, {len(labels)} labels and {len(weights)} weights do not fit"
            " together: calibration needs one of each a window."
        )
    if not np.isfinite(values).all() or not (weights >= 0).all() or weights.sum() == 0:
        raise DataError(
            "calibration needs finite scores, and weights that are not negative and not all 0."
        )
    return values, labels, weights
