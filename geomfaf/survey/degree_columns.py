"""A table with degrees, minutes and seconds in columns of their own goes in; one with a longitude
and a latitude comes out.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from .cleaning.findings import Finding
from .headings import words_of

_AXES = {
    "Longitude": r"longitude|longitud|long|lng|lon|laenge|lange|经度|долгота",
    "Latitude": r"latitude|latitud|lat|breite|纬度|широта",
}
_PARTS = (r"d|deg|degs?|degrees?|grad|grados?|graus?|度", r"m|min|mins|minutes?|minutos?|分")
_SECONDS = r"s|sec|secs|seconds?|segundos?|sek|秒"
_HALF = r"dir|direction|hem|hemis|hemisphere|hemisferio|ns|ew|n|e|w|card"


def with_joined_degrees(table: pd.DataFrame, role: str, found: list[Finding]) -> pd.DataFrame:
    """Return a table with decimal degrees where it has them in parts; others as they are.

    >>> parts = pd.DataFrame({"LAT_D": [-21], "LAT_M": [42], "LAT_S": [36.0], "LON_D": [116], "LON_M": [30]})
    >>> with_joined_degrees(parts, "samples", []).round(3).to_dict("list")
    {'Longitude': [116.5], 'Latitude': [-21.71]}
    """
    parts = {axis: _columns_of(table, words) for axis, words in _AXES.items()}
    # Degrees alone are an ordinary column: both axes must have minutes.
    if not all("1" in columns for columns in parts.values()):
        return table
    joined = {axis: _joined(table, columns) for axis, columns in parts.items()}
    used = [name for columns in parts.values() for name in columns.values()]
    # The table may have decimal degrees too: they keep their cells under another name.
    others = table.drop(columns=used)
    names = [axis for axis in joined if axis in others.columns]
    others = others.rename(columns={name: f"{name} of the table" for name in names})
    done = f"degrees, minutes and seconds stand in columns of their own: joined ({', '.join(used)})"
    found.append(Finding("noticed", role, "", "degrees in parts", len(table), done))
    return others.assign(**joined)


def _columns_of(table: pd.DataFrame, axis: str) -> dict[str, str]:
    """Return the columns of an axis: "0" degrees, "1" minutes, "2" seconds, "half" its letter; no
    minutes without degrees.
    """
    columns: dict[str, str] = {}
    for column in map(str, table.columns):
        # The axis and the part, in two words or grown together: LAT_D, LATDEG.
        words = words_of(column)
        words = words[:-1] if len(words) > 1 else words
        match = re.fullmatch(rf"({axis})([a-z]+)?", words[0]) if words else None
        if match is None or len(words) > 2:
            continue
        rest = words[1] if len(words) == 2 else match[match.lastindex or 1]
        if len(words) == 1 and rest == match[1]:
            continue
        patterns = {"0": _PARTS[0], "1": _PARTS[1], "2": _SECONDS, "half": _HALF}
        part = next((name for name, words in patterns.items() if re.fullmatch(words, rest)), None)
        if part is not None:
            columns.setdefault(part, column)
    return columns if "0" in columns else {}


def _joined(table: pd.DataFrame, columns: dict[str, str]) -> np.ndarray:
    """Return decimal degrees; south and west are negative where a sign or a letter says so."""
    sizes = [
        pd.to_numeric(table[columns[part]], errors="coerce").to_numpy(float, na_value=np.nan)
        if part in columns
        else np.zeros(len(table))
        for part in ("0", "1", "2")
    ]
    # The sign stands on the degrees alone, also where these are -0.
    minutes = np.nan_to_num(np.abs(sizes[1])) / 60
    size = np.abs(sizes[0]) + minutes + np.nan_to_num(np.abs(sizes[2])) / 3600
    negative = np.signbit(sizes[0])
    if "half" in columns:
        letters = table[columns["half"]].astype("string").str.strip().str.upper().str[:1]
        negative |= letters.isin(["S", "W"]).to_numpy(bool)
    return np.where(negative, -size, size)
