"""Places on a page, in millimetres, go in; the texts, legends, scale bars and pages of print layouts
come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from .markup import fixed_uuid, node, options
from .symbols import text_style
from .tree import Layer

PICTURE = 65640
LABEL = 65641
LEGEND = 65642
SCALE_BAR = 65646
PAGE = 65638


class Box(NamedTuple):
    """Left, top, width and height on the page, in millimetres."""

    x: float
    y: float
    width: float
    height: float


def item_node(
    kind: int, box: Box, name: str, more: Mapping[str, Any] | None = None, *children: Element
) -> Element:
    """Return one item of a layout; its name must be its own on the layout."""
    # QGIS keeps positions and sizes as texts with their unit.
    place = f"{box.x:.3f},{box.y:.3f},mm"
    own = fixed_uuid(kind, name, place)
    look = {
        "type": kind,
        "uuid": own,
        "templateUuid": own,
        "id": name,
        "position": place,
        "positionOnPage": place,
        "size": f"{box.width:.3f},{box.height:.3f},mm",
        "visibility": 1,
        "opacity": 1,
        "zValue": 1,
        "referencePoint": 0,
        "itemRotation": 0,
        "frame": "false",
        "background": "false",
        "outlineWidthM": "0.2,mm",
    }
    found = node("LayoutItem", {**look, **(more or {})})
    found.append(_colour_node("FrameColor", 120))
    found.append(_colour_node("BackgroundColor", 255))
    if not any(child.tag == "LayoutObject" for child in children):
        found.append(node("LayoutObject"))
    found.extend(children)
    return found


def _colour_node(tag: str, grey: int) -> Element:
    return node(
        tag,
        {
            "red": grey,
            "green": grey,
            "blue": grey,
            "alpha": 255,
        },
    )


def label_item(
    box: Box,
    text: str,
    size: float = 8,
    *,
    bold: bool = False,
    name: str = "",
) -> Element:
    """Return a text; what stands between ``[%`` and ``%]`` is evaluated, markup is not."""
    weight = 75 if bold else 50
    font = node(
        "LabelFont", {"description": f"Sans Serif,{size},-1,5,{weight},0,0,0,0,0", "style": ""}
    )
    colour = node(
        "FontColor",
        {
            "red": 30,
            "green": 30,
            "blue": 30,
            "alpha": 255,
        },
    )
    shown = {
        "labelText": text,
        "htmlState": 0,
        "halign": 1,
        "valign": 32,
        "marginX": 0,
        "marginY": 0,
    }
    return item_node(
        LABEL,
        box,
        name or text[:40],
        shown,
        font,
        colour,
    )


def legend_item(
    box: Box,
    linked: str,
    references: Sequence[Element],
    *,
    size: float = 7,
    name: str = "legend",
    columns: int = 1,
    split: bool = False,
    only_on_map: bool = False,
) -> Element:
    """Return a legend of layers (from :func:`geomfaf.deliver.qgis.tree.layer_reference`), or
    ``only_on_map`` of those classes that its map shows. ``split``: the classes of one layer may go
    on in the next column.
    """
    # 1. Sizes and gaps (mm) of headings and lines.
    styles = node("styles")
    for style, points, weight, top, left in (
        ("title", size + 2, 75, 0, 0),
        ("group", size + 1, 75, 1.5, 0),
        ("subgroup", size + 0.5, 75, 1.8, 0),
        ("symbol", size, 50, 0.6, 0),
        ("symbolLabel", size, 50, 0.6, 1.2),
    ):
        font = node("styleFont", {"description": f"Sans Serif,{points},-1,5,{weight},0,0,0,0,0"})
        space = {
            "name": style,
            "marginTop": top,
            "marginLeft": left,
            "indent": 0,
            "alignment": 1,
        }
        styles.append(node("style", space, font))
    # 2. Columns that grow with what they hold.
    shown = {
        "map_uuid": linked,
        "title": "",
        "resizeToContents": 1,
        "symbolWidth": 0.75 * size,
        "symbolHeight": 0.35 * size,
        "columnCount": columns,
        "splitLayer": split,
        "legendFilterByMap": only_on_map,
        "boxSpace": 0,
        "columnSpace": 8,
        "lineSpacing": 0.5,
        "legendFilterByAtlas": 0,
        "wrapChar": "",
    }
    tree = node("layer-tree-group", None, *references)
    return item_node(
        LEGEND,
        box,
        name,
        shown,
        styles,
        tree,
    )


def scale_bar_item(
    box: Box,
    linked: str,
    scale: float = 0,
    *,
    name: str = "scale bar",
) -> Element:
    """Return a scale bar of two parts: as many round metres or kilometres as the box is wide at a
    scale, or 40 mm where the scale changes from page to page.
    """
    # Half the width in metres, and the round number below it.
    metres = 0.9 * box.width / 2 / 1000 * scale
    decade = 10.0 ** (len(str(int(metres))) - 1)
    part = max(step * decade for step in (1, 2, 5) if step == 1 or step * decade <= metres)
    # Numbers below a kilometre read better in metres.
    kilometres = part >= 1000
    shown = {
        "mapUuid": linked,
        "style": "Single Box",
        "numSegments": 2,
        "numSegmentsLeft": 0,
        "segmentSizeMode": 0 if scale else 1,
        "minBarWidth": 39.9,
        "maxBarWidth": 40.1,
        "numUnitsPerSegment": part / 1000 if kilometres else part,
        "numMapUnitsPerScaleBarUnit": 1,
        "unitType": "km" if kilometres else "meters",
        "unitLabel": "km" if kilometres else "m",
        "height": 1.6,
        "labelBarSpace": 0.8,
        "boxContentSpace": 0,
        "outlineWidth": 0.15,
        "alignment": 0,
    }
    return item_node(SCALE_BAR, box, name, shown, text_style(7, halo=False))


def north_arrow_item(box: Box, linked: str, *, name: str = "north arrow") -> Element:
    """Return an arrow to the north of a map's grid."""
    # The drawing comes with every QGIS; north mode 0 is that of the map's grid.
    shown = {
        "file": "arrows/NorthArrow_02.svg",
        "mapUuid": linked,
        "resizeMode": 0,
        "anchorPoint": 4,
        "northMode": 0,
        "northOffset": 0,
        "pictureRotation": 0,
        "svgFillColor": "30,30,30,255",
        "svgBorderColor": "30,30,30,255",
        "svgBorderWidth": 0.2,
        "mode": 0,
        "pictureWidth": box.width,
        "pictureHeight": box.height,
    }
    return item_node(PICTURE, box, name, shown)


def layout_node(
    name: str,
    page: tuple[float, float],
    items: Sequence[Element],
    *,
    pages: int = 1,
    atlas: Element | None = None,
) -> Element:
    """Return a layout of pages of one size; items of later pages stand below the first."""
    # The pages come first, whatever stands on them.
    collection = node("PageCollection", None, _page_symbol())
    for number in range(pages):
        collection.append(_page_node(name, page, number))
    found = node(
        "Layout",
        {
            "name": name,
            "units": "mm",
            "printResolution": 300,
        },
    )
    found.append(collection)
    found.extend(items)
    found.append(node("customproperties"))
    found.append(atlas if atlas is not None else node("Atlas", {"enabled": 0}))
    return found


PAGE_GAP = 10
"""Millimetres that QGIS leaves between the pages of a layout."""


def _page_node(name: str, page: tuple[float, float], number: int) -> Element:
    width, height = page
    box = Box(0, number * (height + PAGE_GAP), width, height)
    look = {"zValue": 0, "background": "true"}
    found = item_node(PAGE, box, f"{name} page {number}", look, _page_symbol())
    found.set("positionOnPage", "0,0,mm")
    return found


def _page_symbol() -> Element:
    look = {
        "color": "255,255,255,255",
        "style": "solid",
        "outline_style": "no",
    }
    drawn = node(
        "layer",
        {
            "class": "SimpleFill",
            "enabled": 1,
            "locked": 0,
        },
        options(look),
    )
    return node(
        "symbol",
        {
            "name": "",
            "type": "fill",
            "alpha": 1,
        },
        drawn,
    )


def atlas_node(layer: Layer, page_name: str, order: str) -> Element:
    """Return the atlas that gives each feature of a layer its page; both are expressions."""
    return node(
        "Atlas",
        {
            "enabled": 1,
            "coverageLayer": layer.id,
            "coverageLayerName": layer.name,
            "coverageLayerSource": layer.source,
            "coverageLayerProvider": "ogr",
            "hideCoverage": 0,
            "filterFeatures": 0,
            "sortFeatures": 1,
            "sortKey": order,
            "sortAscending": 1,
            "pageNameExpression": page_name,
            "filenamePattern": page_name,
        },
    )
