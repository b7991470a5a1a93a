"""A layer as read goes in; one whose columns every result can hold comes out, and what was changed.

Results are GeoPackages: their names do not tell ``Name`` from ``name``, ``fid`` is the key and
``geom`` the shape, and a cell holds one number, text, date or nothing.
"""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pandas as pd

from .cleaning.findings import Finding

RESERVED = frozenset({"fid", "ogc_fid", "geom", "geometry"})
"""Names that GeoPackages and their readers keep for themselves."""


def storable(frame: gpd.GeoDataFrame, role: str, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return a layer with columns that every result can hold; renamed ones are findings.

    Parameters
    ----------
    frame : GeoDataFrame
        As read; it is not changed.
    role : str
        The role of the layer, for the findings. Cells of samples stay as they are: they may hold
        ``<0.05``, which the values' own rules read.
    found : list of Finding
        Findings are appended to it.
    """
    new = storable_names(frame.columns, frame.geometry.name)
    changed = [
        f"{old} -> {name}" for old, name in zip(frame.columns, new, strict=True) if old != name
    ]
    if changed:
        frame = frame.set_axis(new, axis=1).set_geometry(frame.geometry.name)
        done = f"renamed, as results cannot hold such names side by side: {', '.join(changed)}"
        found.append(
            Finding(
                "noticed",
                role,
                "",
                "column names",
                len(changed),
                done,
            )
        )
    if role == "samples":
        return frame
    texts = {}
    for column in frame.columns:
        if column != frame.geometry.name and _is_mixed(frame[column]):
            texts[column] = frame[column].map(as_text, na_action="ignore").astype(object)
    if not texts:
        return frame
    done = f"lists and values of several kinds were made text: {', '.join(texts)}"
    found.append(
        Finding(
            "noticed",
            role,
            "",
            "values of several kinds",
            len(frame),
            done,
        )
    )
    return frame.assign(**texts)


def storable_names(columns: pd.Index, geometry: str) -> list[str]:
    """Return names that differ in more than their case and are kept by no format.

    >>> storable_names(pd.Index(["Name", "NAME", "fid", "geometry"]), "geometry")
    ['Name', 'NAME_2', 'fid_old', 'geometry']
    """
    # A new name must differ from those that stand already and from those to come.
    taken = {str(column).casefold() for column in columns}
    seen: set[str] = set()
    names = []
    for column in columns:
        name = str(column)
        if name != geometry:
            if name.casefold() in RESERVED:
                name = _free(f"{name}_old", taken, first=1)
            elif name.casefold() in seen:
                name = _free(name, taken, first=2)
        seen.add(name.casefold())
        taken.add(name.casefold())
        names.append(name)
    return names


def _free(name: str, taken: set[str], first: int) -> str:
    """Return the name itself, or with a number behind it, that nothing else has."""
    number = first
    wanted = name if number == 1 else f"{name}_{number}"
    while wanted.casefold() in taken:
        number += 1
        wanted = f"{name}_{number}"
    return wanted


def _is_mixed(column: pd.Series) -> bool:
    """Return whether a column holds values that no single type of a GeoPackage holds."""
    if column.dtype != object:
        return isinstance(column.dtype, pd.IntervalDtype | pd.PeriodDtype)
    kind = pd.api.types.infer_dtype(column, skipna=True)
    return kind not in ("string", "empty", "boolean", "integer", "floating", "datetime", "date")


def as_text(value: object) -> str:
    """Return a list or a value of any kind as text: lists and tables as JSON.

    >>> as_text(["Au", "Cu"]), as_text({"Au": 1.5}), as_text(2.5)
    ('["Au", "Cu"]', '{"Au": 1.5}', '2.5')
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)
