"""Element columns become positive numbers in a known unit; everything that was done to them is a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from .censored import (
    MULTIPLICATIVE_SHARE,
    REPLACEMENTS,
    can_regress,
    close_compositions,
    limit_for,
    looks_logarithmic,
    negatives_are_limits,
    read_limits,
    replace_censored,
    sentinels,
    settle_limits,
)
from .elements import label, parse_element
from .errors import UsageError
from .findings import Finding, rows_of
from .units import (
    IMPLAUSIBLE,
    PPM_IN,
    best_unit,
    crust_ratio,
    crustal_abundance,
    element_of,
    element_share,
    guess_unit,
    ppm_factor,
)
from .values import ABOVE, BELOW, FLAG_NAMES, MISSING, OK, UNREADABLE, Parsed, decimal_sign, parse_column

_INSTEAD = {
    "half": "half the limit",
    "sqrt2": "the limit / sqrt(2)",
    "zero": "zero",
    "drop": "missing",
    "ros": "by regression on order statistics",
    "multiplicative": f"{MULTIPLICATIVE_SHARE:g} of the limit",
}
NAMES_SHOWN = 8
"""Columns that a finding about many of them lists."""

FAR_BELOW = 10.0
"""A smallest value this many times below the 5 % quantile is a poor guide to the detection limit."""

REPEATED_ROWS, REPEATED_SHARE = 10, 0.05
"""The smallest value in so many rows, and in such a share of them, was perhaps put in for "below detection"."""


@dataclass
class _Assay:
    """One element column on its way: numbers (the limit of a censored value), flags, unit, why it is set aside."""

    column: str
    name: str
    unit: str
    numbers: np.ndarray
    flags: np.ndarray
    aside: tuple[str, str] | None = None
    unsaid: int = 0  # values below a limit that is not written out

    def share(self, flag: int) -> float:
        known = (self.flags <= ABOVE).sum()
        return float((self.flags == flag).sum() / max(known, 1))

    def median(self) -> float:
        """Return the median of what is known, limits included; NaN without any."""
        known = self.numbers[(self.flags <= ABOVE) & (self.numbers > 0)]
        return float(np.median(known)) if len(known) else np.nan


class _Notes:
    """Collects the findings of one column of the samples."""

    def __init__(self, found: list[Finding], index: pd.Index, column: str) -> None:
        self.found, self.index, self.column = found, index, column

    def add(self, rule: str, mask: np.ndarray, done: str, advice: str = "", severity: str = "fixed") -> None:
        """Add a finding for the rows of a mask, if there are any."""
        if mask.any():
            rows = rows_of(self.index, mask)
            self.found.append(Finding(severity, "samples", self.column, rule, int(mask.sum()), done, advice, rows))


def clean_values(
    samples: gpd.GeoDataFrame,
    elements: Mapping[str, str],
    found: list[Finding],
    *,
    replacement: str = "half",
    limits: str | Path | Mapping[str, float] | None = None,
    decimal: str | None = None,
) -> tuple[gpd.GeoDataFrame, dict[str, str]]:
    """Return the samples with numbers or NaN in the element columns, and the elements with their units.

    Parameters
    ----------
    samples : GeoDataFrame
        It is not changed; its index names the rows in the findings.
    elements : mapping
        Column -> unit, "" where nobody said it. A guessed unit comes back with a question mark: ``"ppb?"``.
    found : list of Finding
        Findings are appended to it.
    replacement : str
        What stands for a value below detection, see :func:`geomfaf.censored.replace_censored`.
    limits : mapping or path, optional
        Detection limits for values that do not say theirs, see :func:`geomfaf.censored.read_limits`.
    decimal : {".", ","}, optional
        How to read ``1,234`` where a column does not tell.

    Returns
    -------
    samples : GeoDataFrame
        ``attrs`` holds ``censored_share``, ``detection_limits`` and ``aside`` (column -> rule, reason).
    elements : dict
    """
    if replacement not in REPLACEMENTS:
        raise UsageError(f'replacement "{replacement}" is unknown: use one of {", ".join(REPLACEMENTS)}.')
    if decimal not in (None, ".", ","):
        raise UsageError(f'decimal "{decimal}" must be "." or ",".')
    given = read_limits(limits) if limits is not None else {}
    assays = []
    for column, parsed in _parse_columns(samples, list(elements), decimal):
        notes = _Notes(found, samples.index, column)
        assay = _Assay(
            column, (parse_element(column) or (column, ""))[0], elements[column], parsed.numbers, parsed.flags
        )
        _read_words(assay, parsed, notes)
        _find_codes(assay, notes)
        limit = limit_for(column, assay.unit, given) if given else None
        _find_censored(assay, parsed, notes, replacement, limit)
        _find_replaced(assay, notes)
        _find_missing(assay, parsed, notes)
        _check_unit(assay, notes)
        assay.unsaid = int(((assay.flags == BELOW) & ~(assay.numbers > 0)).sum())
        assay.numbers = settle_limits(assay.numbers, assay.flags, limit)
        assays.append(assay)
    _say_guessed_units(assays, found)
    _set_copies_aside(assays, found)
    values = _replaced(assays, replacement, found)
    cleaned = samples.assign(**{assay.column: numbers for assay, numbers in zip(assays, values, strict=True)})
    cleaned.attrs = {
        **samples.attrs,
        "censored_share": {assay.column: assay.share(BELOW) for assay in assays},
        "detection_limits": [_limit_row(assay) for assay in assays],
        "aside": {assay.column: assay.aside for assay in assays if assay.aside},
    }
    return cleaned, {assay.column: assay.unit for assay in assays}


def censoring_flags(samples: pd.DataFrame, elements: Iterable[str], decimal: str | None = None) -> pd.DataFrame:
    """Return what each value stands for: measured, below detection, above range, missing or unreadable.

    Negative numbers and zeros are below detection, codes such as -9999 are missing.

    >>> censoring_flags(pd.DataFrame({"Au": ["0.3", "<0.1", "-9999", "x1"]}), ["Au"])["Au"].tolist()
    ['measured', 'below detection', 'missing', 'unreadable']
    """
    flags = {}
    for column, parsed in _parse_columns(samples, list(elements), decimal):
        assay = _Assay(column, column, "", parsed.numbers, parsed.flags)
        notes = _Notes([], samples.index, column)
        _find_codes(assay, notes)
        _find_censored(assay, parsed, notes)
        flags[column] = pd.Categorical.from_codes(assay.flags.tolist(), pd.Index(FLAG_NAMES))
    return pd.DataFrame(flags, index=samples.index)


def detection_limits(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the detection-limit table of checked samples, one row an element column.

    Columns: column, element, unit, values (known), below, share_below, limits ("0.05 (12), 0.1 (3)": limit and rows),
    unknown_limit (rows), above, share_above, upper_limits.
    """
    names = "column element unit values below share_below limits unknown_limit above share_above upper_limits".split()
    return pd.DataFrame(samples.attrs.get("detection_limits", []), columns=names)


def usable_elements(
    samples: gpd.GeoDataFrame,
    elements: Mapping[str, str],
    found: list[Finding],
    *,
    max_censored: float,
    max_missing: float,
    min_sites: int,
) -> dict[str, str]:
    """Return the elements whose values can carry a map; each of the others becomes a finding with its reason."""
    sites, kept = len(samples), {}
    censored, aside = (samples.attrs.get(key, {}) for key in ("censored_share", "aside"))
    for column, unit in elements.items():
        known = samples[column].dropna()
        below = censored.get(column, 0.0)
        count = sites - len(known)
        if column in aside:
            rule, reason = aside[column]
        elif below > max_censored:
            rule, reason = "mostly below detection", f"{100 * below:.0f} % of its values are below detection"
        elif known.nunique() < 2:
            rule, reason = "constant", "all its values are the same" if len(known) else "it has no value"
        elif len(known) < min_sites or count > max_missing * sites:
            rule, reason = "too few values", f"measured at {len(known):,} of {sites:,} places"
        else:
            kept[column] = unit
            continue
        found.append(Finding("fixed", "samples", column, rule, count, f"{label(column)} is set aside: {reason}"))
    if not kept:
        note = "no element column has enough usable values"
        found.append(Finding("refused", "samples", "", "no usable element", len(elements), note, "see above"))
    return kept


def _parse_columns(samples: pd.DataFrame, columns: list[str], decimal: str | None) -> Iterable[tuple[str, Parsed]]:
    """Yield the columns, read; where one does not tell what 1,234 means, the other columns are asked."""
    sign, asked = decimal, decimal is not None
    for column in columns:
        parsed = parse_column(samples[column], sign)
        if not asked and (parsed.words["how"] == "ambiguous").any():
            sign, asked = decimal_sign(samples[other] for other in columns), True
            parsed = parse_column(samples[column], sign)
        yield column, parsed


def _read_words(assay: _Assay, parsed: Parsed, notes: _Notes) -> None:
    """Report what text was read as, and bring values that carry their own unit to the column's."""
    words = parsed.words
    if not len(words):
        return
    ambiguous = words["how"] == "ambiguous"
    unread = (words["flag"] == UNREADABLE) & ~ambiguous
    done = f"{parsed.examples(unread)} cannot be read as a number: missing"
    notes.add("not a number", parsed.rows(unread), done, "correct the table")
    done = f"{parsed.examples(ambiguous)} may be thousands or decimals, and nothing in the table tells: missing"
    notes.add("ambiguous separator", parsed.rows(ambiguous), done, 'say decimal = "," or "." under [check]')
    for how, what in (("comma", "decimal commas"), ("thousands", "thousands separators")):
        chosen = (words["how"] == how).to_numpy()
        if chosen.any():
            number = words["number"][chosen].iloc[0]
            done = f"{parsed.examples(chosen)} were read with {what} (the first as {number:.12g})"
            notes.add(what, parsed.rows(chosen), done)
    _convert_cells(assay, parsed, notes)


def _convert_cells(assay: _Assay, parsed: Parsed, notes: _Notes) -> None:
    words = parsed.words
    carrying = ((words["unit"] != "") & (words["flag"] != UNREADABLE)).to_numpy()
    if not carrying.any():
        return
    mask = parsed.rows(carrying)
    units = words["unit"].to_numpy(object)[parsed.codes[mask]]
    known = assay.unit
    if not known:
        assay.unit = str(pd.Series(units).mode()[0])
        done = f"the cells say {assay.unit} ({parsed.examples(carrying)}): taken for the whole column"
        notes.add("unit in the cells", mask, done, f'if not: units = {{ "{assay.column}" = "..." }}')
    factors = np.array([PPM_IN[str(unit)] / PPM_IN[assay.unit.removesuffix("?")] for unit in units])
    assay.numbers = assay.numbers.copy()
    assay.numbers[mask] *= factors
    other = mask.copy()
    other[mask] = factors != 1
    different = carrying & (words["unit"] != assay.unit).to_numpy()
    notes.add("another unit in the cells", other, f"{parsed.examples(different)} were converted to {assay.unit}")


def _find_missing(assay: _Assay, parsed: Parsed, notes: _Notes) -> None:
    word = ((parsed.words["flag"] == MISSING) & (parsed.words["text"].astype(str).str.strip() != "")).to_numpy()
    done = "not used for this element" + (f" ({parsed.examples(word)} among them)" if word.any() else "")
    notes.add("missing", assay.flags >= MISSING, done, severity="noticed")


def _find_codes(assay: _Assay, notes: _Notes) -> None:
    """Turn sentinels into missing values."""
    measured = assay.flags == OK
    codes, kept = sentinels(np.where(measured, assay.numbers, np.nan))
    notes.add("sentinel", codes, f"{_list(assay.numbers[codes])} means not measured: missing")
    done = f"{_list(assay.numbers[kept])} may be a code for not measured; its size is possible: kept"
    notes.add("suspected sentinel", kept, done, "ask the laboratory; remove it from the table if so", "noticed")
    assay.numbers, assay.flags = np.where(codes, np.nan, assay.numbers), np.where(codes, MISSING, assay.flags)


def _find_censored(
    assay: _Assay, parsed: Parsed, notes: _Notes, replacement: str = "half", given: float | None = None
) -> None:
    """Flag negative numbers and zeros, and report every censored value."""
    instead = _INSTEAD[replacement]
    text_below, above = assay.flags == BELOW, assay.flags == ABOVE
    said = text_below & (assay.numbers > 0)
    done = f"below a detection limit that is written out ({_list(assay.numbers[said])}): {instead}"
    notes.add("below detection", said, done)
    unknown = text_below & ~said
    measured = assay.flags == OK
    taken, advice = _unknown_limit(assay.numbers[measured & (assay.numbers > 0)], given)
    if len(parsed.words):
        word = (parsed.words["flag"] == BELOW) & ~(parsed.words["number"] > 0)
        done = f"{parsed.examples(word)} = below an unknown limit, taken as {taken}: {instead}"
        notes.add("below an unknown limit", unknown, done, advice)
    done = f"above the range of the method ({_list(assay.numbers[above])}): the limit stands for it"
    notes.add("above range", above, done, "ask for a second analysis: the true values are higher")
    negative, zero = measured & (assay.numbers < 0), measured & (assay.numbers == 0)
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
    lowest, low = measured.min(), np.quantile(measured, 0.05)
    if lowest < low / FAR_BELOW:
        advice = f"{lowest:g} is far below nearly all values, a slip perhaps: {advice}"
    return f"the smallest measured value ({lowest:.4g})", advice


def _find_replaced(assay: _Assay, notes: _Notes) -> None:
    """Notice a smallest value that is repeated so often that somebody may have put it there."""
    measured = np.where((assay.flags == OK) & (assay.numbers > 0), assay.numbers, np.nan)
    count = (~np.isnan(measured)).sum()
    lowest = measured == (np.nanmin(measured) if count else np.nan)
    at_limit = np.isin(np.nanmin(measured), assay.numbers[assay.flags == BELOW]) if count else False
    if not at_limit and lowest.sum() >= max(REPEATED_ROWS, REPEATED_SHARE * count) and lowest.sum() < count:
        done = f"the smallest value ({np.nanmin(measured):g}) is repeated: a limit or half of one, put in before? kept"
        notes.add("smallest value repeated", lowest, done, "ask which values were below detection", "noticed")


def _find_negatives(assay: _Assay, negative: np.ndarray, notes: _Notes, instead: str) -> None:
    if not negative.any():
        return
    sizes = -assay.numbers[negative]
    if looks_logarithmic(np.where(assay.flags == OK, assay.numbers, np.nan)):
        reason = f"{negative.sum():,} negative values as large as the positive ones: logarithms or differences?"
        notes.add("no concentrations", negative, reason, "give the concentrations themselves")
        assay.aside = ("no concentrations", reason)
        assay.numbers, assay.flags = np.full(len(negative), np.nan), np.full(len(negative), MISSING)
        return
    if negatives_are_limits(assay.numbers):
        done = f"a negative value is minus a detection limit ({_list(sizes)}): {instead}"
        rest = assay.numbers[(assay.flags == OK) & (assay.numbers > 0)]
        advice = (
            "such a limit exceeds most values: is it a code?" if len(rest) and sizes.max() > np.median(rest) else ""
        )
        notes.add("negative = below detection", negative, done, advice)
        limit = -assay.numbers
    else:
        done = f"too many different negative values for limits: noise around zero, below its size {sizes.max():g}"
        notes.add("negative noise", negative, f"{done}: {instead}", "ask the laboratory for the limits")
        limit = np.full(len(negative), sizes.max())
    assay.numbers = np.where(negative, limit, assay.numbers)
    assay.flags = np.where(negative, BELOW, assay.flags)


def _check_unit(assay: _Assay, notes: _Notes) -> None:
    """Guess a unit that nobody said, and hold the median against the upper crust."""
    median, censored = assay.median(), assay.share(BELOW) > 0.5
    if parse_element(assay.column) is None or not median > 0:
        return
    if not assay.unit:
        guess = guess_unit(median, assay.name)
        assay.unit = f"{guess}?" if guess else ""
        return
    ratio = crust_ratio(median, assay.name, assay.unit)
    if ratio is None or 1 / IMPLAUSIBLE <= ratio <= IMPLAUSIBLE or (censored and ratio > 1):
        return
    factor, crust = ppm_factor(assay.unit) or 1.0, crustal_abundance(assay.name) or np.nan
    off = f"{ratio:,.0f} times above" if ratio > 1 else f"{1 / ratio:,.0f} times below"
    fit = best_unit(median, assay.name)
    done = (
        f"the median {median:.3g} {assay.unit} is {off} the upper crust's {crust / factor:.3g} {assay.unit}"
        + (f"; {fit} would fit" if fit else "; no unit fits")
        + ": kept as it is"
    )
    advice = f'if so: units = {{ "{assay.column}" = "{fit}" }}' if fit else "check the column"
    notes.add("implausible unit", assay.flags <= ABOVE, done, advice, "noticed")


def _say_guessed_units(assays: list[_Assay], found: list[Finding]) -> None:
    """One finding a guessed unit, as a table without units has dozens of such columns."""
    groups: dict[str, list[str]] = {}
    for assay in assays:
        if not assay.unit or assay.unit.endswith("?"):
            groups.setdefault(assay.unit, []).append(assay.column)
    for unit, columns in groups.items():
        names = ", ".join(columns[:NAMES_SHOWN]) + (", ..." if len(columns) > NAMES_SHOWN else "")
        if unit:
            done = f"no unit is said; {unit.removesuffix('?')} is guessed, as the medians suit the upper crust: {names}"
            advice = f'say them: units = {{ "{columns[0]}" = "{unit.removesuffix("?")}", ... }}'
            found.append(Finding("noticed", "samples", "", "unit guessed", len(columns), done, advice))
        else:
            done, advice = (
                f"no unit is said, and none can be guessed: {names}",
                f'say it: units = {{ "{columns[0]}" = "ppm" }}',
            )
            found.append(Finding("noticed", "samples", "", "unit unknown", len(columns), done, advice))


def _set_copies_aside(assays: list[_Assay], found: list[Finding]) -> None:
    """Keep one column an element: most measured values, then the element before its oxide, then the first."""
    groups: dict[str, list[_Assay]] = {}
    for assay in assays:
        if parse_element(assay.column) and assay.aside is None:
            groups.setdefault(element_of(assay.name), []).append(assay)
    for element, group in groups.items():
        ranked = sorted(group, key=lambda assay: (-(assay.flags == OK).sum(), assay.name != element))
        best = ranked[0]
        for other in ranked[1:]:
            # FeO beside Fe2O3 is the same element in another state, not a second measurement of it.
            if other.name != best.name and element not in (other.name, best.name):
                continue
            counts = f"{(best.flags == OK).sum():,} measured values against {(other.flags == OK).sum():,}"
            reason = f"{best.column} holds the same element ({counts}{_agreement(best, other)})"
            other.aside = ("same element twice", reason)


def _agreement(best: _Assay, other: _Assay) -> str:
    """Return how two columns of one element agree, in one unit and as the element."""
    factors = [ppm_factor(assay.unit) for assay in (best, other)]
    both = (best.flags == OK) & (other.flags == OK) & (best.numbers > 0)
    if None in factors or not both.any():
        return ""
    one, two = (
        assay.numbers[both] * factor * element_share(assay.name)
        for assay, factor in zip((best, other), factors, strict=True)
    )
    return f"; converted, the other one is {np.median(two / one):.3g} times it"


def _replaced(assays: list[_Assay], replacement: str, found: list[Finding]) -> list[np.ndarray]:
    """Return the numbers with censored values replaced; what has no number is NaN."""
    values = []
    for assay in assays:
        numbers = np.where(assay.flags <= ABOVE, assay.numbers, np.nan)
        below, method = (assay.flags == BELOW) & ~np.isnan(numbers), replacement
        if method == "ros" and below.any() and not can_regress(numbers, below):
            method, done = "half", "too few measured values for a regression on order statistics: half the limit"
            found.append(Finding("noticed", "samples", assay.column, "no regression", int(below.sum()), done))
        values.append(replace_censored(numbers, np.where(below, BELOW, OK), method))
    if replacement == "multiplicative" and assays:
        # An unknown unit is taken as ppm here: what replaced values add up to is tiny against a whole in any case.
        factors = np.array([ppm_factor(assay.unit) or 1.0 for assay in assays])
        below = np.column_stack([assay.flags == BELOW for assay in assays])
        closed = close_compositions(np.column_stack(values) * factors, below) / factors
        values = list(closed.T)
    return values


def _limit_row(assay: _Assay) -> dict[str, object]:
    """Return one row of the detection-limit table."""
    below, above = assay.flags == BELOW, assay.flags == ABOVE
    known = assay.flags <= ABOVE
    return {
        "column": assay.column,
        "element": assay.name,
        "unit": assay.unit,
        "values": int(known.sum()),
        "below": int(below.sum()),
        "share_below": round(assay.share(BELOW), 4),
        "limits": _counted(assay.numbers[below]),
        "unknown_limit": assay.unsaid,
        "above": int(above.sum()),
        "share_above": round(assay.share(ABOVE), 4),
        "upper_limits": _counted(assay.numbers[above]),
    }


def _counted(limits: np.ndarray, most: int = 12) -> str:
    values, counts = np.unique(limits[np.isfinite(limits)], return_counts=True)
    shown = ", ".join(f"{value:.6g} ({count})" for value, count in zip(values[:most], counts, strict=False))
    return f"{shown}, ..." if len(values) > most else shown


def _list(values: np.ndarray) -> str:
    unique = np.sort(pd.unique(values[~np.isnan(values)]))
    shown = ", ".join(f"{value:g}" for value in unique[:3])
    return f"{shown}, ..." if len(unique) > 3 else shown
