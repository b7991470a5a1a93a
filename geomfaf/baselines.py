"""The simple models that a network has to beat, on the same folds, windows and bands."""

from __future__ import annotations

import numpy as np


def centre_cell(x: np.ndarray) -> np.ndarray:
    """Return the centre cell of encoded windows: (windows, channels)."""
    half = x.shape[-1] // 2
    return x[:, :, half, half]


def centre_and_statistics(x: np.ndarray) -> np.ndarray:
    """Return centre cell and window mean, standard deviation and maximum: (windows, 4 * channels)."""
    statistics = (x.mean(axis=(2, 3)), x.std(axis=(2, 3)), x.max(axis=(2, 3)))
    return np.concatenate([centre_cell(x), *statistics], axis=1)


class LogisticRegressionCentre:
    """Logistic regression on the centre cell, classes weighted equally."""

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, x: np.ndarray, labels: np.ndarray) -> LogisticRegressionCentre:
        """Train on encoded windows (windows, channels, size, size) and labels (1 = ore)."""
        from sklearn.linear_model import LogisticRegression

        self.model_ = LogisticRegression(class_weight="balanced", C=1.0, max_iter=1000, random_state=self.seed)
        self.model_.fit(centre_cell(x), labels)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (windows, 2) probabilities of barren and ore."""
        return self.model_.predict_proba(centre_cell(x))


class ExtraTreesWindow:
    """Extra trees on the centre cell and window statistics: the best simple model on real surveys."""

    def __init__(self, *, seed: int = 0, trees: int = 400) -> None:
        self.seed = seed
        self.trees = trees

    def fit(self, x: np.ndarray, labels: np.ndarray) -> ExtraTreesWindow:
        """Train on encoded windows (windows, channels, size, size) and labels (1 = ore)."""
        from sklearn.ensemble import ExtraTreesClassifier

        self.model_ = ExtraTreesClassifier(
            self.trees, min_samples_leaf=2, class_weight="balanced", n_jobs=-1, random_state=self.seed
        )
        self.model_.fit(centre_and_statistics(x), labels)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (windows, 2) probabilities of barren and ore."""
        # Threads add the trees in any order; float32 drops the last bits, which differ from run to run.
        return self.model_.predict_proba(centre_and_statistics(x)).astype(np.float32)


BASELINES = {"logistic regression": LogisticRegressionCentre, "extra trees": ExtraTreesWindow}
