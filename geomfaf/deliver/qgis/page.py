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
A3_UPRIGHT = (297.0, 420.0)
A4 = (210.0, 297.0)
MARGIN = 10.0
BOTTOM = 272.0
"""Where tables and legends of an A3 page end: below stand the caution and the footer."""

MAP_ROOM = Box(17, 24, 272, 254)
"""What a map may take of an A3 page; a legend stands beside it."""

UPRIGHT_ROOM = Box(17, 24, 270, 328)
"""What it may take of an upright page; a legend of :data:`UPRIGHT_COLUMNS` stands below it."""

UPRIGHT_COLUMNS = 3

LARGER = 0.9
"""A page is upright where this makes the map's scale at least so much larger."""

LETTER = 0.21
"""Millimetres of a letter of a bold title, for each point of its size."""

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


class MapPage(NamedTuple):
    """An A3 page with one map: its size, the map, and where its legend and a note may stand."""

    size: tuple[float, float]
    frame: MapFrame
    items: list[Element]
    aside: Box
    columns: int

    @property
    def lines(self) -> int:
        """Lines that a legend has room for."""
        return int(self.columns * self.aside.height / (1.1 * LINE))

    def note_place(self, legend: float) -> Box:
        """Return the place of a few lines of text: below a legend so high, or left of it."""
        if self.size == A3:
            top = self.aside.y + legend + 4
            return Box(self.aside.x, top, self.aside.width, 30)
        return Box(self.frame.box.x, self.aside.y + 22, 66, 40)


def map_page(sheet: Sheet, theme: str, what: str, *, may_stand: bool = True) -> MapPage:
    """Return an A3 page with a map and all items that every such page has: titles, map, scale,
    north arrow and footer.

    Parameters
    ----------
    theme : str
        What the map shows.
    what : str
        Behind the title, such as ": numbered cells".
    may_stand : bool
        Turn the page upright where the map of a tall area becomes larger by it.
    """
    size, frame = fit_page(sheet.extent, may_stand=may_stand)
    aside, columns = place_aside(frame, size)
    # 1. Above the map.
    heading = without_expressions(sheet.titles.title) + what
    subtitle = without_expressions(sheet.titles.subtitle)
    width = size[0] - 2 * MARGIN
    points = min(16.0, round(width / (LETTER * len(heading)), 1))
    items = [
        label_item(Box(MARGIN, 6, width, 9), heading, points, bold=True, name="title"),
        label_item(Box(MARGIN, 15, width, 5), subtitle, 8, name="subtitle"),
    ]
    # 2. The map, and beside or below it how large and which way round it is.
    items.append(map_item(frame, sheet.themes[theme], "map"))
    linked = map_uuid(frame, "map")
    corner = Box(aside.x, 25, 0, 0) if size == A3 else Box(frame.box.x, aside.y, 0, 0)
    text = Box(corner.x, corner.y, 50, 5)
    items.append(label_item(text, scale_text("map"), 9, bold=True, name="scale"))
    items.append(scale_bar_item(Box(corner.x, corner.y + 6, 58, 9), linked, frame.scale))
    items.append(north_arrow_item(Box(corner.x + 62, corner.y - 1, 12, 15), linked))
    # 3. At the foot.
    items.append(footer_item(sheet.titles, size[1] - 5))
    return MapPage(size, frame, items, aside, columns)


def fit_page(
    extent: tuple[float, float, float, float], *, may_stand: bool = True
) -> tuple[tuple[float, float], MapFrame]:
    """Return the page on which the map of an extent is clearly largest, and the map."""
    frame = fit_map(extent, MAP_ROOM)
    upright = fit_map(extent, UPRIGHT_ROOM)
    if may_stand and upright.scale <= LARGER * frame.scale:
        return A3_UPRIGHT, upright
    return A3, frame


def place_aside(frame: MapFrame, size: tuple[float, float]) -> tuple[Box, int]:
    """Return the place of a map's legend and its columns: right of it and below its scale, or below
    it and right of its scale.
    """
    right = frame.box.x + frame.box.width
    if size == A3:
        x = right + 9
        return Box(x, 45, A3[0] - MARGIN - x, BOTTOM - 45), 1
    x = frame.box.x + 80
    y = frame.box.y + frame.box.height + 11
    return Box(x, y, size[0] - MARGIN - x, size[1] - 12 - y), UPRIGHT_COLUMNS


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
