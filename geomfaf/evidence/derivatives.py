"""Values of a raster on the run's grid go in; what is made from them by a known filter comes out.

Terrain comes from xarray-spatial, potential fields from harmonica: both are in the extra
``geophysics`` and are loaded when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.ndimage import convolve1d, distance_transform_edt

from ..errors import UsageError, require_known
from ..rasters.bands import Band

Other = Callable[[int], np.ndarray]
"""Gives the values of another band of the same file on the same cells."""

RESIDUAL_CELLS = 10
"""Cells on each side whose mean is the local background."""


class Derived(NamedTuple):
    """A filter by its name.

    ``compute`` takes values (y, x), the cell in metres, the argument and :data:`Other`; ``whole``
    filters need the whole map at once; ``unit`` completes "unit of the raster, ...".
    """

    compute: Callable[[np.ndarray, float, float | None, Other], np.ndarray]
    text: str
    unit: str = ""
    cells: int = 1
    """Cells around a window that it looks at; -1: as many as the argument says."""
    whole: bool = False
    argument: float | None = None
    """Default of the number behind the name ("upward:500"); None takes no number."""

    def halo(self, argument: float | None) -> int:
        """Return how many cells around a window the filter looks at."""
        return self.cells if self.cells >= 0 else int(argument or 0)


def parse_derived(text: str, name: str) -> tuple[str, float | None]:
    """Return a filter's name and the number behind it.

    >>> parse_derived("slope", "dem"), parse_derived("upward:500", "tmi")
    (('slope', None), ('upward', 500.0))
    """
    # "upward:500": the filter's name and, behind a colon, its number.
    word, _, number = text.partition(":")
    require_known(word, DERIVED, f"{name}: derive")
    default = DERIVED[word].argument
    if not number:
        return word, default
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if default is None or not value > 0:
        raise UsageError(
            f'{name}: derive "{text}" is not a filter with a number above 0, such as "upward:500",'
            ' "residual:20" or "ratio:2".'
        )
    return word, value


def derived_band(
    raster: str,
    unit: str,
    name: str,
    argument: float | None,
) -> Band:
    """Return the band that a filter makes of a raster."""
    derived = DERIVED[name]
    number = "" if argument is None else f"_{argument:g}"
    # A raster without a unit gives derivatives without one.
    own_unit = derived.unit.replace("{unit}", unit) if unit else derived.unit.replace("{unit}", "")
    text = f"{raster}, {derived.text.format(argument or 0)}"
    own_unit = own_unit if own_unit not in ("/m",) else ""
    label = f"{text} ({own_unit})" if own_unit else text
    return Band(f"{raster}_{name}{number}", "continuous", own_unit, label)


def _as_map(values: np.ndarray, cell: float) -> xr.DataArray:
    """Return values with coordinates in metres, north up."""
    # Northings fall from row to row.
    y = np.arange(values.shape[0])[::-1] * cell
    x = np.arange(values.shape[1]) * cell
    coordinates = {"northing": y, "easting": x}
    return xr.DataArray(
        values.astype(np.float64),
        coords=coordinates,
        dims=("northing", "easting"),
        attrs={"res": (cell, cell)},
    )


def _library(name: str):
    """Return a library of the extra, or say how to install it."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(
            f'derived bands need {name}: pip install "geomfaf[geophysics]".'
        ) from error


def _slope(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    """Return degrees (Horn 1981)."""
    return _library("xrspatial").slope(_as_map(values, cell)).values


def _aspect(values, cell) -> np.ndarray:
    """Return radians clockwise from north; NaN on level ground."""
    # Level ground faces nowhere; the library says -1.
    degrees = _library("xrspatial").aspect(_as_map(values, cell)).values
    return np.deg2rad(np.where(degrees < 0, np.nan, degrees))


def _aspect_sine(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    return np.sin(_aspect(values, cell))


def _aspect_cosine(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    return np.cos(_aspect(values, cell))


def _curvature(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    return _library("xrspatial").curvature(_as_map(values, cell)).values


def _ruggedness(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    """Return the standard deviation of the 3 x 3 cells."""
    focal_stats = _library("xrspatial.focal").focal_stats
    stats = focal_stats(_as_map(values, cell), kernel=np.ones((3, 3)), stats_funcs=["std"])
    # Cells whose neighbours lack a value have none either, as with the other filters.
    whole = np.isfinite(convolve1d(convolve1d(values, np.ones(3), axis=0), np.ones(3), axis=1))
    return np.where(whole, stats.values[0], np.nan)


def _gradient(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    """Return the length of the horizontal gradient, central differences."""
    # The length has no direction, so it does not matter that rows run south.
    down, across = np.gradient(values.astype(np.float64), cell)
    return np.hypot(down, across)


def _residual(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    """Return the value less the mean of the square of cells around it that have a value."""
    # Gaps count neither in the sum nor in the number of cells.
    known = np.isfinite(values)
    total = _square_sum(np.where(known, values, 0.0), int(argument))
    count = _square_sum(known, int(argument))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, values - total / count, np.nan)


def _square_sum(values: np.ndarray, reach: int) -> np.ndarray:
    """Return sums over squares of cells, each added by itself: no running sum whose rounding
    depends on where the window begins.
    """
    ones = np.ones(2 * reach + 1)
    # A square is a column of rows: two passes in place of one over all its cells.
    rows = convolve1d(values.astype(np.float64), ones, axis=0, mode="constant")
    return convolve1d(rows, ones, axis=1, mode="constant")


def _ratio(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    """Return the ratio to another band of the file; no value where that is 0 or less."""
    # A ratio to nothing is no number.
    below = other(int(argument))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, values / below, np.nan)


def _whole(apply: Callable[[xr.DataArray], xr.DataArray], values, cell) -> np.ndarray:
    """Apply a filter of harmonica to the whole map.

    It needs a value everywhere: gaps take their nearest value, the map is continued by a quarter
    of its size on each side so that its edges do not ring, and gaps are gaps again afterwards.
    """
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, np.nan, np.float32)
    # 1. Gaps filled, edges continued about the mean level.
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = values[rows, columns].astype(np.float64)
    pad = max(values.shape) // 4 + 1
    level = filled.mean()
    padded = np.pad(filled - level, pad, mode="reflect" if min(values.shape) > pad else "edge")
    # 2. The filter, and the map's own part of it.
    result = apply(_as_map(padded, cell)).values[pad:-pad, pad:-pad]
    return np.where(known, result, np.nan).astype(np.float32)


def _vertical(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    library = _library("harmonica")
    return _whole(library.derivative_upward, values, cell)


def _tilt(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    """Return degrees (Miller and Singh 1994): atan of vertical over horizontal gradient."""
    library = _library("harmonica")
    return np.rad2deg(_whole(library.tilt_angle, values, cell))


def _analytic_signal(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    """Return the length of the gradient in three dimensions (Roest et al. 1992)."""
    library = _library("harmonica")
    return _whole(library.total_gradient_amplitude, values, cell)


def _upward(
    values,
    cell,
    argument,
    other,
) -> np.ndarray:
    library = _library("harmonica")
    level = np.nanmean(values)

    def up(grid: xr.DataArray) -> xr.DataArray:
        return library.upward_continuation(grid, height_displacement=argument)

    return _whole(up, values, cell) + np.float32(level)


DERIVED: dict[str, Derived] = {
    "slope": Derived(_slope, "slope", "degrees"),
    "aspect_sin": Derived(_aspect_sine, "aspect, sine"),
    "aspect_cos": Derived(_aspect_cosine, "aspect, cosine"),
    "curvature": Derived(_curvature, "curvature"),
    "ruggedness": Derived(_ruggedness, "standard deviation of 3 x 3 cells", "{unit}"),
    "gradient": Derived(_gradient, "horizontal gradient", "{unit}/m"),
    "residual": Derived(
        _residual,
        "less its mean within {:g} cells",
        "{unit}",
        cells=-1,
        argument=float(RESIDUAL_CELLS),
    ),
    "ratio": Derived(_ratio, "ratio to band {:g}", cells=0, argument=1.0),
    "vertical": Derived(_vertical, "vertical derivative", "{unit}/m", whole=True),
    "tilt": Derived(_tilt, "tilt angle", "degrees", whole=True),
    "analytic_signal": Derived(_analytic_signal, "analytic signal", "{unit}/m", whole=True),
    "upward": Derived(_upward, "continued {:g} m upward", "{unit}", whole=True, argument=500.0),
}
"""Filters by name; those with a number take it behind a colon ("upward:500")."""

SQUARE_OR_NOT = ("ruggedness", "residual", "ratio")
"""Filters that do not ask how long a cell is; the others need square ones."""
