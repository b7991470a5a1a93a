import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from shapely import LineString, Point, box

from geomfaf.errors import DataError
from geomfaf.evidence.idw_engines.barriers import barrier_segments
from geomfaf.evidence.inverse_distance import IdwOptions, idw_grid, idw_points
from geomfaf.rasters.bands import making_of_bands
from geomfaf.rasters.grid import Grid

UTM = CRS.from_epsg(32633)


def test_auto_chooses_by_what_can_be_seen():
    """Across the fault values differ a hundredfold: with it one neighbour more is as good, without
    it, worse.
    """
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1000, (2, 120))
    au = np.where(x < 500, 1.0, 100.0) + rng.normal(0, 0.2, 120)
    samples = gpd.GeoDataFrame(
        {"Au": au}, geometry=[Point(*p) for p in zip(x, y, strict=True)], crs=UTM
    )
    fault = gpd.GeoDataFrame(geometry=[LineString([(500, -10), (500, 1010)])], crs=UTM)
    grid = Grid.from_bounds((0, 0, 1000, 1000), 250, UTM)

    def chosen(**options):
        array = idw_grid(samples, ["Au"], grid, neighbours="auto", options=IdwOptions(**options))
        return int(making_of_bands(array)["Au"]["idw_neighbours"])

    assert chosen(barriers=fault) > chosen()


def test_a_fault_parts_two_populations():
    """West of the fault everything is 1, east of it 9: no cell may mix them."""
    samples = gpd.GeoDataFrame(
        {"Au": [1.0, 1.0, 9.0, 9.0]},
        geometry=[Point(x, y) for x in (100, 900) for y in (200, 800)],
        crs=UTM,
    )
    fault = gpd.GeoDataFrame(geometry=[LineString([(500, -10), (500, 400), (500, 1010)])], crs=UTM)
    grid = Grid.from_bounds((0, 0, 1000, 1000), 50, UTM)
    result = idw_grid(samples, ["Au"], grid, options=IdwOptions(barriers=fault, extras=("count",)))
    assert np.unique(result.values[0, :, :10]).tolist() == [1.0]
    assert np.unique(result.values[0, :, 10:]).tolist() == [9.0]
    assert np.unique(result.values[1]).tolist() == [2.0]
    half = gpd.GeoDataFrame(geometry=[LineString([(500, -10), (500, 500)])], crs=UTM)
    around = idw_grid(samples, ["Au"], grid, options=IdwOptions(barriers=half)).values[0]
    assert around[-1, 0] < around[0, 0]


@pytest.mark.parametrize("neighbours", [None, 3, 12])
def test_visible_samples_equal_a_search_by_shapely(neighbours):
    rng = np.random.default_rng(3)
    xy, values = rng.uniform(0, 1000, (80, 2)), rng.lognormal(0, 1, (2, 80))
    segments = np.hstack(
        [start := rng.uniform(0, 1000, (25, 2)), start + rng.normal(0, 150, (25, 2))]
    )
    targets = rng.uniform(0, 1000, (60, 2))
    tree = shapely.STRtree(shapely.linestrings(segments.reshape(-1, 2, 2)))
    expected = np.full((2, 60), np.nan)
    for t, target in enumerate(targets):
        sight = shapely.linestrings(np.stack([np.broadcast_to(target, xy.shape), xy], axis=1))
        hidden = np.zeros(80, bool)
        hidden[tree.query(sight, predicate="crosses")[0]] = True
        distance = np.where(hidden, np.inf, np.hypot(*(xy - target).T))
        near = np.argsort(distance)[: neighbours or 80]
        weight = distance[near] ** -2.0
        expected[:, t] = values[:, near] @ weight / weight.sum()
    result = idw_points(
        xy, values, targets, neighbours=neighbours, options=IdwOptions(barriers=segments)
    )
    np.testing.assert_allclose(result, expected, rtol=1e-9)


def test_anisotropy_stretches_what_lies_along_the_azimuth():
    """With ratio 3 along north, a sample 300 m north counts like one 100 m east."""
    xy, values = np.array([[0.0, 300.0], [100.0, 0.0]]), np.array([[1.0, 3.0]])
    options = IdwOptions(anisotropy=(3.0, 0.0))
    np.testing.assert_allclose(
        idw_points(xy, values, [[0.0, 0.0]], options=options), 2.0, rtol=1e-12
    )


@pytest.mark.parametrize("neighbours", [None, 6])
def test_anisotropic_grids_agree_between_engines(neighbours):
    from geomfaf.evidence.inverse_distance import idw

    rng = np.random.default_rng(5)
    xy, values = rng.uniform(4e6, 4e6 + 1000, (90, 2)), rng.lognormal(0, 1, (2, 90))
    grid = Grid(UTM, Affine(20, 0, 4e6, 0, -30, 4e6 + 1000), (34, 51))
    results = [
        idw(
            xy,
            values,
            grid,
            neighbours=neighbours,
            options=IdwOptions(engine=engine, anisotropy=(4.0, 30.0)),
        )
        for engine in ("scipy", "numba")
    ]
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_polygons_are_no_barriers():
    with pytest.raises(DataError, match="POLYGON"):
        barrier_segments(gpd.GeoSeries([box(0, 0, 1, 1)]))
