"""What can be wrong with one element column, a rule each: what it finds becomes a flag and a
finding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..element_names import parse_element
from ..units import (
    IMPLAUSIBLE,
    PPM_IN,
    best_unit,
    crust_ratio,
    crustal_abundance,
    guess_unit,
    ppm_factor,
)
from .below_detection import (
    MULTIPLICATIVE_SHARE,
    looks_logarithmic,
    negatives_are_limits,
    sentinels,
)
from .findings import Finding, rows_of
from .parse_numbers import ABOVE, BELOW, MISSING, OK, UNREADABLE, Parsed

_INSTEAD = {
    "half": "half the limit",
    "sqrt2": "the limit / sqrt(2)",
    "zero": "zero",
    "drop": "missing",
    "ros": "by regression on order statistics",
    "multiplicative": f"{MULTIPLICATIVE_SHARE:g} of the limit",
}

FAR_BELOW = 10.0
"""A smallest value this many times below the 5 % quantile is a poor guide to the
detection limit.
"""

REPEATED_ROWS = 10
REPEATED_SHARE = 0.05
"""The smallest value in so many rows, and in such a share of them, was perhaps put in for "below
detection".
"""


@dataclass
class Assay:
    """One element column on its way: numbers (the limit of a censored value), flags, unit, why it
    is set aside.
    """

    column: str
    name: str
    unit: str
    numbers: np.ndarray
    flags: np.ndarray
    aside: tuple[str, str] | None = None
    unsaid: int = 0  # values below a limit that is not written out

    def share(self, flag: int) -> float:
        """Return the share of a flag among the known values."""
        known = (self.flags <= ABOVE).sum()
        return float((self.flags == flag).sum() / max(known, 1))

    def median(self) -> float:
        """Return the median of what is known, limits included; NaN without any."""
        known = self.numbers[(self.flags <= ABOVE) & (self.numbers > 0)]
        return float(np.median(known)) if len(known) else np.nan


class Notes:
    """Collects the findings of one column of the samples."""

    def __init__(self, found: list[Finding], index: pd.Index, column: str) -> None:
        self.found = found
        self.index = index
        self.column = column

    def add(
        self, rule: str, mask: np.ndarray, done: str, advice: str = "", severity: str = "fixed"
    ) -> None:
        """Add a finding for the rows of a mask, if there are any."""
        if mask.any():
            rows = rows_of(self.index, mask)
            self.found.append(
                Finding(severity, "samples", self.column, rule, int(mask.sum()), done, advice, rows)
            )


def read_words(assay: Assay, parsed: Parsed, notes: Notes) -> None:
    """Report what text was read as, and bring values that carry their own unit to the column's."""
    words = parsed.words
    if not len(words):
        return
    ambiguous = words["how"] == "ambiguous"
    unread = (words["flag"] == UNREADABLE) & ~ambiguous
    done = f"{parsed.examples(unread)} cannot be read as a number: missing"
    notes.add("not a number", parsed.rows(unread), done, "correct the table")
    done = (
        f"{parsed.examples(ambiguous)} may be thousands or decimals, and nothing in the table"
        " tells: missing"
    )
    notes.add(
        "ambiguous separator",
        parsed.rows(ambiguous),
        done,
        'say decimal = "," or "." under [check]',
    )
    for how, what in (("comma", "decimal commas"), ("thousands", "thousands separators")):
        chosen = (words["how"] == how).to_numpy()
        if chosen.any():
            number = words["number"][chosen].iloc[0]
            done = f"{parsed.examples(chosen)} were read with {what} (the first as {number:.12g})"
            notes.add(what, parsed.rows(chosen), done)
    _convert_cells(assay, parsed, notes)


def _convert_cells(assay: Assay, parsed: Parsed, notes: Notes) -> None:
    words = parsed.words
    carrying = ((words["unit"] != "") & (words["flag"] != UNREADABLE)).to_numpy()
    if not carrying.any():
        return
    mask = parsed.rows(carrying)
    units = words["unit"].to_numpy(object)[parsed.codes[mask]]
    known = assay.unit
    if not known:
        assay.unit = str(pd.Series(units).mode()[0])
        done = (
            f"the cells say {assay.unit} ({parsed.examples(carrying)}): taken for the whole column"
        )
        notes.add(
            "unit in the cells", mask, done, f'if not: units = {{ "{assay.column}" = "..." }}'
        )
    factors = np.array([PPM_IN[str(unit)] / PPM_IN[assay.unit.removesuffix("?")] for unit in units])
    assay.numbers = assay.numbers.copy()
    assay.numbers[mask] *= factors
    other = mask.copy()
    other[mask] = factors != 1
    different = carrying & (words["unit"] != assay.unit).to_numpy()
    notes.add(
        "another unit in the cells",
        other,
        f"{parsed.examples(different)} were converted to {assay.unit}",
    )


def find_missing(assay: Assay, parsed: Parsed, notes: Notes) -> None:
    """Count what has no number, and name the words that say so."""
    word = (
        (parsed.words["flag"] == MISSING) & (parsed.words["text"].astype(str).str.strip() != "")
    ).to_numpy()
    done = "not used for this element" + (
        f" ({parsed.examples(word)} among them)" if word.any() else ""
    )
    notes.add("missing", assay.flags >= MISSING, done, severity="noticed")


def find_codes(assay: Assay, notes: Notes) -> None:
    """Turn sentinels into missing values."""
    measured = assay.flags == OK
    codes, kept = sentinels(np.where(measured, assay.numbers, np.nan))
    notes.add("sentinel", codes, f"{_list(assay.numbers[codes])} means not measured: missing")
    done = (
        f"{_list(assay.numbers[kept])} may be a code for not measured; its size is possible: kept"
    )
    notes.add(
        "suspected sentinel",
        kept,
        done,
        "ask the laboratory; remove it from the table if so",
        "noticed",
    )
    assay.numbers = np.where(codes, np.nan, assay.numbers)
    assay.flags = np.where(codes, MISSING, assay.flags)


def find_censored(
    assay: Assay,
    parsed: Parsed,
    notes: Notes,
    replacement: str = "half",
    given: float | None = None,
) -> None:
    """Flag negative numbers and zeros, and report every censored value."""
    instead = _INSTEAD[replacement]
    text_below = assay.flags == BELOW
    above = assay.flags == ABOVE
    said = text_below & (assay.numbers > 0)
    done = f"below a detection limit that is written out ({_list(assay.numbers[said])}): {instead}"
    notes.add("below detection", said, done)
    unknown = text_below & ~said
    measured = assay.flags == OK
    negative = measured & (assay.numbers < 0)
    zero = measured & (assay.numbers == 0)
    taken = ""
    advice = ""
    if unknown.any() or zero.any():
        taken, advice = _unknown_limit(assay.numbers[measured & (assay.numbers > 0)], given)
    if unknown.any():
        word = (parsed.words["flag"] == BELOW) & ~(parsed.words["number"] > 0)
        done = f"{parsed.examples(word)} = below an unknown limit, taken as {taken}: {instead}"
        notes.add("below an unknown limit", unknown, done, advice)
    done = f"above the range of the method ({_list(assay.numbers[above])}): the limit stands for it"
    notes.add("above range", above, done, "ask for a second analysis: the true values are higher")
    _find_negatives(assay, negative, notes, instead)
    if assay.aside is None:
        done = f"zero = below an unknown detection limit, taken as {taken}: {instead}"
        notes.add("zero = below detection", zero, done, advice)
        assay.numbers = np.where(zero, np.nan, assay.numbers)
        assay.flags = np.where(zero, BELOW, assay.flags)


def _unknown_limit(measured: np.ndarray, given: float | None) -> tuple[str, str]:
    """Return in words what stands for a limit that nobody wrote down, and what to do about it."""
    advice = "give the limits: detection_limits under [check]"
    if given:
        return f"{given:g}, as given", ""
    if not len(measured):
        return "the smallest known one", advice
    lowest = measured.min()
    low = np.quantile(measured, 0.05)
    if lowest < low / FAR_BELOW:
        advice = f"{lowest:g} is far below nearly all values, a slip perhaps: {advice}"
    return f"the smallest measured value ({lowest:.4g})", advice


def find_replaced(assay: Assay, notes: Notes) -> None:
    """Notice a smallest value that is repeated so often that somebody may have put it there."""
    measured = np.where((assay.flags == OK) & (assay.numbers > 0), assay.numbers, np.nan)
    count = (~np.isnan(measured)).sum()
    lowest = measured == (np.nanmin(measured) if count else np.nan)
    at_limit = np.isin(np.nanmin(measured), assay.numbers[assay.flags == BELOW]) if count else False
    if (
        not at_limit
        and lowest.sum() >= max(REPEATED_ROWS, REPEATED_SHARE * count)
        and lowest.sum() < count
    ):
        done = (
            f"the smallest value ({np.nanmin(measured):g}) is repeated: a limit or half of one, put"
            " in before? kept"
        )
        notes.add(
            "smallest value repeated",
            lowest,
            done,
            "ask which values were below detection",
            "noticed",
        )


def _find_negatives(assay: Assay, negative: np.ndarray, notes: Notes, instead: str) -> None:
    if not negative.any():
        return
    sizes = -assay.numbers[negative]
    if looks_logarithmic(np.where(assay.flags == OK, assay.numbers, np.nan)):
        reason = (
            f"{negative.sum():,} negative values as large as the positive ones: logarithms or"
            " differences?"
        )
        notes.add("no concentrations", negative, reason, "give the concentrations themselves")
        assay.aside = ("no concentrations", reason)
        assay.numbers = np.full(len(negative), np.nan)
        assay.flags = np.full(len(negative), MISSING)
        return
    if negatives_are_limits(assay.numbers):
        done = f"a negative value is minus a detection limit ({_list(sizes)}): {instead}"
        rest = assay.numbers[(assay.flags == OK) & (assay.numbers > 0)]
        advice = (
            "such a limit exceeds most values: is it a code?"
            if len(rest) and sizes.max() > np.median(rest)
            else ""
        )
        notes.add("negative = below detection", negative, done, advice)
        limit = -assay.numbers
    else:
        done = (
            "too many different negative values for limits: noise around zero, below its size"
            f" {sizes.max():g}"
        )
        notes.add(
            "negative noise", negative, f"{done}: {instead}", "ask the laboratory for the limits"
        )
        limit = np.full(len(negative), sizes.max())
    assay.numbers = np.where(negative, limit, assay.numbers)
    assay.flags = np.where(negative, BELOW, assay.flags)


def check_unit(assay: Assay, notes: Notes) -> None:
    """Guess a unit that nobody said, and hold the median against the upper crust."""
    median = assay.median()
    censored = assay.share(BELOW) > 0.5
    if parse_element(assay.column) is None or not median > 0:
        return
    if not assay.unit:
        guess = guess_unit(median, assay.name)
        assay.unit = f"{guess}?" if guess else ""
        return
    ratio = crust_ratio(median, assay.name, assay.unit)
    if ratio is None or 1 / IMPLAUSIBLE <= ratio <= IMPLAUSIBLE or (censored and ratio > 1):
        return
    factor = ppm_factor(assay.unit) or 1.0
    crust = crustal_abundance(assay.name) or np.nan
    off = f"{ratio:,.0f} times above" if ratio > 1 else f"{1 / ratio:,.0f} times below"
    fit = best_unit(median, assay.name)
    done = (
        f"the median {median:.3g} {assay.unit} is {off} the upper crust's {crust / factor:.3g}"
        f" {assay.unit}" + (f"; {fit} would fit" if fit else "; no unit fits") + ": kept as it is"
    )
    advice = f'if so: units = {{ "{assay.column}" = "{fit}" }}' if fit else "check the column"
    notes.add("implausible unit", assay.flags <= ABOVE, done, advice, "noticed")


def _list(values: np.ndarray) -> str:
    unique = np.sort(pd.unique(values[~np.isnan(values)]))
    shown = ", ".join(f"{value:g}" for value in unique[:3])
    return f"{shown}, ..." if len(unique) > 3 else shown
