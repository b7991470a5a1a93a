"""Measure `geomfaf targets` on large maps, from the shell: time, peak memory, time a cell.

    python benchmarks/large_targets.py [CELLS ...]

A score map and a stack of ten bands on CELLS x CELLS (1,000, 5,000 and 20,000) cells as GeoTIFF; a
sample for every 4,000 cells, a fault for every 10,000 and a deposit for every 1,000,000 of them. The
table goes to ``docs/benchmarks`` and into ``docs/gridding.md``. The largest files take 25 GB of the
folder for temporary files while they are measured.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from idw import write
from predict import BANDS, make_pattern, write_stack
from scipy.special import expit

from geomfaf.deliver.layers import write_layers
from geomfaf.models.predict import SCORE_BANDS
from geomfaf.rasters.grid import Grid
from geomfaf.rasters.stream import stream_raster

SAMPLE = 4_000
FAULT = 10_000
DEPOSIT = 1_000_000
LEAST_DEPOSITS = 20
FAULT_CELLS = 40
# A child's peak is never below that of the process that starts it: one that holds nothing does.
LAUNCHER = """
import os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(child, 0)
print(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(status != 0)
"""


def write_scores(grid: Grid, path: Path) -> Path:
    """Write a score map block by block: hills of some fifty cells on waves of some hundreds."""
    ranks = np.log10(make_pattern()[0])
    hills = (ranks - ranks.mean()) / ranks.std()

    def block(row: int, column: int, height: int, width: int) -> np.ndarray:
        down = np.arange(row, row + height)[:, None]
        across = np.arange(column, column + width)[None, :]
        waves = np.sin(down / 190 + np.cos(across / 410)) + np.sin(
            across / 230 + np.cos(down / 370)
        )
        logit = 1.5 * hills[:height, :width] + waves - 2
        # A little noise of each block's own, so that hardly two cells score alike.
        noise = np.random.default_rng((row, column)).normal(
            0, 0.02, (len(SCORE_BANDS), height, width)
        )
        return expit(logit + noise).astype(np.float32)

    return stream_raster(path, grid, SCORE_BANDS, block, job="scores", cog=False)


def write_survey(grid: Grid, path: Path) -> Path:
    """Write deposits, samples and faults in random places."""
    rng = np.random.default_rng(2)
    west, south, east, north = grid.bounds
    layers = {}
    counts = {
        "deposits": max(LEAST_DEPOSITS, grid.size // DEPOSIT),
        "samples": grid.size // SAMPLE,
        "faults": grid.size // FAULT,
    }
    for name, count in counts.items():
        places = rng.uniform((west, south), (east, north), (count, 2))
        shapes = shapely.points(places)
        if name == "faults":
            ends = places + rng.normal(0, FAULT_CELLS * grid.cell, (count, 2))
            shapes = shapely.linestrings(np.stack([places, ends], axis=1))
        labels = {"id": [f"{name[0].upper()}{number}" for number in range(count)]}
        layers[name] = gpd.GeoDataFrame(labels, geometry=shapes, crs=grid.crs)
    values = rng.lognormal(2, 1, (counts["samples"], 3))
    for symbol, column in zip(("Au_ppb", "Cu_ppm", "Zn_ppm"), values.T, strict=True):
        layers["samples"][symbol] = column
    return write_layers(layers, path)


def make_files(cells: int, folder: Path) -> Grid:
    """Write all that the command reads; return the grid."""
    grid = write_stack(cells, folder / "stack.tif")
    write_scores(grid, folder / "scores.tif")
    write_survey(grid, folder / "survey.gpkg")
    return grid


def measured(grid: Grid, folder: Path) -> dict[str, float]:
    """Return time and peak memory of the command."""
    survey = folder / "survey.gpkg"
    out = folder / "targets.gpkg"
    words = ["targets", folder / "scores.tif", survey, out, "--stack", folder / "stack.tif"]
    words += ["--samples", survey, "--faults", survey]
    command = [sys.executable, "-c", LAUNCHER, sys.executable, "-m", "geomfaf", *map(str, words)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, core_seconds, peak = map(float, told.split()[-3:])
    return {
        "cells a side": grid.height,
        "targets": len(pd.read_csv(out.with_suffix(".csv"))),
        "seconds": seconds,
        "core_seconds": core_seconds,
        "microseconds_a_cell": 1e6 * seconds / grid.size,
        "core_microseconds_a_cell": 1e6 * core_seconds / grid.size,
        "peak_gb": peak / 1e6,
    }


def main(sizes: list[int]) -> None:
    """Measure all sizes and write the table."""
    rows = []
    for cells in sizes:
        with tempfile.TemporaryDirectory() as name:
            grid = make_files(cells, Path(name))
            rows.append(measured(grid, Path(name)))
            print(rows[-1], file=sys.stderr)
    note = (
        f"The command as typed, files read and written, with {len(SCORE_BANDS)} score bands and a stack"
        f" of {len(BANDS)}."
    )
    write(pd.DataFrame(rows), "large_targets", note)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1_000, 5_000, 20_000])
