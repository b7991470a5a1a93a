"""Tables of samples as people write them: 36 places of a grid, in metres and in degrees."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from shapely import LineString, box

UTM = 32650
X = 400_000.0 + 1000 * np.tile(np.arange(6), 6)
Y = 2_400_000.0 + 1000 * np.repeat(np.arange(6), 6)
DEGREES = gpd.GeoSeries.from_xy(X, Y, crs=UTM).to_crs(4326)
LON = DEGREES.x.to_numpy()
LAT = DEGREES.y.to_numpy()
AU = np.round(np.geomspace(1, 40, 36), 2)
CU = np.round(np.geomspace(12, 90, 36), 1)


def samples_table(**columns):
    """Sample, X, Y, Au (ppb), Cu (ppm), and other columns; None leaves one out."""
    names = [f"S{number:03d}" for number in range(36)]
    plain = {"Sample": names, "X": X, "Y": Y, "Au_ppb": AU, "Cu_ppm": CU}
    table = {name: values for name, values in {**plain, **columns}.items() if values is not None}
    return pd.DataFrame(table)


def write_csv(folder: Path, table: pd.DataFrame, name: str = "samples.csv") -> Path:
    path = folder / name
    table.to_csv(path, index=False)
    return path


def write_text(folder: Path, text: str, name: str = "samples.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def deposits(count: int = 8) -> gpd.GeoDataFrame:
    points = gpd.points_from_xy(X[:count] + 300, Y[:count] + 2500)
    return gpd.GeoDataFrame({"name": [f"D{n}" for n in range(count)]}, geometry=points, crs=UTM)


def geology(**columns) -> gpd.GeoDataFrame:
    """Twelve polygons that cover the samples."""
    west, south = X.min() - 3000, Y.min() - 3000
    shapes = [
        box(
            west + 4000 * col, south + 3000 * row, west + 4000 * (col + 1), south + 3000 * (row + 1)
        )
        for row in range(4)
        for col in range(3)
    ]
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=UTM)


def faults(**columns) -> gpd.GeoDataFrame:
    """Four lines across the samples."""
    lines = [LineString([(X[0] + 900 * n, Y[0]), (X[0] + 900 * n + 500, Y[-1])]) for n in range(4)]
    return gpd.GeoDataFrame(columns, geometry=lines, crs=UTM)
