"""Any part of a raster, from a file or from memory, empty beyond its edges."""

import numpy as np
import pytest
import xarray as xr
from builders import make_grid, make_stack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geomfaf.errors import UsageError
from geomfaf.rasters.geotiff import raster_grid, read_raster, write_raster
from geomfaf.rasters.reader import RasterReader
from geomfaf.rasters.stream import stream_raster

GRID = make_grid(40, 30)


@pytest.fixture(scope="module")
def stack():
    found = make_stack(GRID)
    found.values[1, 5:9, 3:7] = np.nan
    return found


@pytest.fixture(scope="module")
def readers(stack, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rasters")
    whole = RasterReader(stack)
    tif = write_raster(stack, folder / "stack.tif")
    zarr = stream_raster(folder / "stack.zarr", GRID, whole.bands, whole.read, job="stack")
    return [whole, RasterReader(tif), RasterReader(str(zarr))]


@given(
    row=st.integers(-50, 60),
    column=st.integers(-50, 60),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_part_is_the_cells_of_the_padded_raster(stack, readers, row, column, height, width):
    padded = np.pad(stack.values, ((0, 0), (120, 120), (120, 120)), constant_values=np.nan)
    expected = padded[:, row + 120 : row + 120 + height, column + 120 : column + 120 + width]
    for reader in readers:
        np.testing.assert_array_equal(reader.read(row, column, height, width), expected)
        some = reader.read(row, column, height, width, ["geology", "Au"])
        np.testing.assert_array_equal(some, expected[[2, 0]])


def test_all_readers_know_what_the_bands_say(stack, readers):
    for reader in readers:
        assert reader.grid == GRID
        xr.testing.assert_identical(reader.part(0, 0, *GRID.shape), stack)
    part = readers[1].part(10, 20, 7, 5)
    np.testing.assert_allclose(part["x"], stack["x"][20:25])
    np.testing.assert_allclose(part["y"], stack["y"][10:17])


def test_a_raster_that_changed_is_another(stack, readers, tmp_path):
    path = write_raster(stack, tmp_path / "stack.tif")
    before = RasterReader(path).fingerprint()
    assert RasterReader(path).fingerprint() == before
    write_raster(stack * 2, path, overwrite=True)
    assert RasterReader(path).fingerprint() != before
    assert RasterReader(stack).fingerprint() == readers[0].fingerprint()


def test_the_grid_of_a_store_is_read_without_its_cells(readers, monkeypatch):
    monkeypatch.setattr(xr.DataArray, "load", None)
    assert raster_grid(readers[2].source) == GRID


def test_what_is_no_raster_is_refused(tmp_path):
    (tmp_path / "no.tif").write_text("nothing")
    for read in (RasterReader, read_raster, raster_grid):
        with pytest.raises(UsageError, match=r"no\.tif is not a raster"):
            read(tmp_path / "no.tif")
