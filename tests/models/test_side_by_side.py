"""Tasks computed by processes give what they give here, and end with the process that began them."""

import os
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import psutil
import pytest

from geomfaf.errors import DataError
from geomfaf.models import side_by_side as module
from geomfaf.models.side_by_side import side_by_side, worker_count


def total(values: np.ndarray, factor: int) -> float:
    return float((values * factor).sum())


def own_process(_: int) -> int:
    return os.getpid()


def refused(number: int) -> int:
    if number == 1:
        raise DataError("line 7: no number")
    return number


def ended(parent: int) -> int:
    """End a helper as the system does when memory is short; the parent itself goes on."""
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return parent


@pytest.fixture
def two_processes(monkeypatch):
    monkeypatch.setattr(module, "MANY", 2)
    monkeypatch.setattr(module, "MEMORY", 1.0)
    monkeypatch.setattr(module, "cores", lambda: 2)


def test_results_are_those_of_this_process_in_order(two_processes):
    values = np.random.default_rng(0).normal(size=400_000)  # large enough to be shared
    tasks = [partial(total, values, factor) for factor in range(9)]
    found = side_by_side(tasks, "sums")
    assert found == [task() for task in tasks]
    helpers = set(side_by_side([partial(own_process, number) for number in range(4)], "who"))
    assert os.getpid() not in helpers
    here = side_by_side([partial(own_process, 0)] * 4, "who", processes=False)
    assert set(here) == {os.getpid()}


def test_an_error_of_a_task_is_its_own(two_processes):
    with pytest.raises(DataError, match="line 7: no number"):
        side_by_side([partial(refused, number) for number in range(3)], "refusals")


def test_tasks_go_on_here_when_a_process_is_ended(two_processes):
    found = side_by_side([partial(ended, os.getpid())] * 3, "ended")
    assert found == [os.getpid()] * 3


def test_few_tasks_little_memory_and_one_core_need_no_process(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 8)
    assert worker_count(module.MANY - 1) == 1
    assert worker_count(1000) == min(8, int(psutil.virtual_memory().available // module.MEMORY))
    monkeypatch.setattr(module, "MEMORY", 1e15)
    assert worker_count(1000) == 1
    monkeypatch.setattr(module, "MEMORY", 1.0)
    monkeypatch.setattr(module, "cores", lambda: 1)
    assert worker_count(1000) == 1


PROGRAM = """
import time
from functools import partial
from geomfaf.models import side_by_side as module
module.MANY, module.MEMORY = 2, 1.0
module.cores = lambda: 2
module.side_by_side([partial(time.sleep, 60)] * 2, "sleeping")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of Unix")
def test_helpers_end_with_a_parent_that_was_killed():
    parent = subprocess.Popen([sys.executable, "-c", PROGRAM])
    limit = time.monotonic() + 60
    helpers: list[psutil.Process] = []
    while len(helpers) < 2 and time.monotonic() < limit:
        time.sleep(0.2)
        # joblib's own watcher of temporary files is no helper
        helpers = [
            child
            for child in psutil.Process(parent.pid).children()
            if not any("resource_tracker" in word for word in child.cmdline())
        ]
    assert len(helpers) == 2
    time.sleep(5)  # until both are at work
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(helpers, timeout=20)
    assert not alive
