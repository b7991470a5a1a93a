"""Write docs/reliability.md from what the harnesses of tests/fuzz and tests/torture found.

``python benchmarks/reliability.py --count 300 --kills 20`` runs both (an hour on two cores);
without numbers it writes the page again from the rows that were kept.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
ROWS = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "reliability.md"


def run_harnesses(count: int, kills: int) -> None:
    """Run both; each keeps a row of what it tried."""
    fuzz = [ROOT / "tests/fuzz/fuzz.py", "--count", count, "--rows", ROWS / "fuzz.csv"]
    torture = [ROOT / "tests/torture/torture.py", "--kills", kills, "--rows", ROWS / "torture.csv"]
    for words in (fuzz, torture):
        subprocess.run([sys.executable, *map(str, words)], check=False)


def markdown(table: pd.DataFrame) -> list[str]:
    """Return a table as lines of Markdown."""
    rows = [table.columns.tolist(), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return [f"| {' | '.join(map(str, row))} |" for row in rows]


def kills_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a fault: runs, and what went wrong in them."""
    wrong = ["half files", "other bytes", "crashes"]
    table = rows.groupby("fault")[wrong].sum()
    table.insert(0, "runs", rows.groupby("fault").size())
    return table.reset_index()


def inputs_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row a kind of file: inputs, exit codes, failures, slowest, most memory."""
    table = rows.groupby("kind").agg(
        inputs=("code", "size"),
        done=("code", lambda codes: int((codes == 0).sum())),
        refused=("code", lambda codes: int(codes.isin([1, 2, 3]).sum())),
        failed=("failed", "sum"),
        slowest_s=("seconds", "max"),
        most_GB=("gigabytes", "max"),
    )
    return table.round(1).reset_index()


def load_lines() -> list[str]:
    """Return what large surveys cost, where it was measured."""
    if not (ROWS / "load.csv").exists():
        return []
    rows = pd.read_csv(ROWS / "load.csv")
    shown = ["scale", "cells", "command", "seconds", "core_seconds", "core_microseconds_a_cell"]
    return [
        "## Load",
        "",
        "`python benchmarks/load.py`: scale 1 is 1,000,000 samples of eight elements, 100,000 polygons,",
        "50,000 faults and 5,000 deposits on 20,000 x 20,000 cells, ten bands; a scale is that share of",
        "each. The commands as typed, one after the other: windows of 32 cells, two folds, the compact",
        "network alone, scored every 16 cells.",
        "",
        *markdown(rows[[*shown, "peak_gb", "load_before"]]),
        "",
        "*load_before*: what else the machine had to do; an idle one says 0. With two cores and a load of",
        f"4, seconds are twice too many. Measured on {rows['machine'].iloc[-1]}.",
        "",
    ]


def retarget_lines() -> list[str]:
    """Return how long a run takes that changes a target setting alone, where it was measured."""
    if not (ROWS / "retarget.csv").exists():
        return []
    rows = pd.read_csv(ROWS / "retarget.csv")
    machine = rows["machine"].iloc[0]
    shown = rows.drop(columns="machine")
    return [
        "## A changed target setting",
        "",
        "`python benchmarks/retarget.py --folder demo`: the finished demo is run again as a command with",
        "another `[targets] area_share`; targets and report are made again, all else is remembered.",
        "*load before*: what else the machine had to do; an idle one says 0.",
        "",
        *markdown(shown),
        "",
        f"The fastest turn of each. Measured on {machine}.",
        "",
    ]


def write_page() -> None:
    """Write the page from the kept rows."""
    inputs = pd.read_csv(ROWS / "fuzz.csv")
    kills = pd.read_csv(ROWS / "torture.csv")
    lines = [
        "# Reliability",
        "",
        "Made by `python benchmarks/reliability.py`; the rows are in `docs/benchmarks`.",
        "",
        "## Runs that were disturbed",
        "",
        f"{len(kills)} runs of a small survey, each a process: killed or interrupted at a random",
        "moment, with files that cannot grow (a full disk), with a result or a checkpoint damaged",
        "after the kill, with the survey cut short between two runs. Then the run was repeated.",
        "*half files*: results that were there after the fault and are not those of the undisturbed",
        "run. *other bytes*: results of the resumed run that differ from it or are missing.",
        "`make torture` does it again, 200 times; 20 of them are a job of the workflow beside the suite.",
        "",
        *markdown(kills_table(kills)),
        "",
        "## Files that were damaged",
        "",
        f"{len(inputs)} files of {inputs['kind'].nunique()} kinds, with bytes, numbers, words, lines",
        "or JSON values changed, went into the command that reads them. A failure is a crash, an exit",
        "code other than 0, 1, 2, 3 and 130, more than a minute, or more than 4 GB.",
        "`make fuzz` does it again, 10,000 times; 300 are a job of the workflow, 28 a test of the suite.",
        "",
        *markdown(inputs_table(inputs)),
        "",
        *retarget_lines(),
        *load_lines(),
        "## What holds, and which test says so",
        "",
        "| promise | test |",
        "| --- | --- |",
        "| a stage whose inputs and settings did not change is not made again |"
        " `tests/run/test_memory.py` |",
        "| only files that geomfaf made are replaced or removed | `tests/run/test_folder.py` |",
        "| a result is never one of the inputs, through links too | `tests/cli/test_cli.py`,"
        " `tests/run/test_folder.py` |",
        "| a second run in one folder is refused; the lock of a killed one is no lock |"
        " `tests/run/test_folder.py` |",
        "| hostile names stay names in `geomfaf.toml` and in SQL | `tests/run/test_template.py` |",
        "| virtual files are refused under any name | `tests/survey/test_read.py`,"
        " `tests/rasters/test_geotiff.py` |",
        "| a damaged checkpoint counts for nothing | `tests/models/test_classifier.py` |",
        "| with `--progress json` everything on stderr is JSON, in a whole run too |"
        " `tests/cli/test_cli.py`, `tests/run/test_bad_days.py` |",
        "| a survey of one element and nothing else is mapped | `tests/run/test_bad_days.py` |",
        "| a database that does not answer is given up in one sentence, without its password |"
        " `tests/survey/test_postgis.py` |",
        "| a binary file where a stage's note was is no note | `tests/run/test_memory.py` |",
        "| a sparse raster of 10,000 x 10,000 cells that cannot be used is refused unread |"
        " `tests/rasters/test_geotiff.py` |",
        "| an evaluation by several processes gives the figures of one |"
        " `tests/models/test_side_by_side.py`, `tests/evaluation/test_held_out.py` |",
        "| threads and a Dask cluster of two workers give the same bytes |"
        " `tests/rasters/test_blocks.py`, `tests/rasters/test_stream.py`,"
        " `tests/models/test_predict_blocks.py` |",
        "| 500 bands train, predict and are judged | `tests/models/test_fold_models.py` |",
        "| a stack in a file gives the windows, folds, models and figures of one in memory |"
        " `tests/windows/test_reading.py`, `tests/evaluation/test_large_maps.py` |",
        "| other outlines of targets ask no model again |"
        " `tests/evaluation/test_factor_influence.py` |",
        "| CI installs the versions of `.ci/constraints.txt` (`make constraints`); `make test-lowest`"
        " the lowest | `.ci/run` |",
        "",
        "## Not covered",
        "",
        "- `geomfaf run` holds the stack and the maps in memory: the load above is that of the commands",
        "  one by one, which read and write in parts.",
        "- `predict`, `evaluate` and `targets` at scale 1 were not run to their end in this chain: on two",
        "  cores the prediction takes more than an hour. `python benchmarks/large_targets.py` measures",
        "  `targets` on as many cells.",
        "- A prediction that is interrupted begins again: it is remembered as a whole.",
        "- The search for the power cut is a SIGKILL: that the disk itself keeps what was",
        "  flushed to it is taken on trust.",
        "- A read-only folder is not tried where the tests run as root.",
        "- The bytes of two different processors are not compared; the libraries promise none.",
    ]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run the harnesses where numbers are given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--kills", type=int, default=0)
    given = parser.parse_args()
    if given.count or given.kills:
        run_harnesses(given.count, given.kills)
    write_page()


if __name__ == "__main__":
    main()
