"""Arguments go in; geomfaf runs beside QGIS and its progress, messages and errors come out. No QGIS
needed: a feedback is any object with the five methods that are called here.
"""

from __future__ import annotations

import contextlib
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
from .progress import Report

PATIENCE = 20.0
"""Seconds that a cancelled process gets to end by itself."""

CANCELLED = "cancelled: nothing half-written is left; what was done is remembered, run it again"


class RunError(Exception):
    """geomfaf ended with an error; the message is its own."""


def run_process(
    command: Sequence[str],
    feedback: Any,
    folder: Path,
    *,
    json_lines: bool = True,
    cancelled: str = CANCELLED,
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
        Whether its stderr speaks in JSON; otherwise every line it prints is shown.
    cancelled : str
        The message after a cancel.

    Raises
    ------
    RunError
        With the program's own sentence, or that it was cancelled.
    """
    process = _started(command, folder, json_lines)
    lines: queue.Queue = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    report = Report(feedback)
    try:
        # Cancelling must not wait for the next line, which may be seconds away.
        for line in _lines_until_end(lines, feedback):
            if line is None:
                report.tick()
            elif json_lines:
                report.take(line)
            else:
                report.say(line)
        if feedback.isCanceled():
            _stop(process)
            raise RunError(cancelled)
        code = process.wait()
    finally:
        # The reader ends with the process; what it read from is closed by it.
        reader.join(PATIENCE)
    if code:
        raise RunError(report.error or report.last or f"{command[0]} ended with code {code}")


def _started(command: Sequence[str], folder: Path, json_lines: bool) -> subprocess.Popen:
    """Start a process in a group of its own, so that its helpers can be stopped with it."""
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        # No black window: CREATE_NO_WINDOW.
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | 0x08000000}
    environment = {**clean_environment(dict(os.environ)), "PYTHONUTF8": "1"}
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=str(folder),
        env=environment,
        stdin=subprocess.DEVNULL,
        # stdout of geomfaf is data; pip tells there how far it is.
        stdout=subprocess.DEVNULL if json_lines else subprocess.PIPE,
        stderr=subprocess.PIPE if json_lines else subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        **options,
    )


def _read(process: subprocess.Popen, lines: queue.Queue) -> None:
    with process.stderr or process.stdout as stream:
        for line in stream:
            lines.put(line.rstrip("\n"))
    lines.put(None)


def _lines_until_end(lines: queue.Queue, feedback: Any) -> Iterator[str | None]:
    """Yield lines as they come, and None while none comes; end with them, or when cancelled."""
    while not feedback.isCanceled():
        try:
            line = lines.get(timeout=0.2)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _stop(process: subprocess.Popen) -> None:
    """Ask a process to end as Ctrl+C does, then end it and its helpers."""
    if sys.platform == "win32":
        process.send_signal(signal.CTRL_BREAK_EVENT)
    else:
        with contextlib.suppress(ProcessLookupError):
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
