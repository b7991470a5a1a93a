"""Measure the stack of a large grid: time, peak memory, and whether a crop is what it is without
blocks.

    python benchmarks/stack.py [CELLS [RASTERS]]

100,000 geological polygons, 50,000 fault segments, 100,000 samples of eight elements on CELLS x
CELLS (20,000) cells, ten bands, written block by block as GeoTIFF (zstd level 1) in a process of
its own. The table goes to ``docs/benchmarks`` and into ``docs/gridding.md``. With RASTERS so many rasters of
one's own besides, as large as the grid, whose cells are a tenth larger: the table ``stack_rasters``.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import shapely
from affine import Affine
from idw import survey_grid, write
from points import SIDE, as_layer, clustered_points
from rasterio.windows import Window

from geomfaf.evidence.own_rasters import RasterSource
from geomfaf.evidence.stack import StackPlan, stack_to_file
from geomfaf.survey.survey import Survey

SAMPLES = 100_000
POLYGONS = 100_000
SEGMENTS = 50_000
CLASSES = 30
CROP = 700


def make_survey() -> Survey:
    """Return the survey, the same at every run: a Voronoi map of geology, faults of ten segments
    each.
    """
    rng = np.random.default_rng(1)
    area = shapely.box(0, 0, SIDE, SIDE)
    seeds = shapely.MultiPoint(rng.uniform(0, SIDE, (POLYGONS, 2)))
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=area))
    rocks = np.array([f"rock {number}" for number in range(CLASSES)])
    turns = rng.normal(0, 0.3, (SEGMENTS // 10, 10)).cumsum(axis=1) + rng.uniform(
        0, np.pi, (SEGMENTS // 10, 1)
    )
    steps = np.stack([np.cos(turns), np.sin(turns)], axis=-1) * 60.0
    corners = rng.uniform(0, SIDE, (SEGMENTS // 10, 1, 2)) + np.concatenate(
        [np.zeros((SEGMENTS // 10, 1, 2)), steps.cumsum(axis=1)], axis=1
    )
    samples = as_layer(*clustered_points(SAMPLES))

    def layer(shapes: np.ndarray, **columns: np.ndarray) -> gpd.GeoDataFrame:
        return gpd.GeoDataFrame(columns, geometry=list(shapes), crs=samples.crs)

    return Survey(
        samples=samples,
        deposits=samples.iloc[:20],
        geology=layer(cells, rock=rocks[rng.integers(0, CLASSES, len(cells))]),
        faults=layer(shapely.linestrings(corners)),
        study_area=layer(np.array([area])),
        elements=dict.fromkeys((name for name in samples if name != "geometry"), "ppm"),
        geology_column="rock",
    )


def make_rasters(cells: int, count: int, folder: Path) -> list[RasterSource]:
    """Write rasters as large as the grid, their cells a tenth larger and beside those of the grid."""
    side = SIDE / cells * 1.1
    rng = np.random.default_rng(2)
    transform = Affine(side, 0, -0.4 * side, 0, -side, SIDE + 0.3 * side)
    form = {"driver": "GTiff", "count": 1, "dtype": "float32", "tiled": True, "nodata": -9999.0}
    place = {"height": cells, "width": cells, "crs": 32633, "transform": transform}
    sources = []
    for number in range(count):
        path = folder / f"raster_{number}.tif"
        with rasterio.open(path, "w", **form, **place) as file:
            for row in range(0, cells, 256):
                height = min(256, cells - row)
                values = rng.normal(number, 1, (height, cells)).astype(np.float32)
                file.write(values, 1, window=Window(0, row, cells, height))
        sources.append(RasterSource(path, f"raster {number}"))
    return sources


def one_run(cells: int, path: Path, report: Path, rasters: int = 0) -> None:
    """Build the stack once and report seconds and peak memory."""
    survey = make_survey()
    grid = survey_grid(cells)
    own = make_rasters(cells, rasters, path.parent)
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stack_to_file(survey, grid, path, rasters=own, overwrite=True)
    figures = {
        "cells a side": cells,
        "bands": rasterio.open(path).count,
        "seconds": time.perf_counter() - started,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "survey_gb": before / 1e6,
        "file_gb": path.stat().st_size / 1e9,
    }
    report.write_text(json.dumps(figures))


def differing_cells(cells: int, path: Path, rasters: int = 0) -> int:
    """Return how many values of a crop that lies across blocks differ from those of one block of
    its own.
    """
    # The rasters lie beside the stack since it was built.
    own = [
        RasterSource(path.parent / f"raster_{number}.tif", f"raster {number}")
        for number in range(rasters)
    ]
    plan = StackPlan(make_survey(), survey_grid(cells), rasters=own)
    corner = cells // 2 - CROP // 2
    with rasterio.open(path) as source:
        found = source.read(window=Window(corner, corner, CROP, CROP))
    alone = plan.block(corner, corner, CROP, CROP)
    return int((~((found == alone) | (np.isnan(found) & np.isnan(alone)))).sum())


def main(cells: int, rasters: int = 0) -> None:
    """Run the benchmark and write the table."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "stack.tif"
        report = Path(name) / "report.json"
        subprocess.run(
            [sys.executable, __file__, str(cells), str(rasters), str(path), str(report)], check=True
        )
        figures = json.loads(report.read_text())
        figures[f"differing values in {CROP} x {CROP}"] = differing_cells(cells, path, rasters)
    note = (
        f"{POLYGONS:,} polygons, {SEGMENTS:,} fault segments, {SAMPLES:,} samples; survey_gb:"
        " memory before it."
    )
    note += f" {rasters} rasters of {cells:,} x {cells:,} pixels besides." if rasters else ""
    write(pd.DataFrame([figures]), "stack_rasters" if rasters else "stack", note)


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:3]]
    if len(sys.argv) > 3:
        one_run(numbers[0], Path(sys.argv[3]), Path(sys.argv[4]), numbers[1])
    else:
        main(*numbers or [20_000])
