"""The simple models of an ensemble: the mean of their log odds and the network's is the score.

Their errors differ from the network's, so the mean is better than any of them alone more often than
not. Weights learned on inner folds were tried and did worse than equal ones on every survey
(docs/skill.md): with tens of deposits they are mostly noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from ..errors import ModelMismatchError
from ..windows.features import Column, Features
from .baselines import Baseline, make_baseline

SUREST = 0.001
"""Least probability of ore, and of barren ground, that a model's word counts for: log odds
of 6.9.
"""

ROUNDING = 1e-4
"""Log odds on which a model that was trained again from its rows may differ from what it was."""


@dataclass(frozen=True)
class SimpleModels:
    """Fitted simple models and the rows that they were fitted on, see :func:`fit_simple_models`.

    They are kept as their training rows, not as objects: no file that runs code is ever read. The
    same rows and seed give the same models.
    """

    names: tuple[str, ...]
    rows: Features
    labels: np.ndarray
    seed: int
    models: tuple[Baseline, ...]

    def log_odds(self, features: Features) -> np.ndarray:
        """Return what each model says of each row, (models, rows) float64."""
        return np.stack([log_odds(model.predict_proba(features)[:, 1]) for model in self.models])

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Return the numbers that :func:`restore_simple_models` needs."""
        return {
            "rows": self.rows.values,
            "x": self.rows.x,
            "y": self.rows.y,
            "labels": self.labels,
            "said": self.log_odds(self.rows),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the words that :func:`restore_simple_models` needs."""
        return {
            "names": self.names,
            "seed": self.seed,
            "columns": [asdict(column) for column in self.rows.columns],
        }


def fit_simple_models(
    names: Sequence[str],
    rows: Features,
    labels: np.ndarray,
    *,
    seed: int = 0,
) -> SimpleModels:
    """Fit simple models on the windows that train a network.

    Parameters
    ----------
    names : sequence of str
        See :data:`geomfaf.models.baselines.BASELINES`.
    rows : Features
        See :func:`geomfaf.window_features`.
    labels : (rows,) ndarray
        1 = ore.
    """
    # Each learns from all rows: what weighs them is equal, so nothing is held back.
    models = tuple(make_baseline(name, seed=seed).fit(rows, labels) for name in names)
    return SimpleModels(tuple(names), rows, np.asarray(labels), seed, models)


def restore_simple_models(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> SimpleModels:
    """Return the models trained again from what was kept; refused when they do not say what they
    said then.
    """
    columns = tuple(Column(**column) for column in content["columns"])
    rows = Features(arrays["rows"], columns, arrays["x"], arrays["y"])
    # Trained again from its rows: no file that runs code is ever read.
    again = fit_simple_models(content["names"], rows, arrays["labels"], seed=content["seed"])
    # Another version of a library may learn something else from the same rows.
    change = float(np.abs(again.log_odds(rows) - arrays["said"]).max())
    if change > ROUNDING:
        raise ModelMismatchError(
            f"{', '.join(again.names)}, trained again from the rows in the model's folder,"
            f" differ from what they were by up to {change:.3g} log odds: the library that computes"
            " them is another version than when the model was trained (versions in model.json)."
            " Install that one, or train the model again."
        )
    return again


def join(scores: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Return the scores of a network joined with simple models, as sure as the mean of all.

    Parameters
    ----------
    scores : (..., places) ndarray
        P(ore) of the network or of its branches.
    odds : (models, places) ndarray
        Log odds of the simple models, see :meth:`SimpleModels.log_odds`.

    Examples
    --------
    Even odds joined with odds of 4 to 1: 2 to 1.

    >>> join(np.array([0.5]), np.log([[4.0]])).round(4)
    array([0.6667])
    """
    return expit((log_odds(scores) + odds.sum(axis=0)) / (1 + len(odds)))


def log_odds(scores: np.ndarray) -> np.ndarray:
    """Return log(p / (1 - p)) in float64 of probabilities, none surer than :data:`SUREST`."""
    return logit(np.clip(np.asarray(scores, float), SUREST, 1 - SUREST))
