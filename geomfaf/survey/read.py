"""Read a survey: files, layers and columns of any name become one projected, metric `Survey`."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
import shapely
from pyproj import CRS

from ..errors import DataError, UsageError, nearest_name, require_known
from ..rasters.grid import parse_crs
from .class_columns import as_class_names, class_column
from .cleaning.findings import Finding
from .cleaning.geometry import POINT_ROLES
from .coordinates import check_coordinates, check_extents, no_crs
from .degree_columns import with_joined_degrees
from .element_choice import select_elements, unused_columns
from .formats import (
    counted,
    existing_path,
    is_database,
    layer_names,
    read_database,
    read_parquet,
    text_encoding,
)
from .ground import brought_to, local_in_metres, survey_crs
from .joined_layers import join_layers
from .line_kinds import without_other_lines
from .long_tables import from_long
from .places import points_of_table
from .recognise import recognise_survey
from .round_earth import from_minus_180, near_survey
from .shapefiles import complete
from .source_settings import refuse_foreign_settings
from .storable import storable, storable_names
from .survey import XY_UNITS, Source, Survey
from .tables import Layout, is_table, read_table


def read_layer(source: Source | str | Path) -> gpd.GeoDataFrame:
    """Read one layer of any vector file or table, with its CRS; rows keep the order of the file,
    and its numbers.

    Parameters
    ----------
    source : Source or path
        A file with one layer, or :class:`geomfaf.Source`.

    Returns
    -------
    GeoDataFrame
        The index holds the rows of the file, from 0.

    Raises
    ------
    UsageError
        When the file, layer, column or filter does not exist.
    DataError
        When there is no CRS, or the coordinates are no numbers.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> folder = tempfile.mkdtemp()
    >>> path = gm.write_survey(gm.make_survey("small")[0], f"{folder}/survey.gpkg")
    >>> len(gm.read_layer(gm.Source(path, "deposits")))
    36
    """
    return _read(source if isinstance(source, Source) else Source(Path(source)), "layer", [])


def _read(source: Source, role: str, found: list[Finding]) -> gpd.GeoDataFrame:
    """Read one layer, or several that are joined, and add what had to be assumed to the findings."""
    if source.layers:
        if source.layer is not None:
            raise UsageError(f"[{role}]: layer and layers name the same thing: give one of them.")
        single = {name: replace(source, layer=name, layers=None) for name in source.layers}
        return join_layers(
            {name: _read(one, role, found) for name, one in single.items()}, role, found
        )
    require_known(source.xy_unit or "m", XY_UNITS, "xy_unit")
    if is_database(source.path):
        refuse_foreign_settings(source)
        frame = read_database(str(source.path), source.layer, source.query)
    else:
        # Tables have no geometry of their own: their places are found among the columns.
        path = existing_path(source.path)
        table = is_table(path)
        refuse_foreign_settings(source, table)
        if table:
            frame = _rows_with_places(path, source, role, found)
            return _storable_on_earth(frame, role, found)
        frame = _features(path, source, role, found)
    frame = _in_metres(_with_crs(frame, source, role, found), source)
    return _storable_on_earth(frame, role, found)


def _storable_on_earth(
    frame: gpd.GeoDataFrame, role: str, found: list[Finding]
) -> gpd.GeoDataFrame:
    """Return a layer in units and degrees that all layers share, with names that can be stored."""
    frame = local_in_metres(from_minus_180(frame, role, found), role, found)
    return storable(frame, role, found)


def _rows_with_places(
    path: Path,
    source: Source,
    role: str,
    found: list[Finding],
) -> gpd.GeoDataFrame:
    """Read a table and find the places of its rows."""
    layout = Layout(
        source.layer, source.encoding, source.header, source.units_row, source.skip or 0
    )
    # 1. the rows below the headings; what had to be guessed is said
    table = read_table(path, layout)
    if table.encoding and not source.encoding and not table.encoding.startswith("utf-8"):
        done = f"the text is not UTF-8: read as {table.encoding}"
        advice = "set encoding = where letters are wrong"
        found.append(
            Finding(
                "noticed",
                role,
                "",
                "encoding",
                len(table.frame),
                done,
                advice,
            )
        )
    for line in table.notes:
        found.append(Finding("noticed", role, "", "rows of the table", len(table.frame), line))
    # 2. the rows that are wanted, and samples of long tables as one row each
    frame = table.frame
    if source.where:
        frame = _meeting(frame, source)
    frame = with_joined_degrees(frame, role, found)
    if role in ("samples", "layer"):
        frame = from_long(frame, role, found)
    return points_of_table(frame, source, role, found, table.first_row)


def _meeting(frame: pd.DataFrame, source: Source) -> pd.DataFrame:
    """Return the rows of a table that meet an SQL condition, with their numbers in the file."""
    # SQL tells "Name" from "name" no more than results do, where the second one is "Name_2".
    names = storable_names(frame.columns, "")
    plain = pd.DataFrame(frame).set_axis(names, axis=1)
    folded = {name.casefold() for name in names}
    for old, name in zip(frame.columns, names, strict=True):
        if str(old).casefold() not in folded:
            plain[str(old)] = plain[name]
    number = next(name for name in ("rowid", "oid", "_rowid_") if name not in folded)
    with sqlite3.connect(":memory:") as base:
        try:
            plain.to_sql("rows_of_file", base, index=False)
            # in memory, read once: the condition can reach nothing but these rows
            query = f"SELECT {number} FROM rows_of_file WHERE {source.where}"  # noqa: S608
            numbers = [row[0] - 1 for row in base.execute(query)]
        except (sqlite3.Error, pd.errors.DatabaseError, ValueError) as error:
            raise UsageError(
                f'{source.name} cannot be read with where = "{source.where}": {error}'
            ) from error
    return frame.iloc[sorted(numbers)]


def _with_crs(
    frame: gpd.GeoDataFrame,
    source: Source,
    role: str,
    found: list[Finding],
) -> gpd.GeoDataFrame:
    """Return the layer with its CRS: the file's own, unless the settings say another."""
    # The settings count before the file: a wrong .prj is common.
    own = None if frame.crs is None else CRS(frame.crs)
    # GeoPackages written without a CRS by older GDAL declare an "Undefined Cartesian SRS".
    if own is not None and own.name.casefold().startswith("undefined"):
        own = None
    if not source.crs:
        if own is None:
            raise DataError(no_crs(f'layer "{source.layer or role}" of {source.name}'))
        return frame
    wanted = parse_crs(source.crs)
    if own is not None and own != wanted:
        done = f"the file says {own.name}, the settings {wanted.name}: the settings count"
        found.append(Finding("noticed", role, "", "CRS overruled", len(frame), done))
    return frame.set_crs(wanted, allow_override=True)


def _in_metres(frame: gpd.GeoDataFrame, source: Source) -> gpd.GeoDataFrame:
    """Return the layer with kilometres made metres and north put behind east, as the source says."""
    factor = XY_UNITS[source.xy_unit or "m"]
    if factor == 1 and not source.swap_xy:
        return frame
    order = [1, 0] if source.swap_xy else [0, 1]
    moved = shapely.transform(frame.geometry.to_numpy(), lambda xy: factor * xy[:, order])
    return frame.set_geometry(moved, crs=frame.crs)


def _features(
    path: Path,
    source: Source,
    role: str,
    found: list[Finding],
) -> gpd.GeoDataFrame:
    """Read a layer of a vector file."""
    if path.suffix.lower() == ".parquet":
        frame = read_parquet(path)
        if source.where:
            frame = frame.loc[_meeting(frame.drop(columns=frame.geometry.name), source).index]
        return frame
    with complete(path) as whole:
        layer = _layer_name(whole, source.layer)
        encoding = source.encoding or text_encoding(path)
        frame = _rows_of_layer(whole, layer, source.where, encoding)
        declared = str(pyogrio.read_info(whole, layer=layer)["geometry_type"])
    if not isinstance(frame, gpd.GeoDataFrame):
        raise DataError(
            f'layer "{layer}" of {path.name} is a table without geometry: name a layer with places.'
        )
    if encoding and not source.encoding:
        done = f"the file does not say its encoding: read as {encoding}"
        advice = "set encoding = where letters are wrong"
        found.append(Finding("noticed", role, "", "encoding", len(frame), done, advice))
    if re.search("Curve|Surface|Circular", declared):
        done = f"{declared}: arcs were made of short straight pieces"
        found.append(Finding("noticed", role, "", "curved geometry", len(frame), done))
    return frame


def _rows_of_layer(
    path: Path,
    layer: str,
    where: str | None,
    encoding: str | None,
) -> gpd.GeoDataFrame:
    """Read the features that meet a condition; the index holds their rows in the whole layer."""
    try:
        frame = gpd.read_file(
            path,
            layer=layer,
            where=where or counted(path),
            encoding=encoding,
            fid_as_index=bool(where),
        )
        if where:  # findings name the rows of the whole layer
            whole = pyogrio.read_dataframe(
                path,
                layer=layer,
                columns=[],
                where=counted(path),
                read_geometry=False,
                fid_as_index=True,
            )
            frame.index = whole.index.get_indexer(frame.index)
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        ValueError,
        LookupError,
    ) as error:
        condition = f' with where = "{where}"' if where else ""
        raise UsageError(
            f'layer "{layer}" of {path.name} cannot be read{condition}: {error}'
        ) from error
    return frame


def read_survey(
    sources: str | Path | Sequence[str | Path] | Mapping[str, Source | str | Path],
    *,
    elements: Sequence[str] | None = None,
    units: dict[str, str] | None = None,
    geology_column: str | None = None,
    crs: str | None = None,
    findings: Sequence[Finding] = (),
) -> Survey:
    """Read the layers of a survey and bring them into one metric CRS.

    Parameters
    ----------
    sources : path, sequence of path, or dict
        The file, or the files, of the survey: their layers are recognised as ``geomfaf init`` does.
        Or role (``samples``, ``deposits``, ``geology``, ``faults``, ``study_area``) -> file with
        one layer, or :class:`geomfaf.Source`, which says layer, CRS, columns or a condition.
        Samples and deposits are required.
    elements : sequence of str, optional
        Element columns of the samples; found by their names when omitted.
    units : dict, optional
        Column -> unit, for what the column names do not say.
    geology_column : str, optional
        Column of the geology that holds the classes.
    crs : str, optional
        Target CRS; else that of the samples when it is metric, else their UTM zone.
    findings : sequence of Finding
        What was found before, by :func:`geomfaf.survey.recognise.recognise_survey`.

    Returns
    -------
    Survey
        Its ``findings`` say what had to be assumed.

    Raises
    ------
    UsageError
        When a file, layer or column does not exist.
    DataError
        When no layer looks like samples or deposits, or a layer has no CRS or no feature.

    Examples
    --------
    >>> import geomfaf as gm, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> path = gm.write_survey(gm.make_survey("small")[0], f"{folder}/survey.gpkg")
    >>> len(gm.read_survey(path).samples)
    1900
    >>> sources = {"samples": gm.Source(path, "samples", where="Au_ppb > 5"),
    ...            "deposits": gm.Source(path, "deposits")}
    >>> len(gm.read_survey(sources, elements=["Au"]).samples)
    66
    """
    # 0. files alone: the layers are recognised by their shapes and names
    if not isinstance(sources, Mapping):
        paths = [sources] if isinstance(sources, str | Path) else list(sources)
        known = recognise_survey(paths)
        findings = [*known.findings, *findings]
        sources = known.sources
    named = {
        role: source if isinstance(source, Source) else Source(source)
        for role, source in sources.items()
    }
    for role in ("samples", "deposits"):
        if role not in named:
            raise DataError(
                f"the survey has no {role}: samples and deposits are required. Name the layer of"
                f" the {role}."
            )
    found = list(findings)
    # 1. every layer in its own CRS
    read = {role: _read(source, role, found) for role, source in named.items()}
    _require_features(read, named)
    wrong = [finding for role, frame in read.items() if (finding := check_coordinates(role, frame))]
    found += wrong
    # 2. every layer in the survey's
    lost = any(finding.severity == "refused" for finding in wrong)
    frames = _in_one_crs(read, crs, lost, found)
    # 3. what their columns are
    samples = frames["samples"]
    chosen = select_elements(samples, elements, units)
    if elements is None:
        found += unused_columns(samples, chosen)
    if "faults" in frames:
        frames["faults"] = without_other_lines(frames["faults"], found)
    column = None
    if "geology" in frames:
        column = class_column(frames["geology"], geology_column, found)
        classes = as_class_names(frames["geology"][column])
        frames["geology"] = frames["geology"].assign(**{column: classes})
    return Survey(
        **frames,
        elements=chosen,
        geology_column=column,
        findings=tuple(found),
    )


def _require_features(read: dict[str, gpd.GeoDataFrame], sources: dict[str, Source]) -> None:
    """Raise :class:`DataError` for a layer without a feature."""
    for role, frame in read.items():
        if len(frame):
            continue
        layer = f"the {role} layer of {sources[role].name}"
        where = sources[role].where
        if where:
            raise DataError(f"no feature of {layer} meets where = {where!r}.")
        raise DataError(f"{layer} is empty: name another layer.")


def _in_one_crs(
    read: dict[str, gpd.GeoDataFrame],
    wanted: str | None,
    lost: bool,
    found: list[Finding],
) -> dict[str, gpd.GeoDataFrame]:
    """Return the layers in one metric CRS; ``lost`` says that coordinates are wrong already."""
    # The samples decide: they are the most, and distances between them are what is gridded.
    target, finding = survey_crs(read["samples"], wanted, lost)
    found += [] if finding is None else [finding]
    near = dict(read)
    frames = dict(read)
    for role, frame in read.items():
        if CRS(frame.crs) == target:
            continue
        done = f"reprojected from {CRS(frame.crs).name} to {target.name}"
        if role != "samples" or finding is None:
            found.append(Finding("noticed", role, "", "another CRS", len(frame), done))
        if role not in POINT_ROLES:
            near[role] = near_survey(frame, read["samples"], role, found)
        frames[role] = brought_to(near[role], target, role, found)
    if not lost:
        in_degrees = {one.layer for one in found if one.rule == "degrees by name"}
        found += check_extents(near, target, in_degrees)
    return frames


def metric_layer(source: Source | str | Path, crs: CRS | None = None) -> gpd.GeoDataFrame:
    """Read one layer into a CRS, or into its own when that is metric, else into its UTM zone."""
    frame = read_layer(source)
    return brought_to(frame, crs if crs is not None else survey_crs(frame, None)[0], "layer", [])


def _layer_name(path: Path, wanted: str | None) -> str:
    names = [name for name, _ in layer_names(path)]
    if wanted is None:
        if len(names) == 1:
            return names[0]
        raise UsageError(
            f"{path.name} has {len(names)} layers, name one of them: {', '.join(names)}."
        )
    # Names are found in any case: no format tells "Samples" from "samples" for sure.
    by_case = {name.casefold(): name for name in names}
    if wanted in names or wanted.casefold() in by_case:
        return wanted if wanted in names else by_case[wanted.casefold()]
    raise UsageError(
        f'{path.name} has no layer "{wanted}".{nearest_name(wanted, names)} It has:'
        f" {', '.join(names)}."
    )
