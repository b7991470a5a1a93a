"""Layers and tables of results go in; they come out with as many digits as their units carry."""

from __future__ import annotations

from typing import TypeVar

import pandas as pd

DECIMALS = {
    # Scores and shares lie between 0 and 1.
    **dict.fromkeys(("score", "mean_score", "max_score", "heldout_score", "spread"), 4),
    **dict.fromkeys(("vote_share", "extrapolated", "valid_share"), 3),
    **dict.fromkeys(("map_score", "map_heldout", "contribution"), 4),
    "best_percent": 2,
    "percentile": 1,
    # Metres: a tape measures decimetres, coordinates go to the centimetre.
    **dict.fromkeys(("deposit_distance_m", "sample_distance_m", "fault_distance_m"), 1),
    **dict.fromkeys(("length_m", "width_m"), 1),
    **dict.fromkeys(("x", "y"), 2),
    # Degrees: azimuths, and places to a decimetre.
    **dict.fromkeys(("fault_strike", "azimuth"), 1),
    **dict.fromkeys(("lon", "lat"), 6),
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
