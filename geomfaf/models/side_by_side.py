"""Tasks that do not depend on each other, computed side by side by processes where that pays.

Small fits are mostly Python's own work, which threads only hold up: processes keep all cores busy.
They are kept between calls, and end with the process that began them.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import TypeVar

from ..progress import quiet, say, show_progress, track
from ..rasters.blocks import cores

Result = TypeVar("Result")

MANY = 20
"""Tasks from which processes pay: beginning one costs what some tasks do."""

MEMORY = 2e9
"""Bytes of free memory for each process: its libraries, and what it computes."""


def side_by_side(
    tasks: Sequence[Callable[[], Result]],
    label: str,
    *,
    unit: str = "parts",
    processes: bool = True,
) -> list[Result]:
    """Return the results of tasks, in order.

    Parameters
    ----------
    tasks : sequence of callable
        What they hold must be pickled; large arrays are shared, not copied, and read-only.
    label, unit : str
        Of the progress.
    processes : bool
        Whether they may be computed by other processes: not what runs on a graphics card, and not
        what was registered in this process alone.

    Examples
    --------
    >>> from functools import partial
    >>> side_by_side([partial(pow, 2, 3), partial(pow, 2, 4)], "powers")
    [8, 16]
    """
    count = worker_count(len(tasks)) if processes else 1
    if count < 2:
        return [_here(task) for task in track(tasks, label, unit=unit)]
    from joblib import Parallel, delayed

    # Each process computes with one thread: together they have the cores.
    pool = Parallel(n_jobs=count, backend="loky", return_as="generator", inner_max_num_threads=1)
    jobs = (delayed(_in_worker)(task, os.getpid()) for task in tasks)
    try:
        results = iter(pool(jobs))
        return [next(results) for _ in track(tasks, label, unit=unit)]
    except BrokenProcessPool:
        say(
            "a process that helped was ended by the system, for want of memory perhaps: going on alone"
        )
        return [_here(task) for task in track(tasks, label, unit=unit)]


def worker_count(tasks: int) -> int:
    """Return how many processes compute so many tasks; 1 where they do not pay."""
    import psutil

    if tasks < MANY:
        return 1
    room = int(psutil.virtual_memory().available // MEMORY)
    return max(1, min(cores(), room, tasks))


def _here(task: Callable[[], Result]) -> Result:
    """Compute a task in this process; its own steps need no bars beside that of the tasks."""
    with quiet():
        return task()


def _in_worker(task: Callable[[], Result], parent: int) -> Result:
    """Compute a task in a process of its own."""
    _prepare_worker(parent)
    return task()


@cache
def _prepare_worker(parent: int) -> None:
    """Make a process a quiet helper: the parent says what there is to say, and hears Ctrl-C."""
    show_progress("none")
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process soon after its parent did, however that ended."""
    import psutil

    # A parent that died is another process on Unix, and none on Windows.
    while os.getppid() == parent and psutil.pid_exists(parent):
        time.sleep(1)
    os._exit(1)
