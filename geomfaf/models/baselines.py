"""The simple models that a network has to beat, on the same folds, draws and bands.

Every model has ``fit(features, labels, sample_weight=None)`` and ``predict_proba(features)`` on a
table of :func:`geomfaf.window_features`, and learns everything from the rows it is fitted on. Ore
and barren rows weigh the same in all of them: the share of ore among the windows is a choice of the
evaluation and no property of the ground, so their probabilities are those at even odds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import expit

from ..errors import DataError, UsageError, nearest_name
from ..plugins import MODELS, installed, load_installed
from ..settings.tables import BASELINES as KNOWN_TO_SETTINGS
from ..settings.tables import ENSEMBLE as ENSEMBLE
from ..settings.tables import NETWORK as NETWORK
from ..windows.features import Column, Features
from .any_classifier import AnyClassifier, is_classifier_object
from .fuzzy_overlay import FuzzyOverlay
from .logistic import Problem, solve_logistic
from .table_model import TableModel, balanced_weights, effective_count
from .weight_patterns import best_pattern, weights_table

CLIP = 5.0
"""Standardised values are cut at +-5: one freak sample must not own a column."""


class Baseline(Protocol):
    """What every baseline can do; users' own must offer the same."""

    def fit(
        self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> Any:
        """Learn from rows with labels 1 (ore) and 0 (barren)."""

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2) probabilities of barren and ore."""


class BestBand(TableModel):
    """The one band, or class of a class band, that ranks the training rows best, with its sign."""

    statistics = ("centre",)

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import roc_auc_score

        # 1. the column that ranks the rows best, upwards or downwards
        lifts = [roc_auc_score(labels, column, sample_weight=weights) - 0.5 for column in matrix.T]
        best = int(np.argmax(np.abs(lifts)))
        self.best_ = best
        self.sign_ = 1.0 if lifts[best] >= 0 else -1.0
        self.band_: Column = self.columns_[self.kept_[best]]
        self.centre_ = float(matrix[:, best].mean())
        self.spread_ = float(matrix[:, best].std()) or 1.0
        # 2. from its values to probabilities
        line = LogisticRegression().fit(self._scaled(matrix), labels, sample_weight=weights)
        # The ranking decides the sign; where skewed values tilt the line the other way it is made
        # nearly level.
        self.slope_ = max(float(line.coef_[0, 0]), 0.01)
        self.level_ = float(line.intercept_[0])

    def _scaled(self, matrix: np.ndarray) -> np.ndarray:
        # The one column, turned so that high values mean ore.
        values = matrix[:, [self.best_]].astype(float)
        return (self.sign_ * (values - self.centre_)) / self.spread_

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        return expit(self.slope_ * self._scaled(matrix)[:, 0] + self.level_)


class LogisticRegressionCentre(TableModel):
    """Logistic regression on the centre cell."""

    statistics: tuple[str, ...] | None = ("centre",)
    strength = 1.0  # C of scikit-learn: the less, the nearer are the coefficients to zero

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        self.scaler_ = StandardScaler().fit(matrix)
        self.model_ = LogisticRegression(C=self.strength, max_iter=1000, random_state=self.seed)
        self.model_.fit(self._scaled(matrix), labels, sample_weight=weights)

    def problem(self, features: Features, labels: np.ndarray) -> Problem:
        """Return the regression that :meth:`fit` would solve, for :func:`fit_logistic_models`."""
        from sklearn.preprocessing import StandardScaler

        weights = balanced_weights(labels)
        self._choose_columns(features)
        matrix = self._matrix(features)
        self.scaler_ = StandardScaler().fit(matrix)
        return Problem(self._scaled(matrix), np.asarray(labels), weights)

    def _scaled(self, matrix: np.ndarray) -> np.ndarray:
        return np.clip(self.scaler_.transform(matrix), -CLIP, CLIP)

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        return self.model_.predict_proba(self._scaled(matrix))[:, 1]


class RidgeRegressionWindow(LogisticRegressionCentre):
    """Logistic regression on the centre cell and all window statistics, its coefficients held
    small (C = 0.01): many columns that say nearly the same share what they say.
    """

    statistics = None
    strength = 0.01


def fit_logistic_models(
    tables: Sequence[Features], labels: Sequence[np.ndarray]
) -> list[LogisticRegressionCentre | None]:
    """Fit a logistic regression to each table, all at once; None where no column varies.

    They are those of :class:`LogisticRegressionCentre` to the precision of its solver.
    """
    fitted: list[LogisticRegressionCentre | None] = []
    problems = []
    for table, own in zip(tables, labels, strict=True):
        model = LogisticRegressionCentre()
        try:
            problems.append(model.problem(table, own))
        except DataError:
            fitted.append(None)
        else:
            fitted.append(model)
    lines = iter(solve_logistic(problems))
    for known in fitted:
        if known is not None:
            known.model_ = next(lines)
    return fitted


TREES = 400
"""Trees of a forest."""

MANY_ROWS = 1000
"""Training rows from which more threads grow a forest sooner than one."""


class RandomForestWindow(TableModel):
    """Random forest on the centre cell and window statistics.

    Its trees are regression trees on 0 and 1. The variance of such labels is half their Gini
    impurity, so that the same splits are the best ones, and the mean of a leaf is its share of ore;
    scikit-learn grows them in half the time of classification trees.
    """

    def __init__(self, *, seed: int = 0, trees: int | None = None) -> None:
        super().__init__(seed=seed)
        self.trees = TREES if trees is None else trees

    def _estimator(self) -> Any:
        from sklearn.ensemble import RandomForestRegressor

        return RandomForestRegressor(
            self.trees, min_samples_leaf=2, max_features="sqrt", random_state=self.seed
        )

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        # It brings numba: whoever grows no forest need not wait for it.
        from .forest_walk import flat_forest

        forest = self._estimator()
        # Growing a tree on few rows is mostly Python's work, which threads only hold up.
        forest.set_params(n_jobs=-1 if len(matrix) >= MANY_ROWS else 1)
        self.model_ = forest.fit(matrix, labels, sample_weight=weights)
        self.flat_ = flat_forest(self.model_)

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        return self.flat_.ore_share(matrix)


class ExtraTreesWindow(RandomForestWindow):
    """Extra trees on the centre cell and window statistics, each grown on ``share`` of the rows
    drawn with replacement (on all rows when None): the best simple model on real surveys.
    """

    def __init__(
        self, *, seed: int = 0, trees: int | None = None, share: float | None = 0.5
    ) -> None:
        super().__init__(seed=seed, trees=trees)
        self.share = share

    def _estimator(self) -> Any:
        from sklearn.ensemble import ExtraTreesRegressor

        return ExtraTreesRegressor(
            self.trees,
            min_samples_leaf=2,
            max_features="sqrt",
            bootstrap=self.share is not None,
            max_samples=self.share,
            random_state=self.seed,
        )


class GradientBoostingWindow(TableModel):
    """Gradient-boosted trees (histograms) on the centre cell and window statistics, held small for
    few deposits.
    """

    def _estimator(self) -> Any:
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=150,
            max_leaf_nodes=8,
            min_samples_leaf=10,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=self.seed,
        )


class WeightsOfEvidenceCentre:
    """Weights of evidence of the centre cell, barren rows for ground without a deposit, at even
    odds.

    A continuous band is cut where it says most, high or low; bands that do not reach a studentised
    contrast of 2, and gaps, have weights of zero. See :mod:`geomfaf.models.weights_of_evidence`.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> WeightsOfEvidenceCentre:
        """Learn cuts and weights from rows with labels 1 (ore) and 0 (barren)."""
        # 1. from shares to counts: an error bar needs to know how many rows there are
        weights = balanced_weights(labels, sample_weight)
        ore = np.asarray(labels) == 1
        for members in (ore, ~ore):
            own = weights[members]
            weights[members] *= effective_count(own) / own.sum()
        # 2. each band cut where it says most
        self.bands_ = features.bands
        self.patterns_ = []
        for band in self.bands_:
            values, methods = _band_values(features, band)
            if not np.isfinite(values[ore]).any():
                continue
            found = []
            for method in methods:
                counts = {"cell_weights": weights, "point_weights": weights[ore]}
                table = weights_table(values, values[ore], method, **counts)
                found.append(best_pattern(band, method, table))
            self.patterns_.append(max(found, key=lambda pattern: pattern.studentised))
        return self

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2) posterior probabilities of barren and ore at even odds."""
        if features.bands != self.bands_:
            raise DataError(
                f"the features are of the bands {', '.join(features.bands)}; the model was trained"
                f" on {', '.join(self.bands_)}."
            )
        # A band without a value says nothing.
        odds = np.zeros(len(features))
        for pattern in self.patterns_:
            values, _ = _band_values(features, pattern.band)
            weight = np.where(pattern.holds(values), pattern.w_plus, pattern.w_minus)
            odds += np.where(np.isfinite(values), weight, 0.0)
        ore = expit(odds)
        return np.stack([1 - ore, ore], axis=1)


class DistanceToDeposit:
    """Nearness to the closest training deposit: the score that any clustered pattern gets
    for free.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> DistanceToDeposit:
        """Remember where the ore rows are; rows of weight 0 do not count."""
        labels = np.asarray(labels)
        weights = balanced_weights(labels, sample_weight)
        ore = (labels == 1) & (weights > 0)
        places = np.column_stack([features.x, features.y])
        self.tree_ = cKDTree(places[ore])
        # Half of the barren rows lie nearer than this.
        nearest = self.tree_.query(places[labels != 1])[0]
        self.scale_ = float(np.median(nearest)) or 1.0
        return self

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2): P(ore) falls from 1 at a deposit to 1/2 at the median distance of the
        barren rows.
        """
        distance = self.tree_.query(np.column_stack([features.x, features.y]))[0]
        ore = 1 / (1 + distance / self.scale_)
        return np.stack([1 - ore, ore], axis=1)


BASELINES: dict[str, Callable[..., Baseline]] = {
    "distance to deposit": DistanceToDeposit,
    "best band": BestBand,
    "weights of evidence": WeightsOfEvidenceCentre,
    "logistic regression": LogisticRegressionCentre,
    "ridge logistic regression": RidgeRegressionWindow,
    "fuzzy overlay": FuzzyOverlay,
    "random forest": RandomForestWindow,
    "extra trees": ExtraTreesWindow,
    "gradient boosting": GradientBoostingWindow,
}
"""Name -> factory; a factory takes ``seed`` and returns an unfitted model. See
:func:`register_baseline`; installed packages add the entry points ``geomfaf.baselines``.
"""


_BUILT_IN = dict(BASELINES)


def known_everywhere(name: str) -> bool:
    """Return whether another process finds the model under its name, too: it is built in, or an
    installed package's, and not registered in this process alone.
    """
    return BASELINES.get(name) is _BUILT_IN.get(name)


def register_baseline(name: str, factory: Any) -> None:
    """Add a model of your own, to be evaluated under ``name`` beside the others.

    Parameters
    ----------
    name : str
        A new name.
    factory : classifier or callable
        Any classifier of scikit-learn with ``predict_proba``, a pipeline too: it sees the centre
        cell and window statistics of :func:`geomfaf.window_features`, gaps filled. Or
        ``factory(seed=0)`` that returns an unfitted :class:`Baseline`: a class, or a
        ``functools.partial`` of one.

    Raises
    ------
    UsageError
        For a name that is taken, and for a model that lacks ``fit`` or ``predict_proba``.

    See Also
    --------
    geomfaf.predict_baseline : the map of such a model.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> register_baseline("neighbours", KNeighborsClassifier(15))
    >>> make_baseline("neighbours").estimator
    KNeighborsClassifier(n_neighbors=15)
    >>> _ = BASELINES.pop("neighbours"), KNOWN_TO_SETTINGS.pop()

    >>> from functools import partial
    >>> register_baseline("our overlay", partial(FuzzyOverlay, directions={"Au": 1, "fault_distance": -1}))
    >>> make_baseline("our overlay", seed=3).directions
    {'Au': 1, 'fault_distance': -1}
    >>> _ = BASELINES.pop("our overlay"), KNOWN_TO_SETTINGS.pop()
    """
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"the name of a baseline must be some text, not {name!r}.")
    if name in BASELINES:
        raise UsageError(f'there is a baseline "{name}" already: choose another name.')
    BASELINES[name] = _checked_factory(name, factory)
    # From now on a project file may name it too.
    KNOWN_TO_SETTINGS.append(name)


def _checked_factory(name: str, given: Any) -> Callable[..., Baseline]:
    """Return what makes a model, or say what a classifier or a factory lacks."""
    if is_classifier_object(given):
        _require_methods(name, given)
        return partial(AnyClassifier, given)
    try:
        model = given(seed=0)
    except TypeError as error:
        raise UsageError(f'the factory of baseline "{name}" must take seed=: {error}') from error
    _require_methods(name, model)
    return given


def _require_methods(name: str, model: Any) -> None:
    for method in ("fit", "predict_proba"):
        if not callable(getattr(model, method, None)):
            raise UsageError(
                f'baseline "{name}" has no {method}(): give a classifier that has it (scikit-learn\'s'
                " CalibratedClassifierCV adds probabilities), or see"
                " geomfaf.models.baselines.Baseline."
            )


def _installed_model(name: str, *, seed: int = 0) -> Baseline:
    """Return a model that another package brings."""
    return _checked_factory(name, load_installed(MODELS, name))(seed=seed)


def make_baseline(name: Any, *, seed: int = 0) -> Baseline:
    """Return a new, unfitted model by its name, or on a classifier of scikit-learn."""
    if is_classifier_object(name):
        return _checked_factory(type(name).__name__, name)(seed=seed)
    if name not in BASELINES:
        raise UsageError(
            f'there is no baseline "{name}".{nearest_name(name, BASELINES)} Known are'
            f" {', '.join(BASELINES)}."
        )
    return BASELINES[name](seed=seed)


def _band_values(features: Features, band: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the pixel values of a band (classes as their numbers, NaN = nodata) and the ways to
    cut it.
    """
    part = features.select(bands=[band], statistics=["centre"])
    if part.columns[0].kind != "class":
        return part.values[:, 0], ("ascending", "descending")
    # Of the columns of a class band one is 1, the others 0.
    known = np.isfinite(part.values).all(axis=1)
    classes = np.array([column.value for column in part.columns], float)
    numbers = np.nan_to_num(part.values) @ classes
    return np.where(known, numbers, np.nan), ("categorical",)


for _name in installed(MODELS):
    BASELINES.setdefault(_name, partial(_installed_model, _name))
