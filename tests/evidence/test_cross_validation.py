import geopandas as gpd
import numpy as np
import pytest
from shapely import Point

from geomfaf.evidence.idw_engines.cross_validation import cross_validate_idw
from geomfaf.evidence.inverse_distance import IdwOptions, idw_grid, idw_points
from geomfaf.rasters.bands import making_of_bands
from geomfaf.rasters.grid import Grid


@pytest.fixture
def samples():
    """A smooth field; Cu is missing at every fifth sample."""
    rng = np.random.default_rng(2)
    xy = rng.uniform(0, 10_000, (400, 2))
    field = 10 ** (np.sin(xy[:, 0] / 2000) + np.cos(xy[:, 1] / 1500))
    frame = gpd.GeoDataFrame(
        {"Au": field, "Cu": field * 3}, geometry=[Point(p) for p in xy], crs=32633
    )
    frame.loc[::5, "Cu"] = np.nan
    return frame


def test_leave_one_out_equals_leaving_each_out_by_hand(samples):
    xy = np.column_stack([samples.geometry.x, samples.geometry.y])
    au = samples["Au"].to_numpy()
    by_hand = [
        idw_points(np.delete(xy, i, 0), np.delete(au, i)[None], xy[i : i + 1], neighbours=6)[0, 0]
        for i in range(400)
    ]
    table = cross_validate_idw(samples, ["Au", "Cu"], neighbours=6)
    found = table.set_index(["element", "scheme"]).loc[("Au", "leave-one-out")]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((au - by_hand) ** 2)), rel=1e-9)
    assert found["rmse_log10"] == pytest.approx(
        np.sqrt(np.mean(np.log10(au / by_hand) ** 2)), rel=1e-9
    )
    assert table["places"].tolist() == [400, 320, 400, 320]


def test_leaving_out_blocks_is_harder_than_leaving_out_one(samples):
    table = cross_validate_idw(samples, ["Au"], block=2500.0, scale="log").set_index("scheme")
    assert (
        table.loc["spatial blocks", "rmse_log10"] > 1.5 * table.loc["leave-one-out", "rmse_log10"]
    )


def test_auto_finds_the_smaller_error(samples):
    grid = Grid.from_bounds((0, 0, 10_000, 10_000), 500, 32633)
    array = idw_grid(samples, ["Au"], grid, power="auto", neighbours="auto", scale="log")
    chosen = making_of_bands(array)["Au"]
    power, neighbours = float(chosen["idw_power"]), int(chosen["idw_neighbours"])

    def error(power, neighbours):
        table = cross_validate_idw(samples, ["Au"], power=power, neighbours=neighbours, scale="log")
        return table.loc[0, "rmse_log10"]

    best = error(power, neighbours)
    assert all(best <= error(p, k) for p, k in ((2.0, 12), (1.0, 4), (4.0, 32)))


def test_errors_stay_with_the_band(samples):
    grid = Grid.from_bounds((0, 0, 10_000, 10_000), 500, 32633)
    note = making_of_bands(idw_grid(samples, ["Au"], grid, options=IdwOptions(errors=True)))["Au"]
    expected = cross_validate_idw(samples, ["Au"]).set_index("scheme")["rmse"]
    assert float(note["rmse_leave_one_out"]) == pytest.approx(expected["leave-one-out"], rel=1e-5)
    assert float(note["rmse_spatial_blocks"]) == pytest.approx(expected["spatial blocks"], rel=1e-5)
