"""How large a survey may be: a made-up one through every command that touches each cell.

``python benchmarks/load.py --scale 1`` is 1,000,000 samples of eight elements, 100,000 polygons,
50,000 faults and 5,000 deposits on 20,000 x 20,000 cells, ten bands; a smaller scale is that share of
all of them, cells too. ``check``, ``stack``, ``windows``, ``train``, ``predict`` (the compact network
alone, two folds, windows of 32 cells every 16), ``evaluate`` and ``targets`` are run as typed, one
after the other, and what each of them took becomes a row of docs/benchmarks/load.csv. At scale 1 it
takes 11 GB of disk and hours on two cores.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from idw import machine

from geomfaf.deliver.layers import write_layers

ROWS = Path(__file__).parents[1] / "docs" / "benchmarks" / "load.csv"
CELL = 25
ELEMENTS = ("Ag_ppb", "As_ppm", "Au_ppb", "Co_ppm", "Cu_ppm", "Ni_ppm", "Pb_ppm", "Zn_ppm")


def survey_of(scale: float, seed: int = 0) -> dict[str, gpd.GeoDataFrame]:
    """Return the layers of a survey without any sense, of its share of the full size."""
    rng = np.random.default_rng(seed)
    side = 20_000 * np.sqrt(scale) * CELL

    def points(count: float, **columns: object) -> gpd.GeoDataFrame:
        xy = rng.uniform(0, side, (int(count), 2)) + np.array([500_000, 6_000_000])
        return gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(*xy.T), crs=32633)

    samples = int(1_000_000 * scale)
    values = rng.lognormal(size=(len(ELEMENTS), samples)).round(3)
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
        "samples": points(samples, **dict(zip(ELEMENTS, values, strict=True))),
        "deposits": points(max(40, 5_000 * scale)),
        "geology": gpd.GeoDataFrame({"rock": rocks}, geometry=squares, crs=32633),
        "faults": gpd.GeoDataFrame(geometry=faults, crs=32633),
    }


def commands(folder: Path) -> dict[str, list[object]]:
    """Return the words of every command, in the order in which they are run."""
    survey = folder / "survey.gpkg"
    stack = folder / "stack.tif"
    windows = folder / "windows.gpkg"
    model = folder / "model"
    scores = folder / "scores.tif"
    named = ["--windows", windows, "--model", model, "--scores", scores, "--deposits", survey]
    return {
        "check": [survey],
        "stack": [survey, stack, "--cell", CELL, "--elements", ",".join(ELEMENTS)],
        "windows": [stack, survey, windows, "--size", 32, "--folds", 2, "--block", 200],
        "train": [stack, windows, model, "--preset", "mfaf"],
        "predict": [stack, model, scores, "--stride", 16],
        "evaluate": [stack, *named, "--stride", 16],
        "targets": [scores, survey, folder / "targets.gpkg", "--stack", stack, "--size", 32],
    }


def measured(name: str, words: list[object]) -> dict[str, object]:
    """Run a command as typed; return what it took."""
    load = os.getloadavg()[0]
    began = time.perf_counter()
    line = [sys.executable, "-m", "geomfaf", name, *map(str, words)]
    child = os.posix_spawn(sys.executable, line, os.environ)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"geomfaf {name} failed")
    return {
        "command": name,
        "seconds": round(time.perf_counter() - began, 1),
        "core_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": round(used.ru_maxrss / 1e6, 2),
        "load_before": round(load, 1),
    }


def load(scale: float, folder: Path) -> pd.DataFrame:
    """Run all commands; return what each of them took."""
    layers = survey_of(scale)
    counts = {name: len(layer) for name, layer in layers.items()}
    rows = []
    if (folder / "survey.gpkg").exists() and ROWS.exists():
        # A folder that was kept: what was measured in it is not measured again.
        before = pd.read_csv(ROWS)
        rows = before[before["scale"] == scale].to_dict("records")
    else:
        write_layers(layers, folder / "survey.gpkg")
    del layers
    cells = round(20_000 * np.sqrt(scale)) ** 2
    done = {row["command"] for row in rows}
    for name, words in commands(folder).items():
        if name in done:
            continue
        row = measured(name, words)
        row["core_microseconds_a_cell"] = round(1e6 * row["core_seconds"] / cells, 3)
        rows.append({"scale": scale, **row, **counts, "cells": cells, "machine": machine()})
        print(rows[-1], file=sys.stderr, flush=True)
        write_rows(pd.DataFrame(rows), scale)
    return pd.DataFrame(rows)


def write_rows(table: pd.DataFrame, scale: float) -> None:
    """Write the rows of a scale beside those of others: what is finished is kept."""
    if ROWS.exists():
        before = pd.read_csv(ROWS)
        table = pd.concat([before[before["scale"] != scale], table])
    table.sort_values("scale", kind="stable").to_csv(ROWS, index=False)


def main() -> None:
    """Measure one scale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="where the files stay, to go on later")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="load"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        print(load(given.scale, folder).to_string())
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
