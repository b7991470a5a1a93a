"""Codes that stand for no measurement, detection limits, and what replaces a censored value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ...errors import UsageError, nearest_name, require_known
from ..element_names import parse_element
from ..units import convert, element_of, parse_unit
from .parse_numbers import ABOVE, BELOW, OK

SENTINELS = (
    -99.0,
    -999.0,
    -999.25,
    -999.99,
    -9999.0,
    -9999.99,
    -99999.0,
    -999999.0,
    -32768.0,
    -2147483648.0,
)
"""Negative numbers that databases and grids write where nothing was measured: no laboratory has
such a limit.
"""

HUGE = 1e20
"""Nothing has a larger concentration in any unit: 1e30, 1.70141e38 and infinity are codes too."""

SUSPECTS = (
    999.0,
    999.99,
    9999.0,
    9999.9,
    9999.99,
    32767.0,
    65535.0,
    99999.0,
    99999.9,
    99999.99,
    999999.0,
    9999999.0,
)
"""Positive numbers that may be codes, and may be real: 9999 ppm of manganese is nothing special."""

MANY_LIMITS = 12
"""A laboratory's negative limits of one element are few; more distinct negative numbers are
something else.
"""

LEAST_FOR_A_GAP = 30
"""Values that a gap around zero needs to be no accident."""

REPLACEMENTS = ("half", "sqrt2", "zero", "drop", "ros", "multiplicative")

LEAST_FOR_ROS = 5
"""Distinct measured values that a regression on order statistics needs."""

MULTIPLICATIVE_SHARE = 0.65
"""Share of the limit that multiplicative replacement puts in, after Martin-Fernandez et
al. (2003).
"""


def sentinels(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which numbers are codes for "not measured", and which are suspected to be and stay.

    Negative nines, what is larger than anything can be and infinity are codes at once. 9999 and its
    like are codes when they are repeated and stand three times above every other value, or thirty
    times above them.

    >>> found, kept = sentinels(np.array([120.0, -9999, 9999, 9999, 9999, 80]))
    >>> found.astype(int).tolist(), kept.any()
    ([0, 1, 1, 1, 1, 0], np.False_)
    >>> found, kept = sentinels(np.array([8700.0, 9999, 9999, 9999]))
    >>> found.any(), kept.astype(int).tolist()
    (np.False_, [0, 1, 1, 1])
    """
    # 1. codes whatever the other values are
    codes = _among(numbers, numbers <= max(SENTINELS), SENTINELS) | (np.abs(numbers) >= HUGE)
    # 2. numbers that the others must judge
    suspects = _among(numbers, numbers >= min(SUSPECTS), SUSPECTS)
    kept = np.zeros(len(numbers), bool)
    if suspects.any():
        highest = np.max(numbers[~suspects & ~codes & np.isfinite(numbers)], initial=0.0)
        for value in np.unique(numbers[suspects]):
            here = numbers == value
            alone = highest > 0 and value >= 3 * highest
            if (alone and here.sum() >= 3) or (highest > 0 and value >= 30 * highest):
                codes |= here
            elif alone or here.sum() >= 3:
                kept |= here
    return codes, kept


def _among(numbers: np.ndarray, candidates: np.ndarray, values: tuple[float, ...]) -> np.ndarray:
    """Return which numbers are one of some values; only the candidates are looked at, as there are
    few.
    """
    found = np.zeros(len(numbers), bool)
    found[candidates] = np.isin(numbers[candidates], values)
    return found


def negatives_are_limits(numbers: np.ndarray) -> bool:
    """Return whether the negative numbers look like minus detection limits: two or three, or
    repeated ones.

    >>> negatives_are_limits(np.array([-0.02, -0.001, 5])), negatives_are_limits(np.array([-0.3, -1.1, -0.7, -2.2, 5]))
    (True, False)
    """
    negative = numbers[numbers < 0]
    distinct = len(pd.unique(negative))
    return distinct <= 3 or distinct <= len(negative) / (2 if distinct <= MANY_LIMITS else 10)


def negatives_are_own_limits(numbers: np.ndarray) -> bool:
    """Return whether negative numbers are minus the limit of their own sample, which differs from
    sample to sample.

    Limits leave a gap around zero, and lie among the measured values or all below them. What runs
    through zero, logarithms or the noise of an instrument, leaves none: of n values the smallest is
    below 7 / n of the median size in 99 of 100 columns, and negative sizes lie among the positive.

    >>> rng = np.random.default_rng(0)
    >>> values = rng.lognormal(4, 0.5, 200).round()
    >>> limits = -rng.uniform(10, 100, 40).round()
    >>> negatives_are_own_limits(np.append(values, limits)), negatives_are_own_limits(np.log10(values) - 1.7)
    (True, False)
    """
    known = numbers[np.isfinite(numbers) & (numbers != 0)]
    negative = known[known < 0]
    positive = known[known > 0]
    if len(known) < LEAST_FOR_A_GAP or not len(negative) or len(negative) > 0.9 * len(known):
        return False
    below = 5 <= len(negative) <= len(positive) and -negative.min() <= 0.5 * positive.min()
    if below and negative.max() <= 0.1 * negative.min():  # noise would come near zero
        return True
    sizes = np.abs(known)
    gap = sizes.min() > max(0.05, 7 / len(known)) * np.median(sizes)
    return bool(gap and np.median(positive) >= 0.7 * np.median(-negative))


def looks_logarithmic(numbers: np.ndarray) -> bool:
    """Return whether a column with many distinct negative numbers is one of logarithms or
    log-ratios.
    """
    known = numbers[np.isfinite(numbers)]
    negative = known < 0
    if negatives_are_limits(known) or negative.mean() < 0.05:
        return False
    positive = known[known > 0]
    return bool(np.median(-known[negative]) > 0.1 * np.median(positive)) if len(positive) else True


def read_limits(given: str | Path | Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """Return element or column -> (limit, unit) from a mapping, or from a CSV file with element,
    limit[, unit].

    Raises
    ------
    UsageError
        When the file has no such columns, or a limit is not a positive number.
    """
    if isinstance(given, Mapping):
        table = pd.DataFrame({"element": list(given), "limit": list(given.values())})
    else:
        path = Path(given)
        if not path.exists():
            raise UsageError(f"detection_limits: {path} does not exist.")
        table = pd.read_csv(path, sep=None, engine="python", encoding="utf-8-sig")
        table.columns = [str(column).strip().casefold() for column in table.columns]
        for column in ("element", "limit"):
            if column not in table.columns:
                hint = nearest_name(column, table.columns)
                raise UsageError(
                    f"detection_limits: {path.name} needs the columns element, limit (and"
                    f" unit).{hint}"
                )
    limits = {}
    units = table["unit"].fillna("") if "unit" in table else pd.Series("", index=table.index)
    for name, text, unit in zip(table["element"], table["limit"], units, strict=True):
        limit = pd.to_numeric(text, errors="coerce")
        if not (np.isfinite(limit) and limit > 0):
            raise UsageError(
                f'detection_limits: the limit "{text}" of {name} is not a positive number.'
            )
        if unit and parse_unit(unit) is None:
            raise UsageError(
                f'detection_limits: the unit "{unit}" of {name} is unknown: use %, ppm, ppb or ppt.'
            )
        limits[str(name).strip()] = (float(limit), parse_unit(unit) or "")
    return limits


def limit_for(column: str, unit: str, limits: Mapping[str, tuple[float, str]]) -> float | None:
    """Return the limit given for a column (by its name, else by its element), in the
    column's unit.
    """
    parsed = parse_element(column)
    for key, (limit, said) in limits.items():
        other = parse_element(key)
        named = key == column
        alike = parsed and other and element_of(other[0]) == element_of(parsed[0])
        if not named and not alike:
            continue
        said = said or (other[1] if other else "")
        own = unit.removesuffix("?")
        if not parsed or not other or named:
            return limit
        # An element's limit in the unit of the column, its oxide's too.
        if said and own:
            return float(convert(limit, f"{other[0]} {said}", f"{parsed[0]} {own}"))
        return limit if other[0] == parsed[0] else None
    return None


def settle_limits(numbers: np.ndarray, flags: np.ndarray, given: float | None = None) -> np.ndarray:
    """Return the numbers with a limit for every censored value whose own is unknown (NaN).

    Below: the limit given, else the smallest measured value, else the smallest known limit. Above:
    the largest measured value. NaN stays where there is none of these.
    """
    numbers = numbers.copy()
    measured = numbers[(flags == OK) & (numbers > 0)]
    limits = numbers[(flags == BELOW) & (numbers > 0)]
    lowest = given or (measured.min() if len(measured) else limits.min() if len(limits) else np.nan)
    numbers[(flags == BELOW) & ~(numbers > 0)] = lowest
    numbers[(flags == ABOVE) & np.isnan(numbers)] = measured.max() if len(measured) else np.nan
    return numbers


def replace_censored(numbers: np.ndarray, flags: np.ndarray, method: str = "half") -> np.ndarray:
    """Return one element's numbers with its values below detection replaced; those above range stay
    their limit.

    Parameters
    ----------
    numbers, flags : (rows,) arrays
        As :func:`geomfaf.survey.cleaning.parse_numbers.parse_column` gives them; the number of a
        censored value is its limit.
    method : {"half", "sqrt2", "zero", "drop", "ros", "multiplicative"}
        ``half`` of the limit; limit / sqrt(2); zero; NaN; regression on order statistics, see
        :func:`ros`; 0.65 of the limit, the other elements of the sample adjusted by
        :func:`close_compositions`.

    Examples
    --------
    >>> replace_censored(np.array([0.1, 3.0]), np.array([BELOW, OK]))
    array([0.05, 3.  ])
    """
    require_known(method, REPLACEMENTS, "replacement")
    below = flags == BELOW
    if method == "ros":
        return ros(numbers, below)
    rules: dict[str, Callable[[np.ndarray], np.ndarray | float]] = {
        "half": lambda limits: limits / 2,
        "sqrt2": lambda limits: limits / np.sqrt(2),
        "zero": lambda limits: 0.0,
        "drop": lambda limits: np.nan,
        "multiplicative": lambda limits: MULTIPLICATIVE_SHARE * limits,
    }
    replaced = numbers.copy()
    replaced[below] = rules[method](numbers[below])
    return replaced


def can_regress(numbers: np.ndarray, below: np.ndarray) -> bool:
    """Return whether :func:`ros` can be used: enough distinct measured values, at most 80 %
    censored.
    """
    known = np.isfinite(numbers)
    return (
        len(pd.unique(numbers[known & ~below])) >= LEAST_FOR_ROS
        and below.sum() <= 0.8 * known.sum()
    )


def ros(numbers: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Replace values below several limits by regression on order statistics.

    Plotting positions after Helsel and Cohn (1988), doi 10.1029/WR024i012p01997: with exceedance
    probabilities ``pe_j = pe_{j+1} + A_j / (A_j + B_j) (1 - pe_{j+1})`` at the limits j (A measured
    between this limit and the next, B all values below it), measured values are spread evenly
    between ``1 - pe_j`` and ``1 - pe_{j+1}``, those censored at j between 0 and ``1 - pe_j``. The
    logarithms of the measured values are regressed on the normal quantiles of their positions;
    censored values take the line's antilogarithm.

    The values are right as a whole (mean, spread); which sample of one limit gets which is only
    their order.

    Parameters
    ----------
    numbers : (rows,) array
        Positive; the limit where ``below``; NaN is left alone.
    below : (rows,) bool array
    """
    numbers = np.asarray(numbers, float)
    known = np.isfinite(numbers)
    values = numbers[known]
    censored = np.asarray(below, bool)[known]
    if not censored.any():
        return numbers.copy()
    if not can_regress(numbers, np.asarray(below, bool)):
        raise UsageError(
            f"regression on order statistics needs {LEAST_FOR_ROS} different measured values and at"
            ' most 80 % below detection: use another replacement, such as "half".'
        )
    # 1. a limit above every measured value holds no order: the largest measured one takes its place
    values = np.where(censored, np.minimum(values, values[~censored].max()), values)
    # 2. where each value stands among all, and the normal quantile there
    quantile = ndtri(_plotting_positions(values, censored))
    # 3. the line of the measured values gives the others
    slope, intercept = np.polyfit(quantile[~censored], np.log(values[~censored]), 1)
    values[censored] = np.exp(intercept + slope * quantile[censored])
    replaced = numbers.copy()
    replaced[known] = values
    return replaced


def _plotting_positions(values: np.ndarray, censored: np.ndarray) -> np.ndarray:
    """Return the plotting positions of Helsel and Cohn (1988), between 0 and 1; see :func:`ros`."""
    limits = np.unique(values[censored])
    zone = np.searchsorted(limits, values, side="right")  # 0 = below the lowest limit
    # The share above each limit, from the highest limit down.
    exceed = np.zeros(len(limits) + 2)
    for j in range(len(limits), 0, -1):
        above = int((~censored & (zone == j)).sum())
        below_measured = int((~censored & (zone < j)).sum())
        below_censored = int((censored & (values <= limits[j - 1])).sum())
        lower = below_measured + below_censored
        exceed[j] = exceed[j + 1] + above / (above + lower) * (1 - exceed[j + 1])
    exceed[0] = 1.0
    # Within a zone, positions are spread evenly by rank.
    position = np.empty(len(values))
    for j in range(len(limits) + 1):
        measured = ~censored & (zone == j)
        position[measured] = _spread(values[measured], 1 - exceed[j], exceed[j] - exceed[j + 1])
        hidden = censored & (zone == j)
        position[hidden] = _spread(values[hidden], 0.0, 1 - exceed[j])
    return position


def _spread(values: np.ndarray, bottom: float, width: float) -> np.ndarray:
    """Return evenly spaced positions inside a width, in the order of the values."""
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable") + 1
    return bottom + width * rank / (len(values) + 1)


def close_compositions(replaced: np.ndarray, below: np.ndarray, total: float = 1e6) -> np.ndarray:
    """Make room for replaced values: multiplicative replacement (Martin-Fernandez et al. 2003).

    The measured parts of a sample are multiplied by ``1 - sum(replaced) / total``, so that the
    ratios among them stay as measured (doi 10.1023/A:1023866030544).

    Parameters
    ----------
    replaced : (samples, elements) array
        In one unit, the values below detection replaced already; NaN where nothing was measured.
    below : (samples, elements) bool array
    total : float
        What a whole sample is in that unit: 1e6 ppm.

    Examples
    --------
    >>> close_compositions(np.array([[10.0, 60.0, 40.0]]), np.array([[True, False, False]]), total=100)
    array([[10., 54., 36.]])
    """
    room = 1 - np.nansum(np.where(below, replaced, 0.0), axis=1, keepdims=True) / total
    return np.where(below, replaced, replaced * room)
