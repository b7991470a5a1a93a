"""The columns of the targets go in; the table of a map and the facts of a target's sheet come out, as
expressions of QGIS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .layout_tables import TableColumn
from .vector_layers import target_name

CAUTION = (
    "Scores rank ground; they are not the chance of a deposit. Targets are conceptual: they come"
    " from surface geochemistry, the geological map, faults and known deposits, and no work on the"
    " ground has tested them. Not a resource, and not an Exploration Target under JORC or"
    " NI 43-101. summary.md says how far the map can be trusted."
)


def rounded(column: str, decimals: int, unit: str = "") -> str:
    """Return the expression that shows a number with its unit, a dash where it is missing.

    >>> print(rounded("area_km2", 2, "km²"))
    coalesce(format_number("area_km2", 2) || ' km²', '–')
    """
    shown = f'format_number("{column}", {decimals})'
    if unit:
        space = "" if unit == "°" else " "
        shown += f" || '{space}{unit}'"
    return f"coalesce({shown}, '–')"


def text_of(column: str) -> str:
    """Return the expression that shows a text, a dash where it is missing or empty."""
    return f"coalesce(nullif(\"{column}\", ''), '–')"


def shortened(column: str, letters: int) -> str:
    """Return the expression that shows the beginning of a text, and that there is more of it."""
    cut = f"left(\"{column}\", {letters - 1}) || '…'"
    return f'if(length("{column}") > {letters}, {cut}, "{column}")'


def table_columns(columns: Sequence[str], width: float) -> list[TableColumn]:
    """Return as many columns of the target table as a width in millimetres holds, the most asked
    for first.
    """
    # Column that must be there, expression, heading, width (mm).
    wanted = [
        ("name" if "name" in columns else "number", target_name(columns), "target", 12),
        ("status", '"status"', "status", 17),
        ("area_km2", rounded("area_km2", 2), "km²", 12),
        ("mean_score", rounded("mean_score", 2), "score", 11),
        ("heldout_score", rounded("heldout_score", 2), "held-out", 15),
        ("geology", shortened("geology", 24), "host", 36),
        ("elements", shortened("elements", 28), "elements (percentile)", 42),
        ("fault_distance_m", rounded("fault_distance_m", 0), "fault (m)", 16),
        ("deposit_distance_m", rounded("deposit_distance_m", 0), "deposit (m)", 19),
    ]
    # The first ones, as far as the width goes.
    found = []
    left = width
    for column, expression, heading, needed in wanted:
        if column in columns and needed <= left:
            found.append(TableColumn(expression, heading, needed))
            left -= needed
    # What is left goes to what made the score; or to all columns, so that the table fills its place.
    if "factors" in columns and left >= LEAST_WIDTH:
        text = shortened("factors", int(left / LETTER))
        found.append(TableColumn(text, "made the score", left))
        left = 0
    stretch = width / (width - left)
    return [column._replace(width=column.width * stretch) for column in found]


LETTER = 1.36
"""Millimetres of a letter of six points, about."""

LEAST_WIDTH = 28.0
"""Millimetres that the column of a target's factors needs."""


class Fact(NamedTuple):
    """What a sheet says about a target: a heading, an expression, and the lines it may take."""

    heading: str
    expression: str
    lines: int = 1


# Heading, the columns that it needs, the expression, and the lines.
_FACTS: tuple[tuple[str, tuple[str, ...], str, int], ...] = (
    ("Area", ("area_km2",), rounded("area_km2", 2, "km²"), 1),
    (
        "Shape",
        ("length_m", "width_m", "azimuth"),
        f"{rounded('length_m', 0)} || ' × ' || {rounded('width_m', 0, 'm')} || ', azimuth '"
        f" || {rounded('azimuth', 0, '°')}",
        1,
    ),
    (
        "Score",
        ("mean_score", "max_score"),
        f"'mean ' || {rounded('mean_score', 3)} || ', best ' || {rounded('max_score', 3)}",
        1,
    ),
    (
        "Held out",
        ("heldout_score", "spread"),
        f"{rounded('heldout_score', 3)} || ', spread ' || {rounded('spread', 3)}",
        1,
    ),
    ("Extrapolated", ("extrapolated",), "coalesce(round(100 * \"extrapolated\") || ' %', '–')", 1),
    ("Elements", ("elements",), text_of("elements"), 2),
    ("Best samples", ("best_samples",), text_of("best_samples"), 2),
    (
        "Samples",
        ("samples", "sample_distance_m"),
        f"coalesce(\"samples\", 0) || ' inside; nearest at ' || {rounded('sample_distance_m', 0, 'm')}",
        1,
    ),
    ("Host rocks", ("rocks",), text_of("rocks"), 2),
    ("Host unit", ("geology",), text_of("geology"), 1),
    (
        "Fault",
        ("fault", "fault_distance_m", "fault_strike"),
        f"concat(nullif(\"fault\", '') || ', ', {rounded('fault_distance_m', 0, 'm')}, ', strike ',"
        f" {rounded('fault_strike', 0, '°')})",
        1,
    ),
    ("Nearest fault", ("fault_distance_m",), rounded("fault_distance_m", 0, "m"), 1),
    (
        "Nearest deposit",
        ("nearest_deposit", "nearest_commodity", "deposit_distance_m"),
        "concat(nullif(\"nearest_deposit\", '') || ', ', nullif(\"nearest_commodity\", '') || ', ',"
        f" {rounded('deposit_distance_m', 0, 'm')})",
        1,
    ),
    ("Nearest deposit", ("deposit_distance_m",), rounded("deposit_distance_m", 0, "m"), 1),
    ("Factors", ("factors",), text_of("factors"), 2),
    (
        "Best cell",
        ("x", "y"),
        f"{rounded('x', 0)} || ' E, ' || {rounded('y', 0)} || ' N'",
        1,
    ),
    (
        "Lon, lat",
        ("lon", "lat"),
        f"{rounded('lon', 5)} || ', ' || {rounded('lat', 5)}",
        1,
    ),
)


def sheet_facts(columns: Sequence[str]) -> list[Fact]:
    """Return what a sheet can say with the columns that are there; the fuller line of a heading
    comes first and is taken.

    >>> [fact.heading for fact in sheet_facts(["number", "area_km2", "fault_distance_m"])]
    ['Area', 'Nearest fault']
    """
    # The fuller fact says what the shorter one would.
    said = {"Host unit": "Host rocks", "Nearest fault": "Fault"}
    found: list[Fact] = []
    for heading, needed, expression, lines in _FACTS:
        headings = {fact.heading for fact in found}
        if heading in headings or said.get(heading) in headings:
            continue
        if set(needed) <= set(columns):
            found.append(Fact(heading, expression, lines))
    return found
