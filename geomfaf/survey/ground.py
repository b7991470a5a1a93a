"""Where the ground of a survey lies goes in; the metric CRS in which its lengths are true comes out,
and layers are brought into it.
"""

from __future__ import annotations

import warnings

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS, Proj, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import TransformerGroup

from ..errors import DataError
from ..rasters.grid import parse_crs
from .cleaning.findings import Finding
from .coordinates import is_local, is_metric

TRUE_SCALE = 0.005
"""Lengths may differ by this share from those on the ground: UTM's own differ by 0.001."""

LONG_EDGE = 0.02
"""Degrees; longer edges of polygons and lines are divided before they are reprojected, as they
become curves.
"""

COARSE = 5.0
"""Metres; a transformation between datums that is no better is said."""


def survey_crs(
    samples: gpd.GeoDataFrame, wanted: str | None, lost: bool = False
) -> tuple[CRS, Finding | None]:
    """Return the run's CRS and, where it is not simply the samples', a finding that says so.

    Parameters
    ----------
    samples : GeoDataFrame
    wanted : str, optional
        The CRS that the user asks for.
    lost : bool
        Whether the coordinates are known to be wrong: such a survey goes no farther than the check.
    """
    own = CRS(samples.crs)
    # 1. the CRS that was asked for
    if wanted:
        target = parse_crs(wanted)
        if not is_metric(target):
            raise DataError(
                f"crs = {wanted} is not a projected CRS in metres: name one, such as the UTM zone"
                " of the area."
            )
        if counts_west(target):
            raise DataError(
                f"crs = {wanted} counts to the west and south, and rasters to the east and north: name"
                " another CRS in metres, such as the UTM zone of the area."
            )
        if target == own:
            return target, None
        done = f"reprojected from {own.name} to {target.name}, as asked"
        return target, _finding("noticed", samples, "another CRS", done)
    if lost:
        return own, None
    # 2. degrees and feet become metres; a grid of a mine's own stays as it is
    advice = "set crs to choose another"
    if not is_metric(own):
        target = local_crs(samples)
        unit = "degrees" if own.is_geographic else own.axis_info[0].unit_name
        done = f"coordinates in {unit} ({own.name}) were reprojected to {_said(target)}"
        return target, _finding("fixed", samples, "CRS is not metric", done, advice)
    if is_local(own):
        done = f"{own.name} is a local grid: its metres are taken as they are"
        return own, _finding("noticed", samples, "local grid", done)
    if counts_west(own):
        target = local_crs(samples)
        done = f"{own.name} counts to the west and south: reprojected to {_said(target)}"
        return target, _finding("fixed", samples, "CRS counts west", done, advice)
    # 3. metres that are none on the ground
    scale = scale_at(samples)
    if abs(scale - 1) <= TRUE_SCALE:
        return own, None
    target = local_crs(samples)
    done = (
        f"lengths in {own.name} are {scale:.3g} times those on the ground here: reprojected to"
        f" {_said(target)}"
    )
    return target, _finding("fixed", samples, "CRS distorts lengths", done, advice)


def _finding(
    severity: str,
    samples: gpd.GeoDataFrame,
    rule: str,
    done: str,
    advice: str = "",
) -> Finding:
    """Return a finding about the CRS of all samples."""
    return Finding(severity, "samples", "", rule, len(samples), done, advice)


def counts_west(crs: CRS) -> bool:
    """Return whether eastings grow to the west, as in South Africa's zones: a raster would stand on
    its head.

    >>> counts_west(CRS(2053)), counts_west(CRS(32735)), counts_west(CRS(3031))
    (True, False, False)
    """
    return any(axis.direction == "west" for axis in crs.axis_info)


def scale_at(frame: gpd.GeoDataFrame) -> float:
    """Return how long a metre of the ground is in a layer's CRS, in its worst direction; 1 where
    that is not known.

    >>> place = gpd.GeoDataFrame(geometry=gpd.points_from_xy([15.0], [60.0]), crs=4326)
    >>> round(scale_at(place.to_crs(3857)), 2), round(scale_at(place.to_crs(32633)), 4)
    (2.0, 0.9996)
    """
    # The projection's own factors, as its library computes them.
    crs = CRS(frame.crs)
    try:
        lon, lat = _middle(frame)
        factors = Proj(crs).get_factors(lon, lat)
    except (CRSError, ProjError, DataError):
        return 1.0
    scales = (factors.meridional_scale, factors.parallel_scale)
    worst = max(scales, key=lambda scale: abs(np.log(scale)) if 0 < scale < 1e6 else 0.0)
    return float(worst) if np.isfinite(worst) and worst > 0 else 1.0


def local_crs(frame: gpd.GeoDataFrame) -> CRS:
    """Return the CRS in which lengths at a layer are true: its UTM zone, near the poles UPS.

    The middle is that of the directions, so that a survey across 180 degrees lies in one zone.

    >>> places = gpd.GeoDataFrame(geometry=gpd.points_from_xy([179.9, -179.7], [66, 66]), crs=4326)
    >>> local_crs(places).name, local_crs(places.set_geometry(gpd.points_from_xy([0, 9], [88, 88]))).name
    ('WGS 84 / UTM zone 1N', 'WGS 84 / UPS North (N,E)')
    """
    lon, lat = _middle(frame)
    if lat > 84:
        return CRS.from_epsg(32661)
    if lat < -80:
        return CRS.from_epsg(32761)
    point = gpd.GeoSeries.from_xy([lon], [lat], crs=4326)
    datum = CRS(frame.crs).geodetic_crs
    try:
        return CRS(point.estimate_utm_crs(datum.datum.name if datum and datum.datum else "WGS 84"))
    except (RuntimeError, ValueError):
        return CRS(point.estimate_utm_crs())


def brought_to(
    frame: gpd.GeoDataFrame,
    target: CRS,
    role: str,
    found: list[Finding],
) -> gpd.GeoDataFrame:
    """Return a layer in another CRS, its long edges divided first; a coarse transformation is said."""
    own = CRS(frame.crs)
    if is_local(own) or is_local(target):
        raise DataError(
            f"the {role} are in {own.name}, the samples in {target.name}: nobody can tell how a local"
            " grid lies. Bring the layers into one CRS, or name it: crs ="
        )
    if own.is_geographic and role not in ("samples", "deposits"):
        shapes = shapely.segmentize(frame.geometry.to_numpy(), LONG_EDGE)
        frame = frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=own))
    accuracy = _accuracy(frame, target)
    if accuracy is not None and accuracy >= COARSE:
        done = f"{own.name} to {target.name}: places are right to about {accuracy:.0f} m"
        advice = "use coordinates in one datum where that matters"
        found.append(
            Finding(
                "noticed",
                role,
                "",
                "coarse datum",
                len(frame),
                done,
                advice,
            )
        )
    try:
        return frame.to_crs(target)
    except ProjError as error:
        raise DataError(
            f"the {role} cannot be brought from {own.name} into {target.name}: {error}."
            " Name their CRS (crs =, or --crs)."
        ) from error


def local_in_metres(frame: gpd.GeoDataFrame, role: str, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return a layer of a local grid in metres, where its unit is another length, such as feet."""
    own = CRS(frame.crs)
    if not is_local(own) or is_metric(own):
        return frame
    axis = own.axis_info[0]
    factor = axis.unit_conversion_factor
    metric = CRS.from_wkt(f'LOCAL_CS["{own.name} in metres",UNIT["metre",1]]')
    shapes = shapely.transform(frame.geometry.to_numpy(), lambda xy: factor * xy)
    done = f"{own.name} is a local grid in {axis.unit_name}: brought to metres, times {factor:.8g}"
    found.append(Finding("fixed", role, "", "local grid", len(frame), done))
    return frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=metric))


MOST_LOOKED_AT = 10_000
"""Features that the middle of a layer is taken from, about."""


def _middle(frame: gpd.GeoDataFrame) -> tuple[float, float]:
    """Return the middle of a layer, longitude and latitude in degrees."""
    own = CRS(frame.crs)
    lon = np.array([])
    if own.geodetic_crs is not None:
        # The median of directions: a survey across 180 degrees has no mean longitude.
        # Some of many features tell it as well as all of them.
        some = frame.geometry.to_numpy()[:: max(1, len(frame) // MOST_LOOKED_AT)]
        spots = shapely.get_coordinates(shapely.centroid(some))
        lon, lat = Transformer.from_crs(own, 4326, always_xy=True).transform(*spots.T)
        known = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90)
        lon = np.radians(lon[known])
        lat = lat[known]
    if not len(lon):
        bounds = ", ".join(f"{value:g}" for value in frame.total_bounds)
        raise DataError(
            f"the samples' coordinates ({bounds}) do not lie on the Earth in {own.name}: name the"
            " right CRS, or correct the coordinates."
        )
    middle = np.degrees(np.arctan2(np.median(np.sin(lon)), np.median(np.cos(lon))))
    return float(middle), float(np.median(lat))


def _accuracy(frame: gpd.GeoDataFrame, target: CRS) -> float | None:
    """Return how right the best transformation at hand is at a layer, in metres; None where nobody
    says it.
    """
    # Within one datum nothing is lost.
    own = CRS(frame.crs)
    if own.geodetic_crs == target.geodetic_crs:
        return 0.0
    try:
        lon, lat = _middle(frame)
        here = AreaOfInterest(lon - 0.1, lat - 0.1, lon + 0.1, lat + 0.1)
        with warnings.catch_warnings():
            # That a better grid is not installed is what the finding says, in metres.
            warnings.simplefilter("ignore", UserWarning)
            group = TransformerGroup(
                own,
                target,
                always_xy=True,
                area_of_interest=here,  # type: ignore[arg-type]
            )
    except (DataError, ProjError):
        return None
    accuracy = group.transformers[0].accuracy if group.transformers else -1.0
    return accuracy if accuracy >= 0 else None


def _said(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"{crs.name} (EPSG:{code})" if code else crs.name
