"""Look at files and tell which layer is the samples, the geology, the faults, the deposits, the
study area.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
from pyproj import CRS

from ..errors import DataError
from ..progress import say
from ..rasters.grid import parse_crs
from .element_names import element_columns
from .formats import X_NAMES, Y_NAMES, find_column, is_table, read_parquet, read_table
from .read import existing_path, layer_names
from .survey import ROLES, Source

# What people call these layers. Ends of words are open, so that plurals and compounds match.
_ROLE_NAMES = {
    "samples": (
        r"sampl|geochem|sedim|stream|soil|till|assay|probe|muestr|chantillon|näyt|prov|化探|样|水系"
    ),
    "deposits": (
        r"deposit|occurr|minerali[sz]|mines?\b|mining|prospect|yacim|gisem|lagerst|vorkomm|esiint|depósito|矿"
    ),
    "geology": r"geol|litho|strat|bedrock|rock|formation|kalliop|gestein|地质|地层|岩",
    "faults": r"fault|struct|lineam|shear|fract|falla|faille|störung|verwerf|siirro|断|构造",
    "study_area": r"study|area|aoi|bound|extent|outline|clip|mask|perim|gebiet|zona|研究|范围",
}
# Layers of a topographic map, which play no role.
_OTHER_NAMES = r"road|street|track|rail|river|creek|drainage|contour|isoline|hypso|power|pipeline|fence|border|grid|strasse"
_GEOMETRY_OF = {
    "samples": "point",
    "deposits": "point",
    "faults": "line",
    "geology": "polygon",
    "study_area": "polygon",
}


@dataclass(frozen=True)
class LayerInfo:
    """What a look at a layer tells: name, geometry (point, line, polygon, none), size, CRS,
    columns.
    """

    path: Path
    name: str
    geometry: str
    count: int
    crs: str | None
    columns: tuple[str, ...]
    text_columns: tuple[str, ...]

    @property
    def elements(self) -> dict[str, str]:
        """Columns that name elements, with units."""
        return element_columns(self.columns)


def list_layers(path: str | Path) -> list[LayerInfo]:
    """Return what is in a file, without reading all of it."""
    path = existing_path(path)
    if is_table(path):
        return [_table_info(path, path.stem, read_table(path))]
    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path)
        kinds = list(frame.geom_type.dropna().mode())
        info = _table_info(path, path.stem, frame.drop(columns=frame.geometry.name))
        crs = None if frame.crs is None else frame.crs.to_string()
        return [replace(info, geometry=_kind_of(kinds[0]) if kinds else "none", crs=crs)]
    found = []
    for name, _ in layer_names(path):
        info = pyogrio.read_info(path, layer=name, force_feature_count=True)
        text = tuple(
            f for f, t in zip(info["fields"], info["dtypes"], strict=True) if t == "object"
        )
        kind = _geometry_kind(path, name, info["geometry_type"])
        found.append(
            LayerInfo(
                path,
                name,
                kind,
                int(info["features"]),
                _said_crs(info["crs"]),
                tuple(info["fields"]),
                text,
            )
        )
    return found


def _table_info(path: Path, name: str, table: pd.DataFrame) -> LayerInfo:
    has_xy = find_column(table.columns, X_NAMES) and find_column(table.columns, Y_NAMES)
    text = tuple(
        column for column in table.columns if not pd.api.types.is_numeric_dtype(table[column])
    )
    return LayerInfo(
        path, name, "point" if has_xy else "none", len(table), None, tuple(table.columns), text
    )


def recognise_layers(layers: Sequence[LayerInfo]) -> dict[str, LayerInfo]:
    """Guess which layer plays which role, by geometry, name and columns.

    A name in any of the languages we know wins; without one, points with element columns are
    samples, other points are deposits, lines are faults, the polygon layer with most features is
    the geology.
    """
    roles: dict[str, LayerInfo] = {}
    for role in ROLES:
        scored = [
            (_role_score(role, layer), -i, layer)
            for i, layer in enumerate(layers)
            if layer not in roles.values()
        ]
        best = max(scored, default=None, key=lambda item: item[:2])
        if best and best[0] > 0:
            roles[role] = best[2]
    return roles


def _said_crs(crs: str | None) -> str | None:
    """Return the CRS of a layer, None where the file only says that it is undefined."""
    return None if crs is None or CRS(crs).name.casefold().startswith("undefined") else crs


def _geometry_kind(path: Path, layer: str, declared: str | None) -> str:
    """Return point, line, polygon or none; a layer of unknown or mixed type is judged by its first
    features.
    """
    if declared is None:
        return "none"
    if _kind_of(declared) != "none":
        return _kind_of(declared)
    first = gpd.read_file(path, layer=layer, rows=100)
    common = list(first.geom_type.dropna().mode()) if isinstance(first, gpd.GeoDataFrame) else []
    return _kind_of(common[0]) if common else "none"


def _kind_of(name: str) -> str:
    """Return point, line, polygon or none for the name of a geometry type."""
    kinds = {
        "Point": "point",
        "LineString": "line",
        "Curve": "line",
        "Polygon": "polygon",
        "Surface": "polygon",
    }
    # A CurvePolygon is a polygon.
    name = name.replace("CurvePolygon", "Polygon")
    return next((kind for word, kind in kinds.items() if word in name), "none")


def taken_by_shape(roles: dict[str, LayerInfo]) -> list[str]:
    """Say which layers were recognised by their shapes alone: their names do not tell."""
    return [
        f"{info.path.name}: {info.name} is taken for the {role.replace('_', ' ')} because of its"
        " shapes alone, its name does not tell"
        for role, info in roles.items()
        if role in ("faults", "geology", "deposits")
        and not re.search(_ROLE_NAMES[role], info.name.casefold())
    ]


def _role_score(role: str, layer: LayerInfo) -> float:
    named = bool(re.search(_ROLE_NAMES[role], layer.name.casefold()))
    if role == "deposits" and layer.geometry == "polygon" and named:
        return 1.0
    if layer.geometry != _GEOMETRY_OF[role] or not layer.count:
        return 0.0
    if not named and re.search(_OTHER_NAMES, layer.name.casefold()):
        return 0.0
    if role == "samples":
        return (10.0 if named else 1.0) + len(layer.elements) if layer.elements else 0.0
    if role == "study_area":
        return 10.0 if named else float(layer.count == 1 and not layer.text_columns)
    if (
        role == "geology"
        and not named
        and (layer.count == 1 or _role_score("study_area", layer) >= 10)
    ):
        return 0.0
    return 10.0 if named else 1.0 + min(layer.count / 1e6, 1.0)


def recognised_sources(
    paths: Sequence[str | Path], crs: str | None = None, xy_unit: str | None = None
) -> dict[str, Source]:
    """Return the source of every role that a survey's files were recognised to hold."""
    roles = _recognised(paths)[1]
    for line in taken_by_shape(roles):
        say(line)
    return {role: _source(info, crs, xy_unit) for role, info in roles.items()}


def _recognised(paths: Sequence[str | Path]) -> tuple[list[LayerInfo], dict[str, LayerInfo]]:
    layers = [layer for path in paths for layer in list_layers(path)]
    roles = recognise_layers(layers)
    for role in ("samples", "deposits"):
        if role not in roles:
            looked = "; ".join(
                f"{x.path.name}: {x.name} ({x.geometry}, {x.count} features)" for x in layers
            )
            wants = "points with element columns" if role == "samples" else "points"
            raise DataError(
                f"no layer looks like {role} ({wants}). Looked at: {looked or 'no layer at all'}."
            )
    return layers, roles


def _source(info: LayerInfo, crs: str | None, xy_unit: str | None = None) -> Source:
    """Return the source of a layer; a CRS given by hand is for layers without one."""
    needs = info.crs is None
    given = str(parse_crs(crs).to_string()) if needs and crs else None
    unit = "deg" if needs and crs and CRS.from_user_input(given).is_geographic else None
    table = is_table(info.path)
    return Source(
        info.path,
        None if table else info.name,
        crs=given,
        xy_unit=(xy_unit or unit) if table else None,
    )
