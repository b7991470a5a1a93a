"""Inverse-distance weighting of all elements in one pass.

The estimate at a point is ``sum(w_i z_i) / sum(w_i)`` with ``w_i = d_i ** -power`` over its k
nearest samples (Shepard 1968, doi 10.1145/800186.810616). Three rules make the answer unique:

* samples at one place (to the millimetre) are averaged first and count once;
* **ties**: every sample no farther than the k-th nearest distance counts, to one part in 10**9, so
  that the result does not depend on the order of the samples;
* at a sample's own place (to the micrometre) the estimate is the sample.

Three engines give the same answer (to 1e-6, mostly 1e-7): scipy's tree for small jobs, compiled
k-nearest tiles (:mod:`geomfaf.evidence.idw_engines.kernels`) and the compiled far field for all
samples (:mod:`geomfaf.evidence.idw_engines.far_field`). Which one runs depends on the job's size
only, so that a job repeats to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr

from ..progress import say
from ..rasters.bands import Band, as_dataarray, with_making
from ..rasters.blocks import cores, fill_blocks
from ..rasters.grid import Grid
from ..rasters.stream import stream_raster
from ..survey.element_names import label
from .idw_engines.cross_validation import cross_validate_idw
from .idw_engines.options import IDW_SETTINGS, IdwOptions, make_rule
from .idw_engines.plan import IdwPlan
from .idw_engines.samples import (
    bands_by_missing,
    check_samples,
    merge_places,
    metric,
    point_search,
    sample_values,
)
from .idw_engines.tree_engine import CHUNK, FAR, TIE

__all__ = [
    "CHUNK",
    "IDW_SETTINGS",
    "TIE",
    "IdwOptions",
    "cross_validate_idw",
    "idw",
    "idw_grid",
    "idw_points",
    "idw_to_file",
    "merge_places",
]


def idw_grid(  # noqa: PLR0913  (one keyword a choice of the gridding)
    samples: gpd.GeoDataFrame,
    elements: Sequence[str],
    grid: Grid,
    *,
    power: float | str = 2.0,
    neighbours: int | str | None = 12,
    radius: float | None = None,
    scale: str = "linear",
    units: dict[str, str] | None = None,
    options: IdwOptions | None = None,
) -> xr.DataArray:
    """Grid element columns of a sample layer by inverse-distance weighting.

    Parameters
    ----------
    samples : GeoDataFrame
        Points in the CRS of ``grid``. A missing value (NaN) drops the sample for that element only.
    elements : sequence of str
        Columns to grid, one band each.
    grid : Grid
        Where to estimate: the cell centres.
    power : float
        Exponent of the distance; "auto" takes the one with the smallest leave-one-out error.
    neighbours : int or None
        Number of nearest samples (more where they tie); None takes all samples, "auto" chooses.
    radius : float, optional
        Metres; samples farther away do not count, and cells without any are NaN.
    scale : {"linear", "log"}
        ``"log"`` weights log10 of the values and returns the antilogarithm, in the element's own
        unit: one rich sample then no longer paints a bull's-eye. Values must be positive.
    units : dict, optional
        Unit of each element, written to its band.
    options : IdwOptions, optional
        Minimum count, farthest distance, anisotropy, barriers, extra bands, tolerance, engine.

    Returns
    -------
    xarray.DataArray
        float32 (band, y, x); the extra bands ``nearest_sample`` (m) and ``samples_used`` come last.

    Examples
    --------
    >>> from shapely import Point
    >>> layer = gpd.GeoDataFrame({"Au": [1.0, 3.0]}, geometry=[Point(50, 50), Point(250, 50)], crs=32633)
    >>> idw_grid(layer, ["Au"], Grid.from_bounds((0, 0, 300, 100), 100, 32633)).values.tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    plan, bands = plan_grid(
        samples,
        elements,
        grid,
        power=power,
        neighbours=neighbours,
        radius=radius,
        scale=scale,
        units=units,
        options=options,
    )
    # What was decided once is computed block by block, and remembered with the bands.
    array = as_dataarray(_fill(plan), grid, bands)
    making = making_of(samples, elements, plan, scale)
    return with_making(array, dict(zip([band.name for band in bands], making, strict=True)))


def _fill(plan: IdwPlan) -> np.ndarray:
    """Return float32 (bands, y, x) of a plan's whole grid."""
    prepare(plan)
    return fill_blocks(plan.block, plan.grid, plan.bands, "gridding")


def prepare(plan: IdwPlan) -> IdwPlan:
    """Build a plan's search structures on all cores; returns the plan."""
    with ThreadPoolExecutor(cores()) as pool:
        return plan.prepare(pool)


def making_of(
    samples: gpd.GeoDataFrame,
    elements: Sequence[str],
    plan: IdwPlan,
    scale: str,
) -> list[dict[str, str]]:
    """Return what each band should remember of its making: power, neighbours, radius, errors when
    asked for.
    """
    rule = plan.rule
    common = {
        "idw_power": f"{rule.power:g}",
        "idw_neighbours": str(rule.neighbours or "all"),
        "idw_scale": scale,
    }
    # A radius that reaches everywhere is none.
    radius = None
    if rule.radius < FAR:
        radius = rule.radius
        common["idw_radius"] = f"{radius:g}"
    making = [dict(common) for _ in range(plan.bands)]
    if plan.options.errors:
        table = cross_validate_idw(
            samples,
            elements,
            power=rule.power,
            neighbours=rule.neighbours or None,
            radius=radius,
            scale=scale,
            options=plan.options,
        )
        say(_error_lines(table))
        for _, row in table.iterrows():
            # GeoTIFF tags are single words.
            scheme = row["scheme"].replace(" ", "_").replace("-", "_")
            own = making[list(elements).index(row["element"])]
            for error in ("rmse", "rmse_log10"):
                own[f"{error}_{scheme}"] = f"{row[error]:.6g}"
    return making


def _error_lines(table: pd.DataFrame) -> str:
    """Return the cross-validated errors for people, one line an element."""
    columns = {}
    for error, title in (("rmse", "RMSE"), ("rmse_log10", "RMSE log10")):
        for scheme, part in table.groupby("scheme", sort=False):
            columns[f"{title}, {scheme}"] = part.set_index("element")[error]
    wide = pd.DataFrame(columns)
    lines = wide.reset_index().to_string(index=False, float_format="{:.3g}".format)
    return f"cross-validated errors\n{lines}"


def idw_to_file(  # noqa: PLR0913  (choices of the gridding and of the file)
    samples: gpd.GeoDataFrame,
    elements: Sequence[str],
    grid: Grid,
    path: str | Path,
    *,
    power: float | str = 2.0,
    neighbours: int | str | None = 12,
    radius: float | None = None,
    scale: str = "linear",
    units: dict[str, str] | None = None,
    options: IdwOptions | None = None,
    overwrite: bool = False,
    cog: bool = False,
    scheduler: str | None = None,
) -> Path:
    """Grid element columns into a GeoTIFF or Zarr store of any size, block by block.

    Takes what :func:`idw_grid` takes, and gives the same numbers. Memory holds the samples and a
    few blocks; an interrupted run goes on where it stopped when it is called again.

    Parameters
    ----------
    samples : GeoDataFrame
        Points in the CRS of the grid.
    elements : sequence of str
        Columns to grid.
    grid : Grid
        The cells, in metres.
    path : path
        Ending in ``.tif`` or ``.zarr``.
    power, neighbours, radius, scale, units, options
        See :func:`idw_grid`.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.
    cog : bool
        Make the finished GeoTIFF a cloud-optimised one, with overviews.
    scheduler : str, optional
        Address of a Dask scheduler, such as "tcp://10.0.0.1:8786", whose workers compute the
        blocks.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> path = gm.idw_to_file(survey.samples, ["Au_ppb"], grid, f"{tempfile.mkdtemp()}/au.tif")
    >>> gm.read_raster(path).sel(band="Au").shape == grid.shape
    True
    """
    plan, bands = plan_grid(
        samples,
        elements,
        grid,
        power=power,
        neighbours=neighbours,
        radius=radius,
        scale=scale,
        units=units,
        options=options,
    )
    prepare(plan)
    return stream_raster(
        path,
        grid,
        bands,
        plan.block,
        job=plan.fingerprint(),
        tags=making_of(samples, elements, plan, scale),
        overwrite=overwrite,
        cog=cog,
        scheduler=scheduler,
    )


def plan_grid(  # noqa: PLR0913  (one keyword a choice of the gridding)
    samples: gpd.GeoDataFrame,
    elements: Sequence[str],
    grid: Grid,
    *,
    power: float | str = 2.0,
    neighbours: int | str | None = 12,
    radius: float | None = None,
    scale: str = "linear",
    units: dict[str, str] | None = None,
    options: IdwOptions | None = None,
) -> tuple[IdwPlan, list[Band]]:
    """Check a sample layer and return the prepared interpolation with the bands it gives.

    Takes what :func:`idw_grid` takes.
    """
    # 1. Samples and barriers must lie on the grid's ground.
    xy, values = sample_values(samples, elements, scale)
    grid.require_crs(samples.crs, "samples")
    if options is not None and isinstance(options.barriers, gpd.GeoDataFrame):
        grid.require_crs(options.barriers.crs, "barriers")
    # 2. Everything that is decided once, the best power and neighbours included.
    plan = IdwPlan(
        xy,
        values,
        grid,
        power=power,
        neighbours=neighbours,
        radius=radius,
        options=options,
        antilog=scale == "log",
    )
    if "auto" in (power, neighbours):
        say(
            f"smallest leave-one-out error: power {plan.rule.power:g}, {plan.rule.neighbours}"
            " neighbours"
        )
    # 3. What the bands will be.
    how = "IDW of log10" if scale == "log" else "IDW"
    units = units or {}
    bands = []
    for name in elements:
        unit = units.get(name, "")
        bands.append(Band(name, "element", unit, f"{label(name, unit)}, {how}"))
    return plan, bands + [EXTRA_BANDS[name] for name in plan.options.extras]


EXTRA_BANDS = {
    "distance": Band("nearest_sample", "distance", "m", "Distance to the nearest sample (m)"),
    "count": Band("samples_used", "density", "", "Number of samples used"),
}


def idw(
    xy: np.ndarray,
    values: np.ndarray,
    grid: Grid,
    *,
    power: float = 2.0,
    neighbours: int | None = 12,
    radius: float | None = None,
    options: IdwOptions | None = None,
) -> np.ndarray:
    """Estimate values at the cell centres of a grid.

    Parameters
    ----------
    xy : ndarray
        (samples, 2) coordinates in metres.
    values : ndarray
        (bands, samples); NaN drops the sample for that band.
    grid : Grid
        The cells, in metres.
    power : float
        Exponent of the distance.
    neighbours : int or None
        Nearest samples that count; None takes all.
    radius : float, optional
        Metres; farther samples do not count.
    options : IdwOptions, optional
        Everything else, see :class:`geomfaf.IdwOptions`.

    Returns
    -------
    ndarray
        float32 (band, y, x), NaN where no sample counts.

    Examples
    --------
    >>> import numpy as np
    >>> import geomfaf as gm
    >>> grid = gm.Grid.from_bounds((0, 0, 300, 100), 100, 32633)
    >>> xy = np.array([[50.0, 50.0], [250.0, 50.0]])
    >>> gm.idw(xy, np.array([[1.0, 3.0]]), grid).tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    plan = IdwPlan(
        xy,
        values,
        grid,
        power=power,
        neighbours=neighbours,
        radius=radius,
        options=options,
    )
    return _fill(plan)


def idw_points(
    xy: np.ndarray,
    values: np.ndarray,
    targets: np.ndarray,
    *,
    power: float = 2.0,
    neighbours: int | None = 12,
    radius: float | None = None,
    options: IdwOptions | None = None,
) -> np.ndarray:
    """Estimate values at any points; float64 (bands, points). See :func:`idw`.

    Parameters
    ----------
    xy : ndarray
        (samples, 2) coordinates in metres.
    values : ndarray
        (bands, samples); NaN drops the sample for that band.
    targets : ndarray
        (points, 2) coordinates in metres.
    power : float
        Exponent of the distance.
    neighbours : int or None
        Nearest samples that count; None takes all.
    radius : float, optional
        Metres; farther samples do not count.
    options : IdwOptions, optional
        Everything else, see :class:`geomfaf.IdwOptions`.

    Returns
    -------
    ndarray
        float64 (bands, points), NaN where no sample counts.

    Examples
    --------
    >>> idw_points([[0, 0], [3, 0]], [[1.0, 4.0]], [[0, 0], [1, 0]]).round(6).tolist()
    [[1.0, 1.6]]
    """
    options = options or IdwOptions()
    rule = make_rule(power, neighbours, radius, options)
    # Samples of one place are one: no distance between them can weight them.
    places, values = merge_places(*check_samples(xy, values))
    targets = np.asarray(targets, float)
    transform = metric(options.anisotropy, places)
    result = np.full((len(values), len(targets)), np.nan)
    for bands, mask in bands_by_missing(values):
        # Elements that miss the same samples share one search.
        search = point_search(
            places[mask], values[np.ix_(bands, mask)], rule, transform, options.barriers
        )
        result[bands] = search.estimate(transform(targets)).values
    return result
