"""Several rows at one place: one row a place, by a rule that is named; rows that disagree are
listed.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ...errors import UsageError
from .findings import CHANGES, Finding, note

RULES = ("mean", "median", "first", "keep")

DISAGREE = 3.0
"""Rows of one place whose values differ by more than this factor disagree."""


def place_numbers(points: gpd.GeoDataFrame) -> np.ndarray:
    """Return the number of each row's place, 0 for the first; places equal to the millimetre are
    the same.

    >>> place_numbers(gpd.GeoDataFrame(geometry=gpd.points_from_xy([5, 1, 5.0001], [0, 0, 0]))).tolist()
    [0, 1, 0]
    """
    xy = np.round(shapely.get_coordinates(points.geometry.to_numpy()), 3)
    return pd.DataFrame(xy).groupby([0, 1], sort=False).ngroup().to_numpy()


def merge_places(
    samples: gpd.GeoDataFrame, columns: Sequence[str], found: list[Finding], rule: str = "mean"
) -> gpd.GeoDataFrame:
    """Return one row a place, its values by a rule.

    Parameters
    ----------
    samples : GeoDataFrame
        Points, positive numbers or NaN in ``columns``; the index holds the source rows.
    columns : sequence of str
        The element columns. Others keep what the first row of the place says.
    rule : {"mean", "median", "first", "keep"}
        ``mean`` and ``median`` are taken of the logarithms, so that a sample of 1 and one of 100
        give 10; ``first`` takes the first row that was measured, ``keep`` leaves all rows, which
        then weigh more than single ones.

    Returns
    -------
    GeoDataFrame
        In the order of the file, with ``rows_at_place``; the index is the source row of the first
        of each place.
    """
    if rule not in RULES:
        raise UsageError(f'duplicates = "{rule}" is unknown: use one of {", ".join(RULES)}.')
    place = place_numbers(samples)
    count = np.bincount(place) if len(place) else np.zeros(0, int)
    if len(count) == len(samples):
        return samples
    columns = list(columns)
    values = samples[columns].reset_index(drop=True)
    several = (count > 1)[place]
    _note_disagreement(samples, values[several], place[several], found)
    what = {
        "mean": "averaged (log scale)",
        "median": "their median (log scale)",
        "first": "the first row with a value counts",
        "keep": "all rows kept, each counts",
    }[rule]
    done = (
        f"{len(samples):,} rows at {len(count):,} places; {int((count > 1).sum()):,} with several"
        f" rows: {what}"
    )
    advice = "co-located rows weigh double" if rule == "keep" else ""
    severity = "noticed" if rule == "keep" else "fixed"
    note(found, severity, "samples", "several rows at one place", samples, several, done, advice)
    if rule == "keep":
        return samples.assign(rows_at_place=count[place])
    if rule != "first":
        values = np.log(values.where(values > 0))
    groups = values.groupby(place)
    merged = getattr(groups, rule)()
    merged = merged if rule == "first" else np.exp(merged)
    first = samples[~pd.Series(place).duplicated().to_numpy()]
    one_row = first.assign(
        **{column: merged[column].to_numpy() for column in columns}, rows_at_place=count
    )
    if CHANGES in samples:
        # What was changed in any row of a place was changed in its one row.
        groups = samples[CHANGES].reset_index(drop=True).groupby(place)
        one_row[CHANGES] = groups.agg(_each_once).to_numpy()
    one_row.attrs = dict(samples.attrs)
    return one_row


def _each_once(changes: pd.Series) -> str:
    """Return the texts of several rows as one, each of them once."""
    return "; ".join(dict.fromkeys(text for text in changes if text))


def _note_disagreement(
    samples: gpd.GeoDataFrame, values: pd.DataFrame, place: np.ndarray, found: list[Finding]
) -> None:
    """List the rows of places where an element's values differ by more than :data:`DISAGREE`."""
    positive = values.where(values > 0)
    groups = positive.groupby(place)
    apart = groups.max() > DISAGREE * groups.min()
    worst = apart.sum().sort_values(ascending=False, kind="stable")
    worst = worst[worst > 0]
    if not len(worst):
        return
    names = ", ".join(f"{column} {count:,}" for column, count in worst.head(6).items())
    done = (
        f"at {int(apart.any(axis=1).sum()):,} places the rows differ by more than a factor of"
        f" {DISAGREE:g}: {names}{', ...' if len(worst) > 6 else ''}"
    )
    rows = np.zeros(len(samples), bool)
    rows[values.index] = apart.any(axis=1).reindex(place).to_numpy()
    advice = (
        "field duplicates, depths or size fractions? Keep one kind of sample if they are not the"
        " same"
    )
    note(found, "noticed", "samples", "rows of one place disagree", samples, rows, done, advice)


def drop_repeated(deposits: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return the deposits, each place once."""
    repeated = pd.Series(place_numbers(deposits)).duplicated().to_numpy(bool)
    note(
        found,
        "fixed",
        "deposits",
        "listed twice",
        deposits,
        repeated,
        "deposits at the same coordinates count once",
    )
    return deposits[~repeated]
