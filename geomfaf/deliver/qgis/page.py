"""Layers, themes and titles of a project go in; what all its print layouts share comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from .layout_items import Box, label_item, north_arrow_item, scale_bar_item
from .layout_maps import MapFrame, fit_map, map_item, map_uuid
from .markup import without_expressions
from .run_layers import RunLayers
from .tree import Layer, Theme, layer_reference

A3 = (420.0, 297.0)
A4 = (210.0, 297.0)
MARGIN = 10.0
BOTTOM = 272.0
"""Where tables and legends of an A3 page end: below stand the caution and the footer."""

MAP_ROOM = Box(17, 24, 272, 254)
"""What a map may take of an A3 page; a legend stands beside it."""

LINE = 3.3
"""Millimetres of a line of a legend of seven points."""


class Titles(NamedTuple):
    """What stands above and below every map."""

    title: str
    subtitle: str
    footer: str


class Sheet(NamedTuple):
    """What every layout is made of: layers, themes, the ground (W, S, E, N) and the titles."""

    layers: RunLayers
    themes: Mapping[str, Theme]
    extent: tuple[float, float, float, float]
    titles: Titles


def map_page(sheet: Sheet, theme: str, what: str) -> tuple[MapFrame, list[Element]]:
    """Return the map of an A3 page, and all items that every such page has: titles, map, scale,
    north arrow and footer.

    Parameters
    ----------
    theme : str
        What the map shows.
    what : str
        Behind the title, such as ": numbered cells".
    """
    frame = fit_map(sheet.extent, MAP_ROOM)
    # 1. Above the map.
    heading = without_expressions(sheet.titles.title) + what
    subtitle = without_expressions(sheet.titles.subtitle)
    items = [
        label_item(Box(MARGIN, 6, 400, 9), heading, 16, bold=True, name="title"),
        label_item(Box(MARGIN, 15, 400, 5), subtitle, 8, name="subtitle"),
    ]
    # 2. The map, and beside it how large and which way round it is.
    items.append(map_item(frame, sheet.themes[theme], "map"))
    linked = map_uuid(frame, "map")
    x = column_beside(frame).x
    items.append(label_item(Box(x, 25, 50, 5), scale_text("map"), 9, bold=True, name="scale"))
    items.append(scale_bar_item(Box(x, 31, 62, 9), linked, frame.scale))
    items.append(north_arrow_item(Box(x + 70, 24, 14, 15), linked))
    # 3. Below it.
    items.append(footer_item(sheet.titles, 292))
    return frame, items


def column_beside(frame: MapFrame) -> Box:
    """Return the column to the right of a map, below its scale."""
    x = frame.box.x + frame.box.width + 9
    return Box(x, 45, A3[0] - MARGIN - x, BOTTOM - 45)


def footer_item(titles: Titles, top: float, name: str = "footer") -> Element:
    """Return the line at the foot of a page, with the day on which it is printed."""
    day = "[% format_date(now(), 'yyyy-MM-dd') %]"
    text = f"{without_expressions(titles.footer)}  |  printed {day}"
    return label_item(Box(MARGIN, top, 190, 4), text, 6, name=name)


def scale_text(name: str) -> str:
    """Return the text that says a map's scale, rounded as it was chosen."""
    scale = f"map_get(item_variables('{name}'), 'map_scale')"
    return f"1 : [% format_number(100 * round({scale} / 100), 0) %]"


def legend_references(layers: Sequence[Layer | None], *, short: bool = False) -> list[Element]:
    """Return the legend's mentions of layers, of those that are there; ``short``: of a name what
    stands before its first comma, for a narrow legend.
    """
    found = []
    for layer in layers:
        if layer is not None and layer.geometry:
            found.append(layer_reference(layer))
        elif layer is not None:
            # A raster's first line names its band, which its title does already.
            lines = range(1, 1 + layer.legend_length)
            title = layer.name.partition(",")[0] if short else None
            found.append(layer_reference(layer, title=title, nodes=lines))
    return found


def legend_height(layers: Sequence[Layer | None]) -> float:
    """Return about how many millimetres a legend of seven points takes."""
    height = LINE
    for layer in layers:
        if layer is None:
            continue
        # A layer of one symbol is one line, else its name stands above its classes.
        length = layer.legend_length
        height += LINE if length == 1 else LINE * length + 5
    return height
