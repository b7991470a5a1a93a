"""What a raster band is, and how bands, a grid and their numbers travel as one DataArray."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rasterio.crs
import xarray as xr
from affine import Affine
from pyproj import CRS
from xarray.indexes import PandasIndex

from ..errors import DataError, UsageError
from .band_names import BandNames
from .grid import Grid

KINDS = ("element", "ratio", "continuous", "class", "distance", "density", "presence", "score")


REACH = "reach"
"""Making of a band that looks at other ground than its cell: so many metres around it.

What has no such limit (interpolation by neighbours, distances, filters of potential fields) has
none of these.
"""


@dataclass(frozen=True)
class Band:
    """Name, kind, unit, description and, for a class band, the legend of one band.

    Parameters
    ----------
    name : str
        Unique in a stack: ``Au_ppb``.
    kind : str
        How a model scales the band: ``element`` (logarithm), ``ratio`` (a logarithm already),
        ``continuous`` (as it is), ``class`` (one-hot by ``legend``), ``distance`` and ``density``
        (metres, km per km2), ``presence`` (0 or 1).
    unit : str
        Of the values; with a question mark where it was guessed.
    description : str
        What a person reads in a list of layers.
    legend : mapping
        Class number -> name, of a class band.

    Examples
    --------
    >>> import geomfaf as gm
    >>> gm.Band("Au_ppb", "element", "ppb").label
    'Au_ppb (ppb)'
    """

    name: str
    kind: str = "element"
    unit: str = ""
    description: str = ""
    legend: Mapping[int, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What a person reads in a layer list: the description, else name and unit."""
        return self.description or (f"{self.name} ({self.unit})" if self.unit else self.name)


def assumed(label: str) -> str:
    """Return a label with the mark of a unit that nobody stated in words.

    >>> assumed("K (ppm?), IDW of log10")
    'K (ppm, assumed), IDW of log10'
    """
    return label.replace("?)", ", assumed)", 1)


def as_dataarray(values: np.ndarray, grid: Grid, bands: Sequence[Band]) -> xr.DataArray:
    """Join (band, y, x) values, their grid and their bands.

    Returns
    -------
    xarray.DataArray
        float32 (band, y, x), NaN = nodata, coordinates at the cell centres; ``kind``, ``unit`` and
        ``description`` are coordinates along ``band``, which is found without its unit too
        (``sel(band="Au")``). ``attrs["legends"]`` maps class bands to legends, and
        ``attrs["making"]``, where there is any, bands to what else they remember of their making:
        both are JSON texts, as netCDF keeps no others.
    """
    values = np.asarray(values, np.float32)
    if values.shape != (len(bands), *grid.shape):
        raise DataError(
            f"an array of shape {values.shape} does not hold {len(bands)} bands of {grid.shape}"
            " cells."
        )
    # Bands are chosen by name everywhere: two of one name could not be told apart.
    names = [band.name for band in bands]
    if len(set(names)) < len(names):
        raise DataError(f"two bands share a name: {', '.join(names)}. Every band needs its own.")
    array = xr.DataArray(
        values,
        dims=("band", "y", "x"),
        coords={
            "y": grid.y,
            "x": grid.x,
            "kind": ("band", [band.kind for band in bands]),
            "unit": ("band", [band.unit for band in bands]),
            "description": ("band", [band.label for band in bands]),
        },
        attrs={"legends": as_json(legends_of(bands))},
    )
    index = PandasIndex(BandNames(names), "band", coord_dtype=np.array(names).dtype)
    array = array.assign_coords(xr.Coordinates.from_xindex(index))
    # Registers the .rio accessor. It loads dask's arrays: a command that streams its raster to a
    # file starts a second earlier without.
    import rioxarray  # noqa: F401

    # The authority's code, where there is one, is the same text before and after a round trip; WKT
    # is not.
    code = grid.crs.to_authority(min_confidence=70)
    crs = grid.crs.to_wkt()
    if code and CRS.from_authority(*code) == grid.crs:
        crs = ":".join(code)
    array = array.rio.write_crs(crs).rio.write_transform(grid.transform).rio.write_nodata(np.nan)
    # Among the attributes, so that the CRS is a coordinate again when a netCDF is opened.
    array.attrs["grid_mapping"] = array.encoding.pop("grid_mapping")
    return array


def legends_of(bands: Sequence[Band]) -> dict[str, dict[int, str]]:
    """Return the legends of the class bands by band name."""
    return {band.name: dict(band.legend) for band in bands if band.legend}


def as_json(content: Mapping[str, Any]) -> str:
    """Return legends, or what bands remember of their making, as a DataArray keeps them."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def making_of_bands(array: xr.DataArray) -> dict[str, dict[str, str]]:
    """Return what each band of a DataArray remembers of its making."""
    return json.loads(array.attrs.get("making", "{}"))


def with_making(
    array: xr.DataArray,
    making: Mapping[str, Mapping[str, str]],
) -> xr.DataArray:
    """Return the array with what its bands remember of their making, those that remember any."""
    known = {name: dict(tags) for name, tags in making.items() if tags}
    return array.assign_attrs(making=as_json(known)) if known else array


def describe_band(
    target: Any,
    index: int,
    band: Band,
    making: Mapping[str, str] | None = None,
) -> None:
    """Write a band's description, unit, name, kind, legend and making into an open
    rasterio dataset.
    """
    target.set_band_description(index, band.label)
    if band.unit:
        target.set_band_unit(index, band.unit)
    # What GDAL has no field for goes into tags, a legend as JSON.
    tags = {
        "name": band.name,
        "kind": band.kind,
        **(making or {}),
    }
    if band.legend:
        tags["legend"] = json.dumps(
            {str(key): value for key, value in band.legend.items()}, ensure_ascii=False
        )
    target.update_tags(index, **tags)


def from_rasterio(crs: rasterio.crs.CRS) -> CRS:
    """Return rasterio's CRS as pyproj's: by its code, because rasterio's WKT loses the order of the
    axes.
    """
    code = crs.to_authority(confidence_threshold=70)
    return CRS.from_authority(*code) if code else CRS.from_wkt(crs.to_wkt())


def grid_of(array: xr.DataArray) -> Grid:
    """Return the grid of a DataArray made here or by rioxarray."""
    import rioxarray  # noqa: F401  (registers the .rio accessor)

    if array.rio.crs is None:
        raise DataError(
            "the raster has no CRS: assign one, for instance array.rio.write_crs(32633)."
        )
    height = array.sizes["y"]
    width = array.sizes["x"]
    return Grid(from_rasterio(array.rio.crs), array.rio.transform(), (height, width))


def bands_of(array: xr.DataArray) -> list[Band]:
    """Return the bands of a DataArray; what it does not say gets the defaults."""
    names = [str(name) for name in array["band"].values]
    # A foreign raster says nothing of kinds: its bands read as elements.
    columns = {}
    for key, default in (("kind", "element"), ("unit", ""), ("description", "")):
        columns[key] = [default] * len(names)
        if key in array.coords:
            columns[key] = [str(value) for value in array[key].values]
    legends = json.loads(array.attrs.get("legends", "{}"))
    found = []
    for name, kind, unit, description in zip(names, *columns.values(), strict=True):
        legend = {int(key): text for key, text in legends.get(name, {}).items()}
        found.append(Band(name, kind, unit, description, legend))
    return found


def reach_of(making: Mapping[str, Mapping[str, str]]) -> float:
    """Return how many metres around a cell its bands look at, at most; 0 where none does.

    Parameters
    ----------
    making : mapping
        Band -> what it remembers of its making, see :func:`making_of_bands`.

    Examples
    --------
    >>> reach_of({"contacts": {"reach": "500"}, "Au": {}})
    500.0
    """
    return max((float(own.get(REACH, 0)) for own in making.values()), default=0.0)


def valid_cells(stack: xr.DataArray) -> np.ndarray:
    """Return which cells count, (y, x) bool: those with a value in at least one band.

    A gap in one band (an element out of reach of every sample) does not take a cell out of the
    area: models read it as that band's median.
    """
    return np.isfinite(stack.values).any(axis=0)


def score_values(
    scores: xr.DataArray, names: Sequence[str] = ("score", "heldout_score")
) -> list[np.ndarray]:
    """Return named score bands as (y, x) arrays, or say which one a raster lacks."""
    require_score_bands([str(name) for name in scores["band"].values], names)
    return [scores.sel(band=name).values for name in names]


def require_score_bands(there: Sequence[str], names: Sequence[str]) -> None:
    """Say which band a raster lacks that a score map has."""
    for name in names:
        if name not in there:
            raise UsageError(
                f'the raster has no band "{name}", it has {", ".join(there)}: give a result of'
                " `predict`."
            )


def grid_record(grid: Grid) -> dict[str, Any]:
    """Return a grid as JSON."""
    return {
        "crs": grid.crs.to_wkt(),
        "transform": list(grid.transform)[:6],
        "shape": list(grid.shape),
    }


def grid_from(record: Mapping[str, Any]) -> Grid:
    """Return the grid that :func:`grid_record` described."""
    height, width = record["shape"]
    return Grid(CRS.from_wkt(record["crs"]), Affine(*record["transform"]), (height, width))


def band_from(record: Mapping[str, Any]) -> Band:
    """Return a band as JSON keeps it: the numbers of a legend are texts there."""
    legend = {int(key): name for key, name in record["legend"].items()}
    return Band(**{**record, "legend": legend})
