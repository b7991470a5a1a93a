"""Samples go in; which of their columns are elements, in which unit, comes out, and which were left
out.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import pandas as pd

from ..errors import DataError, UsageError, nearest_name
from .cleaning.findings import Finding
from .cleaning.qualifiers import is_qualifier_name
from .element_names import element_columns, parse_element, unused_element_columns


def select_elements(
    samples: gpd.GeoDataFrame,
    wanted: Sequence[str] | None = None,
    units: dict[str, str] | None = None,
) -> dict[str, str]:
    """Return element columns and their units: those named (column or element), or all that name
    elements.
    """
    units = units or {}
    columns = [str(column) for column in samples.columns if column != samples.geometry.name]
    for column in units:
        if column not in columns:
            raise UsageError(
                f'units name a column "{column}" that the samples'
                f" lack.{nearest_name(column, columns)}"
            )
    if wanted is None:
        named = {
            c: u
            for c, u in element_columns(columns).items()
            if not pd.api.types.is_bool_dtype(samples[c])
        }
        if not named:
            raise DataError(
                "no column of the samples is named like a chemical element (Au, Cu_ppm, ...): "
                f"name them with elements = [...]. The columns are: {', '.join(columns)}."
            )
        return {column: units.get(column, unit) for column, unit in named.items()}
    # By the column's name, in any case, or by the element that one column alone holds.
    folded = {column.casefold(): column for column in columns}
    found: dict[str, str] = {}
    for name in wanted:
        column = (
            name
            if name in columns
            else folded.get(str(name).casefold(), "") or _column_of(name, columns)
        )
        if not column:
            raise UsageError(
                f'the samples have no element column "{name}".{nearest_name(name, columns)}'
            )
        found[column] = units.get(column, element_columns([column]).get(column, ""))
    return found


def _column_of(symbol: str, columns: Sequence[str]) -> str:
    """Return the one column that holds an element (``Au`` for ``Au_ppb``), or "" when none or
    several do.
    """
    wanted = parse_element(symbol)
    found = [
        column for column in columns if wanted and (parse_element(column) or ("",))[0] == wanted[0]
    ]
    return found[0] if len(found) == 1 else ""


def unused_columns(samples: gpd.GeoDataFrame, chosen: dict[str, str]) -> list[Finding]:
    """Return a finding for columns of numbers that begin with an element's symbol and are not used."""
    # Qualifiers and texts are used in other ways, or hold nothing to map.
    named = unused_element_columns(samples.columns, chosen)
    unused = [
        column
        for column in named
        if not is_qualifier_name(column) and pd.api.types.is_numeric_dtype(samples[column])
    ]
    if not unused:
        return []
    shown = ", ".join(unused[:8]) + (", ..." if len(unused) > 8 else "")
    done = f"begin with an element's symbol and are not used, as the rest says no unit: {shown}"
    advice = "name what to use: elements = [...] and units = { ... } under [samples]"
    return [
        Finding(
            "noticed",
            "samples",
            "",
            "columns not used",
            len(unused),
            done,
            advice,
        )
    ]
