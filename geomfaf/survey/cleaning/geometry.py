"""The shapes of the layers: made valid, flat and of one kind, every change counted.

The index of a frame holds its source rows throughout.
"""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.spatial import cKDTree

from .findings import ROWS_KEPT, Finding, Notes, rows_of

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

FARTHEST = 1e8
"""Metres from the origin of a CRS: more than twice around the Earth is no place."""

LEAST_POINTS = 20
"""A layer with fewer points has no outliers."""


def clean_geometry(role: str, frame: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return the layer with valid, 2-D geometry of the role's kind; rows that have none are left
    out.

    The index of the result still holds the source rows; several parts of one row share its number.
    """
    notes = Notes(found, role, frame.index)
    shapes = frame.geometry.to_numpy()
    # 1. flat shapes that lie somewhere
    high = shapely.has_z(shapes)
    notes.noticed("3-D geometry", high, "heights are not used")
    # A copy either way: the caller's shapes stay as they are.
    shapes = shapely.force_2d(shapes) if high.any() else shapes.copy()
    # NaN is in no range: a shape without bounds lies nowhere either
    nowhere = ~(np.abs(shapely.bounds(shapes)) <= FARTHEST).all(axis=1)
    left_out = shapely.is_missing(shapes) | shapely.is_empty(shapes) | nowhere
    notes.fixed("no geometry", left_out, "rows without a place were left out")
    left_out |= _without_length(shapes, left_out, notes)
    # 2. valid shapes
    invalid = ~left_out & ~shapely.is_valid(shapes)
    shapes[invalid] = shapely.make_valid(shapes[invalid])
    done = "repaired (self-crossings, unclosed rings)"
    notes.fixed("invalid geometry", invalid, done, "look at these shapes on the map")
    # 3. shapes of the role's kind
    if role in POINT_ROLES:
        _stand_for(shapes, left_out, notes)
    else:
        left_out |= _of_one_kind(role, frame.geometry.to_numpy(), shapes, left_out, notes)
    cleaned = frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))
    cleaned = cleaned[~left_out]
    if cleaned.geometry.name != "geometry":
        cleaned = cleaned.rename_geometry("geometry")
    if role in POINT_ROLES:
        cleaned = _single_points(role, cleaned, found)
        if not len(cleaned):
            done = f"the {role} have no usable geometry"
            found.append(
                Finding(
                    "refused",
                    role,
                    "",
                    "empty layer",
                    len(frame),
                    done,
                )
            )
    return cleaned


def _single_points(role: str, frame: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return a row a point, where some rows hold several."""
    shapes = frame.geometry.to_numpy()
    several = frame.geom_type.to_numpy() == "MultiPoint"
    parts = several & (shapely.get_num_geometries(shapes) > 1)
    done = "each part counts as a point of its own"
    Notes(found, role, frame.index).noticed("multi-part points", parts, done)
    return frame.explode(index_parts=False) if several.any() else frame


def _without_length(shapes: np.ndarray, left_out: np.ndarray, notes: Notes) -> np.ndarray:
    """Return the lines without length and the polygons without area, which are neither."""
    dimension = shapely.get_dimensions(shapes)
    flat = ~left_out & (dimension == 1) & (shapely.length(shapes) == 0)
    notes.fixed("zero-length line", flat, "lines without length were left out")
    thin = ~left_out & (dimension == 2) & (shapely.area(shapes) == 0)
    # A figure of eight has an area of zero too, and an inside.
    thin[thin] = shapely.get_dimensions(shapely.make_valid(shapes[thin])) < 2
    notes.fixed("polygon without area", thin, "polygons without area were left out")
    return flat | thin


def _stand_for(shapes: np.ndarray, left_out: np.ndarray, notes: Notes) -> None:
    """Put a point inside each shape that is no point, in place."""
    other = ~left_out & (shapely.get_dimensions(shapes) != 0)
    done = f"a point inside each shape stands for it ({_kinds(shapes[other])})"
    notes.fixed("not points", other, done)
    shapes[other] = shapely.point_on_surface(shapes[other])
    # A collection of points is what a MultiPoint says.
    collection = ~left_out & _is_collection(shapes)
    shapes[collection] = [
        shapely.multipoints(shapely.get_parts(shape)) for shape in shapes[collection]
    ]


def _of_one_kind(
    role: str,
    given: np.ndarray,
    shapes: np.ndarray,
    left_out: np.ndarray,
    notes: Notes,
) -> np.ndarray:
    """Keep the parts of the wanted dimension and take the outline of fault zones, in place; return
    what has neither.
    """
    wanted, dimension = WANTED[role]
    collection = ~left_out & _is_collection(shapes)
    if collection.any():
        shapes[collection] = [_only(shape, dimension) for shape in shapes[collection]]
        mixed = collection.copy()
        mixed[collection] = ~shapely.is_empty(shapes[collection])
        done = f"collections: only their {wanted} are used"
        notes.fixed("geometry collection", mixed, done)
    if role == "faults":
        zone = ~left_out & (shapely.get_dimensions(shapes) == 2)
        done = "their outlines stand for the faults"
        advice = "give centre lines where a zone is wider than a few cells"
        notes.fixed("fault zones as polygons", zone, done, advice)
        shapes[zone] = shapely.boundary(shapes[zone])
    # What is left may have become empty on the way: its kind is that of the shape given.
    empty = shapely.is_empty(shapes) | (shapely.get_dimensions(shapes) != dimension)
    other = ~left_out & empty
    done = f"features that are not {wanted} were left out ({_kinds(given[other])})"
    notes.fixed(f"not {wanted}", other, done)
    return other


def _is_collection(shapes: np.ndarray) -> np.ndarray:
    """Return which shapes are collections of several kinds."""
    return shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION


def _only(shape: shapely.Geometry, dimension: int) -> shapely.Geometry:
    """Return the parts of a collection that have the dimension, as one geometry."""
    parts = shapely.get_parts(shape)
    while _is_collection(parts).any():  # collections may hold collections
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
    notes = Notes(found, role, frame.index)
    xy = shapely.get_coordinates(frame.geometry.to_numpy())
    middle = np.median(xy, axis=0)
    distance = np.hypot(*(xy - middle).T)
    usual = float(np.quantile(distance, 0.9))
    far = distance > FAR * usual if usual > 0 else np.zeros(len(frame), bool)
    if far.mean() > 0.05:  # two clusters, not slips
        return frame
    zero = far & (np.abs(xy) < 1e-9).all(axis=1)
    done = (
        f"left out: the coordinates 0, 0 mean that there are none (the {role} lie around"
        f" {', '.join(f'{value:,.0f}' for value in middle)})"
    )
    notes.fixed("coordinates 0, 0", zero, done, "correct the coordinates")
    away = far & ~zero
    if away.any():
        least = f"{distance[away].min() / 1e3:,.0f}"
        most = f"{distance[away].max() / 1e3:,.0f}"
        reach = f"{least} km" if least == most else f"{least} to {most} km"
        done = (
            f"left out: {reach} from the middle of the {role}, nine in ten of which lie within"
            f" {usual / 1e3:,.3g} km"
        )
        notes.fixed("far from all others", away, done, "correct the coordinates")
    return frame[~far]


# --- the geological map as a whole
# -----------------------------------------------------------------------------------


def check_coverage(geology: gpd.GeoDataFrame, column: str | None, found: list[Finding]) -> None:
    """Say where polygons of the geological map overlap, repeat each other or are slivers."""
    shapes = geology.geometry.to_numpy()
    # 1. left-overs of digitising
    narrow = 2 * shapely.area(shapes) < SLIVER_WIDTH * shapely.length(shapes)
    done = f"narrower than {SLIVER_WIDTH:g} m on average: kept"
    Notes(found, "geology", geology.index).noticed(
        "slivers", narrow, done, "merge them with a neighbour"
    )
    # 2. ground that two polygons claim
    first, second, common = overlaps(shapes)
    if not len(first):
        return
    area = shapely.area(common)
    others = ""
    if column is not None:
        names = geology[column].astype("string").fillna("").to_numpy(str)
        other = names[first] != names[second]
        others = f", {other.sum():,} of them of two classes"
    size = shapely.area(shapes)
    twice = (area >= 0.999 * size[first]) & (area >= 0.999 * size[second])
    repeats = f", {twice.sum():,} of them the same polygon twice" if twice.any() else ""
    done = (
        f"{len(area):,} pairs of polygons overlap{others}{repeats}: {in_km2(area.sum())} in all, "
        f"{in_km2(area.max())} the largest; the later polygon of the file counts there"
    )
    finding = Finding(
        "noticed",
        "geology",
        column or "",
        "overlapping polygons",
        len(area),
        done,
        "edit the map",
    )
    # 3. the polygons, and the largest overlaps as shapes for the map
    involved = np.zeros(len(shapes), bool)
    involved[first] = True
    involved[second] = True
    largest = np.argsort(-area)[:ROWS_KEPT]
    rows = rows_of(geology.index, involved)
    found.append(replace(finding, rows=rows, shapes=tuple(common[largest])))


def overlaps(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs (first, second) of valid polygons that share more than a square metre, and
    what they share.

    >>> a, b, c = shapely.box(0, 0, 10, 10), shapely.box(8, 0, 20, 10), shapely.box(20, 0, 30, 10)
    >>> first, second, common = overlaps(np.array([a, b, c]))
    >>> first.tolist(), second.tolist(), shapely.area(common).tolist()
    ([0], [1], [20.0])
    """
    # One polygon, the ground between all others, may have a million vertices: it is compared piece
    # by piece.
    pieces, owner = _pieces(shapes)
    one, other = shapely.STRtree(pieces).query(pieces)
    keep = owner[one] < owner[other]
    one = one[keep]
    other = other[keep]
    # Neighbours of a clean map only touch, which is quick to tell.
    shapely.prepare(pieces)
    keep = ~shapely.touches(pieces[one], pieces[other])
    one = one[keep]
    other = other[keep]
    common = shapely.intersection(pieces[one], pieces[other])
    # The pieces of one pair of polygons are put together again.
    owners = np.column_stack([owner[one], owner[other]])
    pairs, pair = np.unique(owners, axis=0, return_inverse=True)
    pair = pair.ravel()
    area = np.bincount(pair, shapely.area(common), minlength=len(pairs))
    large = area >= LEAST_OVERLAP
    in_order = common[np.argsort(pair, kind="stable")]
    ends = np.cumsum(np.bincount(pair, minlength=len(pairs)))[:-1]
    groups = np.split(in_order, ends)
    whole = [
        _only(shapely.union_all(group), 2)
        for group, kept in zip(groups, large, strict=False)
        if kept
    ]
    return pairs[large, 0], pairs[large, 1], np.array(whole, object)


def _pieces(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the polygons, the large ones cut into halves until small, and the number of the
    polygon of each piece.
    """
    large = shapely.get_num_coordinates(shapes) > PIECE
    pieces = list(shapes[~large])
    owner = list(np.flatnonzero(~large))
    todo = list(zip(shapes[large], np.flatnonzero(large), strict=True))
    while todo:
        shape, number = todo.pop()
        for half in _halves(shape):
            # A half with as many vertices as the whole would be cut for ever.
            count = shapely.get_num_coordinates(half)
            if PIECE < count < shapely.get_num_coordinates(shape):
                todo.append((half, number))
            else:
                pieces.append(half)
                owner.append(number)
    return np.array(pieces, object), np.array(owner, int)


def _halves(shape: shapely.Geometry) -> list[shapely.Geometry]:
    """Return what lies on either side of the middle of a polygon's longer side."""
    west, south, east, north = shape.bounds
    x = (west + east) / 2
    y = (south + north) / 2
    if east - west > north - south:
        boxes = [(west, south, x, north), (x, south, east, north)]
    else:
        boxes = [(west, south, east, y), (west, y, east, north)]
    halves = [_only(shapely.make_valid(shapely.clip_by_rect(shape, *box)), 2) for box in boxes]
    return [half for half in halves if not shapely.is_empty(half)]


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
    if square_metres >= 1e8:
        return f"{square_metres / 1e6:,.0f} km2"
    if square_metres >= 1e4:
        return f"{square_metres / 1e6:,.3g} km2"
    return f"{square_metres:,.0f} m2"


def median_spacing(samples: gpd.GeoDataFrame) -> float:
    """Return the median distance (m) from a sampled place to the next; 0 with a single place."""
    xy = np.column_stack([samples.geometry.x, samples.geometry.y])
    # np.unique(axis=0) takes ten times as long, as it compares records.
    places = pd.DataFrame(xy).drop_duplicates().to_numpy()
    if len(places) < 2:
        return 0.0
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))
