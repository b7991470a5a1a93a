"""Cloud-optimised GeoTIFFs put together from finished tiles: valid, complete, and what GDAL's own
driver would have written.
"""

import struct

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rio_cogeo import cog_validate

from geomfaf.errors import InternalError
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.rasters.cog import GHOST, assemble_cog
from geomfaf.rasters.geotiff import read_raster, write_raster
from geomfaf.rasters.grid import Grid
from geomfaf.rasters.tiff_tiles import LAYOUT, read_directories

CRS_32633 = CRS.from_epsg(32633)


def raster(height, width, kinds, seed=0):
    """Return bands of noise with gaps; class bands hold three numbers."""
    rng = np.random.default_rng(seed)
    grid = Grid.from_bounds((0, 0, width * 10, height * 10), 10, CRS_32633)
    layers = []
    bands = []
    for number, kind in enumerate(kinds):
        if kind == "class":
            layers.append(rng.integers(1, 4, grid.shape))
            bands.append(Band(f"b{number}", "class", legend={1: "a", 2: "b", 3: "c"}))
        else:
            layers.append(np.where(rng.random(grid.shape) < 0.1, np.nan, rng.random(grid.shape)))
            bands.append(Band(f"b{number}", kind, "m"))
    return as_dataarray(np.stack(layers), grid, bands)


# A side of one or two cells cannot be halved, which the validator takes for a fault.
@settings(max_examples=12, deadline=None)
@given(
    st.integers(4, 1100),
    st.integers(4, 1100),
    st.lists(st.sampled_from(["element", "class", "distance"]), min_size=1, max_size=4),
)
def test_any_raster_is_valid_and_reads_back_as_it_was(tmp_path_factory, height, width, kinds):
    path = tmp_path_factory.mktemp("cog") / "any.tif"
    array = raster(height, width, kinds)
    write_raster(array, path)
    valid, errors, _ = cog_validate(path, strict=True, quiet=True)
    assert valid, errors
    assert [file.name for file in path.parent.iterdir()] == ["any.tif"]
    np.testing.assert_array_equal(read_raster(path).values, array.values)


def test_overviews_are_those_of_gdals_own_driver(tmp_path):
    path = write_raster(raster(1336, 2112, ["element", "distance"]), tmp_path / "ours.tif")
    with rasterio.open(path) as source:
        profile = {**source.profile, "driver": "GTiff"}
        values = source.read()
    with rasterio.open(tmp_path / "plain.tif", "w", **profile) as target:
        target.write(values)
    theirs = tmp_path / "theirs.tif"
    rasterio.shutil.copy(
        tmp_path / "plain.tif",
        theirs,
        driver="COG",
        overview_resampling="AVERAGE",
    )
    for level in range(3):
        with (
            rasterio.open(path, overview_level=level) as one,
            rasterio.open(theirs, overview_level=level) as other,
        ):
            assert one.shape == other.shape
            np.testing.assert_array_equal(one.read(), other.read())


def test_the_layout_is_what_the_lines_before_the_first_directory_say(tmp_path):
    """Tiles of the smallest overview first, band by band and row by row, each between its size and
    its last bytes.
    """
    path = write_raster(raster(1100, 700, ["element", "class", "element"]), tmp_path / "lines.tif")
    content = path.read_bytes()
    assert content[16 : 16 + len(GHOST)] == GHOST
    with rasterio.open(path) as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.overviews(1) == [2, 4]
    with path.open("rb") as file:
        directories = read_directories(file)
    end = 0
    tiles = 0
    for directory in reversed(directories):
        starts, sizes = (_numbers(content, directory[tag]) for tag in (324, 325))
        for start, size in zip(starts, sizes, strict=True):
            assert start > end
            assert struct.unpack_from("<I", content, start - 4) == (size,)
            end = start + size
            assert content[end : end + 4] == content[end - 4 : end]
            tiles += 1
    assert len(content) == end + 4
    # Three bands of 3 x 2, 2 x 1 and 1 x 1 tiles.
    assert tiles == 3 * (6 + 2 + 1)


def _numbers(content, entry):
    """Return an entry's numbers, without the module that is tested."""
    kind, count = struct.unpack_from("<HQ", entry, 2)
    assert kind == 16
    place = 12 if count == 1 else struct.unpack_from("<Q", entry, 12)[0]
    return struct.unpack_from(f"<{count}Q", entry if count == 1 else content, place)


def test_overviews_that_are_stored_otherwise_are_an_error_of_ours(tmp_path):
    values = np.ones((1, 600, 600), np.float32)
    place = {
        "transform": rasterio.Affine.scale(2, -2),
        "count": 1,
        "height": 600,
        "width": 600,
    }
    for name, changed in (("base", {}), ("other", {"predictor": 2})):
        with rasterio.open(tmp_path / f"{name}.tif", "w", **{**LAYOUT, **place, **changed}) as file:
            file.write(values)
    with pytest.raises(InternalError, match="tag 317"):
        assemble_cog(tmp_path / "base.tif", [(tmp_path / "other.tif", [0])], tmp_path / "no.tif")
