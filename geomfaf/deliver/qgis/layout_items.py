"""Places on a page, in millimetres, go in; the maps, legends, tables and texts of print layouts come
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from .markup import computed, fixed_uuid, node, options
from .symbols import text_style
from .tree import Layer, Theme

MAP = 65639
PICTURE = 65640
LABEL = 65641
LEGEND = 65642
SCALE_BAR = 65646
TABLE_FRAME = 65647
TABLE = 65649
PAGE = 65638


class Box(NamedTuple):
    """Left, top, width and height on the page, in millimetres."""

    x: float
    y: float
    width: float
    height: float


class MapFrame(NamedTuple):
    """Where a map stands, what ground it shows (W, S, E, N), and its scale's denominator."""

    box: Box
    extent: tuple[float, float, float, float]
    scale: float


def fit_map(
    extent: tuple[float, float, float, float], room: Box, *, round_scale: bool = True
) -> MapFrame:
    """Return the frame, at the top left of its room, that shows an extent as large as it fits.

    With ``round_scale``, the scale is the next one that a reader expects, such as 1 : 80,000.

    >>> fit_map((0, 0, 20_000, 10_000), Box(10, 20, 260, 260))  # doctest: +NORMALIZE_WHITESPACE
    MapFrame(box=Box(x=10, y=20, width=253.5, height=128.5),
             extent=(-140.0, -140.0, 20140.0, 10140.0), scale=80000.0)
    """
    west, south, east, north = extent
    # 1. A little more than the extent, so that nothing touches the frame.
    margin = 0.007 * max(east - west, north - south)
    ground = (west - margin, south - margin, east + margin, north + margin)
    wide = east - west + 2 * margin
    high = north - south + 2 * margin
    # 2. The next round denominator.
    scale = 1000 * max(wide / room.width, high / room.height)
    if round_scale:
        scale = next_scale(scale)
    # 3. The frame has the shape of the ground that it shows: QGIS would change it otherwise.
    box = Box(room.x, room.y, 1000 * wide / scale, 1000 * high / scale)
    return MapFrame(box, ground, scale)


SCALE_STEPS = (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10)


def next_scale(needed: float) -> float:
    """Return the round denominator of a scale at or above a number.

    >>> [next_scale(value) for value in (25_000, 25_001, 97_000)]
    [25000.0, 30000.0, 100000.0]
    """
    decade = 10.0 ** (len(str(int(needed))) - 1)
    return next(step * decade for step in SCALE_STEPS if step * decade >= needed)


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


def map_item(
    frame: MapFrame,
    theme: Theme,
    name: str,
    *,
    follows_atlas: bool = False,
    with_grid: bool = True,
) -> Element:
    """Return a map that shows a theme; with an atlas, it follows the feature of the page at a round
    scale.
    """
    # 1. The ground, or the rule by which the atlas sets it.
    west, south, east, north = frame.extent
    extent = node(
        "Extent",
        {
            "xmin": west,
            "ymin": south,
            "xmax": east,
            "ymax": north,
        },
    )
    atlas = node(
        "AtlasMap",
        {
            "atlasDriven": follows_atlas,
            "scalingMode": 2,
            "margin": 0.3,
        },
    )
    # 2. The layers of a theme, whatever the project shows at the time.
    shown = {
        "frame": "true",
        "background": "true",
        "followPreset": "true",
        "followPresetName": theme.name,
        "keepLayerSet": "false",
        "mapRotation": 0,
        "drawCanvasItems": "false",
    }
    # 3. Scale and coordinates.
    parts = [extent, node("LayerSet")]
    if follows_atlas:
        scale = computed("dataDefinedMapScale", feature_scale(frame.box.width))
        parts.append(node("LayoutObject", None, node("dataDefinedProperties", None, scale)))
    if with_grid:
        parts.append(_coordinate_grid(name))
    return item_node(
        MAP,
        frame.box,
        name,
        shown,
        *parts,
        atlas,
    )


def feature_scale(width: float) -> str:
    """Return the expression of the round scale at which a square map of some millimetres shows the
    atlas's feature and as much ground around it.
    """
    # Tried from the largest scale to the smallest.
    scales = [step * 10.0**decade for decade in (3, 4, 5, 6) for step in SCALE_STEPS[:-1]]
    listed = ", ".join(f"{scale:.0f}" for scale in scales)
    longest = "max(bounds_width(@atlas_geometry), bounds_height(@atlas_geometry))"
    needed = f"{1000 * CONTEXT / width:.6g} * {longest}"
    fitting = f"array_filter(array({listed}), @element >= {needed})"
    return f"coalesce(array_first({fitting}), {scales[-1]:.0f})"


CONTEXT = 2.5
"""The side of a sheet's map, in lengths of its target."""


def _coordinate_grid(name: str) -> Element:
    """Return ticks with coordinates outside the frame, 30 to 60 mm apart at any scale."""
    # Grid style 3: only ticks; unit 3: by the distance on paper.
    look: dict[str, Any] = {
        "name": "Coordinates",
        "uuid": fixed_uuid("grid", name),
        "show": 1,
        "gridStyle": 3,
        "unit": 3,
        "minimumIntervalWidth": 30,
        "maximumIntervalWidth": 60,
        "gridFrameStyle": 3,
        "gridFrameWidth": 1,
        "gridFramePenThickness": 0.15,
        "gridFrameSideFlags": 15,
        "showAnnotation": 1,
        "annotationPrecision": 0,
        "annotationFormat": 0,
        "frameAnnotationDistance": 0.6,
        "blendMode": 0,
    }
    # Numbers stand left of the frame and below it, and read from left to right.
    for side, display in (("left", 0), ("right", 3), ("top", 3), ("bottom", 0)):
        look[f"{side}AnnotationDisplay"] = display
        look[f"{side}AnnotationPosition"] = 1
        look[f"{side}AnnotationDirection"] = 0
    return node("ComposerMapGrid", look, text_style(6, halo=False))


def map_uuid(frame: MapFrame, name: str) -> str:
    """Return the id by which legends and scale bars name a map."""
    return fixed_uuid(MAP, name, f"{frame.box.x:.3f},{frame.box.y:.3f},mm")


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
    only_on_map: bool = False,
) -> Element:
    """Return a legend of layers (from :func:`geomfaf.deliver.qgis.tree.layer_reference`), or
    ``only_on_map`` of those classes that its map shows.
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
    # 2. One column that grows with what it holds.
    shown = {
        "map_uuid": linked,
        "title": "",
        "resizeToContents": 1,
        "symbolWidth": 0.75 * size,
        "symbolHeight": 0.35 * size,
        "columnCount": 1,
        "legendFilterByMap": only_on_map,
        "boxSpace": 0,
        "columnSpace": 3,
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
