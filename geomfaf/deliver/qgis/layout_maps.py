"""Ground and a place on a page go in; the map of a print layout comes out, at a scale that people
say.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from .layout_items import Box, item_node
from .markup import computed, fixed_uuid, node
from .symbols import text_style
from .tree import Theme

MAP = 65639
"""QGIS's number of a layout item that is a map."""


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
