"""Colours, widths and names go in; symbols, legends by class and labels of vector layers come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from .colours import rgba
from .markup import column_expression, computed, node, options, text_expression

TEXT = "#222222"


def marker_symbol(
    shape: str,
    colour: str,
    size: float,
    *,
    outline: str = "#000000",
) -> Element:
    """Return a point symbol: ``circle``, ``triangle``, ``cross2``, ...; size in millimetres."""
    look = {
        "name": shape,
        "color": rgba(colour),
        "size": size,
        "size_unit": "MM",
        "outline_color": rgba(outline),
        "outline_width": 0.25,
        "outline_width_unit": "MM",
    }
    return _symbol("marker", "SimpleMarker", look)


def line_symbol(colour: str, width: float, *, dashes: str = "solid") -> Element:
    """Return a line symbol; width in millimetres, dashes ``solid``, ``dash`` or ``dot``."""
    look = {
        "line_color": rgba(colour),
        "line_width": width,
        "line_width_unit": "MM",
        "line_style": dashes,
        "joinstyle": "round",
        "capstyle": "round",
    }
    return _symbol("line", "SimpleLine", look)


def fill_symbol(
    colour: str,
    outline: str,
    width: float,
    *,
    alpha: int = 255,
    dashes: str = "solid",
    computed_width: str = "",
) -> Element:
    """Return a polygon symbol.

    Parameters
    ----------
    width : float
        Of the outline, in millimetres; ``computed_width``, an expression, goes before it.
    alpha : int
        0 leaves the ground below visible.
    dashes : str
        ``solid``, ``dash``, ``dot``, or ``no`` for no outline.
    """
    look = {
        "color": rgba(colour, alpha),
        "style": "solid" if alpha else "no",
        "outline_color": rgba(outline),
        "outline_width": width,
        "outline_width_unit": "MM",
        "outline_style": dashes,
        "joinstyle": "round",
    }
    found = _symbol("fill", "SimpleFill", look)
    if computed_width:
        width_node = computed("outlineWidth", computed_width)
        found[0].append(node("data_defined_properties", None, width_node))
    return found


def _symbol(kind: str, layer: str, look: dict[str, Any]) -> Element:
    drawn = node(
        "layer",
        {
            "class": layer,
            "enabled": 1,
            "locked": 0,
            "pass": 0,
        },
        options(look),
    )
    return node(
        "symbol",
        {
            "name": "0",
            "type": kind,
            "alpha": 1,
            "clip_to_extent": 1,
        },
        drawn,
    )


@dataclass(frozen=True)
class SymbolClass:
    """A value of a column, how the legend names it, and its symbol; value "" is all others."""

    value: str
    label: str
    symbol: Element


def single_symbol(symbol: Element) -> Element:
    """Return the renderer that draws every feature alike."""
    return node("renderer-v2", {"type": "singleSymbol"}, node("symbols", None, symbol))


def by_class(column: str, classes: Sequence[SymbolClass]) -> Element:
    """Return the renderer that draws the features by the value of a column."""
    # QGIS joins categories and symbols by the symbol's name.
    categories = node("categories")
    symbols = node("symbols")
    for number, item in enumerate(classes):
        shown = {
            "type": "string",
            "value": item.value,
            "label": item.label,
            "symbol": number,
        }
        categories.append(node("category", {**shown, "render": "true"}))
        item.symbol.set("name", str(number))
        symbols.append(item.symbol)
    # QGIS takes the text for a column's name or for an expression: quoted, a name with quotes inside
    # is the latter.
    shown_by = column_expression(column) if '"' in column else column
    kind = {
        "type": "categorizedSymbol",
        "attr": shown_by,
        "symbollevels": 0,
    }
    return node("renderer-v2", kind, categories, symbols)


@dataclass(frozen=True)
class ClassGroup:
    """Features of one kind (an expression) with the classes of their own, one entry of the legend."""

    label: str
    which: str
    classes: Sequence[SymbolClass]


def by_group(column: str, groups: Sequence[ClassGroup]) -> Element:
    """Return the renderer that draws the features by group, and in it by the value of a column.

    The first group is drawn; the others wait in the legend for a tick.
    """
    rules = node("rules", {"key": "all"})
    symbols = node("symbols")
    for place, group in enumerate(groups):
        # Without a symbol of its own the rule only gathers those of its classes.
        shown = {"label": group.label, "filter": group.which, "checkstate": int(place == 0)}
        parent = node("rule", {"key": f"group {place}", **shown})
        for item in group.classes:
            which = f"{column_expression(column)} = {text_expression(item.value)}"
            number = len(symbols)
            rule = {"key": f"class {number}", "filter": which, "label": item.label}
            parent.append(node("rule", {**rule, "symbol": number}))
            item.symbol.set("name", str(number))
            symbols.append(item.symbol)
        rules.append(parent)
    return node("renderer-v2", {"type": "RuleRenderer", "symbollevels": 0}, rules, symbols)


def text_style(
    size: float,
    *,
    field: str = "",
    bold: bool = False,
    colour: str = TEXT,
    halo: bool = True,
) -> Element:
    """Return how text looks; no family is named, so that every system takes its own.

    Parameters
    ----------
    size : float
        Points.
    field : str
        Expression that gives a label's text.
    halo : bool
        White around the letters, for text on a map.
    """
    # White around the letters, not quite opaque: the map shows through.
    buffer = {
        "bufferDraw": halo,
        "bufferSize": 0.1 * size,
        "bufferSizeUnits": "MM",
        "bufferColor": "255,255,255,255",
        "bufferOpacity": 0.85,
    }
    look = {
        "fieldName": field,
        "isExpression": 1,
        "fontWeight": 75 if bold else 50,
        "namedStyle": "Bold" if bold else "",
        "fontSize": size,
        "fontSizeUnit": "Point",
        "textColor": rgba(colour),
        "textOpacity": 1,
    }
    return node("text-style", look, node("text-buffer", buffer))


def labels(
    field: str,
    size: float,
    *,
    bold: bool = False,
    colour: str = TEXT,
    inside: bool = False,
    priority: int = 5,
) -> Element:
    """Return labels beside points and small polygons, or ``inside`` polygons; QGIS leaves out
    those that would overlap, the lowest priority (0 to 10) first.

    ``field`` is an expression.
    """
    # Around the point in the cartographers' order of preference; over the point for cells.
    place = {"placement": 1, "quadOffset": 4} if inside else {"placement": 6, "offsetType": 1}
    placement = {
        **place,
        "dist": 0.4,
        "distUnits": "MM",
        "predefinedPositionOrder": "TR,TL,BR,BL,R,L,TSR,BSR",
        "centroidInside": 1,
        "priority": priority,
    }
    style = text_style(
        size,
        field=field,
        bold=bold,
        colour=colour,
    )
    drawn = node(
        "rendering",
        {
            "drawLabels": 1,
            "obstacle": 1,
            "obstacleFactor": 1,
        },
    )
    settings = node(
        "settings", {"calloutType": "simple"}, style, node("placement", placement), drawn
    )
    return node("labeling", {"type": "simple"}, settings)


def labels_around(
    field: str,
    size: float,
    *,
    bold: bool = False,
    colour: str = TEXT,
) -> Element:
    """Return labels anywhere around the middle of polygons."""
    # Placement 0: around the middle; targets go before deposits, and hide none of them.
    style = text_style(size, field=field, bold=bold, colour=colour)
    placement = {
        "placement": 0,
        "dist": 1,
        "distUnits": "MM",
        "priority": 9,
    }
    drawn = node("rendering", {"drawLabels": 1, "obstacle": 0})
    settings = node(
        "settings", {"calloutType": "simple"}, style, node("placement", placement), drawn
    )
    return node("labeling", {"type": "simple"}, settings)
