"""GeoTIFFs that say what they hold: written complete or not at all, read back with all they say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr

from ..errors import DataError, UsageError, require_known
from ..files import finished_file, require_folder_of
from .bands import (
    KINDS,
    Band,
    as_dataarray,
    bands_of,
    from_rasterio,
    grid_of,
    making_of_bands,
    with_making,
)
from .blocks import block_runner, block_windows
from .grid import Grid
from .statistics import band_statistics
from .stores import Note, Place, TiffFile, opened_zarr, read_zarr
from .tiff_tiles import TILE


def require_geotiff(path: Path) -> None:
    """Raise :class:`UsageError` when a score map's file would be taken for something other than a
    GeoTIFF.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise UsageError(
            f'{path.name} ends in "{path.suffix}": a score map is a GeoTIFF, name it'
            f" {path.stem}.tif."
        )
    require_folder_of(path)


def write_raster(array: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write bands as a cloud-optimised GeoTIFF that says what it holds.

    Every band carries its description, unit, kind, legend, what it remembers of its making and the
    statistics of its valid cells; nodata is NaN; overviews are those of
    :mod:`geomfaf.rasters.overviews`.

    Parameters
    ----------
    array : DataArray
        (band, y, x) that says CRS, transform and bands.
    path : path
        Ending in ``.tif``.
    overwrite : bool
        Replace what is there; without it nothing is overwritten.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputExistsError
        When there is a file already, without ``overwrite``.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> gm.write_raster(stack, f"{tempfile.mkdtemp()}/stack.tif").name
    'stack.tif'
    """
    grid = grid_of(array)
    bands = bands_of(array)
    values = np.asarray(array.values, np.float32)
    making = making_of_bands(array)
    tags = [making.get(band.name, {}) for band in bands]
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        store = TiffFile(final, grid, bands, tags)
        try:
            store.create()
            notes = _write_tiles(store, values)
            # Statistics are written here, for GIS programs would take theirs from an overview.
            statistics = [band_statistics(layer) for layer in values]
            store.finish(notes, statistics, cog=True)
        finally:
            store.discard()
    return path


def _write_tiles(store: TiffFile, values: np.ndarray) -> dict[Place, Note]:
    """Write all blocks, compressed on one thread a core; return where they are."""

    def compressed(row: int, column: int, height: int, width: int) -> list[bytes]:
        return store.encode(values[:, row : row + height, column : column + width])

    windows = block_windows(store.grid, TILE)
    with block_runner(compressed) as runner:
        blocks = zip(windows, runner.ordered(windows), strict=True)
        return {window: store.write(window, tiles) for window, tiles in blocks}


def raster_grid(path: str | Path) -> Grid:
    """Return the grid of a raster file without reading its cells."""
    if Path(path).suffix == ".zarr":
        with opened_zarr(Path(path)) as found:
            return grid_of(found)
    with opened_raster(path) as source:
        return _grid(source)


@contextmanager
def opened_raster(path: str | Path) -> Iterator[rasterio.DatasetReader]:
    """Open a raster for some reads; a GeoTIFF's name must hold a GeoTIFF, never a virtual file."""
    driver = "GTiff" if Path(path).suffix.lower() in (".tif", ".tiff") else None
    try:
        with rasterio.open(path, driver=driver) as source:
            yield source
    except rasterio.errors.RasterioIOError as error:
        raise UsageError(f"{path} is not a raster that can be read: {error}") from error


def described_raster(
    source: rasterio.DatasetReader, kind: str | None = None
) -> tuple[Grid, list[Band]]:
    """Return the grid and the bands of an open raster without reading its cells."""
    return _grid(source), [_band(source, index, kind) for index in source.indexes]


def _grid(source: rasterio.DatasetReader) -> Grid:
    if source.crs is None:
        raise DataError(
            f"{source.name} has no CRS: assign one first, for instance with `rio edit-info --crs`."
        )
    return Grid(from_rasterio(source.crs), source.transform, source.shape)


def read_raster(path: str | Path, kind: str | None = None) -> xr.DataArray:
    """Read a raster with what it says of its bands. (band, y, x) float32.

    Parameters
    ----------
    path : path
        A GeoTIFF, or a Zarr store of geomfaf's.
    kind : str, optional
        Of bands that do not say theirs, one of :data:`geomfaf.rasters.bands.KINDS`: as an element a
        magnetic map would lose its negative half.

    Returns
    -------
    DataArray
        float32 (band, y, x), NaN = nodata; ``kind`` and ``unit`` along ``band``.

    Raises
    ------
    DataError
        When a band does not say its kind, and ``kind`` is not given.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> path = gm.write_raster(stack, f"{tempfile.mkdtemp()}/stack.tif")
    >>> gm.read_raster(path).sel(band="Au")["unit"].item()
    'ppb'
    """
    if Path(path).suffix == ".zarr":
        return read_zarr(Path(path))
    with opened_raster(path) as source:
        # Before a cell is read: a raster that cannot be used is refused, not half read.
        grid, bands = described_raster(source, kind)
        grid.require_memory(source.count)
        values = source.read(masked=True).astype(np.float32).filled(np.nan)
        # What each band remembers of its making travels beside the values.
        making = making_in(source, bands)
    return with_making(as_dataarray(values, grid, bands), making)


def making_in(source: rasterio.DatasetReader, bands: Sequence[Band]) -> dict[str, dict[str, str]]:
    """Return what each band of an open raster remembers of its making: the tags that geomfaf and
    GDAL do not use for themselves.
    """
    found = {}
    for index, band in enumerate(bands, start=1):
        found[band.name] = {
            key: text
            for key, text in source.tags(index).items()
            if key not in ("name", "kind", "legend") and key.islower()
        }
    return found


def _band(source: rasterio.DatasetReader, index: int, kind: str | None) -> Band:
    if kind is not None:
        require_known(kind, KINDS, "kind")
    tags = source.tags(index)
    description = source.descriptions[index - 1] or ""
    kind = tags.get("kind", kind)
    if kind is None:
        raise DataError(
            f"{source.name}: band {index} ({description or 'without a name'}) does not say its kind,"
            " so nobody knows how to scale it: make it a band of its own with kind = under"
            f" [[rasters]], or say kind = to read_raster (one of {', '.join(KINDS)})."
        )
    # A foreign raster has none of these tags.
    legend = {int(key): name for key, name in json.loads(tags.get("legend", "{}")).items()}
    name = tags.get("name") or description or f"band_{index}"
    return Band(name, kind, source.units[index - 1] or "", description, legend)
