"""Sample points for the benchmarks: clustered like a stream-sediment survey, the same at
every run.
"""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np

SIDE = 40_000.0
"""Metres of the square survey."""

BANDS = 8


def clustered_points(count: int, seed: int = 20240501) -> tuple[np.ndarray, np.ndarray]:
    """Return (count, 2) coordinates, no two alike, and (bands, count) log-normal values.

    Three quarters of the samples stand in clusters of unequal size, the rest anywhere.
    """
    rng = np.random.default_rng(seed)
    clusters = max(20, count // 120)
    centres = rng.uniform(0, SIDE, (clusters, 2))
    widths = rng.uniform(150, 900, clusters)
    share = rng.gamma(1.0, 1.0, clusters)
    member = rng.choice(clusters, int(count * 0.75), p=share / share.sum())
    near = centres[member] + rng.normal(size=(len(member), 2)) * widths[member, None]
    xy = np.vstack([near, rng.uniform(0, SIDE, (count - len(near), 2))])
    xy = np.clip(SIDE - np.abs(SIDE - np.abs(xy)), 0, SIDE)
    # Centimetres, moved apart where two coincide: peers differ in how they treat those.
    xy = np.round(xy, 2)
    while len(twins := np.setdiff1d(np.arange(count), np.unique(xy, axis=0, return_index=True)[1])):
        xy[twins] = np.round(rng.uniform(0, SIDE, (len(twins), 2)), 2)
    values = np.empty((BANDS, count))
    for band in range(BANDS):
        waves = rng.normal(size=(6, 2)) * 2 * np.pi / 12_000
        phases = rng.uniform(0, 2 * np.pi, 6)
        field = 0.35 * np.cos(xy @ waves.T + phases).sum(axis=1)
        values[band] = np.exp(field + 0.5 * rng.normal(size=count) + rng.uniform(0, 5))
    order = rng.permutation(count)
    return xy[order], values[:, order]


def as_layer(xy: np.ndarray, values: np.ndarray) -> gpd.GeoDataFrame:
    """Return the points as a layer with columns e0, e1, ..."""
    columns = {f"e{band}": row for band, row in enumerate(values)}
    return gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(*xy.T), crs=32633)


def write_layers(folder: Path, count: int) -> None:
    """Write the points as GeoPackage and, for SAGA and WhiteboxTools, as shapefile."""
    layer = as_layer(*clustered_points(count))
    layer.to_file(folder / "points.gpkg", layer="points")
    layer.to_file(folder / "points.shp")
