"""Samples made ready for interpolation: checked, merged by place, grouped by what they miss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import geopandas as gpd
import numpy as np
from pandas.api.types import is_numeric_dtype

from ...errors import DataError, UsageError, nearest_name, require_known
from ...rasters.grid import require_metres
from .barriers import BarrierSearch, barrier_segments
from .tree_engine import Rule, TreeSearch

Transform = Callable[[np.ndarray], np.ndarray]


SCALES = ("linear", "log")


def sample_values(
    samples: gpd.GeoDataFrame, elements: Sequence[str], scale: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return (samples, 2) metres and (bands, samples) values, log10 of them when ``scale`` is
    "log".
    """
    require_known(scale, SCALES, "scale")
    _require_samples(samples, elements)
    values = samples[list(elements)].to_numpy(float).T
    if scale == "log":
        _require_positive(values, elements)
        values = np.log10(values)
    return np.column_stack([samples.geometry.x, samples.geometry.y]), values


def check_samples(xy: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float coordinates (samples, 2) and values (bands, samples), or say what is wrong with
    them.
    """
    xy = np.asarray(xy, float)
    values = np.asarray(values, float)
    if xy.ndim != 2 or xy.shape[1] != 2 or values.ndim != 2 or values.shape[1] != len(xy):
        raise UsageError(
            f"coordinates {xy.shape} and values {values.shape} are not (samples, 2) and (bands,"
            " samples)."
        )
    if not np.isfinite(xy).all():
        raise DataError(
            f"{int((~np.isfinite(xy)).any(axis=1).sum())} samples have no finite coordinates:"
            " remove them."
        )
    return xy, np.where(np.isfinite(values), values, np.nan)


def merge_places(xy: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average the samples of one place (to the millimetre): (places, 2) and (bands, places).

    >>> [a.tolist() for a in merge_places(np.array([[0, 0], [5, 0], [0, 0]]), np.array([[1.0, 9.0, 3.0]]))]
    [[[0.0, 0.0], [5.0, 0.0]], [[2.0, 9.0]]]
    """
    # 1. Samples sorted by place; where a new place begins.
    rounded = np.round(np.asarray(xy, float), 3)
    # np.unique(axis=0) takes ten times as long, as it compares records.
    order = np.lexsort((rounded[:, 1], rounded[:, 0]))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(rounded[order], axis=0) != 0).any(axis=1)
    first = order[new]
    places = np.asarray(xy, float)[first]
    if len(first) == len(xy):
        return places, values[:, first]
    # 2. The place of every sample, and the mean of each band over the samples that have it.
    place = np.empty(len(order), np.int64)
    known = np.isfinite(values)
    place[order] = np.cumsum(new) - 1
    means = np.empty((len(values), len(first)))
    for band, (row, valid) in enumerate(zip(values, known, strict=True)):
        counts = np.bincount(place[valid], minlength=len(first))
        totals = np.bincount(place[valid], weights=row[valid], minlength=len(first))
        with np.errstate(invalid="ignore"):
            means[band] = totals / counts
    return places, means


def bands_by_missing(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (band indices, mask of their samples) for the bands that miss the same samples.

    >>> bands_by_missing(np.array([[1.0, np.nan], [2.0, 3.0], [4.0, np.nan]]))[0]
    (array([0, 2]), array([ True, False]))
    """
    patterns, pattern = missing_patterns(values)
    groups = []
    for number, mask in enumerate(patterns):
        if mask.any():
            groups.append((np.flatnonzero(pattern == number), mask))
    return groups


def missing_patterns(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of known values, (patterns, samples) bool, and the number of each
    band's.
    """
    known = np.isfinite(values)
    # By their bytes: np.unique(axis=0) makes a field of every sample.
    number_of: dict[bytes, int] = {}
    pattern = np.array([number_of.setdefault(row.tobytes(), len(number_of)) for row in known], int)
    _, first = np.unique(pattern, return_index=True)
    return known[first], pattern


class Metric:
    """The linear transform after which distances are isotropic.

    >>> Metric(2.0, 90.0, np.zeros(2))(np.array([[100.0, 25.0], [0.0, 100.0]])).round(6).tolist()
    [[100.0, 50.0], [0.0, 200.0]]
    """

    def __init__(self, ratio: float, azimuth: float, centre: np.ndarray):
        sine = math.sin(math.radians(azimuth))
        cosine = math.cos(math.radians(azimuth))
        self.matrix = np.array([[sine, cosine], [-ratio * cosine, ratio * sine]])
        self.centre = centre

    def __call__(self, xy: np.ndarray) -> np.ndarray:
        """Transform (points, 2) coordinates."""
        return (np.asarray(xy, float) - self.centre) @ self.matrix.T


def metric(anisotropy: tuple[float, float] | None, places: np.ndarray) -> Transform:
    """Return the transform of coordinates; without anisotropy they stay as they are."""
    if anisotropy is None or anisotropy[0] == 1:
        return np.asarray
    return Metric(*anisotropy, places.mean(axis=0))


def point_search(
    places: np.ndarray,
    known: np.ndarray,
    rule: Rule,
    transform: Transform,
    barriers: object = None,
) -> TreeSearch:
    """Return the search for estimates at any points, which are asked for in transformed
    coordinates.
    """
    if barriers is None:
        return TreeSearch(transform(places), known, rule)
    # A linear transform keeps what crosses what.
    ends = barrier_segments(barriers).reshape(-1, 2)
    return BarrierSearch(transform(places), known, rule, transform(ends).reshape(-1, 4))


def _require_samples(samples: gpd.GeoDataFrame, elements: Sequence[str]) -> None:
    """Refuse samples that are not points of a metric CRS, and columns that are missing or hold
    text.
    """
    if samples.crs is None:
        raise DataError("the samples have no CRS: set one, for instance layer.set_crs(32633).")
    require_metres(samples.crs)
    other = sorted(set(samples.geom_type.dropna()) - {"Point"})
    if other:
        raise DataError(
            f"the samples hold {', '.join(other)}, not points alone: clean them with check_survey."
        )
    for name in elements:
        if name not in samples.columns:
            raise UsageError(
                f'the samples have no column "{name}".{nearest_name(name, samples.columns)}'
            )
        if not is_numeric_dtype(samples[name]):
            raise DataError(f"{name} holds text, not numbers alone: clean it with check_survey.")


def _require_positive(values: np.ndarray, elements: Sequence[str]) -> None:
    for name, row in zip(elements, values, strict=True):
        bad = int((row <= 0).sum())
        if bad:
            raise DataError(
                f"{name} has {bad} values that are zero or negative, and log10 of them does not"
                ' exist: clean them with check_survey, or use scale="linear".'
            )
