"""Inverse-distance weighting of all elements in one pass.

The estimate at a point is ``sum(w_i z_i) / sum(w_i)`` with ``w_i = d_i ** -power`` over its k
nearest samples (Shepard 1968, doi 10.1145/800186.810616). Three rules make the answer unique:

* samples at one place (to the millimetre) are averaged first and count once;
* **ties**: every sample no farther than the k-th nearest distance counts, to one part in 10**9, so
  that the result does not depend on the order of the samples;
* at a sample's own place the estimate is the sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import geopandas as gpd
import numpy as np
import xarray as xr
from pandas.api.types import is_numeric_dtype
from scipy.spatial import cKDTree

from .bands import Band, as_dataarray
from .elements import label
from .errors import DataError, UsageError, nearest_name
from .grid import Grid, require_metres
from .progress import track

TIE = 1e-9
"""Relative difference below which two distances are the same distance."""

CHUNK = 65_536
"""Points estimated at a time: bounds the memory of the neighbour tables."""


def idw_grid(
    samples: gpd.GeoDataFrame,
    elements: Sequence[str],
    grid: Grid,
    *,
    power: float = 2.0,
    neighbours: int | None = 12,
    radius: float | None = None,
    scale: str = "linear",
    units: dict[str, str] | None = None,
) -> xr.DataArray:
    """Grid element columns of a sample layer by inverse-distance weighting.

    Parameters
    ----------
    samples : GeoDataFrame
        Points in the CRS of ``grid``. A missing value (NaN) drops the sample for that element only.
    elements : sequence of str
        Columns to grid, one band each.
    grid : Grid
        Where to estimate: the cell centres.
    power : float
        Exponent of the distance.
    neighbours : int or None
        Number of nearest samples (more where they tie); None takes all samples.
    radius : float, optional
        Metres; samples farther away do not count, and cells without any are NaN.
    scale : {"linear", "log"}
        ``"log"`` weights log10 of the values and returns the antilogarithm, in the element's own
        unit: one rich sample then no longer paints a bull's-eye. Values must be positive.
    units : dict, optional
        Unit of each element, written to its band.

    Returns
    -------
    xarray.DataArray
        float32 (band, y, x).

    Examples
    --------
    >>> from shapely import Point
    >>> layer = gpd.GeoDataFrame({"Au": [1.0, 3.0]}, geometry=[Point(50, 50), Point(250, 50)], crs=32633)
    >>> idw_grid(layer, ["Au"], Grid.from_bounds((0, 0, 300, 100), 100, 32633)).values.tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    _require_samples(samples, elements)
    grid.require_crs(samples.crs, "samples")
    values = samples[list(elements)].to_numpy(float).T
    if scale == "log":
        _require_positive(values, elements)
        values = np.log10(values)
    elif scale != "linear":
        raise UsageError(f'scale "{scale}" is unknown: use "linear" or "log".')
    xy = np.column_stack([samples.geometry.x, samples.geometry.y])
    result = idw(xy, values, grid, power=power, neighbours=neighbours, radius=radius)
    if scale == "log":
        np.power(10.0, result, out=result)
    how = "IDW of log10" if scale == "log" else "IDW"
    units = units or {}
    bands = []
    for name in elements:
        unit = units.get(name, "")
        bands.append(Band(name, "element", unit, f"{label(name, unit)}, {how}"))
    return as_dataarray(result, grid, bands)


def idw(
    xy: np.ndarray,
    values: np.ndarray,
    grid: Grid,
    *,
    power: float = 2.0,
    neighbours: int | None = 12,
    radius: float | None = None,
) -> np.ndarray:
    """Estimate values at the cell centres of a grid.

    Parameters
    ----------
    xy : ndarray
        (samples, 2) coordinates in metres.
    values : ndarray
        (bands, samples); NaN drops the sample for that band.

    Returns
    -------
    ndarray
        float32 (band, y, x), NaN where no sample counts.
    """
    result = np.full((len(values), grid.size), np.nan, np.float32)
    starts = range(0, grid.size, CHUNK)
    plan = list(_bands_by_missing(np.asarray(xy, float), np.asarray(values, float)))
    for start in track(starts, "gridding", unit="cells", weights=[min(CHUNK, grid.size - s) for s in starts]):
        cells = np.arange(start, min(start + CHUNK, grid.size))
        targets = np.column_stack(grid.xy(*np.divmod(cells, grid.width)))
        for bands, (tree, known) in plan:
            result[bands, start : start + len(cells)] = _estimate(tree, known, targets, power, neighbours, radius)
    return result.reshape(len(values), *grid.shape)


def idw_points(
    xy: np.ndarray,
    values: np.ndarray,
    targets: np.ndarray,
    *,
    power: float = 2.0,
    neighbours: int | None = 12,
    radius: float | None = None,
) -> np.ndarray:
    """Estimate values at any points; float64 (bands, points). See :func:`idw`.

    >>> idw_points([[0, 0], [3, 0]], [[1.0, 4.0]], [[0, 0], [1, 0]]).round(6).tolist()
    [[1.0, 1.6]]
    """
    values = np.asarray(values, float)
    result = np.full((len(values), len(targets)), np.nan)
    for bands, (tree, known) in _bands_by_missing(np.asarray(xy, float), values):
        result[bands] = _estimate(tree, known, np.asarray(targets, float), power, neighbours, radius)
    return result


def merge_places(xy: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the samples of one place (to the millimetre): (places, 2) and (bands, places).

    >>> [a.tolist() for a in merge_places(np.array([[0, 0], [5, 0], [0, 0]]), np.array([[1.0, 9.0, 3.0]]))]
    [[[0.0, 0.0], [5.0, 0.0]], [[2.0, 9.0]]]
    """
    _, first, place = np.unique(np.round(xy, 3), axis=0, return_index=True, return_inverse=True)
    place = place.ravel()
    counts = np.bincount(place)
    means = np.stack([np.bincount(place, weights=row) / counts for row in values])
    return np.asarray(xy, float)[first], means


def _bands_by_missing(xy: np.ndarray, values: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[cKDTree, np.ndarray]]]:
    """Yield (band indices, (tree, values)) for the bands that share the same missing samples."""
    if xy.ndim != 2 or xy.shape[1] != 2 or values.ndim != 2 or values.shape[1] != len(xy):
        raise UsageError(f"coordinates {xy.shape} and values {values.shape} are not (samples, 2) and (bands, samples).")
    if not np.isfinite(xy).all():
        raise DataError(f"{int((~np.isfinite(xy)).any(axis=1).sum())} samples have no finite coordinates: remove them.")
    known = np.isfinite(values)
    patterns, pattern = np.unique(known, axis=0, return_inverse=True)
    for number, mask in enumerate(patterns):
        if mask.any():
            bands = np.flatnonzero(pattern.ravel() == number)
            places, means = merge_places(xy[mask], values[np.ix_(bands, mask)])
            yield bands, (cKDTree(places), means)


def _estimate(
    tree: cKDTree, known: np.ndarray, targets: np.ndarray, power: float, neighbours: int | None, radius: float | None
) -> np.ndarray:
    """Return float64 (bands, targets)."""
    _check_options(power, neighbours, radius)
    bound = np.inf if radius is None else radius * (1 + TIE)
    if neighbours is None or neighbours >= tree.n:
        return _estimate_all(tree.data, known, targets, power, bound)
    result = np.empty((len(known), len(targets)))
    pending = np.arange(len(targets))
    wanted = min(neighbours + 4, tree.n)
    while len(pending):
        distance, index = tree.query(targets[pending], k=wanted, distance_upper_bound=bound, workers=-1)
        limit = distance[:, neighbours - 1] * (1 + TIE)
        # A tie that reaches the last neighbour asked for may go on: those points are asked again.
        open_tie = np.isfinite(distance[:, -1]) & (distance[:, -1] <= limit) & (wanted < tree.n)
        distance = np.where(distance <= limit[:, None], distance, np.inf)
        index = np.where(np.isfinite(distance), index, 0)
        done = ~open_tie
        result[:, pending[done]] = _weighted_mean(distance[done], known[:, index[done]], power)
        pending, wanted = pending[open_tie], min(wanted * 4, tree.n)
    return result


def _estimate_all(places: np.ndarray, known: np.ndarray, targets: np.ndarray, power: float, bound: float) -> np.ndarray:
    """Weight every sample within the bound, some targets at a time."""
    step = max(1, 4_000_000 // max(len(places), 1))
    parts = []
    for start in range(0, len(targets), step):
        part = targets[start : start + step]
        distance = np.hypot(*(part[:, None, axis] - places[None, :, axis] for axis in (0, 1)))
        distance[distance > bound] = np.inf
        weight = _weights(distance, power)
        total = weight.sum(axis=1)
        with np.errstate(invalid="ignore"):
            parts.append((known @ weight.T) / np.where(total > 0, total, np.nan))
    return np.concatenate(parts, axis=1)


def _weighted_mean(distance: np.ndarray, known: np.ndarray, power: float) -> np.ndarray:
    """Weight (bands, targets, k) values by (targets, k) distances; NaN where none is finite."""
    weight = _weights(distance, power)
    total = weight.sum(axis=1)
    return np.einsum("btk,tk->bt", known, weight) / np.where(total > 0, total, np.nan)


def _weights(distance: np.ndarray, power: float) -> np.ndarray:
    """Return weights scaled to 1 at the nearest sample, so that no power overflows."""
    nearest = distance.min(axis=1, keepdims=True, initial=np.inf)
    at_sample = nearest == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = (nearest / distance) ** power
    weight[~np.isfinite(distance)] = 0.0
    return np.where(at_sample, (distance == 0).astype(float), weight)


def _check_options(power: float, neighbours: int | None, radius: float | None) -> None:
    if not (np.isfinite(power) and power > 0):
        raise UsageError(f"power {power} must be a positive number; 2 is usual.")
    if neighbours is not None and neighbours < 1:
        raise UsageError(f"neighbours {neighbours} must be at least 1; 12 is usual.")
    if radius is not None and not (np.isfinite(radius) and radius > 0):
        raise UsageError(f"radius {radius} must be a positive number of metres.")


def _require_samples(samples: gpd.GeoDataFrame, elements: Sequence[str]) -> None:
    """Refuse samples that are not points of a metric CRS, and columns that are missing or hold text."""
    if samples.crs is not None:
        require_metres(samples.crs)
    other = sorted(set(samples.geom_type.dropna()) - {"Point"})
    if other:
        raise DataError(f"the samples hold {', '.join(other)}, not points alone: clean them with check_survey.")
    for name in elements:
        if name not in samples.columns:
            raise UsageError(f'the samples have no column "{name}".{nearest_name(name, samples.columns)}')
        if not is_numeric_dtype(samples[name]):
            raise DataError(f"{name} holds text, not numbers alone: clean it with check_survey.")


def _require_positive(values: np.ndarray, elements: Sequence[str]) -> None:
    for name, row in zip(elements, values, strict=True):
        bad = int((row <= 0).sum())
        if bad:
            raise DataError(
                f"{name} has {bad} values that are zero or negative, and log10 of them does not exist: "
                'clean them with check_survey, or use scale="linear".'
            )
