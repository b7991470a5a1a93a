"""A survey: every layer of an area in one metric CRS, and where each of them comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from ..notebook import page, sentences, small_map, table
from .cleaning.findings import Finding, as_table
from .cleaning.geometry import median_spacing
from .formats import hidden_password, is_database

ROLES = ("samples", "deposits", "geology", "faults", "study_area")

XY_UNITS = {
    "m": 1.0,
    "km": 1000.0,
    "deg": 1.0,
}


@dataclass(frozen=True)
class CheckedElement:
    """What `check` learned of one element column.

    Attributes
    ----------
    column, element, unit : str
        The column of the samples, the element or oxide it holds, its unit; a guessed one ends in
        ``?``.
    values, below, above : int
        Rows with a known value; those below a detection limit, and above a range, among them.
    limits, upper_limits : str
        The limits with the rows that have each: ``"0.05 (12), 0.1 (3)"``.
    unknown_limit : int
        Rows below a limit that nobody wrote down.
    aside : (rule, reason), optional
        Why the column cannot be used whatever its values are: a copy of another, no concentrations.
    """

    column: str
    element: str
    unit: str
    values: int
    below: int
    limits: str
    unknown_limit: int
    above: int
    upper_limits: str
    aside: tuple[str, str] | None = None

    @property
    def share_below(self) -> float:
        """Share of the known values that are below detection."""
        return self.below / max(self.values, 1)

    @property
    def share_above(self) -> float:
        """Share of the known values that are above the range."""
        return self.above / max(self.values, 1)


@dataclass(frozen=True)
class Survey:
    """Everything geomfaf knows about an area, in one projected CRS with metres.

    Attributes
    ----------
    samples : GeoDataFrame
        Points with one numeric column an element.
    deposits : GeoDataFrame
        Known deposits, points. They are labels and never a band.
    geology, faults : GeoDataFrame or None
        Polygons of the geological map; fault lines.
    study_area : GeoDataFrame or None
        Polygon(s) outside which nothing is computed or counted.
    elements : dict
        Column of ``samples`` -> unit ("ppm", "ppb", "%", "" when unknown).
    geology_column : str or None
        Column of ``geology`` with the class names.
    findings : tuple of Finding
        What reading had to change, for the table of :func:`geomfaf.check_survey`.
    checked : tuple of CheckedElement
        What :func:`geomfaf.check_survey` learned of the element columns, those it set aside among
        them; empty before.

    Examples
    --------
    >>> import geomfaf as gm
    >>> made = gm.make_survey("small")[0]
    >>> gm.Survey(made.samples, made.deposits)
    <Survey: 1,900 samples, 36 deposits; 0 elements, 0 findings; WGS 84 / UTM zone 50N>
    """

    samples: gpd.GeoDataFrame
    deposits: gpd.GeoDataFrame
    geology: gpd.GeoDataFrame | None = None
    faults: gpd.GeoDataFrame | None = None
    study_area: gpd.GeoDataFrame | None = None
    elements: dict[str, str] = field(default_factory=dict)
    geology_column: str | None = None
    findings: tuple[Finding, ...] = ()
    checked: tuple[CheckedElement, ...] = ()

    @property
    def crs(self) -> CRS:
        """The one CRS of all layers."""
        return CRS.from_user_input(self.samples.crs)

    def layers(self) -> dict[str, gpd.GeoDataFrame]:
        """Return the layers that are there, by role."""
        return {role: frame for role in ROLES if (frame := getattr(self, role)) is not None}

    def __repr__(self) -> str:
        counts = [f"{len(frame):,} {role}" for role, frame in self.layers().items()]
        found = f"{len(self.elements)} elements, {len(self.findings)} findings"
        return f"<Survey: {', '.join(counts)}; {found}; {self.crs.name}>"

    def _repr_html_(self) -> str:
        rows = [
            (role, len(frame), ", ".join(map(str, frame.columns.drop(frame.geometry.name)[:8])))
            for role, frame in self.layers().items()
        ]
        # What a notebook shows: layers, elements, findings and a small map.
        parts = [table(pd.DataFrame(rows, columns=["layer", "features", "columns"]))]
        elements = [f"{name} ({unit})" if unit else name for name, unit in self.elements.items()]
        parts.append(sentences([f"elements: {', '.join(elements)}"]))
        if self.findings:
            found = as_table(self.findings)
            parts.append(table(found[["severity", "layer", "column", "rule", "count", "done"]]))
        parts.append(small_map(self._draw, "samples and deposits"))
        return page(f"Survey in {self.crs.name}", *parts)

    def _draw(self, axes: Any) -> None:
        """Draw faults, samples and deposits."""
        if self.faults is not None:
            self.faults.plot(ax=axes, color="#808080", linewidth=0.5)
        self.samples.plot(ax=axes, color="#08519c", markersize=1)
        self.deposits.plot(ax=axes, color="#cb181d", marker="^", markersize=20)


@dataclass(frozen=True)
class Source:
    """Where a layer comes from.

    Parameters
    ----------
    path : path or str
        A file, or the address of a database (``postgresql://user@host/base``).
    layer : str, optional
        Layer of the file, sheet of a workbook or table of a database; the only one when omitted.
    layers : tuple of str, optional
        Several layers of the file that are joined.
    x, y : str, optional
        Columns of a table that hold the coordinates; found by name when omitted.
    crs : str, optional
        For files without a CRS; overrules the one of a file that has one.
    xy_unit : {"m", "km", "deg"}, optional
        Unit of the coordinates.
    where : str, optional
        SQL condition on the features that are kept, such as ``commodity LIKE '%Cu%'``.
    swap_xy : bool
        Whether north stands before east.
    query : str, optional
        SQL query of a database, in place of ``layer``.
    encoding : str, optional
        Of the text, where it is not found.
    header, units_row : int, optional
        Rows of a table, from 1, that hold the headings and the units.
    skip : int, optional
        Rows at the top that are no part of the table.

    Examples
    --------
    >>> import geomfaf as gm
    >>> gm.Source("survey.gpkg", "deposits", where="commodity = 'Au'").name
    'survey.gpkg'
    """

    path: Path | str
    layer: str | None = None
    layers: tuple[str, ...] | None = None
    x: str | None = None
    y: str | None = None
    crs: str | None = None
    xy_unit: str | None = None
    where: str | None = None
    swap_xy: bool = False
    query: str | None = None
    encoding: str | None = None
    header: int | None = None
    units_row: int | None = None
    skip: int | None = None

    @property
    def name(self) -> str:
        """The file's name, or the address of a database without its password."""
        if is_database(self.path):
            return hidden_password(str(self.path))
        return Path(self.path).name


def study_area_of_samples(samples: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the convex hull of the samples, buffered by twice their median spacing."""
    xy = shapely.get_coordinates(samples.geometry.to_numpy())
    # One line through all of them has their hull, without a shape for each; a line needs two ends.
    line = shapely.linestrings(np.vstack([xy, xy[:1]]))
    hull = shapely.convex_hull(line).buffer(2 * median_spacing(samples) or 1000.0)
    return gpd.GeoDataFrame(geometry=[hull], crs=samples.crs)


def area_of(survey: Survey) -> shapely.Geometry:
    """Return the study area as one geometry: the layer, else the area around the samples."""
    area = (
        survey.study_area
        if survey.study_area is not None
        else study_area_of_samples(survey.samples)
    )
    return area.geometry.union_all()
