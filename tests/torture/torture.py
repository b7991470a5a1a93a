"""Runs are killed at random moments, starved of disk and given damaged files; each must resume.

``python tests/torture/torture.py --kills 20`` prints a table and ends with 1 when a run left a half
file, lost one, or resumed to other bytes than the run that nobody disturbed. Each run is a process
of its own.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import pandas as pd
from projects import tiny_project, tiny_words

from geomfaf.cli.main import main as geomfaf
from geomfaf.files import file_hash
from geomfaf.run.folder import KEPT, MARKER
from geomfaf.run.rerun import DATED

OTHERS = {"run.json", "run.log", MARKER, *DATED}
"""Say when or how they were made; the rest must be the same to the byte."""


def start(toml: Path, out: Path, log: Path, limit: int | None = None) -> int:
    """Start a run in a process of its own; return the process."""
    words = ["--progress", "plain", *tiny_words(toml, out)]
    child = os.fork()
    if child:
        return child
    code = 99
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if limit is not None:
            # What a full disk does, as anyone may try it: no file grows beyond this.
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            geomfaf(words, prog_name="geomfaf", standalone_mode=True)
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException:  # a crash is what is looked for
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def wait(child: int) -> int:
    """Return the exit code of a process (negative: the signal that ended it)."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hashes(out: Path) -> dict[str, str]:
    """Return the hash of every result that must be the same to the byte."""
    names = [path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()]
    return {
        name: file_hash(out / name)
        for name in names
        if name not in OTHERS and not name.startswith(KEPT) and not Path(name).name.startswith(".")
    }


def differences(found: dict[str, str], whole: dict[str, str], all_there: bool) -> list[str]:
    """Return names of files that are not those of the undisturbed run, or are missing."""
    wrong = [name for name, digest in found.items() if whole.get(name) != digest]
    return wrong + (sorted(set(whole) - set(found)) if all_there else [])


def kill(child: int, seconds: float, how: signal.Signals) -> int:
    """Send a signal after some seconds, or when the run has ended; return the exit code."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, how)
    return wait(child)


def damage(out: Path, rng: random.Random) -> str:
    """Flip bytes of one file that a run left, a checkpoint or a result; return its name."""
    files = sorted(p for p in out.rglob("*") if p.is_file() and p.name not in ("lock", MARKER))
    files = [path for path in files if path.stat().st_size and path.name not in OTHERS]
    if not files:
        return ""
    path = rng.choice(files)
    content = bytearray(path.read_bytes())
    for _ in range(8):
        content[rng.randrange(len(content))] ^= 0xFF
    path.write_bytes(bytes(content))
    return path.relative_to(out).as_posix()


def one_trial(number: int, place: Path, toml: Path, whole: dict[str, str], seconds: float) -> dict:
    """Disturb one run, look at what it left, let it resume, and compare."""
    rng = random.Random(number)
    # Its own survey: others run beside it, and one fault cuts the file short.
    shutil.copytree(toml.parent, place / f"project{number}")
    toml = place / f"project{number}" / toml.name
    out = place / f"out{number}"
    log = place / f"log{number}.txt"
    fault = ("SIGKILL", "SIGINT", "SIGKILL, damaged file", "disk full", "input cut")[number % 5]
    began = time.monotonic()
    code, text = _disturb(fault, toml, out, log, rng, seconds)
    left = differences(hashes(out), whole, all_there=False) if out.exists() else []
    hurt = damage(out, rng) if fault == "SIGKILL, damaged file" and out.exists() else ""
    resumed = wait(start(toml, out, log))
    text += log.read_text(errors="replace")
    lost = differences(hashes(out), whole, all_there=True) if resumed == 0 else ["did not resume"]
    crashed = "Traceback" in text or code == 99
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(toml.parent)
    return {
        "fault": fault,
        "code": code,
        "half files": len(left),
        "other bytes": len(lost),
        "crashes": int(crashed),
        "seconds": time.monotonic() - began,
        "said": f"{left} {hurt} {lost} {text[-1500:]}" if left or lost or crashed else "",
    }


def _disturb(
    fault: str, toml: Path, out: Path, log: Path, rng: random.Random, seconds: float
) -> tuple[int, str]:
    """Start a run and spoil it; return its exit code and what it said."""
    after = rng.uniform(0, seconds)
    if fault == "disk full":
        code = wait(start(toml, out, log, limit=rng.randint(1_000, 300_000)))
    elif fault == "SIGINT":
        code = kill(start(toml, out, log), after, signal.SIGINT)
    else:
        code = kill(start(toml, out, log), after, signal.SIGKILL)
    text = log.read_text(errors="replace")
    if fault == "input cut":
        source = toml.parent / "survey.gpkg"
        content = source.read_bytes()
        source.write_bytes(content[: rng.randrange(len(content))])
        refused = wait(start(toml, out, log))
        text += log.read_text(errors="replace")
        source.write_bytes(content)
        if refused not in (0, 1, 2, 3):
            text += "Traceback"
    return code, text


def torture(
    kills: int, report: Callable[[str], None] = print, rows_file: Path | None = None
) -> pd.DataFrame:
    """Disturb so many runs, one a processor; return a row each, written down one by one."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        toml = tiny_project(place / "project")
        began = time.monotonic()
        if wait(start(toml, place / "whole", place / "whole.txt")) != 0:
            raise SystemExit((place / "whole.txt").read_text())
        seconds = time.monotonic() - began
        whole = hashes(place / "whole")
        report(f"an undisturbed run takes {seconds:.0f} s and makes {len(whole)} files")
        one = partial(one_trial, place=place, toml=toml, whole=whole, seconds=seconds)
        rows = []
        with get_context("fork").Pool() as workers:
            for row in workers.imap(one, range(kills)):
                rows.append(row)
                if rows_file is not None:
                    kept = pd.DataFrame(rows).drop(columns="said")
                    kept.to_csv(rows_file, index=False, float_format="%.1f")
                if row["said"]:
                    report(json.dumps(row, indent=1))
        return pd.DataFrame(rows)


def main() -> None:
    """Print what became of the runs, a row a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=Path, help="CSV that gets a row a run")
    given = parser.parse_args()
    table = torture(given.kills, rows_file=given.rows)
    columns = ["half files", "other bytes", "crashes"]
    shown = table.groupby("fault")[columns].sum()
    shown.insert(0, "runs", table.groupby("fault").size())
    print(shown.to_string())
    bad = int((table[columns] > 0).any(axis=1).sum())
    print(f"{len(table)} runs disturbed, {bad} failed")
    sys.exit(int(bad > 0))


if __name__ == "__main__":
    main()
