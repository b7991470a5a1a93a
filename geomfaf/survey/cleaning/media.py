"""Samples of several kinds in one layer: standards and blanks are never gridded, media are counted."""

from __future__ import annotations

import re

import geopandas as gpd
import numpy as np
import pandas as pd

from ..headings import words_of
from .findings import Finding, Notes

_COLUMN = re.compile(
    r"(sample|samp|smp|spl)?(medium|media|material|matrix|type|typ|class|kind|category)(desc\w*|code|name)?"
    r"|(qa|qc|qaqc|quality)(type|code|flag|control)?|tipo(muestra)?|medio|probenart|probentyp|nayte(tyyppi|laji)"
    r"|provtyp|provmedium|matriz|nature|样品类型|介质"
)
_CONTROL = re.compile(
    r"\b(standards?|std|crm|srm|reference( material)?|ref mat|blanks?|blk|certified|control|qc|est[aá]ndar|patr[oó]n"
    r"|blanco|blanko|leerprobe|oreas[\w-]*|gxr[\w-]*)\b|标样|空白",
    re.IGNORECASE,
)
_REPEAT = re.compile(
    r"\b(dup(licate)?s?|field dup\w*|lab dup\w*|repeats?|replicates?|duplicado|duplikat|doublon)\b|重复",
    re.IGNORECASE,
)
_MEDIUM = re.compile(
    r"\b(stream|sed(iment)?s?|soils?|rocks?|till|drill|core|chips?|water|plant|vegetation|heavy mineral|hmc|pan(ned)?"
    r"|outcrop|float|lake|overbank|sedimento|suelo|roca|gestein|boden|moreeni)\b|水系|土壤|岩石",
    re.IGNORECASE,
)
MOST_KINDS = 40
"""A column with more values than this names samples, not kinds of them."""


def medium_column(samples: pd.DataFrame) -> str | None:
    """Return the column that says what kind of sample each row is, or None.

    >>> medium_column(pd.DataFrame({"TYPE": ["A1", "A2"], "MEDIUM": ["Soil", "Rock"]}))
    'MEDIUM'
    """
    for column in samples.columns:
        values = samples[column]
        if not any(_COLUMN.fullmatch(word) for word in words_of(str(column))):
            continue
        if isinstance(values, gpd.GeoSeries) or not pd.api.types.is_string_dtype(values):
            continue
        kinds = values.dropna().unique()
        if not 0 < len(kinds) <= MOST_KINDS:
            continue
        patterns = (_CONTROL, _REPEAT, _MEDIUM)
        if any(pattern.search(_spaced(kind)) for kind in kinds for pattern in patterns):
            return str(column)
    return None


def drop_controls(samples: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return the samples without standards and blanks; samples of several media are counted."""
    column = medium_column(samples)
    if column is None:
        return samples
    notes = Notes(found, "samples", samples.index, column)
    kinds = samples[column].astype("string")
    control = _matching(kinds, _CONTROL)
    counts = ", ".join(f"{kind} {count:,}" for kind, count in kinds.value_counts().head(8).items())
    done = f"standards and blanks say nothing of the ground: left out ({counts})"
    notes.fixed("standards and blanks", control, done)
    rest = kinds[~control]
    media = rest[~_matching(rest, _REPEAT)].dropna().nunique()
    if media > 1:
        done = f"{media} kinds of samples are gridded together: {counts}"
        advice = "keep one kind with where = under [samples]: init offers it"
        notes.noticed("several media", ~control, done, advice)
    return samples[~control]


def _matching(kinds: pd.Series, pattern: re.Pattern[str]) -> np.ndarray:
    """Return which rows say a kind that matches."""
    known = [kind for kind in kinds.dropna().unique() if pattern.search(_spaced(kind))]
    return kinds.isin(known).to_numpy(bool)


def _spaced(kind: object) -> str:
    """Return a kind as words: ``FIELD_DUP`` has two."""
    return re.sub(r"[_/\-]+", " ", str(kind))
