"""Small grids, stacks, windows and models that several test files share."""

from functools import cache

import geopandas as gpd
import numpy as np
import shapely
import torch
import xarray as xr
from affine import Affine
from pyproj import CRS
from scipy.ndimage import gaussian_filter

from geomfaf.models.fold_models import Model, train_model
from geomfaf.models.network.options import Training
from geomfaf.models.predict import SCORE_BANDS, predict_scores
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.rasters.grid import Grid
from geomfaf.windows.folds import Folds, spatial_folds
from geomfaf.windows.windows import centred_windows

# Two threads that wait for each other on a busy machine take ten times as long as one for networks
# this small.
torch.set_num_threads(1)

UTM = CRS.from_epsg(32633)
LEGEND = {1: "granite", 2: "shale"}
QUICK = Training(dilations=(1, 2), epochs=2, least_steps=4, batch=8)


def make_grid(height: int, width: int, cell: float = 100.0) -> Grid:
    return Grid(UTM, Affine(cell, 0, 500_000, 0, -cell, 6_000_000), (height, width))


def points_in(grid: Grid, rows, cols) -> gpd.GeoDataFrame:
    """Points in the centres of cells."""
    x, y = grid.xy(np.asarray(rows, float), np.asarray(cols, float))
    return gpd.GeoDataFrame(geometry=gpd.points_from_xy(x, y), crs=grid.crs)


def smooth_noise(shape: tuple[int, int], seed: int, sigma: float = 3.0) -> np.ndarray:
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return (field - field.mean()) / field.std()


def scattered_cells(grid: Grid, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of make-believe deposits, each in its own cell."""
    return np.divmod(
        np.random.default_rng(seed).choice(grid.size, count, replace=False), grid.width
    )


def make_stack(
    grid: Grid, seed: int = 0, *, ore: tuple[np.ndarray, np.ndarray] | None = None
) -> xr.DataArray:
    """Two elements, a class band and a distance; with ``ore`` cells, the first element is high
    around them.
    """
    fields = [smooth_noise(grid.shape, seed * 10 + number) for number in range(3)]
    if ore is not None:
        halo = np.zeros(grid.shape)
        halo[ore] = 1
        halo = gaussian_filter(halo, 2.0)
        fields[0] = fields[0] * 0.3 + 4 * halo / halo.max()
    geology = np.where(fields[2] > 0, 1, 2)
    fault = np.abs(grid.x - grid.x.mean())[None, :] * np.ones(grid.shape)
    bands = [
        Band("Au", "element", "ppb", "Gold (ppb)"),
        Band("Cu", "element", "ppm", "Copper (ppm)"),
        Band("geology", "class", "", "Geology", LEGEND),
        Band("fault_distance", "distance", "m", "Distance to fault (m)"),
    ]
    return as_dataarray(np.stack([10 ** fields[0], 10 ** fields[1], geology, fault]), grid, bands)


def make_scores(grid: Grid, score: np.ndarray, **others: np.ndarray) -> xr.DataArray:
    """A result of predict_scores with chosen bands, by default all like the score."""
    layers = [np.asarray(others.get(band.name, score), np.float32) for band in SCORE_BANDS]
    return as_dataarray(np.stack(layers), grid, SCORE_BANDS)


class Case:
    """A small survey with its windows and folds, ready to train on."""

    def __init__(
        self, shape: tuple[int, int] = (97, 83), size: int = 8, count: int = 14, seed: int = 1
    ) -> None:
        self.grid, self.size = make_grid(*shape), size
        self.cells = scattered_cells(self.grid, count, seed)
        self.deposits = points_in(self.grid, *self.cells)
        self.stack = make_stack(self.grid, seed, ore=self.cells)
        self.valid = np.ones(shape, bool)
        self.windows = centred_windows(self.grid, size, self.deposits, self.valid, seed=seed)
        self.folds: Folds = spatial_folds(self.windows, self.grid, self.valid, count=3, seed=seed)

    def train(self, **options) -> Model:
        return train_model(
            self.stack, self.windows, self.folds, **{"options": QUICK, "device": "cpu", **options}
        )


@cache
def small_case() -> Case:
    return Case()


@cache
def small_model() -> Model:
    return small_case().train()


@cache
def small_scores() -> xr.DataArray:
    return predict_scores(small_model(), small_case().stack)


def box_of(grid: Grid, row: int, col: int, height: int, width: int) -> shapely.Polygon:
    return shapely.box(*grid.window_bounds(row, col, height, width))


def weights(model, fold: int) -> dict[str, torch.Tensor]:
    return model.fold_models[fold].classifier.net_.state_dict()


def same_weights(one, other, fold: int) -> bool:
    a, b = weights(one, fold), weights(other, fold)
    return all(torch.equal(a[name], b[name]) for name in a)


def ground_to_test(case: Case, fold: int) -> np.ndarray:
    """The cells that a fold's training must not know: its blocks and the margin around them."""
    ground, margin = case.folds.raster() == fold, case.folds.margin
    rows, cols = np.nonzero(ground)
    near = np.zeros(case.grid.shape, bool)
    for row, col in zip(rows, cols, strict=True):
        near[max(row - margin, 0) : row + margin + 1, max(col - margin, 0) : col + margin + 1] = (
            True
        )
    return near
