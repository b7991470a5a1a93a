"""Figures of several areas taken together: every area counts the same, whatever its size.

No weights by variance: an area that is easy has little spread, and would decide alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm, t

FLIPS = 20_000
"""Random sign flips behind a p value."""

POWER = 0.8
"""Chance of telling a difference that the number of areas asked for gives."""


@dataclass(frozen=True)
class Pooled:
    """A difference between two models over several areas.

    Attributes
    ----------
    mean : float
        Unweighted mean of the areas' differences.
    low, high : float
        95 % interval of Student's t over areas, NaN for one area.
    p : float
        Two-sided, by sign flips of whole clusters of deposits.
    areas, clusters : int
    """

    mean: float
    low: float
    high: float
    p: float
    areas: int
    clusters: int

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def pool(differences: Sequence[np.ndarray], clusters: Sequence[np.ndarray]) -> Pooled:
    """Return the pooled difference from that of every deposit of every area.

    Parameters
    ----------
    differences : sequence of (deposits,) ndarray
        One array an area.
    clusters : sequence of (deposits,) ndarray
        Cluster of each deposit.

    Examples
    --------
    >>> one = pool([np.array([0.1, 0.3]), np.array([0.4])], [np.array([0, 1]), np.array([0])])
    >>> round(one.mean, 3), one.areas, one.clusters, one.p
    (0.3, 2, 3, 0.25)
    """
    means = np.array([own.mean() for own in differences])
    count = len(means)
    half = np.nan
    if count > 1:
        half = t.ppf(0.975, count - 1) * means.std(ddof=1) / np.sqrt(count)
    # What each cluster adds to the mean over areas.
    shares = [
        np.bincount(np.unique(group, return_inverse=True)[1], own) / len(own) / count
        for own, group in zip(differences, clusters, strict=True)
    ]
    shares = np.concatenate(shares)
    mean = float(means.mean())
    return Pooled(mean, mean - half, mean + half, flipped(shares), count, len(shares))


def flipped(shares: np.ndarray, *, flips: int = FLIPS) -> float:
    """Return how often the sum of the shares, their signs flipped at random, is as far from zero.

    All flips are counted where they are fewer than ``flips``; else the flip that is the data counts
    as one more.
    """
    if 2 ** len(shares) <= flips:
        numbers = np.arange(2 ** len(shares))[:, None] >> np.arange(len(shares))
        signs = 1 - 2 * (numbers & 1)
        more = 0
    else:
        signs = np.random.default_rng(0).choice([-1, 1], (flips, len(shares)))
        more = 1
    # Rounding must not part a flip from its mirror.
    as_far = np.abs(signs @ shares) >= np.abs(shares.sum()) * (1 - 1e-9)
    return float((as_far.sum() + more) / (len(signs) + more))


def areas_needed(spread: float, difference: float) -> int:
    """Return how many areas tell a difference four times in five, at 5 %, two-sided.

    Parameters
    ----------
    spread : float
        Standard deviation of the areas' differences.

    Examples
    --------
    >>> areas_needed(0.02, 0.01)
    34
    """
    # Begin with the normal distribution's number; Student's t needs a few more.
    count = max(2, int(((norm.ppf(0.975) + norm.ppf(POWER)) * spread / difference) ** 2))
    while _power(count, spread, difference) < POWER:
        count += 1
    return count


def _power(count: int, spread: float, difference: float) -> float:
    from scipy.stats import nct

    limit = t.ppf(0.975, count - 1)
    return float(nct.sf(limit, count - 1, difference / spread * np.sqrt(count)))


def chosen_without(gains: pd.DataFrame, deciding: pd.DataFrame | None = None) -> pd.Series:
    """Return for each area the gain of the choice that did best on the other areas.

    Parameters
    ----------
    gains : DataFrame
        A row a choice, a column an area.
    deciding : DataFrame, optional
        The figures by which is chosen, where they are others than those returned.

    Examples
    --------
    >>> table = pd.DataFrame({"a": [0.0, 0.9], "b": [0.1, 0.0], "c": [0.1, 0.0]}, index=["x", "y"])
    >>> chosen_without(table).to_dict()
    {'a': 0.0, 'b': 0.0, 'c': 0.0}
    """
    deciding = gains if deciding is None else deciding
    found = {}
    for area in gains.columns:
        best = deciding.drop(columns=area).mean(axis=1).idxmax()
        found[area] = gains.loc[best, area]
    return pd.Series(found)
