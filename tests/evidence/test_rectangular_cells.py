"""Faults on cells of any shape."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from geomfaf.errors import DataError
from geomfaf.evidence.faults import fault_bands
from geomfaf.evidence.geology import GeologyLayer
from geomfaf.rasters.grid import Grid


def test_cells_that_are_not_square_have_their_own_metres():
    """Four hundred by two hundred metres; one fault from north to south."""
    grid = Grid(CRS(32650), Affine(400, 0, 400_000, 0, -200, 2_420_000), (40, 30))
    x = 400_000 + 400 * 5.5
    line = gpd.GeoDataFrame(
        geometry=[shapely.LineString([(x, 2_410_000), (x, 2_430_000)])], crs=32650
    )
    distance, density = fault_bands(line, grid, ["cell_distance", "density"], radius=1000)
    np.testing.assert_allclose(distance, np.tile(400 * np.abs(np.arange(30) - 5), (40, 1)))
    assert (density[:, 8:] == 0).all()
    assert (density[:, 7] > 0).all()
    lying = gpd.GeoDataFrame(
        geometry=[shapely.LineString([(390_000, 2_419_100), (420_000, 2_419_100)])], crs=32650
    )
    rows = fault_bands(lying, grid, ["cell_distance"])[0][:, 3]
    np.testing.assert_allclose(rows, 200 * np.abs(np.arange(40) - 4))


def test_more_classes_than_a_band_holds_are_refused(monkeypatch):
    monkeypatch.setattr("geomfaf.evidence.geology.MOST_CLASSES", 2)
    squares = [shapely.box(x, 0, x + 100, 100) for x in (0, 100, 200)]
    rocks = gpd.GeoDataFrame({"rock": ["a", "b", "c"]}, geometry=squares, crs=32650)
    with pytest.raises(DataError, match=r"3 classes in column rock, and a band holds 2"):
        GeologyLayer(rocks, "rock", Grid.from_bounds((0, 0, 300, 100), 100, 32650))
