"""The folder of a finished run goes in; ``targets.gpx`` for a satellite receiver and ``targets.kmz`` for
a globe or a tablet come out.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from pyproj import CRS
from rasterio.transform import array_bounds, from_bounds
from rasterio.warp import Resampling, calculate_default_transform, reproject

from ..files import finished_file
from ..progress import say
from ..survey.label_columns import labels_of
from .qgis.colours import STATUS
from .qgis.contents import RunContents, read_contents
from .qgis.fields import FIELDS
from .qgis.markup import node, to_text
from .qgis.raster_styles import share_classes

DEGREES = 4326
LONGEST_SIDE = 2048
"""Pixels of the score overlay; tablets refuse larger pictures."""

FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""Of the files inside an archive: equal runs give equal files."""

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
OUTSIDE = ("number", "name", "why", "lon", "lat", "x", "y")
"""Columns that stand elsewhere in a description."""


def write_field_files(out: str | Path) -> list[Path]:
    """Write ``targets.gpx`` and ``targets.kmz`` from the files of a run's folder.

    Parameters
    ----------
    out : path
        The run's folder.

    Returns
    -------
    list of Path
        ``targets.gpx``: a waypoint on the best cell of each target and on each known deposit, a
        track around each target. ``targets.kmz``: the same as polygons and points, with the score as
        an overlay. Longitude and latitude on WGS 84. None where the run is in a local grid, such as
        a mine's: nobody knows where it lies.

    Raises
    ------
    UsageError
        The folder holds no finished run.
    """
    contents = read_contents(out)
    crs, _, _ = contents.grid
    if CRS(crs).geodetic_crs is None:
        say(f"{CRS(crs).name} is a local grid without degrees: no targets.gpx and no targets.kmz")
        return []
    targets = _layer(contents, "targets")
    deposits = _layer(contents, "deposits")
    gpx = contents.folder / "targets.gpx"
    with finished_file(gpx, overwrite=True) as final:
        text = DECLARATION + to_text(gpx_node(targets, deposits))
        final.write_text(text, encoding="utf-8")
    kmz = contents.folder / "targets.kmz"
    picture, bounds = score_overlay(contents)
    text = DECLARATION + to_text(kml_node(targets, deposits, bounds))
    inside = {
        "doc.kml": text.encode("utf-8"),
        "score.png": picture,
    }
    with finished_file(kmz, overwrite=True) as final, zipfile.ZipFile(final, "w") as archive:
        for name, content in inside.items():
            entry = zipfile.ZipInfo(name, date_time=FIXED_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return [gpx, kmz]


def _layer(contents: RunContents, name: str) -> gpd.GeoDataFrame:
    """Return a layer of ``targets.gpkg``, the best cells of targets with it; empty if missing."""
    stored = contents.layer("targets.gpkg", name)
    if stored is None:
        crs, _, _ = contents.grid
        return gpd.GeoDataFrame({"number": []}, geometry=[], crs=crs)
    return contents.frame(stored)


def target_label(target: Mapping[str, Any]) -> str:
    """Return what a target is called: its name, or its number in older runs.

    >>> [target_label({"name": "K3", "number": 9}), target_label({"number": 9})]
    ['K3', 'T9']
    """
    return str(target.get("name") or f"T{target['number']}")


def target_text(target: Mapping[str, Any]) -> str:
    """Return what is known of a target in one paragraph; what is missing is left out.

    >>> target_text({"number": 1, "status": "new", "area_km2": 0.543, "geology": None})
    'Status: new; Area (km²): 0.54'
    """
    parts = []
    for column, value in target.items():
        alias, decimals = FIELDS.get(column, (None, None))
        if alias is None or _is_empty(value) or column in OUTSIDE:
            continue
        if decimals is not None and isinstance(value, int | float | np.number):
            parts.append(f"{alias}: {value:,.{decimals}f}")
        else:
            parts.append(f"{alias}: {value}")
    why = target.get("why")
    return f"{why} {'; '.join(parts)}" if why else "; ".join(parts)


def _is_empty(value: object) -> bool:
    """Return whether a field holds nothing that could be read out."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value == ""


def _rows(frame: gpd.GeoDataFrame) -> Iterator[dict[str, Any]]:
    yield from frame.drop(columns="geometry").to_dict("records")


def _best_cells(targets: gpd.GeoDataFrame) -> gpd.GeoSeries:
    """Return the best cell of each target in degrees; a point inside where a run names none."""
    if {"x", "y"} <= set(targets.columns):
        points = gpd.points_from_xy(targets["x"], targets["y"])
        places = gpd.GeoSeries(points, index=targets.index, crs=targets.crs)
        return places.to_crs(DEGREES)
    return targets.representative_point().to_crs(DEGREES)


def _polygons(shape: shapely.Geometry) -> list[shapely.Polygon]:
    parts = shapely.get_parts(shape)
    return [part for part in parts if isinstance(part, shapely.Polygon)]


def gpx_node(targets: gpd.GeoDataFrame, deposits: gpd.GeoDataFrame) -> Element:
    """Return waypoints on targets and deposits, and a track around each target (GPX 1.1)."""
    waypoints = []
    tracks = []
    outlines = targets.geometry.to_crs(DEGREES)
    # 1. The targets: where to walk first, and around what.
    places = _best_cells(targets)
    for row, place, outline in zip(_rows(targets), places, outlines, strict=True):
        label = target_label(row)
        waypoints.append(_waypoint(place, label, target_text(row), "Flag, Blue"))
        segments = [_segment(polygon) for polygon in _polygons(outline)]
        title = node("name", text=f"Outline {label}")
        tracks.append(node("trk", None, title, *segments))
    # 2. The known deposits, by name.
    places = deposits.geometry.to_crs(DEGREES)
    for place, name in zip(places, _deposit_names(deposits), strict=True):
        waypoints.append(_waypoint(place, name, "Known deposit", "Mine"))
    look = {
        "version": "1.1",
        "creator": "geomfaf",
        "xmlns": "http://www.topografix.com/GPX/1/1",
    }
    return node("gpx", look, *waypoints, *tracks)


def _deposit_names(deposits: gpd.GeoDataFrame) -> list[str]:
    if not len(deposits):
        return []
    return [name or "Deposit" for name in labels_of(deposits, "deposit")]


def _waypoint(
    place: shapely.Point,
    name: str,
    text: str,
    symbol: str,
) -> Element:
    return node(
        "wpt",
        _lat_lon(place.x, place.y),
        node("name", text=name),
        node("desc", text=text),
        node("sym", text=symbol),
    )


def _lat_lon(x: float, y: float) -> dict[str, str]:
    """Return degrees as GPX writes them: six decimals are a decimetre."""
    return {"lat": f"{y:.6f}", "lon": f"{x:.6f}"}


def _segment(polygon: shapely.Polygon) -> Element:
    points = [node("trkpt", _lat_lon(x, y)) for x, y in polygon.exterior.coords]
    return node("trkseg", None, *points)


def kml_node(
    targets: gpd.GeoDataFrame,
    deposits: gpd.GeoDataFrame,
    bounds: tuple[float, float, float, float],
) -> Element:
    """Return a KML document: targets by status, deposits, and the overlay ``score.png``.

    Parameters
    ----------
    bounds : tuple of float
        West, south, east, north of the overlay in degrees.
    """
    parts = [node("name", text="Targets and prospectivity")]
    for status, colour in STATUS.items():
        parts.append(_polygon_look(status, colour))
    yellow = node("color", text="ff1ec8ff")
    smaller = node("scale", text=0.8)
    icon = node("IconStyle", None, yellow, smaller)
    parts.append(node("Style", {"id": "deposit"}, icon))
    # 1. Targets.
    outlines = targets.geometry.to_crs(DEGREES)
    marks = []
    for row, outline in zip(_rows(targets), outlines, strict=True):
        marks.append(_target_mark(row, outline))
    heading = node("name", text="Targets")
    parts.append(node("Folder", None, heading, *marks))
    # 2. Deposits.
    places = deposits.geometry.to_crs(DEGREES)
    named = []
    for name, place in zip(_deposit_names(deposits), places, strict=True):
        named.append(_deposit_mark(name, place))
    heading = node("name", text="Known deposits")
    parts.append(node("Folder", None, heading, *named))
    # 3. The score below them.
    box = node("LatLonBox")
    sides = ("west", "south", "east", "north")
    for side, value in zip(sides, bounds, strict=True):
        box.append(node(side, text=f"{value:.8f}"))
    title = node("name", text="Prospectivity: best 1, 2, 5, 10, 20 % of the area")
    icon = node("Icon", None, node("href", text="score.png"))
    parts.append(node("GroundOverlay", None, title, icon, box))
    document = node("Document", None, *parts)
    return node("kml", {"xmlns": "http://www.opengis.net/kml/2.2"}, document)


def _polygon_look(status: str, colour: str) -> Element:
    """Return the style of a status; KML writes colours as opacity, blue, green, red."""
    red = colour[1:3]
    green = colour[3:5]
    blue = colour[5:7]
    opaque = node("color", text=f"ff{blue}{green}{red}")
    line = node("LineStyle", None, opaque, node("width", text=2.5))
    faint = node("color", text=f"30{blue}{green}{red}")
    fill = node("PolyStyle", None, faint)
    return node("Style", {"id": status}, line, fill)


def _target_mark(
    row: Mapping[str, Any],
    outline: shapely.Geometry,
) -> Element:
    # Globes read markup in a description: names from the data must not become any.
    text = escape(target_text(row))
    shapes = [_kml_polygon(polygon) for polygon in _polygons(outline)]
    return node(
        "Placemark",
        None,
        node("name", text=target_label(row)),
        node("description", text=text),
        node("styleUrl", text=f"#{row.get('status', 'new')}"),
        node("MultiGeometry", None, *shapes),
    )


def _kml_polygon(polygon: shapely.Polygon) -> Element:
    outer = node("outerBoundaryIs", None, _ring(polygon.exterior.coords))
    inner = []
    for ring in polygon.interiors:
        inner.append(node("innerBoundaryIs", None, _ring(ring.coords)))
    return node("Polygon", None, outer, *inner)


def _ring(points: Iterable[tuple[float, ...]]) -> Element:
    text = " ".join(f"{x:.6f},{y:.6f}" for x, y in points)
    return node("LinearRing", None, node("coordinates", text=text))


def _deposit_mark(name: str, place: shapely.Point) -> Element:
    point = node("Point", None, node("coordinates", text=f"{place.x:.6f},{place.y:.6f}"))
    look = node("styleUrl", text="#deposit")
    return node("Placemark", None, node("name", text=name), look, point)


def score_overlay(contents: RunContents) -> tuple[bytes, tuple[float, float, float, float]]:
    """Return the score in classes by share of the area as a PNG in degrees, and its bounds (W, S,
    E, N); ground without a score is transparent.
    """
    from matplotlib.image import imsave

    # 1. Classes are cut on the map itself: shares of the area hold in metres, not in degrees.
    with rasterio.open(contents.folder / "scores.tif") as source:
        score = source.read(1)
        classes = share_classes(score)
        west, south, east, north = source.bounds
        transform, width, height = calculate_default_transform(
            source.crs,
            "EPSG:4326",
            source.width,
            source.height,
            west,
            south,
            east,
            north,
        )
        shrink = max(1.0, max(width, height) / LONGEST_SIDE)
        columns = math.ceil(width / shrink)
        rows = math.ceil(height / shrink)
        bounds = array_bounds(height, width, transform)
        target = from_bounds(*bounds, columns, rows)
        # 2. To degrees, by the nearest cell.
        degrees = np.full((rows, columns), np.nan, np.float32)
        reproject(
            score,
            degrees,
            src_transform=source.transform,
            src_crs=source.crs,
            dst_transform=target,
            dst_crs="EPSG:4326",
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=Resampling.nearest,
        )
    # 3. Colours.
    uppers = [item.upper for item in classes]
    score_or_least = np.nan_to_num(degrees, nan=-np.inf)
    index = np.searchsorted(uppers, score_or_least, side="left")
    colours = [_rgba(item.colour) for item in classes]
    palette = np.array(colours, np.uint8)
    picture = palette[np.minimum(index, len(classes) - 1)]
    picture[~np.isfinite(degrees)] = 0
    buffer = io.BytesIO()
    imsave(buffer, picture, format="png")
    return buffer.getvalue(), bounds


def _rgba(colour: str) -> list[int]:
    """Return red, green, blue of a colour written in hexadecimal, and an opacity that lets the
    globe shine through.
    """
    red = int(colour[1:3], 16)
    green = int(colour[3:5], 16)
    blue = int(colour[5:7], 16)
    return [red, green, blue, 180]
