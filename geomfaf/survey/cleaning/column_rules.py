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
    negatives_are_own_limits,
    sentinels,
)
from .findings import Notes
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
    """One element column on its way from text to positive numbers.

    Attributes
    ----------
    column, name, unit : str
        The column, the element or oxide it names, its unit ("" while nobody knows).
    numbers : (rows,) float64
        The value; the limit of a censored one; NaN where there is none.
    flags : (rows,) uint8
        As :mod:`geomfaf.survey.cleaning.parse_numbers` has them.
    aside : (rule, reason), optional
        Why it is not used.
    unsaid : int
        Values below a limit that is not written out.
    """

    column: str
    name: str
    unit: str
    numbers: np.ndarray
    flags: np.ndarray
    aside: tuple[str, str] | None = None
    unsaid: int = 0

    def share(self, flag: int) -> float:
        """Return the share of a flag among the known values."""
        known = (self.flags <= ABOVE).sum()
        return float((self.flags == flag).sum() / max(known, 1))

    def median(self) -> float:
        """Return the median of what is known, limits included; NaN without any."""
        known = self.numbers[(self.flags <= ABOVE) & (self.numbers > 0)]
        return float(np.median(known)) if len(known) else np.nan


def read_words(assay: Assay, parsed: Parsed, notes: Notes) -> None:
    """Report what text was read as, and bring values that carry their own unit to the column's."""
    words = parsed.words
    if not len(words):
        return
    # 1. what is no number, or may be two
    ambiguous = words["how"] == "ambiguous"
    unread = (words["flag"] == UNREADABLE) & ~ambiguous
    done = f"{parsed.examples(unread)} cannot be read as a number: missing"
    notes.fixed("not a number", parsed.rows(unread), done, "correct the table")
    done = (
        f"{parsed.examples(ambiguous)} may be thousands or decimals, and nothing in the table"
        " tells: missing"
    )
    advice = 'say decimal = "," or "." under [check]'
    notes.fixed("ambiguous separator", parsed.rows(ambiguous), done, advice)
    # 2. numbers in another writing
    for how, what in (("comma", "decimal commas"), ("thousands", "thousands separators")):
        chosen = (words["how"] == how).to_numpy()
        if chosen.any():
            number = words["number"][chosen].iloc[0]
            done = f"{parsed.examples(chosen)} were read with {what} (the first as {number:.12g})"
            notes.fixed(what, parsed.rows(chosen), done)
    # 3. numbers with a unit of their own
    _convert_cells(assay, parsed, notes)


def _convert_cells(assay: Assay, parsed: Parsed, notes: Notes) -> None:
    """Bring values that carry their own unit to the column's, which may be theirs."""
    words = parsed.words
    carrying = ((words["unit"] != "") & (words["flag"] != UNREADABLE)).to_numpy()
    if not carrying.any():
        return
    mask = parsed.rows(carrying)
    units = words["unit"].to_numpy(object)[parsed.codes[mask]]
    if not assay.unit:
        assay.unit = str(pd.Series(units).mode()[0])
        done = (
            f"the cells say {assay.unit} ({parsed.examples(carrying)}): taken for the whole column"
        )
        advice = f'if not: units = {{ "{assay.column}" = "..." }}'
        notes.fixed("unit in the cells", mask, done, advice)
    ppm_in_column = PPM_IN[assay.unit.removesuffix("?")]
    factors = np.array([PPM_IN[str(unit)] / ppm_in_column for unit in units])
    assay.numbers = assay.numbers.copy()
    assay.numbers[mask] *= factors
    # Only the cells whose unit differs are worth a finding.
    other = mask.copy()
    other[mask] = factors != 1
    different = carrying & (words["unit"] != assay.unit).to_numpy()
    done = f"{parsed.examples(different)} were converted to {assay.unit}"
    notes.fixed("another unit in the cells", other, done)


def find_missing(assay: Assay, parsed: Parsed, notes: Notes) -> None:
    """Count what has no number, and name the words that say so."""
    written = parsed.words["text"].astype(str).str.strip() != ""
    word = ((parsed.words["flag"] == MISSING) & written).to_numpy()
    among = f" ({parsed.examples(word)} among them)" if word.any() else ""
    notes.noticed("missing", assay.flags >= MISSING, f"not used for this element{among}")


def find_codes(assay: Assay, notes: Notes) -> None:
    """Turn sentinels into missing values."""
    measured = assay.flags == OK
    codes, kept = sentinels(np.where(measured, assay.numbers, np.nan))
    notes.fixed("sentinel", codes, f"{_list(assay.numbers[codes])} means not measured: missing")
    done = (
        f"{_list(assay.numbers[kept])} may be a code for not measured; its size is possible: kept"
    )
    advice = "ask the laboratory; remove it from the table if so"
    notes.noticed("suspected sentinel", kept, done, advice)
    assay.numbers = np.where(codes, np.nan, assay.numbers)
    assay.flags = np.where(codes, MISSING, assay.flags)


def find_censored(
    assay: Assay,
    parsed: Parsed,
    notes: Notes,
    replacement: str = "half",
    given: float | None = None,
    said_limits: bool = False,
) -> None:
    """Flag negative numbers and zeros, and report every censored value."""
    instead = _INSTEAD[replacement]
    below = assay.flags == BELOW
    above = assay.flags == ABOVE
    measured = assay.flags == OK
    zero = measured & (assay.numbers == 0)
    # 1. below a limit that stands in the cell
    said = below & (assay.numbers > 0)
    done = f"below a detection limit that is written out ({_list(assay.numbers[said])}): {instead}"
    notes.fixed("below detection", said, done)
    # 2. below a limit that nobody wrote down
    unknown = below & ~said
    taken = ""
    advice = ""
    if unknown.any() or zero.any():
        taken, advice = _unknown_limit(assay.numbers[measured & (assay.numbers > 0)], given)
    if unknown.any():
        word = (parsed.words["flag"] == BELOW) & ~(parsed.words["number"] > 0)
        done = f"{parsed.examples(word)} = below an unknown limit, taken as {taken}: {instead}"
        notes.fixed("below an unknown limit", unknown, done, advice)
    # 3. above the range of the method
    done = f"above the range of the method ({_list(assay.numbers[above])}): the limit stands for it"
    notes.fixed("above range", above, done, "ask for a second analysis: the true values are higher")
    # 4. numbers that cannot be concentrations
    _find_negatives(assay, measured & (assay.numbers < 0), notes, instead, said_limits)
    if assay.aside is None:
        done = f"zero = below an unknown detection limit, taken as {taken}: {instead}"
        notes.fixed("zero = below detection", zero, done, advice)
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
    measured = (assay.flags == OK) & (assay.numbers > 0)
    count = int(measured.sum())
    if not count:
        return
    smallest = assay.numbers[measured].min()
    if smallest in assay.numbers[assay.flags == BELOW]:  # a limit: such values are expected
        return
    lowest = measured & (assay.numbers == smallest)
    if max(REPEATED_ROWS, REPEATED_SHARE * count) <= lowest.sum() < count:
        done = (
            f"the smallest value ({smallest:g}) is repeated: a limit or half of one, put"
            " in before? kept"
        )
        advice = "ask which values were below detection"
        notes.noticed("smallest value repeated", lowest, done, advice)


def _find_negatives(
    assay: Assay,
    negative: np.ndarray,
    notes: Notes,
    instead: str,
    said_limits: bool,
) -> None:
    """Decide what negative numbers are: minus a limit, logarithms, or noise around zero."""
    if not negative.any():
        return
    sizes = -assay.numbers[negative]
    measured = np.where(assay.flags == OK, assay.numbers, np.nan)
    repeated = negatives_are_limits(assay.numbers)
    if said_limits or (not repeated and negatives_are_own_limits(measured)):
        done = (
            "a negative value is minus the detection limit of its own sample"
            f" ({sizes.min():g} to {sizes.max():g}): {instead}"
        )
        advice = "" if said_limits else 'to be clear: negatives = "limits" under [check]'
        notes.fixed("negative = below detection", negative, done, advice)
        assay.numbers = np.where(negative, -assay.numbers, assay.numbers)
        assay.flags = np.where(negative, BELOW, assay.flags)
        return
    if looks_logarithmic(measured):
        reason = (
            f"{negative.sum():,} negative values as large as the positive ones: logarithms or"
            " differences?"
        )
        notes.fixed("no concentrations", negative, reason, "give the concentrations themselves")
        assay.aside = ("no concentrations", reason)
        assay.numbers = np.full(len(negative), np.nan)
        assay.flags = np.full(len(negative), MISSING)
        return
    if repeated:
        done = f"a negative value is minus a detection limit ({_list(sizes)}): {instead}"
        rest = assay.numbers[(assay.flags == OK) & (assay.numbers > 0)]
        largest = sizes.max()
        # The smallest one tells at once where limits are limits.
        exceeds = len(rest) and largest > rest.min() and largest > np.median(rest)
        advice = "such a limit exceeds most values: is it a code?" if exceeds else ""
        notes.fixed("negative = below detection", negative, done, advice)
        limit = -assay.numbers
    else:
        done = (
            "too many different negative values for limits: noise around zero, below its size"
            f" {sizes.max():g}: {instead}"
        )
        notes.fixed("negative noise", negative, done, "ask the laboratory for the limits")
        limit = np.full(len(negative), sizes.max())
    assay.numbers = np.where(negative, limit, assay.numbers)
    assay.flags = np.where(negative, BELOW, assay.flags)


def check_unit(assay: Assay, notes: Notes) -> None:
    """Guess a unit that nobody said, and hold the median against the upper crust."""
    median = assay.median()
    if parse_element(assay.column) is None or not median > 0:
        return
    if not assay.unit:
        guess = guess_unit(median, assay.name)
        assay.unit = f"{guess}?" if guess else ""
        return
    ratio = crust_ratio(median, assay.name, assay.unit)
    # A median among limits says how good the method was, not what the rock holds.
    censored = assay.share(BELOW) > 0.5
    if ratio is None or 1 / IMPLAUSIBLE <= ratio <= IMPLAUSIBLE or (censored and ratio > 1):
        return
    factor = ppm_factor(assay.unit) or 1.0
    crust = crustal_abundance(assay.name) or np.nan
    off = f"{ratio:,.0f} times above" if ratio > 1 else f"{1 / ratio:,.0f} times below"
    fit = best_unit(median, assay.name)
    fits = f"{fit} would fit" if fit else "no unit fits"
    done = (
        f"the median {median:.3g} {assay.unit} is {off} the upper crust's {crust / factor:.3g}"
        f" {assay.unit}; {fits}: kept as it is"
    )
    advice = f'if so: units = {{ "{assay.column}" = "{fit}" }}' if fit else "check the column"
    notes.noticed("implausible unit", assay.flags <= ABOVE, done, advice)


def _list(values: np.ndarray) -> str:
    unique = np.sort(pd.unique(values[~np.isnan(values)]))
    shown = ", ".join(f"{value:g}" for value in unique[:3])
    return f"{shown}, ..." if len(unique) > 3 else shown
