"""Element columns become positive numbers in a known unit; everything that was done to them is a
finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from ...errors import UsageError, require_known
from ..element_names import label, parse_element
from ..survey import CheckedElement, Survey
from ..units import ppm_factor
from .below_detection import (
    REPLACEMENTS,
    can_regress,
    close_compositions,
    limit_for,
    read_limits,
    replace_censored,
    settle_limits,
)
from .column_rules import (
    Assay,
    check_unit,
    find_censored,
    find_codes,
    find_missing,
    find_replaced,
    read_words,
)
from .copied_columns import set_copies_aside
from .findings import CHANGES, Finding, Notes
from .parse_numbers import (
    ABOVE,
    BELOW,
    FLAG_NAMES,
    OK,
    UNREADABLE,
    Parsed,
    decimal_sign,
    parse_column,
)
from .qualifiers import apply_qualifiers, qualifier_columns, unknown_qualifiers

NEGATIVES = ("auto", "limits")

BITS = 60
"""Elements whose flags one whole number holds, a bit each."""

NAMES_SHOWN = 8
"""Columns that a finding about many of them lists."""


def clean_values(
    samples: gpd.GeoDataFrame,
    elements: Mapping[str, str],
    found: list[Finding],
    *,
    replacement: str = "half",
    limits: str | Path | Mapping[str, float] | None = None,
    decimal: str | None = None,
    negatives: str = "auto",
) -> tuple[gpd.GeoDataFrame, tuple[CheckedElement, ...]]:
    """Return the samples with numbers or NaN in the element columns, and what was learned of each.

    Parameters
    ----------
    samples : GeoDataFrame
        It is not changed; its index names the rows in the findings.
    elements : mapping
        Column -> unit, "" where nobody said it. A guessed unit comes back with a question mark:
        ``"ppb?"``.
    found : list of Finding
        Findings are appended to it.
    replacement : str
        What stands for a value below detection, see
        :func:`geomfaf.survey.cleaning.below_detection.replace_censored`.
    limits : mapping or path, optional
        Detection limits for values that do not say theirs, see
        :func:`geomfaf.survey.cleaning.below_detection.read_limits`.
    decimal : {".", ","}, optional
        How to read ``1,234`` where a column does not tell.
    negatives : {"auto", "limits"}
        ``limits``: a negative value is minus the limit of its own sample, whatever it looks like.

    Returns
    -------
    samples : GeoDataFrame
        Column :data:`CHANGES` names the values of each row that are not as they were measured.
    learned : tuple of CheckedElement
        One an element column, in their order.
    """
    require_known(replacement, REPLACEMENTS, "replacement")
    if decimal not in (None, ".", ","):
        raise UsageError(f'decimal "{decimal}" must be "." or ",".')
    require_known(negatives, NEGATIVES, "negatives")
    given = read_limits(limits) if limits is not None else {}
    rules = _Rules(replacement, given, negatives == "limits")
    qualified = qualifier_columns(samples, elements)
    found += unknown_qualifiers(samples, elements)
    # 1. each column alone: text to numbers, flags and limits
    assays = []
    commas = set()
    for column, parsed in _parse_columns(samples, list(elements), decimal):
        notes = Notes(found, "samples", samples.index, column)
        beside = samples[qualified[column]] if column in qualified else None
        assays.append(
            _assay(
                column,
                elements[column],
                parsed,
                notes,
                rules,
                beside,
            )
        )
        if (parsed.words["how"] == "comma").any():
            commas.add(column)
    # 2. what only the columns together tell
    _notice_points(assays, commas, found, samples.index)
    _say_guessed_units(assays, found)
    set_copies_aside(assays)
    # 3. values in place of what is censored
    new: dict[str, object] = {CHANGES: _changes(assays, len(samples))}
    for assay, numbers in zip(assays, _replaced(assays, replacement, found), strict=True):
        new[assay.column] = numbers
    return samples.assign(**new), tuple(_learned(assay) for assay in assays)


@dataclass(frozen=True)
class _Rules:
    """What the settings say of values below detection."""

    replacement: str
    limits: Mapping[str, tuple[float, str]]
    negative_limits: bool


def _assay(
    column: str,
    unit: str,
    parsed: Parsed,
    notes: Notes,
    rules: _Rules,
    qualifiers: pd.Series | None,
) -> Assay:
    """Return one column with every value flagged, and a limit for each censored one."""
    name = (parse_element(column) or (column, ""))[0]
    assay = Assay(column, name, unit, parsed.numbers, parsed.flags)
    # The order matters: codes are not censored values, and limits need both settled.
    read_words(assay, parsed, notes)
    find_codes(assay, notes)
    # A limit that was given is in its own unit, and the cells may have told the column's.
    limit = limit_for(column, assay.unit, rules.limits) if rules.limits else None
    if qualifiers is not None:
        apply_qualifiers(assay, qualifiers, notes)
    find_censored(
        assay,
        parsed,
        notes,
        rules.replacement,
        limit,
        rules.negative_limits,
    )
    find_replaced(assay, notes)
    find_missing(assay, parsed, notes)
    check_unit(assay, notes)
    assay.unsaid = int(((assay.flags == BELOW) & ~(assay.numbers > 0)).sum())
    assay.numbers = settle_limits(assay.numbers, assay.flags, limit)
    return assay


def censoring_flags(
    samples: pd.DataFrame, elements: Iterable[str], decimal: str | None = None
) -> pd.DataFrame:
    """Return what each value stands for: measured, below detection, above range, missing or
    unreadable.

    Negative numbers and zeros are below detection, codes such as -9999 are missing.

    >>> censoring_flags(pd.DataFrame({"Au": ["0.3", "<0.1", "-9999", "x1"]}), ["Au"])["Au"].tolist()
    ['measured', 'below detection', 'missing', 'unreadable']
    """
    # The same first steps as in the check, without their findings.
    flags = {}
    for column, parsed in _parse_columns(samples, list(elements), decimal):
        assay = Assay(column, column, "", parsed.numbers, parsed.flags)
        notes = Notes([], "samples", samples.index, column)
        find_codes(assay, notes)
        find_censored(assay, parsed, notes)
        flags[column] = pd.Categorical.from_codes(assay.flags.tolist(), pd.Index(FLAG_NAMES))
    return pd.DataFrame(flags, index=samples.index)


def detection_limits(survey: Survey) -> pd.DataFrame:
    """Return the detection-limit table of a checked survey, one row an element column.

    Columns: column, element, unit, values (known), below, share_below, limits ("0.05 (12), 0.1
    (3)": limit and rows), unknown_limit (rows), above, share_above, upper_limits.

    Parameters
    ----------
    survey : Survey
        Checked, see :func:`geomfaf.check_survey`.

    Returns
    -------
    DataFrame
        One row an element column; shares from 0 to 1, limits in the column's unit.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> gm.detection_limits(survey)[["element", "values", "below"]].head(2).values.tolist()
    [['Ag', 1900, 16], ['Au', 1900, 28]]
    """
    names = (
        "column element unit values below share_below limits unknown_limit above share_above"
        " upper_limits".split()
    )
    table = {}
    for name in names:
        table[name] = [getattr(known, name) for known in survey.checked]
    return pd.DataFrame(table).round({"share_below": 4, "share_above": 4})


def usable_elements(
    samples: gpd.GeoDataFrame,
    learned: Iterable[CheckedElement],
    found: list[Finding],
    *,
    max_censored: float,
    max_missing: float,
    min_sites: int,
) -> dict[str, str]:
    """Return the elements whose values can carry a map; each of the others becomes a finding with
    its reason.
    """
    kept = {}
    count = 0
    for known in learned:
        count += 1
        column = known.column
        # The first reason counts: an element is set aside once.
        values = samples[column].dropna()
        missing = len(samples) - len(values)
        reason = known.aside
        if reason is None and known.share_below > max_censored:
            share = f"{100 * known.share_below:.0f} %"
            reason = ("mostly below detection", f"{share} of its values are below detection")
        if reason is None and not values.min() < values.max():
            what = "all its values are the same" if len(values) else "it has no value"
            reason = ("constant", what)
        if reason is None and (len(values) < min_sites or missing > max_missing * len(samples)):
            where = f"measured at {len(values):,} of {len(samples):,} places"
            reason = ("too few values", where)
        if reason is None:
            kept[column] = known.unit
            continue
        done = f"{label(column)} is set aside: {reason[1]}"
        found.append(
            Finding(
                "fixed",
                "samples",
                column,
                reason[0],
                missing,
                done,
            )
        )
    if not kept:
        done = "no element column has enough usable values"
        found.append(
            Finding(
                "refused",
                "samples",
                "",
                "no usable element",
                count,
                done,
                "see above",
            )
        )
    return kept


def _parse_columns(
    samples: pd.DataFrame, columns: list[str], decimal: str | None
) -> Iterable[tuple[str, Parsed]]:
    """Yield the columns, read; where one does not tell what 1,234 means, the other columns are
    asked.
    """
    sign = decimal
    asked = decimal is not None
    for column in columns:
        parsed = parse_column(samples[column], sign)
        if not asked and (parsed.words["how"] == "ambiguous").any():
            sign = decimal_sign(samples[other] for other in columns)
            asked = True
            parsed = parse_column(samples[column], sign)
        yield column, parsed


def _notice_points(
    assays: list[Assay],
    commas: set[str],
    found: list[Finding],
    index: pd.Index,
) -> None:
    """Notice columns whose decimals may be thousands, where other columns of the table have decimal
    commas.

    A reader of files turns "1.234" into a number before anybody sees it; 0.5 or 1.2345 cannot be
    thousands.
    """
    for assay in assays if commas else []:
        if assay.column in commas:
            continue
        # A number with decimals that could all be groups of three digits.
        numbers = np.where(assay.flags <= ABOVE, np.abs(assay.numbers), np.nan)
        broken = numbers % 1 > 0
        odd = numbers[broken]
        # Thousands have three digits behind the point, and seldom end in zero.
        grouped = (odd > 1) & (odd < 1000) & (np.abs(odd * 1000 - np.round(odd * 1000)) < 1e-6)
        three = np.abs(odd * 100 - np.round(odd * 100)) > 1e-6
        if len(odd) and grouped.all() and three.mean() >= 0.5:
            done = (
                f"{odd[0]:g} may be {odd[0] * 1000:g}: {', '.join(sorted(commas)[:3])} has decimal"
                " commas; kept"
            )
            advice = "see the file: is the point a thousands separator?"
            notes = Notes(found, "samples", index, assay.column)
            notes.noticed("points beside decimal commas", broken, done, advice)


def _say_guessed_units(assays: list[Assay], found: list[Finding]) -> None:
    """One finding a guessed unit, as a table without units has dozens of such columns."""
    groups: dict[str, list[str]] = {}
    for assay in assays:
        if not assay.unit or assay.unit.endswith("?"):
            groups.setdefault(assay.unit.removesuffix("?"), []).append(assay.column)
    for unit, columns in groups.items():
        names = ", ".join(columns[:NAMES_SHOWN]) + (", ..." if len(columns) > NAMES_SHOWN else "")
        count = len(columns)
        if unit:
            done = (
                f"no unit is said; {unit} is guessed, as the medians suit the upper crust: {names}"
            )
            advice = f'say them: units = {{ "{columns[0]}" = "{unit}", ... }}'
            found.append(
                Finding(
                    "noticed",
                    "samples",
                    "",
                    "unit guessed",
                    count,
                    done,
                    advice,
                )
            )
        else:
            done = f"no unit is said, and none can be guessed: {names}"
            advice = f'say it: units = {{ "{columns[0]}" = "ppm" }}'
            found.append(
                Finding(
                    "noticed",
                    "samples",
                    "",
                    "unit unknown",
                    count,
                    done,
                    advice,
                )
            )


def _replaced(assays: list[Assay], replacement: str, found: list[Finding]) -> list[np.ndarray]:
    """Return the numbers with censored values replaced; what has no number is NaN."""
    values = []
    for assay in assays:
        numbers = np.where(assay.flags <= ABOVE, assay.numbers, np.nan)
        # Too few measured values carry no regression: half the limit is what is usual then.
        below = (assay.flags == BELOW) & ~np.isnan(numbers)
        method = replacement
        if method == "ros" and below.any() and not can_regress(numbers, below):
            method = "half"
            count = int(below.sum())
            done = "too few measured values for a regression on order statistics: half the limit"
            found.append(
                Finding(
                    "noticed",
                    "samples",
                    assay.column,
                    "no regression",
                    count,
                    done,
                )
            )
        values.append(replace_censored(numbers, np.where(below, BELOW, OK), method))
    if replacement == "multiplicative" and assays:
        # An unknown unit is taken as ppm here: what replaced values add up to is tiny against a
        # whole in any case.
        factors = np.array([ppm_factor(assay.unit) or 1.0 for assay in assays])
        below = np.column_stack([assay.flags == BELOW for assay in assays])
        closed = close_compositions(np.column_stack(values) * factors, below) / factors
        values = list(closed.T)
    return values


def _changes(assays: list[Assay], rows: int) -> np.ndarray:
    """Return what was changed in each row: "below detection: Au, Hg; above range: Cu", or ""."""
    said = np.full(rows, "", object)
    for flag in (BELOW, ABOVE, UNREADABLE):
        names = np.full(rows, "", object)
        for start in range(0, len(assays), BITS):
            names += _names_flagged(assays[start : start + BITS], flag, rows)
        row_kind, kinds = pd.factorize(names)
        texts = [f"; {FLAG_NAMES[flag]}: {kind[2:]}" if kind else "" for kind in kinds]
        said += np.array(texts, object)[row_kind]
    return np.array([text[2:] for text in said], object)


def _names_flagged(assays: list[Assay], flag: int, rows: int) -> np.ndarray:
    """Return for each row the elements that have a flag there: ", Au, Hg", or ""."""
    # Many rows have the same elements flagged: their text is made once.
    bits = np.zeros(rows, np.int64)
    for place, assay in enumerate(assays):
        bits |= (assay.flags == flag).astype(np.int64) << place
    row_kind, kinds = pd.factorize(bits)
    texts = []
    for kind in kinds.tolist():
        text = ""
        while kind:
            lowest = kind & -kind
            text += f", {assays[lowest.bit_length() - 1].name}"
            kind ^= lowest
        texts.append(text)
    return np.array(texts, object)[row_kind]


def _learned(assay: Assay) -> CheckedElement:
    """Return what is kept of a column once its values are settled."""
    below = assay.flags == BELOW
    above = assay.flags == ABOVE
    return CheckedElement(
        column=assay.column,
        element=assay.name,
        unit=assay.unit,
        values=int((assay.flags <= ABOVE).sum()),
        below=int(below.sum()),
        limits=_counted(assay.numbers[below]),
        unknown_limit=assay.unsaid,
        above=int(above.sum()),
        upper_limits=_counted(assay.numbers[above]),
        aside=assay.aside,
    )


def _counted(limits: np.ndarray, most: int = 12) -> str:
    values, counts = np.unique(limits[np.isfinite(limits)], return_counts=True)
    shown = ", ".join(
        f"{value:.6g} ({count})" for value, count in zip(values[:most], counts, strict=False)
    )
    return f"{shown}, ..." if len(values) > most else shown
