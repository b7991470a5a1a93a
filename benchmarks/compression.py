"""Measure how a stack's tiles are best compressed: seconds to write and to read, and bytes.

    python benchmarks/compression.py [STACK.tif]

Without a file: eight bands gridded from the clustered points of the gridding benchmark. One thread,
processor time, the fastest of five turns. The table goes to ``docs/benchmarks``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from idw import write
from points import SIDE, clustered_points
from rasterio.io import MemoryFile

from geomfaf.evidence.inverse_distance import idw
from geomfaf.rasters.grid import Grid
from geomfaf.rasters.tiff_tiles import LAYOUT

WAYS: dict[str, dict[str, object]] = {
    "zstd 1, predictor 1": {"predictor": 1},
    "zstd 1, predictor 2": {"predictor": 2},
    "zstd 1, predictor 3": {"predictor": 3},
    "zstd 3, predictor 3": {"zstd_level": 3},
    "zstd 9, predictor 3": {"zstd_level": 9},
    "deflate 1, predictor 3": {"compress": "deflate", "zlevel": 1},
    "deflate 6, predictor 3": {"compress": "deflate", "zlevel": 6},
    "lerc (lossless), zstd 1": {"compress": "lerc_zstd", "max_z_error": 0, "predictor": 1},
}
TURNS = 5


def bands(path: str | None) -> np.ndarray:
    """Return the values to compress, (bands, y, x) float32."""
    if path is not None:
        with rasterio.open(path) as source:
            return source.read(masked=True).astype(np.float32).filled(np.nan)
    grid = Grid.from_bounds((0, 0, SIDE, SIDE), SIDE / 1560, 32633)
    return idw(*clustered_points(7512), grid, neighbours=12, radius=2000.0)


def written_and_read(values: np.ndarray, way: dict[str, object]) -> tuple[float, float, int]:
    """Return seconds to write, seconds to read and bytes."""
    count, height, width = values.shape
    profile = {**LAYOUT, **way, "count": count, "height": height, "width": width}
    profile["transform"] = rasterio.Affine.scale(2, -2)
    with MemoryFile() as memory:
        started = time.process_time()
        with memory.open(**profile) as target:
            target.write(values)
        size = len(memory.getbuffer())
        between = time.process_time()
        with memory.open() as source:
            np.testing.assert_array_equal(source.read(), values)
        return between - started, time.process_time() - between, size


def main() -> None:
    """Measure all ways in turns and write the table."""
    values = bands(sys.argv[1] if len(sys.argv) > 1 else None)
    best: dict[str, tuple[float, float, int]] = {}
    for _ in range(TURNS):
        for name, way in WAYS.items():
            seconds, back, size = written_and_read(values, way)
            kept = best.get(name, (np.inf, np.inf, size))
            best[name] = (min(seconds, kept[0]), min(back, kept[1]), size)
    rows = []
    for name, (seconds, back, size) in best.items():
        row = {"compression": name, "write (s)": seconds, "read (s)": back}
        rows.append({**row, "MB": size / 1e6, "share of the values": size / values.nbytes})
    note = 'One thread, processor time, tiles of 512 cells; files are written as "zstd 1, predictor 3".'
    write(pd.DataFrame(rows), "compression", note)


if __name__ == "__main__":
    main()
    print(f"table in {Path(__file__).parent.parent / 'docs' / 'benchmarks'}", file=sys.stderr)
