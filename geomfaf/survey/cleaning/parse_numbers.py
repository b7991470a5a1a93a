"""Numbers as laboratories write them: text becomes values, each with a flag that says what it
stands for.

Only distinct texts are looked at, so a column of a million rows costs little more than its
alphabet. What cannot be understood is never a number: it is flagged, and
:mod:`geomfaf.survey.cleaning.element_columns` reports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..units import parse_unit
from .laboratory_words import ABOVE, BELOW, MISSING, OK, UNREADABLE, plain_text

FLAG_NAMES = ("measured", "below detection", "above range", "missing", "unreadable")

_NUMBER = re.compile(
    r"(<=?|>=?|)\s*([-+]?)([0-9.,' ]*[0-9][0-9.,']*)(?:e([-+]?[0-9]{1,3}))?\s*(.*)"
)
_GROUP = r"[1-9][0-9]{0,2}"
_POINT_GROUP = re.compile(_GROUP + r"\.[0-9]{3}")
# Form of the digits -> which sign is the decimal one (a "?" where both readings are possible),
# which one groups.
_FORMS = tuple(
    (re.compile(pattern), decimal, group)
    for pattern, decimal, group in (
        (r"[0-9]+", "", ""),
        (_GROUP + r"\.[0-9]{3}", "?.", "."),
        (r"[0-9]*\.[0-9]+|[0-9]+\.", ".", ""),
        (_GROUP + r",[0-9]{3}", "?,", ","),
        (r"(?:0|[1-9][0-9]*)?,[0-9]+", ",", ""),
        (_GROUP + r"(?:,[0-9]{3})+\.[0-9]+|" + _GROUP + r"(?:,[0-9]{3}){2,}", ".", ","),
        (_GROUP + r"(?:\.[0-9]{3})+,[0-9]+|" + _GROUP + r"(?:\.[0-9]{3}){2,}", ",", "."),
        (_GROUP + r"(?: [0-9]{3})+", "", " "),
        (_GROUP + r"(?:'[0-9]{3})+", "", "'"),
        (_GROUP + r"(?: [0-9]{3})+\.[0-9]+", ".", " "),
        (_GROUP + r"(?:'[0-9]{3})+\.[0-9]+", ".", "'"),
        (_GROUP + r"(?: [0-9]{3})+,[0-9]+", ",", " "),
        (_GROUP + r"(?:'[0-9]{3})+,[0-9]+", ",", "'"),
    )
)
_DOMINANT = 20
"""A column's decimal sign is this many times as frequent as the other one before the other one
counts as a slip.
"""


@dataclass(frozen=True)
class Parsed:
    """One column, read.

    Attributes
    ----------
    numbers : (rows,) float64
        The value; the limit of a censored one; NaN where there is none.
    flags : (rows,) uint8
        ``OK``, ``BELOW``, ``ABOVE``, ``MISSING`` or ``UNREADABLE``.
    words : DataFrame
        One row a distinct text that is more than a plain number: text, number, flag, unit (of the
        cell, ""), how ("", "comma", "thousands" or "ambiguous").
    codes : (rows,) int
        Row of ``words``, -1 for plain numbers and gaps.
    """

    numbers: np.ndarray
    flags: np.ndarray
    words: pd.DataFrame
    codes: np.ndarray

    def rows(self, words: pd.Series | np.ndarray) -> np.ndarray:
        """Return which rows hold one of the chosen words, (rows,) bool."""
        return np.append(np.asarray(words, bool), False)[self.codes]

    def examples(self, words: pd.Series | np.ndarray, count: int = 3) -> str:
        """Return some of the chosen texts as a person reads them."""
        texts = self.words["text"][np.asarray(words, bool)]
        shown = ", ".join(f'"{text}"' for text in texts[:count])
        return f"{shown}, ..." if len(texts) > count else shown


def parse_column(column: pd.Series, decimal: str | None = None) -> Parsed:
    """Read a column of numbers or text.

    Parameters
    ----------
    column : Series
        Of any type; it is not changed.
    decimal : {".", ","}, optional
        How to read ``1,234`` where nothing else in the column tells.

    Examples
    --------
    >>> parsed = parse_column(pd.Series(["1.5", "<0,05", "> 10000", "n.a.", "5-7"]))
    >>> parsed.numbers.tolist(), [FLAG_NAMES[flag] for flag in parsed.flags]  # doctest: +NORMALIZE_WHITESPACE
    ([1.5, 0.05, 10000.0, nan, nan],
     ['measured', 'below detection', 'above range', 'missing', 'unreadable'])
    """
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(float, na_value=np.nan).copy()
        flags = np.where(np.isnan(numbers), MISSING, OK).astype(np.uint8)
        return Parsed(numbers, flags, _words([], decimal, 0, 0), np.full(len(column), -1))
    # 1. the distinct texts; True and 1, or a date and its number, must not meet
    categories = isinstance(column.dtype, pd.CategoricalDtype)
    if not categories and pd.api.types.infer_dtype(column) not in ("string", "empty"):
        column = column.map(str, na_action="ignore")
    codes, distinct = pd.factorize(column)
    texts = np.asarray(distinct, object)
    # 2. the quick way for plain numbers; it reads "inf" and lets 1e-400 become 0, which are looked
    #    at one by one
    plain = pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce").to_numpy(float).copy()
    plain[~np.isfinite(plain) | (plain == 0)] = np.nan
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    # 3. what the rest means
    words, odd = _odd_texts(texts, counts, plain, decimal)
    # 4. back to the rows; the last place stands for what is missing (code -1)
    numbers = np.append(plain, np.nan)
    numbers[:-1][odd] = words["number"]
    flags = np.append(np.full(len(texts), OK), MISSING)
    flags[:-1][odd] = words["flag"]
    place = np.full(len(texts) + 1, -1)
    place[:-1][odd] = np.arange(odd.sum())
    return Parsed(numbers[codes], flags.astype(np.uint8)[codes], words, place[codes])


def _odd_texts(
    texts: np.ndarray,
    counts: np.ndarray,
    plain: np.ndarray,
    decimal: str | None,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return what the texts that are no plain numbers mean, and which these are.

    ``plain`` are the numbers of the others; where commas are decimal, texts such as 1.234 lose
    theirs, in place.
    """
    odd = np.isnan(plain)
    forms = [_form(str(text)) for text in texts[odd]]
    commas = 0
    points = 0
    numbers = [form for form in forms if isinstance(form, _Form)]
    if decimal == "," or any("," in form.decimal or form.group for form in numbers):
        commas, points = _evidence(forms, counts[odd], texts[~odd], counts[~odd])
        if (commas and commas * _DOMINANT > points) or (decimal == "," and not points):
            # 1.234 is no longer sure to be a decimal.
            doubtful = np.array([bool(_POINT_GROUP.fullmatch(str(t).strip(" +-"))) for t in texts])
            plain[doubtful] = np.nan
            odd = odd | doubtful
            forms = [_form(str(text)) for text in texts[odd]]
    return _words(forms, decimal, commas, points, texts[odd]), odd


def decimal_sign(columns: Iterable[pd.Series]) -> str | None:
    """Return the decimal sign that the text columns of a table agree on, None where they differ or
    do not tell.
    """
    commas = points = 0
    for column in columns:
        if pd.api.types.is_numeric_dtype(column):
            continue
        texts, counts = np.unique(column.dropna().astype(str).to_numpy(object), return_counts=True)
        here = _evidence([_form(text) for text in texts], counts, texts[:0], counts[:0])
        commas = commas + here[0]
        points = points + here[1]
    return "," if commas > _DOMINANT * points else "." if points > _DOMINANT * commas else None


@dataclass(frozen=True)
class _Form:
    """A text taken apart: mark (``<``, ``>``), sign, digits, exponent, unit; which signs are
    decimal and grouping.
    """

    mark: str
    digits: str
    exponent: str
    unit: str
    decimal: str
    group: str


def _form(text: str) -> _Form | int | None:
    """Return a number's form, a flag for a word that stands for one, None for what is neither."""
    known = plain_text(text)
    if isinstance(known, int):
        return known
    text = known
    if re.fullmatch(r"[-+]?inf(inity)?", text):
        return _Form(
            "",
            text,
            "",
            "",
            "",
            "",
        )
    return _form_of_number(text)


def _form_of_number(text: str) -> _Form | None:
    """Take ``< 1,5e3 ppm`` apart; None where it is no number."""
    match = _NUMBER.fullmatch(text)
    if not match:
        return None
    mark, sign, digits, exponent, rest = match.groups()
    if rest in ("<", ">") and not mark:  # "0.05<"
        mark = rest
        rest = ""
    unit: str | None = ""
    if rest:
        written = re.fullmatch(r"[a-zµμ%][a-zµμ%0-9 /.^-]*", rest)
        unit = parse_unit(rest) if written else None
    if unit is None or (mark and sign):
        return None
    for pattern, decimal, group in _FORMS:
        if pattern.fullmatch(digits):
            if exponent and decimal.startswith("?"):  # nobody groups thousands before an exponent
                decimal = decimal[1:]
                group = ""
            if exponent and group:
                return None
            return _Form(
                mark[:1],
                sign + digits,
                exponent or "",
                unit,
                decimal,
                group,
            )
    return None


def _evidence(
    forms: list[_Form | int | None],
    counts: np.ndarray,
    plain: np.ndarray,
    plain_counts: np.ndarray,
) -> tuple[int, int]:
    """Return in how many rows the decimal sign is surely a comma, and surely a point."""
    sure = {",": 0, ".": 0}
    for form, count in zip(forms, counts, strict=True):
        if isinstance(form, _Form) and form.decimal in sure:
            sure[form.decimal] += int(count)
    for text, count in zip(plain, plain_counts, strict=True):
        if "." in str(text) and not _POINT_GROUP.fullmatch(str(text).strip(" +-")):
            sure["."] += int(count)
    return sure[","], sure["."]


def _words(
    forms: list[_Form | int | None],
    decimal: str | None,
    commas: int,
    points: int,
    texts: Iterable[str] = (),
) -> pd.DataFrame:
    """Decide what each distinct text means."""
    rows = []
    for text, form in zip(texts, forms, strict=True):
        # 1. words
        if not isinstance(form, _Form):
            rows.append((text, np.nan, UNREADABLE if form is None else form, "", ""))
            continue
        # 2. which sign is the decimal one
        sign = form.decimal
        group = form.group
        how = ""
        if sign.startswith("?"):
            sign, group = _decided(sign[1], decimal, commas, points)
            how = "ambiguous" if sign == "?" else ""
        if how == "ambiguous":
            rows.append((text, np.nan, UNREADABLE, form.unit, how))
            continue
        how = "thousands" if group else "comma" if sign == "," else ""
        # 3. the number, unless it is too small or too large for one
        digits = form.digits.replace(group, "") if group else form.digits
        number = float(digits.replace(",", ".") + (f"e{form.exponent}" if form.exponent else ""))
        lost = (number == 0 and re.search("[1-9]", digits)) or (
            np.isinf(number) and "inf" not in digits
        )
        flag = (
            UNREADABLE
            if lost
            else {
                "": OK,
                "<": BELOW,
                ">": ABOVE,
            }[form.mark]
        )
        # "<0" is a limit that nobody knows.
        unknown = flag == UNREADABLE or (flag == BELOW and number == 0)
        rows.append((text, np.nan if unknown else number, flag, form.unit, how))
    columns = ["text", "number", "flag", "unit", "how"]
    return pd.DataFrame(rows, columns=columns).astype({"number": float, "flag": np.uint8})


def _decided(
    sign: str,
    decimal: str | None,
    commas: int,
    points: int,
) -> tuple[str, str]:
    """Return (decimal sign, grouping sign) for ``1,234`` or ``1.234``; "?" where the column does
    not tell.
    """
    here, there = (commas, points) if sign == "," else (points, commas)
    if here and here > _DOMINANT * there:
        return sign, ""
    if there and not here:
        return "", sign
    if here or there:  # both are used as decimal signs
        return "?", ""
    if decimal is not None:
        return (sign, "") if decimal == sign else ("", sign)
    return ("?", "") if sign == "," else (sign, "")
