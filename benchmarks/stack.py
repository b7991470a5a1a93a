"""Measure the stack of a large grid: time, peak memory, and whether a crop is what it is without
blocks.

    python benchmarks/stack.py [CELLS]

100,000 geological polygons, 50,000 fault segments, 100,000 samples of eight elements on CELLS x
CELLS (20,000) cells, ten bands, written block by block as GeoTIFF (zstd level 1) in a process of
its own. The table goes to ``docs/benchmarks`` and into ``docs/gridding.md``.
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
from idw import survey_grid, write
from points import SIDE, as_layer, clustered_points
from rasterio.windows import Window

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


def one_run(cells: int, path: Path, report: Path) -> None:
    """Build the stack once and report seconds and peak memory."""
    survey = make_survey()
    grid = survey_grid(cells)
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stack_to_file(survey, grid, path, overwrite=True)
    figures = {
        "cells a side": cells,
        "bands": rasterio.open(path).count,
        "seconds": time.perf_counter() - started,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "survey_gb": before / 1e6,
        "file_gb": path.stat().st_size / 1e9,
    }
    report.write_text(json.dumps(figures))


def differing_cells(cells: int, path: Path) -> int:
    """Return how many values of a crop that lies across blocks differ from those of one block of
    its own.
    """
    plan = StackPlan(make_survey(), survey_grid(cells))
    corner = cells // 2 - CROP // 2
    with rasterio.open(path) as source:
        found = source.read(window=Window(corner, corner, CROP, CROP))
    alone = plan.block(corner, corner, CROP, CROP)
    return int((~((found == alone) | (np.isnan(found) & np.isnan(alone)))).sum())


def main(cells: int) -> None:
    """Run the benchmark and write the table."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "stack.tif"
        report = Path(name) / "report.json"
        subprocess.run([sys.executable, __file__, str(cells), str(path), str(report)], check=True)
        figures = json.loads(report.read_text())
        figures[f"differing values in {CROP} x {CROP}"] = differing_cells(cells, path)
    note = (
        f"{POLYGONS:,} polygons, {SEGMENTS:,} fault segments, {SAMPLES:,} samples; survey_gb:"
        " memory before it."
    )
    write(pd.DataFrame([figures]), "stack", note)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        one_run(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
