"""Whoever writes a raster, in one piece or block by block, its overviews follow the kinds of its bands."""

import numpy as np
import pytest
import rasterio
from pyproj import CRS

from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.rasters.geotiff import write_raster
from geomfaf.rasters.grid import Grid
from geomfaf.rasters.stream import stream_raster

GRID = Grid.from_bounds((0, 0, 11_010, 6_300), 10, CRS.from_epsg(32633))
BANDS = [
    Band("Au", "element", "ppb"),
    Band("geology", "class", legend={1: "a", 17: "b"}),
    Band("near", "distance", "m", "Distance to what is near (m)"),
]


@pytest.fixture(scope="module")
def values():
    """A checkerboard of 1 and 17 in every band, with a gap in the first."""
    checker = np.indices(GRID.shape).sum(axis=0) % 2 * 16.0 + 1
    values = np.stack([checker, checker, checker + 1]).astype(np.float32)
    values[0, :4, :4] = np.nan
    return values


@pytest.fixture(scope="module")
def written(values, tmp_path_factory):
    folder = tmp_path_factory.mktemp("overviews")
    at_once = write_raster(as_dataarray(values, GRID, BANDS), folder / "once.tif")

    def compute(row, column, height, width):
        return values[:, row : row + height, column : column + width]

    streamed = stream_raster(folder / "stream.tif", GRID, BANDS, compute, job="test", cog=True)
    assert {path.name for path in folder.iterdir()} == {"once.tif", "stream.tif"}
    return at_once, streamed


def test_class_numbers_stay_class_numbers_and_other_bands_are_averaged(written, values):
    for path in written:
        with rasterio.open(path, overview_level=0) as source:
            coarse = source.read()
        assert set(np.unique(coarse[1])) <= {1, 17}
        # The mean of 1, 17, 17, 1 and of the same plus one; a gap stays a gap.
        assert np.isnan(coarse[0, :2, :2]).all()
        assert (coarse[0, 3:] == 9).all()
        assert (coarse[2] == 10).all()


def test_rasters_written_at_once_and_block_by_block_are_the_same(written):
    once, stream = map(rasterio.open, written)
    assert once.overviews(1) == stream.overviews(1) == [2, 4]
    assert once.descriptions == stream.descriptions
    assert once.units == stream.units
    for band in once.indexes:
        assert once.tags(band) == stream.tags(band)
        np.testing.assert_array_equal(once.read(band), stream.read(band))
    for level in range(2):
        with (
            rasterio.open(written[0], overview_level=level) as one,
            rasterio.open(written[1], overview_level=level) as other,
        ):
            np.testing.assert_array_equal(one.read(), other.read())
    once.close()
    stream.close()
