"""Samples of several kinds in one layer: standards and blanks are never gridded, media are counted."""

from __future__ import annotations

import re

import geopandas as gpd
import numpy as np
import pandas as pd

from ..headings import words_of
from ..label_columns import label_column
from .findings import Finding, Notes

_COLUMN = re.compile(
    r"(sample|samp|smp|spl)?(medium|media|material|matrix|type|typ|class|kind|category|purpose)(desc\w*|code|name)?"
    r"|(sample|samp|smp)(desc\w*|remark|role|qc)|(dup|check|control)(std|standard|type)?|routine(qc)?|типпробы"
    r"|(qa|qc|qaqc|quality)(type|code|flag|control)?|tipo(muestra)?|medio|probenart|probentyp|nayte(tyyppi|laji)"
    r"|provtyp|provmedium|matriz|nature|样品类型|介质"
)
_CONTROL = re.compile(
    r"\b((lab)?(standards?|std)\w?|crms?|srms?|ref|reference( material)?|ref mat|blanks?|blk|certified|qa ?qc|qc"
    r"|(?<!ground )controls?( samples?)?(?! point)|est[aá]ndar|patr[oó]n|padr[aã]o|standaard|standardproben?|nollaprov\w*"
    r"|kontrollprov\w*|t[eé]moin|blanco?|branco|blanko|leerproben?|стандарт\w*|сос?|холост\w*|бланк|oreas ?\d*\w*"
    r"|gxr[ -]?\d|(st|lk)sd[ -]?\d|till[ -]\d|g(sd|ss|sr|au)[ -]?\d+\w?|nist ?\d*|mrg[ -]?\d*|rm \d+)\b"
    r"|标样|标准样|标准物质|空白",
    re.IGNORECASE,
)
_CONTROL_NAME = re.compile(
    r"(lab )?(oreas ?\d+\w*|gxr[ -]?\d|(st|lk)sd[ -]?\d|g(sd|ss|sr)[ -]\d+\w?|nist ?\d+\w*|(crm|srm|std|blank|blk)[ -]?\d{0,3}[a-z]?)",
    re.IGNORECASE,
)
"""Names of samples that no place on the ground has."""
MOST_CONTROLS = 0.25
"""Where more of the samples are called so, it is how that survey names its samples."""
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
    samples = _without_named_controls(samples, found)
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


def _without_named_controls(samples: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Leave out the samples whose name is that of a reference material or a blank."""
    column = label_column(samples, "sample")
    if column is None or not pd.api.types.is_string_dtype(samples[column]):
        return samples
    names = samples[column].astype("string").str.replace("_", " ").str.strip()
    control = names.str.fullmatch(_CONTROL_NAME).fillna(False).to_numpy(bool)
    if control.mean() > MOST_CONTROLS:
        return samples
    shown = ", ".join(f'"{name}"' for name in pd.unique(samples[column][control])[:3])
    done = f"samples called {shown} are no ground: left out"
    Notes(found, "samples", samples.index, column).fixed("standards and blanks", control, done)
    return samples[~control]


def _matching(kinds: pd.Series, pattern: re.Pattern[str]) -> np.ndarray:
    """Return which rows say a kind that matches."""
    known = [kind for kind in kinds.dropna().unique() if pattern.search(_spaced(kind))]
    return kinds.isin(known).to_numpy(bool)


def _spaced(kind: object) -> str:
    """Return a kind as words: ``FIELD_DUP`` has two."""
    return re.sub(r"[_/\-]+", " ", str(kind))
