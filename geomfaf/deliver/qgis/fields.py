"""Columns of a layer go in; what QGIS calls them, how many decimals it shows and what a map tip says
come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from .markup import column_expression, html_expression, node

# The columns of targets, cells and deposits, then those of tables and survey.
FIELDS: dict[str, tuple[str, int | None]] = {
    "number": ("Number", None),
    "name": ("Name", None),
    "list": ("List", None),
    "status": ("Status", None),
    "rank": ("Rank within its list", None),
    "area_km2": ("Area (km²)", 2),
    "mean_score": ("Mean score", 3),
    "max_score": ("Best score", 3),
    "score": ("Score", 3),
    "heldout_score": ("Held-out score", 3),
    "spread": ("Spread of the score", 3),
    "vote_share": ("Share of votes for ore", 2),
    "vote": ("Majority votes ore", None),
    "extrapolated": ("Extrapolated share", 2),
    "deposits": ("Known deposits inside", None),
    "deposit_distance_m": ("To the nearest deposit (m)", 0),
    "nearest_deposit": ("Nearest deposit", None),
    "nearest_commodity": ("Its commodity", None),
    "samples": ("Samples inside", None),
    "sample_distance_m": ("To the nearest sample (m)", 0),
    "elements": ("Anomalous elements (percentile)", None),
    "best_samples": ("Best samples", None),
    "geology": ("Host unit", None),
    "rocks": ("Host rocks", None),
    "fault": ("Nearest fault", None),
    "fault_distance_m": ("To the nearest fault (m)", 0),
    "fault_strike": ("Strike of the fault (°)", 0),
    "length_m": ("Length (m)", 0),
    "width_m": ("Width (m)", 0),
    "azimuth": ("Azimuth (°)", 0),
    "x": ("Easting of the best cell (m)", 0),
    "y": ("Northing of the best cell (m)", 0),
    "lon": ("Longitude (°)", 5),
    "lat": ("Latitude (°)", 5),
    "factors": ("Factors that made the score", None),
    "why": ("Why", None),
    "map_score": ("Score of the place", 3),
    "map_heldout": ("Held-out score of the place", 3),
    "best_percent": ("Within the best … % of the area", 1),
    "target": ("In target number (0: none)", None),
    "valid_share": ("Share with data", 2),
    "fold": ("Fold", None),
    "label": ("1: ore window, 0: barren", None),
    "percentile": ("Percentile", 1),
    "value": ("Value", 4),
    "lower": ("From", 3),
    "upper": ("To", 3),
    "method": ("Cut by", None),
    "sample_id": ("Sample", None),
    "flags": ("What was changed", None),
    "contribution": ("Contribution to the score", 3),
    "factor": ("Factor", None),
    "element": ("Element", None),
    "unit": ("Unit", None),
    "fid_of_row": ("Row as a GIS counts (fid)", None),
    "done": ("What was done", None),
    "advice": ("What you can do", None),
}
"""Column -> what a person reads instead of it, and decimals (None: as stored)."""

HIDDEN = ("fid", "row", "col", "block", "linkage")


def field_nodes(columns: Sequence[str]) -> list[Element]:
    """Return aliases, number formats and the attribute table's columns."""
    # QGIS wants the three apart: decimals, names, and which columns its table shows.
    widgets = node("fieldConfiguration")
    aliases = node("aliases")
    shown = node("columns")
    for number, column in enumerate(columns):
        alias, decimals = FIELDS.get(column, ("", None))
        if alias:
            aliases.append(
                node(
                    "alias",
                    {
                        "field": column,
                        "index": number,
                        "name": alias,
                    },
                )
            )
        if decimals is not None:
            widgets.append(node("field", {"name": column}, _decimals(decimals)))
        hidden = column in HIDDEN
        shown.append(
            node(
                "column",
                {
                    "type": "field",
                    "name": column,
                    "hidden": hidden,
                },
            )
        )
    table = node("attributetableconfig", {"actionWidgetStyle": "dropDown"}, shown)
    return [widgets, aliases, table]


def _decimals(count: int) -> Element:
    """Return the widget that shows a number with so many decimals."""
    # A range widget shows decimals, although nothing is edited here.
    precision = node(
        "Option",
        {
            "type": "int",
            "name": "Precision",
            "value": count,
        },
    )
    config = node("config", None, node("Option", {"type": "Map"}, precision))
    return node("editWidget", {"type": "Range"}, config)


def tip_nodes(columns: Sequence[str], title: str, lines: Sequence[str]) -> list[Element]:
    """Return a layer's display name (an expression) and its map tip: the title, and a line for each
    of the columns that are there.
    """
    # A map tip is HTML: what comes from the data is made harmless.
    parts = [f"<b>[% replace({title}, '<', '&lt;') %]</b>"]
    for column in lines:
        if column in columns:
            parts.append(_tip_line(column))
    tip = node("mapTip", text="<br>".join(parts))
    return [node("previewExpression", text=title), tip]


def _tip_line(column: str) -> str:
    alias, decimals = FIELDS.get(column, (column, None))
    if decimals is None:
        return f"{alias}: {html_expression(column)}"
    # A number that is missing shows as nothing, not as an error.
    return f"{alias}: [% coalesce(round({column_expression(column)}, {decimals}), '–') %]"
