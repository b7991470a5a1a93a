"""The simple models that a network has to beat, on the same folds, draws and bands.

Every model has ``fit(features, labels, sample_weight=None)`` and ``predict_proba(features)`` on a table of
:func:`geomfaf.window_features`, and learns everything from the rows it is fitted on. Ore and barren rows weigh the
same in all of them: the share of ore among the windows is a choice of the evaluation and no property of the ground,
so their probabilities are those at even odds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import expit

from .errors import DataError, UsageError, nearest_name
from .features import Column, Features
from .screen import zauc

RARE = 0.01
"""Classes on less than this share of the training rows are left out."""

CLIP = 5.0
"""Standardised values are cut at +-5: one freak sample must not own a column."""


class Baseline(Protocol):
    """What every baseline can do; users' own must offer the same."""

    def fit(self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> Any:
        """Learn from rows with labels 1 (ore) and 0 (barren)."""

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2) probabilities of barren and ore."""


class _Table:
    """What the models share: checks, weights, and columns without gaps, constants and rare classes."""

    statistics: tuple[str, ...] | None = None  # which columns the model reads; all when None

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> Any:
        """Learn from rows with labels 1 (ore) and 0 (barren); weights are relative, within ore and within barren."""
        labels = np.asarray(labels)
        weights = balanced_weights(labels, sample_weight)
        self.columns_ = features.columns
        kept, fills = [], []
        for number, column in enumerate(features.columns):
            known = features.values[:, number][np.isfinite(features.values[:, number])]
            wanted = self.statistics is None or column.statistic in self.statistics
            if not wanted or not len(known) or known.min() == known.max():
                continue
            rare = column.kind == "class" and known.sum() < RARE * len(features)
            if not rare:
                kept.append(number)
                fills.append(0.0 if column.kind == "class" else float(np.median(known)))
        if not kept:
            raise DataError("no column of the training rows varies: a simple model has nothing to learn from.")
        self.kept_, self.fills_ = np.array(kept), np.array(fills, np.float32)
        self._learn(self._matrix(features), labels, weights)
        return self

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2) float32 probabilities of barren and ore at even odds."""
        if features.columns != self.columns_:
            raise DataError(
                f"the features have the columns {', '.join(features.names)}; the model was trained on "
                f"{', '.join(column.name for column in self.columns_)}."
            )
        ore = self._ore(self._matrix(features)) if len(features) else np.empty(0)
        # Threads add trees in any order; float32 drops the last bits, which differ from run to run.
        return np.stack([1 - ore, ore], axis=1).astype(np.float32)

    def _matrix(self, features: Features) -> np.ndarray:
        values = features.values[:, self.kept_]
        return np.where(np.isfinite(values), values, self.fills_)

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        self.model_ = self._estimator().fit(matrix, labels, sample_weight=weights)

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        return self.model_.predict_proba(matrix)[:, 1]

    def _estimator(self) -> Any:
        raise NotImplementedError


class BestBand(_Table):
    """The one band, or class of a class band, that ranks the training rows best, with its sign."""

    statistics = ("centre",)

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score

        lifts = [roc_auc_score(labels, column, sample_weight=weights) - 0.5 for column in matrix.T]
        best = int(np.argmax(np.abs(lifts)))
        self.best_, self.sign_ = best, 1.0 if lifts[best] >= 0 else -1.0
        self.band_: Column = self.columns_[self.kept_[best]]
        self.centre_, self.spread_ = float(matrix[:, best].mean()), float(matrix[:, best].std()) or 1.0
        line = LogisticRegression().fit(self._scaled(matrix), labels, sample_weight=weights)
        # The ranking decides the sign; where skewed values tilt the line the other way it is made nearly level.
        self.slope_, self.level_ = max(float(line.coef_[0, 0]), 0.01), float(line.intercept_[0])

    def _scaled(self, matrix: np.ndarray) -> np.ndarray:
        return (self.sign_ * (matrix[:, [self.best_]].astype(float) - self.centre_)) / self.spread_

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        return expit(self.slope_ * self._scaled(matrix)[:, 0] + self.level_)


class LogisticRegressionCentre(_Table):
    """Logistic regression on the centre cell."""

    statistics = ("centre",)

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        self.scaler_ = StandardScaler().fit(matrix)
        self.model_ = LogisticRegression(C=1.0, max_iter=1000, random_state=self.seed)
        self.model_.fit(self._scaled(matrix), labels, sample_weight=weights)

    def _scaled(self, matrix: np.ndarray) -> np.ndarray:
        return np.clip(self.scaler_.transform(matrix), -CLIP, CLIP)

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        return self.model_.predict_proba(self._scaled(matrix))[:, 1]


class RandomForestWindow(_Table):
    """Random forest on the centre cell and window statistics."""

    def __init__(self, *, seed: int = 0, trees: int = 400) -> None:
        super().__init__(seed=seed)
        self.trees = trees

    def _estimator(self) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(self.trees, min_samples_leaf=2, n_jobs=-1, random_state=self.seed)


class ExtraTreesWindow(RandomForestWindow):
    """Extra trees on the centre cell and window statistics: the best simple model on real surveys."""

    def _estimator(self) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier

        return ExtraTreesClassifier(self.trees, min_samples_leaf=2, n_jobs=-1, random_state=self.seed)


class GradientBoostingWindow(_Table):
    """Gradient-boosted trees (histograms) on the centre cell and window statistics, held small for few deposits."""

    def _estimator(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=8, min_samples_leaf=10, l2_regularization=1.0,
            early_stopping=False, random_state=self.seed,
        )  # fmt: skip


class FuzzyOverlay(_Table):
    r"""A fuzzy-logic overlay: a membership for each band, joined by the gamma operator.

    .. math:: \mu = \Big(1 - \prod_b (1-\mu_b)\Big)^{\gamma} \Big(\prod_b \mu_b\Big)^{1-\gamma}

    (An, Moon and Rencz 1991). A continuous band's membership is logistic, 0.01 at one end of the training values (1 %
    point) and 0.99 at the other (Yousefi and Nykänen 2016, doi 10.1016/j.gexplo.2015.10.008); a class's is its share
    of the ore rows over its share of ore and barren rows, drawn to one half where rows are few. Where a band has no
    value its membership is one half.

    Parameters
    ----------
    directions : mapping, optional
        What is known beforehand: band -> +1 (high values are favourable) or -1 (low ones), for a class band class name
        -> membership. Only these bands are used then. When omitted, the training rows decide: the bands whose AUC
        differs from one half by two standard errors (else the best one), with its sign.
    gamma : float
        0 (all bands must be favourable) to 1 (one is enough).
    """

    statistics = ("centre",)

    def __init__(self, *, seed: int = 0, directions: Mapping[str, Any] | None = None, gamma: float = 0.9) -> None:
        super().__init__(seed=seed)
        if not 0 <= gamma <= 1:
            raise UsageError(f"gamma = {gamma} must be 0 to 1: it weighs the fuzzy sum against the fuzzy product.")
        self.directions, self.gamma = directions, gamma

    def fit(self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> Any:
        """Learn ends and classes, and the directions where none are given, from rows with labels 1 and 0."""
        for name in self.directions or ():
            if name not in features.bands:
                raise UsageError(f'directions: there is no band "{name}".{nearest_name(name, features.bands)}')
        return super().fit(features, labels, sample_weight)

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        by_band: dict[str, list[int]] = {}
        for number, place in enumerate(self.kept_):
            by_band.setdefault(self.columns_[place].band, []).append(number)
        # band -> (columns, low, high) with low > high for a falling one, or (columns, membership of each class)
        self.memberships_: dict[str, tuple] = {}
        evidence = {}
        for band, numbers in by_band.items():
            known = None if self.directions is None else self.directions.get(band)
            if self.directions is not None and known is None:
                continue
            if self.columns_[self.kept_[numbers[0]]].kind == "class":
                self.memberships_[band], evidence[band] = self._of_classes(matrix, numbers, weights, labels, known)
            else:
                self.memberships_[band], evidence[band] = _ends(matrix[:, numbers[0]], labels, weights, numbers, known)
        if not self.memberships_:
            raise DataError("none of the bands with a direction varies in the training rows: the overlay has no input.")
        if self.directions is None:
            strong = [band for band, size in evidence.items() if size >= 2.0]
            strong = strong or [max(evidence, key=lambda band: evidence[band])]
            self.memberships_ = {band: self.memberships_[band] for band in strong}

    def _of_classes(
        self, matrix: np.ndarray, numbers: list[int], weights: np.ndarray, labels: np.ndarray, known: Any
    ) -> tuple[tuple, float]:
        """Return the membership of each class and how many standard errors the classes' ore shares differ."""
        from scipy.stats import chi2_contingency, norm

        classes = [self.columns_[self.kept_[number]].label for number in numbers]
        if known is not None:
            if not isinstance(known, Mapping):
                raise UsageError(f"directions of a class band are class name -> membership, not {known!r}.")
            for name in known:
                if name not in classes:
                    raise UsageError(f'directions: there is no class "{name}".{nearest_name(name, classes)}')
            return (numbers, [float(known.get(name, 0.5)) for name in classes]), np.inf
        inside = (matrix[:, numbers] > 0.5).astype(float)
        ore, barren = (weights * (labels == 1)) @ inside, (weights * (labels != 1)) @ inside
        inside = np.column_stack([inside, 1 - inside.sum(axis=1)])  # and the classes that were left out
        rows = [weights * (labels == value) for value in (1, 0)]
        counts = np.stack([effective_count(row) * (row @ inside) / row.sum() for row in rows])
        counts = counts[:, counts.sum(axis=0) > 0]
        p = chi2_contingency(counts).pvalue if counts.shape[1] > 1 else 1.0
        return (numbers, (ore + 1) / (ore + barren + 2)), float(norm.isf(p / 2))

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        lack, product = np.ones(len(matrix)), np.ones(len(matrix))
        for numbers, *shape in self.memberships_.values():
            if len(shape) == 1:
                inside = matrix[:, numbers] > 0.5
                member = np.where(inside.any(axis=1), inside @ np.asarray(shape[0], float), 0.5)
            else:
                low, high = shape
                member = expit(2 * np.log(99) * ((matrix[:, numbers[0]] - low) / (high - low) - 0.5))
            lack, product = lack * (1 - member), product * member
        return (1 - lack) ** self.gamma * product ** (1 - self.gamma)


class DistanceToDeposit:
    """Nearness to the closest training deposit: the score that any clustered pattern gets for free."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None) -> DistanceToDeposit:
        """Remember where the ore rows are; rows of weight 0 do not count."""
        weights = balanced_weights(labels, sample_weight)
        ore = (np.asarray(labels) == 1) & (weights > 0)
        places = np.column_stack([features.x, features.y])
        self.tree_ = cKDTree(places[ore])
        nearest = self.tree_.query(places[np.asarray(labels) != 1])[0]
        self.scale_ = float(np.median(nearest)) or 1.0
        return self

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2): P(ore) falls from 1 at a deposit to 1/2 at the median distance of the barren rows."""
        distance = self.tree_.query(np.column_stack([features.x, features.y]))[0]
        ore = 1 / (1 + distance / self.scale_)
        return np.stack([1 - ore, ore], axis=1)


BASELINES: dict[str, Callable[..., Baseline]] = {
    "distance to deposit": DistanceToDeposit,
    "best band": BestBand,
    "logistic regression": LogisticRegressionCentre,
    "fuzzy overlay": FuzzyOverlay,
    "random forest": RandomForestWindow,
    "extra trees": ExtraTreesWindow,
    "gradient boosting": GradientBoostingWindow,
}
"""Name -> factory; a factory takes ``seed`` and returns an unfitted model. See :func:`register_baseline`."""


def register_baseline(name: str, factory: Callable[..., Baseline]) -> None:
    """Add a model of your own, to be evaluated under ``name`` beside the others.

    Parameters
    ----------
    name : str
        A new name.
    factory : callable
        ``factory(seed=0)`` returns an unfitted :class:`Baseline`: a class, or a ``functools.partial`` of one.

    Examples
    --------
    >>> from functools import partial
    >>> register_baseline("our overlay", partial(FuzzyOverlay, directions={"Au": 1, "fault_distance": -1}))
    >>> make_baseline("our overlay", seed=3).directions
    {'Au': 1, 'fault_distance': -1}
    >>> _ = BASELINES.pop("our overlay")
    """
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"the name of a baseline must be some text, not {name!r}.")
    if name in BASELINES:
        raise UsageError(f'there is a baseline "{name}" already: choose another name.')
    try:
        model = factory(seed=0)
    except TypeError as error:
        raise UsageError(f'the factory of baseline "{name}" must take seed=: {error}') from error
    for method in ("fit", "predict_proba"):
        if not callable(getattr(model, method, None)):
            raise UsageError(f'baseline "{name}" has no {method}(): see geomfaf.baselines.Baseline.')
    BASELINES[name] = factory


def make_baseline(name: str, *, seed: int = 0) -> Baseline:
    """Return a new, unfitted model by its name."""
    if name not in BASELINES:
        raise UsageError(
            f'there is no baseline "{name}".{nearest_name(name, BASELINES)} Known are {", ".join(BASELINES)}.'
        )
    return BASELINES[name](seed=seed)


def balanced_weights(labels: np.ndarray, sample_weight: np.ndarray | None = None) -> np.ndarray:
    """Return weights that sum to half the rows in ore and in barren ground alike.

    >>> balanced_weights(np.array([1, 0, 0, 0])).round(3).tolist()
    [2.0, 0.667, 0.667, 0.667]
    """
    labels = np.asarray(labels)
    weights = np.ones(len(labels)) if sample_weight is None else np.array(sample_weight, float)
    if weights.shape != labels.shape or not (np.isfinite(weights) & (weights >= 0)).all():
        raise DataError(f"{labels.size} rows need as many finite weights of 0 or more.")
    for value, name in ((1, "ore"), (0, "barren")):
        members = labels == value
        total = weights[members].sum()
        if not total > 0:
            raise DataError(f"no training row is {name}: a model needs rows with label 1 (ore) and 0 (barren).")
        weights[members] *= len(labels) / 2 / total
    return weights


def effective_count(weights: np.ndarray) -> float:
    """Return how many rows of one weight say as much as these (Kish): the squared sum over the sum of squares.

    >>> effective_count(np.array([2.0, 2.0, 0.0])), effective_count(np.array([3.0, 1.0]))
    (2.0, 1.6)
    """
    return float(weights.sum() ** 2 / (weights**2).sum())


def _ends(
    values: np.ndarray, labels: np.ndarray, weights: np.ndarray, numbers: list[int], known: Any
) -> tuple[tuple, float]:
    """Return where the membership of a continuous band is 0.01 and 0.99, and how strong its evidence is."""
    from sklearn.metrics import roc_auc_score

    if known is not None and known not in (1, -1):
        raise UsageError(f"the direction of a continuous band is 1 (high is favourable) or -1, not {known!r}.")
    low, high = np.quantile(values, [0.01, 0.99])
    if low == high:
        low, high = values.min(), values.max()
    auc = float(roc_auc_score(labels, values, sample_weight=weights))
    ore, barren = (max(1, round(effective_count(weights[labels == value]))) for value in (1, 0))
    strength = np.inf if known is not None else abs(zauc(auc, ore, barren))
    rising = auc >= 0.5 if known is None else known > 0
    return (numbers, low, high) if rising else (numbers, high, low), float(strength)
