"""The values of a raster band go in; classes with units and the renderers that draw them come out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree.ElementTree import Element

import numpy as np

from ...evidence.stack import UNMAPPED
from .colours import OTHER_GROUND, SHARES, UNMAPPED_GROUND, class_colours, ramp_colours
from .markup import node

MOST_CLASSES = 10
"""More steps of one colour ramp are not told apart on a map."""

# Preferred numbers (ISO 3): so many steps a decade, evenly spaced in the logarithm, as round as can
# be. The first series that gives enough classes is used.
_SERIES = (
    (1, 2, 5),
    (1, 1.6, 2.5, 4, 6.3),
    (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8),
    (1, 1.12, 1.25, 1.4, 1.6, 1.8, 2, 2.24, 2.5, 2.8, 3.15, 3.55, 4, 4.5, 5, 5.6, 6.3, 7.1, 8, 9),
)


@dataclass(frozen=True)
class RasterClass:
    """Values up to ``upper`` (a class number for a legend of classes), colour, label, opacity."""

    upper: float
    colour: str
    label: str
    alpha: int = 255


def log_breaks(low: float, high: float, most: int = MOST_CLASSES) -> list[float]:
    """Return round numbers between two positive values, evenly spaced in the logarithm.

    The finest series of preferred numbers that gives fewer than ``most`` of them is taken.

    >>> log_breaks(0.44, 3.9)
    [0.5, 0.63, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.15]
    >>> log_breaks(1, 10_000)
    [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]
    """
    found: list[float] = []
    for series in _SERIES:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        numbers = [float(f"{step}e{decade}") for decade in decades for step in series]
        inside = [number for number in numbers if low < number < high]
        # A coarse series is kept when the next finer one would have too many classes.
        if found and len(inside) >= most:
            break
        found = inside
    return found


def linear_breaks(low: float, high: float, most: int = MOST_CLASSES) -> list[float]:
    """Return round numbers between two values, evenly spaced.

    >>> linear_breaks(0, 3530)
    [400.0, 800.0, 1200.0, 1600.0, 2000.0, 2400.0, 2800.0, 3200.0]
    """
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=most - 1, steps=[1, 2, 2.5, 4, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks if low < tick < high]


def classes_between(breaks: Sequence[float], colours: str, unit: str = "") -> list[RasterClass]:
    """Return classes between breaks, coloured by a map of matplotlib, labelled with their bounds.

    >>> [item.label for item in classes_between([1, 2.5], "viridis", "ppb")]
    ['below 1 ppb', '1 – 2.5 ppb', 'above 2.5 ppb']
    """
    shades = ramp_colours(colours, len(breaks) + 1)
    edges = [f"{edge:,.6g}" for edge in breaks]
    labels = ["all values"]
    if edges:
        between = [f"{low} – {high}" for low, high in pairwise(edges)]
        labels = [f"below {edges[0]}", *between, f"above {edges[-1]}"]
    uppers = [*breaks, math.inf]
    return [
        RasterClass(upper, shade, f"{label} {unit}".strip())
        for upper, shade, label in zip(uppers, shades, labels, strict=True)
    ]


def value_classes(
    values: np.ndarray,
    kind: str,
    unit: str,
    colours: str = "viridis",
) -> list[RasterClass]:
    """Return the classes of a band: logarithmic for an element or a distance, linear for all else.

    The classes span the 2nd to the 98th percentile; what lies beyond is the first and last class.
    """
    # 1. Values that can be cut. That a unit is assumed stands in the layer's name.
    unit = unit.rstrip("?")
    finite = values[np.isfinite(values)]
    logarithmic = kind in ("element", "distance")
    if logarithmic:
        finite = finite[finite > 0]
    if not finite.size:
        return classes_between([], colours, unit)
    # 2. Round numbers between the bulk's ends.
    low, high = np.quantile(finite, [0.02, 0.98])
    if low == high:
        return classes_between([], colours, unit)
    breaks = log_breaks(low, high) if logarithmic else linear_breaks(low, high)
    return classes_between(breaks, colours, unit)


def share_classes(values: np.ndarray) -> list[RasterClass]:
    """Return the classes "best 1, 2, 5, 10, 20 % of the area" of a score.

    A score that most of the ground shares cannot be cut everywhere: classes that would be empty are
    left out.

    >>> [item.label for item in share_classes(np.arange(1000.0))]
    ['the other 80 %', 'best 10 – 20 %', 'best 5 – 10 %', 'best 2 – 5 %', 'best 1 – 2 %', 'best 1 %']
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return [RasterClass(math.inf, OTHER_GROUND, "no score")]
    shares = sorted(SHARES, reverse=True)
    # Scores above which so much of the ground lies, the widest class first.
    edges = np.quantile(finite, [1 - share / 100 for share in shares])
    found = [RasterClass(float(edges[0]), OTHER_GROUND, f"the other {100 - shares[0]} %")]
    for place, share in enumerate(shares):
        last = place + 1 == len(shares)
        label = f"best {share} %" if last else f"best {shares[place + 1]} – {share} %"
        upper = math.inf if last else float(edges[place + 1])
        if upper > found[-1].upper:
            found.append(RasterClass(upper, SHARES[share], label))
    return found


def legend_classes(legend: Mapping[int, str]) -> list[RasterClass]:
    """Return the classes of a band of class numbers, by their names."""
    colours = class_colours(len(legend))
    return [
        RasterClass(number, UNMAPPED_GROUND if name == UNMAPPED else colour, name)
        for (number, name), colour in zip(sorted(legend.items()), colours, strict=True)
    ]


def discrete(band: int, classes: Sequence[RasterClass], opacity: float = 1) -> Element:
    """Return the renderer that draws a band in classes by their upper bounds."""
    items = [
        node(
            "item",
            {
                "value": c.upper,
                "label": c.label,
                "color": c.colour,
                "alpha": c.alpha,
            },
        )
        for c in classes
    ]
    bounds = [item.upper for item in classes if math.isfinite(item.upper)] or [0.0]
    span = {"minimumValue": bounds[0], "maximumValue": bounds[-1]}
    kind = {
        "colorRampType": "DISCRETE",
        "classificationMode": 1,
        "clip": 0,
        **span,
    }
    # The legend names every class, instead of a ramp with the numbers of its ends.
    listed = node("rampLegendSettings", {"useContinuousLegend": 0})
    shader = node("rastershader", None, node("colorrampshader", kind, listed, *items))
    named = {
        "type": "singlebandpseudocolor",
        "band": band,
        "opacity": opacity,
        "classificationMin": bounds[0],
        "classificationMax": bounds[-1],
    }
    return _pipe(node("rasterrenderer", {**named, **_PLAIN}, node("rasterTransparency"), shader))


def paletted(band: int, classes: Sequence[RasterClass]) -> Element:
    """Return the renderer that draws class numbers; a number that is not listed is transparent."""
    entries = [
        node(
            "paletteEntry",
            {
                "value": c.upper,
                "label": c.label,
                "color": c.colour,
                "alpha": c.alpha,
            },
        )
        for c in classes
    ]
    named = {
        "type": "paletted",
        "band": band,
        "opacity": 1,
        **_PLAIN,
    }
    palette = node("colorPalette", None, *entries)
    return _pipe(node("rasterrenderer", named, node("rasterTransparency"), palette))


_PLAIN = {"alphaBand": -1, "nodataColor": ""}


def _pipe(renderer: Element) -> Element:
    return node("pipe", None, renderer)
