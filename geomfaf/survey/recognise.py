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

from ..errors import DataError, UsageError, nearest_name
from ..rasters.grid import parse_crs
from .cleaning.findings import Finding
from .degree_columns import with_joined_degrees
from .element_names import element_columns
from .formats import existing_path, feature_count, layer_names, read_parquet
from .headings import words_of
from .long_tables import from_long
from .places import has_places
from .shapefiles import complete
from .survey import ROLES, Source
from .tables import Layout, is_table, read_table, sheet_names

# What people call these layers: a word of the name is one of these or begins with one that ends in
# \w*. A part of a word is no name: "default" is no fault.
_ROLE_NAMES = {
    "samples": (
        r"sampl\w*|geochem\w*|\w*sediment\w*|sedim\w*|stream\w*|soils?|till|assays?|\w*proben?|muestr\w*"
        r"|amostra\w*|e?chantillon\w*|\w*nayt\w*|prov|prover|provpunkt\w*|пробы|化探\w*|.*样.*|.*水系.*"
    ),
    "deposits": (
        r"deposits?|deposito\w*|occurr\w*|minerali[sz]\w*|mines?|minas?|minesites?|mining|prospects?"
        r"|yacim\w*|gisem\w*|\w*lagerst\w*|\w*vorkomm\w*|\w*esiint\w*|jazida\w*|forekomst\w*"
        r"|forekomster|месторожд\w*|.*矿.*"
    ),
    "geology": (
        r"\w*geol\w*|lith\w*|litol\w*|strat(a|um|igr\w*)?|bedrock|rocks?|rocktypes?|formations?"
        r"|formac\w*|kalliop\w*|\w*gestein\w*|berggrund\w*|.*地质.*|.*地层.*|.*岩.*"
    ),
    "faults": (
        r"fault\w*|struct\w*|lineam\w*|shears?|shearzones?|fractur\w*|fallas?|failles?|falhas?|thrusts?"
        r"|\w*storung\w*|\w*verwerf\w*|siirro\w*|forkastning\w*|разлом\w*|.*断.*|.*构造.*"
    ),
    "study_area": (
        r"study|studyarea|areas?|aoi|bound\w*|extents?|outlines?|clip|mask|perim\w*|\w*gebiet|zonas?"
        r"|.*研究.*|.*范围.*"
    ),
}
# Layers of a topographic map, which play no role.
_OTHER_NAMES = (
    r"roads?|streets?|tracks?|rail\w*|rivers?|creeks?|drainage|contours?|isolines?|hypso\w*|power\w*"
    r"|pipelines?|fences?|borders?|grid\w*|\w*strassen?|towns?|villages?|settlements?|places?|wells?"
    r"|stations?|buildings?"
)
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


def list_layers(path: str | Path, layout: Layout | None = None) -> list[LayerInfo]:
    """Return what is in a file, without reading all of it; a table is a layer a sheet.

    ``layout`` says which rows of a table hold its headings, where that is not found.

    Parameters
    ----------
    path : path
        A vector file or a table.
    layout : Layout, optional
        Which rows of a table hold its headings, where that is not found.

    Returns
    -------
    list of LayerInfo
        name, geometry, count, CRS and columns of each layer; a sheet of a workbook is one.

    Raises
    ------
    UsageError
        For a file that is not there or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> folder = tempfile.mkdtemp()
    >>> path = gm.write_survey(gm.make_survey("small")[0], f"{folder}/survey.gpkg")
    >>> [(layer.name, layer.geometry) for layer in gm.list_layers(path)]
    [('samples', 'point'), ('deposits', 'point'), ('geology', 'polygon'), ('faults', 'line'), ('study_area', 'polygon')]
    """
    path = existing_path(path)
    if is_table(path):
        return _table_infos(path, layout or Layout())
    # GeoParquet holds one layer and tells its CRS.
    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path)
        kinds = list(frame.geom_type.dropna().mode())
        info = _table_info(path, path.stem, frame.drop(columns=frame.geometry.name))
        crs = None if frame.crs is None else frame.crs.to_string()
        return [replace(info, geometry=_kind_of(kinds[0]) if kinds else "none", crs=crs)]
    with complete(path) as whole:
        return _layers_of(path, whole)


def _layers_of(path: Path, whole: Path) -> list[LayerInfo]:
    """Return what the layers of a vector file tell; ``whole`` is the file that can be read."""
    found = []
    for name, _ in layer_names(whole):
        try:
            info = pyogrio.read_info(whole, layer=name, force_feature_count=True)
        except pyogrio.errors.DataLayerError as error:
            raise DataError(f'layer "{name}" of {path.name} cannot be read: {error}.') from error
        text = tuple(
            f for f, t in zip(info["fields"], info["dtypes"], strict=True) if t == "object"
        )
        kind = _geometry_kind(whole, name, info["geometry_type"])
        found.append(
            LayerInfo(
                path,
                name,
                kind,
                feature_count(whole, name, int(info["features"])),
                _said_crs(info["crs"]),
                tuple(info["fields"]),
                text,
            )
        )
    return found


def _table_infos(path: Path, layout: Layout) -> list[LayerInfo]:
    """Return what a table tells, a layer a sheet that has rows and headings."""
    # A sheet that is named, or the only one, is the table; else each sheet is a layer.
    names = sheet_names(path)
    stem = path.name.split(".")[0]
    if layout.sheet or len(names) < 2:
        return [_table_info(path, layout.sheet or stem, read_table(path, layout).frame)]
    infos = []
    for name in names:
        frame = read_table(path, replace(layout, sheet=name)).frame
        infos.append(_table_info(path, name, frame))
    return infos


def _table_info(path: Path, name: str, table: pd.DataFrame) -> LayerInfo:
    table = from_long(with_joined_degrees(table, "samples", []), "samples", [])
    text = tuple(
        column for column in table.columns if not pd.api.types.is_numeric_dtype(table[column])
    )
    kind = has_places(table)
    return LayerInfo(
        path,
        name,
        kind,
        len(table),
        None,
        tuple(map(str, table.columns)),
        text,
    )


def recognise_layers(layers: Sequence[LayerInfo]) -> dict[str, LayerInfo]:
    """Guess which layer plays which role, by geometry, name and columns.

    A name in any of the languages we know wins; without one, points with element columns are
    samples, other points are deposits, lines are faults, the polygon layer with most features is
    the geology.
    """
    # Role by role, in the order in which they matter; a layer plays one role.
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
        if role in ("faults", "geology", "deposits") and not _is_named(info, role)
    ]


def _is_named(layer: LayerInfo, role: str) -> bool:
    return any(re.fullmatch(_ROLE_NAMES[role], word) for word in words_of(layer.name))


def _role_score(role: str, layer: LayerInfo) -> float:
    # A name in a language we know counts ten times as much as a shape.
    named = _is_named(layer, role)
    if role == "deposits" and layer.geometry == "polygon" and named:
        return 1.0
    if layer.geometry != _GEOMETRY_OF[role] or not layer.count:
        return 0.0
    other = any(re.fullmatch(_OTHER_NAMES, word) for word in words_of(layer.name))
    if not named and other:
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


@dataclass(frozen=True)
class Recognised:
    """What a look at a survey's files tells.

    Attributes
    ----------
    layers : list of LayerInfo
        All that was looked at.
    roles : dict
        Role -> the layer that plays it.
    sources : dict
        Role -> where it is read from.
    findings : tuple of Finding
        Choices among several layers, and layers known by their shapes alone.
    """

    layers: list[LayerInfo]
    roles: dict[str, LayerInfo]
    sources: dict[str, Source]
    findings: tuple[Finding, ...]


def recognise_survey(
    paths: Sequence[str | Path],
    crs: str | None = None,
    xy_unit: str | None = None,
    *,
    layer: str | None = None,
    x: str | None = None,
    y: str | None = None,
    layout: Layout | None = None,
) -> Recognised:
    """Look at the files of a survey and say which layer plays which role.

    Parameters
    ----------
    paths : sequence of path
    crs : str, optional
        CRS of the files that have none.
    xy_unit : {"m", "km", "deg"}, optional
        Unit of the coordinates of tables.
    layer : str, optional
        The layer, or the sheet, of the first file that is used; its others are not looked at.
    x, y : str, optional
        The coordinate columns of the tables that have them.
    layout : Layout, optional
        Which rows of the first file, a table, hold headings and units.

    Raises
    ------
    DataError
        When no layer looks like samples or like deposits.
    """
    # 1. what every file holds
    layers: list[LayerInfo] = []
    for number, path in enumerate(paths):
        own = (layout or Layout()) if number == 0 else Layout()
        if number == 0 and layer and is_table(path):
            own = replace(own, sheet=layer)
        found = list_layers(path, own)
        if number == 0 and layer:
            found = _only_layer(found, layer)
        layers += [_with_columns(info, x, y) for info in found]
    # 2. which layer plays which role
    roles = recognise_layers(layers)
    for role in ("samples", "deposits"):
        if role not in roles:
            raise DataError(_no_role(role, layers))
    # 3. where each is read from
    sources = {}
    for role, info in roles.items():
        first = layout if info.path == Path(paths[0]) else None
        sources[role] = _source(
            info,
            crs,
            xy_unit,
            x,
            y,
            first,
        )
    return Recognised(layers, roles, sources, tuple(_choices(layers, roles)))


def _only_layer(layers: list[LayerInfo], wanted: str) -> list[LayerInfo]:
    """Return the layer that is named, in any case; a table's only one whatever it is called."""
    named = [info for info in layers if info.name.casefold() == wanted.casefold()]
    if not named:
        names = [info.name for info in layers]
        hint = nearest_name(wanted, names)
        raise UsageError(
            f'{layers[0].path.name} has no layer "{wanted}".{hint} It has: {", ".join(names)}.'
        )
    return named


def _with_columns(info: LayerInfo, x: str | None, y: str | None) -> LayerInfo:
    """Return a table as one of points where it has the coordinate columns that are named."""
    has = {column.strip().casefold() for column in info.columns}
    named = x is not None and y is not None and {x.casefold(), y.casefold()} <= has
    return replace(info, geometry="point") if named and is_table(info.path) else info


def _no_role(role: str, layers: Sequence[LayerInfo]) -> str:
    """Say why no layer plays a role: what was looked at, and what a table lacks."""
    wants = "points with element columns" if role == "samples" else "points"
    looked = "; ".join(
        f"{x.path.name}: {x.name} ({x.geometry}, {x.count} features)" for x in layers
    )
    text = f"no layer looks like {role} ({wants}). Looked at: {looked or 'no layer at all'}."
    if role == "deposits" and not any(info.geometry == "none" for info in layers):
        text += " Name the file of the known deposits behind the others."
    for info in layers:
        if not is_table(info.path) or (info.geometry == "point" and info.elements):
            continue
        shown = ", ".join(info.columns[:12]) + (", ..." if len(info.columns) > 12 else "")
        if info.geometry == "none":
            text += (
                f" {info.path.name} has the columns {shown}, and no two of them look like"
                " coordinates: name them with --x and --y, or the row of the headings with"
                " --header."
            )
        elif role == "samples":
            text += (
                f" {info.path.name} has the columns {shown}, none of them named like an element."
            )
    return text


def _choices(layers: Sequence[LayerInfo], roles: dict[str, LayerInfo]) -> list[Finding]:
    """Return a finding for each role that another layer could play as well."""
    found = []
    for role, info in roles.items():
        # Only layers without a role of their own could have played this one.
        free = [layer for layer in layers if layer not in roles.values()]
        others = [layer.name for layer in free if _role_score(role, layer) > 0]
        if others:
            done = (
                f"layer {info.name} of {info.path.name} is taken for the {role.replace('_', ' ')};"
                f" others that could be: {', '.join(others)}"
            )
            advice = f"if not: layer = under [{role}]"
            if role in ("samples", "deposits"):
                advice += "; all of one file: layers = [...]"
            found.append(
                Finding(
                    "noticed",
                    role,
                    "",
                    "several layers",
                    info.count,
                    done,
                    advice,
                )
            )
    for line in taken_by_shape(roles):
        role = next(name for name, info in roles.items() if f": {info.name} is" in line)
        found.append(
            Finding(
                "noticed",
                role,
                "",
                "known by its shapes",
                roles[role].count,
                line,
            )
        )
    return found


def _source(
    info: LayerInfo,
    crs: str | None,
    xy_unit: str | None,
    x: str | None,
    y: str | None,
    layout: Layout | None,
) -> Source:
    """Return the source of a layer; a CRS given by hand is for layers without one."""
    # A CRS given by hand is for what has none: files that say theirs are believed.
    needs = info.crs is None
    given = str(parse_crs(crs).to_string()) if needs and crs else None
    if not is_table(info.path):
        return Source(info.path, info.name, crs=given)
    unit = "deg" if given and CRS.from_user_input(given).is_geographic else None
    has = {column.strip().casefold() for column in info.columns}
    named = x is not None and y is not None and {x.casefold(), y.casefold()} <= has
    sheet = info.name if len(sheet_names(info.path)) > 1 else None
    rows = layout or Layout()
    return Source(
        info.path,
        sheet,
        x=x if named else None,
        y=y if named else None,
        crs=given,
        xy_unit=xy_unit or unit,
        header=rows.header,
        units_row=rows.units_row,
        skip=rows.skip or None,
    )
