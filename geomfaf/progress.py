"""Progress of long work: a bar on a terminal, plain lines elsewhere, JSON lines by name.

Library functions call :func:`track`. Until a style is chosen with :func:`show_progress`, a terminal
shows bars that go when they are done, and a notebook lines of what takes longer than a moment;
elsewhere nothing is shown. Everything goes to stderr: stdout is for data.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

from .errors import require_known

Item = TypeVar("Item")
MOMENT = 2.0
"""Seconds that a notebook need not hear of."""

STYLES = ("auto", "bar", "plain", "json", "none")
_style = ""  # nobody has chosen: see _shown_style
_silent_depth = 0
_logs: list[TextIO] = []
# the bars on screen: a loop inside another adds its bar to them, as a terminal has one such place
_live: Any = None


def show_progress(style: str = "auto") -> None:
    """Choose how progress is shown, by this process from now on.

    Parameters
    ----------
    style : {"auto", "bar", "plain", "json", "none"}
        ``auto`` is a bar on a terminal and plain lines elsewhere; ``json`` one object a line, for
        programs. What functions have to say (``say``) is shown too, but with ``none``.

    Raises
    ------
    UsageError
        For another style.

    Examples
    --------
    >>> import geomfaf as gm
    >>> gm.show_progress("plain")  # into a log, say
    >>> gm.show_progress("none")
    """
    global _style
    require_known(style, STYLES, "style of progress")
    _style = ("bar" if sys.stderr.isatty() else "plain") if style == "auto" else style


def say(message: str) -> None:
    """Write one line of log to stderr (a JSON object in JSON style, nothing in ``none``)."""
    event("message", message, text=message)


def event(kind: str, line: str, **content: Any) -> None:
    """Report something that happened, to stderr and to the logs.

    Parameters
    ----------
    kind : str
        ``message``, ``stage``, ``finding``, ``warning`` or ``error``: the JSON object's ``event``.
    line : str
        What people read; nothing is shown where it is empty.
    **content
        The JSON object's other fields.
    """
    if line:
        log(line)
    if _style == "json":
        _line({"event": kind, **content})
    elif line and (_style not in ("", "none") or kind == "error"):
        print(line, file=sys.stderr, flush=True)


def stage_event(
    name: str,
    number: int,
    of: int,
    state: str,
    **content: Any,
) -> None:
    """Report that a stage ``begins``, is ``done`` or is ``remembered``; people see it begin.

    ``content`` goes into the JSON object: of a run, how long the stage and those after it take.
    """
    line = f"[{number}/{of}] {name}" if state == "begins" else ""
    event(
        "stage",
        line,
        stage=name,
        number=number,
        of=of,
        state=state,
        **content,
    )


@contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Add every message, warning and error to a file while the block runs, with the time."""
    with open(path, "a", encoding="utf-8") as file:
        _logs.append(file)
        shown = warnings.showwarning
        warnings.showwarning = _warn  # type: ignore[assignment]
        try:
            yield
        finally:
            warnings.showwarning = shown
            _logs.remove(file)


def _warn(message: Warning | str, category: type[Warning], *_: Any) -> None:
    """Log a warning of a library; people need not see what they can do nothing about."""
    log(f"warning: {category.__name__}: {message}")
    if _style == "json":
        _line(
            {
                "event": "warning",
                "kind": category.__name__,
                "text": str(message),
            }
        )


def log(line: str) -> None:
    """Write a line into the logs alone, with the time."""
    for file in _logs:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        file.flush()


def hide_warnings() -> None:
    """Keep warnings of libraries out of stderr; logs and JSON get them."""
    warnings.showwarning = _warn  # type: ignore[assignment]


@contextmanager
def quiet() -> Iterator[None]:
    """Hide the progress of inner steps whose outer loop already reports."""
    global _silent_depth
    _silent_depth += 1
    try:
        yield
    finally:
        _silent_depth -= 1


def track(
    items: Sequence[Item],
    label: str,
    *,
    unit: str = "",
    weights: Sequence[float] | None = None,
) -> Iterable[Item]:
    """Yield the items and report how far the loop is, at which rate and how long it still takes.

    ``weights`` (one an item, in ``unit``) says how much work an item is; one each by default.
    """
    style = _style or _unchosen_style()
    if style == "none" or _silent_depth or not len(items):
        return items
    steps = [1.0] * len(items) if weights is None else [float(w) for w in weights]
    return _bar(items, label, unit, steps) if style == "bar" else _lines(items, label, unit, steps)


def _unchosen_style() -> str:
    """Return how a program that chose nothing shows progress: as one sees it, else not at all."""
    if "ipykernel" in sys.modules:
        return "plain"
    return "bar" if sys.stderr is not None and sys.stderr.isatty() else "none"


def _bar(
    items: Sequence[Item],
    label: str,
    unit: str,
    steps: list[float],
) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    global _live
    outer = _live
    started = time.monotonic()
    done = 0.0
    # Bars that nobody asked for do not stay.
    progress = outer or Progress(*columns, console=Console(stderr=True), transient=not _style)
    if outer is None:
        _live = progress
        progress.start()
    task = progress.add_task(label, total=sum(steps), rate="")
    try:
        for item, step in zip(items, steps, strict=True):
            yield item
            done += step
            progress.update(task, advance=step, rate=_rate(done, time.monotonic() - started, unit))
    finally:
        if outer is None:
            progress.stop()
            _live = None
        else:
            progress.remove_task(task)


def _lines(
    items: Sequence[Item],
    label: str,
    unit: str,
    steps: list[float],
) -> Iterator[Item]:
    """Report at the start, then at most every five seconds, and at the end."""
    total = sum(steps)
    done = 0.0
    started = time.monotonic()
    last = started
    for item, step in zip(items, steps, strict=True):
        yield item
        done += step
        now = time.monotonic()
        if now - last < 5 and done < total:
            continue
        if not _style and now - started < MOMENT:
            continue
        last = now
        spent = now - started
        left = spent / done * (total - done)
        if _style == "json":
            event = {
                "event": "progress",
                "stage": label,
                "done": done,
                "total": total,
                "unit": unit,
            }
            _line(
                {
                    **event,
                    "seconds": round(spent, 2),
                    "seconds_left": round(left, 2),
                }
            )
        else:
            share = f"{100 * done / total:3.0f} %"
            ending = f"{left:.0f} s left" if done < total else f"{spent:.1f} s"
            print(
                f"{label}: {share}, {_rate(done, spent, unit)}, {ending}",
                file=sys.stderr,
                flush=True,
            )


def _rate(done: float, seconds: float, unit: str) -> str:
    rate = done / max(seconds, 1e-6)
    return (
        f"{rate:,.0f} {unit}/s".replace(" /s", "/s")
        if rate >= 10
        else f"{rate:.2g} {unit}/s".replace(" /s", "/s")
    )


def _line(event: dict) -> None:
    print(json.dumps(event), file=sys.stderr, flush=True)
