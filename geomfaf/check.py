"""Check and clean a survey: every flaw becomes a finding, every change is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy.spatial import cKDTree

from .assays import clean_values, usable_elements
from .errors import DataError
from .read import Finding, Survey

MIN_SITES = 30
"""Fewer places than this do not carry an interpolated map of a survey area."""


def check_survey(
    survey: Survey,
    *,
    max_censored: float = 0.5,
    max_missing: float = 2 / 3,
    min_sites: int = MIN_SITES,
    replacement: str = "half",
    detection_limits: str | Path | Mapping[str, float] | None = None,
    decimal: str | None = None,
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
        What stands for a value below detection, see :func:`geomfaf.censored.replace_censored`.
    detection_limits : mapping or path, optional
        Element or column -> limit, or a CSV file with element, limit and unit: for zeros and words like "bdl".
    decimal : {".", ","}, optional
        How to read ``1,234`` where neither its column nor another one tells.

    Returns
    -------
    survey : Survey
        Valid 2-D geometry, deposits as points inside the study area, one row a sampled place, positive
        numbers or NaN in every element column, elements that cannot be used left out, and a study area.
    findings : DataFrame
        severity, layer, column, rule, count, done, advice, rows. See :func:`require_accepted`.
    """
    found: list[Finding] = list(survey.findings)
    frames = {role: _clean_geometry(role, frame, found) for role, frame in survey.layers().items()}
    survey = replace(survey, **frames)
    if not len(survey.samples):
        return survey, as_table(found)
    samples, elements = clean_values(
        survey.samples,
        survey.elements,
        found,
        replacement=replacement,
        limits=detection_limits,
        decimal=decimal,
    )
    survey = replace(survey, samples=samples, elements=elements)
    survey = _merge_duplicates(survey, found)
    if survey.study_area is None or not len(survey.study_area):
        survey = replace(survey, study_area=study_area_of_samples(survey.samples))
        area = area_of(survey).area / 1e6
        note = f"the samples' convex hull and twice their median spacing around it is the study area ({area:,.0f} km2)"
        found.append(Finding("noticed", "study_area", "", "no study area", 0, note, "give a study_area layer"))
    survey = _keep_inside(survey, found)
    survey = _set_elements_aside(survey, found, max_censored, max_missing, min_sites)
    _check_deposits(survey, found)
    _check_cover(survey, found)
    return survey, as_table(found)


def clean_layer(role: str, frame: gpd.GeoDataFrame) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return one layer with clean geometry, and the findings; ``role`` says what it should be (see ``read.ROLES``)."""
    found: list[Finding] = []
    cleaned = _clean_geometry(role, frame, found)
    return cleaned, as_table(found)


def clean_samples(samples: gpd.GeoDataFrame, elements: dict[str, str]) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return samples with clean geometry and with positive numbers or NaN in the element columns, and the findings."""
    found: list[Finding] = []
    cleaned, _ = clean_values(_clean_geometry("samples", samples, found), elements, found)
    return cleaned, as_table(found)


def as_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return findings as a table, the gravest first."""
    columns = ["severity", "layer", "column", "rule", "count", "done", "advice", "rows"]
    table = pd.DataFrame([asdict(finding) for finding in findings], columns=columns)
    table["rows"] = [" ".join(map(str, rows)) for rows in table["rows"]]
    order = table["severity"].map({"refused": 0, "fixed": 1, "noticed": 2})
    return table.iloc[np.argsort(order.to_numpy(), kind="stable")].reset_index(drop=True)


def require_accepted(findings: pd.DataFrame) -> None:
    """Raise :class:`DataError` with the reasons when a finding refuses the data."""
    refused = findings[findings["severity"] == "refused"]
    if len(refused):
        lines = [f"{row.layer}: {row.done}. {row.advice}".rstrip(". ") + "." for row in refused.itertuples()]
        raise DataError("\n".join(lines))


def study_area_of_samples(samples: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the convex hull of the samples, buffered by twice their median spacing."""
    hull = samples.geometry.union_all().convex_hull.buffer(2 * median_spacing(samples) or 1000.0)
    return gpd.GeoDataFrame(geometry=[hull], crs=samples.crs)


def area_of(survey: Survey) -> shapely.Geometry:
    """Return the study area as one geometry: the layer, else the area around the samples."""
    area = survey.study_area if survey.study_area is not None else study_area_of_samples(survey.samples)
    return area.geometry.union_all()


def median_spacing(samples: gpd.GeoDataFrame) -> float:
    """Return the median distance (m) from a sampled place to the next; 0 with a single place."""
    places = np.unique(np.column_stack([samples.geometry.x, samples.geometry.y]), axis=0)
    if len(places) < 2:
        return 0.0
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1]))


def _rows(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(row) for row in np.flatnonzero(mask)[:5])


# --- geometry -------------------------------------------------------------------------------------------------------


def _clean_geometry(role: str, frame: gpd.GeoDataFrame, found: list[Finding]) -> gpd.GeoDataFrame:
    """Return the layer with valid, 2-D, single-type geometry; rows that have none are dropped."""
    shapes = shapely.force_2d(frame.geometry.to_numpy())
    empty = shapely.is_missing(shapes) | shapely.is_empty(shapes) | ~np.isfinite(shapely.bounds(shapes)).all(axis=1)
    _note(found, "fixed", role, "no geometry", empty, "rows without a place were left out")
    if shapely.has_z(frame.geometry.to_numpy()).any():
        flat = shapely.has_z(frame.geometry.to_numpy())
        _note(found, "noticed", role, "3-D geometry", flat, "heights are not used")
    invalid = ~empty & ~shapely.is_valid(shapes)
    _note(found, "fixed", role, "invalid geometry", invalid, "repaired (self-crossings, unclosed rings)")
    shapes[invalid] = shapely.make_valid(shapes[invalid])
    wanted, dimension = _WANTED[role]
    other = ~empty & (shapely.get_dimensions(shapes) != dimension)
    collection = shapely.get_type_id(shapes) == shapely.GeometryType.GEOMETRYCOLLECTION
    if role in ("samples", "deposits"):
        _note(found, "fixed", role, "not points", other, "a point inside each shape stands for it")
        shapes[other] = shapely.point_on_surface(shapes[other])
    else:
        shapes[collection] = [_only(shape, dimension) for shape in shapes[collection]]
        other = ~empty & (shapely.is_empty(shapes) | (shapely.get_dimensions(shapes) != dimension))
        _note(found, "fixed", role, f"not {wanted}", other, f"features that are not {wanted} were left out")
        empty |= other
    cleaned = frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))[~empty]
    cleaned = cleaned.rename_geometry("geometry") if cleaned.geometry.name != "geometry" else cleaned
    if role in ("samples", "deposits"):
        several = cleaned.geom_type.to_numpy() == "MultiPoint"
        cleaned = cleaned.explode(index_parts=False)
        _note(found, "noticed", role, "multi-part points", several, "each part counts as a point of its own")
    if not len(cleaned) and role in ("samples", "deposits"):
        found.append(Finding("refused", role, "", "empty layer", len(frame), f"the {role} have no usable geometry"))
    return cleaned.reset_index(drop=True)


_WANTED = {"samples": ("points", 0), "deposits": ("points", 0), "faults": ("lines", 1), "geology": ("polygons", 2)}
_WANTED["study_area"] = ("polygons", 2)


def _only(shape: shapely.Geometry, dimension: int) -> shapely.Geometry:
    """Return the parts of a collection that have the dimension, as one geometry."""
    parts = [part for part in shapely.get_parts(shape) if shapely.get_dimensions(part) == dimension]
    return shapely.union_all(parts)


def _note(
    found: list[Finding], severity: str, layer: str, rule: str, mask: np.ndarray, done: str, advice: str = ""
) -> None:
    """Add a finding for the rows of a mask, if there are any."""
    if mask.any():
        found.append(Finding(severity, layer, "", rule, int(mask.sum()), done, advice, _rows(mask)))


# --- several rows at one place ---------------------------------------------------------------------------------------


def _merge_duplicates(survey: Survey, found: list[Finding]) -> Survey:
    """Average the rows of one place (mean of logarithms) and drop deposits listed twice."""
    samples = survey.samples
    place = _places(samples)
    count = np.bincount(place)
    if len(count) < len(samples):
        several = int((count > 1).sum())
        first = samples.iloc[np.unique(place, return_index=True)[1]].reset_index(drop=True)
        values = np.log(samples[list(survey.elements)].where(samples[list(survey.elements)] > 0))
        means = np.exp(values.groupby(place).mean())
        merged = first.assign(**{column: means[column].to_numpy() for column in survey.elements}, rows_at_place=count)
        merged.attrs = samples.attrs
        note = f"{len(samples):,} rows at {len(count):,} places; {several:,} with several rows: averaged (log scale)"
        mask = (count > 1)[place]
        found.append(
            Finding("fixed", "samples", "", "several rows at one place", int(mask.sum()), note, "", _rows(mask))
        )
        samples = merged
    deposits = survey.deposits
    repeated = pd.Series(_places(deposits)).duplicated().to_numpy()
    _note(found, "fixed", "deposits", "listed twice", repeated, "deposits at the same coordinates count once")
    return replace(survey, samples=samples, deposits=deposits[~repeated].reset_index(drop=True))


def _places(points: gpd.GeoDataFrame) -> np.ndarray:
    """Return the number of each row's place; places equal to the millimetre are the same."""
    xy = np.round(np.column_stack([points.geometry.x, points.geometry.y]), 3)
    return np.unique(xy, axis=0, return_inverse=True)[1].ravel() if len(xy) else np.zeros(0, int)


# --- place, elements, labels ----------------------------------------------------------------------------------------


def _keep_inside(survey: Survey, found: list[Finding]) -> Survey:
    """Drop deposits outside the study area; samples outside it still help to grid its margin."""
    area = area_of(survey)
    shapely.prepare(area)
    outside = ~shapely.intersects(area, survey.samples.geometry.to_numpy())
    if outside.all():
        note = "all samples lie outside the study area"
        advice = "check the CRS and the units of the coordinates of both layers"
        found.append(Finding("refused", "samples", "", "outside the study area", int(outside.sum()), note, advice))
    else:
        _note(found, "noticed", "samples", "outside the study area", outside, "kept: they help to grid the margin")
    away = ~shapely.intersects(area, survey.deposits.geometry.to_numpy())
    _note(found, "fixed", "deposits", "outside the study area", away, "left out")
    return replace(survey, deposits=survey.deposits[~away].reset_index(drop=True))


def _set_elements_aside(
    survey: Survey, found: list[Finding], max_censored: float, max_missing: float, min_sites: int
) -> Survey:
    """Leave out the elements whose values cannot carry a map, each with its reason."""
    sites = len(survey.samples)
    if sites < min_sites:
        area = area_of(survey).area / 1e6
        note = (
            f"{sites} sampled places for {area:,.0f} km2 (one for {area / max(sites, 1):,.0f} km2) do not carry a map: "
            "no element is gridded, geology and faults alone make the evidence"
        )
        found.append(Finding("fixed", "samples", "", "too few samples", sites, note, "add samples"))
        if survey.geology is None and survey.faults is None:
            note = "neither elements nor geology nor faults are left as evidence"
            found.append(Finding("refused", "samples", "", "no evidence", sites, note, "add evidence"))
        return replace(survey, elements={})
    kept = usable_elements(
        survey.samples,
        survey.elements,
        found,
        max_censored=max_censored,
        max_missing=max_missing,
        min_sites=min_sites,
    )
    return replace(survey, elements=kept)


def _check_deposits(survey: Survey, found: list[Finding]) -> None:
    count = len(survey.deposits)
    if count < 2:
        note = f"{'no' if not count else 'only one'} deposit lies inside the study area"
        advice = "at least two are needed to learn from one and test on the other; ten or more to trust the figures"
        found.append(Finding("refused", "deposits", "", "too few deposits", count, note, advice))
    elif count < 20:
        note = f"{count} deposits: every share and every AUC of the evaluation has a wide interval"
        found.append(Finding("noticed", "deposits", "", "few deposits", count, note, "read the intervals"))


def _check_cover(survey: Survey, found: list[Finding]) -> None:
    """Say how much of the study area the geology covers and whether any fault lies in it."""
    area = area_of(survey)
    layers: list[tuple[str, Callable[[gpd.GeoDataFrame], float]]] = [
        ("geology", lambda frame: shapely.area(shapely.intersection(area, frame.geometry.union_all())) / area.area),
        ("faults", lambda frame: float(shapely.intersects(area, frame.geometry.to_numpy()).any())),
    ]
    for role, cover in layers:
        frame = getattr(survey, role)
        share = cover(frame) if frame is not None and len(frame) else 0.0
        if frame is None:
            note = f"no {role} layer: the stack has no {role} band"
            found.append(Finding("noticed", role, "", "no layer", 0, note))
        elif share == 0:
            note = f"the {role} do not touch the study area"
            found.append(Finding("refused", role, "", "elsewhere", len(frame), note, "check the CRS of this layer"))
        elif share < 0.999 and role == "geology":
            note = f'covers {100 * share:.1f} % of the study area; the rest becomes the class "unmapped"'
            found.append(Finding("noticed", role, "", "gaps", 0, note))
