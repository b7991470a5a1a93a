"""The table that simple models read: the pixel at a place and the statistics of the window around
it.

Nothing here is learned from data, so one table serves every fold, draw and model: what a model
needs to learn (fills, scales, which classes are too rare) it learns from its own training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import DataError, UsageError, nearest_name
from ..rasters.bands import Band, bands_of
from ..rasters.reader import RasterReader
from .reading import same_block, strip_of
from .windows import read_windows

STATISTICS = ("centre", "mean", "sd", "max")
"""The pixel, and three figures of the window; a class counts as 0 or 1, so that its mean is its
share of the window.
"""

LEAST = -6.0
"""log10 of the smallest element value that is told from zero, in any unit."""

BLOCK = 8_000_000
"""Window cells held at once while the statistics are taken."""


@dataclass(frozen=True)
class Column:
    """One column of :class:`Features`: a statistic of a band, or of one class (``value``,
    ``label``) of it.
    """

    band: str
    kind: str
    statistic: str
    value: int = 0
    label: str = ""

    @property
    def name(self) -> str:
        """What a person reads: ``Au``, ``Au mean``, ``geology=granite``,
        ``geology=granite mean``.
        """
        of = f"{self.band}={self.label}" if self.kind == "class" else self.band
        return of if self.statistic == "centre" else f"{of} {self.statistic}"


@dataclass(frozen=True)
class Features:
    """A table of places and their features, see :func:`window_features`.

    Attributes
    ----------
    values : ndarray
        (places, columns) float32, NaN = nodata.
    columns : tuple of Column
    x, y : ndarray
        (places,) metres, the centres of the places' cells.
    """

    values: np.ndarray
    columns: tuple[Column, ...]
    x: np.ndarray
    y: np.ndarray

    def __repr__(self) -> str:
        return f"<Features: {len(self.columns)} columns at {len(self):,} places>"

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, places: np.ndarray | slice) -> Features:
        """Return the rows of a mask, an index array or a slice."""
        return Features(
            self.values[places],
            self.columns,
            self.x[places],
            self.y[places],
        )

    @property
    def names(self) -> list[str]:
        """Name of each column."""
        return [column.name for column in self.columns]

    @property
    def bands(self) -> list[str]:
        """Names of the bands, in their order."""
        return list(dict.fromkeys(column.band for column in self.columns))

    def select(
        self,
        *,
        bands: Sequence[str] | None = None,
        statistics: Sequence[str] | None = None,
    ) -> Features:
        """Return the columns of some bands (the fold's screened ones, say) or statistics."""
        # Looked up once: there may be hundreds of bands.
        wanted = None if bands is None else dict.fromkeys(bands)
        known = self.bands if wanted else []
        for name in wanted or ():
            if name not in known:
                raise UsageError(f'the features have no band "{name}".{nearest_name(name, known)}')
        kept = []
        for number, column in enumerate(self.columns):
            of_bands = wanted is None or column.band in wanted
            of_statistics = statistics is None or column.statistic in statistics
            if of_bands and of_statistics:
                kept.append(number)
        columns = tuple(self.columns[number] for number in kept)
        return Features(self.values[:, kept], columns, self.x, self.y)

    def frame(self) -> pd.DataFrame:
        """Return the table as a data frame with x and y first."""
        features = dict(zip(self.names, self.values.T, strict=True))
        return pd.DataFrame({"x": self.x, "y": self.y, **features})


def window_features(
    stack: xr.DataArray | RasterReader,
    rows: object,
    cols: object,
    size: int | None = None,
    *,
    bands: Sequence[str] | None = None,
) -> Features:
    """Take the pixel and the window statistics of places.

    Elements go through the logarithm and distances through log10(d + cell), both fixed; class bands
    become one 0-or-1 column a class.

    Parameters
    ----------
    stack : DataArray or RasterReader
        (band, y, x), see :func:`geomfaf.build_stack`; its file is read in parts.
    rows, cols : (places,) int
        Cells at the centres; a window reaches ``size // 2`` cells to the north and west of its
        centre, as those of :func:`geomfaf.centred_windows`.
    size : int, optional
        Cells along a window; only the pixel is taken when omitted.
    bands : sequence of str, optional
        Those to take, in the stack's order; all when omitted.

    Returns
    -------
    Features
        For each continuous band, and each class as 0 or 1: centre, and mean, sd and max over the
        window's cells that have a value.

    Raises
    ------
    UsageError
        For a window of no cell.
    DataError
        For a stack without a band that has a value.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> gm.window_features(stack, [40, 50], [40, 60], size=8)
    <Features: 32 columns at 2 places>
    """
    source = RasterReader.of(stack)
    rows = np.atleast_1d(np.asarray(rows, np.int64))
    cols = np.atleast_1d(np.asarray(cols, np.int64))
    if size is not None and size < 1:
        raise UsageError(
            f"a window of {size} cells holds none: give 1 or more, or leave size out for the pixel"
            " alone."
        )
    wanted = set(source.names if bands is None else bands)
    names = [name for name in source.names if name in wanted]
    if source.array is None:
        values, columns = _from_file(source, rows, cols, size, names)
    else:
        own = [band for band in source.bands if band.name in wanted]
        layers = source.array.values if bands is None else source.array.sel(band=names).values
        values, columns = _from_layers(layers, own, source.grid.cell, rows, cols, size)
    if not columns:
        raise DataError(
            "the stack has no band with a value or a class: there is nothing to make features of."
        )
    x, y = source.grid.xy(rows, cols)
    return Features(values, tuple(columns), x, y)


def _from_layers(
    layers: np.ndarray,
    bands: Sequence[Band],
    cell: float,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int | None,
) -> tuple[np.ndarray, list[Column]]:
    """Return the features of places, (places, columns) float32, and their columns."""
    columns: list[Column] = []
    parts: list[np.ndarray] = [np.empty((len(rows), 0), np.float32)]
    for band, layer in zip(bands, layers, strict=True):
        # Some places at a time: the windows of all of them may not fit into memory.
        own = _columns_of(band, layer, size is not None)
        straight = _straighten(layer, band.kind, cell)
        values = np.empty((len(rows), len(own)), np.float32)
        step = max(1, BLOCK // (size or 1) ** 2)
        for first in range(0, len(rows), step):
            at = slice(first, first + step)
            values[at] = _statistics(straight, rows[at], cols[at], size, own)
        columns += own
        parts.append(values)
    return np.concatenate(parts, axis=1), columns


def _from_file(
    stack: RasterReader,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int | None,
    names: Sequence[str],
) -> tuple[np.ndarray, list[Column]]:
    """Return the same of a stack in a file: the windows of some places side by side are a small
    stack.
    """
    along = size or 1
    stack = stack.with_classes()
    # Places of one block together, as many as may be held at once.
    order = np.concatenate([np.zeros(0, np.int64), *same_block(rows, cols)])
    step = max(1, BLOCK // (along**2 * max(1, len(names))))
    values = None
    columns: list[Column] = []
    for first in range(0, max(1, len(order)), step):
        some = order[first : first + step]
        half = along // 2
        strip = strip_of(stack, rows[some] - half, cols[some] - half, along, names)
        at_cols = np.arange(len(some)) * along + half
        at_rows = np.full(len(some), half)
        cell = stack.grid.cell
        found, columns = _from_layers(strip.values, bands_of(strip), cell, at_rows, at_cols, size)
        if values is None:
            values = np.empty((len(rows), len(columns)), np.float32)
        values[some] = found
    return np.empty((len(rows), 0), np.float32) if values is None else values, columns


def _columns_of(
    band: Band,
    layer: np.ndarray,
    windows: bool,
) -> list[Column]:
    statistics = STATISTICS if windows else STATISTICS[:1]
    if band.kind != "class":
        return [Column(band.name, band.kind, statistic) for statistic in statistics]
    # Without a legend the numbers are their own names.
    legend = dict(band.legend)
    if not legend:
        for value in np.unique(layer[np.isfinite(layer)]):
            legend[int(value)] = f"{value:g}"
    columns = []
    for statistic, (value, label) in product(statistics, legend.items()):
        columns.append(Column(band.name, "class", statistic, int(value), label))
    return columns


def _straighten(
    layer: np.ndarray,
    kind: str,
    cell: float,
) -> np.ndarray:
    """Return the band on its scale: a fixed, rising function of the value, so that no other cell
    has a say in it.
    """
    if kind == "element":
        # A raster of unknown kind may be negative: its order is kept.
        logs = np.log10(np.maximum(np.abs(layer), 10**LEAST))
        size = np.maximum(logs - LEAST, 0.0)
        return np.sign(layer) * size
    if kind == "distance":
        # A cell more, so that the cells on the thing itself have a logarithm.
        return np.log10(np.maximum(layer, 0.0) + cell)
    return layer


def _statistics(
    layer: np.ndarray,
    rows: np.ndarray,
    cols: np.ndarray,
    size: int | None,
    columns: list[Column],
) -> np.ndarray:
    """Return (places, columns) of one band; each window is summed on its own, so no other ground
    reaches its bits.
    """
    half = 0 if size is None else size // 2
    top = rows - half
    left = cols - half
    cells = read_windows(layer[None], top, left, size or 1)[:, 0]
    centre = cells[:, half, half]
    cells = cells.reshape(len(cells), -1)
    if columns and columns[0].kind == "class":
        return _class_statistics(centre, cells, columns)
    if size is None:
        return centre[:, None]
    # 1. Mean and standard deviation of the cells with a value, added in float64.
    known = np.isfinite(cells)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = np.where(known, cells, 0).sum(axis=1, dtype=np.float64)
        mean = total / count
        squares = np.where(known, (cells - mean[:, None]) ** 2, 0)
        variance = squares.sum(axis=1, dtype=np.float64) / count
        spread = np.sqrt(variance)
    # 2. The highest of them.
    highest = np.where(known, cells, -np.inf).max(axis=1)
    highest = np.where(count > 0, highest, np.nan)
    return np.stack([centre, mean, spread, highest], axis=1)


def _class_statistics(
    centre: np.ndarray,
    cells: np.ndarray,
    columns: list[Column],
) -> np.ndarray:
    """Return (places, columns) of a class band: every class counts as 0 or 1.

    The mean is then the share p of the class, the standard deviation sqrt(p (1 - p)), the maximum
    whether the class is there.
    """
    count = np.isfinite(cells).sum(axis=1)
    result = np.empty((len(cells), len(columns)))
    shares: dict[int, np.ndarray] = {}
    for number, column in enumerate(columns):
        if column.statistic == "centre":
            result[:, number] = np.where(np.isfinite(centre), centre == column.value, np.nan)
            continue
        # The share of a class serves three columns.
        if column.value not in shares:
            # A window without any class has no share of one.
            share = np.full(len(cells), np.nan)
            of_class = (cells == column.value).sum(axis=1)
            np.divide(of_class, count, out=share, where=count > 0)
            shares[column.value] = share
        share = shares[column.value]
        if column.statistic == "mean":
            result[:, number] = share
        elif column.statistic == "sd":
            result[:, number] = np.sqrt(share * (1 - share))
        else:
            result[:, number] = np.sign(share)
    return result
