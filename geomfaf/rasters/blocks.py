"""Where blocks are computed: threads of this process, or the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import UsageError
from ..progress import track
from .grid import Grid

BLOCK = 512
"""Cells along a block's side: eight bands of it are 8 MB, and the compiled engines fill it in 0.1 s
or less.
"""

Window = tuple[int, int, int, int]
Compute = Callable[..., Any]
"""Takes (row, column, height, width) of a window of the grid, returns float32 (bands, height,
width).
"""


def cores() -> int:
    """Return the number of cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def block_windows(grid: Grid, size: int = BLOCK) -> list[Window]:
    """Return the (row, column, height, width) of a grid's blocks, row by row."""
    return [(row, column, part.height, part.width) for row, column, part in grid.blocks(size)]


class BlockRunner:
    """Hands windows to workers, a few more than there are of them, and returns the results in
    order.
    """

    def __init__(self, submit: Callable[[Window], Any], workers: int):
        self.submit = submit
        self.most = 2 * workers + 1

    def ordered(self, windows: Iterable[Window]) -> Iterator[Any]:
        """Yield the blocks of the windows one by one; memory holds ``most`` of them."""
        # A few more windows than workers: none of them waits, and memory stays bounded.
        waiting: deque[Any] = deque()
        for window in windows:
            waiting.append(self.submit(window))
            if len(waiting) >= self.most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def block_runner(compute: Compute, scheduler: str | None = None) -> Iterator[BlockRunner]:
    """Give a runner on local threads or, with the address of a Dask scheduler, on its workers."""
    if scheduler is None:
        # Threads, not processes: compiled engines and GDAL let go of the interpreter's lock.
        pool = ThreadPoolExecutor(cores())
        try:
            yield BlockRunner(lambda window: pool.submit(compute, *window), cores())
        finally:
            pool.shutdown(cancel_futures=True)
        return
    with _client(scheduler) as client:
        # The samples and their tree travel once to every worker, not with every block.
        remote = client.scatter(compute, broadcast=True, hash=False)
        workers = sum(client.nthreads().values())
        yield BlockRunner(
            lambda window: client.submit(call_block, remote, window, pure=False), workers
        )


def _client(scheduler: str) -> Any:
    """Return a client of a Dask scheduler, or say that it cannot be reached."""
    try:
        from distributed import Client
    except ImportError as error:
        raise UsageError('a scheduler needs Dask: pip install "geomfaf[dask]".') from error
    try:
        return Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no Dask scheduler answers at {scheduler}: start one with `dask scheduler`, or leave"
            " --scheduler out to compute on this machine."
        ) from error


def fill_blocks(
    compute: Compute,
    grid: Grid,
    bands: int,
    label: str,
) -> np.ndarray:
    """Return float32 (bands, y, x) of all blocks of a grid, computed on one thread a core."""
    out = np.empty((bands, *grid.shape), np.float32)
    windows = block_windows(grid)
    with block_runner(compute) as runner:
        # Blocks come back in the order of their windows, whichever thread was first.
        results = runner.ordered(windows)
        cells = [height * width for _, _, height, width in windows]
        for window in track(windows, label, unit="cells", weights=cells):
            row, column, height, width = window
            out[:, row : row + height, column : column + width] = next(results)
    return out


def call_block(compute: Compute, window: Window) -> Any:
    """Compute one block; a function of the module, so that workers find it by name."""
    return compute(*window)


def dask_blocks(compute: Compute, grid: Grid, bands: int) -> Any:
    """Return the lazy dask array (bands, y, x) of a block function, one chunk a block.

    The blocks are those that :func:`geomfaf.rasters.stream.stream_raster` computes, to the bit.
    """
    import dask
    import dask.array as da

    shared = dask.delayed(compute, pure=False)
    # Blocks come row by row: one that begins at column 0 begins a new row.
    rows: list[list[Any]] = []
    for row, column, part in grid.blocks(BLOCK):
        if column == 0:
            rows.append([])
        window = (row, column, part.height, part.width)
        block = dask.delayed(call_block, pure=False)(shared, window)
        shape = (bands, part.height, part.width)
        rows[-1].append(da.from_delayed(block, shape, np.float32))
    return da.block([list(line) for line in rows])
