"""What simple models of the feature table share: checks, weights, no gaps, no constants, no rare
classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from ..errors import DataError
from ..windows.features import Features

RARE = 0.01
"""Classes on less than this share of the training ground are left out."""


@cache
def _thread_pools() -> ThreadpoolController:
    """Return the thread pools of BLAS and OpenMP, looked for once a process.

    Looking reads through all loaded libraries, a tenth of the time of an evaluation when every
    small fit does so. What scikit-learn computes with is loaded first.
    """
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401

    return ThreadpoolController()


@contextmanager
def _alone() -> Iterator[None]:
    """Let scikit-learn compute without getting in the way of anything else.

    Threads of BLAS and OpenMP wait for each other at every step; beside busy neighbours the small
    problems here took minutes. Forests bring their own threads, which do not wait, but each of them
    sets the process's warning filters aside and back, and what the last one puts back may be
    another's: afterwards libraries' notes to programmers would run down a user's screen.
    """
    with _thread_pools().limit(limits=1), warnings.catch_warnings():
        yield


class TableModel:
    """A model of the kept columns; a subclass says which it reads, how it learns and how
    it scores.
    """

    statistics: tuple[str, ...] | None = None  # which columns the model reads; all when None

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(
        self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> Any:
        """Learn from rows with labels 1 (ore) and 0 (barren); weights are relative, within ore and
        within barren.
        """
        labels = np.asarray(labels)
        weights = balanced_weights(labels, sample_weight)
        self._choose_columns(features)
        with _alone():
            self._learn(self._matrix(features), labels, weights)
        return self

    def _choose_columns(self, features: Features) -> None:
        """Keep the columns that vary over the rows, but for rare classes, and what fills gaps."""
        self.columns_ = features.columns
        kept = []
        fills = []
        shares = _class_shares(features)
        for number, column in enumerate(features.columns):
            values = features.values[:, number]
            # A column that does not vary over the training rows says nothing.
            known = values[np.isfinite(values)]
            wanted = self.statistics is None or column.statistic in self.statistics
            if not wanted or not len(known) or known.min() == known.max():
                continue
            # A class with a few rows would be learned by heart.
            if column.kind != "class" or shares[column.band, column.value] >= RARE:
                kept.append(number)
                fills.append(0.0 if column.kind == "class" else float(np.median(known)))
        if not kept:
            raise DataError(
                "no column of the training rows varies: a simple model has nothing to learn from."
            )
        self.kept_ = np.array(kept)
        self.fills_ = np.array(fills, np.float32)

    def predict_proba(self, features: Features) -> np.ndarray:
        """Return (rows, 2) float32 probabilities of barren and ore at even odds."""
        if features.columns != self.columns_:
            raise DataError(
                f"the features have the columns {', '.join(features.names)}; the model was trained"
                f" on {', '.join(column.name for column in self.columns_)}."
            )
        with _alone():
            ore = self._ore(self._matrix(features)) if len(features) else np.empty(0)
        return np.stack([1 - ore, ore], axis=1).astype(np.float32)

    def _matrix(self, features: Features) -> np.ndarray:
        # Gaps take what was learned for them in training.
        values = features.values[:, self.kept_]
        return np.where(np.isfinite(values), values, self.fills_)

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        self.model_ = self._estimator().fit(matrix, labels, sample_weight=weights)

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        return self.model_.predict_proba(matrix)[:, 1]

    def _estimator(self) -> Any:
        raise NotImplementedError


def _class_shares(features: Features) -> dict[tuple[str, int], float]:
    """Return the share of the ground of the rows that each class covers: of their windows, else of
    their pixels.
    """
    shares = {}
    for wanted in ("centre", "mean"):
        for number, column in enumerate(features.columns):
            if column.kind == "class" and column.statistic == wanted:
                shares[column.band, column.value] = float(
                    np.nan_to_num(features.values[:, number]).mean()
                )
    return shares


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
            raise DataError(
                f"no training row is {name}: a model needs rows with label 1 (ore) and 0 (barren)."
            )
        weights[members] *= len(labels) / 2 / total
    return weights


def effective_count(weights: np.ndarray) -> float:
    """Return how many rows of one weight say as much as these (Kish): the squared sum over the sum
    of squares.

    >>> effective_count(np.array([2.0, 2.0, 0.0])), effective_count(np.array([3.0, 1.0]))
    (2.0, 1.6)
    """
    return float(weights.sum() ** 2 / (weights**2).sum())
