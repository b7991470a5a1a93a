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
import scipy
import xarray as xr
from scipy.special import expit, logit

from ..errors import DataError, UsageError, nearest_name
from ..rasters.bands import Band, as_dataarray, bands_of, grid_of, valid_cells
from ..windows.windows import valid_deposits
from .weight_patterns import (
    CONFIDENCE,
    Pattern,
    best_pattern,
    weighed,
    weights_of_counts,
    weights_table,
)

POSTERIOR_BANDS = (
    Band("posterior", "score", "", "Posterior probability of a deposit in a unit of area"),
    Band("posterior_sd", "score", "", "Standard deviation of the posterior (weights and prior)"),
    Band("missing_sd", "score", "", "Standard deviation of the posterior (bands without a value)"),
)


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

    Returns
    -------
    WeightsOfEvidence
        Weights, contrasts and the posterior of every cell.

    Raises
    ------
    UsageError
        For a unit of area that is not positive.
    DataError
        When there are more deposits than units of area.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> found = gm.weigh_evidence(stack, survey.deposits)
    >>> found.summary()["band"].tolist()
    ['Au_ppb', 'Cu_ppm', 'geology', 'fault_distance']
    """
    grid = grid_of(stack)
    bands = {band.name: band for band in bands_of(stack)}
    methods = dict(methods or {})
    favourable = dict(favourable or {})
    _require_bands("methods", methods, bands)
    _require_bands("favourable", favourable, bands)
    # 1. deposits on valid ground, and how many units of area there are
    valid = valid_cells(stack)
    grid.require_crs(deposits.crs, "deposits")
    rows, cols = valid_deposits(deposits, grid, valid, "there are no weights of evidence")
    if unit_area is not None and not unit_area > 0:
        raise UsageError(f"unit_area = {unit_area} must be a positive number of km2.")
    unit = 1.0 if unit_area is None else grid.cell_area / 1e6 / unit_area
    area = valid.sum() * unit
    prior = len(rows) / area
    # 2. every band cut in two: where the user says, or where it says most
    tables = {}
    patterns = []
    for name, layer in zip(bands, stack.values, strict=True):
        method = methods.get(name) or _default_method(bands[name].kind)
        cells = layer[valid]
        points = layer[rows, cols]
        tables[name] = weights_table(cells, points, method, unit=unit)
        if name in favourable:
            pattern = _given(name, method, favourable[name], cells, points, unit)
        else:
            pattern = best_pattern(name, method, tables[name], confidence=confidence)
        patterns.append(pattern)
    if prior >= 1:
        raise DataError(
            f"{len(rows)} deposits on {area:g} units of area: a unit holds at most"
            " one. Use a smaller unit of area."
        )
    # 3. the weights added up, once for each condition that occurs
    conditions, which, count = _conditions(patterns, stack.values[:, valid])
    figures = posterior_of_states(conditions, patterns, prior, len(rows), area)
    layers = np.full((3, *grid.shape), np.nan, np.float32)
    layers[:, valid] = figures[:, which]
    posterior = as_dataarray(layers, grid, POSTERIOR_BANDS)
    independence = independence_test(figures[0], figures[1], count * unit, len(rows))
    return WeightsOfEvidence(patterns, tables, prior, posterior, independence)


def _require_bands(what: str, given: Mapping[str, Any], bands: Mapping[str, Band]) -> None:
    """Raise :class:`UsageError` for a name that is no band's."""
    for name in given:
        if name not in bands:
            raise UsageError(f'{what}: the stack has no band "{name}".{nearest_name(name, bands)}')


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
    # 1. the weights of all bands that have a value, and what is not known of them
    odds = np.full(states.shape[1], logit(prior))
    variance = np.full(states.shape[1], 1 / points)
    for pattern, state in zip(patterns, states, strict=True):
        cases = [state == 1, state == 0]
        odds += np.select(cases, [pattern.w_plus, pattern.w_minus], 0.0)
        variance += np.select(cases, [pattern.s_w_plus**2, pattern.s_w_minus**2], 0.0)
    posterior = expit(odds)
    # 2. a missing band might have said either, as often as its ground is wide
    missing = np.zeros(states.shape[1])
    for pattern, state in zip(patterns, states, strict=True):
        share = pattern.area / area
        for weight, part in ((pattern.w_plus, share), (pattern.w_minus, 1 - share)):
            change = expit(odds + weight) - posterior
            missing += np.where(state == -1, change**2 * part, 0.0)
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
    # T, what the posterior expects on the whole ground, against the deposits that there are.
    expected = float((area * posterior).sum())
    error = float(np.sqrt(((area * spread) ** 2).sum()))
    z = (expected - points) / error
    return {
        "deposits": float(points),
        "expected": expected,
        "ratio": float(points) / expected,
        "z": z,
        "p": float(scipy.stats.norm.sf(z)),
    }


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
        classes = np.atleast_1d(np.asarray(list(favourable), float))
        favourable = frozenset(float(value) for value in classes)
    elif not isinstance(favourable, int | float):
        raise UsageError(
            f'favourable: band "{band}" is {method}, it needs a threshold and not {favourable!r}.'
        )
    # Ground and deposits without a value are on neither side of the cut.
    pattern = Pattern(band, method, favourable)
    cells = cells[np.isfinite(cells)]
    points = points[np.isfinite(points)]
    points_in = pattern.holds(points).sum()
    area_in = pattern.holds(cells).sum() * unit
    table = weights_of_counts([points_in], len(points), [area_in], len(cells) * unit)
    return weighed(pattern, table.iloc[0])


def _conditions(
    patterns: list[Pattern], values: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the unique conditions (bands, conditions), which one each cell has, and how many cells
    have it.

    A state is 1 where the band is favourable, 0 where it is not and -1 where it has no value.
    """
    which = np.zeros(values.shape[1], np.int64)
    # Few conditions occur, however many cells: the sums are done once for each.
    states = np.empty(values.shape, np.int8)
    for number, pattern in enumerate(patterns):
        known = np.isfinite(values[number])
        states[number] = np.where(known, pattern.holds(values[number]), -1)
        # Numbered anew after each band, so that the numbers stay as few as the conditions.
        _, which = np.unique(3 * which + states[number], return_inverse=True)
    _, first, count = np.unique(which, return_index=True, return_counts=True)
    return states[:, first], which, count
