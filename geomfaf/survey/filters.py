"""Columns of kinds go in; conditions that keep one of them come out, as ``where =`` takes them."""

from __future__ import annotations

import geopandas as gpd
import pandas as pd

from .cleaning.media import medium_column
from .commodities import kinds_of, same_kind

MANY_KINDS = 12
"""Columns with up to this many values, or one in four rows, are offered as a filter."""

# Words of SQL that a column may be called; others need quotes only where they are no plain names.
_RESERVED = frozenset(
    "add all alter and as asc between by case check collate column commit constraint create cross current"
    " default delete desc distinct drop else end escape except exists filter foreign from full group having"
    " in index inner insert intersect into is isnull join key left like limit match natural no not notnull null"
    " of offset on or order outer plan primary range references release replace right row rows select set"
    " table temp then to transaction trigger union unique update using values view when where with".split()
)


def condition_on(column: str, *values: str) -> str:
    r"""Return the SQL condition that a column has one of some values; quotes in either are doubled.

    >>> condition_on("commodity", "gold")
    "commodity = 'gold'"
    >>> print(condition_on("main ore", "King's"))
    "main ore" = 'King''s'
    >>> condition_on("group", "Au", "Au;Ag")
    '"group" IN (\'Au\', \'Au;Ag\')'
    """
    plain = column.isascii() and column.isidentifier() and column.casefold() not in _RESERVED
    name = column if plain else '"' + column.replace('"', '""') + '"'
    texts = ["'" + value.replace("'", "''") + "'" for value in values]
    if len(texts) == 1:
        return f"{name} = {texts[0]}"
    return f"{name} IN ({', '.join(texts)})"


def condition_on_kind(values: pd.Series, kind: str) -> str:
    """Return the SQL condition on every cell of a column that names a kind, alone or with others.

    >>> condition_on_kind(pd.Series(["Au", "gold, Cu", "Cu", None], name="ore"), "Au")
    "ore IN ('Au', 'gold, Cu')"
    """
    cells = set()
    for cell in values.dropna().astype(str).unique():
        if same_kind(kind) in map(same_kind, kinds_of(cell)):
            cells.add(cell)
    return condition_on(str(values.name), *sorted(cells))


def offered_filters(frame: gpd.GeoDataFrame, role: str) -> list[tuple[str, str]]:
    """Return (condition, counts) of columns such as the commodity: a map of everything is a map of
    nothing.

    Of a cell with several (``"Au, Ag"``) each counts; the condition names every cell that holds the
    commonest. Samples are offered their medium alone.

    >>> table = pd.DataFrame({"ore": ["Au", "Au, Ag", "Cu", "U"]})
    >>> offered_filters(table, "deposits")
    [("ore IN ('Au', 'Au, Ag')", 'Au 2, Ag 1, Cu 1, U 1')]
    """
    if role == "samples":
        medium = medium_column(frame)
        columns = [] if medium is None else [medium]
    else:
        columns = [column for column in frame.columns if frame[column].dtype != "geometry"]
    offered = []
    for column in columns:
        values = frame[column]
        most = max(MANY_KINDS, len(values) // 4)
        if not pd.api.types.is_string_dtype(values) or not 1 < values.nunique() <= most:
            continue
        # A deposit of several kinds counts for each of them.
        kinds = values.fillna("(none)").map(lambda cell: kinds_of(str(cell))).explode().dropna()
        names = kinds.groupby(kinds.map(same_kind)).agg(lambda same: same.mode().iloc[0])
        counts = kinds.map(same_kind).value_counts().rename(index=names)
        best = counts.drop("(none)", errors="ignore").index[0]
        shown = ", ".join(f"{name} {count}" for name, count in counts.head(6).items())
        more = ", ..." if len(counts) > 6 else ""
        offered.append((condition_on_kind(values, best), shown + more))
    return offered[:3]
