"""Measure `geomfaf predict` on a large grid, from the shell: time, peak memory, time a cell.

    python benchmarks/predict.py [CELLS ...]

A stack of ten bands on CELLS x CELLS (5,000 and 10,000) cells as GeoTIFF, and a model of the compact
network alone, five folds, that was trained on a corner of it; a window every eight cells, one
process. The table goes to ``docs/benchmarks`` and into ``docs/gridding.md``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from idw import survey_grid, write
from scipy.ndimage import gaussian_filter

from geomfaf.models.fold_models import train_model
from geomfaf.models.model_files import save_model
from geomfaf.models.network.options import training_options
from geomfaf.rasters.bands import Band
from geomfaf.rasters.grid import Grid
from geomfaf.rasters.reader import RasterReader
from geomfaf.rasters.stream import stream_raster
from geomfaf.windows.assembly import make_windows

BANDS = [
    *[Band(f"element_{number}", "element", "ppm") for number in range(8)],
    Band("geology", "class", legend={number: f"rock {number}" for number in range(1, 7)}),
    Band("fault_distance", "distance", "m"),
]
PATTERN = 512
CORNER = 400
STRIDE = 8


def make_pattern() -> np.ndarray:
    """Return smooth noise of ten bands, which is laid beside itself over the grid."""
    rng = np.random.default_rng(0)
    fields = []
    for band in BANDS:
        field = gaussian_filter(rng.normal(size=(PATTERN, PATTERN)), 12, mode="wrap")
        rank = field.argsort(axis=None).argsort().reshape(field.shape) / field.size
        if band.kind == "class":
            fields.append(np.floor(6 * rank) + 1)
        else:
            fields.append(3000 * rank if band.kind == "distance" else 10 ** (2 * rank))
    return np.array(fields, np.float32)


def write_stack(cells: int, path: Path) -> Grid:
    """Write the stack block by block; return its grid."""
    pattern = make_pattern()

    def block(row: int, column: int, height: int, width: int) -> np.ndarray:
        # Blocks are as large as the pattern; noise of each block's own, so that none is alike.
        noise = np.random.default_rng((row, column)).normal(1, 0.02, (10, height, width))
        noise[8] = 1
        return (pattern[:, :height, :width] * noise).astype(np.float32)

    grid = survey_grid(cells)
    stream_raster(path, grid, BANDS, block, job="stack", cog=False)
    return grid


def train(stack: Path, folder: Path) -> Path:
    """Train the model on a corner of the stack, on deposits in random cells of it."""
    ground = RasterReader(stack).part(0, 0, CORNER, CORNER)
    rows, columns = np.random.default_rng(1).integers(0, CORNER, (2, 60))
    x, y = ground["x"].values[columns], ground["y"].values[rows]
    crs = ground.rio.crs
    deposits = gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), crs=crs)
    windows, folds = make_windows(ground, deposits, size=16)
    model = train_model(ground, windows, folds, options=training_options("mfaf"))
    return save_model(model, folder)


def measured(cells: int, folder: Path) -> dict[str, float]:
    """Return time and peak memory of the command."""
    stack = folder / "stack.tif"
    grid = write_stack(cells, stack)
    model = train(stack, folder / "model")
    words = ["predict", stack, model, folder / "scores.tif", "--stride", STRIDE, "--device", "cpu"]
    started = time.perf_counter()
    child = os.posix_spawn(
        sys.executable, [sys.executable, "-m", "geomfaf", *map(str, words)], os.environ
    )
    _, status, used = os.wait4(child, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit("geomfaf predict failed")
    core_seconds = used.ru_utime + used.ru_stime
    return {
        "cells a side": cells,
        "bands": len(BANDS),
        "seconds": seconds,
        "core_seconds": core_seconds,
        "core_microseconds_a_cell": 1e6 * core_seconds / grid.size,
        "peak_gb": used.ru_maxrss / 1e6,
    }


def main(sizes: list[int]) -> None:
    """Measure all sizes and write the table."""
    rows = []
    for cells in sizes:
        with tempfile.TemporaryDirectory() as name:
            rows.append(measured(cells, Path(name)))
            print(rows[-1], file=sys.stderr)
    note = "The command as typed, files read and written; a window of 16 cells every eight cells."
    write(pd.DataFrame(rows), "predict", note)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [5_000, 10_000])
