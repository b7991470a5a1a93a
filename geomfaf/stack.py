"""The stack: every band of evidence on one grid, nodata outside the study area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .bands import Band, as_dataarray, bands_of
from .check import area_of, study_area_of_samples
from .errors import DataError, UsageError
from .grid import Grid, default_cell_size
from .idw import idw_grid
from .rasterize import FAULT_BANDS, fault_bands, rasterize_geology, study_area_mask
from .read import Survey

UNMAPPED = "unmapped"
"""Class of the ground inside the study area that no geology polygon covers."""


def survey_grid(survey: Survey, cell: float | None = None) -> Grid:
    """Return the grid over the study area; the cell is a round number giving 500 to 1,000 cells by default."""
    bounds = area_of(survey).bounds
    return Grid.from_bounds(bounds, default_cell_size(bounds) if cell is None else cell, survey.crs)


def build_stack(
    survey: Survey,
    grid: Grid,
    *,
    elements: Sequence[str] | None = None,
    power: float = 2.0,
    neighbours: int | None = 12,
    radius: float | None = None,
    scale: str = "log",
    geology: str = "largest",
    faults: Sequence[str] = ("distance",),
) -> xr.DataArray:
    """Grid the elements and rasterize geology and faults into one stack.

    Parameters
    ----------
    survey : Survey
        Checked, see :func:`geomfaf.check_survey`. Deposits are labels and never become a band.
    elements : sequence of str, optional
        Columns to grid; all of ``survey.elements`` when omitted.
    power, neighbours, radius, scale
        See :func:`geomfaf.idw_grid`. The default ``"log"`` interpolates log10 of the values, which are
        log-normal, and gives back the element's unit.
    geology : {"largest", "centre"}
        See :func:`geomfaf.rasterize_geology`.
    faults : sequence of {"distance", "presence", "density"}
        One band each; none when empty.

    Returns
    -------
    xarray.DataArray
        float32 (band, y, x): elements, ``geology``, ``fault_distance``, ... NaN outside the study area in every
        band, a class band included (in memory and in the file, which has one nodata value).
    """
    elements = list(survey.elements) if elements is None else list(elements)
    grid.require_memory(len(elements) + 1 + len(faults))
    area = survey.study_area if survey.study_area is not None else study_area_of_samples(survey.samples)
    inside = study_area_mask(area, grid)
    if not inside.any():
        raise UsageError(f"no cell centre lies inside the study area: a cell of {grid.cell:g} m is too large for it.")
    values: list[np.ndarray] = []
    bands: list[Band] = []
    if elements:
        options: dict[str, Any] = {"power": power, "neighbours": neighbours, "radius": radius, "scale": scale}
        layer = idw_grid(survey.samples, elements, grid, units=survey.elements, **options)
        values.extend(layer.values)
        bands.extend(bands_of(layer))
    if survey.geology is not None and survey.geology_column:
        classes, legend = rasterize_geology(survey.geology, survey.geology_column, grid, rule=geology)
        if (inside & (classes == 0)).any():
            legend[len(legend) + 1] = UNMAPPED
            classes[classes == 0] = len(legend)
        values.append(classes.astype(np.float32))
        bands.append(Band("geology", "class", "", f"Geology ({survey.geology_column})", legend))
    if survey.faults is not None and len(faults):
        values.extend(fault_bands(survey.faults, grid, faults, mask=inside))
        bands.extend(FAULT_BANDS[kind] for kind in faults)
    if not bands:
        raise DataError("no band is left: the survey needs usable elements, geology or faults.")
    stacked = np.stack(values).astype(np.float32)
    stacked[:, ~inside] = np.nan
    return as_dataarray(stacked, grid, bands)


def valid_cells(stack: xr.DataArray) -> np.ndarray:
    """Return which cells count, (y, x) bool: those with a value in at least one band.

    A gap in one band (an element out of reach of every sample) does not take a cell out of the area: models read
    it as that band's median.
    """
    return np.isfinite(stack.values).any(axis=0)
