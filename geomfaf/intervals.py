"""How sure is a figure? 95 % intervals that count clusters of deposits: neighbours are no independent witnesses."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
from scipy.stats import norm, t

LEVELS = (0.025, 0.975)
"""Of every interval: 95 %."""

DRAWS = 2000
"""Bootstrap draws of deposit clusters behind every interval."""

BATCH = 4_000_000
"""Weights (draws x items) held at once by the bootstrap."""


def mean_interval(
    values: np.ndarray, clusters: np.ndarray, *, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[float, float]:
    """Return the 95 % interval of a mean over deposits whose clusters are independent, not the deposits.

    With e_g the sum over cluster g of the values' distance to the mean of all n, and G clusters, the interval is

        mean +- t(0.975, F - 1) * sqrt(G / (G - 1) * sum(e_g ** 2)) / n

    the cluster-robust variance with its correction for few clusters (Cameron, Gelbach and Miller 2008, doi
    10.1162/rest.90.3.414). F = :func:`effective_clusters`: a cluster that holds most deposits is not made up for by
    many small ones. A percentile bootstrap of five equal clusters would miss the truth in 18 % of cases.

    Parameters
    ----------
    bounds : (float, float)
        What the mean can be; the interval is cut there. With one cluster it is all of it: one says nothing of spread.

    Examples
    --------
    >>> low, high = mean_interval(np.array([0.4, 0.6, 0.8]), np.array([1, 2, 3]))
    >>> round(low, 3), round(high, 3)
    (0.103, 1.097)
    >>> mean_interval(np.array([0.4, 0.6, 0.8]), np.array([1, 1, 1]), bounds=(0, 1))
    (0.0, 1.0)
    """
    values = np.asarray(values, float)
    _, group = np.unique(clusters, return_inverse=True)
    count, mean = int(group.max()) + 1, values.mean()
    if count == 1:
        return float(bounds[0]), float(bounds[1])
    errors = np.bincount(group, values - mean)
    # A cluster that is nearly all there is leaves next to no degree of freedom: t is infinite there, and 0 * inf NaN.
    width = min(t.ppf(LEVELS[1], effective_clusters(clusters) - 1), 1e9)
    half = width * np.sqrt(count / (count - 1) * (errors**2).sum()) / len(values)
    return float(np.clip(mean - half, *bounds)), float(np.clip(mean + half, *bounds))


def effective_clusters(clusters: np.ndarray) -> float:
    """Return how many clusters of one size would be worth as much as these, ``n ** 2 / sum(n_g ** 2)``.

    One less is Satterthwaite's number of degrees of freedom of the cluster-robust variance of a mean, were the items
    of a cluster independent; see Imbens and Kolesar (2016, doi 10.1162/REST_a_00552).

    >>> effective_clusters(np.array([1, 1, 2, 2, 3, 3])), effective_clusters(np.array([1, 1, 1, 1, 2, 3]))
    (3.0, 2.0)
    """
    sizes = np.unique(clusters, return_counts=True)[1]
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray], clusters: np.ndarray, *, seed: int = 0, draws: int = DRAWS
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95 % interval of figures over bootstrap draws of whole clusters.

    The plain 2.5 and 97.5 % points are too close together when clusters are few. They are moved out, to the points
    that would give an interval of Student's t for a mean of normal values, with one less than
    :func:`effective_clusters` degrees of freedom (the expanded percentile interval of Hesterberg 2015, doi
    10.1080/00031305.2015.1089789). No share leaves 0 to 1 so. With less than about five clusters even the extremes
    of the draws are too close together. One cluster has no interval: NaN.

    Parameters
    ----------
    statistic : callable
        Weights (draws, items), how often each item was drawn -> (draws, figures). NaN says that a draw has no such
        figure; it does not count.
    clusters : (items,) ndarray
        Which cluster each item belongs to.

    Returns
    -------
    low, high : (figures,) ndarray
    """
    _, group = np.unique(clusters, return_inverse=True)
    count, rng = int(group.max()) + 1, np.random.default_rng(seed)
    if count == 1:
        none = np.full(statistic(np.ones((1, len(group)))).shape[1], np.nan)
        return none, none.copy()
    batch = max(1, min(draws, BATCH // len(group)))
    found = []
    for first in range(0, draws, batch):
        drawn = rng.multinomial(count, np.full(count, 1 / count), size=min(batch, draws - first))
        found.append(statistic(drawn[:, group].astype(float)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        low, high = np.nanquantile(np.concatenate(found), _expanded_levels(clusters), axis=0)
    return low, high


def _expanded_levels(clusters: np.ndarray) -> np.ndarray:
    """Return the shares of bootstrap draws below the ends of an interval that allows for few clusters."""
    count = len(np.unique(clusters))
    return norm.cdf(np.sqrt(count / (count - 1)) * t.ppf(LEVELS, effective_clusters(clusters) - 1))
