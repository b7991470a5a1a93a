"""Columns of qualifiers beside columns of elements: ``Ag_Q`` says that the number of ``Ag_ppm`` is a
limit.

Agencies write ``<``, ``L`` and ``N`` for below the limit that stands as the value, ``>`` and ``G``
for above it, ``B`` and ``H`` for not determined; others have a column of yes and no (``Cu_bdl``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..element_names import parse_element
from ..headings import words_of
from .column_rules import Assay
from .findings import Finding, Notes
from .laboratory_words import ABOVE, BELOW, MISSING, OK, flag_of_word

_SAYS_BELOW = frozenset("bdl bld nd nondetect lt lessthan less cens censored cen below".split())
"""Words of a heading whose yes means below detection."""
_WORDS = _SAYS_BELOW | frozenset(
    "q qual quals qualifier qualif qlf ql sign sgn symbol rmk rem remark remarks comment comments com det"
    " detect detection limit qa qc flag flags op oper operator prefix mod modifier r code than < >"
    " signo calificador vorzeichen kennzeichen tecken знак 符号".split()
)
_CODES = {
    **dict.fromkeys(("<", "<=", "L", "N", "U", "ND", "BDL", "LT", "K", "UJ"), BELOW),
    **dict.fromkeys((">", ">=", "G", "GT"), ABOVE),
    **dict.fromkeys(("B", "H", "NA", "NR", "IS"), MISSING),
}
_MEASURED = frozenset({"", "=", "E", "J", "M", "P", "*", "OK"})
"""Codes that say nothing against a value: estimated, mean, ..."""
_YES = frozenset("Y YES T TRUE 1 1.0 X SI JA OUI".split())
_NO = frozenset({"", *"N NO F FALSE 0 0.0 NEIN NON NEJ".split()})

MOST_CODES = 12
"""A column with more different texts than this holds remarks, no qualifiers."""


def qualifier_columns(samples: pd.DataFrame, elements: Iterable[str]) -> dict[str, str]:
    """Return element column -> the column that qualifies it, for those that have one.

    A column qualifies an element when its heading is the element's with ``Q`` or the like before or
    behind it, or has no name of its own and stands beside it, and its cells are qualifiers.

    >>> table = pd.DataFrame({"Q_Ag": ["N", ""], "Ag_ppm": [1.0, 2.0], "Cu": [5.0, 6.0], "Cu_Q": ["<", "L"]})
    >>> qualifier_columns(table, ["Ag_ppm", "Cu"])
    {'Ag_ppm': 'Q_Ag', 'Cu': 'Cu_Q'}
    """
    elements = list(elements)
    found = {
        element: column
        for column, element in _named_qualifiers(samples.columns, elements).items()
        if qualifier_flags(samples[column]) is not None
    }
    return {**_beside(samples, elements, found), **found}


def unknown_qualifiers(samples: pd.DataFrame, elements: Iterable[str]) -> list[Finding]:
    """Return a finding for columns that are named like qualifiers and hold codes that nobody knows."""
    unknown = []
    for column, element in _named_qualifiers(samples.columns, list(elements)).items():
        texts = samples[column].dropna()
        numbers = pd.api.types.is_numeric_dtype(texts)
        if not len(texts) or numbers or qualifier_flags(samples[column]) is not None:
            continue
        # Many different texts are remarks; a few unknown ones may be qualifiers all the same.
        codes = sorted(set(texts.astype(str).str.strip().str.upper()) - _MEASURED)
        if 0 < len(codes) <= MOST_CODES:
            done = f"looks like the qualifiers of {element}; its codes are not known: not used"
            shown = ", ".join(f'"{code}"' for code in codes[:6])
            unknown.append(
                Finding(
                    "noticed",
                    "samples",
                    column,
                    "qualifiers not known",
                    len(texts),
                    f"{done} ({shown})",
                    "write <, > or nothing in their place",
                )
            )
    return unknown


def _named_qualifiers(columns: Iterable[object], elements: list[str]) -> dict[str, str]:
    """Return column -> element column, of those whose headings say both; the first of several."""
    # Beside "Cu_ppm" the symbol tells, beside "Cu_AAS_ppm" and "Cu_ICP_ppm" all words do.
    words = {element: set(_heading_words(element)) for element in elements}
    found: dict[str, str] = {}
    for name in map(str, columns):
        rest = None if name in elements and not _has_sign(name) else _without_qualifier(name)
        if not rest:
            continue
        # All words of the heading must be the element's, and of one element alone.
        fitting = [
            element for element in elements if element != name and set(rest) <= words[element]
        ]
        if len(fitting) == 1 and fitting[0] not in found.values():
            found[name] = fitting[0]
    return found


def _has_sign(name: str) -> bool:
    return name.strip("()[] _")[-1:] in ("<", ">")


def _heading_words(name: str) -> list[str]:
    """Return the words of a heading, signs of comparison among them."""
    words = words_of(name)
    return (words[:-1] if len(words) > 1 else words) + re.findall("[<>]", name)


def _without_qualifier(name: str) -> list[str]:
    """Return the words that a heading has besides those of a qualifier; none where it names none.

    >>> [_without_qualifier(name) for name in ("Cu_Q", "QCu_ppm", "Cu_ppm", "Cu <", "Q")]
    [['cu'], ['ppm', 'cu'], [], ['cu'], []]
    """
    words = _heading_words(name)
    rest = [word for word in words if word not in _WORDS]
    if len(rest) < len(words):
        return rest
    # One letter glued to the symbol: "QCu", "CuQ".
    for word in words:
        bare = word.removeprefix("q") if word.startswith("q") else word.removesuffix("q")
        if bare != word and parse_element(bare) is not None:
            return [*(other for other in rest if other != word), bare]
    return []


def _beside(samples: pd.DataFrame, elements: list[str], found: dict[str, str]) -> dict[str, str]:
    """Return element column -> the nameless column of signs beside it: all stand before their
    elements, or all behind them, whichever makes the marked values the lower ones.
    """
    columns = [str(column) for column in samples.columns]
    signs = [
        place
        for place, name in enumerate(columns)
        if name not in found.values()
        and name not in elements
        and _is_nameless(name)
        and _holds_signs(samples[name])
    ]
    # Which side the signs stand on is the same all over the table: the better side is taken.
    ways = []
    for step in (1, -1):
        pairs = {
            columns[place + step]: columns[place]
            for place in signs
            if 0 <= place + step < len(columns) and columns[place + step] in elements
        }
        sizes = [_size_of_marked(samples, element, sign) for element, sign in pairs.items()]
        ways.append((-len(pairs), float(np.mean(sizes)) if sizes else np.inf, pairs))
    pairs = min(ways, key=lambda way: way[:2])[2]
    return {element: sign for element, sign in pairs.items() if element not in found}


def _size_of_marked(samples: pd.DataFrame, element: str, sign: str) -> float:
    """Return the median of the values marked ``<`` over that of the others; limits are low."""
    numbers = pd.to_numeric(samples[element], errors="coerce")
    marked = samples[sign].astype("string").str.strip().isin(["<", "<="]).to_numpy(bool)
    ratio = numbers[marked].median() / numbers[~marked].median()
    return float(ratio) if np.isfinite(ratio) else 1.0


def _is_nameless(name: str) -> bool:
    """Return whether a heading is a number, a qualifier's word alone, or nothing."""
    return all(
        word in _WORDS or word.isdigit() or word == "column" for word in _heading_words(name)
    )


def _holds_signs(column: pd.Series) -> bool:
    """Return whether a column holds qualifiers, the sign of one among them."""
    if qualifier_flags(column) is None or pd.api.types.is_numeric_dtype(column):
        return False
    return bool(column.astype("string").str.strip().isin(["<", ">", "<=", ">="]).any())


def qualifier_flags(column: pd.Series) -> dict[str, int] | None:
    """Return code -> flag for the cells of a column, None where they are no qualifiers, or tell
    nothing.

    >>> qualifier_flags(pd.Series(["<", "", "g"])) == {"<": BELOW, "": OK, "G": ABOVE}
    True
    >>> qualifier_flags(pd.Series(["a", "<"])), qualifier_flags(pd.Series([True, False], name="Cu_bdl"))
    (None, {'FALSE': 0, 'TRUE': 1})
    """
    below = bool(_SAYS_BELOW & set(_heading_words(str(column.name))))
    if pd.api.types.is_numeric_dtype(column) and not below:
        return None
    # A column called "below" holds yes and no, others the codes of laboratories.
    codes = sorted(set(column.dropna().astype(str).str.strip().str.upper().unique()))
    if below and set(codes) <= _YES | _NO and set(codes) & _YES:
        return {code: BELOW if code in _YES else OK for code in codes}
    if len(codes) > MOST_CODES or pd.api.types.is_numeric_dtype(column):
        return None
    flags = {code: _flag_of_code(code) for code in codes}
    if None in flags.values() or not set(flags.values()) - {OK}:
        return None
    return {code: flag for code, flag in flags.items() if flag is not None}


def _flag_of_code(code: str) -> int | None:
    """Return the flag of one code, None for one that is not known."""
    if code in _MEASURED:
        return OK
    if code in _CODES:
        return _CODES[code]
    if code in ("LESS THAN", "BELOW"):
        return BELOW
    # Words as in the cells, but for those of one letter and the strokes.
    return flag_of_word(code.casefold()) if len(re.sub(r"\W", "", code)) > 1 else None


def apply_qualifiers(assay: Assay, qualifiers: pd.Series, notes: Notes) -> None:
    """Flag the values of an element as its qualifiers say; the number is then the limit."""
    known = qualifier_flags(qualifiers) or {}
    codes = qualifiers.astype("string").str.strip().str.upper()
    flags = codes.map(known).astype("float").to_numpy()
    instead = {BELOW: "below the limit that stands as its value", ABOVE: "above it"}
    for flag in (BELOW, ABOVE, MISSING):
        # What the cell itself said before goes before its qualifier.
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
    rest = _without_qualifier(column)
    return bool(rest) and parse_element(" ".join(rest)) is not None
