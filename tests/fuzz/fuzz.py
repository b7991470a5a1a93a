"""Damaged files go into every command that reads them: none may crash, hang or fill the memory.

``python tests/fuzz/fuzz.py --count 300 --seed 0`` prints a table and ends with 1 when a command
did; ``--keep FOLDER`` keeps what it was given. Each command runs in a process of its own.
"""

import argparse
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import geopandas as gpd
import numpy as np
import pandas as pd
from builders import small_case, small_model, small_scores
from mutate import mutate, mutate_json, mutate_text

from geomfaf.cli.main import main as geomfaf
from geomfaf.deliver.layers import write_layers
from geomfaf.models.model_files import save_model
from geomfaf.rasters.geotiff import write_raster
from geomfaf.run.template import init_project
from geomfaf.windows.folds import fold_number

CODES = {0, 1, 2, 3, 130}
SECONDS = 60
GIGABYTES = 4


@dataclass
class Target:
    """A file to damage, how, and the command that reads it; ``{}`` stands for its folder."""

    name: str
    file: str
    mutate: object
    command: str
    needs: tuple[str, ...] = field(default=())


TARGETS = (
    Target("project file", "geomfaf.toml", mutate_text, "run {}/geomfaf.toml --plan", ("s.gpkg",)),
    Target("table", "s.csv", mutate_text, "check {}/s.csv {}/d.csv --crs EPSG:32633", ("d.csv",)),
    Target("GeoPackage", "s.gpkg", mutate, "check {}/s.gpkg"),
    Target("GeoJSON", "s.geojson", mutate_text, "grid {}/s.geojson {}/o.tif --cell 500"),
    Target(
        "shapefile",
        "s.shp",
        mutate,
        "grid {}/s.shp {}/o.tif --cell 500",
        ("s.dbf", "s.shx", "s.prj"),
    ),
    Target(
        "shapefile's table",
        "s.dbf",
        mutate,
        "grid {}/s.shp {}/o.tif --cell 500",
        ("s.shp", "s.shx", "s.prj"),
    ),
    Target(
        "shapefile's index",
        "s.shx",
        mutate,
        "grid {}/s.shp {}/o.tif --cell 500",
        ("s.shp", "s.dbf", "s.prj"),
    ),
    Target(
        "shapefile's CRS",
        "s.prj",
        mutate_text,
        "grid {}/s.shp {}/o.tif --cell 500",
        ("s.shp", "s.dbf", "s.shx"),
    ),
    Target("workbook", "s.xlsx", mutate, "check {}/s.xlsx {}/d.csv --crs EPSG:32633", ("d.csv",)),
    Target("raster", "stack.tif", mutate, "weights {}/stack.tif {}/d.gpkg", ("d.gpkg",)),
    Target(
        "windows",
        "windows.gpkg",
        mutate,
        "evaluate {}/stack.tif --windows {}/windows.gpkg --model {}/model --scores {}/scores.tif --deposits {}/d.gpkg",
        ("stack.tif", "scores.tif", "d.gpkg", "model"),
    ),
    Target(
        "model's words",
        "model/model.json",
        mutate_json,
        "predict {}/stack.tif {}/model {}/o.tif --stride 4",
        ("stack.tif", "model"),
    ),
    Target(
        "model's weights",
        "model/weights.safetensors",
        mutate,
        "predict {}/stack.tif {}/model {}/o.tif --stride 4",
        ("stack.tif", "model"),
    ),
)


def write_inputs(folder: Path) -> None:
    """Write a small, whole file of each kind."""
    case = small_case()
    rng = np.random.default_rng(0)
    west, south, east, north = case.grid.bounds
    xy = np.column_stack([rng.uniform(west, east, 60), rng.uniform(south, north, 60)])
    values = {"Au_ppb": rng.lognormal(size=60).round(3), "Cu_ppm": rng.lognormal(size=60).round(3)}
    samples = gpd.GeoDataFrame(values, geometry=gpd.points_from_xy(*xy.T), crs=case.grid.crs)
    write_layers({"samples": samples, "deposits": case.deposits}, folder / "s.gpkg")
    write_layers({"deposits": case.deposits}, folder / "d.gpkg")
    samples.to_file(folder / "s.shp")
    samples.to_file(folder / "s.geojson", driver="GeoJSON")
    table = pd.DataFrame({"X": xy[:, 0].round(1), "Y": xy[:, 1].round(1), **values})
    table.to_csv(folder / "s.csv", index=False)
    table.to_excel(folder / "s.xlsx", index=False)
    places = case.deposits.geometry
    pd.DataFrame({"X": places.x, "Y": places.y, "name": "D"}).to_csv(folder / "d.csv", index=False)
    write_raster(case.stack, folder / "stack.tif")
    write_raster(small_scores(), folder / "scores.tif")
    windows = case.windows.assign(fold=fold_number(case.folds.of_windows(case.windows)))
    write_layers({"windows": windows, "folds": case.folds.blocks()}, folder / "windows.gpkg")
    save_model(small_model(), folder / "model")
    init_project([folder / "s.gpkg"], folder / "geomfaf.toml")


def run_once(words: list[str], log: Path) -> tuple[int, float, float]:
    """Run a command in a process of its own; return exit code (-1: crashed), seconds and GB."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_command(words, log)
    code: int | None = None
    usage = None
    while code is None:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
        elif time.monotonic() - began > SECONDS:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return -2, SECONDS, 0.0
        else:
            time.sleep(0.005)
    return code, time.monotonic() - began, usage.ru_maxrss / 1e6


def _be_the_command(words: list[str], log: Path) -> None:
    """Run the command with its output in a file; never return."""
    code = 99
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            geomfaf(words, prog_name="geomfaf", standalone_mode=True)
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException:  # a crash is what is looked for
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def fuzz(count: int, seed: int, keep: Path | None = None) -> list[dict]:
    """Damage files and run their commands, one a processor; return one row an input."""
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        whole.mkdir()
        write_inputs(whole)
        _require_whole(whole)
        try_one = partial(_try_one, seed=seed, place=Path(place), keep=keep)
        with get_context("fork").Pool() as workers:
            return workers.map(try_one, range(count), chunksize=1)


def _try_one(number: int, seed: int, place: Path, keep: Path | None) -> dict:
    """Damage one file and run its command; return what became of it."""
    target = TARGETS[number % len(TARGETS)]
    rng = random.Random(f"{seed} {number}")
    whole = place / "whole"
    folder = place / f"{number}"
    folder.mkdir()
    for name in (target.file, *target.needs):
        _copy(whole / name, folder / name)
    content = (whole / target.file).read_bytes()
    (folder / target.file).write_bytes(target.mutate(content, rng))
    words = ["--progress", "plain", *target.command.replace("{}", str(folder)).split()]
    log = folder / "log.txt"
    code, seconds, gigabytes = run_once(words, log)
    text = log.read_text(errors="replace")
    failed = code not in CODES or "Traceback" in text or gigabytes > GIGABYTES
    if failed and keep is not None:
        shutil.copytree(folder, keep / str(number), dirs_exist_ok=True)
    shutil.rmtree(folder)
    return {
        "number": number,
        "kind": target.name,
        "code": code,
        "failed": failed,
        "seconds": seconds,
        "gigabytes": gigabytes,
        "text": text,
    }


def _require_whole(folder: Path) -> None:
    """Stop where a command refuses its file before it is damaged: nothing would be tried."""
    for target in TARGETS:
        words = ["--progress", "plain", *target.command.replace("{}", str(folder)).split()]
        log = folder / "log.txt"
        code, _, _ = run_once([*words, "--overwrite"] if "o.tif" in target.command else words, log)
        if code != 0:
            raise SystemExit(f"{target.name} is refused whole: {log.read_text()}")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif not target.exists():
        shutil.copyfile(source, target)


def main() -> None:
    """Print what became of the inputs, a row a kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--rows", type=Path, help="CSV that gets a row an input")
    given = parser.parse_args()
    table = pd.DataFrame(fuzz(given.count, given.seed, given.keep))
    if given.rows:
        table.drop(columns="text").to_csv(given.rows, index=False, float_format="%.2f")
    for row in table[table["failed"]].itertuples():
        print(
            f"{row.number} {row.kind}: exit {row.code}, {row.seconds:.1f} s",
            row.text[-1500:],
            sep="\n",
        )
    codes = table.groupby("kind").agg(
        inputs=("code", "size"),
        failed=("failed", "sum"),
        slowest=("seconds", "max"),
        most_gb=("gigabytes", "max"),
    )
    print(codes.round(1).to_string())
    print(f"{len(table)} inputs, {int(table['failed'].sum())} failed")
    sys.exit(int(table["failed"].any()))


if __name__ == "__main__":
    main()
