"""Check and clean a survey: every flaw becomes a finding, every change is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..commodities import main_commodities, mixture
from ..filters import condition_on_kind
from ..label_columns import label_column
from ..survey import Survey, area_of, study_area_of_samples
from .class_names import merge_class_names
from .element_columns import clean_values, usable_elements
from .findings import MIXED, ROWS_KEPT, Finding, Notes, as_refusals, as_table
from .geometry import POINT_ROLES, check_coverage, clean_geometry, covered, drop_far_points, in_km2
from .media import drop_controls
from .repeated_places import drop_repeated, merge_rows_of_places

MIN_SITES = 30
"""Fewer places than this do not carry an interpolated map of a survey area."""


def check_survey(  # noqa: PLR0913  (one keyword a setting of [check])
    survey: Survey,
    *,
    max_censored: float = 0.5,
    max_missing: float = 2 / 3,
    min_sites: int = MIN_SITES,
    replacement: str = "half",
    detection_limits: str | Path | Mapping[str, float] | None = None,
    decimal: str | None = None,
    duplicates: str = "mean",
    negatives: str = "auto",
    strict: bool = False,
) -> tuple[Survey, pd.DataFrame]:
    """Clean a survey and list what was found.

    Parameters
    ----------
    survey : Survey
        As read; it is not changed.
    max_censored, max_missing : float
        Shares of below-detection and of missing values above which an element is set aside.
    min_sites : int
        Places below which an element is set aside.
    replacement : {"half", "sqrt2", "zero", "drop", "ros", "multiplicative"}
        What stands for a value below detection, see
        :func:`geomfaf.survey.cleaning.below_detection.replace_censored`.
    detection_limits : mapping or path, optional
        Element or column -> limit, or a CSV file with element, limit and unit: for zeros and words
        like "bdl".
    decimal : {".", ","}, optional
        How to read ``1,234`` where neither its column nor another one tells.
    duplicates : {"mean", "median", "first", "keep"}
        What becomes of several rows at one place, see
        :func:`geomfaf.survey.cleaning.repeated_places.merge_rows_of_places`.
    negatives : {"auto", "limits"}
        ``limits``: a negative value is minus the detection limit of its own sample, as in the
        USGS's tables; ``auto`` sees it where the numbers show it.
    strict : bool
        Refuse the data instead of fixing them.

    Returns
    -------
    survey : Survey
        Valid 2-D geometry, deposits as points inside the study area, one row a sampled place,
        positive numbers or NaN in every element column, elements that cannot be used left out, and
        a study area. Its ``findings`` are those of the table, with all their rows.
    findings : DataFrame
        severity, layer, column, rule, count, done, advice, rows, names. See :func:`require_accepted`.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, findings = gm.check_survey(gm.make_survey("small")[0])
    >>> findings["severity"].isin(["refused", "fixed", "noticed"]).all().item()
    True
    """
    found: list[Finding] = list(survey.findings)
    # What rows are called, before any of them is merged or left out.
    labels = {}
    for role, what in (("samples", "sample"), ("deposits", "deposit"), ("faults", "fault")):
        frame = getattr(survey, role)
        column = None if frame is None else label_column(frame, what)
        if column is not None:
            labels[role] = by_source_row(frame)[column]
    if not any(finding.severity == "refused" for finding in found):
        values = {
            "replacement": replacement,
            "limits": detection_limits,
            "decimal": decimal,
            "negatives": negatives,
        }
        survey = _checked_layers(survey, found, duplicates, values)
        if len(survey.samples):
            survey = _set_elements_aside(survey, found, max_censored, max_missing, min_sites)
            _check_deposits(survey, found)
            _check_cover(survey, found)
    found = as_refusals(found) if strict else found
    frames = {role: frame.reset_index(drop=True) for role, frame in survey.layers().items()}
    return replace(survey, **frames, findings=tuple(found)), as_table(found, labels)


def _checked_layers(
    survey: Survey,
    found: list[Finding],
    duplicates: str,
    values: dict[str, Any],
) -> Survey:
    """Return clean layers; the index of each frame still holds its source rows."""
    # 1. shapes
    frames = {}
    for role, frame in survey.layers().items():
        frames[role] = clean_geometry(role, by_source_row(frame), found)
    if len(frames["samples"]):
        frames["samples"] = drop_controls(frames["samples"], found)
    if not len(frames["samples"]):
        return replace(survey, **frames)
    for role in POINT_ROLES:
        frames[role] = drop_far_points(role, frames[role], found)
    # 2. names and values
    if "geology" in frames and survey.geology_column is not None:
        frames["geology"] = merge_class_names(frames["geology"], survey.geology_column, found)
    samples, learned = clean_values(frames["samples"], survey.elements, found, **values)
    elements = {known.column: known.unit for known in learned}
    # 3. one row a place
    frames["samples"] = merge_rows_of_places(samples, list(elements), found, duplicates)
    frames["deposits"] = drop_repeated(frames["deposits"], found)
    survey = replace(survey, **frames, elements=elements, checked=learned)
    # 4. the ground that counts
    return _keep_inside(_with_study_area(survey, found), found)


def _with_study_area(survey: Survey, found: list[Finding]) -> Survey:
    """Give a survey that has no study area the ground around its samples."""
    if survey.study_area is not None and len(survey.study_area):
        return survey
    survey = replace(survey, study_area=study_area_of_samples(survey.samples))
    area = area_of(survey).area / 1e6
    done = (
        "the samples' convex hull and twice their median spacing around it is the study area"
        f" ({area:,.0f} km2)"
    )
    advice = "give a study_area layer"
    found.append(
        Finding(
            "noticed",
            "study_area",
            "",
            "no study area",
            0,
            done,
            advice,
        )
    )
    return survey


def by_source_row(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the frame with source rows as its index: its own whole numbers (`where` leaves gaps),
    else 0, 1, ...
    """
    numbered = pd.api.types.is_integer_dtype(frame.index) and frame.index.is_unique
    return frame if numbered else frame.reset_index(drop=True)


def clean_layer(role: str, frame: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return one layer with clean geometry, and the findings; ``role`` says what it should be (see
    ``read.ROLES``).
    """
    found: list[Finding] = []
    cleaned = clean_geometry(role, by_source_row(frame), found)
    return cleaned.reset_index(drop=True), as_table(found)


def clean_samples(
    samples: gpd.GeoDataFrame, elements: dict[str, str]
) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return samples with clean geometry and with positive numbers or NaN in the element columns,
    and the findings.
    """
    found: list[Finding] = []
    placed = clean_geometry("samples", by_source_row(samples), found)
    cleaned, _ = clean_values(placed, elements, found)
    return cleaned.reset_index(drop=True), as_table(found)


# --- place, elements, labels
# ----------------------------------------------------------------------------------------


def _keep_inside(survey: Survey, found: list[Finding]) -> Survey:
    """Drop deposits outside the study area; samples outside it still help to grid its margin."""
    # Deposits outside teach nothing that is mapped; samples outside still reach in.
    area = area_of(survey)
    shapely.prepare(area)
    samples = survey.samples
    deposits = survey.deposits
    outside = ~shapely.intersects(area, samples.geometry.to_numpy())
    notes = Notes(found, "samples", samples.index)
    if outside.all():
        done = "all samples lie outside the study area"
        advice = "check the CRS and the units of the coordinates of both layers"
        notes.refused("outside the study area", outside, done, advice)
    else:
        done = "kept: they help to grid the margin"
        notes.noticed("outside the study area", outside, done)
    away = ~shapely.intersects(area, deposits.geometry.to_numpy())
    Notes(found, "deposits", deposits.index).fixed("outside the study area", away, "left out")
    return replace(survey, deposits=deposits[~away])


def _set_elements_aside(
    survey: Survey,
    found: list[Finding],
    max_censored: float,
    max_missing: float,
    min_sites: int,
) -> Survey:
    """Leave out the elements whose values cannot carry a map, each with its reason."""
    sites = len(survey.samples)
    if sites < min_sites:
        area = area_of(survey).area / 1e6
        done = (
            f"{sites} sampled places for {area:,.0f} km2 (one for {area / max(sites, 1):,.0f} km2)"
            " do not carry a map: no element is gridded, geology and faults alone make the"
            " evidence"
        )
        found.append(
            Finding(
                "fixed",
                "samples",
                "",
                "too few samples",
                sites,
                done,
                "add samples",
            )
        )
        if survey.geology is None and survey.faults is None:
            done = "neither elements nor geology nor faults are left as evidence"
            advice = "add evidence"
            found.append(
                Finding(
                    "refused",
                    "samples",
                    "",
                    "no evidence",
                    sites,
                    done,
                    advice,
                )
            )
        return replace(survey, elements={})
    kept = usable_elements(
        survey.samples,
        survey.checked,
        found,
        max_censored=max_censored,
        max_missing=max_missing,
        min_sites=min_sites,
    )
    return replace(survey, elements=kept)


def _check_deposits(survey: Survey, found: list[Finding]) -> None:
    """Say of how many kinds the deposits are, and how few there are to learn from and to test
    on.
    """
    count = len(survey.deposits)
    kinds = main_commodities(survey.deposits)
    mixed = mixture(kinds)
    if mixed:
        # The first thing to know of a map: it stands before all that was fixed.
        column = str(label_column(survey.deposits, "commodity"))
        condition = condition_on_kind(survey.deposits[column], next(iter(kinds)))
        advice = f"map one kind: where = under [deposits], such as {condition}"
        finding = Finding(
            "noticed",
            "deposits",
            column,
            MIXED,
            len(kinds),
            mixed,
            advice,
        )
        found.insert(0, finding)
    if count < 2:
        done = f"{'no' if not count else 'only one'} deposit lies inside the study area"
        advice = (
            "at least two are needed to learn from one and test on the other; ten or more to trust"
            " the figures"
        )
        found.append(
            Finding(
                "refused",
                "deposits",
                "",
                "too few deposits",
                count,
                done,
                advice,
            )
        )
    elif count < 20:
        done = f"{count} deposits: every share and every AUC of the evaluation has a wide interval"
        advice = "read the intervals"
        found.append(
            Finding(
                "noticed",
                "deposits",
                "",
                "few deposits",
                count,
                done,
                advice,
            )
        )


def _check_cover(survey: Survey, found: list[Finding]) -> None:
    """Say how much of the study area the geology covers and whether any fault lies in it."""
    area = area_of(survey)
    for role in ("geology", "faults"):
        frame = getattr(survey, role)
        if frame is None:
            done = f"no {role} layer: the stack has no {role} band"
            found.append(
                Finding(
                    "noticed",
                    role,
                    "",
                    "no layer",
                    0,
                    done,
                )
            )
            continue
        # A layer elsewhere is a wrong CRS more often than a map without faults.
        touching = shapely.intersects(area, frame.geometry.to_numpy())
        if not touching.any():
            done = f"the {role} do not touch the study area"
            rows = tuple(int(row) for row in frame.index[:ROWS_KEPT])
            advice = "check the CRS of this layer"
            found.append(
                Finding(
                    "refused",
                    role,
                    "",
                    "elsewhere",
                    len(frame),
                    done,
                    advice,
                    rows,
                )
            )
        elif role == "geology":
            check_coverage(frame, survey.geology_column, found)
            _check_gaps(area, frame.geometry.to_numpy()[touching], found)


def _check_gaps(area: shapely.Geometry, shapes: np.ndarray, found: list[Finding]) -> None:
    """List the parts of the study area that no polygon of the geological map covers."""
    # Rounding leaves slivers: a share of one is no gap.
    share, gaps = covered(area, shapes)
    if not len(gaps) or share >= 1 - 1e-9:
        return
    size = shapely.area(gaps)
    digits = 1 if share < 0.999 else 4
    done = (
        f"covers {100 * share:.{digits}f} % of the study area; the rest becomes the class "
        f'"unmapped": {in_km2(size.sum())} in {len(gaps):,} parts, the largest {in_km2(size[0])}'
    )
    shown = tuple(gaps[:ROWS_KEPT])
    found.append(
        Finding(
            "noticed",
            "geology",
            "",
            "gaps",
            len(gaps),
            done,
            shapes=shown,
        )
    )
