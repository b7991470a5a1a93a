"""Measure geomfaf's interpolation against its peers, and write down what was measured.

    python benchmarks/idw.py JOB

processes
    the commands that users type, files read and written; answers compared
computations
    the computation alone, in memory; answers compared
growth
    cost against samples, cells, neighbours and bands; a figure
scale
    10,000 x 10,000 and 20,000 x 20,000 cells: time and memory
cold
    the command's first run, with compilation, against a later one

Tables (CSV and Markdown) go to ``docs/benchmarks`` and into ``docs/gridding.md``. Tools take turns
within one run, the fastest of the repeats counts, and ratios are of figures of the same run:
absolute seconds are this machine's.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
import peers
from points import BANDS, SIDE, as_layer, clustered_points, write_layers

from geomfaf.evidence.inverse_distance import IdwOptions, idw
from geomfaf.rasters.blocks import cores
from geomfaf.rasters.grid import Grid

SAMPLES = 7_512
CELLS = 1_560
OUT = Path(__file__).parent.parent / "docs" / "benchmarks"

# Name, neighbours, radius, the peers that can do it.
JOBS = {
    "k = 12 within 2 km": (12, 2000.0, ("gdal_grid", "SAGA")),
    # gdal_grid needs minutes for one band when nothing bounds its search.
    "k = 12": (12, None, ("SAGA",)),
    "all within 2 km": (None, 2000.0, ("gdal_grid", "SAGA", "WhiteboxTools")),
    "all samples": (None, None, ("gdal_grid",)),
}


def survey_grid(cells: int) -> Grid:
    """Return the square grid with ``cells`` a side."""
    return Grid.from_bounds((0, 0, SIDE, SIDE), SIDE / cells, 32633)


def timed(call: Callable[[], object]) -> tuple[float, object]:
    """Return seconds and result."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def take_turns(calls: dict[str, Callable[[], np.ndarray]], repeats: int) -> tuple[dict, dict]:
    """Run all calls one after the other, ``repeats`` times over; return least seconds and last
    results.
    """
    seconds: dict[str, float] = {}
    results: dict[str, np.ndarray] = {}
    broken: set[str] = set()
    for turn in range(repeats):
        for name, call in calls.items():
            # What takes minutes is run once: its repeats would differ by less than its distance to
            # the others.
            if name in broken or (turn and seconds[name] > 30):
                continue
            try:
                spent, results[name] = timed(call)
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                print(f"{name} failed: {error}", file=sys.stderr, flush=True)
                broken.add(name)
                continue
            seconds[name] = min(spent, seconds.get(name, np.inf))
            print(f"{name}: {spent:.2f} s", file=sys.stderr, flush=True)
    return seconds, results


def disagreement(reference: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the 99.9th percentile and the largest relative difference where both have a value."""
    difference = np.abs(np.asarray(other, float) / np.asarray(reference, float) - 1)
    difference = difference[np.isfinite(difference)]
    return (
        (float(np.quantile(difference, 0.999)), float(difference.max()))
        if len(difference)
        else (np.nan, np.nan)
    )


def whole_processes(repeats: int) -> list[dict]:
    """Measure whole processes: start, read points, interpolate eight bands, write files."""
    rows = []
    grid = survey_grid(CELLS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_layers(folder, SAMPLES)
        for job, (neighbours, radius, tools) in JOBS.items():
            calls = {
                "geomfaf": lambda k=neighbours, r=radius: peers.geomfaf_process(folder, grid, k, r)
            }
            for tool in tools:
                program, call = peers.PROCESSES[tool]
                if peers.available(program):
                    calls[tool] = lambda call=call, k=neighbours, r=radius: call(folder, grid, k, r)
            seconds, results = take_turns(calls, repeats)
            for tool, spent in seconds.items():
                runs = 1 if tool == "geomfaf" else BANDS
                typical, most = disagreement(results["geomfaf"], results[tool])
                rows.append({
                    "job": job, "tool": tool, "one run (s)": spent, "runs": runs,
                    "eight bands (s)": spent * runs, "times geomfaf": spent * runs / seconds["geomfaf"],
                    "difference 99.9 %": typical, "difference max": most,
                })  # fmt: skip
    return rows


def computations(repeats: int) -> list[dict]:
    """Measure the computation alone, eight bands in memory."""
    rows = []
    grid = survey_grid(CELLS)
    xy, values = clustered_points(SAMPLES)
    for job, (neighbours, radius, _) in JOBS.items():
        calls = {
            "geomfaf": lambda k=neighbours, r=radius: idw(xy, values, grid, neighbours=k, radius=r)
        }
        for tool, (package, call) in peers.COMPUTATIONS.items():
            able = neighbours is not None and not (tool == "scikit-learn" and radius)
            if able and peers.available(package):
                calls[tool] = lambda call=call, k=neighbours, r=radius: call(xy, values, grid, k, r)
        calls["geomfaf"]()
        seconds, results = take_turns(calls, repeats)
        reference = results["geomfaf"].reshape(BANDS, -1)
        for tool, spent in seconds.items():
            typical, most = disagreement(reference, results[tool].reshape(BANDS, -1))
            rows.append({
                "job": job, "tool": tool, "eight bands (s)": spent, "times geomfaf": spent / seconds["geomfaf"],
                "difference 99.9 %": typical, "difference max": most,
            })  # fmt: skip
    return rows


def growth(repeats: int) -> pd.DataFrame:
    """Measure how the computation grows with one quantity at a time, for k = 12 and for all
    samples.
    """
    series = {
        "samples": [1_000, 3_000, 10_000, 30_000, 100_000, 300_000],
        "cells": [250, 500, 1_000, 2_000, 4_000],
        "neighbours": [1, 4, 8, 12, 16, 24, 32, 64],
        "bands": [1, 2, 4, 8],
    }
    usual = {"samples": SAMPLES, "cells": 1_000, "neighbours": 12, "bands": BANDS}
    rows = []
    for quantity, numbers in series.items():
        for number in numbers:
            case = {**usual, quantity: number}
            xy, values = clustered_points(case["samples"])
            for method in ("k nearest", "all samples"):
                if method == "all samples" and quantity == "neighbours":
                    continue
                search = {"neighbours": case["neighbours"] if method == "k nearest" else None}
                search["options"] = IdwOptions(engine="numba")
                call = partial(
                    idw, xy, values[: case["bands"]], survey_grid(case["cells"]), **search
                )
                spent = min(timed(call)[0] for _ in range(repeats))
                rows.append(
                    {"quantity": quantity, "number": number, "method": method, "seconds": spent}
                )
                print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def draw_growth(table: pd.DataFrame, path: Path) -> None:
    """Draw one panel a quantity, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 4, figsize=(13, 3.4), sharey=True, layout="constrained")
    labels = {
        "samples": "samples",
        "cells": "cells a side",
        "neighbours": "neighbours k",
        "bands": "bands",
    }
    for axis, (quantity, part) in zip(axes, table.groupby("quantity", sort=False), strict=True):
        for method, marker in (("k nearest", "o-"), ("all samples", "s--")):
            line = part[part["method"] == method]
            if len(line):
                axis.loglog(line["number"], line["seconds"], marker, label=method)
        axis.set_xlabel(labels[quantity])
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("seconds")
    axes[0].legend(frameon=False)
    figure.suptitle(
        f"Otherwise {SAMPLES:,} samples, 1,000 x 1,000 cells, k = 12, {BANDS} bands", fontsize=10
    )
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def scale_runs() -> pd.DataFrame:
    """Measure time and peak memory of two large files, each by the command that a user types."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for samples, cells in ((100_000, 10_000), (1_000_000, 20_000)):
            as_layer(*clustered_points(samples)).to_file(folder / "points.gpkg", layer="points")
            command = peers.geomfaf_command(folder, survey_grid(cells), 12, None)
            figures = command_cost(command)
            for kind in ("seconds", "core_seconds"):
                figures[f"{kind}_per_million_cells"] = figures[kind] / cells**2 * 1e6
            out = folder / "geomfaf.tif"
            figures["file_gb"] = out.stat().st_size / 1e9
            rows.append({"samples": samples, "cells a side": cells, "bands": BANDS, **figures})
            print(rows[-1], file=sys.stderr, flush=True)
            out.unlink()
    return pd.DataFrame(rows)


def command_cost(
    command: list[object], environment: dict[str, str] | None = None
) -> dict[str, float]:
    """Return seconds, processor seconds and peak memory of a command."""
    started = time.perf_counter()
    with subprocess.Popen([str(part) for part in command], env=environment) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[3:6]} ended with exit code {process.returncode}")
    return {
        "seconds": time.perf_counter() - started,
        "core_seconds": used.ru_utime + used.ru_stime,
        "peak_gb": used.ru_maxrss / 1e6,
    }


def cold_starts(repeats: int) -> pd.DataFrame:
    """Measure the command with an empty and with a filled cache of compiled kernels."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_layers(folder, SAMPLES)
        for job in ("k = 12", "all samples"):
            command = peers.geomfaf_command(folder, survey_grid(CELLS), JOBS[job][0], None)
            seconds = {"cold": np.inf, "cached": np.inf}
            for turn in range(repeats):
                environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / f"{job}{turn}")}
                for state in seconds:
                    spent = command_cost(command, environment)["seconds"]
                    seconds[state] = min(seconds[state], spent)
            rows.append(
                {"job": job, **seconds, "more when cold": seconds["cold"] - seconds["cached"]}
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def machine() -> str:
    """Return one line on the machine and the versions."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        model = names[0] if names else model
    packages = [
        "numpy",
        "scipy",
        "numba",
        "rasterio",
        "pykdtree",
        "scikit-learn",
        "whitebox-workflows",
    ]
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} not installed")
    for command in (["gdal_grid", "--version"], ["saga_cmd", "--version"]):
        if peers.available(command[0]):
            text = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            versions.append(f"{command[0]} {re.search(r'[0-9]+[.][0-9]+[.][0-9]+', text).group()}")
    return f"{cores()} cores of {model}, Python {platform.python_version()}, {', '.join(versions)}"


def write(table: pd.DataFrame, name: str, note: str) -> None:
    """Write a table as CSV and Markdown, with the machine under it."""
    OUT.mkdir(parents=True, exist_ok=True)
    table.to_csv(OUT / f"{name}.csv", index=False, float_format="%.4g")
    text = table.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value))
    lines = [" | ".join(text.columns), " | ".join("---" for _ in text.columns)]
    lines += [" | ".join(row) for row in text.itertuples(index=False)]
    body = "\n".join(f"| {line} |" for line in lines)
    body = f"{body}\n\n{note} Measured on {machine()}.\n"
    (OUT / f"{name}.md").write_text(body, encoding="utf-8")
    begin = f"<!-- {name} -->\n"
    end = f"<!-- /{name} -->"
    for page in (OUT.parent / "gridding.md", OUT.parent / "training.md"):
        before, _, rest = page.read_text(encoding="utf-8").partition(begin)
        if rest:
            page.write_text(f"{before}{begin}{body}{end}{rest.partition(end)[2]}", encoding="utf-8")


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["processes", "computations", "growth", "scale", "cold"])
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    survey = f"{SAMPLES:,} clustered samples, {CELLS:,} x {CELLS:,} cells, eight bands, power 2."
    if arguments.what == "processes":
        note = f"{survey} Tools that grid one band a run count {BANDS} times."
        write(pd.DataFrame(whole_processes(arguments.repeats)), "processes", note)
    elif arguments.what == "computations":
        note = (
            f"{survey} xarray-spatial has no interpolation of points, scikit-learn's has no radius."
        )
        write(pd.DataFrame(computations(arguments.repeats)), "computations", note)
    elif arguments.what == "growth":
        table = growth(arguments.repeats)
        write(table, "growth", "Computation only.")
        draw_growth(table, OUT / "growth.svg")
    elif arguments.what == "scale":
        write(
            scale_runs(), "scale", "k = 12, tiled GeoTIFF with zstd level 1, whole bands written."
        )
    else:
        write(cold_starts(arguments.repeats), "cold", "Whole process, eight bands.")


if __name__ == "__main__":
    main()
