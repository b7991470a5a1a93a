"""Measure the parts of an evaluation before and after they were made quicker, in pairs.

    python benchmarks/evaluation.py [ROUNDS]

Processor time on a made-up stack of 200 x 200 cells and ten bands: a small fit with the thread
pools looked for anew and kept; a null test of 50 patterns, its regressions one by one and together;
windows of 16 cells gathered cell by cell and copied row by row; the features of a map's centres made
for each draw and made once for five. The variants take turns and the fastest of ROUNDS (3) counts.
The table goes to ``docs/benchmarks``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from idw import write
from scipy.ndimage import gaussian_filter
from threadpoolctl import threadpool_limits

from geomfaf.evaluation import null_tests
from geomfaf.models.predict import Lattice
from geomfaf.models.table_model import _thread_pools
from geomfaf.progress import quiet
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.rasters.grid import Grid
from geomfaf.windows.features import window_features
from geomfaf.windows.windows import _overhanging, read_windows

SIDE = 200
BANDS = 10
DEPOSITS = 36
PATTERNS = 50
DRAWS = 5


def made_up() -> tuple[xr.DataArray, gpd.GeoDataFrame]:
    """Return smooth bands and deposits where the first one is high."""
    rng = np.random.default_rng(0)
    grid = Grid.from_bounds((0, 0, SIDE * 100, SIDE * 100), 100, 32633)
    noise = rng.normal(size=(BANDS, SIDE, SIDE))
    values = np.stack([gaussian_filter(layer, 3.0) for layer in noise])
    bands = [Band(f"band {number}", "density") for number in range(BANDS)]
    best = np.argsort(-values[0].ravel())[: 20 * DEPOSITS]
    rows, cols = np.divmod(rng.choice(best, DEPOSITS, replace=False), SIDE)
    x, y = grid.xy(rows.astype(float), cols.astype(float))
    deposits = gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), crs=grid.crs)
    return as_dataarray(values.astype(np.float32), grid, bands), deposits


def processor_time(work: Callable[[], object]) -> float:
    """Return the seconds of all cores."""
    start = time.process_time()
    work()
    return time.process_time() - start


def look_for_pools() -> None:
    """Do what stood around every small fit."""
    with threadpool_limits(1):
        pass


def keep_pools() -> None:
    """Do what stands there now."""
    with _thread_pools().limit(limits=1):
        pass


def parts() -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return what is measured -> how it was, and how it is."""
    stack, deposits = made_up()
    rng = np.random.default_rng(1)
    at = rng.integers(0, SIDE - 16, (2, 4000))
    lattice = Lattice(np.ones((SIDE, SIDE), bool), 4)
    down, across = np.nonzero(lattice.wanted)

    def together() -> None:
        with quiet():
            null_tests.null_test(stack, deposits, block=25, margin=4, shifts=PATTERNS - 1)

    def one_by_one() -> None:
        model = null_tests.MODEL
        null_tests.MODEL = ""  # no model is solved together
        try:
            with quiet():
                cut = {"block": 25, "margin": 4, "shifts": PATTERNS - 1}
                null_tests.null_test(stack, deposits, model=model, **cut)
        finally:
            null_tests.MODEL = model

    def features(times: int) -> None:
        for _ in range(times):
            window_features(stack, lattice.rows[down], lattice.cols[across], 16)

    return {
        "thread pools of 100 fits": (
            lambda: [look_for_pools() for _ in range(100)],
            lambda: [keep_pools() for _ in range(100)],
        ),
        f"null test, {PATTERNS} patterns": (one_by_one, together),
        "4,000 windows of 16 cells": (
            lambda: np.ascontiguousarray(_overhanging(stack.values, *at, 16, np.nan)),
            lambda: read_windows(stack.values, *at, 16),
        ),
        f"features of a map, {DRAWS} draws": (lambda: features(DRAWS), lambda: features(1)),
    }


def main() -> None:
    """Measure and write the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    rows = []
    for name, (before, after) in parts().items():
        # Loads what is loaded once a process.
        after()
        taken = [(processor_time(before), processor_time(after)) for _ in range(rounds)]
        was = min(pair[0] for pair in taken)
        now = min(pair[1] for pair in taken)
        row = {"part": name, "before, s": round(was, 3), "now, s": round(now, 4)}
        rows.append({**row, "times faster": f"{was / now:.1f}"})
        print(rows[-1])
    note = f"Processor time; {SIDE} x {SIDE} cells, {BANDS} bands, fastest of {rounds}."
    write(pd.DataFrame(rows), "evaluation", note)


if __name__ == "__main__":
    main()
