"""How large a survey may be: a made-up one through check, folds, stack, train and predict.

``python benchmarks/load.py --scale 1`` is 1,000,000 samples, 100,000 polygons, 50,000 faults and
5,000 deposits on 20,000 x 20,000 cells; a smaller scale is that share of all of them, cells too.
Seconds and peak memory of each stage are what the run itself notes; a row each goes into
docs/benchmarks/load.csv.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import psutil
import shapely

from geomfaf.deliver.layers import write_layers
from geomfaf.progress import show_progress
from geomfaf.run.project import load_project
from geomfaf.run.run import run_project
from geomfaf.run.template import init_project

ROWS = Path(__file__).parents[1] / "docs" / "benchmarks" / "load.csv"
CELL = 25.0
SETTINGS = {
    "grid.cell": CELL,
    "grid.errors": False,
    "windows.size": 16,
    "train.ensemble": [],
    "train.least_steps": 2,
    "evaluate.draws": 1,
}
"""The network alone, hardly trained, no cross-validation of the gridding: what cells cost."""


def survey_of(scale: float, seed: int = 0) -> dict[str, gpd.GeoDataFrame]:
    """Return the layers of a survey without any sense, of its share of the full size."""
    rng = np.random.default_rng(seed)
    side = 20_000 * np.sqrt(scale) * CELL

    def points(count: float, **columns: object) -> gpd.GeoDataFrame:
        xy = rng.uniform(0, side, (int(count), 2)) + np.array([500_000, 6_000_000])
        return gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(*xy.T), crs=32633)

    samples = int(1_000_000 * scale)
    gold, copper = rng.lognormal(size=(2, samples))
    # Squares side by side, and straight faults of a fiftieth of the map.
    across = max(2, round(np.sqrt(100_000 * scale)))
    at = np.arange(across) * side / across
    west, south = np.meshgrid(at + 500_000, at + 6_000_000)
    squares = shapely.box(west, south, west + side / across, south + side / across).ravel()
    rocks = [f"rock {number}" for number in rng.integers(0, 12, len(squares))]
    begin = shapely.get_coordinates(points(50_000 * scale).geometry)
    end = begin + rng.normal(0, side / 50, begin.shape)
    faults = shapely.linestrings(np.stack([begin, end], axis=1))
    return {
        "samples": points(samples, Au_ppb=gold, Cu_ppm=copper),
        "deposits": points(5_000 * scale),
        "geology": gpd.GeoDataFrame({"rock": rocks}, geometry=squares, crs=32633),
        "faults": gpd.GeoDataFrame(geometry=faults, crs=32633),
    }


def load(scale: float, folder: Path) -> pd.DataFrame:
    """Run the stages that touch every cell; return what each of them cost."""
    layers = survey_of(scale)
    write_layers(layers, folder / "survey.gpkg")
    init_project([folder / "survey.gpkg"], folder / "geomfaf.toml")
    project = load_project(folder / "geomfaf.toml", SETTINGS)
    out = run_project(project, until="predict")
    rows = []
    for path in sorted((out / "kept" / "stages").glob("*.json"), key=lambda p: p.stat().st_mtime):
        note = json.loads(path.read_text(encoding="utf-8"))
        rows.append({name: note[name] for name in ("stage", "seconds", "peak_mb")})
    counts = {name: len(layer) for name, layer in layers.items()}
    cells = round(20_000 * np.sqrt(scale)) ** 2
    return pd.DataFrame(rows).assign(scale=scale, **counts, cells=cells, cores=psutil.cpu_count())


def main() -> None:
    """Write the rows of a scale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    show_progress("plain")
    folder = Path(tempfile.mkdtemp(prefix="load"))
    try:
        table = load(given.scale, folder)
    finally:
        shutil.rmtree(folder)
    print(table.to_string())
    if ROWS.exists():
        before = pd.read_csv(ROWS)
        table = pd.concat([before[before["scale"] != given.scale], table])
    table.sort_values("scale", kind="stable").to_csv(ROWS, index=False)


if __name__ == "__main__":
    main()
