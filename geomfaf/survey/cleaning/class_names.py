"""Class names of the geological map: the same name spelt in two ways is one class."""

from __future__ import annotations

import geopandas as gpd
import pandas as pd

from .findings import Finding, Notes


def merge_class_names(
    geology: gpd.GeoDataFrame, column: str, found: list[Finding]
) -> gpd.GeoDataFrame:
    """Return the geology with one spelling a class: names that differ by case or blanks alone are
    the same.

    The commonest spelling stays. Rows without a name stay, and count as unmapped ground.
    """
    notes = Notes(found, "geology", geology.index, column)
    written = geology[column].astype("string")
    # 1. blanks around and inside the names
    names = written.str.replace(r"\s+", " ", regex=True).str.strip()
    blank = (names.isna() | (names == "")).to_numpy(bool)
    notes.noticed("no class name", blank, "no class name: unmapped ground", "name the class")
    names = names.mask(blank)
    # 2. the commonest spelling of names that differ by case; a stable sort settles ties
    counts = names.sort_values().value_counts(sort=False)
    counts = counts.sort_values(ascending=False, kind="stable")
    spelling = pd.Series(counts.index, index=counts.index.str.casefold())
    best = spelling[~spelling.index.duplicated()]
    merged = names.str.casefold().map(best).astype("string")
    # 3. what became of the names
    changed = ~blank & (merged != written).fillna(False).to_numpy(bool)
    groups = spelling.groupby(level=0).agg(list)
    several = [f'"{spellings[0]}" = "{spellings[1]}"' for spellings in groups if len(spellings) > 1]
    if several:
        shown = "; ".join(several[:4]) + ("; ..." if len(several) > 4 else "")
        done = f"{names.nunique()} spellings of {best.size} classes, merged: {shown}"
        notes.fixed("class names differ by case or blanks", changed, done)
    else:
        done = "blanks around or inside the names were taken away"
        notes.fixed("blanks in class names", changed, done)
    found += _useless_classes(merged, column)
    if not changed.any():
        return geology
    return geology.assign(**{column: merged.astype(object).where(merged.notna(), None)})


def _useless_classes(names: pd.Series, column: str) -> list[Finding]:
    """Return a finding for a column that tells nothing: one class in all, or one a polygon."""
    polygons = len(names)
    classes = names.nunique()
    advice = "name the column with the classes: column = under [geology]"
    if classes == 1:
        done = f'every polygon is "{names.dropna().iloc[0]}": the map tells no classes apart'
        return [
            Finding(
                "noticed",
                "geology",
                column,
                "one class",
                polygons,
                done,
                advice,
            )
        ]
    if polygons > 20 and classes > 0.9 * polygons:
        rule = "a class for each polygon"
        done = (
            f"{classes:,} classes for {polygons:,} polygons: is this a column of"
            " numbers of polygons?"
        )
        return [
            Finding(
                "noticed",
                "geology",
                column,
                rule,
                polygons,
                done,
                advice,
            )
        ]
    return []
