"""A synthetic survey's size and seed go in; its elevation and its magnetic field come out.

Water runs over the elevation as it does in the survey, whose samples stand on its streams. The
hidden intrusions, which no layer of the survey shows and which deposits follow, are magnetic.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio.crs
import xarray as xr
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.warp import calculate_default_transform, reproject
from scipy.ndimage import gaussian_filter

from .rasters.bands import Band, as_dataarray
from .rasters.geotiff import write_raster
from .rasters.grid import Grid, parse_crs
from .survey.survey import Survey
from .synthetic import Truth, _analyse, make_survey
from .synthetic_ground import CELL, CRS, SIZES, cell_centres, drain, noise

FINE = 4
"""Cells of the magnetic grid along one of the survey's: 50 m."""

DEPTH = 400.0
"""Metres over which the anomaly of an intrusion fades beyond its rim."""

ANOMALY = 180.0
"""nT over the middle of a large intrusion."""

RELIEF = 900.0
"""Metres from the lowest to the highest place."""

ELSEWHERE = "EPSG:32649"
"""CRS of the files: not that of the survey, as it is with real data."""


def make_rasters(size: str = "small", *, seed: int = 0) -> dict[str, xr.DataArray]:
    """Return elevation and magnetic field of a synthetic survey, each as a stack of one band.

    Parameters
    ----------
    size, seed
        See :func:`geomfaf.make_survey`; the survey itself stays as it was.

    Returns
    -------
    dict
        ``"elevation"`` (m, 200 m cells, without a pit) and ``"magnetics"`` (nT, 50 m cells).
    """
    _, truth = make_survey(size, seed=seed)
    grid = Grid.from_bounds(SIZES[size].bounds, CELL, CRS)
    # The same stream of random numbers as in the survey: the same drainage.
    _, _, way = drain(np.random.default_rng(seed).spawn(8)[1], grid)
    height = (way / way.max()) ** 0.6
    elevation = (60 + RELIEF * height).reshape(grid.shape)
    # 1. the intrusions, blurred by their depth
    fine = grid.refined(FINE)
    bodies = rasterize(truth.intrusions.geometry, fine.shape, transform=fine.transform)
    field = ANOMALY * gaussian_filter(bodies.astype(float), DEPTH / fine.cell)
    # 2. a regional field and what every rock and flight adds
    rng = np.random.default_rng([seed, 1])
    field += 40 * noise(rng, fine, 6_000) + 12 * noise(rng, fine, 900)
    field += 2 * rng.standard_normal(fine.shape) + 30 * np.linspace(0, 1, fine.height)[:, None]
    return {
        "elevation": as_dataarray(
            elevation[None], grid, [Band("elevation", "continuous", "m", "Elevation (m)")]
        ),
        "magnetics": as_dataarray(
            field[None], fine, [Band("magnetics", "continuous", "nT", "Magnetic field (nT)")]
        ),
    }


def route_sediment(survey: Survey, truth: Truth, size: str = "small", *, seed: int = 0) -> Survey:
    """Return the survey with the values that its streams would carry to its samples.

    The ground of every cell of 200 m holds what :func:`geomfaf.make_survey` would find there; a
    sample holds the mean of the ground whose water passes it, and a laboratory's error of 2 %.

    Parameters
    ----------
    survey, truth, size, seed
        Result and arguments of :func:`geomfaf.make_survey`.
    """
    rngs = np.random.default_rng(seed).spawn(8)
    grid = Grid.from_bounds(SIZES[size].bounds, CELL, CRS)
    receiver, upstream, way = drain(rngs[1], grid)
    # 1. what the ground of every cell holds
    places = cell_centres(grid)
    deposits = pd.concat([survey.deposits, truth.undiscovered], ignore_index=True)
    ground = _analyse(rngs[6], grid, survey.geology, deposits, places)
    # 2. the sums of everything upstream, from the farthest cell down
    names = list(survey.elements)
    values = ground[names].to_numpy(float)
    values = np.where(values < 0, -values / 2, values)
    load = np.where(np.isfinite(values), values, np.nanmedian(values, axis=0))
    for source in np.argsort(-way):
        if receiver[source] >= 0:
            load[receiver[source]] += load[source]
    # 3. what arrives at the samples
    xy = survey.samples.get_coordinates().to_numpy()
    row, column = grid.rowcol(*xy.T)
    at = row * grid.width + column
    error = np.random.default_rng([seed, 2]).normal(0, 0.02, (len(at), len(names)))
    arrived = load[at] / upstream[at, None] * 10**error
    samples = survey.samples.assign(**dict(zip(names, arrived.T, strict=True)))
    return replace(survey, samples=samples)


def write_rasters(
    folder: str | Path,
    size: str = "small",
    *,
    seed: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write the rasters of a synthetic survey as GeoTIFFs in another CRS than the survey's.

    Returns
    -------
    list of Path
        ``elevation.tif`` and ``magnetics.tif``.
    """
    paths = []
    for name, array in make_rasters(size, seed=seed).items():
        warped = _warped(array)
        path = Path(folder) / f"{name}.tif"
        paths.append(write_raster(warped, path, overwrite=overwrite))
    return paths


def _warped(array: xr.DataArray) -> xr.DataArray:
    """Return a band in the CRS of the files."""
    source_crs = rasterio.crs.CRS.from_user_input(CRS)
    target_crs = rasterio.crs.CRS.from_user_input(ELSEWHERE)
    _, height, width = array.shape
    bounds = array.rio.bounds()
    transform, columns, rows = calculate_default_transform(
        source_crs, target_crs, width, height, *bounds
    )
    values = np.full((1, rows, columns), np.nan, np.float32)
    reproject(
        array.values,
        values,
        src_transform=array.rio.transform(),
        src_crs=source_crs,
        dst_transform=transform,
        dst_crs=target_crs,
        src_nodata=np.nan,
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
    )
    grid = Grid(parse_crs(ELSEWHERE), transform, (rows, columns))
    name = str(array.band.values[0])
    band = Band(name, "continuous", str(array.unit.values[0]), str(array.description.values[0]))
    return as_dataarray(values, grid, [band])
