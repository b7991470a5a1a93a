"""A run's folder goes in; its rasters, layers and tables come out as one value, for whoever shows
them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import xarray as xr
from pyproj import CRS

from ..errors import UsageError
from ..models.baselines import NETWORK
from ..rasters.bands import Band, bands_of, grid_of
from ..rasters.geotiff import raster_grid, read_raster
from ..rasters.grid import Grid, lon_lat
from ..survey.commodities import main_commodities
from ..survey.label_columns import label_column

EXPLORATION = "exploration"
KNOWN_GROUND = "known ground"
NUMBERS = (
    *("area_km2", "mean_score", "max_score", "heldout_score", "spread", "vote_share"),
    *("extrapolated", "deposits", "deposit_distance_m", "samples", "sample_distance_m"),
    *("fault_distance_m", "fault_strike", "length_m", "width_m", "azimuth", "x", "y"),
)
TEXTS = (
    *("status", "nearest_deposit", "nearest_commodity", "elements", "best_samples", "geology"),
    *("rocks", "fault", "factors", "why"),
)


@dataclass(frozen=True)
class RunFolder:
    """What a run left in its folder.

    Attributes
    ----------
    path : Path
        The folder.
    record : dict
        The content of ``run.json``.
    targets : GeoDataFrame
        Every column of the layer's contract; what an older run did not write is NaN or "".
    cells, deposits : GeoDataFrame
        The numbered window cells, and the deposits with what the map says of them; may be empty.
    survey : dict of str to GeoDataFrame
        ``samples``, ``geology``, ``faults``, ``study_area``: those that the run had.
    assessment : dict
        The content of ``evaluation.json``; empty when it is not there.
    """

    path: Path
    record: dict[str, Any]
    targets: gpd.GeoDataFrame
    cells: gpd.GeoDataFrame
    deposits: gpd.GeoDataFrame
    survey: dict[str, gpd.GeoDataFrame]
    assessment: dict[str, Any]

    @cached_property
    def scores(self) -> xr.DataArray:
        """The bands of ``scores.tif``, (band, y, x)."""
        return read_raster(self.path / "scores.tif")

    @cached_property
    def stack(self) -> xr.DataArray:
        """The bands of evidence, (band, y, x)."""
        return read_raster(self.path / "stack.tif")

    @cached_property
    def grid(self) -> Grid:
        """The one grid of the run."""
        return grid_of(self.scores)

    @cached_property
    def geology_band(self) -> Band | None:
        """The band of classes, where the stack has one."""
        return next((band for band in bands_of(self.stack) if band.kind == "class"), None)

    @cached_property
    def extrapolated(self) -> np.ndarray:
        """Where the ground is unlike all training ground, (y, x) bool."""
        names = list(map(str, self.scores["band"].values))
        if "applicable" not in names:
            return np.zeros(self.grid.shape, bool)
        return self.scores.sel(band="applicable").values == 0

    @property
    def valid_km2(self) -> float:
        """The area that was mapped: cells with a score, in km2."""
        valid = np.isfinite(self.scores.sel(band="score").values)
        return float(valid.sum() * self.grid.cell_area / 1e6)

    @property
    def chosen(self) -> str:
        """The model whose map is written."""
        named = self.record.get("chosen_model") or self.assessment.get("recommended")
        return str(named or NETWORK)

    @cached_property
    def supported(self) -> bool:
        """Whether the chosen map is better than chance beyond its 95 % interval."""
        return is_supported(self.table("evaluation.csv"), self.chosen)

    @property
    def title(self) -> str:
        """What the results are headed with."""
        return str(self.record.get("title") or "Prospectivity of the survey area")

    @property
    def area(self) -> str:
        """The name of the area; "" where the run gives none."""
        return str(self.record.get("area") or "")

    def table(self, name: str) -> pd.DataFrame:
        """Return a CSV table of the run; one without rows where the run did not write it."""
        path = self.path / name
        if not path.exists():
            return pd.DataFrame()
        # A table of nothing is an empty file, which pandas refuses.
        if not path.read_text(encoding="utf-8").strip():
            return pd.DataFrame()
        # "NA" may be a name; only an empty cell is none.
        table = pd.read_csv(path, keep_default_na=False, na_values=[""])
        is_number = pd.api.types.is_numeric_dtype
        texts = [column for column in table if not is_number(table[column])]
        return table.fillna(dict.fromkeys(texts, ""))


def is_supported(evaluation: pd.DataFrame, model: str) -> bool:
    """Return whether a model's map is better than chance beyond its 95 % interval."""
    if not len(evaluation):
        return False
    of_model = evaluation["model"] == model
    rows = evaluation[of_model & evaluation["map_auc"].notna()]
    return bool((rows["map_auc_low"] > 0.5).any())


def read_run(
    out: str | Path,
    record: dict[str, Any] | None = None,
) -> RunFolder:
    """Read a run's folder.

    Parameters
    ----------
    out : path
        The folder that `geomfaf run` filled.
    record : dict, optional
        The content of ``run.json``, for a run that has not written it yet.

    Raises
    ------
    UsageError
        The folder holds no score map.
    """
    out = Path(out)
    if not (out / "scores.tif").exists():
        raise UsageError(
            f"{out} holds no scores.tif: give the folder that `geomfaf run` filled, such as"
            " demo/out."
        )
    if record is None:
        record = read_record(out / "run.json")
    layers = _layers(out / "targets.gpkg")
    nothing = gpd.GeoDataFrame({"number": []}, geometry=[], crs=record_crs(out))
    survey = _layers(out / "survey.gpkg")
    return RunFolder(
        path=out,
        record=record,
        targets=complete_targets(layers.get("targets", nothing)),
        cells=layers.get("cells", nothing),
        deposits=layers.get("deposits", nothing),
        survey={name: frame for name, frame in survey.items() if len(frame)},
        assessment=read_record(out / "evaluation.json"),
    )


def read_record(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file; nothing where it is not there."""
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def record_crs(out: Path) -> Any:
    """Return the CRS of a run's maps."""
    return raster_grid(out / "scores.tif").crs


def complete_targets(targets: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return targets with every column that readers ask for, of their kind, by list and rank.

    >>> import shapely
    >>> old = gpd.GeoDataFrame(
    ...     {"number": [1, 2], "status": ["known", "new"], "x": [5e5] * 2, "y": [6e6] * 2},
    ...     geometry=[shapely.box(0, 0, 1, 1)] * 2, crs=32633)
    >>> complete_targets(old)[["name", "list", "rank", "why"]].values.tolist()
    [['2', 'exploration', 1, ''], ['1', 'known ground', 1, '']]
    """
    found = targets.copy()
    # 1. What is missing is unknown, never zero.
    for column in NUMBERS:
        found[column] = pd.to_numeric(found[column]) if column in found else np.nan
    for column in TEXTS:
        found[column] = found[column].fillna("").astype(str) if column in found else ""
    # 2. Older runs have one list and no names.
    known = found["status"] == "known"
    if "list" not in found:
        found["list"] = np.where(known, KNOWN_GROUND, EXPLORATION)
    if "name" not in found:
        found["name"] = found["number"].astype(int).astype(str)
    # 3. Exploration targets first, each list by rank.
    if "rank" not in found:
        found["rank"] = found.groupby("list")["number"].rank().astype(int)
    found = found.sort_values(["list", "rank"], ignore_index=True)
    # 4. Where a receiver for satellite positions finds them.
    lon, lat = lon_lat(found["x"].to_numpy(), found["y"].to_numpy(), CRS(found.crs))
    return found.assign(lon=lon, lat=lat)


def titles(
    content: Mapping[str, Any],
    deposits: gpd.GeoDataFrame,
) -> dict[str, Any]:
    """Return what results are headed with: title, area, author, and deposits of each commodity.

    Several kinds of deposits stand in the title: a map of everything must say so first.

    >>> mines = gpd.GeoDataFrame({"commodity": ["Au", "Au", "Cu"]}, geometry=[None] * 3)
    >>> titles({"area": "Central Lapland"}, mines)["title"]
    'Prospectivity of Central Lapland: Au and Cu'
    """
    # A deposit of several metals counts for the one that is named first.
    kinds = main_commodities(deposits)
    area = str(content.get("area") or "")
    title = f"Prospectivity of {area or 'the survey area'}"
    if content.get("quick"):
        title = f"Quick look: {title[0].lower()}{title[1:]}"
    # A long list would be no title.
    if len(kinds) > 3:
        title += f": {len(kinds)} kinds of deposits"
    elif kinds:
        names = list(kinds)
        listed = [", ".join(names[:-1]), names[-1]] if len(names) > 1 else names
        title += f": {' and '.join(listed)}"
    author = str(content.get("author") or "")
    return {
        "title": title,
        "area": area,
        "author": author,
        "commodities": kinds,
    }


def name_column(layer: gpd.GeoDataFrame) -> str | None:
    """Return the column that names deposits; numbers are no names.

    >>> name_column(gpd.GeoDataFrame({"ID": [1], "Name": ["Mine"]}, geometry=[None]))
    'Name'
    >>> name_column(gpd.GeoDataFrame({"deposit_id": [7]}, geometry=[None]))
    """
    column = label_column(layer, "deposit")
    if column is None or pd.api.types.is_numeric_dtype(layer[column]):
        return None
    return column


def _layers(path: Path) -> dict[str, gpd.GeoDataFrame]:
    """Return the layers with geometry of a GeoPackage, by name; nothing where it is not there."""
    if not path.exists():
        return {}
    listed = pyogrio.list_layers(path)
    return {str(name): gpd.read_file(path, layer=name) for name, kind in listed if kind is not None}
