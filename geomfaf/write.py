"""Write results: under their final name only when complete, and never over an older one unasked."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
import rasterio.crs
import rasterio.shutil
import xarray as xr

from .bands import Band, as_dataarray, bands_of, describe_band, from_rasterio, grid_of
from .blockwise.raster_files import read_zarr
from .errors import DataError, OutputExistsError, UsageError
from .findings import Finding, findings_layer
from .grid import Grid


def refuse_existing(path: str | Path, overwrite: bool) -> None:
    """Raise :class:`OutputExistsError` early, before an hour of work that could not be written."""
    if Path(path).exists() and not overwrite:
        raise OutputExistsError(f"{path} exists: choose another name or allow it with --overwrite (overwrite=True).")


def require_folder_of(path: Path) -> None:
    """Raise :class:`UsageError` when a file's folder does not exist."""
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist: create it or choose another place for {path.name}.")


def require_geotiff(path: Path) -> None:
    """Raise :class:`UsageError` when a score map's file would be taken for something other than a GeoTIFF."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise UsageError(f'{path.name} ends in "{path.suffix}": a score map is a GeoTIFF, name it {path.stem}.tif.')
    require_folder_of(path)


def make_folder(path: Path) -> None:
    """Make a folder for results; refused where a file has its name, or where it may not be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {path} cannot be made: {error.strerror}. Choose another place.") from error


@contextmanager
def finished_file(path: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its name when the block ends without an error."""
    path = Path(path)
    refuse_existing(path, overwrite)
    require_folder_of(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        for leftover in path.parent.glob(f"{glob.escape(beside.name)}*"):
            leftover.unlink(missing_ok=True)


def write_raster(array: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write bands as a cloud-optimised GeoTIFF that says what it holds.

    Every band carries its description, unit, kind, legend and the statistics of its valid cells; nodata is NaN;
    overviews are included (nearest cell, so that class numbers stay class numbers).
    """
    grid, bands, notes = grid_of(array), bands_of(array), array.attrs.get("notes", {})
    values = np.asarray(array.values, np.float32)
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(bands),
        "height": grid.height,
        "width": grid.width,
        "crs": rasterio.crs.CRS.from_wkt(grid.crs.to_wkt()),
        "transform": grid.transform,
        "nodata": np.nan,
        "tiled": True,
        "bigtiff": "if_safer",
    }
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        plain = final.with_name(final.name + ".plain.tif")
        with rasterio.open(plain, "w", **profile) as target:
            target.write(values)
            for index, band in enumerate(bands, start=1):
                describe_band(target, index, band, {**notes.get(band.name, {}), **_statistics(values[index - 1])})
        smooth = all(band.kind == "score" for band in bands)
        rasterio.shutil.copy(
            plain, final, driver="COG", compress="ZSTD", level=1, predictor="YES", bigtiff="IF_SAFER",
            overview_resampling="AVERAGE" if smooth else "NEAREST",
        )  # fmt: skip
    return path


def raster_grid(path: str | Path) -> Grid:
    """Return the grid of a raster file without reading its cells."""
    if Path(path).suffix == ".zarr":
        return grid_of(read_zarr(Path(path)))
    try:
        with rasterio.open(path) as source:
            return _grid(source)
    except rasterio.errors.RasterioIOError as error:
        raise UsageError(f"{path} is not a raster that can be read: {error}") from error


def _grid(source: rasterio.DatasetReader) -> Grid:
    if source.crs is None:
        raise DataError(f"{source.name} has no CRS: assign one first, for instance with `rio edit-info --crs`.")
    return Grid(from_rasterio(source.crs), source.transform, source.shape)


def read_raster(path: str | Path) -> xr.DataArray:
    """Read a raster with what it says of its bands; a foreign GeoTIFF gets defaults. (band, y, x) float32.

    A Zarr store must be one of geomfaf's.
    """
    if Path(path).suffix == ".zarr":
        return read_zarr(Path(path))
    try:
        with rasterio.open(path) as source:
            grid = _grid(source)
            values = source.read(masked=True).astype(np.float32).filled(np.nan)
            bands = [_band(source, index) for index in source.indexes]
            notes = {band.name: _notes(source, band_index) for band_index, band in enumerate(bands, start=1)}
    except rasterio.errors.RasterioIOError as error:
        raise UsageError(f"{path} is not a raster that can be read: {error}") from error
    array = as_dataarray(values, grid, bands)
    if any(notes.values()):
        array.attrs["notes"] = {name: kept for name, kept in notes.items() if kept}
    return array


def write_layers(layers: Mapping[str, gpd.GeoDataFrame], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write vector layers into one GeoPackage (version 1.2, which every QGIS since 3.0 reads)."""
    path = Path(path)
    if not layers:
        raise UsageError(f"there is no layer to write into {path.name}: give at least one.")
    with finished_file(path, overwrite=overwrite) as final:
        for name, frame in layers.items():
            options: dict[str, Any] = {} if final.exists() else {"VERSION": "1.2"}
            frame.to_file(
                final, layer=name, driver="GPKG", dataset_options=options, layer_options={"GEOMETRY_NAME": "geom"}
            )
    return path


def write_table(table: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a table as CSV (UTF-8, no index); numbers to six digits, coordinates to the centimetre."""
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        table.to_csv(final, index=False, float_format=_short)
    return path


def write_findings(
    table: pd.DataFrame,
    findings: Sequence[Finding],
    layers: dict[str, gpd.GeoDataFrame],
    folder: str | Path,
    *,
    overwrite: bool = False,
) -> None:
    """Write findings as ``check.csv``, ``check.json`` and, for the map, layer ``findings`` of ``check.gpkg``.

    Parameters
    ----------
    table, findings
        From :func:`geomfaf.check_survey`: its table, and the ``findings`` of the survey it returns.
    layers : dict
        Role -> layer as read.
    folder : path
        Made when it is not there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(table, folder / "check.csv", overwrite=overwrite)
    content = [{**line, "rows": [int(row) for row in line["rows"].split()]} for line in table.to_dict("records")]
    write_json({"findings": content}, folder / "check.json", overwrite=overwrite)
    shown = findings_layer(findings, {role: frame.reset_index(drop=True) for role, frame in layers.items()})
    if len(shown):
        write_layers({"findings": shown}, folder / "check.gpkg", overwrite=overwrite)


def write_json(content: Mapping[str, Any], path: str | Path, *, overwrite: bool = False) -> Path:
    """Write JSON; NaN becomes null, as JSON has no NaN."""
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        final.write_text(json.dumps(plain_values(content), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library_versions() -> dict[str, str]:
    """Return the versions of what the numbers depend on."""
    import platform

    names = ("geomfaf", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "rasterio", "geopandas", "shapely")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def plain_values(value: Any) -> Any:
    """Return numbers, lists and dicts that JSON can hold.

    >>> plain_values({"a": np.float64("nan"), "b": (np.int64(1), Path("x"))})
    {'a': None, 'b': [1, 'x']}
    """
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain_values(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _short(value: Any) -> str:
    return f"{value:.6g}" if abs(value) < 1e4 else f"{value:.2f}".removesuffix(".00")


def _statistics(values: np.ndarray) -> dict[str, str]:
    valid = values[np.isfinite(values)].astype(np.float64)
    if not len(valid):
        return {}
    figures = {"MINIMUM": valid.min(), "MAXIMUM": valid.max(), "MEAN": valid.mean(), "STDDEV": valid.std()}
    figures["VALID_PERCENT"] = 100 * len(valid) / values.size
    return {f"STATISTICS_{key}": repr(float(figure)) for key, figure in figures.items()}


def _notes(source: rasterio.DatasetReader, index: int) -> dict[str, str]:
    """Return what a band remembers of its making: the tags that geomfaf and GDAL do not use for themselves."""
    tags = source.tags(index)
    return {key: text for key, text in tags.items() if key not in ("name", "kind", "legend") and key.islower()}


def _band(source: rasterio.DatasetReader, index: int) -> Band:
    tags, description = source.tags(index), source.descriptions[index - 1] or ""
    legend = {int(key): name for key, name in json.loads(tags.get("legend", "{}")).items()}
    name = tags.get("name") or description or f"band_{index}"
    return Band(name, tags.get("kind", "element"), source.units[index - 1] or "", description, legend)
