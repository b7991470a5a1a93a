"""Survey files go in, a ``geomfaf.toml`` that shows every setting with its default comes out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomlkit
from rasterio.errors import RasterioIOError
from tomlkit.container import Container
from tomlkit.items import Table as TomlTable

from ..errors import DataError, UsageError, nearest_name
from ..evidence.own_rasters import is_raster, recognise_raster
from ..evidence.stack import survey_grid
from ..files import finished_file
from ..settings.check import require_settings
from ..settings.pages import commented_line, meaning_of, plain_text
from ..settings.setting import Table
from ..settings.tables import PROJECT, TABLES
from ..survey.class_columns import class_candidates
from ..survey.cleaning.findings import as_table, require_accepted
from ..survey.element_names import label
from ..survey.filters import offered_filters
from ..survey.read import read_survey
from ..survey.recognise import LayerInfo, Recognised, recognise_survey
from ..survey.survey import ROLES, Source, Survey


def init_project(
    paths: Sequence[str | Path],
    toml: str | Path,
    *,
    crs: str | None = None,
    xy_unit: str | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Look at survey files and write the project file; return what was recognised, a line a layer.

    Parameters
    ----------
    paths : sequence of path
        One or more vector files or tables; rasters beside them become ``[[rasters]]``.
    toml : path
        The project file to write; paths in it are relative to its folder where that is possible.
    crs : str, optional
        CRS of the files that have none.
    xy_unit : {"m", "km", "deg"}, optional
        Unit of the coordinates of tables.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.

    Returns
    -------
    list of str
        What was recognised, a line a layer.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> folder = tempfile.mkdtemp()
    >>> path = gm.write_survey(gm.make_survey("small")[0], f"{folder}/survey.gpkg")
    >>> gm.init_project([path], f"{folder}/geomfaf.toml")[0]
    'samples: survey.gpkg, layer samples (1,900 features)'
    """
    vectors = [path for path in paths if not is_raster(path)]
    known = recognise_survey(vectors, crs, xy_unit)
    rasters = [path for path in paths if is_raster(path)]
    return write_project(known, toml, rasters=rasters, overwrite=overwrite)


def write_project(
    known: Recognised,
    toml: str | Path,
    *,
    rasters: Sequence[str | Path] = (),
    changes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Write the project file of a survey whose layers were recognised; return what was recognised,
    a line a layer. ``rasters`` that cannot be evidence are left out, with the reason. ``changes``
    are settings that are not what was recognised, such as ``{"grid.cell": 50}``.
    """
    toml = Path(toml)
    survey = read_survey(known.sources, findings=known.findings)
    require_accepted(as_table(survey.findings))
    folder = toml.resolve().parent
    bands, said = _raster_tables(rasters, folder)
    with finished_file(toml, overwrite=overwrite) as path:
        text = _toml(known.roles, known.sources, survey, folder)
        path.write_text(_changed(text + bands, changes or {}), encoding="utf-8")
    lines = [
        f"{role}: {info.path.name}, layer {info.name} ({info.count:,} features)"
        for role, info in known.roles.items()
    ]
    lines += said
    unused = [layer.name for layer in known.layers if layer not in known.roles.values()]
    lines += [f"not used: {', '.join(unused)}"] if unused else []
    lines += [f"{finding.layer}: {finding.done}" for finding in survey.findings]
    lines.append(f"elements: {', '.join(label(c, u) for c, u in survey.elements.items())}")
    return lines


def _raster_tables(rasters: Sequence[str | Path], folder: Path) -> tuple[str, list[str]]:
    """Return the tables ``[[rasters]]`` of rasters as they look, and a line for each of them."""
    document = tomlkit.document()
    tables = tomlkit.aot()
    lines = []
    for path in rasters:
        try:
            source = recognise_raster(path)
        except (DataError, RasterioIOError) as error:
            lines.append(f"not used: {Path(path).name}: {error}")
            continue
        table = tomlkit.table()
        _add(table, "path", _relative(Path(path), folder))
        for key in ("name", "kind", "unit"):
            _add(table, key, getattr(source, key))
        tables.append(table)
        lines.append(f"raster: {Path(path).name}, {source.kind}")
    if not len(tables):
        return "", lines
    document.add("rasters", tables)
    return f"\n{tomlkit.dumps(document)}", lines


def _toml(
    roles: dict[str, LayerInfo],
    sources: dict[str, Source],
    survey: Survey,
    folder: Path,
) -> str:
    """Return the project file; every value is written by a TOML library, never pasted."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Run it with `geomfaf run geomfaf.toml`."))
    document.add(tomlkit.comment("Lines that begin with # show the defaults, or an example."))
    document.add(tomlkit.nl())
    for setting in PROJECT.settings:
        value = _crs_name(survey) if setting.name == "crs" else setting.default
        if value is None:
            # Nobody but the user knows it: an example, as a comment.
            line = commented_line(setting).removeprefix("# ")
            document.add(tomlkit.comment(line))
            continue
        _add(document, setting.name, value, meaning_of(setting))
    document.add(tomlkit.nl())
    for role, info in roles.items():
        table = _layer_table(role, info, sources[role], survey, folder)
        table.add(tomlkit.nl())
        document.add(role, table)
    text = tomlkit.dumps(document)
    stages = [table for name, table in TABLES.items() if name and name not in ROLES]
    cell = survey_grid(survey).cell
    return text + "\n".join(_stage_text(table, cell) for table in stages)


def _changed(text: str, changes: Mapping[str, Any]) -> str:
    """Return a project file with other values: in place of the old one, else under the heading."""
    for name, value in changes.items():
        table, _, key = name.rpartition(".")
        if table not in TABLES:
            raise UsageError(f'"{name}" is no setting.{nearest_name(table, list(TABLES))}')
        if TABLES[table].repeated:
            raise UsageError(f"{name}: [[{table}]] stands several times; change it in the file.")
        require_settings(table, {key: value})
        document = tomlkit.parse(text)
        content = document.get(table, {}) if table else document
        if key in content:
            content[key] = value
            text = tomlkit.dumps(document)
            continue
        line = f"{key} = {tomlkit.item(value).as_string()}\n"
        heading = re.search(rf"^(# )?\[{re.escape(table)}\]\n", text, re.MULTILINE)
        if not table:
            text = line + text
        elif heading:
            text = f"{text[: heading.start()]}[{table}]\n{line}{text[heading.end() :]}"
        else:
            raise UsageError(f"{name}: the survey has no layer {table}.")
    return text


def _layer_table(
    role: str,
    info: LayerInfo,
    source: Source,
    survey: Survey,
    folder: Path,
) -> TomlTable:
    """Return where a layer lies and how it is read, and its other settings as comments."""
    table = tomlkit.table()
    _add(table, "path", _relative(info.path, folder))
    for key in ("layer", "x", "y", "crs", "xy_unit", "header", "units_row", "skip"):
        value = getattr(source, key)
        if value:
            _add(table, key, value)
    if role == "samples":
        _add(table, "elements", list(survey.elements))
        units = {column: unit for column, unit in survey.elements.items() if unit}
        if units:
            inline = tomlkit.inline_table()
            inline.update(units)
            _add(table, "units", inline)
    if role == "geology":
        candidates = [column for column, _ in class_candidates(survey.layers()["geology"])]
        others = [column for column in candidates if column != survey.geology_column]
        comment = f"or {', '.join(others)}" if others else ""
        _add(table, "column", survey.geology_column, comment)
    layers = survey.layers()
    filters = offered_filters(layers[role], role) if role in ("samples", "deposits") else []
    for condition, counts in filters:
        quoted = tomlkit.item(condition).as_string()
        table.add(tomlkit.comment(plain_text(f"where = {quoted}   # {counts}")))
    for setting in TABLES[role].settings:
        if setting.name not in table and not (setting.name == "where" and filters):
            table.add(tomlkit.comment(commented_line(setting).removeprefix("# ")))
    return table


def _add(
    table: Container | TomlTable,
    key: str,
    value: Any,
    comment: str = "",
) -> None:
    """Add a setting with its comment; what a comment holds stays on its line."""
    item = tomlkit.item(value)
    if comment:
        item.comment(plain_text(comment))
    table.add(key, item)


def _stage_text(table: Table, cell: float) -> str:
    """Return the table of a stage, every setting a comment."""
    heading = f"[[{table.name}]]" if table.repeated else f"[{table.name}]"
    hidden = "# " if table.optional or table.repeated else ""
    lines = [f"# {table.meaning}", f"{hidden}{heading}"]
    for setting in table.settings:
        own = replace(setting, example=cell) if (table.name, setting.name) == CELL else setting
        lines.append(commented_line(own))
    return "\n".join(lines) + "\n"


CELL = ("grid", "cell")
"""The setting whose example is the survey's own value."""


def _crs_name(survey: Survey) -> str:
    code = survey.crs.to_authority()
    return ":".join(code) if code else survey.crs.to_wkt()


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder)).as_posix()
    except ValueError:  # another drive on Windows
        return path.resolve().as_posix()
