"""The settings of a source go in; one that means nothing for its kind of file is refused."""

from __future__ import annotations

from pathlib import Path

from ..errors import UsageError
from .formats import BOOKS, is_database
from .survey import Source


def refuse_foreign_settings(source: Source, table: bool = False) -> None:
    """Refuse the settings of a source that mean nothing for its kind: ignored, they would change
    the data silently.

    >>> refuse_foreign_settings(Source("samples.csv", x="east"), table=True)
    >>> refuse_foreign_settings(Source("survey.gpkg", x="east"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    geomfaf.errors.UsageError: x = 'east' needs a table, and survey.gpkg is a vector file: leave ...
    """
    kind = _kind_of(source, table)
    known = set(_SETTINGS[kind])
    if source.layer == Path(source.path).stem:  # what the only layer of such a file is called
        known.add("layer")
    for setting, (what, advice) in _NEEDS.items():
        # A setting that would change nothing is a mistake, and is said.
        value = getattr(source, setting)
        if value is None or setting in known:
            continue
        raise UsageError(
            f"{setting} = {value!r} needs {what}, and {source.name} is {kind}: {advice}."
        )


_TABLE_SETTINGS = {"x", "y", "where", "header", "units_row", "skip"}
_SETTINGS: dict[str, set[str]] = {
    "a database": {"layer", "query"},
    "a workbook": {"layer", *_TABLE_SETTINGS},
    "a text table": _TABLE_SETTINGS,
    "a GeoParquet file": {"where"},
    "a vector file": {"layer", "where"},
}
_PLACES = ("a table", "leave it out: its features have their own places")
_ROWS = ("a table", "leave it out: it has columns of its own")
_NEEDS = {
    "where": ("a file", "put the condition into query ="),
    "query": ("a database", "use where ="),
    "layer": ("a file of several layers", "leave it out"),
    "x": _PLACES,
    "y": _PLACES,
    "header": _ROWS,
    "units_row": _ROWS,
    "skip": _ROWS,
}
"""Setting -> (what it needs, what to do where that is not so)."""


def _kind_of(source: Source, table: bool) -> str:
    """Return what a source is, in the words of a message."""
    if is_database(source.path):
        return "a database"
    name = str(source.path).casefold()
    if table:
        return "a workbook" if name.removesuffix(".gz").endswith(BOOKS) else "a text table"
    return "a GeoParquet file" if name.endswith(".parquet") else "a vector file"
