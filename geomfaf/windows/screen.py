"""Screen elements: how well does each alone tell ore from barren ground? AUC and ZAUC."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import scipy
import xarray as xr
from scipy.spatial import cKDTree

from ..errors import DataError, UsageError, require_known
from ..rasters.bands import grid_of, valid_cells
from ..rasters.grid import require_metres
from ..survey.element_choice import select_elements

CRITICAL_ZAUC = 2.58
"""Two-sided 1 % point of the normal distribution, the paper's threshold."""

MIN_GROUP = 5
"""Fewer values in a group than this say nothing about an element."""


def rank_auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the area under the ROC curve by ranks (Mann and Whitney); ties count one half.

    >>> rank_auc(np.array([1.0, 2.0, 3.0, 3.0]), np.array([False, False, True, True]))
    1.0
    >>> rank_auc(np.array([1.0, 1.0]), np.array([True, False]))
    0.5
    """
    positive = np.asarray(positive, bool)
    n1 = int(positive.sum())
    n0 = int((~positive).sum())
    if not n1 or not n0:
        return float("nan")
    ranks = scipy.stats.rankdata(np.asarray(scores, float))
    # The rank sum of the positive ones less what they have among themselves: pairs that are won.
    lowest = n1 * (n1 + 1) / 2
    won = ranks[positive].sum() - lowest
    return float(won / (n1 * n0))


def auc_standard_error(auc: float, n1: int, n0: int) -> float:
    r"""Return the standard error of an AUC (Hanley and McNeil 1982, doi
    10.1148/radiology.143.1.7063747).

    .. math:: SE^2 = \frac{A(1-A) + (n_1-1)(Q_1-A^2) + (n_0-1)(Q_2-A^2)}{n_1 n_0},
              \quad Q_1 = \frac{A}{2-A}, \quad Q_2 = \frac{2A^2}{1+A}

    Parameters
    ----------
    auc : float
        A, in 0..1.
    n1, n0 : int
        Number of "ore" and "no ore" values.
    """
    q1 = auc / (2 - auc)
    q2 = 2 * auc**2 / (1 + auc)
    of_ore = (n1 - 1) * (q1 - auc**2)
    of_barren = (n0 - 1) * (q2 - auc**2)
    variance = auc * (1 - auc) + of_ore + of_barren
    return float(np.sqrt(max(variance, 0.0) / (n1 * n0)))


def zauc(auc: float, n1: int, n0: int) -> float:
    """Return (AUC - 0.5) / SE, the statistic of the paper's Table 2.

    Silver in that table has 5.1563, from an AUC that is rounded there.

    Parameters
    ----------
    auc : float
        0 to 1.
    n1 : int
        Ore samples.
    n0 : int
        Barren samples.

    Returns
    -------
    float
        Without a unit; 0 for an AUC of 0.5.

    Examples
    --------
    >>> round(zauc(0.6762, 121, 124), 3)
    5.158
    """
    error = auc_standard_error(auc, n1, n0)
    # Groups that do not overlap have no spread.
    if error == 0:
        return float("inf") * np.sign(auc - 0.5)
    return (auc - 0.5) / error


def screen_elements(
    samples: gpd.GeoDataFrame,
    deposits: gpd.GeoDataFrame,
    elements: Iterable[str],
    *,
    radius: float | None = None,
    method: str = "rank",
    critical: float = CRITICAL_ZAUC,
    seed: int = 0,
) -> pd.DataFrame:
    """Score each element alone against "ore / no ore" and say which to keep.

    Samples within ``radius`` of a deposit are "ore", the others "no ore".

    Parameters
    ----------
    samples : GeoDataFrame
        Points with the element columns, in metres.
    deposits : GeoDataFrame
        Points in the CRS of the samples.
    elements : iterable of str
        Columns of the samples.
    radius : float, optional
        Metres; the mean sample spacing when omitted, see :func:`default_radius`.
    method : {"rank", "svm"}
        ``"rank"`` takes the values as scores. ``"svm"``, the paper's way, takes the out-of-fold
        decision values of a support-vector machine on the logarithm of the element.
    critical : float
        An element is kept when its ZAUC is above.
    seed : int
        Of the folds of ``"svm"``.

    Returns
    -------
    DataFrame
        One row an element, best first: element, auc, auc_low, auc_high (95 %), zauc, p (two-sided),
        n_ore, n_barren, kept; ``attrs["radius"]`` holds the radius.

    Raises
    ------
    DataError
        Without deposits, and where samples and deposits have no common CRS.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> table = gm.screen_elements(survey.samples, survey.deposits, survey.elements)
    >>> table.loc[table["kept"], "element"].tolist()[:3]
    ['Cu_ppm', 'Au_ppb', 'Ag_ppb']
    """
    require_known(method, ("rank", "svm"), "screening method")
    if not len(deposits):
        raise DataError("screening needs deposits: none lie inside the study area.")
    if samples.crs is None or samples.crs != deposits.crs:
        raise DataError(
            f"samples (CRS {samples.crs}) and deposits (CRS {deposits.crs}) need one CRS: reproject"
            " them."
        )
    require_metres(samples.crs)
    radius = default_radius(samples) if radius is None else radius
    ore = near_deposits(samples, deposits, radius)
    rows = []
    for element in select_elements(samples, list(elements)):
        values = samples[element].to_numpy(float)
        row = _screened(element, values, ore, method=method, critical=critical, seed=seed)
        rows.append(row)
    return _best_first(rows, radius)


def screen_bands(
    stack: xr.DataArray,
    deposits: gpd.GeoDataFrame,
    names: Iterable[str],
    *,
    radius: float,
    critical: float = CRITICAL_ZAUC,
    where: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score bands that nobody sampled, such as magnetics, as :func:`screen_elements` does elements.

    The values are those of cells about ``radius`` apart: closer ones would count one piece of
    ground several times. A band may tell ore by high or by low values.

    Parameters
    ----------
    stack : DataArray
        (band, y, x) with these bands.
    names : iterable of str
        Bands that are no class band.
    radius : float
        Metres; cells this near to a deposit are "ore".
    critical : float
        A band is kept when its ZAUC is above or, negative, below.
    where : ndarray, optional
        (y, x) bool, the cells that may be looked at.

    Returns
    -------
    DataFrame
        As that of :func:`screen_elements`, the name of the band as ``element``.
    """
    names = list(names)
    grid = grid_of(stack)
    # 1. Cells about a radius apart, with a value in any band.
    step = max(1, round(radius / grid.cell))
    looked_at = np.zeros(grid.shape, bool)
    looked_at[step // 2 :: step, step // 2 :: step] = True
    looked_at &= valid_cells(stack)
    if where is not None:
        looked_at &= where
    rows, columns = np.nonzero(looked_at)
    # 2. Ore is what lies near a deposit.
    x, y = grid.xy(rows, columns)
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), crs=grid.crs)
    deposits = deposits.to_crs(grid.crs)
    ore = np.zeros(len(points), bool)
    if len(points):
        ore = near_deposits(points, deposits, radius)
    # 3. Each band by itself, in either direction.
    found = []
    for name in names:
        layer = stack.sel(band=name).values
        values = layer[rows, columns].astype(float)
        found.append(_screened(name, values, ore, critical=critical, both=True))
    return _best_first(found, radius)


def _screened(
    name: str,
    values: np.ndarray,
    ore: np.ndarray,
    *,
    method: str = "rank",
    critical: float = CRITICAL_ZAUC,
    seed: int = 0,
    both: bool = False,
) -> dict[str, Any]:
    """Return the row of one element or band; ``both`` directions count for a band."""
    known = np.isfinite(values)
    n1 = int((known & ore).sum())
    n0 = int((known & ~ore).sum())
    row: dict[str, Any] = {"element": name}
    # Too few values say nothing: no figure, and not kept.
    if min(n1, n0) < MIN_GROUP:
        row |= dict.fromkeys(("auc", "auc_low", "auc_high", "zauc", "p"), np.nan)
        return {
            **row,
            "n_ore": n1,
            "n_barren": n0,
            "kept": False,
        }
    scores = values[known]
    if method == "svm":
        scores = _svm_scores(scores, ore[known], seed)
    auc = rank_auc(scores, ore[known])
    z = zauc(auc, n1, n0)
    # An element points to ore by high values; a band may by low ones, so its sign does not count.
    strength = abs(z) if both else z
    half = scipy.stats.norm.ppf(0.975) * auc_standard_error(auc, n1, n0)
    return {
        **row,
        "auc": auc,
        "auc_low": max(auc - half, 0.0),
        "auc_high": min(auc + half, 1.0),
        "zauc": z,
        "p": float(2 * scipy.stats.norm.sf(abs(z))),
        "n_ore": n1,
        "n_barren": n0,
        "kept": bool(strength > critical),
    }


def _best_first(rows: list[dict[str, Any]], radius: float) -> pd.DataFrame:
    columns = ["element", "auc", "auc_low", "auc_high", "zauc", "p", "n_ore", "n_barren", "kept"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.sort_values("zauc", ascending=False, kind="stable", na_position="last")
    table = table.reset_index(drop=True)
    table.attrs["radius"] = radius
    return table


def near_deposits(
    samples: gpd.GeoDataFrame, deposits: gpd.GeoDataFrame, radius: float
) -> np.ndarray:
    """Return which samples lie within ``radius`` metres of a deposit, (samples,) bool."""
    if not (np.isfinite(radius) and radius > 0):
        raise UsageError(f"radius {radius} must be a positive number of metres.")
    deposit_xy = np.column_stack([deposits.geometry.x, deposits.geometry.y])
    sample_xy = np.column_stack([samples.geometry.x, samples.geometry.y])
    distance, _ = cKDTree(deposit_xy).query(sample_xy)
    return distance <= radius


def default_radius(samples: gpd.GeoDataFrame) -> float:
    """Return the mean sample spacing in metres: the root of the hull's area a sample.

    A circle of that radius holds about three samples, so that most deposits get some "ore" samples
    and none of them far away.
    """
    area = samples.geometry.union_all().convex_hull.area
    spacing = float(np.sqrt(area / len(samples)))
    return float(f"{spacing:.2g}") if spacing > 0 else 1000.0


def _svm_scores(
    values: np.ndarray,
    ore: np.ndarray,
    seed: int,
) -> np.ndarray:
    """Return out-of-fold decision values of a support-vector machine on one element."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    # Log-ratios, which may be negative, are logarithms already.
    if (values < 0).any():
        logs = values
    else:
        # Zeros become the least positive value, which has a logarithm.
        least = np.min(values[values > 0], initial=1.0)
        logs = np.log10(np.maximum(values, least))
    model = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return cross_val_predict(model, logs[:, None], ore, cv=folds, method="decision_function")
