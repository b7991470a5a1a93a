"""Stages of a run go in; those whose inputs and settings are as they were are not made again.

A stage writes files. Its key is a hash of its settings, of the source text that it runs, and of
the files of the stages before it. When it is done, its key and the hashes of its files are noted in
the folder ``kept``; a stage with the same key whose files are untouched is skipped. What a stage
hands on is always read back from its files, so that a resumed run sees what an uninterrupted one
sees.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from ..files import (
    WatchedFolder,
    file_hash,
    library_versions,
    plain_values,
    watch_folder,
    write_json,
)
from ..progress import say, stage_event
from .folder import JOURNAL, KEPT, known_files, note_files
from .project import Project
from .results import Results
from .usual_times import CELLS, usual_seconds

PACKAGE = Path(__file__).parents[1]
UNFINISHED = "unfinished"
"""Folder, within what is kept, of a stage that was interrupted or runs."""

FOLDERS = (
    "settings",
    "rasters",
    "survey",
    "evidence",
    "windows",
    "models",
    "evaluation",
    "deliver",
)
"""Folders whose source text decides what a stage makes: those up to its own."""


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes
    ----------
    name : str
        What people read.
    make : callable
        Takes :class:`Results` and the folder for what is unfinished; writes the stage's files.
    settings : callable
        Takes the project; returns everything of it that the files depend on.
    code : str
        The last folder of :data:`FOLDERS` that it calls.
    after : tuple of str
        Stages whose files it reads.
    """

    name: str
    make: Callable[[Results, Path], None]
    settings: Callable[[Project], Any]
    code: str
    after: tuple[str, ...] = ()


class Memory:
    """What a run folder remembers of its stages.

    Parameters
    ----------
    project : Project
        Its ``out`` is the run folder, locked by the caller.
    stages : sequence of Stage
        In the order in which they run.
    """

    def __init__(self, project: Project, stages: Sequence[Stage]) -> None:
        self.project = project
        self.stages = list(stages)
        self.kept = project.out / KEPT
        self.notes: dict[str, dict[str, Any]] = {}

    def key(self, stage: Stage) -> str:
        """Return the hash of all that decides a stage's files; the stages before it are done."""
        before = {name: self.notes[name]["files"] for name in stage.after}
        state = [stage.name, plain_values(stage.settings(self.project)), before]
        words = json.dumps([*state, source_hash(stage.code), library_versions()], sort_keys=True)
        return hashlib.sha256(words.encode()).hexdigest()

    def why_made(self, stage: Stage) -> str:
        """Return why a stage must be made, in words; ``""`` when it is remembered."""
        note = self.read_note(stage)
        if note is None:
            return "not made yet"
        for name in stage.after:
            if name not in self.notes:
                return f"{name} is made first"
        if note["key"] != self.key(stage):
            return "its settings, its inputs or the program changed"
        for name, digest in note["files"].items():
            path = self.project.out / name
            if not path.is_file() or file_hash(path) != digest:
                return f"{name} is not as it was"
        return ""

    def run(self, stage: Stage, results: Results) -> bool:
        """Make a stage, or take what is remembered; return whether it was made."""
        number = self.stages.index(stage) + 1
        # Whoever draws a bar needs to know that stages differ; seconds of the demo on two cores.
        usual = [usual_seconds(one.name, CELLS) for one in self.stages[number - 1 :]]
        long = {"usual_seconds": usual[0], "usual_seconds_left": round(sum(usual), 1)}
        stage_event(stage.name, number, len(self.stages), "begins", **long)
        if not self.why_made(stage):
            self.notes[stage.name] = self.read_note(stage) or {}
            say(f"{stage.name}: as it was, nothing changed")
            stage_event(stage.name, number, len(self.stages), "remembered")
            return False
        self._note_path(stage).unlink(missing_ok=True)
        key = self.key(stage)
        unfinished = self.kept / UNFINISHED / stage.name / key[:16]
        unfinished.mkdir(parents=True, exist_ok=True)
        known = known_files(self.project.out) | self.own_files()
        watch = WatchedFolder(self.project.out, known, journal=self.kept / JOURNAL)
        try:
            with measured() as cost, watch_folder(watch):
                stage.make(results, unfinished)
        finally:
            note_files(self.project.out, known | set(watch.made))
            (self.kept / JOURNAL).unlink(missing_ok=True)
        self._note(stage, key, watch, cost)
        shutil.rmtree(unfinished.parent)
        say(f"{stage.name}: {cost['seconds']:.1f} s")
        stage_event(stage.name, number, len(self.stages), "done")
        return True

    def own_files(self) -> set[str]:
        """Return the files of the stages that are done."""
        return {name for note in self.notes.values() for name in note["files"]}

    def _note(
        self,
        stage: Stage,
        key: str,
        watch: WatchedFolder,
        cost: dict[str, float],
    ) -> None:
        out = self.project.out
        # What is unfinished is watched too, and is gone when the stage is done.
        names = [name for name in sorted(set(watch.made)) if (out / name).is_file()]
        scratch = f"{KEPT}/{UNFINISHED}/"
        files = {name: file_hash(out / name) for name in names if not name.startswith(scratch)}
        note = {
            "stage": stage.name,
            "key": key,
            "files": files,
            **cost,
        }
        self._note_path(stage).parent.mkdir(exist_ok=True)
        write_json(note, self._note_path(stage), overwrite=True)
        self.notes[stage.name] = note

    def _note_path(self, stage: Stage) -> Path:
        return self.kept / "stages" / f"{stage.name}.json"

    def read_note(self, stage: Stage) -> dict[str, Any] | None:
        """Return the note of a stage; None for one that is missing or damaged."""
        try:
            note = json.loads(self._note_path(stage).read_text(encoding="utf-8"))
            return note if {"key", "files"} <= set(note) else None
        except (OSError, ValueError, TypeError):
            return None


SOURCES = (".py", ".html", ".css", ".js", ".md")
"""What makes results: programs, and the templates of what people read."""


@cache
def source_hash(last: str) -> str:
    """Return the hash of the source text of all folders up to one, and of the stages themselves."""
    digest = hashlib.sha256()
    folders = FOLDERS[: FOLDERS.index(last) + 1]
    files = [path for folder in folders for path in sorted((PACKAGE / folder).rglob("*.*"))]
    paths = [path for path in files if path.suffix in SOURCES]
    for path in [*paths, *sorted((PACKAGE / "run").glob("s*.py"))]:
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Give a dict that holds seconds and peak memory (MB of the process) when the block ends."""
    cost: dict[str, float] = {}
    process = psutil.Process()
    ended = threading.Event()
    peak = [process.memory_info().rss]

    def look() -> None:
        while not ended.wait(0.1):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    began = time.monotonic()
    try:
        yield cost
    finally:
        ended.set()
        watcher.join()
        cost["seconds"] = round(time.monotonic() - began, 2)
        cost["peak_mb"] = round(max(peak[0], process.memory_info().rss) / 1e6)
