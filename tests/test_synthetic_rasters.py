"""The synthetic elevation drains as the survey does, and its magnetics show the hidden intrusions."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import minimum_filter

import geomfaf as gm
from geomfaf.evidence.geology import study_area_mask
from geomfaf.rasters.bands import grid_of
from geomfaf.rasters.geotiff import read_raster
from geomfaf.rasters.grid import Grid
from geomfaf.synthetic_ground import CELL, CRS, SIZES, drain
from geomfaf.synthetic_rasters import make_rasters, route_sediment, write_rasters


@pytest.fixture(scope="module")
def rasters():
    return make_rasters("small", seed=0)


def test_the_elevation_has_no_pit(rasters):
    height = rasters["elevation"].values[0]
    inner = height[1:-1, 1:-1]
    around = minimum_filter(height, 3, mode="nearest")[1:-1, 1:-1]
    assert (around < inner).all()


def test_the_magnetic_field_is_high_over_the_intrusions_that_no_layer_shows(rasters):
    _, truth = gm.make_survey("small", seed=0)
    field = rasters["magnetics"]
    inside = study_area_mask(truth.intrusions, grid_of(field))
    values = field.values[0]
    assert values[inside].mean() - values[~inside].mean() > values[~inside].std()
    assert 0.005 < inside.mean() < 0.1


def test_the_files_are_in_another_crs_and_hold_the_same_field(rasters, tmp_path):
    paths = write_rasters(tmp_path, "small", seed=0)
    assert [path.name for path in paths] == ["elevation.tif", "magnetics.tif"]
    written = read_raster(paths[1])
    assert grid_of(written).crs != grid_of(rasters["magnetics"]).crs
    known = written.values[np.isfinite(written.values)]
    assert abs(known.mean() - rasters["magnetics"].values.mean()) < 1


def test_the_same_seed_gives_the_same_rasters(rasters):
    again = make_rasters("small", seed=0)
    for name, array in rasters.items():
        np.testing.assert_array_equal(again[name].values, array.values)


def test_a_routed_sample_holds_the_mean_of_the_ground_whose_water_passes_it(monkeypatch):
    """Against every cell's way down, walked step by step, on ground that is rich in one corner."""
    survey, truth = gm.make_survey("small", seed=0)
    grid = Grid.from_bounds(SIZES["small"].bounds, CELL, CRS)
    ground = np.ones(grid.shape)
    ground[:40, :40] = 500
    monkeypatch.setattr(
        "geomfaf.synthetic_rasters._analyse",
        lambda rng, grid, geology, deposits, xy: pd.DataFrame(
            dict.fromkeys(survey.elements, ground.ravel())
        ),
    )
    routed = route_sediment(survey, truth, "small", seed=0)
    receiver, _, _ = drain(np.random.default_rng(0).spawn(8)[1], grid)
    xy = survey.samples.get_coordinates().to_numpy()
    row, column = grid.rowcol(*xy.T)
    chosen = {int(r * grid.width + c): n for n, (r, c) in enumerate(zip(row, column, strict=True))}
    passed: dict[int, list[float]] = {number: [] for number in chosen.values()}
    for cell in range(grid.size):
        at = cell
        while at >= 0:
            if at in chosen:
                passed[chosen[at]].append(ground.ravel()[cell])
            at = receiver[at]
    expected = np.array([np.mean(passed[number]) for number in passed])
    found = routed.samples["Au_ppb"].to_numpy()[list(passed)]
    error = np.log10(found / expected)
    assert 0.015 < error.std() < 0.025
    assert abs(error).max() < 0.1
    assert len(np.unique(expected.round(3))) > 20
