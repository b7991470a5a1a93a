"""Class names of the geological map: the same name spelt in two ways is one class."""

from __future__ import annotations

import geopandas as gpd
import pandas as pd

from .findings import Finding, note


def merge_class_names(
    geology: gpd.GeoDataFrame, column: str, found: list[Finding]
) -> gpd.GeoDataFrame:
    """Return the geology with one spelling a class: names that differ by case or blanks alone are
    the same.

    The commonest spelling stays. Rows without a name stay, and count as unmapped ground.
    """
    names = geology[column].astype("string").str.replace(r"\s+", " ", regex=True).str.strip()
    blank = (names.isna() | (names == "")).to_numpy(bool)
    done = "no class name: unmapped ground"
    note(
        found, "noticed", "geology", "no class name", geology, blank, done, "name the class", column
    )
    names = names.mask(blank)
    folded = names.str.casefold()
    # value_counts is sorted by count; a stable sort by spelling before it settles ties.
    counts = (
        names.sort_values().value_counts(sort=False).sort_values(ascending=False, kind="stable")
    )
    spelling = pd.Series(counts.index, index=counts.index.str.casefold())
    best = spelling[~spelling.index.duplicated()]
    merged = folded.map(best).astype("string")
    changed = ~blank & (merged != geology[column].astype("string")).fillna(False).to_numpy(bool)
    groups = spelling.groupby(level=0).agg(list)
    several = [f'"{spellings[0]}" = "{spellings[1]}"' for spellings in groups if len(spellings) > 1]
    if several:
        shown = "; ".join(several[:4]) + ("; ..." if len(several) > 4 else "")
        done = f"{names.nunique()} spellings of {best.size} classes, merged: {shown}"
    else:
        done = "blanks around or inside the names were taken away"
    rule = "class names differ by case or blanks" if several else "blanks in class names"
    note(found, "fixed", "geology", rule, geology, changed, done, column=column)
    if merged.nunique() == 1:
        done = f'every polygon is "{best.iloc[0]}": the map tells no classes apart'
        advice = "name the column with the classes: column = under [geology]"
        found.append(Finding("noticed", "geology", column, "one class", len(geology), done, advice))
    elif len(geology) > 20 and merged.nunique() > 0.9 * len(geology):
        done = (
            f"{merged.nunique():,} classes for {len(geology):,} polygons: is this a column of"
            " numbers of polygons?"
        )
        advice = "name the column with the classes: column = under [geology]"
        found.append(
            Finding(
                "noticed", "geology", column, "a class for each polygon", len(geology), done, advice
            )
        )
    if not changed.any():
        return geology
    return geology.assign(**{column: merged.astype(object).where(merged.notna(), None)})
