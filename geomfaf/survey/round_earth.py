"""Layers that reach around the Earth go in; the part near the survey comes out, in degrees that hang
together.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS, Transformer

from .cleaning.findings import Finding
from .coordinates import extent_of

REACH = 30.0
"""Degrees around the samples beyond which shapes are cut: projections of an area fail out there."""

WIDE = 5e6
"""Metres; a layer that is wider is looked at in degrees."""

SLENDER = 20.0
"""A shape across 180 degrees is not so many times higher than wide: it goes around the Earth."""


def from_minus_180(frame: gpd.GeoDataFrame, role: str, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return a layer whose longitudes count from -180, where they count from 0 to 360 degrees.

    >>> place = gpd.GeoDataFrame(geometry=gpd.points_from_xy([243.5], [39]), crs=4326)
    >>> from_minus_180(place, "samples", []).geometry.x.tolist()
    [-116.5]
    """
    if not _in_degrees(CRS(frame.crs)):
        return frame
    box = extent_of(frame)
    if box is None:
        return frame
    west, south, east, north = box
    if west < 0 or east > 360 or south < -90 or north > 90 or (west + east) / 2 <= 180:
        return frame
    done = f"longitudes count from 0 to 360 degrees ({east:.6g}): 360 is taken off"
    found.append(Finding("fixed", role, "", "degrees from 0 to 360", len(frame), done))
    return _shifted(frame, -360.0)


def near_survey(
    frame: gpd.GeoDataFrame,
    samples: gpd.GeoDataFrame,
    role: str,
    found: list[Finding],
) -> gpd.GeoDataFrame:
    """Return the lines or polygons of a layer that lie near the samples, in one piece.

    Shapes whose degrees jump at 180 are put together, those that reach farther than :data:`REACH`
    are cut, those beyond are left out: a world map has no place in the CRS of a survey.
    """
    if not _reaches_far(frame) or CRS(samples.crs).geodetic_crs is None:
        return frame
    west, south, east, north = _around(samples)
    here = frame if _in_degrees(CRS(frame.crs)) else frame.to_crs(4326)
    # 1. shapes that jump at 180 degrees
    shapes = _joined_at_180(here.geometry.to_numpy(), (west + east) / 2)
    # 2. the ground around the samples, whichever way longitudes are counted
    boxes = [shapely.box(west + turn, south, east + turn, north) for turn in (-360, 0, 360)]
    ground = shapely.union_all(boxes)
    near = shapely.intersects(ground, shapes)
    if not near.any():
        return frame
    beyond = near & ~shapely.covers(ground, shapes)
    shapes[beyond] = shapely.intersection(shapely.make_valid(shapes[beyond]), ground)
    count = int(beyond.sum() + (~near).sum())
    if count:
        done = (
            f"shapes that reach farther than {REACH:g} degrees from the samples: {beyond.sum():,} are"
            f" cut there, {(~near).sum():,} left out"
        )
        found.append(Finding("noticed", role, "", "around the Earth", count, done))
    return here.set_geometry(gpd.GeoSeries(shapes, index=here.index, crs=here.crs))[near]


def _in_degrees(crs: CRS) -> bool:
    return crs.is_geographic and crs.axis_info[0].unit_name == "degree"


def _shifted(frame: gpd.GeoDataFrame, degrees: float) -> gpd.GeoDataFrame:
    """Return a layer moved along the parallels."""
    shapes = shapely.transform(frame.geometry.to_numpy(), lambda xy: xy + np.array([degrees, 0.0]))
    return frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))


def _reaches_far(frame: gpd.GeoDataFrame) -> bool:
    """Return whether a layer is as wide as parts of the world are."""
    crs = CRS(frame.crs)
    bounds = shapely.bounds(frame.geometry.to_numpy())
    if crs.geodetic_crs is None or not np.isfinite(bounds).any():
        return False
    size = np.nanmax(bounds[:, 2:], axis=0) - np.nanmin(bounds[:, :2], axis=0)
    return bool(size.max() > (2 * REACH if _in_degrees(crs) else WIDE))


def _around(samples: gpd.GeoDataFrame) -> tuple[float, float, float, float]:
    """Return west, south, east, north of the samples in degrees, :data:`REACH` around; west to east
    is no jump where they lie across 180 degrees.
    """
    xy = shapely.get_coordinates(samples.geometry.to_numpy())
    lon, lat = Transformer.from_crs(samples.crs, 4326, always_xy=True).transform(*xy.T)
    known = np.isfinite(lon) & np.isfinite(lat)
    angle = np.radians(lon[known])
    middle = np.degrees(np.arctan2(np.median(np.sin(angle)), np.median(np.cos(angle))))
    # The outermost hundredths may lie anywhere.
    west, east = np.quantile((lon[known] - middle + 180) % 360 - 180, [0.01, 0.99]) + middle
    south, north = np.quantile(lat[known], [0.01, 0.99])
    return (
        float(west - REACH),
        float(max(south - REACH, -90)),
        float(east + REACH),
        float(min(north + REACH, 90)),
    )


def _joined_at_180(shapes: np.ndarray, middle: float) -> np.ndarray:
    """Return the shapes, those that jump from 180 to -180 degrees with all vertices on one side."""
    shapes = shapes.copy()
    bounds = shapely.bounds(shapes)
    for number in np.flatnonzero(bounds[:, 2] - bounds[:, 0] > 180):
        joined = shapely.transform(
            shapes[number],
            lambda xy: np.column_stack([(xy[:, 0] - middle + 180) % 360 - 180 + middle, xy[:, 1]]),
        )
        west, south, east, north = joined.bounds
        # What is so slender, or still wide, goes around the Earth itself.
        if east - west < 180 and north - south < SLENDER * (east - west):
            shapes[number] = joined
    return shapes
