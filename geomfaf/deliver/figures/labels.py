"""Names and the places they belong to go in; labels come out that cover neither a symbol nor each
other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

DIRECTIONS = (
    (1, 0),
    (1, 1),
    (1, -1),
    (-1, 0),
    (-1, 1),
    (-1, -1),
    (0, 1),
    (0, -1),
)
"""Where a label may stand, as map makers prefer it: right of its symbol first."""
DISTANCES = (5.5, 13.0, 25.0)
"""Points between symbol and label; from the second on a thin line leads back."""


def place_labels(
    axes: Axes,
    places: np.ndarray,
    texts: Sequence[str],
    *,
    symbols: np.ndarray | None = None,
    taken: list[np.ndarray] | None = None,
    size: float = 7.0,
    colour: str = "black",
) -> list[str]:
    """Write labels beside their places, first come first served; return those without room.

    Each label tries eight directions at three distances and takes the first that is inside the map
    and covers no symbol and no label: greedy, the same on every run, and never wrong.

    Parameters
    ----------
    axes : Axes
        With its limits set, in a figure that has an Agg canvas.
    places : array, (labels, 2)
        In data coordinates; a text that is not inside the map is left out unsaid.
    texts : sequence of str
        One a place.
    symbols : array, (symbols, 2), optional
        What no label may cover; the places when left out.
    taken : list of boxes, optional
        Boxes (left, bottom, right, top; pixels) that are occupied already; new labels are added.
    """
    canvas = axes.figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):
        raise TypeError("labels are measured on an Agg canvas: make the figure with one.")
    # 1. What is taken already: symbols, and labels of before.
    pixels = axes.figure.dpi / 72
    boxes = [] if taken is None else taken
    boxes += _symbol_boxes(axes, places if symbols is None else symbols, 3.6 * pixels)
    frame = np.array(axes.get_window_extent().extents)
    omitted = []
    places = np.reshape(np.asarray(places, float), (-1, 2))
    anchors = axes.transData.transform(places)
    for place, anchor, text in zip(places, anchors, texts, strict=True):
        # 2. Write it at its place, to measure it.
        if not _inside(np.array([*anchor, *anchor]), frame):
            continue
        note = axes.annotate(
            text,
            place,
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=size,
            color=colour,
            ha="center",
            va="center",
            zorder=8,
            path_effects=[withStroke(linewidth=1.8, foreground="white")],
        )
        # 3. Move it to the first free place, or take it away.
        extent = note.get_window_extent(canvas.get_renderer())
        # A little more than the letters: two names that touch read as one.
        size_of = (extent.width + 2 * pixels, extent.height)
        found = _free_place(anchor, size_of, boxes, frame, pixels)
        if found is None:
            note.remove()
            omitted.append(text)
            continue
        centre, box, leads = found
        boxes.append(box)
        note.set_position(tuple((centre - anchor) / pixels))
        if leads:
            # A line under the text, from its middle to the symbol.
            middle = axes.transData.inverted().transform(centre)
            leader = Line2D(*np.transpose([place, middle]), color=colour, linewidth=0.4)
            leader.set_zorder(4)
            axes.add_artist(leader)
    return omitted


def _free_place(
    anchor: np.ndarray,
    text: tuple[float, float],
    boxes: list[np.ndarray],
    frame: np.ndarray,
    pixels: float,
) -> tuple[np.ndarray, np.ndarray, bool] | None:
    """Return the centre and the box of the first free place, and whether a line leads to it."""
    half = np.array(text) / 2
    occupied = np.array(boxes).reshape(-1, 4)
    for step, distance in enumerate(DISTANCES):
        for direction in DIRECTIONS:
            centre = anchor + np.array(direction) * (half + distance * pixels)
            box = np.concatenate([centre - half, centre + half])
            if _inside(box, frame) and not overlaps(box, occupied).any():
                return centre, box, step > 0
    return None


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which of other boxes a box shares ground with; touching is none.

    >>> overlaps(np.array([0, 0, 2, 2]), np.array([[1, 1, 3, 3], [2, 0, 3, 1]])).tolist()
    [True, False]
    """
    left, bottom, right, top = others.T
    beside = (right <= box[0]) | (left >= box[2])
    above_or_below = (top <= box[1]) | (bottom >= box[3])
    return ~(beside | above_or_below)


def _symbol_boxes(axes: Axes, places: np.ndarray, half: float) -> list[np.ndarray]:
    points = np.reshape(places, (-1, 2))
    centres = axes.transData.transform(points)
    return list(np.hstack([centres - half, centres + half]))


def _inside(box: np.ndarray, frame: np.ndarray) -> bool:
    low_corner = (box[:2] >= frame[:2]).all()
    high_corner = (box[2:] <= frame[2:]).all()
    return bool(low_corner and high_corner)
