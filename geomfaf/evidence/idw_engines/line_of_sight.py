"""Compiled visibility test: does a barrier stand between a point and a sample."""

from __future__ import annotations

import numpy as np
from numba import njit

from .distance_weights import INNER


@njit(**INNER)
def _side(
    ax,
    ay,
    bx,
    by,
    x,
    y,
):
    """Return twice the signed area of a triangle: which side of the line a-b a point lies on."""
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax)


@njit(**INNER)
def _crosses(
    x,
    y,
    sx,
    sy,
    segment,
):
    """Say whether a line of sight crosses a segment from one side to the other."""
    ax = segment[0]
    ay = segment[1]
    bx = segment[2]
    by = segment[3]
    # The two ends of the line of sight lie on different sides of the segment's line.
    here = _side(
        ax,
        ay,
        bx,
        by,
        x,
        y,
    )
    there = _side(
        ax,
        ay,
        bx,
        by,
        sx,
        sy,
    )
    if not (here < 0.0 < there or there < 0.0 < here):
        return False
    # Half-open, so that a sight line through the vertex of two segments meets one of them.
    return (
        _side(
            x,
            y,
            sx,
            sy,
            ax,
            ay,
        )
        > 0.0
    ) != (
        _side(
            x,
            y,
            sx,
            sy,
            bx,
            by,
        )
        > 0.0
    )


@njit(nogil=True, cache=True, error_model="numpy")
def hide(
    targets,
    reach,
    samples,
    index,
    segments,
    distance,
):
    """Set distance (targets, samples) to infinity where a segment stands in the line of sight.

    ``reach`` (targets) is the farthest sample of each target: segments beyond it are not looked at.
    """
    local = np.empty(segments.shape[0], np.int64)
    for t in range(targets.shape[0]):
        # 1. The segments near the target.
        x = targets[t, 0]
        y = targets[t, 1]
        count = 0
        for s in range(segments.shape[0]):
            ax = segments[s, 0]
            ay = segments[s, 1]
            bx = segments[s, 2]
            by = segments[s, 3]
            aside = min(ax, bx) > x + reach[t] or max(ax, bx) < x - reach[t]
            if not (aside or min(ay, by) > y + reach[t] or max(ay, by) < y - reach[t]):
                local[count] = s
                count += 1
        # 2. Each sample that still counts, until one of them hides it.
        for k in range(index.shape[1]):
            if distance[t, k] < np.inf:
                sx = samples[index[t, k], 0]
                sy = samples[index[t, k], 1]
                for c in range(count):
                    if _crosses(x, y, sx, sy, segments[local[c]]):
                        distance[t, k] = np.inf
                        break
