"""A table with a column of shapes goes in (WKT, WKB, GeoJSON, or "latitude, longitude"); its rows
with their shapes come out.
"""

from __future__ import annotations

import re

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from ..errors import DataError
from ..rasters.grid import parse_crs
from .coordinates import no_crs
from .survey import Source

_SHAPE_NAMES = (
    "geometry geom the_geom wkt wkt_geom shape geometry_wkt geog geojson geo_json geo_shape geo_point"
    " geo_point_2d location latlon lat_lon latlng lat_long lonlat lon_lat long_lat coordinates coordinate"
    " coords coord position gps latitude_longitude longitude_latitude coordenadas koordinaten point"
).split()


def folded(column: object) -> str:
    """Return a heading in small letters without its signs."""
    return re.sub(r"[\W_]+", "", str(column).casefold())


def shape_column(table: pd.DataFrame) -> str | None:
    """Return the column that holds shapes as text: POINT (116 21), or their bytes in hexadecimal."""
    for column in table.columns:
        if str(column).casefold() not in _SHAPE_NAMES and not folded(column).startswith("wkt"):
            continue
        # A heading alone tells nothing: the first cell must read as a shape.
        texts = table[column].dropna().astype(str)
        if len(texts) and _shape(texts.iloc[0])[0] is not None:
            return str(column)
    return None


_LAT_LON = re.compile(r"\s*[(\[]?\s*([-+]?\d{1,3}\.\d+)\s*[,; ]\s*([-+]?\d{1,3}\.\d+)\s*[)\]]?\s*")


def _point_of(both: re.Match[str], lon_first: bool) -> shapely.Point | None:
    """Return the place of "21.7, 116.04": latitude first, as such columns have it, unless the
    heading says otherwise or it cannot be one.
    """
    first = float(both[1])
    second = float(both[2])
    lat, lon = (second, first) if lon_first or abs(first) > 90 else (first, second)
    return shapely.Point(lon, lat) if abs(lat) <= 90 and abs(lon) <= 180 else None


def _shape(text: str, lon_first: bool = False) -> tuple[shapely.Geometry | None, int | None]:
    """Return the shape that a text stands for, and its SRID where it says one."""
    # EWKT says its CRS before the shape.
    said = re.match(r"\s*SRID=(\d+);", text, re.IGNORECASE)
    code = int(said[1]) if said else None
    plain = text[said.end() :] if said else text
    both = _LAT_LON.fullmatch(plain)
    if both is not None:
        return _point_of(both, lon_first), None
    try:
        if plain.lstrip().startswith("{"):
            return shapely.from_geojson(plain), code or 4326
        if re.fullmatch(r"\s*[0-9A-Fa-f]{18,}\s*", plain):
            shape = shapely.from_wkb(plain.strip())
            return shape, code or int(shapely.get_srid(shape)) or None
        return shapely.from_wkt(plain), code
    except shapely.errors.GEOSException:
        return None, None


def shapes_of_column(
    table: pd.DataFrame,
    column: str,
    source: Source,
    file: str,
) -> gpd.GeoDataFrame:
    """Return the rows of a table with the shapes that a column holds as text."""
    lon_first = folded(column).startswith("lon")
    parsed = [
        _shape(str(text), lon_first) if pd.notna(text) else (None, None) for text in table[column]
    ]
    # The settings count first, then what the cells say, then degrees.
    code = next((srid for _, srid in parsed if srid), None)
    if source.crs is None and code is None and source.xy_unit != "deg":
        raise DataError(no_crs(file))
    crs = parse_crs(source.crs) if source.crs else CRS.from_epsg(code or 4326)
    shapes = np.array([shape for shape, _ in parsed], object)
    # Pairs of latitude and longitude are degrees, whatever metres the settings name.
    pairs = table[column].astype("string").str.fullmatch(_LAT_LON).fillna(False).to_numpy(bool)
    own = crs.geodetic_crs
    if pairs.any() and not crs.is_geographic and own is not None:
        crs = own
    left = table.drop(columns=column)
    return gpd.GeoDataFrame(left, geometry=gpd.GeoSeries(shapes, index=left.index, crs=crs))
