"""A band and the deposits go in; the cut of it that says most, with its weights, comes out.

The formulas are those of :mod:`geomfaf.models.weights_of_evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, require_known

METHODS = ("categorical", "ascending", "descending")
"""How a band is cut: each class alone, all values up to a threshold, all values from
a threshold.
"""

CLASSES = 100
"""A continuous band with more values than this is cut at as many quantiles."""

CONFIDENCE = 2.0
"""Least studentised contrast of a favourable pattern (about the 2.5 % point of the normal
distribution).
"""


FIGURES = (
    "area",
    "points",
    "w_plus",
    "s_w_plus",
    "w_minus",
    "s_w_minus",
    "contrast",
    "s_contrast",
    "studentised",
)
"""The numbers of a pattern, each a column of the table of weights too."""


@dataclass(frozen=True)
class Pattern:
    """A band cut into favourable ground and the rest.

    Attributes
    ----------
    band, method : str
    favourable : float or frozenset
        Threshold (inclusive) of an ascending or descending band, the classes of a categorical one;
        NaN or empty when no cut reaches the confidence: the band then says nothing.
    area, points : float
        Units of area and deposits on favourable ground.
    w_plus, s_w_plus, w_minus, s_w_minus, contrast, s_contrast, studentised : float
    """

    band: str
    method: str
    favourable: Any
    area: float = 0.0
    points: float = 0.0
    w_plus: float = 0.0
    s_w_plus: float = 0.0
    w_minus: float = 0.0
    s_w_minus: float = 0.0
    contrast: float = 0.0
    s_contrast: float = 0.0
    studentised: float = 0.0

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Return which values are favourable, bool; nodata is not."""
        # NaN is on neither side: a comparison with it is false.
        if self.method == "categorical":
            return np.isin(values, list(self.favourable))
        with np.errstate(invalid="ignore"):
            if self.method == "ascending":
                return values <= self.favourable
            return values >= self.favourable

    @property
    def words(self) -> str:
        """The favourable ground in words: ``<= 5000``, ``3, 7`` or ``none``."""
        if self.method == "categorical":
            return ", ".join(f"{value:g}" for value in sorted(self.favourable)) or "none"
        if np.isnan(self.favourable):
            return "none"
        sign = "<=" if self.method == "ascending" else ">="
        return f"{sign} {self.favourable:g}"


def weights_of_counts(
    points_in: object,
    points: float,
    area_in: object,
    area: float,
) -> pd.DataFrame:
    """Return the weights of patterns from counts.

    Where one of the four counts (deposits inside and outside, units without a deposit inside and
    outside) is zero the weights are infinite; a half is added to all four then (Haldane's
    correction) and ``corrected`` says so. A pattern that covers all or none of the area has weights
    of zero.

    Parameters
    ----------
    points_in, points : array_like, float
        Deposits in each pattern and in all.
    area_in, area : array_like, float
        Units of area of each pattern and of all; a unit holds at most one deposit.

    Returns
    -------
    DataFrame
        area, points, w_plus, s_w_plus, w_minus, s_w_minus, contrast, s_contrast, studentised,
        corrected.

    Examples
    --------
    Half of the area holds 9 of 10 deposits: W+ = ln(0.9 / (491 / 990)), W- = ln(0.1 / (499 / 990)).

    >>> table = weights_of_counts([9], 10, [500], 1000)
    >>> table[["w_plus", "w_minus", "contrast", "studentised"]].round(3).values.tolist()
    [[0.596, -1.617, 2.213, 2.096]]
    """
    # 1. the four counts: deposits inside and outside, units without one inside and outside
    hit = np.asarray(points_in, float)
    size = np.asarray(area_in, float)
    missed = points - hit
    cells = np.stack([hit, missed, size - hit, area - size - missed])
    _require_room(cells, hit, size, points, area)
    # 2. a half is added where a count is 0; a pattern of all or no ground says nothing
    cells = np.maximum(cells, 0)
    inside = cells[0] + cells[2]
    outside = cells[1] + cells[3]
    trivial = (inside <= 0) | (outside <= 0)
    corrected = (cells <= 0).any(axis=0) & ~trivial
    cells = np.where(corrected, cells + 0.5, np.where(trivial, 1.0, cells))
    # 3. weights, their variances, the contrast
    hits, misses, barren_inside, barren_outside = cells
    deposits = hits + misses
    barren = barren_inside + barren_outside
    w_plus = np.log(hits / deposits) - np.log(barren_inside / barren)
    w_minus = np.log(misses / deposits) - np.log(barren_outside / barren)
    v_plus = 1 / hits + 1 / barren_inside
    v_minus = 1 / misses + 1 / barren_outside
    contrast = w_plus - w_minus
    error = np.sqrt(v_plus + v_minus)
    figures = {
        "w_plus": w_plus,
        "s_w_plus": np.sqrt(v_plus),
        "w_minus": w_minus,
        "s_w_minus": np.sqrt(v_minus),
        "contrast": contrast,
        "s_contrast": error,
        "studentised": contrast / error,
    }
    table = pd.DataFrame({"area": size, "points": hit})
    for name, column in figures.items():
        table[name] = np.where(trivial, 0.0, column)
    table["corrected"] = corrected
    return table


def _require_room(
    cells: np.ndarray,
    hit: np.ndarray,
    size: np.ndarray,
    points: float,
    area: float,
) -> None:
    """Raise :class:`DataError` when a unit of area would hold more than one deposit."""
    crowded = (cells[2:] < -1e-9).any(axis=0)
    if crowded.any() or not points > 0:
        worst = int(np.argmax(crowded))
        raise DataError(
            f"a pattern of {size.flat[worst]:g} units of area holds {hit.flat[worst]:g} deposits"
            f" ({points:g} of them on {area:g} units in all): a unit holds at most one, and weights"
            " need at least one. Use a smaller unit of area."
        )


def weights_table(
    cells: np.ndarray,
    points: np.ndarray,
    method: str,
    *,
    unit: float = 1.0,
    cell_weights: np.ndarray | None = None,
    point_weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return the weights of every class, or of every cut of a continuous band.

    Parameters
    ----------
    cells : ndarray
        Values of all cells; NaN is nodata and belongs to no side of any cut.
    points : ndarray
        Values at the deposits, one a deposit; NaN likewise.
    method : {"categorical", "ascending", "descending"}
        Each class against the rest, or all values up to / from each value (at most 100 quantiles)
        against the rest.
    unit : float
        Units of area in a cell.
    cell_weights, point_weights : ndarray, optional
        How much each cell and deposit counts.

    Returns
    -------
    DataFrame
        ``class`` (the class, or the last value inside the cut) and the columns of
        :func:`weights_of_counts`.
    """
    require_known(method, METHODS, "method")
    cells, cell_weight = _known(cells, cell_weights)
    points, point_weight = _known(points, point_weights)
    if not len(points):
        raise DataError("no deposit lies on a cell with a value: there are no weights.")
    # 1. classes, or the last values inside each cut
    classes = np.unique(cells)
    if method != "categorical" and len(classes) > CLASSES:
        shares = np.linspace(0, 1, CLASSES + 1)
        classes = np.unique(np.quantile(cells, shares, method="inverted_cdf"))
    # 2. ground and deposits of each; a deposit above all cells is of the last class
    count = len(classes)
    class_of_cell = np.searchsorted(classes, cells)
    class_of_point = np.searchsorted(classes, points).clip(max=count - 1)
    area_of = np.bincount(class_of_cell, cell_weight, count) * unit
    hits_of = np.bincount(class_of_point, point_weight, count)
    area = area_of.sum()
    hits = hits_of.sum()
    if method == "descending":
        # Quantile classes reach from the value before, exclusive: a cut "from v on" needs its lower
        # end.
        class_of_cell = np.searchsorted(classes, cells, side="right") - 1
        class_of_point = np.searchsorted(classes, points, side="right") - 1
        area_of = np.bincount(class_of_cell, cell_weight, count) * unit
        hits_of = np.bincount(class_of_point.clip(min=0), point_weight, count)
        classes = classes[::-1]
        area_of = area_of[::-1]
        hits_of = hits_of[::-1]
    # 3. a cut holds all classes up to it
    if method != "categorical":
        area_of = area_of.cumsum()
        hits_of = hits_of.cumsum()
    table = weights_of_counts(np.minimum(hits_of, hits), hits, np.minimum(area_of, area), area)
    table.insert(0, "class", classes)
    return table


def best_pattern(
    band: str,
    method: str,
    table: pd.DataFrame,
    *,
    confidence: float = CONFIDENCE,
) -> Pattern:
    """Cut a band where it says most.

    A continuous band is cut at the largest studentised contrast; of a class band the classes whose
    studentised contrast reaches the confidence are favourable together. A band that does not reach
    the confidence gets weights of zero. A pattern without any deposit is never favourable: the half
    deposit that its weights are corrected by would make the rarest ground the best.
    """
    # All deposits and all ground are the last row of the cuts, the sum of the classes.
    area = table["area"].to_numpy()
    points = table["points"].to_numpy()
    # A pattern without a deposit is never the best.
    studentised = np.where(points > 0, table["studentised"], -np.inf)
    good = studentised >= confidence
    if method != "categorical":
        if not good.any():
            return Pattern(band, method, float("nan"))
        row = table.iloc[int(studentised.argmax())]
        return weighed(Pattern(band, method, float(row["class"])), row)
    # Classes that reach the confidence are weighed again, as one.
    chosen = frozenset(float(value) for value in table["class"].to_numpy()[good])
    if not chosen:
        return Pattern(band, method, chosen)
    points_in = points[good].sum()
    area_in = area[good].sum()
    together = weights_of_counts([points_in], points.sum(), [area_in], area.sum())
    return weighed(Pattern(band, method, chosen), together.iloc[0])


def weighed(pattern: Pattern, row: pd.Series) -> Pattern:
    """Return a pattern with the figures of its row of a table of weights."""
    figures: dict[str, Any] = {name: float(row[name]) for name in FIGURES}
    return replace(pattern, **figures)


def _known(values: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, float).ravel()
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float).ravel()
    kept = np.isfinite(values)
    return values[kept], weights[kept]
