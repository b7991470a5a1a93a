"""Samples and a DEM go in; how far off catchments and inverse distances are comes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..rasters.grid import Grid
from ..survey.survey import Survey
from .catchments import SNAP_CELLS, CatchmentOptions, Drainage, catchment_values
from .inverse_distance import IdwOptions, make_rule, metric, point_search, sample_values
from .own_rasters import RasterLayer, RasterSource


def cross_validate_catchments(
    survey: Survey,
    elements: Sequence[str],
    grid: Grid,
    options: CatchmentOptions,
) -> pd.DataFrame:
    """Return how far off catchments and inverse distances are where a sample is left out.

    A place that is left out is estimated from the next sample downstream of it; where there is
    none, both methods are the interpolation. Twelve neighbours, power 2, log10.

    Returns
    -------
    DataFrame
        One row an element and method ("catchments", "idw"): element, method, places, below (places
        with a sample downstream), rmse_log10 over all places, rmse_log10_below over those.
    """
    # 1. Drainage and samples as the layer itself has them.
    dem = RasterLayer(RasterSource(options.dem, "dem"), grid)
    drainage = Drainage(dem.values(0, 0, *grid.shape), grid)
    grid.require_crs(survey.samples.crs, "samples")
    xy, values = sample_values(survey.samples, elements, "log")
    snap = SNAP_CELLS * grid.cell if options.snap is None else options.snap
    cell, _ = drainage.place(xy, stream=options.stream, snap=snap)
    # 2. Each element by itself, for each misses other samples.
    rows = []
    for name, own in zip(elements, values, strict=True):
        used = np.isfinite(own) & (cell >= 0)
        found = catchment_values(drainage, cell[used], own[None, used])
        places = np.column_stack(grid.xy(*np.divmod(found.outlets, grid.width)))
        true = found.values[0]
        by_distance = _left_out_idw(places, true)
        # 3. A place that is left out takes the value of the next outlet downstream.
        has_below = found.below >= 0
        by_catchment = np.where(has_below, true[np.maximum(found.below, 0)], by_distance)
        for method, guess in (("catchments", by_catchment), ("idw", by_distance)):
            error = guess - true
            rows.append(
                {
                    "element": name,
                    "method": method,
                    "places": len(true),
                    "below": int(has_below.sum()),
                    "rmse_log10": float(np.sqrt((error**2).mean())),
                    "rmse_log10_below": float(np.sqrt((error[has_below] ** 2).mean())),
                }
            )
    return pd.DataFrame(rows)


def _left_out_idw(places: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Estimate each place from the twelve nearest others."""
    rule = make_rule(2.0, 12, None, IdwOptions())
    search = point_search(places, values[None], rule, metric(None, places))
    return search.estimate(places, own=True).values[0]
