"""The values of a map go in; its concentration-area curve, and where that breaks, come out."""

from __future__ import annotations

import numpy as np

CURVE_POINTS = 60
"""Concentrations at which the area above them is counted."""

SEGMENT = 5
"""Points of the log-log curve that a straight piece has at least."""

MOST_BREAKS = 3

FIT = 0.01
"""Decades of area by which a piece may miss the curve and still count as a perfect fit."""


def concentration_area(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the concentration-area curve of a map, and the values at which its slope breaks.

    The share of the area above a value falls as straight pieces on log-log paper where the values
    are fractal (Cheng, Agterberg and Ballantyne 1994, doi 10.1016/0375-6742(94)90013-2). The pieces
    are fitted by least squares; how many there are, at most :data:`MOST_BREAKS` and one, is chosen
    by the Bayesian information criterion.

    Parameters
    ----------
    values : (cells,) ndarray
        Logarithms to base 10, or values as they are for log-ratios.

    Returns
    -------
    at : ndarray
        Values along the curve.
    area : ndarray
        log10 of the share of the cells at or above each.
    breaks : ndarray
        Ascending; empty where one straight line fits best.
    """
    ordered = np.sort(np.asarray(values, float))
    # From the first quartile on: below it nearly all ground is still above, and nothing breaks.
    low, high = np.quantile(ordered, [0.25, 0.999]).tolist()
    at = np.unique(np.linspace(low, high, CURVE_POINTS))
    if len(at) < 2 * SEGMENT:
        return at, np.zeros(len(at)), np.array([])
    below = np.searchsorted(ordered, at, side="left")
    area = np.log10(1 - below / len(ordered))
    ends = _best_pieces(at, area)
    return at, area, at[ends]


def _best_pieces(
    x: np.ndarray,
    y: np.ndarray,
) -> list[int]:
    """Return the points at which straight pieces meet, by dynamic programming and BIC."""
    count = len(x)
    cost = np.full((count, count + 1), np.inf)
    # 1. Squared error of one line through every run of points.
    for first in range(count):
        for end in range(first + SEGMENT, count + 1):
            run_x = x[first:end]
            run_y = y[first:end]
            line = np.polyfit(run_x, run_y, 1)
            residual = np.polyval(line, run_x) - run_y
            cost[first, end] = float((residual**2).sum())
    # 2. The best runs up to each point, with one piece more at a time.
    best = [cost[0]]
    before: list[np.ndarray] = []
    for _ in range(MOST_BREAKS):
        sums = best[-1][:count, None] + cost
        before.append(np.argmin(sums, axis=0))
        best.append(np.min(sums, axis=0))
    # 3. How many pieces: each has a slope, a level and a place.
    errors = np.array([line[count] for line in best]) / count
    pieces = np.arange(1, len(best) + 1)
    misfit = count * np.log(np.maximum(errors, FIT**2))
    criterion = misfit + 3 * pieces * np.log(count)
    chosen = int(np.argmin(criterion))
    # 4. Back from the last point to where each piece began.
    ends = []
    end = count
    for places in reversed(before[:chosen]):
        end = int(places[end])
        ends.append(end)
    return sorted(ends)
