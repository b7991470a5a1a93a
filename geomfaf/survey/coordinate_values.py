"""A column of coordinates in any writing goes in; numbers come out, NaN where there is none.

Understood are numbers with thousands separators or decimal commas, degrees with minutes and
seconds in their usual writings, and the letters of the hemispheres.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from .cleaning.below_detection import HUGE, SENTINELS
from .cleaning.parse_numbers import OK, parse_column

_HEMISPHERES = {
    "n": 1, "north": 1, "norte": 1, "nord": 1, "北": 1, "с": 1, "s": -1, "south": -1, "sur": -1,
    "sud": -1, "süd": -1, "南": -1, "ю": -1, "e": 1, "east": 1, "este": 1, "est": 1, "东": 1, "в": 1,
    "w": -1, "west": -1, "oeste": -1, "ouest": -1, "西": -1, "з": -1,
}  # fmt: skip
_NUMBER = r"(\d+(?:[.,]\d+)?)"
_LETTER = "(" + "|".join(sorted(_HEMISPHERES, key=len, reverse=True)) + ")?"
_DEGREES = re.compile(
    rf"{_LETTER}\s*([-+]?)\s*{_NUMBER}(?:(?:\s*(?:[°º˚*]|d(?:eg)?\.?|度|:|-)\s*|\s+)"
    rf"(?:{_NUMBER}(?:(?:\s*(?:['’′´`]|m(?:in)?\.?|分|:|-)\s*|\s+)"
    rf"(?:{_NUMBER}\s*(?:[\"”″“]|''|’’|s(?:ec)?\.?(?=\s|$|[nsew]$)|秒)?)?)?)?)?\s*{_LETTER}"
)
_POINTS = re.compile(
    rf"{_LETTER}\s*([-+]?)(\d{{1,3}})\.([0-5]?\d)\.([0-5]?\d(?:[.,]\d+)?)\s*{_LETTER}"
)
_PACKED = re.compile(rf"{_LETTER}\s*([-+]?)(\d{{2,3}})([0-5]\d)([0-5]\d(?:\.\d+)?)\s*{_LETTER}")
_OF_LENGTHS = re.compile(
    r"\s*(?:[EN]\s*)?([-+]?[\d., ']*\d)\s*(?:m\.?\s*)?(?:[EN]|m)?\.?\s*", re.IGNORECASE
)
"""Metres with their unit or their axis: ``400721 mE``, ``N2400637``."""


NEAR_DEGREES = 5.0
"""A survey is no wider: what lies farther from all other coordinates of its column is a code."""


def parse_coordinates(column: pd.Series, degrees: bool, decimal: str | None = None) -> np.ndarray:
    r"""Return a column of coordinates as numbers, (rows,) float64.

    Parameters
    ----------
    column : Series
        Numbers or text; it is not changed.
    degrees : bool
        Whether the numbers are degrees: ``116 02 24.7`` then means minutes and seconds, and
        ``116,040`` a decimal comma. Lengths have thousands there.
    decimal : {".", ","}, optional
        How to read ``400,721`` where nothing else tells, in place of that.

    Returns
    -------
    ndarray
        NaN for blanks, codes such as -9999, and what cannot be understood.

    Examples
    --------
    >>> parse_coordinates(pd.Series(["400,721", "2,400,637.5"]), degrees=False).tolist()
    [400721.0, 2400637.5]
    >>> parse_coordinates(pd.Series(["116°02'24\"E", "116 03 36", "21.5S"]), degrees=True).round(4)
    array([116.04, 116.06, -21.5 ])
    """
    if pd.api.types.is_numeric_dtype(column):
        numbers = column.to_numpy(float, na_value=np.nan).copy()
    else:
        numbers = _numbers_of_text(column, degrees, decimal)
    codes = np.isin(numbers, SENTINELS) | (np.abs(numbers) >= HUGE)
    if degrees:
        codes &= ~_is_longitude(numbers, codes)
    numbers[codes] = np.nan
    return _unpacked(numbers) if degrees else numbers


def _is_longitude(numbers: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return where what looks like a code is a longitude: -99 is one in Mexico, Texas and Manitoba,
    where the others lie near it.
    """
    possible = codes & (np.abs(numbers) <= 180)
    others = numbers[~codes & np.isfinite(numbers)]
    if not len(others):
        return possible
    near = (numbers >= others.min() - NEAR_DEGREES) & (numbers <= others.max() + NEAR_DEGREES)
    return possible & near


def _unpacked(numbers: np.ndarray) -> np.ndarray:
    """Return degrees for a column of ``1160224.7``, which means 116 degrees 2 minutes 24.7 seconds;
    others as they are.
    """
    known = np.isfinite(numbers)
    size = np.abs(numbers[known])
    degrees, rest = np.divmod(size, 10_000)
    minutes, seconds = np.divmod(rest, 100)
    packed = (degrees <= 180) & (minutes < 60) & (seconds <= 60)
    if not len(size) or np.mean(size > 360) < 0.9 or not packed.all():
        return numbers
    unpacked = numbers.copy()
    unpacked[known] = np.sign(numbers[known]) * (degrees + minutes / 60 + seconds / 3600)
    return unpacked


def _numbers_of_text(column: pd.Series, degrees: bool, decimal: str | None) -> np.ndarray:
    """Return the numbers of a text column: plain ones first, then degrees, then any other."""
    text = column.astype("string").str.strip()
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(float, na_value=np.nan).copy()
    left = np.isnan(numbers) & text.notna().to_numpy(bool) & (text != "").fillna(False).to_numpy()
    if not left.any():
        return numbers
    # 1. minutes, seconds and hemispheres, which no other writing has
    if degrees:
        here = np.flatnonzero(left)
        numbers[here] = [_degrees_of(str(value)) for value in text.iloc[here]]
        left &= np.isnan(numbers)
    else:
        text = text.str.replace(_OF_LENGTHS, r"\1", regex=True)
    # 2. separators, judged by the whole column
    if left.any():
        sign = decimal or ("," if degrees else ".")
        parsed = parse_column(text.astype(object).where(text.notna(), None), sign)
        read = np.where(parsed.flags == OK, parsed.numbers, np.nan)
        # A column with separators means them in its plain numbers too: 400.721 beside 1.400.721.
        numbers = read if not degrees else np.where(left, read, numbers)
    return numbers


def _packed(text: str) -> re.Match[str] | None:
    """Return degrees, minutes and seconds written as one number with a letter: ``1160224.7E``."""
    match = _PACKED.fullmatch(text)
    return match if match is not None and (match[1] or match[6]) else None


def _degrees_of(text: str) -> float:
    """Return degrees from minutes, seconds and hemisphere; NaN where there is none of these.

    >>> [round(_degrees_of(text), 4) for text in ("S 23°30.5'", "70-15-36W", "12,5° N")]
    [-23.5083, -70.26, 12.5]
    """
    text = " ".join(text.casefold().split())
    match = _POINTS.fullmatch(text) or _DEGREES.fullmatch(text)
    # "116.040188e" has no minutes, "1160224.7e" has no degrees above 180.
    if match is not None and match[3].isdigit() is False and not any(match.groups()[3:5]):
        match = _packed(text) or match
    if match is None:
        return np.nan
    before, sign, *parts, behind = match.groups()
    if before and behind:
        return np.nan
    values = [float(part.replace(",", ".")) for part in parts if part is not None]
    if any(value >= 60 for value in values[1:]):
        return np.nan
    letter = before or behind
    # One number without a letter is no matter of degrees: its comma is judged by the column.
    if len(values) == 1 and letter is None and not re.search("[°º˚]", text):
        return np.nan
    size = sum(value / 60**power for power, value in enumerate(values))
    negative = sign == "-" or (letter is not None and _HEMISPHERES[letter] < 0)
    return -size if negative else size
