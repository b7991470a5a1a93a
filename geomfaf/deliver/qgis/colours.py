"""How many classes there are goes in; their colours come out, safe for colour-blind readers where
classes are ordered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from colorsys import hls_to_rgb

SHARES = {
    1: "#67000d",
    2: "#b30000",
    5: "#e34a33",
    10: "#fc8d59",
    20: "#fdcc8a",
}
"""The best 1, 2, 5, 10, 20 % of the area: one hue, darker with rank."""

OTHER_GROUND = "#fef4dc"
UNMAPPED_GROUND = "#f4f4f4"
STATUS = {
    "new": "#0046c8",
    "extension": "#7a1fa2",
    "known": "#3c3c3c",
}
COMMODITIES = (
    *("#ffc800", "#a4adb6", "#b8621b", "#28a03c", "#3c78c8", "#e0507a", "#783ca0", "#141414"),
)
CUSTOMARY = {
    "au": 0,
    "gold": 0,
    "ag": 1,
    "silver": 1,
    "cu": 2,
    "copper": 2,
}
"""Commodity -> the colour that geologists expect: a gold deposit is never grey."""

LEVELS = ("#e69f4d", "#d55e00", "#8c0000")


def rgba(colour: str, alpha: int = 255) -> str:
    """Return a colour as QGIS writes it in symbols.

    >>> rgba("#0046c8", 40)
    '0,70,200,40'
    """
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return ",".join(map(str, [*parts, alpha]))


def commodity_colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each of at most eight commodities; gold, silver and copper have theirs.

    >>> commodity_colours(["Ag", "Au", "Ba"])
    {'Ag': '#a4adb6', 'Au': '#ffc800', 'Ba': '#b8621b'}
    """
    # 1. The customary ones; of "Cu, Au" the first metal decides.
    free = list(COMMODITIES)
    found: dict[str, str] = {}
    for name in names:
        metal = re.split(r"[^\w]+", name.casefold().strip())[0]
        colour = COMMODITIES[CUSTOMARY[metal]] if metal in CUSTOMARY else ""
        if colour in free:
            found[name] = colour
            free.remove(colour)
    # 2. What is left, in the order of the names.
    for name in names:
        if name not in found:
            found[name] = free.pop(0)
    return found


def class_colours(count: int) -> list[str]:
    """Return soft colours in the manner of a geological map; neighbours in the legend differ.

    >>> class_colours(3)
    ['#d4c17d', '#bc9cde', '#bae8c3']
    """
    colours = []
    for number in range(count):
        # The golden ratio spreads hues evenly, however many there are.
        hue = (0.13 + number * 0.618034) % 1
        lightness = 0.74 + 0.08 * (number % 3 - 1)
        red, green, blue = hls_to_rgb(hue, lightness, 0.5)
        colours.append(_hexadecimal(red, green, blue))
    return colours


def ramp_colours(name: str, count: int) -> list[str]:
    """Return so many steps of a colour map of matplotlib.

    >>> ramp_colours("viridis", 3)
    ['#440154', '#21918c', '#fde725']
    """
    from matplotlib import colormaps

    steps = [step / max(1, count - 1) for step in range(count)]
    return [_hexadecimal(*colormaps[name](step)[:3]) for step in steps]


def _hexadecimal(red: float, green: float, blue: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue))
