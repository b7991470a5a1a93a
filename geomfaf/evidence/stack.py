"""The stack: every band of evidence on one grid, nodata outside the study area.

One plan (:class:`StackPlan`) holds every layer ready; its blocks fill an array
(:func:`build_stack`) or a file larger than memory (:func:`stack_to_file`), on threads or on a Dask
cluster, with the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import DataError, UsageError
from ..progress import say
from ..rasters.bands import Band, as_dataarray, with_making
from ..rasters.blocks import fill_blocks
from ..rasters.grid import Grid, default_cell_size
from ..rasters.stream import stream_raster
from ..survey.cleaning.findings import Finding
from ..survey.survey import Survey, area_of, study_area_of_samples
from .catchments import CatchmentLayer, CatchmentOptions
from .faults import FaultLayer
from .geochemistry import GeochemistryLayer
from .geology import AreaLayer
from .installed import InstalledLayer
from .inverse_distance import IdwOptions
from .layers import UNMAPPED, ElementLayer, EvidenceLayer, RockLayer
from .own_rasters import RasterLayer, RasterSource, raster_findings
from .proximity import ProximitySource, proximity_layer
from .structure import structure_layers


def survey_grid(survey: Survey, cell: float | None = None) -> Grid:
    """Return the grid over the study area; the cell is a round number giving 500 to 1,000 cells by
    default.

    Parameters
    ----------
    survey : Survey
        Checked, see :func:`geomfaf.check_survey`.
    cell : float, optional
        Metres along a cell; a round number when omitted.

    Returns
    -------
    Grid
        In the CRS of the survey, its edges on whole cells.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> gm.survey_grid(survey, cell=200).shape
    (100, 100)
    """
    bounds = area_of(survey).bounds
    return Grid.from_bounds(bounds, default_cell_size(bounds) if cell is None else cell, survey.crs)


class StackPlan:
    """Every layer of a survey made ready to give any block of the stack.

    Parameters
    ----------
    survey, grid, elements, power, neighbours, radius, scale, options, geology, faults, rasters, \
    proximity, structure, radii, structure_max, fault_type, catchments, geochemistry, installed
        See :func:`build_stack`.

    Attributes
    ----------
    layers : list of EvidenceLayer
        What makes the bands, in their order.
    bands : list of Band
        Those of a block, the class "unmapped" in the legend.
    making : list of dict
        What each band remembers of its making.
    """

    def __init__(  # noqa: PLR0913  (one keyword a kind of evidence)
        self,
        survey: Survey,
        grid: Grid,
        *,
        elements: Sequence[str] | None = None,
        power: float | str = 2.0,
        neighbours: int | str | None = 12,
        radius: float | None = None,
        scale: str = "log",
        options: IdwOptions | None = None,
        geology: str = "largest",
        faults: Sequence[str] = ("distance",),
        rasters: Sequence[RasterSource] = (),
        proximity: Sequence[ProximitySource] = (),
        structure: Sequence[str] = (),
        radii: Sequence[float] | None = None,
        structure_max: float | None = None,
        fault_type: str | None = None,
        catchments: CatchmentOptions | None = None,
        geochemistry: Sequence[str] = (),
        installed: Sequence[str] = (),
    ):
        self.grid = grid
        # 1. The ground that counts, and the elements: by catchments or by distances.
        area = survey.study_area
        if area is None:
            area = study_area_of_samples(survey.samples)
        self.area = AreaLayer(area, grid)
        self.layers: list[EvidenceLayer] = []
        elements = list(survey.elements) if elements is None else list(elements)
        if elements and catchments is not None:
            self.layers.append(CatchmentLayer(survey, elements, grid, catchments))
        elif elements:
            gridded = ElementLayer(
                survey,
                elements,
                grid,
                power=power,
                neighbours=neighbours,
                radius=radius,
                scale=scale,
                options=options,
            )
            self.layers.append(gridded)
        # 2. The maps of the survey.
        if survey.geology is not None and survey.geology_column:
            self.layers.append(RockLayer(survey.geology, survey.geology_column, grid, rule=geology))
        if survey.faults is not None and len(faults):
            self.layers.append(FaultLayer(survey.faults, grid, faults))
        # 3. What the user adds, and what is derived from samples and maps.
        self.layers += self._raster_layers(rasters)
        self.layers += [proximity_layer(near, grid, survey.deposits) for near in proximity]
        if geochemistry:
            features = GeochemistryLayer(survey, list(survey.elements), grid, geochemistry)
            self.layers.append(features)
        self.layers += structure_layers(
            survey, grid, structure, radii=radii, most=structure_max, type_column=fault_type
        )
        self.layers += [InstalledLayer(name, survey, grid) for name in installed]
        if not self.layers:
            raise DataError("no band is left: the survey needs usable elements, geology or faults.")
        # 4. Each layer brings its bands, in the order of the layers.
        self.bands = [band for layer in self.layers for band in layer.bands]
        self.making = [own for layer in self.layers for own in layer.making]

    def _raster_layers(self, rasters: Sequence[RasterSource]) -> list[EvidenceLayer]:
        """Return the layers of the user's rasters; what is odd about them is said."""
        layers: list[EvidenceLayer] = []
        for source in rasters:
            raster = RasterLayer(source, self.grid)
            report(raster_findings(raster, self.area))
            layers.append(raster)
        return layers

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return float32 (bands, height, width); NaN outside the study area in every band."""
        window = (row, column, height, width)
        inside = self.area.block(*window)
        # Most blocks of a ragged study area are empty: they cost nothing.
        if not inside.any():
            return np.full((len(self.bands), height, width), np.nan, np.float32)
        block = np.concatenate([layer.block(*window, inside) for layer in self.layers])
        block[:, ~inside] = np.nan
        return block

    def settle(
        self, bands: Sequence[Band], statistics: Sequence[Mapping[str, float]]
    ) -> list[Band]:
        """Return the bands as they turned out: no class "unmapped" where everything is mapped."""
        settled = []
        for band, figures in zip(bands, statistics, strict=True):
            # "unmapped" is the last class: it goes when no cell holds it.
            legend = dict(band.legend)
            last = max(legend, default=0)
            if legend.get(last) == UNMAPPED and figures.get("MAXIMUM", 0) < last:
                del legend[last]
            settled.append(replace(band, legend=legend))
        return settled

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the numbers."""
        digest = hashlib.sha256(self.area.shapes.digest())
        for layer in self.layers:
            digest.update(layer.fingerprint().encode())
        return digest.hexdigest()


def build_stack(  # noqa: PLR0913  (one keyword a kind of evidence)
    survey: Survey,
    grid: Grid,
    *,
    elements: Sequence[str] | None = None,
    power: float | str = 2.0,
    neighbours: int | str | None = 12,
    radius: float | None = None,
    scale: str = "log",
    options: IdwOptions | None = None,
    geology: str = "largest",
    faults: Sequence[str] = ("distance",),
    rasters: Sequence[RasterSource] = (),
    proximity: Sequence[ProximitySource] = (),
    structure: Sequence[str] = (),
    radii: Sequence[float] | None = None,
    structure_max: float | None = None,
    fault_type: str | None = None,
    catchments: CatchmentOptions | None = None,
    geochemistry: Sequence[str] = (),
    installed: Sequence[str] = (),
) -> xr.DataArray:
    """Grid the elements and rasterize geology and faults into one stack.

    Parameters
    ----------
    survey : Survey
        Checked, see :func:`geomfaf.check_survey`. Deposits are labels and never become a band.
    grid : Grid
        Of the whole study area, see :func:`survey_grid`.
    elements : sequence of str, optional
        Columns to grid; all of ``survey.elements`` when omitted.
    power, neighbours, radius, scale, options
        See :func:`geomfaf.idw_grid`. The default scale ``"log"`` interpolates log10 of the values,
        which are log-normal, and gives back the element's unit; log-ratios are interpolated as
        they are.
    geology : {"largest", "centre"}
        See :func:`geomfaf.evidence.geology.rasterize_geology`.
    faults : sequence of {"distance", "cell_distance", "presence", "density"}
        One band each, see :func:`geomfaf.fault_bands`; none when empty. ``("distance",)`` by
        default.
    rasters : sequence of RasterSource
        Rasters of any grid and CRS, see :class:`geomfaf.RasterSource`.
    proximity : sequence of ProximitySource
        Distances to other features, their density or presence, see
        :class:`geomfaf.ProximitySource`.
    structure : sequence of str
        Bands of contacts, rock mixture and fault network, see
        :func:`geomfaf.evidence.structure.structure_layers`.
    radii : sequence of float, optional
        Metres, of the densities and mixtures in ``structure``; ten cells when omitted.
    structure_max : float, optional
        Metres, at which the distances in ``structure`` are cut; sixteen cells when omitted.
    fault_type : str, optional
        Column of the faults, for ``fault_type_distance``.
    catchments : CatchmentOptions, optional
        Elements are those of the catchments of stream sediments, in place of inverse distances,
        see :class:`geomfaf.CatchmentOptions`.
    geochemistry : sequence of str
        Features of all elements of the survey, see
        :data:`geomfaf.evidence.geochemistry.FEATURES`.
    installed : sequence of str
        Bands of installed packages, by the names of their entry points, see
        :class:`geomfaf.evidence.installed.InstalledLayer`.

    Returns
    -------
    xarray.DataArray
        float32 (band, y, x): elements, ``geology``, ``fault_distance``, ... NaN outside the study
        area in every band, a class band included (in memory and in the file, which has one nodata
        value).

    Raises
    ------
    UsageError
        When no cell centre lies inside the study area, or a name is unknown.
    DataError
        When a layer has another CRS than the grid.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> stack["band"].values.tolist()
    ['Au_ppb', 'Cu_ppm', 'geology', 'fault_distance']
    >>> stack.sel(band="Au")["unit"].item()
    'ppb'
    """
    plan = StackPlan(
        survey,
        grid,
        elements=elements,
        power=power,
        neighbours=neighbours,
        radius=radius,
        scale=scale,
        options=options,
        geology=geology,
        faults=faults,
        rasters=rasters,
        proximity=proximity,
        structure=structure,
        radii=radii,
        structure_max=structure_max,
        fault_type=fault_type,
        catchments=catchments,
        geochemistry=geochemistry,
        installed=installed,
    )
    grid.require_memory(len(plan.bands))
    values = fill_blocks(plan.block, grid, len(plan.bands), "stacking")
    if not np.isfinite(values).any():
        raise UsageError(
            f"no cell centre lies inside the study area: a cell of {grid.cell:g} m is too large"
            " for it."
        )
    # The legends need to know which classes are there.
    statistics = [{"MAXIMUM": float(np.nanmax(layer, initial=0))} for layer in values]
    array = as_dataarray(values, grid, plan.settle(plan.bands, statistics))
    names = [band.name for band in plan.bands]
    return with_making(array, dict(zip(names, plan.making, strict=True)))


def stack_to_file(  # noqa: PLR0913  (kinds of evidence and choices of the file)
    survey: Survey,
    grid: Grid,
    path: str | Path,
    *,
    elements: Sequence[str] | None = None,
    power: float | str = 2.0,
    neighbours: int | str | None = 12,
    radius: float | None = None,
    scale: str = "log",
    options: IdwOptions | None = None,
    geology: str = "largest",
    faults: Sequence[str] = ("distance",),
    rasters: Sequence[RasterSource] = (),
    proximity: Sequence[ProximitySource] = (),
    structure: Sequence[str] = (),
    radii: Sequence[float] | None = None,
    structure_max: float | None = None,
    fault_type: str | None = None,
    catchments: CatchmentOptions | None = None,
    geochemistry: Sequence[str] = (),
    installed: Sequence[str] = (),
    overwrite: bool = False,
    cog: bool = False,
    scheduler: str | None = None,
) -> Path:
    """Build the stack into a GeoTIFF or Zarr store of any size, block by block.

    Takes what :func:`build_stack` takes, and gives the same numbers. Memory holds the layers and a
    few blocks; an interrupted run goes on where it stopped when it is called again.

    Parameters
    ----------
    survey : Survey
        Checked, see :func:`geomfaf.check_survey`.
    grid : Grid
        The cells, in metres.
    path, cog, scheduler
        See :func:`geomfaf.idw_to_file`.
    elements, power, neighbours, radius, scale, options, geology, faults, rasters, proximity, \
    structure, radii, structure_max, fault_type, catchments, geochemistry, installed
        See :func:`build_stack`.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.

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
    >>> path = gm.stack_to_file(survey, grid, f"{tempfile.mkdtemp()}/stack.tif", elements=["Au_ppb"])
    >>> gm.read_raster(path)["band"].values.tolist()
    ['Au_ppb', 'geology', 'fault_distance']
    """
    plan = StackPlan(
        survey,
        grid,
        elements=elements,
        power=power,
        neighbours=neighbours,
        radius=radius,
        scale=scale,
        options=options,
        geology=geology,
        faults=faults,
        rasters=rasters,
        proximity=proximity,
        structure=structure,
        radii=radii,
        structure_max=structure_max,
        fault_type=fault_type,
        catchments=catchments,
        geochemistry=geochemistry,
        installed=installed,
    )
    return stream_raster(
        path,
        grid,
        plan.bands,
        plan.block,
        job=plan.fingerprint(),
        tags=plan.making,
        overwrite=overwrite,
        cog=cog,
        scheduler=scheduler,
        settle=plan.settle,
    )


def report(findings: Sequence[Finding]) -> None:
    """Say findings about rasters; raise :class:`DataError` when one of them is refused."""
    for finding in findings:
        text = f"{finding.column}: {finding.rule}: {finding.done}"
        text += f" ({finding.advice})" if finding.advice else ""
        if finding.severity == "refused":
            raise DataError(f"{text}.")
        say(text)
