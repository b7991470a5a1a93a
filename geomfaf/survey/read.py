"""Read a survey: files, layers and columns of any name become one projected, metric `Survey`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyproj import CRS

from ..errors import DataError, UsageError, nearest_name
from ..rasters.grid import parse_crs
from .cleaning.findings import Finding
from .coordinates import check_coordinates, check_extents, is_metric
from .element_names import element_columns, parse_element
from .formats import (
    X_NAMES,
    Y_NAMES,
    coordinate_numbers,
    find_column,
    hidden_password,
    is_database,
    is_table,
    read_database,
    read_parquet,
    read_table,
    refuse_foreign_settings,
    text_encoding,
)
from .survey import XY_UNITS, Source, Survey

_CLASS_NAMES = r"lith|strat|rock|unit|formation|geol|class|code|name|地层|岩性|代号"


def find_class_column(columns: Sequence[str], text_columns: Sequence[str]) -> str | None:
    """Return the column of a geology layer that most likely holds the class names.

    >>> find_class_column(["id", "AGE", "Lithology"], ["AGE", "Lithology"])
    'Lithology'
    """
    texts = list(text_columns) or [c for c in columns if re.search(_CLASS_NAMES, str(c).casefold())]
    named = [
        c for word in _CLASS_NAMES.split("|") for c in texts if re.search(word, str(c).casefold())
    ]
    return next(iter([*named, *texts]), None)


def read_layer(source: Source | str | Path) -> gpd.GeoDataFrame:
    """Read one layer of any vector file or table, with its CRS; rows keep the order of the file,
    and its numbers.

    Raises
    ------
    UsageError
        When the file, layer, column or filter does not exist.
    DataError
        When there is no CRS, or the coordinates are no numbers.
    """
    return _read(source if isinstance(source, Source) else Source(Path(source)), "layer", [])


def _read(source: Source, role: str, found: list[Finding]) -> gpd.GeoDataFrame:
    """Read one layer and add what had to be assumed to the findings."""
    settings = {key: getattr(source, key) for key in ("layer", "where", "query", "x", "y")}
    if is_database(source.path):
        refuse_foreign_settings(source.path, settings)
        frame = read_database(str(source.path), source.layer, source.query)
    else:
        path = existing_path(source.path)
        refuse_foreign_settings(path, settings)
        if is_table(path):
            return _points_of_table(path, source, role, found)
        frame = _features(path, source, role, found)
    # GeoPackages written without a CRS by older GDAL declare an "Undefined Cartesian SRS".
    own = (
        None
        if frame.crs is None or CRS(frame.crs).name.casefold().startswith("undefined")
        else CRS(frame.crs)
    )
    if own is None and not source.crs:
        raise DataError(_no_crs(f'layer "{source.layer or role}" of {_said(source)}'))
    if source.crs:
        wanted = parse_crs(source.crs)
        if own is not None and own != wanted:
            done = f"the file says {own.name}, the settings {wanted.name}: the settings count"
            found.append(Finding("noticed", role, "", "CRS overruled", len(frame), done))
        frame = frame.set_crs(wanted, allow_override=True)
    factor = XY_UNITS[_unit(source)]
    if factor != 1 or source.swap_xy:
        columns = [1, 0] if source.swap_xy else [0, 1]
        frame = frame.set_geometry(
            shapely.transform(frame.geometry.to_numpy(), lambda xy: factor * xy[:, columns])
        )
    return frame


def _features(path: Path, source: Source, role: str, found: list[Finding]) -> gpd.GeoDataFrame:
    """Read a layer of a vector file."""
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    layer = _layer_name(path, source.layer)
    encoding = source.encoding or text_encoding(path)
    try:
        frame = gpd.read_file(
            path,
            layer=layer,
            where=source.where,
            encoding=encoding,
            fid_as_index=bool(source.where),
        )
        if source.where:  # findings name the rows of the whole layer
            whole = pyogrio.read_dataframe(
                path, layer=layer, columns=[], read_geometry=False, fid_as_index=True
            )
            frame.index = whole.index.get_indexer(frame.index)
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        ValueError,
        LookupError,
    ) as error:
        condition = f' with where = "{source.where}"' if source.where else ""
        raise UsageError(
            f'layer "{layer}" of {path.name} cannot be read{condition}: {error}'
        ) from error
    if not isinstance(frame, gpd.GeoDataFrame):
        raise DataError(
            f'layer "{layer}" of {path.name} is a table without geometry: name a layer with places.'
        )
    if encoding and not source.encoding:
        done = f"the file does not say its encoding: read as {encoding}"
        found.append(
            Finding(
                "noticed",
                role,
                "",
                "encoding",
                len(frame),
                done,
                "encoding = where letters are wrong",
            )
        )
    declared = str(pyogrio.read_info(path, layer=layer)["geometry_type"])
    if re.search("Curve|Surface|Circular", declared):
        done = f"{declared}: arcs were made of short straight pieces"
        found.append(Finding("noticed", role, "", "curved geometry", len(frame), done))
    return frame


def _said(source: Source) -> str:
    return hidden_password(str(source.path)) if is_database(source.path) else Path(source.path).name


def _unit(source: Source) -> str:
    unit = source.xy_unit or "m"
    if unit not in XY_UNITS:
        raise UsageError(f'xy_unit "{unit}" is unknown: use one of {", ".join(XY_UNITS)}.')
    return unit


def read_survey(
    sources: dict[str, Source],
    *,
    elements: Sequence[str] | None = None,
    units: dict[str, str] | None = None,
    geology_column: str | None = None,
    crs: str | None = None,
) -> Survey:
    """Read the layers of a survey and bring them into one metric CRS.

    Parameters
    ----------
    sources : dict
        Role (``samples``, ``deposits``, ``geology``, ``faults``, ``study_area``) ->
        :class:`Source`. Samples and deposits are required.
    elements : sequence of str, optional
        Element columns of the samples; found by their names when omitted.
    units : dict, optional
        Column -> unit, for what the column names do not say.
    geology_column : str, optional
        Column of the geology that holds the classes.
    crs : str, optional
        Target CRS; else that of the samples when it is metric, else their UTM zone.
    """
    for role in ("samples", "deposits"):
        if role not in sources:
            raise DataError(
                f"the survey has no {role}: samples and deposits are required. Name the layer of"
                f" the {role}."
            )
    findings: list[Finding] = []
    read = {role: _read(source, role, findings) for role, source in sources.items()}
    for role, frame in read.items():
        if not len(frame):
            layer = f"the {role} layer of {_said(sources[role])}"
            where = sources[role].where
            raise DataError(
                f"no feature of {layer} meets where = {where!r}."
                if where
                else f"{layer} is empty: name another layer."
            )
    wrong = [finding for role, frame in read.items() if (finding := check_coordinates(role, frame))]
    findings += wrong
    lost = any(finding.severity == "refused" for finding in wrong)
    target, finding = _target_crs(read["samples"], crs, lost)
    findings += [] if finding is None else [finding]
    frames = dict(read)
    for role, frame in read.items():
        if CRS(frame.crs) != target:
            note = f"reprojected from {CRS(frame.crs).name} to {target.name}"
            if role != "samples" or finding is None:
                findings.append(Finding("noticed", role, "", "another CRS", len(frame), note))
            frames[role] = frame.to_crs(target)
    findings += [] if lost else check_extents(read, target)
    samples = frames["samples"]
    found = select_elements(samples, elements, units)
    column = class_column(frames["geology"], geology_column) if "geology" in frames else None
    return Survey(**frames, elements=found, geology_column=column, findings=tuple(findings))


def metric_layer(source: Source | str | Path, crs: CRS | None = None) -> gpd.GeoDataFrame:
    """Read one layer into a CRS, or into its own when that is metric, else into its UTM zone."""
    frame = read_layer(source)
    return frame.to_crs(crs if crs is not None else _target_crs(frame, None)[0])


def existing_path(path: str | Path) -> Path:
    """Return the path, or say which file of the folder was probably meant."""
    path = Path(path)
    if path.exists():
        return path
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise UsageError(f"{path} does not exist.{nearest_name(path.name, siblings)}")


def layer_names(path: Path) -> list[tuple[str, str]]:
    """Return (name, geometry type) of the layers of a vector file."""
    try:
        return [
            (str(name), str(kind))
            for name, kind in pyogrio.list_layers(path)
            if name != "layer_styles"
        ]
    except pyogrio.errors.DataSourceError as error:
        raise UsageError(
            f"{path.name} is no vector file that can be read. GeoPackage, shapefile, GeoJSON,"
            " FlatGeobuf and CSV are."
        ) from error


def _layer_name(path: Path, wanted: str | None) -> str:
    names = [name for name, _ in layer_names(path)]
    if wanted is None:
        if len(names) == 1:
            return names[0]
        raise UsageError(
            f"{path.name} has {len(names)} layers, name one of them: {', '.join(names)}."
        )
    by_case = {name.casefold(): name for name in names}
    if wanted in names or wanted.casefold() in by_case:
        return wanted if wanted in names else by_case[wanted.casefold()]
    raise UsageError(
        f'{path.name} has no layer "{wanted}".{nearest_name(wanted, names)} It has:'
        f" {', '.join(names)}."
    )


def _points_of_table(
    path: Path, source: Source, role: str, found: list[Finding]
) -> gpd.GeoDataFrame:
    table = read_table(path, source.layer, source.encoding)
    encoding = table.attrs.get("encoding", "utf-8")
    if not source.encoding and not encoding.startswith("utf-8"):
        done = f"the text is not UTF-8: read as {encoding}"
        found.append(
            Finding(
                "noticed",
                role,
                "",
                "encoding",
                len(table),
                done,
                "encoding = where letters are wrong",
            )
        )
    columns = []
    for axis, wanted, names in (("x", source.x, X_NAMES), ("y", source.y, Y_NAMES)):
        column = find_column(table.columns, [wanted.strip().casefold()] if wanted else names)
        if column is None:
            asked = (
                f'no column "{wanted}"'
                if wanted
                else f"no {axis} column among {', '.join(map(str, table.columns))}"
            )
            hint = nearest_name(wanted, table.columns) if wanted else ""
            raise UsageError(
                f"{path.name} has {asked}.{hint} Name it with --{axis} (or {axis} = in the project"
                " file)."
            )
        columns.append(column)
    unit = _unit(source)
    crs = parse_crs(source.crs) if source.crs else CRS.from_epsg(4326) if unit == "deg" else None
    xy = [coordinate_numbers(table[column], path.name) * XY_UNITS[unit] for column in columns]
    if crs is None:
        raise DataError(_no_crs(path.name, degrees=_look_like_degrees(columns, xy)))
    xy = xy[::-1] if source.swap_xy else xy
    missing = np.isnan(xy[0]) | np.isnan(xy[1])
    points = gpd.points_from_xy(*xy, crs=crs)
    frame = gpd.GeoDataFrame(table.drop(columns=columns), geometry=points)
    frame.loc[missing, "geometry"] = None
    return frame


def _look_like_degrees(columns: Sequence[str], xy: Sequence[np.ndarray]) -> bool:
    """Return whether columns are named longitude and latitude and hold nothing but such numbers."""
    named = all(re.search("lon|lat", column.casefold()) for column in columns)
    return named and np.nanmax(np.abs(xy[0])) <= 180 and np.nanmax(np.abs(xy[1])) <= 90


def _no_crs(what: str, degrees: bool = False) -> str:
    hint = (
        ' Its coordinates look like degrees: then --xy-unit deg (xy_unit = "deg") is enough.'
        if degrees
        else ""
    )
    return (
        f"{what} has no coordinate reference system, so nobody can tell where it lies. "
        "Say it with --crs EPSG:32650 (the code of your data), or crs = in the project file." + hint
    )


def _target_crs(
    samples: gpd.GeoDataFrame, wanted: str | None, lost: bool = False
) -> tuple[CRS, Finding | None]:
    """Return the run's CRS and, where it is not simply the samples', a finding that says so."""
    own = CRS(samples.crs)
    if wanted:
        target = parse_crs(wanted)
        if not is_metric(target):
            raise DataError(
                f"crs = {wanted} is not a projected CRS in metres: name one, such as the UTM zone"
                " of the area."
            )
        if target == own:
            return target, None
        note = f"reprojected from {own.name} to {target.name}, as asked"
        return target, Finding("noticed", "samples", "", "another CRS", len(samples), note)
    if is_metric(own) or lost:
        return own, None  # a survey whose coordinates are wrong goes no farther than the check
    try:
        target = CRS(samples.estimate_utm_crs())
    except (RuntimeError, ValueError) as error:
        bounds = ", ".join(f"{value:g}" for value in samples.total_bounds)
        raise DataError(
            f"the samples' coordinates ({bounds}) do not lie on the Earth in {own.name}: name the"
            " right CRS, or correct the coordinates."
        ) from error
    unit = "degrees" if own.is_geographic else own.axis_info[0].unit_name
    note = (
        f"coordinates in {unit} ({own.name}) were reprojected to {target.name}"
        f" (EPSG:{target.to_epsg()})"
    )
    return target, Finding(
        "fixed", "samples", "", "CRS is not metric", len(samples), note, "set crs to choose another"
    )


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


def class_column(geology: gpd.GeoDataFrame, wanted: str | None = None) -> str:
    """Return the column with the class names: the one named (in any case), or the likeliest."""
    columns = [str(column) for column in geology.columns if column != geology.geometry.name]
    if wanted is not None:
        folded = {column.casefold(): column for column in columns}
        if wanted not in columns and wanted.casefold() not in folded:
            raise UsageError(
                f'the geology has no column "{wanted}".{nearest_name(wanted, columns)}'
            )
        return wanted if wanted in columns else folded[wanted.casefold()]
    text = [c for c in columns if not pd.api.types.is_numeric_dtype(geology[c])]
    column = find_class_column(columns, text)
    if column is None:
        raise DataError(
            f"the geology has no text column with class names: name one of {', '.join(columns)} as"
            " column."
        )
    return column
