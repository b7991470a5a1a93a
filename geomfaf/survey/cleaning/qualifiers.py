"""Columns of qualifiers beside columns of elements: ``Ag_Q`` says that the number of ``Ag_ppm`` is a
limit.

Agencies write ``<``, ``L`` and ``N`` for below the limit that stands as the value, ``>`` and ``G``
for above it, ``B`` and ``H`` for not determined.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..element_names import parse_element
from ..headings import words_of
from .column_rules import Assay
from .findings import Notes
from .parse_numbers import ABOVE, BELOW, MISSING, OK

_WORDS = frozenset(
    "q qual qualifier qualif qlf quals sign rmk rem lt detect det censor cen qa flag".split()
)
_CODES = {
    **dict.fromkeys(("<", "<=", "L", "N", "U", "ND", "BDL", "LT", "K", "UJ"), BELOW),
    **dict.fromkeys((">", ">=", "G", "GT"), ABOVE),
    **dict.fromkeys(("B", "H", "NA", "NR", "IS"), MISSING),
}
_MEASURED = frozenset({"", "=", "E", "J", "M", "P", "*", "OK"})
"""Codes that say nothing against a value: estimated, mean, ..."""


def qualifier_columns(samples: pd.DataFrame, elements: Iterable[str]) -> dict[str, str]:
    """Return element column -> the column that qualifies it, for those that have one.

    A column qualifies an element when its heading is the element's with ``Q`` or the like before or
    behind it, and its cells are qualifiers.

    >>> table = pd.DataFrame({"Q_Ag": ["N", ""], "Ag_ppm": [1.0, 2.0], "Cu": [5.0, 6.0], "Cu_Q": ["<", "L"]})
    >>> qualifier_columns(table, ["Ag_ppm", "Cu"])
    {'Ag_ppm': 'Q_Ag', 'Cu': 'Cu_Q'}
    """
    elements = list(elements)
    words = {column: set(words_of(column)[: _plain_count(column)]) for column in elements}
    found: dict[str, str] = {}
    for column in samples.columns:
        own = words_of(str(column))
        rest = [word for word in own if word not in _WORDS]
        rest = rest[:-1] if len(own) > 1 else rest  # the last is all of them as one
        if column in elements or not rest or len(rest) == _plain_count(str(column)):
            continue
        fitting = [name for name in elements if set(rest) <= words[name]]
        if len(fitting) == 1 and fitting[0] not in found and are_qualifiers(samples[column]):
            found[fitting[0]] = str(column)
    return found


def _plain_count(column: str) -> int:
    """Return how many words a heading has."""
    words = words_of(column)
    return max(1, len(words) - 1)


def are_qualifiers(column: pd.Series) -> bool:
    """Return whether the cells of a column are qualifiers, and some of them tell something."""
    if pd.api.types.is_numeric_dtype(column):
        return False
    codes = set(column.dropna().astype(str).str.strip().str.upper().unique())
    return bool(codes & set(_CODES)) and codes <= set(_CODES) | _MEASURED


def apply_qualifiers(assay: Assay, qualifiers: pd.Series, notes: Notes) -> None:
    """Flag the values of an element as its qualifiers say; the number is then the limit."""
    codes = qualifiers.astype("string").str.strip().str.upper()
    flags = codes.map(_CODES).astype("float").to_numpy()
    instead = {BELOW: "below the limit that stands as its value", ABOVE: "above it"}
    for flag in (BELOW, ABOVE, MISSING):
        mask = (flags == flag) & (assay.flags == OK)
        if not mask.any():
            continue
        shown = ", ".join(sorted(set(codes[mask].dropna())))
        if flag == MISSING:
            notes.fixed("qualifier", mask, f"column {qualifiers.name} says {shown}: missing")
            assay.numbers = np.where(mask, np.nan, assay.numbers)
        else:
            done = f"column {qualifiers.name} says {shown}: {instead[flag]}"
            notes.fixed("qualifier", mask, done)
            size = np.abs(assay.numbers)
            # A zero beside a qualifier is a limit that nobody wrote down.
            assay.numbers = np.where(mask, np.where(size > 0, size, np.nan), assay.numbers)
        assay.flags = np.where(mask, flag, assay.flags).astype(np.uint8)


def is_qualifier_name(column: str) -> bool:
    """Return whether a heading names the qualifiers of an element.

    >>> [is_qualifier_name(name) for name in ("Ag_Q", "Q_Ag_ppm", "AG_QUAL", "Ag_ppm", "Q")]
    [True, True, True, False, False]
    """
    words = words_of(column)[: _plain_count(column)]
    rest = [word for word in words if word not in _WORDS]
    return len(rest) < len(words) and bool(rest) and parse_element(" ".join(rest)) is not None
