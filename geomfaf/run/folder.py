"""The folder of a run: made or recognised, locked to one process, never one that holds other files."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import OutputExistsError, UsageError
from ..files import make_folder, remove_leftovers, same_file, write_json

MARKER = "made_by_geomfaf.json"
"""Stands in every run folder and names the files that geomfaf made there."""

KEPT = "kept"
"""What a run remembers of its stages; `geomfaf clean` removes it."""


def require_run_folder(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse a folder that is not a run's, or that holds one of its inputs, before any work.

    Parameters
    ----------
    path : Path
        The folder of the results; it need not exist.
    inputs : iterable of Path
        What the run reads. None may lie in the folder, under any name or link.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"out = {path} is a file: choose a folder for the results.")
    names = sorted(entry.name for entry in path.iterdir())
    if names and MARKER not in names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise OutputExistsError(
            f"{path} holds files that geomfaf did not make ({shown}): choose an empty or a new"
            " folder (out =, or --out)."
        )
    there = {_identity(file): file for file in path.rglob("*") if file.is_file()}
    for source in inputs:
        if not source.exists():
            continue
        inside = source.resolve().is_relative_to(path.resolve())
        linked = there.get(_identity(source))
        if inside or linked is not None or same_file(source, path):
            raise UsageError(
                f"the input {source} lies in the run folder {path}, whose files are replaced:"
                " move it, or choose another folder (out =, or --out)."
            )


def _identity(path: Path) -> tuple[int, int]:
    """Return device and inode, which all names of a file share."""
    found = path.stat()
    return found.st_dev, found.st_ino


JOURNAL = "made.txt"
"""In what is kept: names of files that a stage was about to make when it was killed."""


def known_files(path: Path) -> set[str]:
    """Return the names of the files that geomfaf made in a run folder."""
    known = {MARKER}
    journal = path / KEPT / JOURNAL
    if journal.is_file():
        known |= set(journal.read_text(encoding="utf-8").splitlines())
    try:
        content = json.loads((path / MARKER).read_text(encoding="utf-8"))
        return known | set(map(str, content["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return known


def note_files(path: Path, names: Iterable[str]) -> None:
    """Write the marker with the names of the files that geomfaf made."""
    note = "geomfaf made these files and may replace or remove them; it touches no others here."
    write_json({"note": note, "files": sorted(set(names))}, path / MARKER, overwrite=True)


@contextmanager
def locked_folder(path: Path) -> Iterator[Path]:
    """Make the run folder and keep other runs out of it while the block runs.

    The lock is the operating system's: it ends with the process, however that ends.
    """
    make_folder(path)
    if not (path / MARKER).exists():
        note_files(path, [])
    kept = path / KEPT
    make_folder(kept)
    lock = FileLock(kept / "lock")
    running = kept / "running.json"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(
            f"another run works in {path}{_who_runs(running)}: wait for it, stop it, or choose"
            " another folder (--out)."
        ) from error
    try:
        remove_leftovers(path)
        began = time.strftime("%Y-%m-%d %H:%M:%S")
        content = {
            "process": os.getpid(),
            "began": began,
            "command": sys.argv,
        }
        running.write_text(json.dumps(content), encoding="utf-8")
        yield kept
    finally:
        running.unlink(missing_ok=True)
        lock.release()


def _who_runs(running: Path) -> str:
    try:
        content = json.loads(running.read_text(encoding="utf-8"))
        return f" (process {content['process']}, since {content['began']})"
    except (OSError, ValueError, KeyError):
        return ""


def size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
