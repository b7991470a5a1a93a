"""Faults as barriers: a sample does not count where a barrier stands between it and the point.

A sample is hidden when the straight line of sight crosses a barrier from one side to the other;
touching a barrier, or lying on it, hides nothing. Around the end of a barrier one can look.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely

from ...errors import DataError
from .tree_engine import Rule, TreeSearch


def barrier_segments(lines: gpd.GeoDataFrame | gpd.GeoSeries | np.ndarray) -> np.ndarray:
    """Return the straight pieces of lines as (segments, 4): x1, y1, x2, y2.

    >>> from shapely import LineString
    >>> barrier_segments(gpd.GeoSeries([LineString([(0, 0), (1, 0), (1, 2)])])).tolist()
    [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 2.0]]
    """
    if isinstance(lines, (gpd.GeoDataFrame, gpd.GeoSeries)):
        parts = shapely.get_parts(lines.geometry.dropna().to_numpy())
        kinds = set(shapely.get_type_id(parts)) - {int(shapely.GeometryType.LINESTRING)}
        if kinds:
            names = ", ".join(sorted(shapely.GeometryType(kind).name for kind in kinds))
            raise DataError(
                f"barriers are lines, not {names}: take the boundary of polygons first."
            )
        xy, line = shapely.get_coordinates(parts, return_index=True)
        same = line[1:] == line[:-1]
        return np.hstack([xy[:-1][same], xy[1:][same]])
    segments = np.asarray(lines, float)
    if segments.ndim != 2 or segments.shape[1] != 4 or not np.isfinite(segments).all():
        raise DataError(
            f"barrier segments of shape {segments.shape} are not finite (segments, 4): x1, y1,"
            " x2, y2."
        )
    return segments


class BarrierSearch(TreeSearch):
    """Estimates at points from the samples that are in sight.

    Slower than the other engines: sight lines are tested one by one, against the segments near
    them.
    """

    def __init__(
        self,
        places: np.ndarray,
        known: np.ndarray,
        rule: Rule,
        segments: np.ndarray,
    ):
        super().__init__(places, known, rule)
        self.segments = np.ascontiguousarray(segments, dtype=np.float64)

    def leave_out(
        self,
        targets: np.ndarray,
        distance: np.ndarray,
        index: np.ndarray,
        own: np.ndarray | None,
    ) -> None:
        """Set the distances of hidden samples to infinity."""
        super().leave_out(targets, distance, index, own)
        # 1. How far each target looks.
        finite = np.isfinite(distance)
        if not len(self.segments) or not finite.any():
            return
        reach = np.where(finite, distance, 0).max(axis=1)
        # 2. Segments that any of them may see.
        low = (targets - reach[:, None]).min(axis=0)
        high = (targets + reach[:, None]).max(axis=0)
        begin = self.segments[:, :2]
        end = self.segments[:, 2:]
        not_above = (np.minimum(begin, end) <= high).all(axis=1)
        not_below = (np.maximum(begin, end) >= low).all(axis=1)
        close = not_above & not_below
        # 3. Lines of sight are tested against these.
        if close.any():
            from .line_of_sight import hide

            samples = np.ascontiguousarray(self.tree.data)
            hide(
                targets,
                reach,
                samples,
                np.ascontiguousarray(index),
                self.segments[close],
                distance,
            )
