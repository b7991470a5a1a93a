"""How good is a score map? Its figures against deposits.

Pure functions of arrays. A share of area is always a share of the **valid** cells that have a
score: nodata is never counted. Cells of one score share their rank: a deposit among them is
captured in proportion to how many of them are taken, which is the mean over every way to break the
tie. For the intervals see :mod:`geomfaf.evaluation.intervals`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from ..errors import DataError
from .intervals import BATCH, bootstrap_interval, mean_interval

AREAS = (0.01, 0.02, 0.05, 0.10, 0.20)
"""Shares of the valid area for which the captured deposits are counted."""

MOST_BREAKS = 2001
"""Corners of the capture curve that the *interval* of the P-A intersection keeps; the figure itself
keeps all.
"""


@dataclass(frozen=True)
class Placement:
    """Where deposits stand in the ranking of all valid cells, see :func:`place_deposits`.

    Attributes
    ----------
    scores : ndarray
        (deposits,) score of each deposit's cell.
    cells : ndarray
        (cells,) scores of all valid cells, ascending.
    above, tied : ndarray
        (deposits,) share of the valid area that scores higher; share that scores the same (its own
        cell included).
    """

    scores: np.ndarray
    cells: np.ndarray
    above: np.ndarray
    tied: np.ndarray

    @property
    def auc(self) -> np.ndarray:
        """Share of the valid area that each deposit outranks, ties one half; the mean is the map
        AUC.
        """
        return 1 - self.above - self.tied / 2

    def captured(self, areas: object) -> np.ndarray:
        """Return the chance that each deposit lies on the best ``areas`` of the ground, (deposits,
        areas).
        """
        wanted = np.atleast_1d(np.asarray(areas, float))
        return np.clip((wanted[None, :] - self.above[:, None]) / self.tied[:, None], 0.0, 1.0)


def place_deposits(
    score: np.ndarray,
    valid: np.ndarray,
    rows: object,
    cols: object,
    sample: np.ndarray | None = None,
) -> Placement:
    """Rank deposits among all valid cells of a score map.

    Parameters
    ----------
    score : ndarray
        (y, x), higher is better; NaN where there is none.
    valid : ndarray
        (y, x) bool, the cells that count. Those without a score do not.
    rows, cols : (deposits,) int
        Cells of the deposits.
    sample : ndarray, optional
        (y, x) bool, the valid cells that stand for the ground where it is not all of them.

    Raises
    ------
    DataError
        When there is no deposit, or one lies on a cell that is not valid or has no score.

    Examples
    --------
    >>> score = np.array([[0.9, 0.5, 0.5, np.nan]])
    >>> placed = place_deposits(score, np.isfinite(score), [0, 0], [0, 1])
    >>> placed.above.round(3).tolist(), placed.tied.round(3).tolist()
    ([0.0, 0.333], [0.333, 0.667])
    >>> placed.captured([1 / 3, 2 / 3]).tolist()
    [[1.0, 1.0], [0.0, 0.5]]
    """
    rows = np.asarray(rows, int)
    cols = np.asarray(cols, int)
    counted = np.asarray(valid, bool) & np.isfinite(score)
    if not len(rows):
        raise DataError(
            "no deposit lies on valid ground: a score map cannot be judged without one."
        )
    off = np.flatnonzero(~counted[rows, cols])
    if len(off):
        raise DataError(
            f"{len(off)} of {len(rows)} deposits lie on cells without a score, the first in row"
            f" {rows[off[0]]}, column {cols[off[0]]}: leave out deposits that are off the valid"
            " ground, or score the whole of it."
        )
    # Among the sorted cells those of a deposit's own score begin at `left` and end before `right`.
    ground = counted if sample is None else counted & sample
    cells = np.sort(np.asarray(score, float)[ground])
    own = np.asarray(score, float)[rows, cols]
    left = np.searchsorted(cells, own, side="left")
    right = np.searchsorted(cells, own, side="right")
    above = (len(cells) - right) / len(cells)
    # In a sample no cell may have a deposit's score: its own is the least that ties.
    tied = np.maximum(right - left, 1) / len(cells)
    return Placement(own, cells, above, tied)


def rate_curve(placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners of the curve of captured deposits against the share of area, best ground
    first.

    With the deposits that trained the map it is the **success-rate curve**, with held-out ones the
    **prediction-rate curve** (Chung and Fabbri 2003, doi 10.1023/B:NHAZ.0000007172.62651.2b).
    Between its corners it is straight, and the area under it is the map AUC.

    Parameters
    ----------
    placement : Placement
        Of the deposits in a score map, see :func:`geomfaf.evaluation.metrics.place_deposits`.

    Returns
    -------
    area, captured : ndarray
        Shares from (0, 0) to (1, 1).

    Examples
    --------
    >>> import numpy as np
    >>> import geomfaf as gm
    >>> from geomfaf.evaluation.metrics import place_deposits
    >>> score = np.arange(100.0).reshape(10, 10)
    >>> placement = place_deposits(score, score >= 0, np.array([9, 9]), np.array([9, 0]))
    >>> area, captured = gm.rate_curve(placement)
    >>> area.round(2).tolist(), captured.round(2).tolist()
    ([0.0, 0.01, 0.09, 0.1, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    # The curve bends where the ground of some deposit's score begins and ends.
    ends = placement.above + placement.tied
    area = np.unique(np.concatenate([[0.0, 1.0], placement.above, ends]))
    # So many corners at a time that deposits x corners stay small.
    step = max(1, BATCH // len(placement.scores))
    parts = []
    for first in range(0, len(area), step):
        chances = placement.captured(area[first : first + step])
        parts.append(chances.mean(axis=0))
    return area, np.concatenate(parts)


def prediction_area(area: np.ndarray, captured: np.ndarray) -> np.ndarray:
    """Return the share of area at which the prediction-area (P-A) plot intersects.

    There the curve of captured deposits meets the falling curve of the area left over, ``captured =
    1 - area``. The normalised density of the intersection is ``Nd = captured / area``: 1 for a map
    without skill, and the more above 1 the better (Yousefi and Carranza 2015, doi
    10.1016/j.cageo.2015.03.007).

    Parameters
    ----------
    area : (corners,) ndarray
        Ascending from 0 to 1.
    captured : (..., corners) ndarray
        One curve or more, each from 0 to 1, see :func:`rate_curve`.

    Returns
    -------
    ndarray
        (...,) shares of the area, 0 to 1, one a curve.

    Examples
    --------
    A map without skill, and one that holds all deposits in its best tenth:

    >>> prediction_area(np.array([0.0, 1.0]), np.array([0.0, 1.0])).tolist()
    0.5
    >>> at = prediction_area(np.array([0.0, 0.1, 1.0]), np.array([0.0, 1.0, 1.0]))
    >>> round(float(at), 4), round(float((1 - at) / at), 4)
    (0.0909, 10.0)
    """
    # 1. the corners before and after the crossing: the excess rises strictly from -1 to 1
    excess = captured + area - 1.0
    after = (excess >= 0).argmax(axis=-1)
    high = np.take_along_axis(excess, after[..., None], -1)[..., 0]
    low = np.take_along_axis(excess, after[..., None] - 1, -1)[..., 0]
    # 2. straight between them
    before = area[after - 1]
    return before + (area[after] - before) * -low / (high - low)


def boyce_index(placement: Placement) -> float:
    """Return the continuous Boyce index (Hirzel et al. 2006, doi 10.1016/j.ecolmodel.2006.05.017).

    A window of a tenth of the score's range moves over it in 100 steps. In each stands the share of
    the deposits over the share of the area; the index is their rank correlation (Spearman) with the
    score: 1 where deposits get denser with every rise of the score, 0 without skill, -1 for a map
    the wrong way round. NaN for a map of one value.

    Parameters
    ----------
    placement : Placement
        Of the deposits in a score map, see :func:`geomfaf.evaluation.metrics.place_deposits`.

    Returns
    -------
    float
        -1 to 1; NaN for a map of one value.

    Examples
    --------
    >>> import numpy as np
    >>> import geomfaf as gm
    >>> from geomfaf.evaluation.metrics import place_deposits
    >>> score = np.arange(100.0).reshape(10, 10)
    >>> placement = place_deposits(score, score >= 0, np.array([9, 9]), np.array([9, 0]))
    >>> round(gm.boyce_index(placement), 2)
    0.54
    """
    return float(_boyce(placement, np.ones((1, len(placement.scores))))[0])


def map_metrics(
    placement: Placement,
    *,
    clusters: np.ndarray | None = None,
    areas: Sequence[float] = AREAS,
    seed: int = 0,
) -> dict[str, float]:
    """Return the figures of a score map with their 95 % intervals.

    Parameters
    ----------
    placement : Placement
        Of held-out deposits in a held-out score map; of training deposits in a fitted map it
        flatters.
    clusters : (deposits,) ndarray, optional
        Which cluster each deposit belongs to, for the intervals. Each deposit is its own when
        omitted.
    areas : sequence of float
        Shares of the area, for the captures.
    seed : int
        Of the bootstrap behind the intervals.

    Returns
    -------
    dict
        ``deposits``, ``clusters`` and ``cells`` (counts); ``map_auc`` (deposits against all valid
        cells, equal to the area under the prediction-rate curve), ``capture_1`` ... ``capture_20``
        (share of deposits on the best 1 ... 20 % of the area), ``pa_area`` and ``nd`` (P-A plot),
        ``boyce``; each of these also with ``_low`` and ``_high``.

    Examples
    --------
    >>> import numpy as np
    >>> import geomfaf as gm
    >>> from geomfaf.evaluation.metrics import place_deposits
    >>> score = np.arange(100.0).reshape(10, 10)
    >>> placement = place_deposits(score, score >= 0, np.array([9, 9]), np.array([9, 0]))
    >>> gm.map_metrics(placement)["map_auc"]
    0.95
    """
    clusters = np.arange(len(placement.scores)) if clusters is None else np.asarray(clusters)
    corners, curve = rate_curve(placement)
    # The bootstrap reads the curve at few enough corners, and at each share that is printed.
    kept = corners
    if len(corners) > MOST_BREAKS:
        kept = corners[np.linspace(0, len(corners) - 1, MOST_BREAKS).astype(int)]
    kept = np.union1d(kept, areas)
    counts = {
        "deposits": len(clusters),
        "clusters": len(np.unique(clusters)),
        "cells": len(placement.cells),
    }
    figures = map_figures(
        placement.auc,
        kept,
        placement.captured(kept),
        clusters,
        areas=areas,
        boyce=lambda weights: _boyce(placement, weights),
        seed=seed,
    )
    # The intersection itself comes from every corner.
    meets = float(prediction_area(corners, curve))
    return {
        **counts,
        **figures,
        "pa_area": meets,
        "nd": (1 - meets) / meets,
    }


def map_figures(
    auc: np.ndarray,
    corners: np.ndarray,
    captured: np.ndarray,
    clusters: np.ndarray,
    *,
    areas: Sequence[float] = AREAS,
    boyce: Callable[[np.ndarray], np.ndarray] | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return map AUC, captures and P-A intersection with 95 % intervals over clusters of deposits.

    Parameters
    ----------
    auc : (deposits,) ndarray
        Share of the valid area that each deposit outranks, of one map or the mean of several.
    corners : (corners,) ndarray
        Shares of area from 0 to 1, those of ``areas`` among them.
    captured : (deposits, corners) ndarray
        Chance that each deposit lies on so much of the best ground.
    clusters : (deposits,) ndarray
        Which cluster each deposit belongs to.
    boyce : callable, optional
        Weights (draws, deposits) -> (draws,) Boyce index, where it is wanted.

    Returns
    -------
    dict
        ``map_auc``, ``capture_1`` ..., ``pa_area``, ``nd`` and ``boyce`` where wanted; each also
        with ``_low`` and ``_high``.
    """
    # The corner that stands for each share of area.
    columns = [int(np.abs(corners - share).argmin()) for share in areas]

    def redraw(weights: np.ndarray) -> np.ndarray:
        shares = weights / weights.sum(axis=1, keepdims=True)
        curves = shares @ captured
        meets = prediction_area(corners, curves)
        parts = [shares @ auc, curves[:, columns], meets, (1 - meets) / meets]
        return np.column_stack(parts if boyce is None else [*parts, boyce(weights)])

    names = ["map_auc", *(f"capture_{100 * share:g}" for share in areas), "pa_area", "nd"]
    names += [] if boyce is None else ["boyce"]
    found = redraw(np.ones((1, len(auc))))[0]
    low, high = bootstrap_interval(redraw, clusters, seed=seed)
    # A mean has an interval that allows for few clusters, which a bootstrap does not.
    low[0], high[0] = mean_interval(auc, clusters, bounds=(0, 1))
    return with_intervals(names, found, low, high)


def with_intervals(
    names: Sequence[str],
    found: Sequence[float],
    low: np.ndarray,
    high: np.ndarray,
) -> dict[str, float]:
    """Return each figure by its name, with ``_low`` and ``_high``."""
    figures: dict[str, float] = {}
    for name, value, least, most in zip(names, found, low, high, strict=True):
        figures |= {
            name: float(value),
            f"{name}_low": float(least),
            f"{name}_high": float(most),
        }
    return figures


def _boyce(placement: Placement, weights: np.ndarray) -> np.ndarray:
    """Return the Boyce index of each draw of the deposits, (draws,)."""
    # 1. the windows over the score; the last end by name: rounding must not lose the best cell
    first = placement.cells[0]
    last = placement.cells[-1]
    width = (last - first) / 10
    starts = np.linspace(first, last - width, 101)
    ends = np.append(starts[:-1] + width, last)
    # 2. ground and deposits in each; counts, not shares: whole numbers that are in one ratio divide
    # to the very same float
    below = np.searchsorted(placement.cells, starts)
    upto = np.searchsorted(placement.cells, ends, side="right")
    expected = upto - below
    scores = placement.scores[:, None]
    inside = (scores >= starts) & (scores <= ends)
    # 3. rank correlation of their ratio with the score, over the windows that hold ground
    kept = expected > 0
    count = kept.sum()
    ratio = (weights @ inside[:, kept].astype(float)) / expected[kept]
    ranks = scipy.stats.rankdata(ratio, axis=1) - (count + 1) / 2
    order = np.arange(count) - (count - 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return (ranks @ order) / np.sqrt((ranks**2).sum(axis=1) * (order**2).sum())
