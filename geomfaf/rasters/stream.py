"""Rasters larger than memory: computed block by block, written while the next blocks compute.

Memory holds a few blocks and what the computation itself needs, never the grid. The file grows
beside its final name and takes it when complete. A journal beside it lists the blocks that are
safely on disk with their checksums: after an interruption, even a hard one, the same call goes on
from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputExistsError, UsageError
from ..progress import say, track
from .bands import Band
from .blocks import BlockRunner, block_runner, block_windows
from .grid import Grid
from .statistics import block_moments, merge_moments
from .stores import Note, Settle, TiffFile, ZarrStore
from .tiff_tiles import TILE

CHECKPOINT = 20.0
"""Seconds of work that a hard interruption may cost: files are closed and journaled this often."""

Compute = Callable[[int, int, int, int], np.ndarray]
Window = tuple[int, int, int, int]


def stream_raster(  # noqa: PLR0913  (what is written, how, and how it goes on)
    path: str | Path,
    grid: Grid,
    bands: Sequence[Band],
    compute: Compute,
    *,
    job: str,
    tags: Sequence[Mapping[str, str]] = (),
    overwrite: bool = False,
    cog: bool = False,
    scheduler: str | None = None,
    settle: Settle | None = None,
) -> Path:
    """Compute a raster block by block and write it to a GeoTIFF or, for a name ending in .zarr, to
    Zarr.

    Parameters
    ----------
    path : path
        ``.tif``: tiled GeoTIFF, zstd level 1. ``.zarr``: Zarr 2, one chunk a block and band.
    compute : callable
        Takes (row, column, height, width), returns float32 (bands, height, width). On a cluster it
        is sent to the workers once.
    job : str
        Says what is computed. A file left unfinished by the same job is continued, any other
        replaced.
    tags : sequence of dict, optional
        What else to write into each band's metadata.
    cog : bool
        Rewrite the finished GeoTIFF as a cloud-optimised one, with overviews.
    scheduler : str, optional
        Address of a Dask scheduler; local threads otherwise.
    settle : callable, optional
        Takes the bands and their statistics when all is computed, returns the bands as the file
        shall describe them.
    """
    path = Path(path)
    check_target(path, overwrite=overwrite, cog=cog)
    # A COG is a second file with overviews, a third more, made twice before the first file goes.
    grid.require_disk(len(bands), path.parent, copies=1 + 1 / 3 + 4 / 3 if cog else 1.0)
    # 1. the store, and the journal of what is in it; another job's journal is not continued
    store = (ZarrStore if path.suffix == ".zarr" else TiffFile)(path, grid, bands, tags)
    job = hashlib.sha256(f"{job}|{grid}|{list(bands)}|{TILE}".encode()).hexdigest()
    journal = Journal(path.with_name(f".{path.name}.journal"), job)
    windows = block_windows(grid, TILE)
    # 2. what is not there yet is computed by the workers and written here, in order
    with block_runner(partial(encoded_block, compute, store.encode), scheduler) as runner:
        journal.open(store)
        left = [window for window in windows if window not in journal.done]
        if journal.done:
            say(
                f"{path.name}: {len(journal.done):,} of {len(windows):,} blocks are done, going on"
                " with the rest."
            )
        try:
            _write_blocks(store, journal, left, runner)
        finally:
            journal.save(store)
            store.close()
    # 3. what needs all blocks: statistics, descriptions, the directory, the final name
    statistics = journal.statistics(len(bands), grid.size)
    if settle is not None:
        store.bands = settle(bands, statistics)
    store.finish(journal.done, statistics, cog=cog)
    journal.path.unlink()
    return path


def encoded_block(
    compute: Compute, encode: Callable[[np.ndarray], Any], *window: int
) -> tuple[Any, list[list[float]]]:
    """Compute a block and bring it into the shape it is stored in, where it is computed; with its
    statistics.
    """
    values = np.asarray(compute(*window), np.float32)
    return encode(values), [block_moments(band) for band in values]


def _write_blocks(
    store: TiffFile | ZarrStore,
    journal: Journal,
    windows: list[Window],
    runner: BlockRunner,
) -> None:
    saved = time.monotonic()
    # Workers compute and compress ahead; this thread alone writes, in the order of the blocks.
    results = runner.ordered(windows)
    cells = [height * width for _, _, height, width in windows]
    for window in track(windows, "writing", unit="cells", weights=cells):
        encoded, moments = next(results)
        journal.add(window, {**store.write(window, encoded), "bands": moments})
        if time.monotonic() - saved > CHECKPOINT:
            journal.save(store)
            saved = time.monotonic()


def check_target(
    path: Path,
    *,
    overwrite: bool = False,
    cog: bool = False,
) -> None:
    """Refuse a name that cannot be written to, before any work."""
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists: choose another name or allow it with --overwrite (overwrite=True)."
        )
    if not path.parent.is_dir():
        raise UsageError(
            f"the folder {path.parent} does not exist: create it or choose another place for"
            f" {path.name}."
        )
    if path.suffix not in (".tif", ".tiff", ".zarr"):
        raise UsageError(
            f'{path.name} ends in "{path.suffix}": name it .tif for GeoTIFF or .zarr for Zarr.'
        )
    if cog and path.suffix == ".zarr":
        raise UsageError(
            "a Zarr store cannot be a cloud-optimised GeoTIFF: leave cog out or name the file .tif."
        )


class Journal:
    """Which blocks are safely on disk: their checksums and the statistics of their cells."""

    def __init__(self, path: Path, job: str):
        self.path = path
        self.job = job
        self.done: dict[Window, Note] = {}
        self._unsaved: dict[Window, Note] = {}

    def open(self, store: TiffFile | ZarrStore) -> None:
        """Continue the unfinished file of the same job, else begin a new one.

        A block counts as done when it reads back with its checksum, whatever the machine went
        through.
        """
        # A block is believed by its checksum: the journal may know more than reached the disk.
        known = self._read()
        if known and store.resume():
            self.done = {
                window: note for window, note in known.items() if store.holds(window, note)
            }
        if not self.done:
            store.create()
        # The journal begins anew with what was found sound: the job first, then a line a block.
        with self.path.open("w", encoding="utf-8") as file:
            file.write(json.dumps({"job": self.job}) + "\n")
            file.writelines(json.dumps([window, note]) + "\n" for window, note in self.done.items())

    def add(self, window: Window, note: Note) -> None:
        """Note a block that was written; it counts after the next save."""
        self._unsaved[window] = note

    def save(self, store: TiffFile | ZarrStore) -> None:
        """Bring the data to disk first, then say so."""
        store.flush()
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps([window, note]) + "\n" for window, note in self._unsaved.items()
            )
            file.flush()
            os.fsync(file.fileno())
        self.done.update(self._unsaved)
        self._unsaved = {}

    def statistics(
        self,
        bands: int,
        cells: int,
    ) -> list[dict[str, float]]:
        """Return minimum, maximum, mean, standard deviation and valid percentage of each band."""
        figures = []
        for band in range(bands):
            moments = [note["bands"][band] for note in self.done.values()]
            figures.append(merge_moments(moments, cells))
        return figures

    def _read(self) -> dict[Window, Note]:
        if not self.path.exists():
            return {}
        # What follows the last line end was being written when the power went.
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1]
        if not lines or json.loads(lines[0])["job"] != self.job:
            say(f"{self.path.name}: the unfinished file is of another job, beginning anew.")
            return {}
        return {tuple(window): note for window, note in map(json.loads, lines[1:])}


def unfinished(folder: str | Path) -> Iterator[Path]:
    """Yield the final names of rasters in a folder that an interruption left unfinished."""
    for journal in Path(folder).glob(".*.journal"):
        yield journal.with_name(journal.name[1:].removesuffix(".journal"))
