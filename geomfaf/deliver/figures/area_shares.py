"""Scores go in; classes of area come out: the best 1, 2, 5, 10 and 20 % of the ground."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.colors import ListedColormap

SHARES = (1, 2, 5, 10, 20)
SHARE_COLOURS = ("#67000d", "#cb181d", "#fb6a4a", "#fcae91", "#fee0d2")
"""From dark to light: the order survives a copier and every kind of colour blindness."""
REST_COLOUR = "#f4f4f2"


def area_classes(score: np.ndarray) -> np.ndarray:
    """Return the class of each cell: 0 the best 1 % of the valid ground ... 4 the best 20 %, 5 the
    rest; NaN without a score.

    A class holds at most its share: cells that tie at a limit fall into the class behind it, so
    that a flat map has no best ground.

    >>> classes = area_classes(np.arange(100.0).reshape(10, 10))
    >>> [int((classes == number).sum()) for number in range(6)]
    [1, 1, 3, 5, 10, 80]
    >>> area_classes(np.array([[1.0, 1.0, np.nan]])).tolist()
    [[5.0, 5.0, nan]]
    """
    valid = np.isfinite(score)
    best_first = np.sort(score[valid])[::-1]
    classes = np.where(valid, 0.0, np.nan)
    for share in SHARES:
        # The best cell that is one too many: what scores higher is inside the share.
        limit = int(share / 100 * len(best_first) + 1e-9)
        if limit < len(best_first):
            classes[score <= best_first[limit]] += 1
    return classes


def share_colormap() -> ListedColormap:
    """Return the colours of the classes, from the best 1 % to the rest."""
    return ListedColormap([*SHARE_COLOURS, REST_COLOUR])


def share_names() -> list[str]:
    """Return what a legend says of the classes.

    >>> share_names()[:2], share_names()[-1]
    (['best 1 %', '1 to 2 %'], 'the rest')
    """
    steps = pairwise(SHARES)
    return [f"best {SHARES[0]} %", *(f"{low} to {high} %" for low, high in steps), "the rest"]
