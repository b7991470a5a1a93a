"""How far off an interpolation is, measured on the samples, and the power and neighbours that are
least so.

Two errors, because they answer two questions. *Leave-one-out*: every place is estimated from all
others; it tells of the map near samples, and flatters where samples stand in clusters. *Spatial
blocks*: whole squares are left out, so that estimates reach as far as they do between clusters
(Roberts et al. 2017, doi 10.1111/ecog.02881). RMSE is given in the element's unit, which few rich
samples decide, and on log10, where 0.3 means a factor of two.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd

from ...errors import UsageError
from .options import IdwOptions, make_rule
from .samples import (
    bands_by_missing,
    check_samples,
    merge_places,
    metric,
    point_search,
    sample_values,
)
from .tree_engine import Rule, distance_weights

POWERS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
NEIGHBOURS = (4, 6, 8, 12, 16, 24, 32)

CHOICE_PLACES = 5_000
"""Places that decide on power and neighbours: more change the errors' third digit."""


def cross_validate_idw(
    samples: gpd.GeoDataFrame,
    elements: Sequence[str],
    *,
    power: float = 2.0,
    neighbours: int | None = 12,
    radius: float | None = None,
    scale: str = "linear",
    block: float | None = None,
    options: IdwOptions | None = None,
) -> pd.DataFrame:
    """Return the leave-one-out and spatial-block errors of each element.

    Parameters
    ----------
    samples, elements, power, neighbours, radius, scale, options
        As for :func:`geomfaf.evidence.inverse_distance.idw_grid`.
    block : float, optional
        Side of the squares that are left out together, metres; a tenth of the longer side of the
        samples' extent by default.

    Returns
    -------
    DataFrame
        One row an element and scheme: ``element``, ``scheme``, ``places``, ``rmse`` (the element's
        unit), ``rmse_log10`` (NaN when values are not all positive).

    Examples
    --------
    >>> from shapely import Point
    >>> line = gpd.GeoDataFrame({"Au": [1.0, 2, 3, 4]}, geometry=[Point(x, 0) for x in (0, 1, 2, 3)], crs=32633)
    >>> cross_validate_idw(line, ["Au"], neighbours=2).loc[0, "rmse"].round(3)
    np.float64(0.849)
    """
    xy, values = sample_values(samples, elements, scale)
    options = options or IdwOptions()
    rule = make_rule(power, neighbours, radius, options)
    checked, values = check_samples(xy, values)
    places, values = merge_places(checked, values)
    truth = 10**values if scale == "log" else values
    squares = _squares(places, block)
    rows = []
    for scheme, groups in (("leave-one-out", None), ("spatial blocks", squares)):
        # Estimated on the scale that is interpolated, compared in the element's own unit.
        estimates = _left_out(places, values, rule, options, groups)
        guesses = 10**estimates if scale == "log" else estimates
        for name, true, guessed in zip(elements, truth, guesses, strict=True):
            valid = np.isfinite(true) & np.isfinite(guessed)
            rows.append(
                {
                    "element": name,
                    "scheme": scheme,
                    "places": int(valid.sum()),
                    **_errors(true, guessed),
                }
            )
    return pd.DataFrame(rows)


def choose_rule(
    places: np.ndarray,
    values: np.ndarray,
    rule: Rule,
    options: IdwOptions,
    *,
    power: bool,
    neighbours: bool,
) -> Rule:
    """Return the rule with the power, the neighbours or both of the smallest leave-one-out error.

    The error is the RMSE over the standard deviation, averaged over bands, on the scale that is
    interpolated, with the anisotropy and the barriers of the options.
    """
    ks = NEIGHBOURS if neighbours else (rule.neighbours,)
    powers = POWERS if power else (rule.power,)
    errors = np.zeros((len(ks), len(powers)))
    for bands, mask in bands_by_missing(values):
        known = values[np.ix_(bands, mask)]
        for number, k in enumerate(ks):
            tried = rule._replace(neighbours=k)
            errors[number] += _choice_errors(places[mask], known, tried, options, powers)
    best = np.unravel_index(np.argmin(errors), errors.shape)
    return rule._replace(neighbours=int(ks[best[0]]), power=float(powers[best[1]]))


def _choice_errors(
    places: np.ndarray,
    known: np.ndarray,
    rule: Rule,
    options: IdwOptions,
    powers: Sequence[float],
) -> np.ndarray:
    """Return the sum over bands of the relative leave-one-out error, for each power."""
    # 1. Places drawn to decide, always the same ones.
    transform = metric(options.anisotropy, places)
    search = point_search(places, known, rule, transform, options.barriers)
    count = min(CHOICE_PLACES, len(places))
    picked = np.sort(np.random.default_rng(0).choice(len(places), count, replace=False))
    spread = known.std(axis=1, keepdims=True)
    # 2. Neighbours are searched once and weighted by every power.
    squares = np.zeros((len(powers), len(known)))
    total = 0
    for rows, distance, index in search.neighbours(transform(places[picked]), picked, -1):
        found = np.isfinite(distance).any(axis=1)
        distance = distance[found]
        index = index[found]
        here = picked[rows[found]]
        total += len(here)
        for number, power in enumerate(powers):
            weight = distance_weights(distance, power)
            neighbours = known[:, np.where(np.isfinite(distance), index, 0)]
            guess = np.einsum("btk,tk->bt", neighbours, weight) / weight.sum(axis=1)
            error = (guess - known[:, here]) / np.where(spread > 0, spread, 1)
            squares[number] += (error**2).sum(axis=1)
    return np.sqrt(squares / max(total, 1)).sum(axis=1)


def _left_out(
    places: np.ndarray,
    values: np.ndarray,
    rule: Rule,
    options: IdwOptions,
    groups: np.ndarray | None,
) -> np.ndarray:
    """Estimate every place without itself, or without its whole group."""
    result = np.full(values.shape, np.nan)
    transform = metric(options.anisotropy, places)
    for bands, mask in bands_by_missing(values):
        here = places[mask]
        known = values[np.ix_(bands, mask)]
        if groups is None:
            # Each place without itself: one search serves all.
            search = point_search(here, known, rule, transform, options.barriers)
            result[np.ix_(bands, mask)] = search.estimate(transform(here), own=True).values
            continue
        for group in np.unique(groups[mask]):
            # Each square from the samples of all others.
            out = groups[mask] == group
            if out.all():
                continue
            search = point_search(here[~out], known[:, ~out], rule, transform, options.barriers)
            estimate = search.estimate(transform(here[out]))
            samples = np.flatnonzero(mask)[out]
            result[np.ix_(bands, samples)] = estimate.values
    return result


def _squares(places: np.ndarray, block: float | None) -> np.ndarray:
    """Return the number of the square each place lies in."""
    if block is None:
        block = max(float(np.ptp(places, axis=0).max()) / 10, 1e-3)
    if not (np.isfinite(block) and block > 0):
        raise UsageError(f"a block of {block} is not a positive number of metres.")
    cell = np.floor((places - places.min(axis=0)) / block).astype(np.int64)
    return np.unique(cell, axis=0, return_inverse=True)[1].ravel()


def _errors(true: np.ndarray, guessed: np.ndarray) -> dict[str, float]:
    valid = np.isfinite(true) & np.isfinite(guessed)
    if not valid.any():
        return {"rmse": np.nan, "rmse_log10": np.nan}
    true = true[valid]
    guessed = guessed[valid]
    positive = (true > 0).all() and (guessed > 0).all()
    logs = np.log10(true) - np.log10(guessed) if positive else np.array([np.nan])
    return {
        "rmse": float(np.sqrt(((true - guessed) ** 2).mean())),
        "rmse_log10": float(np.sqrt((logs**2).mean())),
    }
