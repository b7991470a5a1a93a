"""Arguments go in; geomfaf runs beside QGIS and its progress, messages and errors come out. No QGIS
needed: a feedback is any object with the five methods that are called here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .finding import clean_environment

PATIENCE = 20.0
"""Seconds that a cancelled process gets to end by itself."""


class RunError(Exception):
    """geomfaf ended with an error; the message is its own."""


def run_process(
    command: Sequence[str], feedback: Any, folder: Path, *, json_lines: bool = True
) -> None:
    """Run a program until it ends, or until the feedback is cancelled.

    Arguments are a list that no shell reads: blanks, quotes and ``$( )`` in names stay what they
    are.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    feedback : object
        ``isCanceled()``, ``setProgress(percent)``, ``setProgressText(text)``, ``pushInfo(text)``
        and ``pushWarning(text)``, as QGIS has them.
    folder : Path
        Where it works.
    json_lines : bool
        Whether its stderr speaks in JSON; otherwise every line is shown.

    Raises
    ------
    RunError
        With the program's own sentence, or that it was cancelled.
    """
    process = _started(command, folder)
    lines: queue.Queue = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    report = Report(feedback)
    try:
        # Cancelling must not wait for the next line, which may be seconds away.
        for line in _lines_until_end(lines, feedback):
            if line is None:
                _stop(process)
                raise RunError(
                    "cancelled: nothing half-written is left, and the same run goes on later"
                )
            if json_lines:
                report.take(line)
            else:
                report.say(line)
        code = process.wait()
    finally:
        # The reader ends with the process; what it read from is closed by it.
        reader.join(PATIENCE)
    if code:
        raise RunError(report.error or report.last or f"{command[0]} ended with code {code}")


def _started(command: Sequence[str], folder: Path) -> subprocess.Popen:
    """Start a process in a group of its own, so that its helpers can be stopped with it."""
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | 0x08000000}
    environment = {**clean_environment(dict(os.environ)), "PYTHONUTF8": "1"}
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=str(folder),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        **options,
    )


def _read(process: subprocess.Popen, lines: queue.Queue) -> None:
    with process.stderr:
        for line in process.stderr:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _lines_until_end(lines: queue.Queue, feedback: Any) -> Iterator[str | None]:
    """Yield lines as they come; None when the feedback is cancelled."""
    while True:
        if feedback.isCanceled():
            yield None
            return
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            continue
        if line is None:
            return
        yield line


def _stop(process: subprocess.Popen) -> None:
    """Ask a process to end as Ctrl+C does, then end it and its helpers."""
    if sys.platform == "win32":
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        os.killpg(process.pid, signal.SIGINT)
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Report:
    """What geomfaf says, line by line, passed on to a feedback."""

    def __init__(self, feedback: Any) -> None:
        self.feedback = feedback
        self.error = ""
        self.last = ""
        self.stage = 0
        self.stages = 1

    def say(self, line: str) -> None:
        """Show a line as it is."""
        if line.strip():
            self.last = line.strip()
            self.feedback.pushInfo(self.last)

    def take(self, line: str) -> None:
        """Show a line of JSON as what it means; any other line as it is."""
        try:
            event = json.loads(line)
        except ValueError:
            self.say(line)
            return
        kind = event.get("event") if isinstance(event, dict) else None
        if kind == "stage":
            self._take_stage(event)
        elif kind == "progress":
            self._take_progress(event)
        elif kind == "error":
            self.error = str(event.get("text", ""))
        elif kind == "warning":
            self.feedback.pushWarning(str(event.get("text", "")))
        else:
            self.say(str(event.get("text", line)) if isinstance(event, dict) else line)

    def _take_stage(self, event: dict[str, Any]) -> None:
        self.stages = max(1, int(event["of"]))
        self.stage = int(event["number"]) - (event["state"] == "begins")
        self.feedback.setProgress(100 * self.stage / self.stages)
        if event["state"] == "begins":
            self.feedback.setProgressText(f"{event['stage']} ({event['number']} of {self.stages})")

    def _take_progress(self, event: dict[str, Any]) -> None:
        share = event["done"] / event["total"] if event["total"] else 0
        self.feedback.setProgress(100 * (self.stage + min(1, share)) / self.stages)
        left = event.get("seconds_left", 0)
        self.feedback.setProgressText(f"{event['stage']}: {100 * share:.0f} %, {left:.0f} s left")
