"""One whole geomfaf run in a process of its own: read points, grid eight bands, write a GeoTIFF.

    python benchmarks/run_geomfaf.py points.gpkg out.tif CELLS NEIGHBOURS RADIUS [REPORT.json]

NEIGHBOURS and RADIUS may be "none". The report holds seconds and peak memory.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import geopandas as gpd

from geomfaf.evidence.inverse_distance import idw_to_file
from geomfaf.rasters.grid import Grid

SIDE = 40_000.0


def main(
    points: str, path: str, cells: str, neighbours: str, radius: str, report: str | None = None
) -> None:
    """Run once."""
    layer = gpd.read_file(points)
    grid = Grid.from_bounds((0, 0, SIDE, SIDE), SIDE / int(cells), layer.crs)
    search = {
        "neighbours": None if neighbours == "none" else int(neighbours),
        "radius": None if radius == "none" else float(radius),
    }
    started = time.perf_counter()
    spent = time.process_time()
    idw_to_file(
        layer, [name for name in layer if name != "geometry"], grid, path, overwrite=True, **search
    )
    if report:
        figures = {
            "seconds": time.perf_counter() - started,
            "core_seconds": time.process_time() - spent,
            "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
            "file_gb": Path(path).stat().st_size / 1e9,
        }
        Path(report).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
