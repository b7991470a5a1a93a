"""A run folder goes in; what its stages wrote comes out, read once and only when asked for."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd
import xarray as xr

from ..evaluation.target_factors import OccludedScores
from ..rasters.geotiff import read_raster
from ..rasters.grid import Grid
from ..survey.cleaning.check import check_survey
from ..survey.cleaning.log_ratios import use_log_ratios
from ..survey.read import read_layer
from ..survey.survey import Source, Survey
from ..windows.fold_files import read_folds
from ..windows.folds import Folds
from .folder import KEPT
from .project import Project
from .steps import run_grid

if TYPE_CHECKING:  # it needs torch
    from ..models.fold_models import Model


class Results:
    """The files of a run, each read when it is first used.

    Parameters
    ----------
    project : Project
        Its ``out`` is the run folder.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.out = project.out
        self.kept = project.out / KEPT

    @cached_property
    def read(self) -> Survey:
        """The survey as it was read."""
        return self.project.read()

    @cached_property
    def checked(self) -> tuple[Survey, pd.DataFrame]:
        """The survey as it was checked and fixed, and the findings."""
        return check_survey(self.read, **self.project.stage("check"))

    @cached_property
    def survey(self) -> Survey:
        """The survey that makes the evidence: with log-ratios where the project asks for them."""
        survey = self.checked[0]
        if "composition" in self.project.stages and survey.elements:
            return use_log_ratios(survey, **self.project.stage("composition"))
        return survey

    @cached_property
    def grid(self) -> Grid:
        """The run's grid."""
        return run_grid(self.project, self.survey)

    @cached_property
    def evidence(self) -> xr.DataArray:
        """Every band on coarse cells."""
        return read_raster(self.kept / "evidence.tif")

    @cached_property
    def ore(self) -> gpd.GeoDataFrame:
        """The deposits' windows, or all tiles."""
        return read_folds(self.kept / "folds.gpkg", self.grid)[0]

    @cached_property
    def folds(self) -> Folds:
        """The folds."""
        return read_folds(self.kept / "folds.gpkg", self.grid)[1]

    @cached_property
    def reach(self) -> float:
        """Metres within which the bands are alike; NaN where no band told."""
        return float(self._json(self.kept / "folds.json")["variogram_range_m"] or "nan")

    @cached_property
    def chosen(self) -> list[list[str]]:
        """The elements that each fold may use."""
        return self._json(self.kept / "screen.json")["chosen"]

    @cached_property
    def screening(self) -> pd.DataFrame:
        """The table of the screening; empty without elements."""
        try:
            return pd.read_csv(self.out / "screen.csv")
        except pd.errors.EmptyDataError:
            return pd.DataFrame()

    @cached_property
    def stack(self) -> xr.DataArray:
        """The bands of evidence."""
        return read_raster(self.out / "stack.tif")

    @cached_property
    def tables(self) -> list[gpd.GeoDataFrame]:
        """The labelled windows of every draw."""
        count = self._json(self.kept / "draws.json")["draws"]
        path = self.kept / "draws.gpkg"
        return [read_layer(Source(path, f"draw_{number}")) for number in range(1, count + 1)]

    @cached_property
    def window_size(self) -> int:
        """Cells along a window: the same in every draw."""
        return int(read_layer(Source(self.kept / "draws.gpkg", "draw_1"))["size"].iloc[0])

    @cached_property
    def model(self) -> Model:
        """The trained model."""
        from ..models.model_files import load_model

        device = self.project.stage("train").get("device", "auto")
        return load_model(self.out / "model", device=device)

    @cached_property
    def prediction(self) -> xr.DataArray:
        """The scores of the trained model."""
        return read_raster(self.kept / "prediction.tif")

    @cached_property
    def scores(self) -> xr.DataArray:
        """The scores that the targets are made of."""
        return read_raster(self.out / "scores.tif")

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        """What evaluation.json says."""
        return self._json(self.out / "evaluation.json")

    @cached_property
    def occluded(self) -> OccludedScores:
        """What the model says of the best ground, with one factor after the other at its median."""
        table = pd.read_csv(self.kept / "occluded.csv", float_precision="round_trip")
        stride = self._json(self.kept / "occluded.json")["stride"]
        return OccludedScores.from_table(table, stride)

    @cached_property
    def figures(self) -> pd.DataFrame:
        """One row a model: evaluation.csv."""
        return pd.read_csv(self.out / "evaluation.csv")

    @cached_property
    def curves(self) -> pd.DataFrame:
        """Captured share of the deposits by share of the area, a column a model."""
        table = pd.read_csv(self.out / "curves.csv")
        return table.set_index(table.columns[0])

    @cached_property
    def targets(self) -> gpd.GeoDataFrame:
        """The targets."""
        return read_layer(Source(self.out / "targets.gpkg", "targets"))

    @cached_property
    def target_rules(self) -> dict[str, Any]:
        """How far known ground reaches, how small and how large a target may be."""
        return self._json(self.kept / "targets.json")

    @cached_property
    def placed(self) -> gpd.GeoDataFrame:
        """The deposits with what the map says of them."""
        return read_layer(Source(self.out / "targets.gpkg", "deposits"))

    @staticmethod
    def _json(path: Path) -> dict[str, Any]:
        return json.loads(path.read_text(encoding="utf-8"))
