"""How far the evidence resembles itself: the range of the bands' variograms, which sets the size of
the folds.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import scipy
import xarray as xr

from ..rasters.reader import RasterReader
from .reading import windows_from

SHUFFLED = 20_000_000
"""Cells whose numbers are shuffled to draw some; of more of them, only those drawn are held."""

POINTS = 1500
"""Places drawn for the pairs: a million pairs give a smooth curve in a tenth of a second."""

LAGS = 20
"""Classes of distance between a pair's two places."""

REACH = 0.5
"""Longest lag, as a share of the shorter side of the ground: beyond it pairs come from the edges
alone.
"""


STARTS = (0.1, 0.3, 0.7)
"""Ranges from which the fit sets out, as shares of the longest lag."""

NOISE = 0.1
"""A variogram that rises by less than this share of its sill is that of noise: its range means
nothing.
"""


def variogram_range(
    xy: np.ndarray,
    values: np.ndarray,
    *,
    reach: float | None = None,
) -> float:
    """Return the distance at which values at two places stop resembling each other.

    The values become normal scores first (one freak assay must not set the sill), then half their
    mean squared difference by classes of distance is fitted with a spherical model (Matheron 1963,
    doi 10.2113/gsecongeo.58.8.1246), each class weighted by the root of its number of pairs.

    Parameters
    ----------
    xy : ndarray
        (places, 2) metres.
    values : ndarray
        (places,); NaN does not count.
    reach : float, optional
        Longest distance looked at; half the shorter side of the places when omitted.

    Returns
    -------
    float
        Metres; ``reach`` when the values still drift apart there, the shortest lag when they are
        noise, NaN with fewer than 30 values or a constant.
    """
    # 1. Enough values that differ, on ground of some width.
    known = np.isfinite(values)
    xy = xy[known]
    values = values[known]
    if len(values) < 30 or values.min() == values.max():
        return float("nan")
    if reach is None:
        shorter_side = float(np.ptp(xy, axis=0).min())
        reach = REACH * shorter_side
    if not reach > 0:
        return float("nan")
    # 2. The variogram of the normal scores.
    shares = scipy.stats.rankdata(values) / (len(values) + 1)
    scores = scipy.stats.norm.ppf(shares)
    lags, gamma, pairs = empirical_variogram(xy, scores, reach)
    # 3. The spherical model that fits it best; what hardly rises is noise.
    model = _fit_spherical(lags, gamma, pairs, sill=float(scores.var()), reach=reach)
    if model is None:
        return float("nan")
    nugget, rise, found_range = model
    return float(found_range if rise > NOISE * (nugget + rise) else lags[0])


def _fit_spherical(
    lags: np.ndarray,
    gamma: np.ndarray,
    pairs: np.ndarray,
    *,
    sill: float,
    reach: float,
) -> np.ndarray | None:
    """Return nugget, rise and range of the spherical model that fits best, None when none does.

    The model has flat stretches: one start alone may stay on one.
    """
    lowest = [0, 1e-6 * sill, lags[0]]
    highest = [2 * sill, 4 * sill, reach]
    best = None
    least = math.inf
    for start in STARTS:
        try:
            found, _ = scipy.optimize.curve_fit(
                spherical,
                lags,
                gamma,
                p0=(0.1 * sill, sill, start * reach),
                sigma=1 / np.sqrt(pairs),
                bounds=(lowest, highest),
            )
        except RuntimeError:
            continue
        # Weighted as the fit was: a class of many pairs counts more.
        residual = spherical(lags, *found) - gamma
        misfit = float((pairs * residual**2).sum())
        if misfit < least:
            least = misfit
            best = found
    return best


def empirical_variogram(
    xy: np.ndarray, values: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean distance, half the mean squared difference and number of pairs of each class of
    distance.

    >>> lags, gamma, pairs = empirical_variogram(np.array([[0, 0], [1, 0], [2, 0.0]]), np.array([1, 2, 4.0]), 2.0)
    >>> lags.tolist(), gamma.tolist(), pairs.tolist()
    ([1.0, 2.0], [1.25, 4.5], [2, 1])
    """
    first, second, number, pairs, lags = _pairs_within(np.asarray(xy, float).tobytes(), reach)
    difference = values[first] - values[second]
    squares = np.bincount(number, weights=difference**2, minlength=LAGS)
    used = pairs > 0
    gamma = squares[used] / pairs[used] / 2
    return lags[used], gamma, pairs[used]


@lru_cache(maxsize=1)
def _pairs_within(
    places: bytes, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the two places of every pair within reach and its class of distance, and the number
    of pairs and the mean distance of each class.

    All bands of a stack have the same places: their pairs are found once.
    """
    xy = np.frombuffer(places).reshape(-1, 2)
    # 1. Every pair of places within reach.
    first, second = np.triu_indices(len(xy), 1)
    apart = xy[first] - xy[second]
    distance = np.hypot(apart[:, 0], apart[:, 1])
    near = (distance <= reach) & (distance > 0)
    distance = distance[near]
    # 2. Each in its class of distance.
    share_of_reach = distance / reach
    number = np.minimum((share_of_reach * LAGS).astype(int), LAGS - 1)
    pairs = np.bincount(number, minlength=LAGS)
    total = np.bincount(number, weights=distance, minlength=LAGS)
    lags = total / np.maximum(pairs, 1)
    return first[near], second[near], number, pairs, lags


def spherical(
    lag: np.ndarray,
    nugget: float,
    sill: float,
    reach: float,
) -> np.ndarray:
    """Return the spherical variogram: rises as 1.5 h/a - 0.5 (h/a)^3 up to the range a, level
    beyond.

    >>> spherical(np.array([0.0, 1.0, 2.0, 5.0]), 0.1, 1.0, 2.0).round(4).tolist()
    [0.1, 0.7875, 1.1, 1.1]
    """
    share = np.minimum(np.asarray(lag) / reach, 1.0)
    return nugget + sill * (1.5 * share - 0.5 * share**3)


def band_ranges(stack: xr.DataArray | RasterReader, *, seed: int = 0) -> dict[str, float]:
    """Return the variogram range of every band that is no class band, in metres, from places drawn
    at random.
    """
    source = RasterReader.of(stack)
    rows, cols = drawn_cells(source.valid, POINTS, seed)
    xy = np.column_stack(source.grid.xy(rows, cols))
    numbered = [band.name for band in source.bands if band.kind != "class"]
    values = windows_from(source, rows, cols, 1, numbered)[:, :, 0, 0]
    ranges = {}
    for name, own in zip(numbered, values.T, strict=True):
        ranges[name] = variogram_range(xy, own.astype(float))
    return ranges


def drawn_cells(valid: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of so many valid cells drawn at random without replacement, all where
    there are fewer.
    """
    in_row = np.count_nonzero(valid, axis=1)
    after_row = np.cumsum(in_row)
    total = int(after_row[-1])
    rng = np.random.default_rng(seed)
    if total <= SHUFFLED:
        drawn = rng.permutation(total)[:count]
    else:
        # Numbers of all cells would take eight bytes each.
        drawn = rng.choice(total, min(count, total), replace=False)
    # The row that holds each number, and the place in it.
    rows = np.searchsorted(after_row, drawn, side="right")
    place = drawn - (after_row[rows] - in_row[rows])
    cols = np.empty(len(rows), np.int64)
    for number, (row, nth) in enumerate(zip(rows, place, strict=True)):
        cols[number] = np.flatnonzero(valid[row])[nth]
    return rows, cols


def autocorrelation_range(stack: xr.DataArray | RasterReader, *, seed: int = 0) -> float:
    """Return the median of the bands' variogram ranges in metres, NaN when no band has one.

    The median: a distance band rises all over the map and has no range, and one such band must not
    decide.

    Parameters
    ----------
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    seed : int
        Of the pairs of cells that are drawn.

    Returns
    -------
    float
        Metres; NaN when no band has a range.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> 1000 < gm.autocorrelation_range(stack) < 20_000
    True
    """
    ranges = band_ranges(stack, seed=seed)
    known = [value for value in ranges.values() if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
