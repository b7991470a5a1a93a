"""A fuzzy-logic overlay: what is known, or the training rows say, about each band, joined by the
gamma operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from ..errors import DataError, UsageError, nearest_name
from ..windows.features import Features
from ..windows.screen import zauc
from .table_model import TableModel, effective_count


class FuzzyOverlay(TableModel):
    r"""A fuzzy-logic overlay: a membership for each band, joined by the gamma operator.

    .. math:: \mu = \Big(1 - \prod_b (1-\mu_b)\Big)^{\gamma} \Big(\prod_b \mu_b\Big)^{1-\gamma}

    (An, Moon and Rencz 1991). A continuous band's membership is logistic, 0.01 at one end of the
    training values (1 % point) and 0.99 at the other (Yousefi and Nykänen 2016, doi
    10.1016/j.gexplo.2015.10.008); a class's is its share of the ore rows over its share of ore and
    barren rows, drawn to one half where rows are few. Where a band has no value its membership is
    one half.

    Parameters
    ----------
    directions : mapping, optional
        What is known beforehand: band -> +1 (high values are favourable) or -1 (low ones), for a
        class band class name -> membership. Only these bands are used then. When omitted, the
        training rows decide: the bands whose AUC differs from one half by two standard errors (else
        the best one), with its sign.
    gamma : float
        0 (all bands must be favourable) to 1 (one is enough).
    """

    statistics = ("centre",)

    def __init__(
        self, *, seed: int = 0, directions: Mapping[str, Any] | None = None, gamma: float = 0.9
    ) -> None:
        super().__init__(seed=seed)
        if not 0 <= gamma <= 1:
            raise UsageError(
                f"gamma = {gamma} must be 0 to 1: it weighs the fuzzy sum against the fuzzy"
                " product."
            )
        self.directions = directions
        self.gamma = gamma

    def fit(
        self, features: Features, labels: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> Any:
        """Learn ends and classes, and the directions where none are given, from rows with labels 1
        and 0.
        """
        for name in self.directions or ():
            if name not in features.bands:
                raise UsageError(
                    f'directions: there is no band "{name}".{nearest_name(name, features.bands)}'
                )
        return super().fit(features, labels, sample_weight)

    def _learn(self, matrix: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        # 1. the columns of each band
        by_band: dict[str, list[int]] = {}
        for number, place in enumerate(self.kept_):
            by_band.setdefault(self.columns_[place].band, []).append(number)
        # band -> (columns, low, high) with low > high for a falling one, or (columns, membership of
        # each class)
        self.memberships_: dict[str, tuple] = {}
        evidence = {}
        for band, numbers in by_band.items():
            known = None if self.directions is None else self.directions.get(band)
            if self.directions is not None and known is None:
                continue
            if self.columns_[self.kept_[numbers[0]]].kind == "class":
                self.memberships_[band], evidence[band] = self._of_classes(
                    matrix, numbers, weights, labels, known
                )
            else:
                self.memberships_[band], evidence[band] = _ends(
                    matrix[:, numbers[0]], labels, weights, numbers, known
                )
        if not self.memberships_:
            raise DataError(
                "none of the bands with a direction varies in the training rows: the overlay has no"
                " input."
            )
        # 3. bands that say something, or the best of them
        if self.directions is None:
            strong = [band for band, size in evidence.items() if size >= 2.0]
            strong = strong or [max(evidence, key=lambda band: evidence[band])]
            self.memberships_ = {band: self.memberships_[band] for band in strong}

    def _of_classes(
        self,
        matrix: np.ndarray,
        numbers: list[int],
        weights: np.ndarray,
        labels: np.ndarray,
        known: Any,
    ) -> tuple[tuple, float]:
        """Return the membership of each class and how many standard errors the classes' ore shares
        differ.
        """
        from scipy.stats import chi2_contingency, norm

        classes = [self.columns_[self.kept_[number]].label for number in numbers]
        if known is not None:
            if not isinstance(known, Mapping):
                raise UsageError(
                    f"directions of a class band are class name -> membership, not {known!r}."
                )
            for name in known:
                if name not in classes:
                    raise UsageError(
                        f'directions: there is no class "{name}".{nearest_name(name, classes)}'
                    )
            return (numbers, [float(known.get(name, 0.5)) for name in classes]), np.inf
        inside = (matrix[:, numbers] > 0.5).astype(float)
        ore = (weights * (labels == 1)) @ inside
        barren = (weights * (labels != 1)) @ inside
        inside = np.column_stack(
            [inside, 1 - inside.sum(axis=1)]
        )  # and the classes that were left out
        rows = [weights * (labels == value) for value in (1, 0)]
        counts = np.stack([effective_count(row) * (row @ inside) / row.sum() for row in rows])
        counts = counts[:, counts.sum(axis=0) > 0]
        p = chi2_contingency(counts).pvalue if counts.shape[1] > 1 else 1.0
        return (numbers, (ore + 1) / (ore + barren + 2)), float(norm.isf(p / 2))

    def _ore(self, matrix: np.ndarray) -> np.ndarray:
        # Fuzzy sum and fuzzy product of the memberships, band by band.
        lack = np.ones(len(matrix))
        product = np.ones(len(matrix))
        for numbers, *shape in self.memberships_.values():
            if len(shape) == 1:
                inside = matrix[:, numbers] > 0.5
                member = np.where(inside.any(axis=1), inside @ np.asarray(shape[0], float), 0.5)
            else:
                low, high = shape
                member = expit(
                    2 * np.log(99) * ((matrix[:, numbers[0]] - low) / (high - low) - 0.5)
                )
            lack = lack * (1 - member)
            product = product * member
        return (1 - lack) ** self.gamma * product ** (1 - self.gamma)


def _ends(
    values: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray,
    numbers: list[int],
    known: Any,
) -> tuple[tuple, float]:
    """Return where the membership of a continuous band is 0.01 and 0.99, and how strong its
    evidence is.
    """
    from sklearn.metrics import roc_auc_score

    if known is not None and known not in (1, -1):
        raise UsageError(
            f"the direction of a continuous band is 1 (high is favourable) or -1, not {known!r}."
        )
    # The ends are quantiles: one freak sample must not stretch the curve.
    low, high = np.quantile(values, [0.01, 0.99])
    if low == high:
        low = values.min()
        high = values.max()
    auc = float(roc_auc_score(labels, values, sample_weight=weights))
    ore = max(1, round(effective_count(weights[labels == 1])))
    barren = max(1, round(effective_count(weights[labels == 0])))
    strength = np.inf if known is not None else abs(zauc(auc, ore, barren))
    rising = auc >= 0.5 if known is None else known > 0
    return (numbers, low, high) if rising else (numbers, high, low), float(strength)
