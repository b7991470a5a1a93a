"""Layers and tables of results go in; they come out with as many digits as their units carry."""

from __future__ import annotations

from typing import TypeVar

import pandas as pd

DECIMALS = {
    # Scores and shares lie between 0 and 1.
    "score": 4,
    "mean_score": 4,
    "max_score": 4,
    "heldout_score": 4,
    "spread": 4,
    "map_score": 4,
    "map_heldout": 4,
    "contribution": 4,
    "vote_share": 3,
    "extrapolated": 3,
    "valid_share": 3,
    "best_percent": 2,
    "percentile": 1,
    # Metres: a tape measures decimetres, coordinates go to the centimetre.
    "deposit_distance_m": 1,
    "sample_distance_m": 1,
    "fault_distance_m": 1,
    "length_m": 1,
    "width_m": 1,
    "x": 2,
    "y": 2,
    # Degrees: azimuths, and places to a decimetre.
    "fault_strike": 1,
    "azimuth": 1,
    "lon": 6,
    "lat": 6,
}
"""Column -> decimals that are kept."""

DIGITS = dict.fromkeys(("area_km2", "value", "lower", "upper"), 4)
"""Column -> digits that are kept, whatever the size of the number."""

Frame = TypeVar("Frame", bound=pd.DataFrame)


def rounded(frame: Frame) -> Frame:
    """Return a layer or table of results with rounded numbers; what is not listed stays as it is.

    >>> table = pd.DataFrame({"mean_score": [0.912345678], "value": [1234.567], "own": [1 / 3]})
    >>> rounded(table).iloc[0].tolist()
    [0.9123, 1235.0, 0.3333333333333333]
    """
    changed = frame.copy()
    for column in frame.columns:
        numbers = frame[column]
        if column in DECIMALS and pd.api.types.is_float_dtype(numbers):
            changed[column] = numbers.round(DECIMALS[column])
        elif column in DIGITS and pd.api.types.is_float_dtype(numbers):
            changed[column] = [significant(value, DIGITS[column]) for value in numbers]
    changed.attrs = dict(frame.attrs)
    return changed


def significant(value: float, digits: int) -> float:
    """Return a number with so many digits, NaN and infinity as they are.

    >>> [significant(value, 3) for value in (0.00123456, 98765.4, 0.0, float("nan"))]
    [0.00123, 98800.0, 0.0, nan]
    """
    # By way of text: powers of ten as factors would leave 0.0012300000000000002.
    return float(f"{value:.{digits - 1}e}")
