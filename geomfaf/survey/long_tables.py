"""A table with a row an analysis goes in (sample, element, value, unit, method); one with a row a
sample and a column an element comes out.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from .cleaning.findings import Finding
from .cleaning.laboratory_words import BELOW, plain_text
from .element_names import element_columns, parse_element
from .headings import coordinate_pairs, words_of
from .units import PPM_IN, parse_unit

_ELEMENT = (
    r"analyte\w*|elements?|elem|param(eter)?\w*|chemical|chem|constituent|component|species|determinand"
    r"|symbol|variable|property|attribute|elementos?|analito|alkuaine|grundamne|grunnstoff|元素|项目|показатель"
)
_VALUE = (
    r"q?values?|val|results?|conc\w*|concentration|amount|quantity|reported|reading|assay|assayvalue"
    r"|valor|resultado|wert|messwert|gehalt|teneur|ley|pitoisuus|halt|含量|结果|值|значение|содержание"
)
_UNIT = r"units?|uom|unidad\w*|einheit\w*|unite|yksikko|enhet|单位|единица"
_LIMIT = r"(detection|reporting)?limit|m?dl|lod|lor|lld|ldl|lowerlimit|lowerdetection|nachweisgrenze|检出限"
_METHOD = r"methods?|meth|method\w*|technique|metodo|methode|verfahren|方法"
_QUALIFIER = r"qual\w*|qualifier|q|flag|sign|prefix|operator|rmk|remark"
_ID = r"(sample|samp|smp|spl|site|station|lab)?(id|no|nr|num|number|name|code)?"

LEAST_NAMED = 0.8
"""Share of the distinct texts of a column that must name elements, where its heading does not say
so.
"""
LEAST_SAID = 0.3
"""The same where it does: pH and weights stand among them."""


def from_long(table: pd.DataFrame, role: str, found: list[Finding]) -> pd.DataFrame:
    """Return a table with a row a sample where it has a row an analysis; others as they are.

    Several methods of one element: the one with the lower detection limit, or without one the one
    with more values, is kept, and that is said. Values come into the commonest unit of their
    element.

    >>> long = pd.DataFrame({"id": ["a", "a", "b"], "x": [1, 1, 2], "y": [5, 5, 6],
    ...                      "analyte": ["Au", "Cu", "Au"], "result": ["<1", 30, 4], "unit": ["ppb", "ppm", "ppb"]})
    >>> wide = from_long(long, "samples", [])
    >>> wide["Au_ppb"].tolist(), wide["Cu_ppm"].tolist()
    (['<1', 4], [30, nan])
    """
    value = _column(table, _VALUE)
    element = _element_column(table, value) if value is not None else None
    if element is None or value is None:
        return table
    unit = _column(table, _UNIT)
    limit = _column(table, _LIMIT)
    method = _column(table, _METHOD)
    qualifier = _column(table, _QUALIFIER)
    rows = pd.DataFrame({"element": table[element].astype("string").str.strip()}, index=table.index)
    rows["value"] = _with_qualifier(table, value, qualifier)
    if limit is not None and limit not in (value, qualifier):
        rows["value"] = _with_limit(rows["value"], table[limit])
    rows["unit"] = "" if unit is None else [parse_unit(text) or "" for text in table[unit]]
    rows["method"] = "" if method is None else table[method].astype("string").fillna("")
    # 1. what tells samples apart: their name, else the place
    used = {name for name in (element, value, unit, method, qualifier, limit) if name}
    keys = _keys(table, used)
    rows["sample"] = table.groupby(keys, sort=False, dropna=False).ngroup()
    # 2. a column an element, of the best method
    columns = {}
    for name, group in rows.groupby("element", sort=False):
        best = _best_method(str(name), group, found, role)
        heading, values = _column_of(str(name), best)
        values = values[~values.index.duplicated()]
        columns[heading] = values.reindex(range(rows["sample"].max() + 1)).to_numpy()
    # 3. the rest of each sample's first row
    first = table.loc[~rows["sample"].duplicated()].drop(columns=list(used))
    wide = first.reset_index(drop=True).assign(**columns)
    done = (
        f"a row an analysis ({len(table):,}, elements in column {element}): turned into"
        f" {len(wide):,} samples with {len(columns)} elements"
    )
    found.append(
        Finding(
            "noticed",
            role,
            "",
            "long table",
            len(table),
            done,
        )
    )
    return wide


def _column(table: pd.DataFrame, pattern: str) -> str | None:
    """Return the first column whose heading is one of the words."""
    for column in table.columns:
        if any(re.fullmatch(pattern, word) for word in words_of(str(column))):
            return str(column)
    return None


def _element_column(table: pd.DataFrame, value: str) -> str | None:
    """Return the column that names the elements: by its heading, else by what it holds."""
    named = _column(table, _ELEMENT)
    if named is not None and named != value and _names_elements(table[named], LEAST_SAID):
        return named
    if element_columns(table.columns):
        return None
    others = (str(column) for column in table.columns if str(column) != value)
    return next((name for name in others if _names_elements(table[name], LEAST_NAMED)), None)


def _names_elements(column: pd.Series, least: float) -> bool:
    """Return whether the texts of a column name several elements."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    names = column.dropna().astype(str).str.strip().unique()[:200]
    named = [name for name in names if parse_element(f"{name} ppm") or parse_element(name)]
    return len(named) > 1 and len(named) >= least * len(names)


def _with_limit(values: pd.Series, limits: pd.Series) -> pd.Series:
    """Return the values, ``<`` and the limit of its row in place of words such as ND."""
    # A word for "below" without a number means the limit of its own row.
    texts = values.astype("string")
    words = [text for text in texts.dropna().unique() if plain_text(str(text)) == BELOW]
    here = texts.isin(words).to_numpy(bool) & limits.notna().to_numpy(bool)
    return values.where(~here, "<" + limits.astype("string").str.lstrip("<").astype(object))


def _with_qualifier(table: pd.DataFrame, value: str, qualifier: str | None) -> pd.Series:
    """Return the values, ``<`` and ``>`` of a column of qualifiers put before them."""
    values = table[value].astype(object)
    if qualifier is None:
        return values
    # Letters as agencies write them: N not detected, L and U below, G above.
    signs = table[qualifier].astype("string").str.strip().str.upper()
    mark = signs.map(
        {
            "<": "<",
            "L": "<",
            "N": "<",
            "U": "<",
            ">": ">",
            "G": ">",
        }
    )
    return values.where(mark.isna(), mark.astype(object) + values.astype(str))


def _keys(table: pd.DataFrame, used: set[str]) -> list[str]:
    """Return the columns that tell samples apart."""
    pairs = coordinate_pairs(table.columns)
    place = [pairs[0].x, pairs[0].y] if pairs else []
    for column in table.columns:
        words = words_of(str(column))
        named = re.fullmatch(_ID, words[-1]) and words[-1]
        if named and column not in used and column not in place:
            # The place belongs to the key: a name may be used in two years.
            return [str(column), *place]
    return place or [str(column) for column in table.columns if column not in used]


def _best_method(
    name: str,
    group: pd.DataFrame,
    found: list[Finding],
    role: str,
) -> pd.DataFrame:
    """Return the rows of one method: the one with the lowest limit, else with the most values."""
    methods = group["method"].unique()
    if len(methods) < 2:
        return group
    # Limits in one unit, so that methods can be compared.
    scored = []
    for method in methods:
        rows = group[group["method"] == method]
        text = rows["value"].astype(str).str.extract(r"^\s*<=?\s*([0-9.,]+)")[0]
        factor = rows["unit"].map(PPM_IN).fillna(1.0)
        limits = pd.to_numeric(text.str.replace(",", "."), errors="coerce") * factor
        lowest = limits.min() if limits.notna().any() else np.inf
        scored.append((lowest, -len(rows), str(method)))
    scored.sort()
    best = scored[0][2]
    others = ", ".join(method or "no method" for _, _, method in scored[1:])
    done = f"{name} by {best or 'no method'} is kept (lower limit, or more values); not {others}"
    found.append(
        Finding(
            "noticed",
            role,
            name,
            "several methods",
            len(group),
            done,
        )
    )
    return group[group["method"] == best]


def _column_of(name: str, rows: pd.DataFrame) -> tuple[str, pd.Series]:
    """Return the heading and the values, by sample, of one element in its commonest unit."""
    known = rows["unit"][rows["unit"] != ""]
    values = rows.set_index("sample")["value"]
    if not len(known):
        return name, values
    unit = str(known.mode()[0])
    # A value in another unit carries it into the cell, where the values' rules read it.
    other = ((rows["unit"] != unit) & (rows["unit"] != "")).to_numpy(bool)
    if other.any():
        texts = rows["value"].astype(str) + " " + rows["unit"]
        values = values.where(~other, texts.to_numpy(object))
    plain = parse_element(name)
    said = plain is not None and plain[1]
    return (f"{name}_{unit}" if not said and parse_element(f"{name}_{unit}") else name), values
