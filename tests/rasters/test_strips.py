"""A band from top to bottom: whole, sorted or cell by cell, whatever the height of a strip."""

import numpy as np
import pytest
from builders import make_grid, make_stack

from geomfaf.rasters.geotiff import write_raster
from geomfaf.rasters.reader import RasterReader
from geomfaf.rasters.strips import sorted_values, strips, values_at, whole_band

GRID = make_grid(23, 17)


@pytest.mark.parametrize("rows", [1, 5, 23, 512])
def test_every_way_to_read_a_band_gives_its_cells(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("geomfaf.rasters.strips.ROWS", rows)
    stack = make_stack(GRID)
    stack[1, 3:9, 4] = np.nan
    layer = stack.sel(band="Cu").values
    cells = np.sort(np.random.default_rng(0).choice(GRID.size, 40, replace=False))
    for raster in (stack, write_raster(stack, tmp_path / "stack.tif")):
        reader = RasterReader.of(raster)
        np.testing.assert_array_equal(whole_band(reader, "Cu"), layer)
        np.testing.assert_array_equal(values_at(reader, "Cu", cells), layer.ravel()[cells])
        values, here = sorted_values(reader, "Cu", cells)
        np.testing.assert_array_equal(values, np.sort(layer[np.isfinite(layer)]))
        np.testing.assert_array_equal(here, layer.ravel()[cells])
        firsts = [first for first, _ in strips(reader, "Cu", 4)]
        assert firsts == list(range(0, 23, 4))


def test_a_reader_is_taken_as_it_is():
    reader = RasterReader(make_stack(GRID))
    assert RasterReader.of(reader) is reader
    assert values_at(reader, "Au", np.array([], int)).size == 0
