"""What an analyst does with a DataArray of ours: select, store, join, plot."""

import pickle

import numpy as np
import pytest
import xarray as xr
from builders import make_grid, make_stack

from geomfaf.rasters.band_names import BandNames
from geomfaf.rasters.bands import (
    Band,
    as_dataarray,
    bands_of,
    grid_of,
    making_of_bands,
    with_making,
)

GRID = make_grid(12, 9)
BANDS = [
    Band("Au_ppb", "element", "ppb", "Gold, <5 counted as 2.5"),
    Band("Cu (ppm)", "element", "ppm"),
    Band("fault_distance", "distance", "m"),
    Band("rock", "class", "", "Geology", {1: "granite", 2: "grès"}),
]


@pytest.fixture
def stack():
    values = np.random.default_rng(0).integers(1, 3, (len(BANDS), *GRID.shape)).astype(float)
    values[0, 3, 4] = np.nan
    return with_making(as_dataarray(values, GRID, BANDS), {"Au_ppb": {"idw_power": "2"}})


@pytest.mark.parametrize("label", ["Au_ppb", "Au", "au"])
def test_an_element_is_found_whatever_the_unit_in_its_name(stack, label):
    np.testing.assert_array_equal(stack.sel(band=label).values, stack.values[0])


def test_several_bands_are_found_at_once(stack):
    found = stack.sel(band=["Cu", "Au", "rock"])
    assert list(found["band"].values) == ["Cu (ppm)", "Au_ppb", "rock"]
    assert [band.unit for band in bands_of(found)] == ["ppm", "ppb", ""]


def test_a_label_that_fits_no_band_or_several_names_them(stack):
    with pytest.raises(KeyError) as error:
        stack.sel(band="Zn")
    assert "no band named" in str(error.value.__cause__)
    assert "fault_distance, rock" in str(error.value.__cause__)
    twice = BandNames(["Au_ppb", "Au_ppm"])
    with pytest.raises(KeyError, match=r"several bands.*Au_ppb, Au_ppm"):
        twice.get_loc("Au")


def test_stacks_are_joined_by_full_names_alone(stack):
    """An outer join of "Au_ppb" and "Au" has both bands, and neither is filled from the other."""
    other = as_dataarray(np.zeros((1, *GRID.shape)), GRID, [Band("Au")])
    left, right = xr.align(stack, other, join="outer")
    assert set(left["band"].values) == {*stack["band"].values, "Au"}
    labels = list(left["band"].values)
    assert np.isnan(left.values[labels.index("Au")]).all()
    assert np.isnan(right.values[labels.index("Au_ppb")]).all()


def test_plain_arrays_of_the_same_bands_still_calculate(stack):
    weights = xr.DataArray([1.0, 2.0, 3.0, 4.0], {"band": [band.name for band in BANDS]})
    found = (stack * weights).sum("band", skipna=False)
    np.testing.assert_allclose(found.values, np.tensordot([1, 2, 3, 4], stack.values, 1))


def test_names_survive_pickling_and_subsets(stack):
    copy = pickle.loads(pickle.dumps(stack)).isel(band=[2, 0])
    assert copy.sel(band="fault")["band"].item() == "fault_distance"
    assert copy.sel(band="Au")["band"].item() == "Au_ppb"


def test_netcdf_keeps_all_a_stack_says(stack, tmp_path):
    stack.to_netcdf(tmp_path / "stack.nc")
    with xr.open_dataarray(tmp_path / "stack.nc") as read:
        assert grid_of(read) == GRID
        assert bands_of(read) == bands_of(stack)
        assert making_of_bands(read) == {"Au_ppb": {"idw_power": "2"}}
        np.testing.assert_array_equal(read.values, stack.values)


def test_rio_and_plot_work_on_a_stack():
    stack = make_stack(GRID)
    assert stack.rio.reproject("EPSG:4326").rio.crs.to_epsg() == 4326
    west, south, east, north = GRID.bounds
    clipped = stack.rio.clip_box(west, south, (west + east) / 2, north)
    assert clipped.sizes["x"] < stack.sizes["x"]
    import matplotlib.pyplot as plt

    drawn = stack.isel(band=0).plot()
    assert drawn.axes.get_title()
    plt.close("all")
