"""Layers of one role go in (two campaigns of sampling, deposits of two registers); one layer comes
out, its columns joined by what they hold.
"""

from __future__ import annotations

from collections.abc import Mapping

import geopandas as gpd
import numpy as np
import pandas as pd

from .cleaning.findings import Finding
from .cleaning.laboratory_words import BELOW
from .cleaning.parse_numbers import parse_column
from .element_names import element_columns, parse_element

LAYER_COLUMN = "layer_of_origin"
"""The column of a joined layer that says which layer each row is from."""


def join_layers(
    layers: Mapping[str, gpd.GeoDataFrame], role: str, found: list[Finding]
) -> gpd.GeoDataFrame:
    """Return the rows of several layers below one another, in the CRS of the first.

    Columns of one name are one column, and so are columns of one element (``Au_ppb`` and
    ``Au-AA23 ppb``). Where their units differ the cells carry theirs; where their detection limits
    differ a finding says so, as a map of the two shows the seam.

    Parameters
    ----------
    layers : mapping
        Name -> layer; none is changed.
    role : str
        For the findings, which are appended to ``found``.
    """
    (first_name, first), *others = layers.items()
    headings = _elements_of(first)
    parts = [first.assign(**{LAYER_COLUMN: first_name})]
    for name, frame in others:
        part = frame if frame.crs == first.crs else frame.to_crs(first.crs)
        if part.geometry.name != first.geometry.name:
            part = part.rename_geometry(first.geometry.name)
        part = _with_headings(part, headings, name, role, found)
        parts.append(part.assign(**{LAYER_COLUMN: name}))
        headings = {**_elements_of(part), **headings}
    counts = ", ".join(f"{name} {len(frame):,}" for name, frame in layers.items())
    joined = pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)
    done = f"{len(layers)} layers were joined: {counts}"
    found.append(Finding("noticed", role, "", "layers joined", len(joined), done))
    if role == "samples":
        found += _limits_that_differ(parts, headings)
    return gpd.GeoDataFrame(joined, geometry=first.geometry.name, crs=first.crs)


def _elements_of(frame: gpd.GeoDataFrame) -> dict[str, str]:
    """Return element -> the first column that holds it."""
    found: dict[str, str] = {}
    for column in element_columns(frame.columns):
        parsed = parse_element(column)
        if parsed is not None:
            found.setdefault(parsed[0], column)
    return found


def _with_headings(
    frame: gpd.GeoDataFrame,
    headings: Mapping[str, str],
    name: str,
    role: str,
    found: list[Finding],
) -> gpd.GeoDataFrame:
    """Return a layer whose elements have the headings of those before it."""
    new = {}
    for element, column in _elements_of(frame).items():
        heading = headings.get(element)
        if heading is None or heading == column or heading in frame.columns:
            continue
        new[column] = heading
        ours = (parse_element(heading) or ("", ""))[1]
        theirs = (parse_element(column) or ("", ""))[1]
        if theirs and ours != theirs:
            values = frame[column]
            texts = values.astype("string").str.strip() + f" {theirs}"
            frame = frame.assign(**{column: texts.astype(object).where(values.notna(), None)})
            done = (
                f"{element} is in {theirs} in layer {name} and in {ours or 'no unit that is said'}"
                f" before it: its cells carry {theirs}"
            )
            finding = Finding("noticed", role, heading, "units differ", len(frame), done)
            found.append(finding)
    return frame.rename(columns=new)


def _limits_that_differ(
    parts: list[gpd.GeoDataFrame], headings: Mapping[str, str]
) -> list[Finding]:
    """Return a finding for each element whose detection limits are not those of the other layers."""
    found = []
    for element, column in headings.items():
        limits = {}
        for part in parts:
            if column not in part.columns or pd.api.types.is_numeric_dtype(part[column]):
                continue
            parsed = parse_column(part[column])
            known = parsed.numbers[(parsed.flags == BELOW) & (parsed.numbers > 0)]
            if len(known):
                limits[str(part[LAYER_COLUMN].iloc[0])] = float(np.median(known))
        if len(set(limits.values())) > 1:
            shown = ", ".join(f"{limit:g} in {name}" for name, limit in limits.items())
            done = f"the detection limits of {element} differ: {shown}"
            advice = "a map of both may show the seam: compare the layers before you trust it"
            rows = sum(len(part) for part in parts)
            found.append(Finding("noticed", "samples", column, "limits differ", rows, done, advice))
    return found
