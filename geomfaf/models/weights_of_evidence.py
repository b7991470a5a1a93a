r"""Weights of evidence: by how much each band, cut in two, raises or lowers the odds of a deposit.

With B the ground that a band calls favourable, D the deposits and s units of area,

.. math:: W^+ = \ln\frac{P(B|D)}{P(B|\bar D)}, \quad W^- = \ln\frac{P(\bar B|D)}{P(\bar B|\bar D)}, \quad C = W^+ - W^-

with variances :math:`s^2(W^+) = 1/n(BD) + 1/n(B\bar D)` and likewise for :math:`W^-`. If the bands
are independent given the deposits, the weights add up: :math:`\mathrm{logit}\,P(D|\ldots) =
\mathrm{logit}\,P(D) + \sum_b W_b` (Bonham-Carter, Agterberg and Wright 1989; Bonham-Carter 1994,
Geographic Information Systems for Geoscientists, ch. 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import expit, logit
from scipy.stats import norm

from ..errors import DataError, UsageError, nearest_name
from ..rasters.bands import Band, as_dataarray, bands_of, grid_of, valid_cells
from ..windows.windows import deposit_cells

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

POSTERIOR_BANDS = (
    Band("posterior", "score", "", "Posterior probability of a deposit in a unit of area"),
    Band("posterior_sd", "score", "", "Standard deviation of the posterior (weights and prior)"),
    Band("missing_sd", "score", "", "Standard deviation of the posterior (bands without a value)"),
)


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
        if self.method == "categorical":
            return np.isin(values, list(self.favourable))
        with np.errstate(invalid="ignore"):
            return (
                values <= self.favourable
                if self.method == "ascending"
                else values >= self.favourable
            )

    @property
    def words(self) -> str:
        """The favourable ground in words: ``<= 5000``, ``3, 7`` or ``none``."""
        if self.method == "categorical":
            return ", ".join(f"{value:g}" for value in sorted(self.favourable)) or "none"
        if np.isnan(self.favourable):
            return "none"
        return f"{'<=' if self.method == 'ascending' else '>='} {self.favourable:g}"


@dataclass(frozen=True)
class WeightsOfEvidence:
    """Result of :func:`weigh_evidence`.

    Attributes
    ----------
    patterns : list of Pattern
        One a band, in the order of the stack.
    tables : dict
        Band -> all its cuts, see :func:`weights_table`.
    prior : float
        Deposits a unit of area.
    posterior : DataArray
        float32 (band, y, x): posterior, posterior_sd, missing_sd.
    independence : dict
        See :func:`independence_test`.
    """

    patterns: list[Pattern]
    tables: dict[str, pd.DataFrame]
    prior: float
    posterior: xr.DataArray
    independence: dict[str, float]

    def summary(self) -> pd.DataFrame:
        """Return one row a band: band, method, favourable, area, points, the weights and their
        errors.
        """
        rows = [{**vars(pattern), "favourable": pattern.words} for pattern in self.patterns]
        return pd.DataFrame(rows)


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
    hit = np.asarray(points_in, float)
    size = np.asarray(area_in, float)
    cells = np.stack(
        [hit, points - hit, size - hit, area - size - (points - hit)]
    )  # BD, bD, Bd, bd
    crowded = (cells[2:] < -1e-9).any(axis=0)
    if crowded.any() or not points > 0:
        worst = int(np.argmax(crowded))
        raise DataError(
            f"a pattern of {size.flat[worst]:g} units of area holds {hit.flat[worst]:g} deposits"
            f" ({points:g} of them on {area:g} units in all): a unit holds at most one, and weights"
            " need at least one. Use a smaller unit of area."
        )
    # 2. a half is added where a count is 0; a pattern of all or no ground says nothing
    cells = np.maximum(cells, 0)
    trivial = ((cells[0] + cells[2]) <= 0) | ((cells[1] + cells[3]) <= 0)
    corrected = (cells <= 0).any(axis=0) & ~trivial
    cells = np.where(corrected, cells + 0.5, np.where(trivial, 1.0, cells))
    # 3. weights, their variances, the contrast
    deposits = cells[0] + cells[1]
    barren = cells[2] + cells[3]
    w_plus = np.log(cells[0] / deposits) - np.log(cells[2] / barren)
    w_minus = np.log(cells[1] / deposits) - np.log(cells[3] / barren)
    v_plus = 1 / cells[0] + 1 / cells[2]
    v_minus = 1 / cells[1] + 1 / cells[3]
    contrast = w_plus - w_minus
    error = np.sqrt(v_plus + v_minus)
    columns = [
        w_plus,
        np.sqrt(v_plus),
        w_minus,
        np.sqrt(v_minus),
        contrast,
        error,
        contrast / error,
    ]
    names = ["w_plus", "s_w_plus", "w_minus", "s_w_minus", "contrast", "s_contrast", "studentised"]
    table = {
        name: np.where(trivial, 0.0, column) for name, column in zip(names, columns, strict=True)
    }
    return pd.DataFrame(
        {
            "area": size,
            "points": hit,
            **table,
            "corrected": corrected,
        }
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
    if method not in METHODS:
        raise UsageError(f'method "{method}" is unknown: use {", ".join(METHODS)}.')
    cells, weight = _known(cells, cell_weights)
    points, point_weight = _known(points, point_weights)
    if not len(points):
        raise DataError("no deposit lies on a cell with a value: there are no weights.")
    # 1. classes, or the last values inside each cut
    classes = np.unique(cells)
    if method != "categorical" and len(classes) > CLASSES:
        classes = np.unique(
            np.quantile(cells, np.linspace(0, 1, CLASSES + 1), method="inverted_cdf")
        )
    # 2. ground and deposits of each
    area_of = np.bincount(np.searchsorted(classes, cells), weight, len(classes)) * unit
    hits_of = np.bincount(
        np.searchsorted(classes, points).clip(max=len(classes) - 1), point_weight, len(classes)
    )
    area = area_of.sum()
    hits = hits_of.sum()
    if method == "descending":
        # Quantile classes reach from the value before, exclusive: a cut "from v on" needs its lower
        # end.
        lower = (
            np.bincount(np.searchsorted(classes, cells, side="right") - 1, weight, len(classes))
            * unit
        )
        hits_of = np.bincount(
            (np.searchsorted(classes, points, side="right") - 1).clip(min=0),
            point_weight,
            len(classes),
        )
        classes = classes[::-1]
        area_of = lower[::-1]
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
    # A pattern without a deposit is never the best.
    area = table["area"].to_numpy()
    points = table["points"].to_numpy()
    totals = (points.sum(), area.sum()) if method == "categorical" else (points[-1], area[-1])
    studentised = np.where(points > 0, table["studentised"], -np.inf)
    good = studentised >= confidence
    if not good.any():
        return Pattern(band, method, frozenset() if method == "categorical" else float("nan"))
    if method == "categorical":
        chosen: Any = frozenset(float(value) for value in table["class"].to_numpy()[good])
        row = weights_of_counts(
            [points[good].sum()], totals[0], [area[good].sum()], totals[1]
        ).iloc[0]
    else:
        row = table.iloc[int(studentised.argmax())]
        chosen = float(row["class"])
    return Pattern(band, method, chosen, *(float(row[name]) for name in _FIGURES))


def weigh_evidence(
    stack: xr.DataArray,
    deposits: gpd.GeoDataFrame,
    *,
    methods: Mapping[str, str] | None = None,
    favourable: Mapping[str, Any] | None = None,
    unit_area: float | None = None,
    confidence: float = CONFIDENCE,
) -> WeightsOfEvidence:
    """Weigh every band of a stack and add the weights up to a posterior probability.

    Parameters
    ----------
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    deposits : GeoDataFrame
        Points; each counts, also several of one cell. Those off the valid ground do not.
    methods : mapping, optional
        Band -> categorical, ascending or descending. When omitted class bands are categorical,
        distances ascending (near is favourable) and all others descending (high is favourable).
    favourable : mapping, optional
        Band -> threshold, or classes, that are given and not looked for.
    unit_area : float, optional
        km2 of ground that hold at most one deposit; a cell when omitted.
    confidence : float
        Least studentised contrast of a favourable pattern that is looked for.
    """
    grid = grid_of(stack)
    bands = {band.name: band for band in bands_of(stack)}
    for what, given in (("methods", methods), ("favourable", favourable)):
        for name in given or ():
            if name not in bands:
                raise UsageError(
                    f'{what}: the stack has no band "{name}".{nearest_name(name, bands)}'
                )
    grid.require_crs(deposits.crs, "deposits")
    valid = valid_cells(stack)
    rows, cols = deposit_cells(deposits, grid)
    rows, cols = rows[valid[rows, cols]], cols[valid[rows, cols]]
    if not len(rows):
        raise DataError("no deposit lies on valid ground: there are no weights of evidence.")
    if unit_area is not None and not unit_area > 0:
        raise UsageError(f"unit_area = {unit_area} must be a positive number of km2.")
    unit = 1.0 if unit_area is None else grid.cell_area / 1e6 / unit_area
    tables = {}
    patterns = []
    for name, layer in zip(bands, stack.values, strict=True):
        method = (methods or {}).get(name) or _default_method(bands[name].kind)
        tables[name] = weights_table(layer[valid], layer[rows, cols], method, unit=unit)
        if favourable is not None and name in favourable:
            patterns.append(
                _given(
                    name,
                    method,
                    favourable[name],
                    layer[valid],
                    layer[rows, cols],
                    unit,
                )
            )
        else:
            patterns.append(best_pattern(name, method, tables[name], confidence=confidence))
    prior = len(rows) / (valid.sum() * unit)
    if prior >= 1:
        raise DataError(
            f"{len(rows)} deposits on {valid.sum() * unit:g} units of area: a unit holds at most"
            " one. Use a smaller unit of area."
        )
    conditions, which, count = _conditions(patterns, stack.values[:, valid])
    figures = posterior_of_states(conditions, patterns, prior, len(rows), valid.sum() * unit)
    layers = np.full((3, *grid.shape), np.nan, np.float32)
    layers[:, valid] = figures[:, which]
    independence = independence_test(figures[0], figures[1], count * unit, len(rows))
    return WeightsOfEvidence(
        patterns, tables, prior, as_dataarray(layers, grid, POSTERIOR_BANDS), independence
    )


def posterior_of_states(
    states: np.ndarray,
    patterns: list[Pattern],
    prior: float,
    points: float,
    area: float,
) -> np.ndarray:
    r"""Return posterior, its standard deviation and that of missing bands, (3, conditions).

    .. math:: s^2(P) = \Big(\frac{1}{n(D)} + \sum_b s^2(W_b)\Big) P^2, \quad
              s^2_{missing}(P) = \sum_{b\ missing} \sum_{B_b,\bar B_b} \big(P(D|\ldots,B) - P\big)^2
              P(B)

    (Bonham-Carter 1994, ch. 9; Agterberg, Bonham-Carter and Wright 1990).

    Parameters
    ----------
    states : ndarray
        (bands, conditions): 1 favourable, 0 not, -1 no value.
    """
    odds = np.full(states.shape[1], logit(prior))
    variance = np.full(states.shape[1], 1 / points)
    for pattern, state in zip(patterns, states, strict=True):
        odds += np.select([state == 1, state == 0], [pattern.w_plus, pattern.w_minus], 0.0)
        variance += np.select(
            [state == 1, state == 0], [pattern.s_w_plus**2, pattern.s_w_minus**2], 0.0
        )
    posterior = expit(odds)
    missing = np.zeros(states.shape[1])
    for pattern, state in zip(patterns, states, strict=True):
        share = pattern.area / area
        for weight, part in ((pattern.w_plus, share), (pattern.w_minus, 1 - share)):
            missing += np.where(state == -1, (expit(odds + weight) - posterior) ** 2 * part, 0.0)
    return np.stack([posterior, np.sqrt(variance) * posterior, np.sqrt(missing)])


def independence_test(
    posterior: np.ndarray,
    spread: np.ndarray,
    area: np.ndarray,
    points: float,
) -> dict[str, float]:
    r"""Test whether the bands are independent given the deposits.

    Dependent bands say the same twice, and the posterior then expects more deposits than there are:
    :math:`T = \sum_c A_c P_c` against n. The omnibus ratio n / T is low then (below about 0.85 is
    suspect, Bonham-Carter 1994); :math:`z = (T - n) / s(T)` with :math:`s^2(T) = \sum_c A_c^2
    s^2(P_c)` tests it (Agterberg and Cheng 2002, doi 10.1023/A:1021193827501).

    Parameters
    ----------
    posterior, spread : (conditions,) ndarray
        Posterior probability and its standard deviation in each unique condition.
    area : (conditions,) ndarray
        Units of area of each.
    points : float
        n, the deposits.

    Returns
    -------
    dict
        deposits, expected (T), ratio (n / T), z, p (one-sided: small when the bands depend on each
        other).
    """
    expected = float((area * posterior).sum())
    error = float(np.sqrt(((area * spread) ** 2).sum()))
    z = (expected - points) / error
    return {
        "deposits": float(points),
        "expected": expected,
        "ratio": float(points) / expected,
        "z": z,
        "p": float(norm.sf(z)),
    }


_FIGURES = (
    "area points w_plus s_w_plus w_minus s_w_minus contrast s_contrast studentised"
).split()  # in the order of the fields of a Pattern


def _default_method(kind: str) -> str:
    return {"class": "categorical", "distance": "ascending"}.get(kind, "descending")


def _given(
    band: str,
    method: str,
    favourable: Any,
    cells: np.ndarray,
    points: np.ndarray,
    unit: float,
) -> Pattern:
    if method == "categorical":
        favourable = frozenset(
            float(value) for value in np.atleast_1d(np.asarray(list(favourable), float))
        )
    elif not isinstance(favourable, int | float):
        raise UsageError(
            f'favourable: band "{band}" is {method}, it needs a threshold and not {favourable!r}.'
        )
    pattern = Pattern(band, method, favourable)
    known = np.isfinite(cells)
    at = np.isfinite(points)
    counts = [
        pattern.holds(points[at]).sum(),
        at.sum(),
        pattern.holds(cells[known]).sum() * unit,
        known.sum() * unit,
    ]
    row = weights_of_counts([counts[0]], counts[1], [counts[2]], counts[3]).iloc[0]
    return Pattern(band, method, favourable, *(float(row[name]) for name in _FIGURES))


def _conditions(
    patterns: list[Pattern], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the unique conditions (bands, conditions), which one each cell has, and how many cells
    have it.

    A state is 1 where the band is favourable, 0 where it is not and -1 where it has no value.
    """
    which = np.zeros(values.shape[1], np.int64)
    states = np.empty(values.shape, np.int8)
    for number, pattern in enumerate(patterns):
        states[number] = np.where(np.isfinite(values[number]), pattern.holds(values[number]), -1)
        _, which = np.unique(3 * which + states[number], return_inverse=True)
    _, first, count = np.unique(which, return_index=True, return_counts=True)
    return states[:, first], which, count


def _known(values: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, float).ravel()
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float).ravel()
    kept = np.isfinite(values)
    return values[kept], weights[kept]
