"""The shapes of the layers: made valid, flat and of one kind, every change counted.

The index of a frame holds its source rows throughout.
"""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import shapely
from scipy.spatial import cKDTree

from .findings import ROWS_KEPT, Finding, note, rows_of

POINT_ROLES = ("samples", "deposits")
WANTED = {
    "samples": ("points", 0),
    "deposits": ("points", 0),
    "faults": ("lines", 1),
    "geology": ("polygons", 2),
    "study_area": ("polygons", 2),
}

SLIVER_WIDTH = 1.0
"""Metres; polygons narrower than this on average (2 x area / perimeter) are left-overs of
digitising.
"""

LEAST_OVERLAP = 1.0
"""Square metres; smaller overlaps and gaps are rounding."""

PIECE = 2000
"""Vertices above which a polygon is cut into pieces before it is compared with others."""

FAR = 20
"""A point this many times as far from the middle as nine in ten of its layer is in
another country.
"""

LEAST_POINTS = 20
"""A layer with fewer points has no outliers."""


def clean_geometry(role: str, frame: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return the layer with valid, 2-D geometry of the role's kind; rows that have none are left
    out.

    The index of the result still holds the source rows; several parts of one row share its number.
    """
    shapes = frame.geometry.to_numpy()
    solid = shapely.has_z(shapes)
    note(found, "noticed", role, "3-D geometry", frame, solid, "heights are not used")
    shapes = shapely.force_2d(shapes)
    empty = (
        shapely.is_missing(shapes)
        | shapely.is_empty(shapes)
        | ~np.isfinite(shapely.bounds(shapes)).all(axis=1)
    )
    note(found, "fixed", role, "no geometry", frame, empty, "rows without a place were left out")
    empty |= _without_length(role, frame, shapes, empty, found)
    invalid = ~empty & ~shapely.is_valid(shapes)
    shapes[invalid] = shapely.make_valid(shapes[invalid])
    done = "repaired (self-crossings, unclosed rings)"
    note(
        found,
        "fixed",
        role,
        "invalid geometry",
        frame,
        invalid,
        done,
        "look at these shapes on the map",
    )
    if role in POINT_ROLES:
        _stand_for(role, frame, shapes, empty, found)
    else:
        empty |= _of_one_kind(role, frame, shapes, empty, found)
    cleaned = frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))[~empty]
    cleaned = (
        cleaned.rename_geometry("geometry") if cleaned.geometry.name != "geometry" else cleaned
    )
    if role in POINT_ROLES:
        several = cleaned.geom_type.to_numpy() == "MultiPoint"
        single = several & (shapely.get_num_geometries(cleaned.geometry.to_numpy()) == 1)
        done = "each part counts as a point of its own"
        note(found, "noticed", role, "multi-part points", cleaned, several & ~single, done)
        if several.any():
            cleaned = cleaned.explode(index_parts=False)
        if not len(cleaned):
            done = f"the {role} have no usable geometry"
            found.append(Finding("refused", role, "", "empty layer", len(frame), done))
    cleaned.attrs = dict(frame.attrs)
    return cleaned


def _without_length(
    role: str, frame: gpd.GeoDataFrame, shapes: np.ndarray, empty: np.ndarray, found: list[Finding]
) -> np.ndarray:
    """Return the lines without length and the polygons without area, which are neither."""
    flat = ~empty & (shapely.get_dimensions(shapes) == 1) & (shapely.length(shapes) == 0)
    note(
        found, "fixed", role, "zero-length line", frame, flat, "lines without length were left out"
    )
    thin = ~empty & (shapely.get_dimensions(shapes) == 2) & (shapely.area(shapes) == 0)
    # A figure of eight has an area of zero too, and an inside.
    thin[thin] = shapely.get_dimensions(shapely.make_valid(shapes[thin])) < 2
    note(
        found,
        "fixed",
        role,
        "polygon without area",
        frame,
        thin,
        "polygons without area were left out",
    )
    return flat | thin


def _stand_for(
    role: str, frame: gpd.GeoDataFrame, shapes: np.ndarray, empty: np.ndarray, found: list[Finding]
) -> None:
    """Put a point inside each shape that is no point."""
    other = ~empty & (shapely.get_dimensions(shapes) != 0)
    kinds = _kinds(shapes[other])
    note(
        found,
        "fixed",
        role,
        "not points",
        frame,
        other,
        f"a point inside each shape stands for it ({kinds})",
    )
    shapes[other] = shapely.point_on_surface(shapes[other])
    # A collection of points is what a MultiPoint says.
    collection = ~empty & (shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION)
    shapes[collection] = [
        shapely.multipoints(shapely.get_parts(shape)) for shape in shapes[collection]
    ]


def _of_one_kind(
    role: str, frame: gpd.GeoDataFrame, shapes: np.ndarray, empty: np.ndarray, found: list[Finding]
) -> np.ndarray:
    """Keep the parts of the wanted dimension, take the outline of fault zones; return what is left
    out.
    """
    wanted, dimension = WANTED[role]
    collection = ~empty & (shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION)
    if collection.any():
        before = shapes[collection]
        shapes[collection] = [_only(shape, dimension) for shape in before]
        mixed = collection.copy()
        mixed[collection] = ~shapely.is_empty(shapes[collection])
        done = f"collections: only their {wanted} are used"
        note(found, "fixed", role, "geometry collection", frame, mixed, done)
    if role == "faults":
        zone = ~empty & (shapely.get_dimensions(shapes) == 2)
        note(
            found,
            "fixed",
            role,
            "fault zones as polygons",
            frame,
            zone,
            "their outlines stand for the faults",
            "give centre lines where a zone is wider than a few cells",
        )
        shapes[zone] = shapely.boundary(shapes[zone])
    other = ~empty & (shapely.is_empty(shapes) | (shapely.get_dimensions(shapes) != dimension))
    kinds = _kinds(frame.geometry.to_numpy()[other])
    done = f"features that are not {wanted} were left out ({kinds})"
    note(found, "fixed", role, f"not {wanted}", frame, other, done)
    return other


def _only(shape: shapely.Geometry, dimension: int) -> shapely.Geometry:
    """Return the parts of a collection that have the dimension, as one geometry."""
    parts = shapely.get_parts(shape)
    while (shapely.get_type_id(parts) == shapely.GeometryType.GEOMETRYCOLLECTION).any():
        parts = shapely.get_parts(parts)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == dimension])


def _kinds(shapes: np.ndarray) -> str:
    """Say which kinds of shapes there are: ``2 Polygon, 1 LineString``."""
    names, counts = np.unique(shapely.get_type_id(shapes), return_counts=True)
    kinds = [
        (int(count), shapely.GeometryType(name).name)
        for name, count in zip(names, counts, strict=True)
    ]
    return ", ".join(f"{count:,} {name.lower()}" for count, name in sorted(kinds, reverse=True))


def drop_far_points(role: str, frame: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Leave out the few points that lie in another country, (0, 0) above all: they would stretch
    every extent.
    """
    if len(frame) < LEAST_POINTS:
        return frame
    xy = shapely.get_coordinates(frame.geometry.to_numpy())
    distance = np.hypot(*(xy - np.median(xy, axis=0)).T)
    usual = np.quantile(distance, 0.9)
    far = distance > FAR * usual if usual > 0 else np.zeros(len(frame), bool)
    if far.mean() > 0.05:
        return frame
    zero = far & (np.abs(xy) < 1e-9).all(axis=1)
    done = (
        f"left out: the coordinates 0, 0 mean that there are none (the {role} lie around"
        f" {_place(xy)})"
    )
    note(found, "fixed", role, "coordinates 0, 0", frame, zero, done, "correct the coordinates")
    away = far & ~zero
    if away.any():
        least = distance[away].min() / 1e3
        most = distance[away].max() / 1e3
        reach = (
            f"{least:,.0f} km"
            if f"{least:,.0f}" == f"{most:,.0f}"
            else f"{least:,.0f} to {most:,.0f} km"
        )
        done = (
            f"left out: {reach} from the middle of the {role}, nine in ten of which lie within"
            f" {usual / 1e3:,.3g} km"
        )
        note(
            found,
            "fixed",
            role,
            "far from all others",
            frame,
            away,
            done,
            "correct the coordinates",
        )
    return frame[~far]


def _place(xy: np.ndarray) -> str:
    return ", ".join(f"{value:,.0f}" for value in np.median(xy, axis=0))


# --- the geological map as a whole
# -----------------------------------------------------------------------------------


def check_coverage(geology: gpd.GeoDataFrame, column: str | None, found: list[Finding]) -> None:
    """Say where polygons of the geological map overlap, repeat each other or are slivers."""
    shapes = geology.geometry.to_numpy()
    perimeter = shapely.length(shapes)
    narrow = 2 * shapely.area(shapes) < SLIVER_WIDTH * perimeter
    done = f"narrower than {SLIVER_WIDTH:g} m on average: kept"
    note(
        found, "noticed", "geology", "slivers", geology, narrow, done, "merge them with a neighbour"
    )
    first, second, common = overlaps(shapes)
    if not len(first):
        return
    area = shapely.area(common)
    involved = np.zeros(len(shapes), bool)
    involved[first] = involved[second] = True
    others = ""
    if column is not None:
        names = geology[column].astype("string").fillna("").to_numpy(str)
        other = names[first] != names[second]
        others = f", {other.sum():,} of them of two classes"
    twice = (area >= 0.999 * shapely.area(shapes[first])) & (
        area >= 0.999 * shapely.area(shapes[second])
    )
    repeats = f", {twice.sum():,} of them the same polygon twice" if twice.any() else ""
    done = (
        f"{len(area):,} pairs of polygons overlap{others}{repeats}: {in_km2(area.sum())} in all, "
        f"{in_km2(area.max())} the largest; the later polygon of the file counts there"
    )
    order = np.argsort(-area)[:ROWS_KEPT]
    finding = Finding(
        "noticed", "geology", column or "", "overlapping polygons", len(area), done, "edit the map"
    )
    rows = rows_of(geology.index, involved)
    found.append(replace(finding, rows=rows, shapes=tuple(common[order])))


def overlaps(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs (first, second) of valid polygons that share more than a square metre, and
    what they share.

    >>> a, b, c = shapely.box(0, 0, 10, 10), shapely.box(8, 0, 20, 10), shapely.box(20, 0, 30, 10)
    >>> first, second, common = overlaps(np.array([a, b, c]))
    >>> first.tolist(), second.tolist(), shapely.area(common).tolist()
    ([0], [1], [20.0])
    """
    # One polygon, the ground between all others, may have a million vertices: it is compared piece
    # by piece. Neighbours of a clean map only touch, which is quick to tell.
    pieces, owner = _pieces(shapes)
    one, other = shapely.STRtree(pieces).query(pieces)
    keep = owner[one] < owner[other]
    one = one[keep]
    other = other[keep]
    shapely.prepare(pieces)
    keep = ~shapely.touches(pieces[one], pieces[other])
    one = one[keep]
    other = other[keep]
    common = shapely.intersection(pieces[one], pieces[other])
    pair, number = np.unique(
        np.column_stack([owner[one], owner[other]]), axis=0, return_inverse=True
    )
    area = np.bincount(number.ravel(), shapely.area(common), minlength=len(pair))
    large = area >= LEAST_OVERLAP
    order = np.argsort(number.ravel(), kind="stable")
    groups = np.split(
        common[order], np.cumsum(np.bincount(number.ravel(), minlength=len(pair)))[:-1]
    )
    whole = [
        _only(shapely.union_all(group), 2)
        for group, kept in zip(groups, large, strict=False)
        if kept
    ]
    return pair[large, 0], pair[large, 1], np.array(whole, object)


def _pieces(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the polygons, the large ones cut into halves until small, and the number of the
    polygon of each piece.
    """
    large = shapely.get_num_coordinates(shapes) > PIECE
    pieces = list(shapes[~large])
    owner = list(np.flatnonzero(~large))
    todo = [
        (shape, number) for number, shape in zip(np.flatnonzero(large), shapes[large], strict=True)
    ]
    while todo:
        shape, number = todo.pop()
        west, south, east, north = shape.bounds
        x = (west + east) / 2
        y = (south + north) / 2
        wide = east - west > north - south
        for corners in (
            (west, south, x, north) if wide else (west, south, east, y),
            (x, south, east, north) if wide else (west, y, east, north),
        ):
            half = _only(shapely.make_valid(shapely.clip_by_rect(shape, *corners)), 2)
            if shapely.is_empty(half):
                continue
            count = shapely.get_num_coordinates(half)
            if PIECE < count < shapely.get_num_coordinates(shape):
                todo.append((half, number))
            else:
                pieces.append(half)
                owner.append(number)
    return np.array(pieces, object), np.array(owner, int)


def covered(area: shapely.Geometry, shapes: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the share of an area that polygons cover, and the parts they leave open, the largest
    first.
    """
    near = shapes[shapely.intersects(shapely.box(*area.bounds), shapes)]
    open_parts = shapely.get_parts(shapely.difference(area, shapely.union_all(near)))
    open_parts = open_parts[shapely.get_dimensions(open_parts) == 2]
    size = shapely.area(open_parts)
    order = np.argsort(-size)
    return 1 - float(size.sum()) / area.area, open_parts[order][size[order] >= LEAST_OVERLAP]


def in_km2(square_metres: float) -> str:
    """Return an area as people write it.

    >>> in_km2(4_609_000_000), in_km2(25_000), in_km2(12)
    ('4,609 km2', '0.025 km2', '12 m2')
    """
    return (
        f"{square_metres / 1e6:,.0f} km2"
        if square_metres >= 1e8
        else (
            f"{square_metres / 1e6:,.3g} km2"
            if square_metres >= 1e4
            else f"{square_metres:,.0f} m2"
        )
    )


def median_spacing(samples: gpd.GeoDataFrame) -> float:
    """Return the median distance (m) from a sampled place to the next; 0 with a single place."""
    places = np.unique(np.column_stack([samples.geometry.x, samples.geometry.y]), axis=0)
    if len(places) < 2:
        return 0.0
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))
