"""A classifier of scikit-learn goes in; a simple model on windows comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, logit

from .table_model import TableModel

LEAST = 1e-6
"""Probabilities stay this far from 0 and 1, of which no odds can be taken."""


class AnyClassifier(TableModel):
    """A scikit-learn classifier on the centre cell and window statistics.

    Ore and barren rows weigh the same, as in all simple models: where the classifier takes no
    weights, its odds are divided by those of its training rows instead (Elkan 2001).

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba``; a pipeline too. It is cloned and never trained itself.
    seed : int
        Becomes every ``random_state`` that is not set.
    """

    def __init__(self, estimator: Any, *, seed: int = 0) -> None:
        super().__init__(seed=seed)
        self.estimator = estimator

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        from sklearn.utils.validation import has_fit_parameter

        model = self._estimator()
        if has_fit_parameter(model, "sample_weight"):
            self.shift_ = 0.0
            self.model_ = model.fit(matrix, labels, sample_weight=weights)
        else:
            self.shift_ = float(logit(labels.mean()))
            self.model_ = model.fit(matrix, labels)

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        # Certainty has no log odds: it is cut just below.
        said = np.clip(self.model_.predict_proba(matrix)[:, 1], LEAST, 1 - LEAST)
        return expit(logit(said) - self.shift_)

    def _estimator(self) -> Any:
        from sklearn.base import clone

        # A copy: the user's own object stays as it was given.
        model = clone(self.estimator)
        unset = {
            name: self.seed
            for name, value in model.get_params().items()
            if name.split("__")[-1] == "random_state" and value is None
        }
        return model.set_params(**unset)


def is_classifier_object(thing: Any) -> bool:
    """Return whether something is a classifier of scikit-learn's kind, not a class or function."""
    return hasattr(thing, "get_params") and not isinstance(thing, type)
