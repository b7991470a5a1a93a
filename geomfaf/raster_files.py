"""Raster files that are filled block by block: GeoTIFF and Zarr, with the same few verbs."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.crs
import rasterio.shutil
import xarray as xr
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from .bands import Band, as_dataarray
from .errors import UsageError
from .grid import Grid
from .idw_plan import BLOCK

GDAL_CACHE = 64 * 2**20
"""Bytes that GDAL may keep of written tiles; its own default is a twentieth of the machine."""


class TiffFile:
    """A tiled GeoTIFF that grows beside its final name.

    Tiles are appended and the directory is rewritten when the file is closed: what was there at the
    last :meth:`flush` stays readable whatever happens afterwards.
    """

    def __init__(self, path: Path, grid: Grid, bands: Sequence[Band]):
        self.path, self.grid, self.bands = path, grid, bands
        self.part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._file: Any = None

    def create(self) -> None:
        """Begin an empty file."""
        self.close()
        profile = {
            "driver": "GTiff",
            "dtype": "float32",
            "count": len(self.bands),
            "height": self.grid.height,
            "width": self.grid.width,
            "crs": rasterio.crs.CRS.from_wkt(self.grid.crs.to_wkt()),
            "transform": self.grid.transform,
            "nodata": np.nan,
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "interleave": "band",
            # Level 6 or deflate cost several times the computation and save 3 %; predictor 2 costs nothing.
            "compress": "zstd",
            "zstd_level": 1,
            "predictor": 2,
            "sparse_ok": True,
            "bigtiff": "if_safer",
        }
        with self._environment():
            self._file = rasterio.open(self.part, "w", **profile)
            for index, band in enumerate(self.bands, start=1):
                describe_band(self._file, index, band)
        self.flush()

    def resume(self) -> bool:
        """Open the unfinished file; False when there is none that can be read."""
        if not self.part.exists():
            return False
        try:
            self._open()
        except RasterioIOError:
            return False
        same = self._file.shape == self.grid.shape and self._file.count == len(self.bands)
        return bool(same)

    def write(self, window: tuple[int, int, int, int], values: np.ndarray) -> None:
        """Write one block."""
        with self._environment():
            self._open()
            self._file.write(values, window=_window(window))

    def read(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """Read one block back; NaN where a tile is damaged, which no checksum takes for data."""
        try:
            with self._environment():
                self._open()
                return self._file.read(window=_window(window))
        except RasterioIOError:
            return np.full((len(self.bands), *window[2:]), np.nan, np.float32)

    def flush(self) -> None:
        """Bring everything to disk."""
        self.close()
        with self.part.open("rb") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._file is not None:
            with self._environment():
                self._file.close()
            self._file = None

    def finish(self, statistics: Sequence[Mapping[str, float]], *, cog: bool) -> None:
        """Store statistics, build overviews when a COG is wanted, and take the final name."""
        with self._environment():
            self._open()
            for index, figures in enumerate(statistics, start=1):
                tags = {f"STATISTICS_{key}": repr(float(value)) for key, value in figures.items()}
                self._file.update_tags(index, **tags)
            self.close()
            if cog:
                final = self.part.with_name(f".{self.path.stem}.cog{self.path.suffix}")
                smooth = all(band.kind != "class" for band in self.bands)
                rasterio.shutil.copy(
                    self.part, final, driver="COG", compress="ZSTD", level=1, predictor="YES", bigtiff="IF_SAFER",
                    overview_resampling="AVERAGE" if smooth else "NEAREST",
                )  # fmt: skip
                os.replace(final, self.part)
        os.replace(self.part, self.path)

    def _open(self) -> None:
        if self._file is None:
            self._file = rasterio.open(self.part, "r+")

    @staticmethod
    def _environment() -> rasterio.Env:
        return rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE)


class ZarrStore:
    """A Zarr store with one chunk a block and band, each a file of its own."""

    def __init__(self, path: Path, grid: Grid, bands: Sequence[Band]):
        try:
            import zarr  # noqa: F401
        except ImportError as error:
            raise UsageError("Zarr needs the package zarr: pip install zarr, or write .tif.") from error
        self.path, self.grid, self.bands = path, grid, bands
        self.part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._array: Any = None

    def create(self) -> None:
        """Write the metadata of an empty store, which xarray reads back as it is."""
        import dask.array as da
        import numcodecs

        if self.part.exists():
            shutil.rmtree(self.part)
        shape, chunks = (len(self.bands), *self.grid.shape), (1, BLOCK, BLOCK)
        corner = self.grid.window(0, 0, 1, 1)
        small = as_dataarray(np.zeros((len(self.bands), 1, 1)), corner, self.bands)
        array = xr.DataArray(
            da.full(shape, np.nan, np.float32, chunks=chunks),
            dims=("band", "y", "x"),
            coords={**small.drop_vars(["x", "y"]).coords, "y": self.grid.y, "x": self.grid.x},
            attrs={**small.attrs, "legends": json.dumps(small.attrs["legends"])},
            name="bands",
        )
        encoding = {"bands": {"chunks": chunks, "compressors": (numcodecs.Zstd(level=1),)}}
        array.to_dataset().to_zarr(
            self.part, mode="w", compute=False, encoding=encoding, zarr_format=2, consolidated=True
        )
        self._open()

    def resume(self) -> bool:
        """Open the unfinished store; False when there is none."""
        if not self.part.exists():
            return False
        self._open()
        return bool(self._array.shape == (len(self.bands), *self.grid.shape))

    def write(self, window: tuple[int, int, int, int], values: np.ndarray) -> None:
        """Write one block."""
        row, column, height, width = window
        self._array[:, row : row + height, column : column + width] = values

    def read(self, window: tuple[int, int, int, int]) -> np.ndarray:
        """Read one block back."""
        row, column, height, width = window
        return np.asarray(self._array[:, row : row + height, column : column + width])

    def flush(self) -> None:
        """Nothing to do: every chunk is a finished file."""

    def close(self) -> None:
        """Forget the open array."""
        self._array = None

    def finish(self, statistics: Sequence[Mapping[str, float]], *, cog: bool) -> None:
        """Store statistics and take the final name."""
        import zarr

        group = zarr.open_group(self.part, mode="r+")
        group["bands"].attrs["statistics"] = {
            band.name: {key.lower(): float(value) for key, value in figures.items()}
            for band, figures in zip(self.bands, statistics, strict=True)
        }
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


def describe_band(target: Any, index: int, band: Band) -> None:
    """Write a band's description, unit, name, kind and legend into an open raster."""
    target.set_band_description(index, band.label)
    if band.unit:
        target.set_band_unit(index, band.unit)
    tags = {"name": band.name, "kind": band.kind}
    if band.legend:
        tags["legend"] = json.dumps({str(key): value for key, value in band.legend.items()}, ensure_ascii=False)
    target.update_tags(index, **tags)


def _window(window: tuple[int, int, int, int]) -> Window:
    row, column, height, width = window
    return Window(column, row, width, height)
