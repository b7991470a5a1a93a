"""Small folders of finished runs: one with everything and hostile names, one with next to nothing."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine
from pyproj import CRS
from scipy.ndimage import gaussian_filter

from geomfaf.deliver.isolines import anomaly_classes, isolines
from geomfaf.deliver.layers import by_geometry, write_layers
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.rasters.geotiff import read_raster, write_raster
from geomfaf.rasters.grid import Grid

UTM = CRS.from_epsg(32633)
HOSTILE = (
    '<script>alert("1")</script>',
    "O'Brien's \"gold\"",
    "two\nlines & [% 1 + 1 %]",
    "金矿 Ääkkö",
)
RECORD = {
    "title": 'Gold & <copper> of "St John\'s"',
    "area": "St John's",
    "commodities": {"Au": 3, "Cu": 2},
    "geology_column": 'the "rock"',
    "chosen_model": "MFAF",
    "versions": {"geomfaf": "0.1.0"},
    "finished": "2026-11-26T12:00:00+0000",
}
SCORES = ("score", "heldout_score", "spread", "vote_share", "dissimilarity", "applicable")


def small_grid() -> Grid:
    return Grid(UTM, Affine(100.0, 0, 500_000, 0, -100.0, 6_000_000), (60, 50))


def smooth(seed: int, shape=(60, 50)) -> np.ndarray:
    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)


def write_maps(out: Path, classes: int, elements: int) -> np.ndarray:
    """Write the two rasters that every run has; return the score."""
    grid = small_grid()
    layers = [10 ** (5 * smooth(number)) for number in range(elements)]
    bands = [Band(f"E{k}", "element", "ppm", f"E{k} (ppm), IDW of log10") for k in range(elements)]
    if classes:
        # Every class has a stripe, the wider the lower its number.
        rank = np.argsort(np.argsort(smooth(20).ravel())).reshape(grid.shape) / grid.size
        layers.append(1 + np.floor(rank**2 * classes))
        legend = {1 + k: (HOSTILE[k] if k < len(HOSTILE) else f"rock {k}") for k in range(classes)}
        bands.append(Band("geology", "class", "", 'Geology (the "rock")', legend))
    write_raster(as_dataarray(np.stack(layers), grid, bands), out / "stack.tif")
    score = smooth(7)
    score = (score - score.min()) / np.ptp(score)
    inside = np.hypot(*np.mgrid[-1:1:60j, -1:1:50j]) < 1.2
    values = [np.where(inside, score + 0.01 * k, np.nan) for k in range(len(SCORES) - 1)]
    values.append(np.where(inside, smooth(9) < 0.05, np.nan))
    bands = [Band(name, "score", "", f"{name} of the map") for name in SCORES]
    write_raster(as_dataarray(np.stack(values), grid, bands), out / "scores.tif")
    return values[0]


def target_frame() -> gpd.GeoDataFrame:
    """Three targets with the columns of the contract that texts are made of, names hostile."""
    shapes = [shapely.Point(501_000 + 900 * k, 5_996_000 + 500 * k).buffer(350) for k in range(3)]
    return gpd.GeoDataFrame(
        {
            "number": [1, 2, 3],
            "name": ["T1", "T2", "K1"],
            "list": ["exploration", "exploration", "known ground"],
            "status": ["new", "extension", "known"],
            "rank": [1, 2, 1],
            "area_km2": [0.3848, 0.3848, 0.3848],
            "mean_score": [0.91234567, 0.8, 0.7],
            "max_score": [0.95, 0.85, 0.75],
            "heldout_score": [0.81, 0.7, np.nan],
            "spread": [0.05, 0.06, 0.07],
            "extrapolated": [0.0, 0.1, 0.2],
            "deposits": [0, 0, 1],
            "deposit_distance_m": [5000.0, 900.0, 0.0],
            "nearest_deposit": HOSTILE[:3],
            "nearest_commodity": ["Au", "Cu", None],
            "elements": ["Au 98 %, Cu 95 %", "Cu 97 %", ""],
            "best_samples": ["Au 12.5 ppb, S00348", "", ""],
            "geology": HOSTILE[1:],
            "rocks": ["granite 62 %, shale 30 %", HOSTILE[0], ""],
            "fault": ["", HOSTILE[1], ""],
            "fault_distance_m": [120.0, 80.0, np.nan],
            "fault_strike": [45.0, 60.0, np.nan],
            "x": [501_000.0, 501_900.0, 502_800.0],
            "y": [5_996_000.0, 5_996_500.0, 5_997_000.0],
            "lon": [15.0153, 15.0291, 15.0428],
            "lat": [54.1, 54.11, 54.12],
            "factors": ["Au +0.12; fault distance +0.08; Cu -0.02", "Cu +0.1", ""],
            "why": ["High gold beside a fault.", HOSTILE[0], ""],
        },
        geometry=shapes,
        crs=UTM,
    )


def full_run(out: Path) -> Path:
    """Fill a folder with every file that deliverables are made of."""
    out.mkdir(parents=True)
    write_maps(out, classes=5, elements=3)
    targets = target_frame()
    deposits = gpd.GeoDataFrame(
        {"name": HOSTILE, "commodity": ["Au", "Cu", HOSTILE[0], None], "map_score": [0.9] * 4},
        geometry=gpd.points_from_xy([501_000, 502_800, 503_500, 501_500], [5_995_500] * 4),
        crs=UTM,
    )
    cells = gpd.GeoDataFrame(
        {"number": range(1, 13), "status": ["known", "new", "missed", ""] * 3, "score": 0.5},
        geometry=[
            shapely.box(x, y, x + 1250, y + 1250)
            for y in (5_996_000, 5_997_250, 5_998_500)
            for x in (500_000, 501_250, 502_500, 503_750)
        ],
        crs=UTM,
    )
    factors = pd.DataFrame(
        {
            "number": [1, 1, 2],
            "factor": ["Au", "Cu", "Au"],
            "value": [12.5, 40.0, 8.0],
            "percentile": [98.0, 60.0, 90.0],
            "contribution": [0.12, -0.02, 0.1],
        }
    )
    points = targets.set_index("number").representative_point().loc[factors["number"]]
    factors = gpd.GeoDataFrame(factors, geometry=points.to_numpy(), crs=UTM)
    layers = {"targets": targets, "cells": cells, "deposits": deposits, "target_factors": factors}
    write_layers(layers, out / "targets.gpkg")
    write_survey(out, deposits)
    stack = read_raster(out / "stack.tif")
    lines = {"isolines": isolines(stack), "anomalies": anomaly_classes(stack)}
    write_layers(lines, out / "isolines.gpkg")
    fold = gpd.GeoDataFrame(
        {"fold": [1, 2]},
        crs=UTM,
        geometry=[
            shapely.box(500_000, 5_994_000, 502_500, 6_000_000),
            shapely.box(502_500, 5_994_000, 505_000, 6_000_000),
        ],
    )
    windows = gpd.GeoDataFrame({"label": [1, 0]}, crs=UTM, geometry=cells.geometry[:2])
    write_layers({"folds": fold, "windows": windows}, out / "windows.gpkg")
    finding = {
        "severity": ["fixed", "refused"],
        "layer": "samples",
        "rule": [HOSTILE[0], "far off"],
        "row": [3, 7],
    }
    shapes = [
        shapely.Point(502_000, 5_997_000),
        shapely.box(501_000, 5_996_000, 503_000, 5_998_000),
    ]
    found = gpd.GeoDataFrame(finding, geometry=shapes, crs=UTM)
    write_layers(by_geometry(found), out / "check.gpkg")
    return out


def write_survey(out: Path, deposits: gpd.GeoDataFrame) -> None:
    """Write the layers of the survey, the geology by the hostile names of the stack's legend."""
    column = RECORD["geology_column"]
    names = [*HOSTILE, "rock 4"]
    stripes = [
        shapely.box(500_000, 5_994_000 + 1200 * k, 505_000, 5_995_200 + 1200 * k) for k in range(5)
    ]
    place = np.random.default_rng(3)
    samples = {
        "sample_id": [f"S{k}" for k in range(30)],
        "flags": "",
        "Au": place.uniform(1, 9, 30),
    }
    points = gpd.points_from_xy(
        place.uniform(500_000, 505_000, 30), place.uniform(5_994_000, 6e6, 30)
    )
    faults = [shapely.LineString([(500_000, 5_995_000), (505_000, 5_999_000)])]
    write_layers(
        {
            "samples": gpd.GeoDataFrame(samples, geometry=points, crs=UTM),
            "deposits": deposits,
            "geology": gpd.GeoDataFrame({"id": range(5), column: names}, geometry=stripes, crs=UTM),
            "faults": gpd.GeoDataFrame({"name": [HOSTILE[0]]}, geometry=faults, crs=UTM),
            "study_area": gpd.GeoDataFrame(
                geometry=[shapely.box(500_000, 5_994_000, 505_000, 6e6)], crs=UTM
            ),
        },
        out / "survey.gpkg",
    )


def poor_run(out: Path) -> Path:
    """Fill a folder with what a run of one element and nothing else leaves: no faults, no geology,
    no target found.
    """
    out.mkdir(parents=True)
    write_maps(out, classes=0, elements=1)
    nothing = target_frame().iloc[:0]
    deposits = gpd.GeoDataFrame(
        {"map_score": [0.5]}, geometry=gpd.points_from_xy([502_000], [5_997_000]), crs=UTM
    )
    write_layers({"targets": nothing, "deposits": deposits}, out / "targets.gpkg")
    return out


def run_of_many_rocks(out: Path) -> Path:
    """Fill a folder with a map of 300 lithologies."""
    out.mkdir(parents=True)
    write_maps(out, classes=300, elements=1)
    stripes = [
        shapely.box(500_000, 5_994_000 + 20 * k, 505_000, 5_994_020 + 20 * k) for k in range(300)
    ]
    names = [HOSTILE[k] if k < len(HOSTILE) else f"rock {k}" for k in range(300)]
    rocks = gpd.GeoDataFrame({"lithology": names}, geometry=stripes, crs=UTM)
    write_layers({"geology": rocks}, out / "survey.gpkg")
    write_layers({"targets": target_frame()}, out / "targets.gpkg")
    return out
