"""How many classes there are goes in; their colours come out, safe for colour-blind readers where
classes are ordered.
"""

from __future__ import annotations

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
    *("#ffc800", "#d9d9d9", "#c8641e", "#28a03c", "#3c78c8", "#c83c3c", "#783ca0", "#141414"),
)
LEVELS = ("#e69f4d", "#d55e00", "#8c0000")


def rgba(colour: str, alpha: int = 255) -> str:
    """Return a colour as QGIS writes it in symbols.

    >>> rgba("#0046c8", 40)
    '0,70,200,40'
    """
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return ",".join(map(str, [*parts, alpha]))


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
