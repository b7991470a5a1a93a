"""The folder of a run goes in; which bands and layers its files hold comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import rasterio
from pyproj import CRS

from ...errors import UsageError
from ...rasters.bands import Band, assumed, from_rasterio
from ...rasters.grid import Grid

RASTERS = ("scores.tif", "stack.tif", "risk_return.tif")


@dataclass(frozen=True)
class StoredBand:
    """A band, the file that holds it and its number there (from 1)."""

    file: str
    index: int
    band: Band

    @property
    def title(self) -> str:
        """What a layer tree shows: the label without the words on how it was gridded."""
        return assumed(self.band.label.split(", IDW")[0])


@dataclass(frozen=True)
class StoredLayer:
    """A layer of a GeoPackage: its file, name, columns, geometry and number of features."""

    file: str
    name: str
    columns: tuple[str, ...]
    geometry: str
    count: int

    @property
    def source(self) -> str:
        """Where QGIS finds it, seen from the project."""
        return f"./{self.file}|layername={self.name}"


@dataclass(frozen=True)
class RunContents:
    """What lies in a run's folder; files are looked into when they are asked for."""

    folder: Path

    @cached_property
    def grid(self) -> tuple[CRS, tuple[float, float, float, float], float]:
        """CRS of the maps, bounds (W, S, E, N) of the cells with a score, and the cell size."""
        with rasterio.open(self.folder / "scores.tif") as source:
            valid = np.isfinite(source.read(1))
            grid = Grid(from_rasterio(source.crs), source.transform, source.shape)
        if not valid.any():
            valid[:] = True
        # The smallest rectangle of cells around all that have a score.
        rows = np.flatnonzero(valid.any(axis=1))
        columns = np.flatnonzero(valid.any(axis=0))
        height = int(rows[-1] - rows[0]) + 1
        width = int(columns[-1] - columns[0]) + 1
        bounds = grid.window_bounds(int(rows[0]), int(columns[0]), height, width)
        return grid.crs, bounds, grid.cell

    def bands(self, file: str) -> list[StoredBand]:
        """Return the bands of a raster, as their tags describe them; none without the file."""
        path = self.folder / file
        if not path.exists():
            return []
        with rasterio.open(path) as source:
            return [StoredBand(file, index, _band(source, index)) for index in source.indexes]

    def values(self, stored: StoredBand) -> np.ndarray:
        """Return the values of a band, (y, x)."""
        with rasterio.open(self.folder / stored.file) as source:
            return source.read(stored.index)

    @cached_property
    def layers(self) -> dict[tuple[str, str], StoredLayer]:
        """The layers and tables of all GeoPackages, by file and name."""
        paths = sorted(self.folder.glob("*.gpkg"))
        return {(layer.file, layer.name): layer for path in paths for layer in stored_layers(path)}

    def layer(self, file: str, name: str) -> StoredLayer | None:
        """Return a layer, None where it is not there."""
        return self.layers.get((file, name))

    def frame(self, layer: StoredLayer) -> gpd.GeoDataFrame:
        """Return the features of a layer."""
        return read_frame(self.folder / layer.file, layer)


def stored_layers(path: Path) -> list[StoredLayer]:
    """Return the layers and tables of a GeoPackage, without that of the styles."""
    names = [name for name, _ in pyogrio.list_layers(path) if name != "layer_styles"]
    return [_layer(path, name) for name in names]


def read_frame(path: Path, layer: StoredLayer) -> gpd.GeoDataFrame:
    """Return the features of a layer of a file."""
    return pyogrio.read_dataframe(path, layer=layer.name)


def read_contents(folder: str | Path) -> RunContents:
    """Return what lies in a run's folder, or say that it is none."""
    folder = Path(folder)
    for needed in ("scores.tif", "stack.tif"):
        if not (folder / needed).exists():
            raise UsageError(
                f"{folder} holds no {needed}: give the folder that `geomfaf run` filled, such as"
                " demo/out."
            )
    return RunContents(folder)


def read_record(folder: str | Path) -> dict[str, Any]:
    """Return the content of ``run.json``, or say that the run in a folder has not finished."""
    path = Path(folder) / "run.json"
    if not path.exists():
        raise UsageError(
            f"{folder} holds no run.json: give the folder of a finished run, such as demo/out; an"
            " interrupted run goes on with `geomfaf run`."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def _band(source: Any, index: int) -> Band:
    # What a raster of another program does not say gets the defaults.
    tags = source.tags(index)
    legend = json.loads(tags.get("legend", "{}"))
    return Band(
        tags.get("name", f"band {index}"),
        tags.get("kind", "element"),
        source.units[index - 1] or "",
        source.descriptions[index - 1] or "",
        {int(number): str(name) for number, name in legend.items()},
    )


# What QGIS calls the geometries that GDAL tells apart.
_GEOMETRIES = {
    "Point": "Point",
    "LineString": "Line",
    "Polygon": "Polygon",
}


def _layer(path: Path, name: str) -> StoredLayer:
    info = pyogrio.read_info(path, layer=name, force_feature_count=True)
    kind = str(info["geometry_type"] or "None")
    if kind == "Unknown":
        # Mixed geometries are drawn as what the first feature is.
        first = pyogrio.read_dataframe(path, layer=name, max_features=1)
        kind = str(first.geom_type.iloc[0]) if len(first) else "Point"
    # "MultiPolygon Z" is drawn as a polygon.
    simple = kind.split(" ")[0].removeprefix("Multi")
    geometry = _GEOMETRIES.get(simple, "No geometry")
    columns = tuple(map(str, info["fields"]))
    return StoredLayer(path.name, name, columns, geometry, int(info["features"]))
