"""Compiled weights, shared by both compiled engines of inverse-distance weighting.

Numba's cache on disk looks at the file of the calling kernel only: after a change here, touch
``kernels.py`` and ``quadtree.py`` too.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from .tree_engine import TOUCH

TOUCH2 = TOUCH**2
AT_SAMPLE = 1e200
"""Weight of a sample at the point: no other weight changes a digit beside it."""

INNER: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}
"""Options of kernels that only other kernels call: without wrappers for Python they compile in half
the time.
"""

# Sums may be reordered and contracted; NaN and infinity keep their meaning.
FAST = {"contract", "arcp", "nsz", "reassoc"}


@njit(**INNER, fastmath=FAST)
def squared_distances(
    px,
    py,
    x,
    y,
    out,
):
    """Fill ``out`` with the squared distances of points to one sample."""
    for p in range(px.size):
        dx = px[p] - x
        dy = py[p] - y
        out[p] = dx * dx + dy * dy


@njit(**INNER, fastmath=FAST)
def powers_to_weights(d2, power):
    """Turn squared distances into ``d ** -power`` in place; samples at the point get AT_SAMPLE.

    Multiples of 1/2 up to 4 need square roots only, which is ten times faster than a power.
    """
    quarters = 2.0 * power
    if power == 2.0:
        for p in range(d2.size):
            d2[p] = 1.0 / d2[p] if d2[p] > TOUCH2 else AT_SAMPLE
    elif power <= 4.0 and quarters == math.floor(quarters):
        steps = int(quarters)
        for p in range(d2.size):
            inverse = 1.0 / max(d2[p], TOUCH2)
            root = math.sqrt(inverse)
            weight = math.sqrt(root) if steps & 1 else 1.0
            weight *= root if steps & 2 else 1.0
            weight *= inverse if steps & 4 else 1.0
            weight *= inverse * inverse if steps & 8 else 1.0
            d2[p] = weight if d2[p] > TOUCH2 else AT_SAMPLE
    else:
        for p in range(d2.size):
            d2[p] = d2[p] ** (-0.5 * power) if d2[p] > TOUCH2 else AT_SAMPLE
