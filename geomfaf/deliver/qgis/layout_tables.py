"""A layer's rows and a place on a page go in; the table of a print layout comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from .layout_items import Box, item_node
from .markup import fixed_uuid, node
from .symbols import text_style
from .tree import Layer

TABLE_FRAME = 65647
TABLE = 65649
"""QGIS's numbers of the frame of a table on the page, and of its content."""


class TableColumn(NamedTuple):
    """An expression, its heading, and its width in millimetres (0: as wide as it needs)."""

    expression: str
    heading: str
    width: float = 0


def table_items(
    box: Box,
    layer: Layer,
    columns: Sequence[TableColumn],
    *,
    rows: int,
    only: str = "",
) -> list[Element]:
    """Return a table of a layer's rows: its frame on the page and its content.

    Parameters
    ----------
    rows : int
        At most so many.
    only : str
        Expression that chooses rows; "" for all.
    """
    # 1. The frame: where the table stands.
    # QGIS keeps the two apart, so that a long table may go on in another frame.
    own = fixed_uuid("table", layer.name, box)
    size = {
        "sectionX": 0,
        "sectionY": 0,
        "sectionWidth": box.width,
        "sectionHeight": box.height,
    }
    links = {"multiFrame": own, "multiFrameTemplateUuid": own}
    frame = item_node(TABLE_FRAME, box, f"{layer.name} frame", {**links, **size})
    # 2. The table: whose rows, which of them.
    look = {
        "type": TABLE,
        "uuid": own,
        "templateUuid": own,
        "vectorLayer": layer.id,
        "vectorLayerName": layer.name,
        "vectorLayerSource": layer.source,
        "vectorLayerProvider": "ogr",
        "source": 0,
        "maxFeatures": rows,
        "filterFeatures": "true" if only else "false",
        "featureFilter": only,
        **_TABLE_LOOK,
    }
    # 3. Its text and its columns.
    child = node("childFrame", {"uuid": frame.get("uuid"), "templateUuid": frame.get("uuid")})
    heading = node("headerTextFormat", None, text_style(6, bold=True, halo=False))
    content = node("contentTextFormat", None, text_style(6, halo=False))
    shown = node("displayColumns", None, *[_column_node(column) for column in columns])
    parts = (child, node("LayoutObject"), heading, content, shown, node("sortColumns"))
    return [frame, node("LayoutMultiFrame", look, *parts)]


_TABLE_LOOK = {
    "cellMargin": 0.6,
    "showGrid": 1,
    "gridStrokeWidth": 0.1,
    "horizontalGrid": 1,
    "verticalGrid": 0,
    "gridColor": "150,150,150,255",
    "headerMode": 0,
    "headerHAlignment": 0,
    "backgroundColor": "255,255,255,255",
    "emptyTableMode": 0,
    "showEmptyRows": 0,
    "wrapBehavior": 0,
    "resizeMode": 0,
    "showOnlyVisibleFeatures": 0,
    "filterToAtlasIntersection": 0,
    "showUniqueRowsOnly": 0,
    "useConditionalStyling": 0,
}


def _column_node(column: TableColumn) -> Element:
    look = {
        "attribute": column.expression,
        "heading": column.heading,
        "width": column.width,
        "hAlignment": 1,
        "vAlignment": 128,
        "sortByRank": 0,
        "sortOrder": 0,
    }
    clear = node(
        "backgroundColor",
        {
            "red": 0,
            "green": 0,
            "blue": 0,
            "alpha": 0,
        },
    )
    return node("column", look, clear)
