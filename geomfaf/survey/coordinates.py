"""Where layers lie: coordinates that cannot be right are refused, with the setting that would put
them right.

Nothing is moved here. A layer is judged by where it lies in the area of use of its CRS, and the
layers of a survey by where they lie among themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from .cleaning.findings import Finding

Box = tuple[float, float, float, float]
XY = tuple[float, float]

EARTH: Box = (-180, -90, 180, 90)
"""Where degrees lie."""

# What people pass for metres east and north; how to undo it; the setting that says so.
MISTAKES: tuple[tuple[str, Callable[[float, float], XY], str], ...] = (
    ("kilometres, not metres", lambda x, y: (1000 * x, 1000 * y), 'xy_unit = "km"'),
    ("swapped: north stands before east", lambda x, y: (y, x), "swap_xy = true"),
    (
        "kilometres and swapped",
        lambda x, y: (1000 * y, 1000 * x),
        'xy_unit = "km" and swap_xy = true',
    ),
)


def is_metric(crs: CRS) -> bool:
    """Return whether a CRS is projected, or a local grid, and has metres on both axes."""
    flat = crs.is_projected or is_local(crs)
    return flat and all(axis.unit_name in ("metre", "meter") for axis in crs.axis_info)


def is_local(crs: CRS) -> bool:
    """Return whether a CRS is a grid of its own, such as a mine's, that lies nobody knows where.

    >>> is_local(CRS('LOCAL_CS["mine grid",UNIT["metre",1]]')), is_local(CRS(32633))
    (True, False)
    """
    return crs.is_engineering


def home_of(crs: CRS) -> Box | None:
    """Return the area of use of a CRS in its own coordinates, or None when it is not known.

    >>> [round(value, -3) for value in home_of(CRS(32650))]
    [166000.0, 0.0, 834000.0, 9329000.0]
    """
    use = crs.area_of_use
    if use is None or use.west > use.east or crs.geodetic_crs is None:
        return None
    if crs.is_geographic:
        return use.bounds
    try:
        return Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True).transform_bounds(
            *use.bounds
        )
    except ProjError:
        return None


def extent_of(frame: gpd.GeoDataFrame) -> Box | None:
    """Return west, south, east, north of a layer without its outermost hundredths; None when it
    lies nowhere.
    """
    # A few places that lie anywhere must not make the layer as large as the world.
    bounds = shapely.bounds(frame.geometry.to_numpy())
    bounds = bounds[np.isfinite(bounds).all(axis=1)]
    if not len(bounds):
        return None
    west, south = np.quantile(bounds[:, :2], 0.01, axis=0)
    east, north = np.quantile(bounds[:, 2:], 0.99, axis=0)
    return float(west), float(south), float(max(east, west)), float(max(north, south))


def _middle(box: Box) -> XY:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _inside(xy: XY, box: Box, margin: float = 0.0) -> bool:
    """Return whether a position lies in a box grown on each side by a share of its width and
    height.
    """
    across = margin * (box[2] - box[0])
    along = margin * (box[3] - box[1])
    return box[0] - across <= xy[0] <= box[2] + across and box[1] - along <= xy[1] <= box[3] + along


# --- one layer in its own CRS
# ----------------------------------------------------------------------------------------


def check_coordinates(role: str, frame: gpd.GeoDataFrame) -> Finding | None:
    """Return what is wrong with the coordinates of a layer, judged by the area of use of its CRS
    alone.
    """
    crs = CRS(frame.crs)
    box = extent_of(frame)
    home = home_of(crs)
    if box is None or home is None or crs.area_of_use is None:
        return None
    xy = _middle(box)
    if crs.is_geographic:
        return _check_degrees(role, frame, xy)
    if _inside(xy, home):
        return None
    # The first mistake that would bring the layer home is the one that was made.
    mistake = _mistake_in_metres(role, frame, xy, home)
    if mistake is not None:
        return mistake
    if _inside(xy, home, 2.0):
        return _beside_the_area(role, frame, xy)
    west, south, east, north = home
    what = (
        f"lie far from the area of this CRS (x {west:,.0f} to {east:,.0f}, y {south:,.0f} to"
        f" {north:,.0f})"
    )
    advice = _minus_in_area(role, xy, crs) or "correct the coordinates or name their CRS: crs ="
    return _refused(role, frame, xy, "coordinates that cannot be", what, advice)


def _refused(
    role: str,
    frame: gpd.GeoDataFrame,
    xy: XY,
    rule: str,
    what: str,
    advice: str,
) -> Finding:
    """Return the finding that coordinates with this middle cannot be worked with."""
    done = f"the coordinates ({_numbers(xy)} in {_name(CRS(frame.crs))}) {what}"
    return Finding("refused", role, "", rule, len(frame), done, advice, (0,))


def _check_degrees(role: str, frame: gpd.GeoDataFrame, xy: XY) -> Finding | None:
    """Return what is wrong with coordinates that should be degrees."""
    if _inside(xy, EARTH):
        return None
    if _inside(xy[::-1], EARTH):
        advice = _setting(role, "swap_xy = true")
        what = "are swapped: latitude stands first"
        return _refused(role, frame, xy, "swapped axes", what, advice)
    what = f"do not lie on the Earth in {CRS(frame.crs).name}: they are no degrees"
    advice = (
        'name the right CRS, the projected CRS they were measured in: crs = "EPSG:..." under'
        f" [{role}]"
    )
    return _refused(role, frame, xy, "metres called degrees", what, advice)


def _mistake_in_metres(
    role: str,
    frame: gpd.GeoDataFrame,
    xy: XY,
    home: Box,
) -> Finding | None:
    """Return which known mistake explains coordinates away from the area of their CRS."""
    # 1. axes swapped, kilometres, feet: what undoing it brings home
    for what, undo, setting in MISTAKES:
        if _inside(undo(*xy), home):
            rule = what.split(",")[0].split(":")[0]
            return _refused(role, frame, xy, rule, f"are {what}", _setting(role, setting))
    # 2. degrees under a CRS of metres
    use = CRS(frame.crs).area_of_use
    for degrees, swapped in ((xy, False), (xy[::-1], True)):
        if use is not None and _inside(degrees, use.bounds):
            more = " and swap_xy = true" if swapped else ""
            what = "are degrees, not metres" + (" (latitude first)" if swapped else "")
            advice = _setting(role, 'crs = "EPSG:4326"' + more)
            return _refused(role, frame, xy, "degrees called metres", what, advice)
    # 3. eastings with the zone's number before them
    before = int(xy[0] // 1e6) if 1e6 < xy[0] < 1e8 else 0
    zone = re.search(r"zone (\d+)", CRS(frame.crs).name)
    own = zone is None or int(zone[1]) == before
    if before and own and _inside((xy[0] % 1e6, xy[1]), home):
        what = f"begin with a zone number ({before}) that this CRS does not have"
        advice = f'name the variant of the CRS with zone numbers: crs = "EPSG:..." under [{role}]'
        return _refused(role, frame, xy, "zone in the easting", what, advice)
    return None


def _beside_the_area(role: str, frame: gpd.GeoDataFrame, xy: XY) -> Finding:
    """Say that a layer lies beside the area of its CRS, and which zone fits better, if any."""
    crs = CRS(frame.crs)
    said = f"{_numbers(xy)} in {_name(crs)}"
    fits = next((other for other in neighbours(crs) if _same_ground(xy, crs, other)), None)
    if fits is not None:
        rule = "outside the zone"
        done = f"the middle ({said}) lies outside the zone: lengths are distorted there"
        advice = f"set crs = {_quoted(fits)}, which fits better"
    else:
        rule = "outside the area of use"
        done = f"the middle ({said}) lies outside the area that this CRS is made for"
        advice = "name a CRS of the area"
    return Finding("noticed", role, "", rule, len(frame), done, advice)


def neighbours(crs: CRS) -> Iterator[CRS]:
    """Give the zones next to a CRS of zones, the nearest first, then the other hemisphere.

    >>> [other.name for other in neighbours(CRS(32650))][:2]
    ['WGS 84 / UTM zone 51N', 'WGS 84 / UTM zone 49N']
    """
    # Zones by number, or by central meridian in steps of three or six degrees.
    found = re.search(r"(zone |CM )(\d+)", crs.name)
    if found is None:
        return
    step = 3 if found[1] == "CM " and "3-degree" in crs.name else 6 if found[1] == "CM " else 1
    names = [
        f"{crs.name[: found.start(2)]}{int(found[2]) + step * jump}{crs.name[found.end(2) :]}"
        for jump in (1, -1, 2, -2)
    ]
    half = {"N": "S", "S": "N"}.get(crs.name[-1])
    names += [crs.name[:-1] + half] if half and "UTM" in crs.name else []
    for name in names:
        try:
            yield CRS.from_user_input(name)
        except CRSError:
            continue


def _same_ground(xy: XY, crs: CRS, other: CRS) -> bool:
    """Return whether a position lies in the area of use of another CRS."""
    use = other.area_of_use
    lon_lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(*xy)
    return use is not None and _inside(lon_lat, use.bounds)


def no_crs(what: str, degrees: bool = False) -> str:
    """Return the message for a layer that does not say its CRS."""
    hint = ""
    if degrees:
        hint = ' Its coordinates look like degrees: then --xy-unit deg (xy_unit = "deg") is enough.'
    return (
        f"{what} has no coordinate reference system, so nobody can tell where it lies. "
        "Say it with --crs EPSG:32650 (the code of your data), or crs = in the project file." + hint
    )


# --- the layers among themselves
# -------------------------------------------------------------------------------------


def check_extents(
    read: dict[str, gpd.GeoDataFrame],
    target: CRS,
    in_degrees: Collection[str] = (),
) -> list[Finding]:
    """Return which layers lie away from the others, by how far, and the setting that would bring
    them there.

    Parameters
    ----------
    read : dict
        Role -> layer as read, each in its own CRS.
    target : CRS
        The metric CRS of the survey.
    in_degrees : collection of str
        Roles whose places were written in degrees, whatever CRS they are in by now.
    """
    written = {*in_degrees, *(role for role in read if CRS(read[role].crs).is_geographic)}
    # Overlapping boxes are enough to say that two layers belong together.
    boxes = {
        role: box
        for role, frame in read.items()
        if (box := extent_of(frame.to_crs(target))) is not None
    }
    together = _largest_group(boxes)
    ground = shapely.box(
        *shapely.union_all([shapely.box(*boxes[role]) for role in together]).bounds
    )
    found = []
    for role in boxes:
        if role in together:
            continue
        away = shapely.distance(shapely.box(*boxes[role]), ground) / 1000
        names = " and ".join(sorted(together))
        done = f"the {role} do not overlap the {names}: {away:,.0f} km lie between them"
        advice = _remedy(role, read[role], target, ground.bounds)
        if not advice and len(together) == 1:  # either of the two may be the one that is wrong
            other = together[0]
            advice = _remedy(other, read[other], target, boxes[role])
        advice = advice or _lost_minus(read, role, together, written)
        advice = advice or f"check the CRS and the coordinates of the {role}"
        found.append(
            Finding(
                "refused",
                role,
                "",
                "away from the other layers",
                len(read[role]),
                done,
                advice,
            )
        )
    return found


def _largest_group(boxes: dict[str, Box]) -> list[str]:
    """Return the layers that overlap one another, directly or through others; of equal groups the
    one first named.
    """
    left = list(boxes)
    groups = []
    while left:
        group = [left.pop(0)]
        for member in group:
            here = shapely.box(*boxes[member])
            near = [role for role in left if shapely.intersects(here, shapely.box(*boxes[role]))]
            group += near
            left = [role for role in left if role not in near]
        groups.append(group)
    return max(groups, key=len)


def _remedy(
    role: str,
    frame: gpd.GeoDataFrame,
    target: CRS,
    ground: Box,
) -> str:
    """Return the setting that puts the middle of a layer on a ground in the target CRS, or ""."""
    crs = CRS(frame.crs)
    box = extent_of(frame)
    if box is None:
        return ""
    xy = _middle(box)
    tries = [
        (crs, undo(*xy), setting)
        for _, undo, setting in MISTAKES
        if crs.is_projected or "km" not in setting
    ]
    tries += [
        (other, xy, f"crs = {_quoted(other)}")
        for other in (target, *neighbours(crs), *neighbours(target))
    ]
    if crs.is_projected:
        degrees = 'crs = "EPSG:4326"'
        tries += [(CRS(4326), xy, degrees), (CRS(4326), xy[::-1], f"{degrees} and swap_xy = true")]
    for other, place, setting in tries:
        if other == crs and place == xy:
            continue
        moved = Transformer.from_crs(other, target, always_xy=True).transform(*place)
        if np.isfinite(moved).all() and _inside(moved, ground, 0.25):
            what = f" ({other.name})" if other != crs and other.is_projected else ""
            return f"{_setting(role, setting)}{what} would bring them together"
    return ""


def _lost_minus(
    read: dict[str, gpd.GeoDataFrame],
    away: str,
    together: list[str],
    in_degrees: Collection[str],
) -> str:
    """Return what to do where degrees of the west or south stand without their minus, or "".

    ``away`` is the layer that does not overlap the others; either side may be the one at fault.
    """
    boxes = {}
    for role in (away, *together):
        box = extent_of(read[role].to_crs(4326))
        if box is not None:
            boxes[role] = box
    for role, (west, south, east, north) in boxes.items():
        if role not in in_degrees:
            continue
        others = together if role == away else [away]
        ground = [shapely.box(*boxes[other]) for other in others if other in boxes]
        for axis, mirrored in (
            (0, (-east, south, -west, north)),
            (1, (west, -north, east, -south)),
        ):
            least = (west, south)[axis]
            if least > 0 and shapely.intersects(shapely.box(*mirrored), ground).any():
                return _minus(role, axis, least)
    return ""


def _minus_in_area(role: str, xy: XY, crs: CRS) -> str:
    """Return what to do where a place would lie in the area of a CRS with a minus before its
    degrees, or "".
    """
    use = crs.area_of_use
    if use is None:
        return ""
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(*xy)
    for axis, mirrored in ((0, (-lon, lat)), (1, (lon, -lat))):
        if (lon, lat)[axis] > 0 and _inside(mirrored, use.bounds):
            return _minus(role, axis, (lon, lat)[axis])
    return ""


def _minus(role: str, axis: int, degrees: float) -> str:
    """Return the advice for degrees of the west (axis 0) or south that stand without their minus."""
    name, half = (("longitude", "west"), ("latitude", "south"))[axis]
    return (
        f"the {name}s of the {role} lack the minus of the {half}: write -{degrees:.6g}, or"
        f' "{name.capitalize()} ({half[0].upper()})" as the heading of the column'
    )


def _setting(role: str, setting: str) -> str:
    return f"set {setting} under [{role}] of the project file"


def _quoted(crs: CRS) -> str:
    code = crs.to_authority()
    return f'"{":".join(code)}"' if code else f'"{crs.name}"'


def _name(crs: CRS) -> str:
    code = crs.to_authority()
    return f"{crs.name}, {':'.join(code)}" if code else crs.name


def _numbers(xy: XY) -> str:
    return ", ".join(f"{value:,.2f}" if abs(value) < 1e4 else f"{value:,.0f}" for value in xy)
