"""Catchments of one valley with three samples, counted by hand, and a routed world where they pay."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from sklearn.linear_model import LinearRegression

pytest.importorskip("pyflwdir")

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.catchment_errors import cross_validate_catchments
from geomfaf.evidence.catchments import (
    CatchmentLayer,
    CatchmentOptions,
    Drainage,
    catchment_values,
    over_background,
    undiluted,
)
from geomfaf.evidence.stack import build_stack, stack_to_file
from geomfaf.rasters.bands import bands_of, making_of_bands
from geomfaf.rasters.geotiff import read_raster
from geomfaf.rasters.grid import Grid
from geomfaf.survey.survey import Survey

GRID = Grid.from_bounds((0, 0, 4100, 5000), 100, 32633)
MIDDLE = 20
"""Column of the valley's floor; its sides fall straight to it, and it falls southward."""


def valley():
    along = np.arange(GRID.height)[::-1] * 1.0
    across = np.abs(np.arange(GRID.width) - MIDDLE) * 20.0
    return (along[:, None] + across).astype(np.float32)


@pytest.fixture(scope="module")
def dem(tmp_path_factory):
    path = tmp_path_factory.mktemp("dem") / "dem.tif"
    west, _, _, north = GRID.bounds
    options = {
        "driver": "GTiff",
        "count": 1,
        "height": GRID.height,
        "width": GRID.width,
        "dtype": "float32",
        "crs": "EPSG:32633",
        "transform": Affine(100, 0, west, 0, -100, north),
    }
    with rasterio.open(path, "w", **options) as file:
        file.write(valley(), 1)
    return path


def samples(rows=(40, 20, 10), values=(12.0, 8.0, 20.0), off=30.0):
    x, y = GRID.xy(np.array(rows), MIDDLE)
    points = gpd.points_from_xy(x + off, y)
    return gpd.GeoDataFrame({"Cu": list(values)}, geometry=points, crs=32633)


def survey_of(frame, **more):
    area = gpd.GeoDataFrame(
        geometry=gpd.GeoSeries.from_wkt(["POLYGON((0 0,4100 0,4100 5000,0 5000,0 0))"]), crs=32633
    )
    options = {
        "deposits": None,
        "geology": None,
        "faults": None,
        "study_area": area,
        "elements": {"Cu": "ppm"},
        **more,
    }
    return Survey(samples=frame, **options)


def layer_of(dem, frame=None, survey=None, **options):
    survey = survey or survey_of(samples() if frame is None else frame)
    return CatchmentLayer(survey, ["Cu"], GRID, CatchmentOptions(dem, **options))


def whole(layer):
    return layer.block(0, 0, *GRID.shape)[0]


# --- one valley, three samples


@pytest.mark.slow
def test_each_cell_takes_the_value_of_the_next_sample_downstream(dem):
    found = whole(layer_of(dem, fallback="none"))
    rows = np.arange(GRID.height)
    # Slopes fall straight or slanting to the floor: near it nothing is unsure.
    assert (found[:8, MIDDLE - 2 : MIDDLE + 3] == 20).all()
    assert (found[rows[14:17], MIDDLE] == 8).all()
    assert found[30, MIDDLE] == 12
    assert np.isnan(found[41:, MIDDLE]).all()
    values, cells = np.unique(found[np.isfinite(found)], return_counts=True)
    drainage = Drainage(valley(), GRID)
    upstream = drainage.cells[[40, 20, 10], MIDDLE]
    assert dict(zip(values, cells, strict=True)) == {
        12: upstream[0] - upstream[1],
        8: upstream[1] - upstream[2],
        20: upstream[2],
    }


def test_the_load_of_nested_catchments_is_shared_out_by_mass_balance(dem):
    drainage = Drainage(valley(), GRID)
    a1, a2, a3 = drainage.cells[[40, 20, 10], MIDDLE] * 1.0
    found = whole(layer_of(dem, samples(values=(20.0, 14.0, 10.0)), nested="mass-balance"))
    assert found[5, MIDDLE] == 10
    assert found[15, MIDDLE] == pytest.approx((14 * a2 - 10 * a3) / (a2 - a3), rel=1e-6)
    assert found[30, MIDDLE] == pytest.approx((20 * a1 - 14 * a2) / (a1 - a2), rel=1e-6)
    # The loads add up to that of the lowest sample.
    drained = drainage.next_outlet(np.array([40 * GRID.width + MIDDLE]))[0] == 0
    assert found[drained].sum() == pytest.approx(20 * a1, rel=1e-6)


def test_a_load_that_is_smaller_than_that_from_above_leaves_the_smallest_value_measured(dem):
    found = whole(layer_of(dem, samples(values=(2.0, 8.0, 90.0)), nested="mass-balance"))
    assert found[30, MIDDLE] == 2


def test_ground_without_a_sample_downstream_falls_back_to_distances_or_stays_empty(dem):
    empty = whole(layer_of(dem, fallback="none"))
    filled = whole(layer_of(dem, fallback="idw"))
    gap = np.isnan(empty)
    assert gap[45:].all()
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~gap], empty[~gap])
    assert 8 <= filled[gap].min() <= filled[gap].max() <= 20


def test_samples_away_from_streams_are_left_out_and_the_rest_is_snapped(dem):
    frame = samples()
    frame.loc[2, "geometry"] = frame.geometry[2].__class__(frame.geometry[2].x + 900, 4500)
    found = whole(layer_of(dem, frame, fallback="none", snap=100.0))
    assert set(np.unique(found[np.isfinite(found)])) == {8.0, 12.0}
    with pytest.raises(DataError, match=r"no sample lies within 1 m of a stream"):
        layer_of(dem, samples(off=45.0), snap=1.0)


def test_two_samples_at_one_place_are_averaged_and_a_missing_one_is_skipped(dem):
    frame = samples(rows=(40, 40, 10), values=(10.0, 14.0, np.nan))
    found = whole(layer_of(dem, frame, fallback="none"))
    assert set(np.unique(found[np.isfinite(found)])) == {12.0}
    assert found[2, MIDDLE] == 12


# --- dilution and background


def test_dilution_is_that_of_hawkes():
    # 4 km2 with 16 ppm over 10 ppm: 24 ppm km2 of excess, all from 1 km2.
    values = undiluted(np.array([[10.0, 10.0, 16.0]]), np.array([2.0, 9.0, 4.0]))
    assert values.tolist() == [[10.0, 10.0, 34.0]]


def test_the_background_of_rocks_is_regressed_and_outliers_do_not_bend_it():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], 60)
    logs = shares @ [1.0, 2.0, 0.5] + rng.normal(0, 0.01, 60)
    values = 10**logs
    values[7] *= 100
    residual = over_background(values, shares)
    assert residual[7] == pytest.approx(2, abs=0.05)
    others = np.delete(residual, 7)
    assert np.abs(others).max() < 0.05
    plain = LinearRegression(fit_intercept=False).fit(shares, np.log10(values))
    assert (
        np.abs(others).mean()
        < np.abs(np.delete(np.log10(values) - plain.predict(shares), 7)).mean()
    )


def test_the_band_over_the_background_is_a_ratio(dem):
    geology = gpd.GeoDataFrame(
        {"rock": ["a"]}, geometry=survey_of(samples()).study_area.geometry.to_numpy(), crs=32633
    )
    survey = survey_of(samples(), geology=geology, geology_column="rock")
    layer = layer_of(dem, survey=survey, background="lithology", fallback="none")
    assert layer.bands[0].kind == "ratio"
    found = whole(layer)
    assert found[2, MIDDLE] == pytest.approx(np.log10(20 / 12), abs=0.05)
    with pytest.raises(UsageError, match="needs geology"):
        layer_of(dem, background="lithology")


# --- in the stack


def test_catchments_take_the_place_of_the_interpolation_in_the_stack(dem, tmp_path):
    survey = survey_of(samples())
    options = CatchmentOptions(dem)
    stack = build_stack(survey, GRID, catchments=options)
    (band,) = bands_of(stack)
    assert (band.name, band.kind, band.label) == ("Cu", "element", "Cu (ppm), catchments")
    assert making_of_bands(stack)["Cu"]["catchment_nested"] == "smallest"
    path = stack_to_file(survey, GRID, tmp_path / "stack.tif", catchments=options)
    np.testing.assert_array_equal(read_raster(path).values, stack.values)


@pytest.mark.parametrize(
    "options",
    [{"nested": "sum"}, {"background": "rock"}, {"fallback": "0"}, {"snap": -1}, {"stream": 0}],
)
def test_what_makes_no_sense_is_refused(options):
    with pytest.raises(UsageError):
        CatchmentOptions("dem.tif", **options)


# --- a world in which sediment is routed


def test_where_sediment_is_routed_catchments_find_the_source_that_distances_smear(dem):
    """Every stream cell is sampled for the mean of its catchment: catchments give the ground back."""
    drainage = Drainage(valley(), GRID)
    rng = np.random.default_rng(0)
    ground = 10 * np.ones(GRID.shape)
    ground[5:12, 8:16] = 200
    floor = np.arange(2, 49) * GRID.width + MIDDLE
    basins, below = drainage.next_outlet(floor)
    count = np.bincount(basins[basins >= 0], minlength=len(floor))
    load = np.bincount(basins[basins >= 0], weights=ground[basins >= 0], minlength=len(floor))
    for number in np.argsort(drainage.cells.ravel()[floor], kind="stable"):
        if below[number] >= 0:
            load[below[number]] += load[number]
            count[below[number]] += count[number]
    values = load / count * np.exp(rng.normal(0, 1e-6, len(floor)))
    found = catchment_values(drainage, floor, values[None], nested="mass-balance")
    local = np.where(found.basins >= 0, found.values[0][found.basins], np.nan)
    truth = np.array([ground[found.basins == number].mean() for number in range(len(floor))])
    np.testing.assert_allclose(found.values[0], np.maximum(truth, values.min()), rtol=0.02)
    assert np.nanmax(local) > 1.5 * values.max()


def test_the_errors_of_both_methods_are_counted_on_the_same_places(dem):
    frame = samples(rows=(46, 40, 30, 20, 10, 5), values=(10.0, 11.0, 12.0, 13.0, 14.0, 15.0))
    table = cross_validate_catchments(survey_of(frame), ["Cu"], GRID, CatchmentOptions(dem))
    table = table.set_index("method")
    assert table["places"].tolist() == [6, 6]
    assert table["below"].tolist() == [5, 5]
    expected = np.log10(np.array([11, 12, 13, 14, 15]) / np.array([10, 11, 12, 13, 14]))
    found = table.loc["catchments", "rmse_log10_below"]
    assert found == pytest.approx(np.sqrt((expected**2).mean()), rel=1e-6)
