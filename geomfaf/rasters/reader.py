"""A raster in a file or in memory goes in; any part of it comes out, NaN beyond its edges.

What computes block by block asks here for the ground around a block, so that it computes the same
whether the raster fits into memory or not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr
from rasterio.windows import Window as FileWindow

from ..progress import track
from .bands import Band, as_dataarray, bands_of, grid_of, making_of_bands, valid_cells
from .blocks import block_runner, block_windows
from .geotiff import described_raster, making_in, opened_raster
from .grid import Grid
from .stores import opened_zarr


class RasterReader:
    """Parts of a raster, for any thread or process: nothing is held open between two reads.

    Parameters
    ----------
    source : DataArray or path
        (band, y, x), a GeoTIFF, or a Zarr store of geomfaf's.
    kind : str, optional
        Of bands that do not say theirs, see :func:`geomfaf.read_raster`.

    Attributes
    ----------
    grid : Grid
    bands : list of Band
    """

    def __init__(self, source: xr.DataArray | str | Path, kind: str | None = None) -> None:
        self.source = source if isinstance(source, xr.DataArray) else Path(source).absolute()
        self.grid: Grid
        self.bands: list[Band]
        if isinstance(self.source, xr.DataArray):
            self.grid, self.bands = grid_of(self.source), bands_of(self.source)
        elif self.source.suffix == ".zarr":
            with opened_zarr(self.source) as found:
                self.grid, self.bands = grid_of(found), bands_of(found)
        else:
            with opened_raster(self.source) as file:
                self.grid, self.bands = described_raster(file, kind)

        # Where each band lies in the source, from 0.
        self.numbers = list(range(len(self.bands)))

    @classmethod
    def of(
        cls, source: xr.DataArray | str | Path | RasterReader, kind: str | None = None
    ) -> RasterReader:
        """Return a reader of a raster; one that is a reader already keeps what it has found."""
        return source if isinstance(source, RasterReader) else cls(source, kind)

    @property
    def array(self) -> xr.DataArray | None:
        """The raster where it is in memory; None where it is in a file."""
        return self.source if isinstance(self.source, xr.DataArray) else None

    @property
    def names(self) -> list[str]:
        """Names of the bands."""
        return [band.name for band in self.bands]

    @cached_property
    def valid(self) -> np.ndarray:
        """Which cells count, (y, x) bool, see :func:`geomfaf.rasters.bands.valid_cells`."""
        if self.array is not None:
            return valid_cells(self.array)
        found = np.zeros(self.grid.shape, bool)
        windows = block_windows(self.grid)
        with block_runner(lambda *window: np.isfinite(self.read(*window)).any(axis=0)) as runner:
            cells = [height * width for _, _, height, width in windows]
            parts = runner.ordered(windows)
            for window in track(windows, "reading the stack", unit="cells", weights=cells):
                row, column, height, width = window
                found[row : row + height, column : column + width] = next(parts)
        return found

    @cached_property
    def making(self) -> dict[str, dict[str, str]]:
        """What each band remembers of its making, see
        :func:`geomfaf.rasters.bands.making_of_bands`.
        """
        if isinstance(self.source, xr.DataArray):
            return making_of_bands(self.source)
        if self.source.suffix == ".zarr":
            with opened_zarr(self.source) as found:
                return dict(found.attrs.get("tags", {}))
        with opened_raster(self.source) as file:
            return making_in(file, self.bands)

    def read(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        names: Sequence[str] | None = None,
    ) -> np.ndarray:
        """Return float32 (band, height, width) of a rectangle, which may overhang the grid.

        Parameters
        ----------
        names : sequence of str, optional
            Bands, in this order; all when omitted.
        """
        every = self.names
        wanted = every if names is None else names
        chosen = [self.numbers[every.index(name)] for name in wanted]
        part = np.full((len(chosen), height, width), np.nan, np.float32)
        # What lies on the grid is read, the rest stays empty.
        top = min(max(row, 0), self.grid.height)
        left = min(max(column, 0), self.grid.width)
        bottom = max(min(row + height, self.grid.height), top)
        right = max(min(column + width, self.grid.width), left)
        if bottom > top and right > left:
            down = slice(top - row, bottom - row)
            across = slice(left - column, right - column)
            part[:, down, across] = self._cells(chosen, slice(top, bottom), slice(left, right))
        return part

    def part(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> xr.DataArray:
        """Return a rectangle as a raster of its own, with all that the bands say of themselves."""
        values = self.read(row, column, height, width)
        return as_dataarray(values, self.grid.window(row, column, height, width), self.bands)

    def with_bands(self, bands: Sequence[Band]) -> RasterReader:
        """Return a reader of the same cells whose bands say something else of themselves."""
        other = RasterReader.__new__(RasterReader)
        other.source, other.grid, other.bands = self.source, self.grid, list(bands)
        other.numbers = self.numbers
        return other

    def only(self, names: Collection[str]) -> RasterReader:
        """Return a reader of some of the bands, in the raster's order."""
        kept = [place for place, name in enumerate(self.names) if name in names]
        if isinstance(self.source, xr.DataArray):
            return RasterReader(self.source.isel(band=kept))
        other = self.with_bands([self.bands[place] for place in kept])
        other.numbers = [self.numbers[place] for place in kept]
        return other

    def with_classes(self) -> RasterReader:
        """Return the reader with a legend for class bands that have none: every class of the whole
        map, so that each part of it has the same ones.
        """
        bands = []
        for band in self.bands:
            if band.kind == "class" and not band.legend:
                found: set[float] = set()
                for window in block_windows(self.grid):
                    values = self.read(*window, [band.name])
                    found |= set(np.unique(values[np.isfinite(values)]).tolist())
                band = replace(band, legend={int(value): f"{value:g}" for value in sorted(found)})
            bands.append(band)
        return self if bands == self.bands else self.with_bands(bands)

    def fingerprint(self) -> str:
        """Return a text that differs when the raster does: a file counts by its size and time."""
        if isinstance(self.source, xr.DataArray):
            return hashlib.sha256(self.source.values.tobytes()).hexdigest()
        # A store's cells lie in many files; its metadata is the last that is written.
        file = self.source / ".zmetadata" if self.source.suffix == ".zarr" else self.source
        status = file.stat()
        return f"{self.source}|{status.st_size}|{status.st_mtime_ns}|{self.numbers}"

    def _cells(self, chosen: list[int], down: slice, across: slice) -> np.ndarray:
        if isinstance(self.source, xr.DataArray):
            return self.source.isel(band=chosen, y=down, x=across).values
        if self.source.suffix == ".zarr":
            with opened_zarr(self.source) as found:
                return found.isel(band=chosen, y=down, x=across).values
        window = FileWindow.from_slices(down, across)
        with opened_raster(self.source) as file:
            # Gaps that are NaN in the file need no mask, which takes half as long again.
            gaps = file.nodata is None or not np.isnan(file.nodata)
            found = file.read([number + 1 for number in chosen], window=window, masked=gaps)
        return np.ma.filled(found.astype(np.float32, copy=False), np.nan)
