"""Raster files that are filled block by block: GeoTIFF and Zarr, with the same few verbs."""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import rasterio
import rasterio.crs
import xarray as xr

from ..errors import UsageError
from .bands import (
    Band,
    as_dataarray,
    as_json,
    bands_of,
    describe_band,
    grid_of,
    legends_of,
    with_making,
)
from .grid import Grid
from .overviews import write_cog
from .statistics import statistics_tags
from .tiff_tiles import LAYOUT, TILE, compressed_tiles, write_directory

Place = tuple[int, int, int, int]
"""First row, first column, rows and columns of a block."""


Note = dict[str, Any]
"""What a store must know again to find and check a block."""


Settle = Callable[[Sequence[Band], Sequence[Mapping[str, float]]], Sequence[Band]]


class TiffFile:
    """A tiled GeoTIFF that grows beside its final name: tiles are appended, the directory comes
    last.
    """

    encode = staticmethod(compressed_tiles)

    def __init__(
        self,
        path: Path,
        grid: Grid,
        bands: Sequence[Band],
        tags: Sequence[Mapping[str, str]] = (),
    ):
        self.path = path
        self.grid = grid
        self.bands = bands
        self.tags = tags or [{} for _ in bands]
        self.part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._file: BinaryIO | None = None

    def create(self) -> None:
        """Begin a file that has its metadata and no tiles."""
        crs = rasterio.crs.CRS.from_wkt(self.grid.crs.to_wkt())
        height, width = self.grid.shape
        profile = {
            **LAYOUT,
            "crs": crs,
            "transform": self.grid.transform,
            "height": height,
            "width": width,
        }
        # GDAL writes the metadata and no tiles; tiles are appended by `write`.
        with rasterio.open(
            self.part, "w", count=len(self.bands), sparse_ok=True, **profile
        ) as file:
            for index, band in enumerate(self.bands, start=1):
                describe_band(file, index, band, self.tags[index - 1])
        self.resume()

    def resume(self) -> bool:
        """Open the unfinished file; False when there is none."""
        if self.part.exists():
            self._file = self.part.open("r+b")
            self._file.seek(0, os.SEEK_END)
        return self._file is not None

    def write(self, place: Place, tiles: list[bytes]) -> Note:
        """Append the tiles of a block; returns where they are, and a checksum."""
        assert self._file is not None
        # The file is always at its end: tiles lie in the order in which blocks were finished.
        start = self._file.tell()
        self._file.writelines(tiles)
        return {
            "start": start,
            "sizes": [len(tile) for tile in tiles],
            "crc": zlib.crc32(b"".join(tiles)),
        }

    def holds(self, place: Place, note: Note) -> bool:
        """Say whether the tiles of a block are there, unharmed."""
        assert self._file is not None
        # Read back from the disk, for what was written need not have arrived there.
        self._file.seek(note["start"])
        sound = zlib.crc32(self._file.read(sum(note["sizes"]))) == note["crc"]
        self._file.seek(0, os.SEEK_END)
        return sound

    def flush(self) -> None:
        """Bring everything to disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove the unfinished file, where there is one."""
        self.close()
        self.part.unlink(missing_ok=True)

    def finish(
        self, notes: Mapping[Place, Note], statistics: Sequence[Mapping[str, float]], *, cog: bool
    ) -> None:
        """Write the directory and the statistics, build overviews when a COG is wanted, take the
        final name.
        """
        self.close()
        # 1. the place of every tile, band by band; what no note names stays 0: a tile of nodata
        down, across = (-(-length // TILE) for length in self.grid.shape)
        offsets = np.zeros((len(self.bands), down, across), np.uint64)
        sizes = np.zeros_like(offsets)
        for (row, column, _, _), note in notes.items():
            ends = np.cumsum(note["sizes"])
            offsets[:, row // TILE, column // TILE] = note["start"] + ends - note["sizes"]
            sizes[:, row // TILE, column // TILE] = note["sizes"]
        write_directory(self.part, offsets.ravel(), sizes.ravel())
        # 2. what is known only when all blocks are: statistics, and classes that occur
        with rasterio.open(self.part, "r+") as file:
            for index, figures in enumerate(statistics, start=1):
                file.update_tags(index, **statistics_tags(figures))
                describe_band(file, index, self.bands[index - 1])
        # 3. overviews want a second file
        if cog:
            final = self.part.with_name(f".{self.path.stem}.cog{self.path.suffix}")
            write_cog(self.part, final, self.bands)
            os.replace(final, self.part)
        os.replace(self.part, self.path)


class ZarrStore:
    """A Zarr store with one chunk a block and band, each a file of its own."""

    encode = staticmethod(np.asarray)

    def __init__(
        self,
        path: Path,
        grid: Grid,
        bands: Sequence[Band],
        tags: Sequence[Mapping[str, str]] = (),
    ):
        require_zarr()
        self.path = path
        self.grid = grid
        self.bands = bands
        self.tags = tags or [{} for _ in bands]
        self.part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._array: Any = None

    def create(self) -> None:
        """Write the metadata of an empty store, which xarray reads back as it is."""
        import dask.array as da
        import numcodecs

        if self.part.exists():
            shutil.rmtree(self.part)
        # The bands' coordinates, from a raster of one cell of the same bands.
        shape = (len(self.bands), *self.grid.shape)
        chunks = (1, TILE, TILE)
        # xarray makes them as it does for a raster in memory, so that both read back alike.
        corner = self.grid.window(0, 0, 1, 1)
        small = as_dataarray(np.zeros((len(self.bands), 1, 1)), corner, self.bands)
        array = xr.DataArray(
            da.full(shape, np.nan, np.float32, chunks=chunks),
            dims=("band", "y", "x"),
            coords={
                **small.drop_vars(["x", "y"]).coords,
                "y": self.grid.y,
                "x": self.grid.x,
            },
            attrs={**small.attrs, "legends": as_json(legends_of(self.bands))},
            name="bands",
        )
        encoding = {"bands": {"chunks": chunks, "compressors": (numcodecs.Zstd(level=1),)}}
        # Metadata alone (compute=False): a chunk that is never written reads as nodata.
        array.to_dataset().to_zarr(
            self.part,
            mode="w",
            compute=False,
            encoding=encoding,
            zarr_format=2,
            consolidated=True,
        )
        self._open()

    def resume(self) -> bool:
        """Open the unfinished store; False when there is none."""
        if not self.part.exists():
            return False
        self._open()
        return bool(self._array.shape == (len(self.bands), *self.grid.shape))

    def write(self, place: Place, values: np.ndarray) -> Note:
        """Write one block; returns its checksum."""
        row, column, height, width = place
        self._array[:, row : row + height, column : column + width] = values
        return {"crc": _crc(values)}

    def holds(self, place: Place, note: Note) -> bool:
        """Say whether a block is there, unharmed."""
        row, column, height, width = place
        try:
            values = self._array[:, row : row + height, column : column + width]
        except (OSError, RuntimeError, ValueError):
            return False
        return _crc(values) == note["crc"]

    def flush(self) -> None:
        """Nothing to do: every chunk is a finished file."""

    def close(self) -> None:
        """Forget the open array."""
        self._array = None

    def finish(
        self, notes: Mapping[Place, Note], statistics: Sequence[Mapping[str, float]], *, cog: bool
    ) -> None:
        """Store statistics and take the final name."""
        import zarr

        # 1. what is known only when all blocks are
        group = zarr.open_group(self.part, mode="r+")
        told = {}
        for band, figures in zip(self.bands, statistics, strict=True):
            told[band.name] = {key.lower(): float(value) for key, value in figures.items()}
        group["bands"].attrs["statistics"] = told
        group["bands"].attrs["legends"] = as_json(legends_of(self.bands))
        group["bands"].attrs["tags"] = {
            band.name: dict(tags) for band, tags in zip(self.bands, self.tags, strict=True)
        }
        # 2. the final name; a folder cannot be replaced in one step as a file can
        zarr.consolidate_metadata(group.store)
        if self.path.exists():
            old = self.path.with_name(f".{self.path.stem}.old{self.path.suffix}")
            os.replace(self.path, old)
            os.replace(self.part, self.path)
            shutil.rmtree(old)
        else:
            os.replace(self.part, self.path)

    def _open(self) -> None:
        import zarr

        self._array = zarr.open_group(self.part, mode="r+")["bands"]


def require_zarr() -> None:
    """Say what to install where zarr is not."""
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise UsageError(
            'Zarr needs the package zarr: pip install "geomfaf[zarr]", or use .tif.'
        ) from error


@contextmanager
def opened_zarr(path: Path) -> Iterator[xr.DataArray]:
    """Open a store that :class:`ZarrStore` wrote; what is taken of its bands is read when asked
    for.
    """
    require_zarr()
    try:
        with xr.open_dataset(path, engine="zarr", decode_coords="all") as store:
            yield store["bands"]
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise UsageError(f"{path} is not a Zarr store that geomfaf wrote: {error}") from error


def read_zarr(path: Path) -> xr.DataArray:
    """Read a store that :class:`ZarrStore` wrote, as it was in memory."""
    with opened_zarr(path) as store:
        found = store.load()
    array = as_dataarray(found.values, grid_of(found), bands_of(found))
    return with_making(array, found.attrs.get("tags", {}))


def _crc(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values, dtype=np.float32).tobytes())
