"""Stream sediments and a DEM go in; each sample's value on the ground upstream of it comes out.

A stream sediment is a mixture of what its catchment sheds: it speaks for the ground upstream, not
for a circle around it. Flow directions are those of pyflwdir (pits filled, D8), which is in the
extra ``catchments``. A cell takes the value of the next sample downstream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
from scipy.spatial import cKDTree

from ..errors import DataError, UsageError, require_known
from ..progress import say
from ..rasters.bands import Band
from ..rasters.grid import Grid
from ..survey.cleaning.log_ratios import LOG_RATIO
from ..survey.element_names import label
from ..survey.survey import Survey
from .geology import GeologyLayer
from .inverse_distance import (
    bands_by_missing,
    plan_grid,
    prepare,
    sample_values,
)
from .own_rasters import RasterLayer, RasterSource

NESTED = ("smallest", "mass-balance")
BACKGROUNDS = ("none", "lithology")
FALLBACKS = ("idw", "none")

STREAM_AREA = 0.25
"""km2 of catchment from which water is a stream."""

SNAP_CELLS = 3.0
"""Cells within which a sample belongs to a stream."""

LEAST_CATCHMENTS = 3
"""Catchments for each rock class below which no background by rock is fitted."""


@dataclass(frozen=True)
class CatchmentOptions:
    """How catchments are found and what their samples say.

    Parameters
    ----------
    dem : str or Path
        Elevation, any raster that :class:`geomfaf.RasterSource` takes.
    stream : float
        km2 upstream from which water is a stream.
    snap : float, optional
        Metres; a sample farther from every stream is no stream sediment. Three cells when omitted.
    nested : {"smallest", "mass-balance"}
        What stands between two samples of one stream: the lower one's value, or what is left of
        its load (value times area) without that of the samples above, over the area between.
    dilution : bool
        Values above the median are given as if all of the excess came from 1 km2 (Hawkes 1976, doi
        10.1016/0375-6742(76)90016-7).
    background : {"none", "lithology"}
        ``"lithology"``: the band is log10 of the value less what a robust regression on the shares
        of rock classes in the catchment expects.
    fallback : {"idw", "none"}
        What ground without a sample downstream gets.

    Raises
    ------
    UsageError
        For a stream or snap that is not above 0, or an unknown choice.

    Examples
    --------
    >>> import geomfaf as gm
    >>> gm.CatchmentOptions("dem.tif", stream=1.0).nested
    'smallest'
    """

    dem: str | Path
    stream: float = STREAM_AREA
    snap: float | None = None
    nested: str = "smallest"
    dilution: bool = False
    background: str = "none"
    fallback: str = "idw"

    def __post_init__(self) -> None:
        require_known(self.nested, NESTED, "nested =")
        require_known(self.background, BACKGROUNDS, "background =")
        require_known(self.fallback, FALLBACKS, "fallback =")
        if not self.stream > 0:
            raise UsageError(f"stream = {self.stream} must be km2 above 0.")
        if self.snap is not None and not self.snap > 0:
            raise UsageError(f"snap = {self.snap} must be metres above 0.")


class Drainage:
    """Where the water of every cell of a grid goes.

    Parameters
    ----------
    elevation : ndarray
        (y, x) metres, NaN where unknown.
    grid : Grid
    """

    def __init__(self, elevation: np.ndarray, grid: Grid):
        try:
            import pyflwdir
        except ImportError as error:
            raise UsageError(
                'catchments need pyflwdir: pip install "geomfaf[catchments]".'
            ) from error
        if not np.isfinite(elevation).any():
            raise DataError("the DEM has no value on the grid: check its CRS and place.")
        self.grid = grid
        known = np.isfinite(elevation)
        # Depressions are filled by the library, so that all water reaches the edge or the sea.
        filled = np.where(known, elevation, -9999.0).astype(np.float32)
        self.flow = pyflwdir.from_dem(filled, nodata=-9999.0, transform=grid.transform)
        self.cells = self.flow.upstream_area("cell")

    def place(self, xy: np.ndarray, *, stream: float, snap: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the stream cell of each sample (flat, -1 without one) and the metres to it."""
        # Streams: cells that enough ground drains into.
        area = self.cells * self.grid.cell_area / 1e6
        rows, columns = np.nonzero(area >= stream)
        if not len(rows):
            raise DataError(
                f"no catchment is as large as stream = {stream:g} km2: give a smaller one."
            )
        # A sample's coordinates miss the stream by some metres: it belongs to the nearest one.
        tree = cKDTree(np.column_stack(self.grid.xy(rows, columns)))
        metres, nearest = tree.query(xy)
        flat = rows[nearest] * self.grid.width + columns[nearest]
        return np.where(metres <= snap, flat, -1), metres

    def next_outlet(self, outlets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return for every cell, and for every outlet, the number of the next outlet downstream.

        Parameters
        ----------
        outlets : ndarray
            (outlets,) flat cells, each once.

        Returns
        -------
        of_cell : ndarray
            (y, x) int, -1 where no outlet lies downstream; an outlet's own cell is its own.
        below : ndarray
            (outlets,) int, -1 for the lowest ones.
        """
        # The library numbers basins from 1 and has 0 for none.
        numbers = np.arange(1, len(outlets) + 1, dtype=np.uint32)
        basins = self.flow.basins(idxs=outlets, ids=numbers).astype(np.int64) - 1
        downstream = self.flow.idxs_ds[outlets]
        below = basins.ravel()[downstream]
        # The water of a pit or of the grid's edge goes nowhere.
        below[downstream == outlets] = -1
        return basins, below


class CatchmentLayer:
    """The elements of a survey, each sample's value on its catchment.

    Parameters
    ----------
    survey, elements, grid
        See :func:`geomfaf.build_stack`.
    options : CatchmentOptions
    """

    def __init__(
        self,
        survey: Survey,
        elements: Sequence[str],
        grid: Grid,
        options: CatchmentOptions,
    ):
        self.grid = grid
        self.options = options
        _refuse_ratios(survey, elements)
        # 1. The drainage of the whole grid, and the samples on its streams.
        grid.require_memory(1, copies=24)
        dem = RasterLayer(RasterSource(options.dem, "dem"), grid)
        self.drainage = Drainage(dem.values(0, 0, *grid.shape), grid)
        grid.require_crs(survey.samples.crs, "samples")
        xy, values = sample_values(survey.samples, elements, "linear")
        snap = SNAP_CELLS * grid.cell if options.snap is None else options.snap
        cell, metres = self.drainage.place(xy, stream=options.stream, snap=snap)
        on_stream = cell >= 0
        if not on_stream.any():
            raise DataError(
                f"no sample lies within {snap:g} m of a stream of the DEM: check its CRS, or give a"
                " larger snap or a smaller stream."
            )
        moved = float(np.median(metres[on_stream]))
        say(
            f"{int(on_stream.sum()):,} of {len(xy):,} samples lie within {snap:g} m of a stream"
            f" (half of them within {moved:.0f} m)"
        )
        # 2. The values of the catchments, for elements that miss the same samples at once.
        self.values: list[np.ndarray] = [np.empty(0)] * len(elements)
        self.basins: list[np.ndarray] = [np.empty(0)] * len(elements)
        for bands, known in bands_by_missing(values):
            used = known & on_stream
            found = self._catchment_values(survey, cell[used], values[np.ix_(bands, used)])
            for place, band in enumerate(bands):
                self.basins[band] = found.basins
                self.values[band] = found.values[place]
        self.bands = [self._band(name, survey.elements.get(name, "")) for name in elements]
        self.making = [self._making() for _ in elements]
        self.fallback = self._fallback(survey, elements, xy, values, cell)

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (elements, height, width)."""
        # Each cell takes the value of its own catchment; -1 is none.
        part = (slice(row, row + height), slice(column, column + width))
        out = np.full((len(self.bands), height, width), np.nan, np.float32)
        for band, (basins, values) in enumerate(zip(self.basins, self.values, strict=True)):
            number = basins[part]
            out[band] = np.where(number >= 0, values[np.maximum(number, 0)], np.nan)
        # Ground without a sample downstream.
        if self.fallback is not None:
            empty = np.isnan(out)
            out[empty] = self.fallback.block(row, column, height, width)[empty]
        return out

    def fingerprint(self) -> str:
        """Return a hash of the catchments and their values."""
        digest = hashlib.sha256(repr(self.options).encode())
        for basins, values in zip(self.basins, self.values, strict=True):
            digest.update(basins.tobytes() + values.tobytes())
        return digest.hexdigest()

    def _catchment_values(
        self, survey: Survey, cell: np.ndarray, values: np.ndarray
    ) -> CatchmentValues:
        found = catchment_values(self.drainage, cell, values, nested=self.options.nested)
        if self.options.dilution:
            found.values = undiluted(found.values, found.local_area)
        if self.options.background == "lithology":
            shares = _rock_shares(survey, self.grid, found)
            found.values = np.stack([over_background(row, shares) for row in found.values])
        return found

    def _band(self, name: str, unit: str) -> Band:
        if self.options.background == "lithology":
            text = f"{label(name, unit)}, log10 over the rocks of the catchment"
            return Band(name, "ratio", "", text)
        how = "catchments, undiluted" if self.options.dilution else "catchments"
        return Band(name, "element", unit, f"{label(name, unit)}, {how}")

    def _making(self) -> dict[str, str]:
        options = self.options
        return {
            "catchment_nested": options.nested,
            "catchment_background": options.background,
            "catchment_dilution": str(options.dilution).lower(),
            "catchment_fallback": options.fallback,
        }

    def _fallback(
        self,
        survey,
        elements,
        xy,
        values,
        cell,
    ):
        """Return the interpolation of the catchments' own values, or None."""
        if self.options.fallback == "none":
            return None
        columns = {}
        for band, name in enumerate(elements):
            own = np.full(len(xy), np.nan)
            used = np.isfinite(values[band]) & (cell >= 0)
            # The catchment's value at the sample's place, corrected as the map's is.
            own[used] = self.values[band][self.basins[band].ravel()[cell[used]]]
            columns[name] = own
        layer = gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(*xy.T), crs=self.grid.crs)
        # What is over its background is a logarithm already.
        scale = "linear" if self.options.background == "lithology" else "log"
        plan, _ = plan_grid(layer, list(elements), self.grid, scale=scale)
        return prepare(plan)


@dataclass
class CatchmentValues:
    """Values of catchments, some elements at once.

    Attributes
    ----------
    outlets : ndarray
        (catchments,) flat cells.
    basins : ndarray
        (y, x) int, the catchment of each cell, -1 for none.
    below : ndarray
        (catchments,) int, the next one downstream, -1 for none.
    values : ndarray
        (elements, catchments).
    area, local_area : ndarray
        (catchments,) km2 upstream, and of that what no other sample upstream speaks for.
    """

    outlets: np.ndarray
    basins: np.ndarray
    below: np.ndarray
    values: np.ndarray
    area: np.ndarray
    local_area: np.ndarray


def catchment_values(
    drainage: Drainage,
    cell: np.ndarray,
    values: np.ndarray,
    *,
    nested: str = "smallest",
) -> CatchmentValues:
    """Return the value of every catchment.

    Parameters
    ----------
    cell : ndarray
        (samples,) flat stream cells; samples of one cell are averaged.
    values : ndarray
        (elements, samples), none missing.
    nested : {"smallest", "mass-balance"}
        See :class:`CatchmentOptions`. With the load L = C A of each sample, the ground between it
        and those above has ``(L - sum L_above) / (A - sum A_above)``, at least the smallest value
        measured.
    """
    # 1. One catchment a stream cell with samples.
    outlets, number = np.unique(cell, return_inverse=True)
    count = np.bincount(number)
    means = np.stack([np.bincount(number, weights=row) / count for row in values])
    basins, below = drainage.next_outlet(outlets)
    # 2. Areas upstream, and what is left of them without the catchments above.
    cell_area = drainage.grid.cell_area / 1e6
    area = drainage.cells.ravel()[outlets] * cell_area
    local_area = np.bincount(basins[basins >= 0], minlength=len(outlets)) * cell_area
    found = CatchmentValues(
        outlets,
        basins,
        below,
        means,
        area,
        local_area,
    )
    if nested == "smallest":
        return found
    # 3. The load that comes from the ground between.
    load = means * area
    left = load.copy()
    upper = below >= 0
    for row, own in enumerate(load):
        left[row] -= np.bincount(below[upper], weights=own[upper], minlength=len(outlets))
    least = values.min(axis=1, keepdims=True)
    found.values = np.maximum(left / local_area, least)
    return found


def undiluted(values: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Return values as if all of their excess over the median came from 1 km2 (Hawkes 1976).

    >>> undiluted(np.array([[10.0, 10.0, 16.0]]), np.array([1.0, 4.0, 3.0])).tolist()
    [[10.0, 10.0, 28.0]]
    """
    # Only the excess is diluted: background rock lies everywhere upstream.
    median = np.median(values, axis=1, keepdims=True)
    excess = np.maximum(values - median, 0.0)
    return np.where(excess > 0, median + excess * area, values)


def over_background(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return log10 of values less what the rocks of their catchments lead one to expect.

    The expectation is a Huber regression on the shares of the classes, without an intercept: its
    coefficients are the log10 values of the classes.

    Parameters
    ----------
    values : ndarray
        (catchments,) above 0.
    shares : ndarray
        (catchments, classes), each row adding up to 1.
    """
    from sklearn.linear_model import HuberRegressor

    # Too few catchments for so many rocks: one background for all of them.
    logs = np.log10(values)
    present = shares.sum(axis=0) > 0
    if len(values) < LEAST_CATCHMENTS * max(1, int(present.sum())):
        return logs - np.median(logs)
    # Scaled to a median of 0, so that the slight shrinkage pulls towards it.
    middle = np.median(logs)
    model = HuberRegressor(alpha=1e-4, fit_intercept=False, max_iter=1000)
    model.fit(shares[:, present], logs - middle)
    return logs - middle - model.predict(shares[:, present])


def _rock_shares(survey: Survey, grid: Grid, found: CatchmentValues) -> np.ndarray:
    """Return (catchments, classes): shares of the rock classes in each whole catchment."""
    if survey.geology is None or not survey.geology_column:
        raise UsageError('background = "lithology" needs geology, and the survey has none.')
    layer = GeologyLayer(survey.geology, survey.geology_column, grid, rule="centre")
    classes = layer.block(0, 0, *grid.shape).astype(np.int64)
    # 1. Cells of each class on the ground of each catchment alone; class 0 is unmapped ground.
    width = len(layer.legend) + 1
    inside = found.basins >= 0
    flat = found.basins[inside] * width + classes[inside]
    cells = np.bincount(flat, minlength=len(found.outlets) * width).reshape(-1, width)
    # 2. With the ground of those upstream, small catchments first.
    for number in np.argsort(found.area, kind="stable"):
        if found.below[number] >= 0:
            cells[found.below[number]] += cells[number]
    return cells / cells.sum(axis=1, keepdims=True)


def _refuse_ratios(survey: Survey, elements: Sequence[str]) -> None:
    for name in elements:
        if survey.elements.get(name) == LOG_RATIO:
            raise UsageError(
                f'{name} is a log-ratio: loads of it mean nothing. Take method = "idw", or leave'
                " [composition] out."
            )
