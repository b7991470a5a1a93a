"""Several rows at one place: one row a place, by a rule that is named; rows that disagree are
listed.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ...errors import require_known
from .findings import CHANGES, Finding, Notes

_WHAT = {
    "mean": "averaged (log scale)",
    "median": "their median (log scale)",
    "first": "the first row with a value counts",
    "keep": "all rows kept, each counts",
}
RULES = tuple(_WHAT)

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


def merge_rows_of_places(
    samples: gpd.GeoDataFrame,
    columns: Sequence[str],
    found: list[Finding],
    rule: str = "mean",
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
    require_known(rule, RULES, "duplicates =")
    place = place_numbers(samples)
    rows_at = np.bincount(place) if len(place) else np.zeros(0, int)
    if len(rows_at) == len(samples):
        return samples
    # 1. say how many rows share a place, and which of them disagree
    columns = list(columns)
    values = samples[columns].reset_index(drop=True)
    several = (rows_at > 1)[place]
    _note_disagreement(samples, values[several], place[several], found)
    done = (
        f"{len(samples):,} rows at {len(rows_at):,} places; {int((rows_at > 1).sum()):,} with"
        f" several rows: {_WHAT[rule]}"
    )
    notes = Notes(found, "samples", samples.index)
    if rule == "keep":
        advice = "co-located rows weigh double"
        notes.noticed("several rows at one place", several, done, advice)
        return samples.assign(rows_at_place=rows_at[place])
    notes.fixed("several rows at one place", several, done)
    # 2. one value a place; means and medians on the log scale
    if rule != "first":
        values = np.log(values.where(values > 0))
    merged = getattr(values.groupby(place), rule)()
    merged = merged if rule == "first" else np.exp(merged)
    # 3. the first row of each place takes it
    first = samples[~pd.Series(place).duplicated().to_numpy()]
    new = {column: merged[column].to_numpy() for column in columns}
    one_row = first.assign(**new, rows_at_place=rows_at)
    if CHANGES in samples:
        # What was changed in any row of a place was changed in its one row.
        changes = samples[CHANGES].reset_index(drop=True)[several].groupby(place[several])
        joined = changes.agg(_each_once)
        one_row.loc[(rows_at > 1).tolist(), CHANGES] = joined.to_numpy()
    return one_row


def _each_once(changes: pd.Series) -> str:
    """Return the texts of several rows as one, each of them once."""
    return "; ".join(dict.fromkeys(text for text in changes if text))


def _note_disagreement(
    samples: gpd.GeoDataFrame,
    values: pd.DataFrame,
    place: np.ndarray,
    found: list[Finding],
) -> None:
    """List the rows of places where an element's values differ by more than :data:`DISAGREE`."""
    # 1. places and elements whose largest value is far above the smallest
    groups = values.where(values > 0).groupby(place)
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
    # 2. the rows of these places
    rows = np.zeros(len(samples), bool)
    rows[values.index] = apart.any(axis=1).reindex(place).to_numpy()
    advice = (
        "field duplicates, depths or size fractions? Keep one kind of sample if they are not the"
        " same"
    )
    Notes(found, "samples", samples.index).noticed("rows of one place disagree", rows, done, advice)


def drop_repeated(deposits: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return the deposits, each place once."""
    repeated = pd.Series(place_numbers(deposits)).duplicated().to_numpy(bool)
    notes = Notes(found, "deposits", deposits.index)
    notes.fixed("listed twice", repeated, "deposits at the same coordinates count once")
    return deposits[~repeated]
