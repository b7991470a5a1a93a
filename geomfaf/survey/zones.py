"""A table with a column of zones goes in; coordinates in one zone come out."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from .cleaning.findings import Finding, Notes
from .shape_columns import folded

_ZONE_NAMES = re.compile(
    r"(utm|mga|grid|map|amg|gda94|gda2020|datum|orig\w*|nat)?(zone|zona|huso|fuso|fuseau|zon|z)(utm|mga|no|number)?"
    r"|带号|utm|(orig|nat|map)?grid(id|name|system)?|(orig|nat)?(crs|epsg|srid|srs|projection|proj|coordsys\w*)(code)?"
)
# "50", "50N", "Zone 50", "MGA94_50"; never the year of "NAD27".
_ZONE_TEXT = (
    r"^(?:.*(?:zone|zona|huso|fuso|utm|mga|amg|[\s_/-]))?z?0?(\d{1,2})(?:\.0)?\s*[c-hj-np-x]?\s*$"
)
NEAR_ZONES = 2
"""Zones this far from the CRS's own are one survey's."""


def in_one_zone(
    table: pd.DataFrame,
    xy: np.ndarray,
    crs: CRS,
    role: str,
    found: list[Finding],
) -> np.ndarray:
    """Bring rows that a column says to lie in another zone of the CRS into its own."""
    column = next((c for c in table.columns if _ZONE_NAMES.fullmatch(folded(c))), None)
    own = re.search(r"(?:zone |CM )(\d+)", crs.name)
    if column is None or own is None:
        return xy
    # Numbers that are no zones of this survey's CRS change nothing.
    zones = _zone_numbers(table[column], crs)
    known = np.unique(zones[np.isfinite(zones)]).astype(int)
    here = int(own[1])
    if not len(known) or known.max() > 120:
        return xy
    if len(known) > 1 and here not in known and np.abs(known - here).max() > NEAR_ZONES:
        return xy
    notes = Notes(found, role, table.index)
    if here not in known and len(known) == 1:
        done = f"column {column} says zone {known[0]}, the CRS is {crs.name}: the CRS counts"
        notes.noticed("another zone", np.isfinite(zones), done, "is the CRS that of the data?")
        return xy
    # Rows of neighbouring zones are brought into the CRS's own, each zone at once.
    for zone in known[known != here]:
        other = _zone(crs, own, int(zone))
        rows = zones == zone
        if other is None:
            notes.refused(
                "another zone", rows, f"column {column} says zone {zone}, which is unknown"
            )
            continue
        moved = Transformer.from_crs(other, crs, always_xy=True).transform(*xy[rows].T)
        xy[rows] = np.column_stack(moved)
        done = f"column {column} says zone {zone}: brought from {other.name} to {crs.name}"
        notes.fixed("another zone", rows, done)
    return xy


def _zone_numbers(column: pd.Series, crs: CRS) -> np.ndarray:
    """Return the zone that each cell says, as its number or as the code of its CRS; NaN where it
    says none.
    """
    # A zone by its number, or by the code of its CRS; there are 60.
    texts = column.astype("string").str.strip().str.casefold()
    numbers = pd.to_numeric(
        texts.str.extract(_ZONE_TEXT, flags=re.IGNORECASE)[0], errors="coerce"
    ).to_numpy(float, na_value=np.nan)
    numbers[numbers > 60] = np.nan
    for text in texts.dropna().unique():
        code = re.fullmatch(r"(?:epsg:?\s*)?(\d{4,6})(?:\.0)?", text)
        if code is None:
            continue
        try:
            name = CRS.from_epsg(int(code[1])).name
        except CRSError:
            continue
        zone = re.search(r"(?:zone |CM )(\d+)", name)
        if zone is not None and name[: zone.start(1)] == crs.name[: zone.start(1)]:
            numbers[(texts == text).fillna(False).to_numpy(bool)] = float(zone[1])
    return numbers


def _zone(crs: CRS, found: re.Match[str], zone: int) -> CRS | None:
    """Return the CRS of another zone of the same system."""
    name = f"{crs.name[: found.start(1)]}{zone}{crs.name[found.end(1) :]}"
    try:
        return CRS.from_user_input(name)
    except CRSError:
        return None
