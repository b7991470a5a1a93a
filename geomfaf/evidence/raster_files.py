"""A raster file goes in; its values come out window by window, NaN wherever it has none.

It is read once from end to end when it is opened: for codes of "no value" that the file does not
declare, for its classes, and to refuse pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.crs
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioIOError
from rasterio.warp import calculate_default_transform
from rasterio.windows import Window as FileWindow

from ..errors import DataError, UsageError
from ..rasters.grid import parse_crs

CODES = (-9999.0, -99999.0, -999.0, -9999999.0, -32768.0, 32767.0, 65535.0, -1e20, 1e20)
"""Numbers by which files say "no value" without declaring it."""

HUGE = 1e29
"""Beyond it no measured value lies: 1e30, 1.70141e38, -3.4e38 are codes."""

MOST_CLASSES = 256

Part = tuple[int, int, int, int]
"""First row, first column, rows and columns of a window of the file."""


class RasterFile:
    """One band of a file, ready to be read in parts by any thread or process.

    Parameters
    ----------
    path, band, variable, nodata, crs, name
        See :class:`geomfaf.evidence.own_rasters.RasterSource`.
    classes : bool
        The values are class numbers.

    Attributes
    ----------
    codes : dict
        Undeclared codes of "no value" -> how many pixels hold them.
    legend : dict
        Class number -> name, of a class band.
    """

    def __init__(
        self,
        path: str | Path,
        band: int = 1,
        *,
        variable: str | None = None,
        classes: bool = False,
        nodata: float | None = None,
        crs: str | None = None,
        name: str = "raster",
    ):
        self.path = Path(path)
        self.name = name
        self.band = band
        self.address = f'NETCDF:"{path}":{variable}' if variable else str(path)
        self.nodata = nodata
        self.codes: dict[float, int] = {}
        self.legend: dict[int, str] = {}
        with self.opened() as file:
            self.require_band(band, file.count)
            self._require_measurements(file, classes)
            self.crs = self._crs_of(file, crs)
            self.transform: Affine = file.transform
            self.shape = file.shape
            self.factor = file.scales[band - 1]
            self.offset = file.offsets[band - 1]
            self.eight_bit = file.dtypes[band - 1] == "uint8"
            self.count = file.count
            self._scan(file, classes)

    @contextmanager
    def opened(self) -> Iterator[rasterio.DatasetReader]:
        """Open the file for some reads; each thread opens it for itself."""
        if not self.path.is_file():
            raise UsageError(f"{self.name}: {self.path} does not exist: check path under rasters.")
        try:
            with rasterio.open(self.address) as file:
                yield file
        except RasterioIOError as error:
            raise UsageError(
                f"{self.name}: {self.path} is not a raster that can be read: {error}"
            ) from error

    def read(
        self,
        file: rasterio.DatasetReader,
        row: int,
        column: int,
        height: int,
        width: int,
        band: int | None = None,
    ) -> np.ndarray:
        """Return float32 (1, height, width) of the opened file, NaN where there is no value."""
        window = FileWindow(column, row, width, height)
        found = file.read(band or self.band, window=window, masked=True)
        # Whole numbers above 2 ** 24 would be rounded before they are compared with codes.
        exact = np.float32 if found.dtype.itemsize < 4 or found.dtype == np.float32 else np.float64
        # Declared nodata first, then codes that the file does not declare, then scale and offset.
        values = found.astype(exact).filled(np.nan)
        values[self._is_code(values)] = np.nan
        if self.factor != 1 or self.offset != 0:
            values = values.astype(np.float64) * self.factor + self.offset
        return values[None].astype(np.float32, copy=False)

    def has_value(self, x: np.ndarray, y: np.ndarray, crs: CRS) -> np.ndarray:
        """Return which points of a CRS lie on a pixel with a value, (points,) bool."""
        to_file = Transformer.from_crs(crs, CRS.from_wkt(self.crs.to_wkt()), always_xy=True)
        file_x, file_y = to_file.transform(x, y)
        columns, rows = self._pixels(np.asarray(file_x), np.asarray(file_y))
        inside = (rows >= 0) & (rows < self.shape[0]) & (columns >= 0) & (columns < self.shape[1])
        found = np.zeros(len(x), bool)
        # Rows of points share rows of the file: one narrow read for each of them.
        rows = np.where(inside, rows, -1).astype(int)
        columns = np.where(inside, columns, 0).astype(int)
        with self.opened() as file:
            for row in np.unique(rows[inside]):
                here = rows == row
                line = self.read(file, int(row), 0, 1, self.shape[1])[0, 0]
                found[here] = np.isfinite(line[columns[here]])
        return found

    def pixel_in(self, crs: CRS) -> float:
        """Return the size of a pixel in metres of a CRS."""
        target = rasterio.crs.CRS.from_wkt(crs.to_wkt())
        height, width = self.shape
        bounds = rasterio.transform.array_bounds(height, width, self.transform)
        warped, _, _ = calculate_default_transform(self.crs, target, width, height, *bounds)
        return float(np.sqrt(abs(warped.a * warped.e)))

    def _pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return columns and rows, with decimals, of points in metres of the file."""
        # Written out: versions of affine differ in the sign for it.
        inverse = ~self.transform
        columns = inverse.a * x + inverse.b * y + inverse.c
        return columns, inverse.d * x + inverse.e * y + inverse.f

    def window_of(self, bounds: tuple[float, ...], margin: int) -> Part | None:
        """Return the part of the file under bounds in its CRS; None when they do not meet."""
        west, south, east, north = bounds
        if not np.isfinite(bounds).all():
            return None
        # Corners one by one: the rows of a file may run north or south.
        columns, rows = self._pixels(
            np.array([west, east, west, east]),
            np.array([south, south, north, north]),
        )
        # Whole pixels outwards, cut to the file.
        top = max(0, int(np.floor(rows.min())) - margin)
        left = max(0, int(np.floor(columns.min())) - margin)
        bottom = min(self.shape[0], int(np.ceil(rows.max())) + margin)
        right = min(self.shape[1], int(np.ceil(columns.max())) + margin)
        if top >= bottom or left >= right:
            return None
        return top, left, bottom - top, right - left

    def transform_of(self, part: Part) -> Affine:
        """Return the transform of a part of the file."""
        row, column, _, _ = part
        return self.transform @ Affine.translation(column, row)

    def require_band(self, band: float | None, count: int | None = None) -> None:
        """Raise :class:`UsageError` when the file has no such band."""
        most = self.count if count is None else count
        if band is not None and not 1 <= band <= most:
            raise UsageError(f"{self.name}: {self.path.name} has bands 1 to {most}, not {band:g}.")

    def _require_measurements(self, file: rasterio.DatasetReader, classes: bool) -> None:
        """Refuse pictures: their numbers are colours."""
        colours = file.colorinterp
        photo = file.count >= 3 and colours[0] == ColorInterp.red
        if photo and file.dtypes[0] == "uint8":
            raise DataError(
                f"{self.name}: {self.path.name} is a picture (8-bit red, green, blue): its numbers"
                " are colours, not measurements. Give the grid that it was drawn from."
            )
        if colours[self.band - 1] == ColorInterp.palette and not classes:
            raise DataError(
                f"{self.name}: {self.path.name} has a colour table: its numbers stand for classes."
                ' Say kind = "class", or give the grid that it was drawn from.'
            )

    def _crs_of(self, file: rasterio.DatasetReader, crs: str | None) -> rasterio.crs.CRS:
        if crs is not None:
            return rasterio.crs.CRS.from_wkt(parse_crs(crs).to_wkt())
        if file.crs is None:
            raise DataError(
                f"{self.name}: {self.path.name} has no CRS: say it, for instance"
                ' crs = "EPSG:32650".'
            )
        return file.crs

    def _is_code(self, values: np.ndarray) -> np.ndarray:
        """Return where the numbers of the file are codes for "no value"."""
        codes = list(self.codes)
        if self.nodata is not None:
            codes.append(self.nodata)
        is_code = np.abs(values) >= HUGE
        for code in codes:
            is_code |= values == values.dtype.type(code)
        return is_code

    def _scan(self, file: rasterio.DatasetReader, classes: bool) -> None:
        """Read the file once, piece by piece: codes that it does not declare, and its classes."""
        # 1. Count suspected codes, and find the range of all other values.
        counts = dict.fromkeys(CODES, 0)
        low = np.inf
        high = -np.inf
        seen: set[float] = set()
        for _, window in file.block_windows(self.band):
            values = file.read(self.band, window=window, masked=True).compressed()
            values = values.astype(np.float64)
            values = values[~self._is_code(values) & np.isfinite(values)]
            for code in CODES:
                counts[code] += int((values == code).sum())
            values = values[~np.isin(values, CODES)]
            if len(values):
                low = min(low, float(values.min()))
                high = max(high, float(values.max()))
            if classes:
                seen.update(np.unique(values).tolist())
                self._require_classes(seen)
        # A number is a code when it lies farther from all others than they from each other.
        spread = max(high - low, 1.0)
        for code, count in counts.items():
            if count and (code < low - spread or code > high + spread):
                self.codes[code] = count
        if not np.isfinite(low):
            raise DataError(f"{self.name}: {self.path.name} has no value in band {self.band}.")
        # 2. Classes are named by the file's tags, else by their numbers.
        tags = file.tags(self.band)
        for value in sorted(seen - set(self.codes)):
            number = int(value)
            self.legend[number] = tags.get(f"CLASS_{number}", str(number))

    def _require_classes(self, seen: set[float]) -> None:
        whole = all(value == int(value) and value > 0 for value in seen)
        if len(seen) > MOST_CLASSES or not whole:
            raise DataError(
                f"{self.name}: {self.path.name} holds {len(seen):,} or more different values, or"
                " values that are no whole numbers above 0: classes are at most"
                f' {MOST_CLASSES} of these. Say kind = "continuous".'
            )
