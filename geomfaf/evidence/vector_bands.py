"""A layer of polygons or lines and a grid go in; its one band comes out, as an array or a file."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import xarray as xr

from ..rasters.bands import as_dataarray
from ..rasters.blocks import fill_blocks
from ..rasters.grid import Grid
from ..rasters.stream import stream_raster
from ..survey.class_columns import class_column
from .faults import FaultLayer
from .geology import GeologyLayer


class VectorPlan:
    """One layer of polygons or lines made ready to give any block of its band."""

    def __init__(
        self,
        layer: gpd.GeoDataFrame,
        grid: Grid,
        kind: str,
        *,
        column: str | None = None,
        rule: str = "largest",
    ):
        self.layer: GeologyLayer | FaultLayer
        if kind == "geology":
            self.layer = GeologyLayer(layer, class_column(layer, column), grid, rule=rule)
            self.band = self.layer.band
        else:
            self.layer = FaultLayer(layer, grid, [kind])
            self.band = self.layer.bands[0]

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return float32 (1, height, width), NaN where no polygon is."""
        values = self.layer.block(row, column, height, width)
        if isinstance(self.layer, FaultLayer):
            return values
        return np.where(values > 0, values.astype(np.float32), np.nan)[None]

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the numbers."""
        return self.layer.fingerprint()


def vector_band(
    layer: gpd.GeoDataFrame,
    grid: Grid,
    kind: str,
    *,
    column: str | None = None,
    rule: str = "largest",
) -> xr.DataArray:
    """Return one band of a layer as a DataArray: ``geology`` classes, or a fault band by name."""
    plan = VectorPlan(layer, grid, kind, column=column, rule=rule)
    return as_dataarray(fill_blocks(plan.block, grid, 1, f"rasterizing {kind}"), grid, [plan.band])


def vector_to_file(  # noqa: PLR0913  (choices of the file)
    layer: gpd.GeoDataFrame,
    grid: Grid,
    kind: str,
    path: str | Path,
    *,
    column: str | None = None,
    rule: str = "largest",
    overwrite: bool = False,
    cog: bool = False,
    scheduler: str | None = None,
) -> Path:
    """Rasterize a layer into a file of any size, block by block.

    Parameters
    ----------
    layer, grid, kind, column, rule
        See :func:`vector_band`.
    path, cog, scheduler
        See :func:`geomfaf.idw_to_file`.
    """
    plan = VectorPlan(layer, grid, kind, column=column, rule=rule)
    return stream_raster(
        path,
        grid,
        [plan.band],
        plan.block,
        job=plan.fingerprint(),
        overwrite=overwrite,
        cog=cog,
        scheduler=scheduler,
    )
