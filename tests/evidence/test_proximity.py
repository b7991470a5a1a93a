"""Distances, densities and presences against brute force, and the same bits however the grid is cut."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely import LineString, Point, Polygon, box
from test_stack import make_grid, make_survey

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.proximity import ProximitySource, proximity_layer
from geomfaf.evidence.stack import build_stack, stack_to_file
from geomfaf.rasters.bands import bands_of
from geomfaf.rasters.geotiff import read_raster
from geomfaf.rasters.grid import Grid

GRID = Grid.from_bounds((0, 0, 3000, 2400), 60, 32633)


def features(kind, seed=0):
    rng = np.random.default_rng(seed)
    places = rng.uniform((-500, -500), (3500, 2900), (9, 2))
    if kind == "points":
        shapes = [Point(place) for place in places]
    elif kind == "lines":
        shapes = [LineString([p, p + rng.normal(0, 600, 2), p + 900]) for p in places]
    else:
        shapes = [Point(place).buffer(rng.uniform(80, 400)) for place in places]
        shapes.append(
            Polygon(
                [(0, 0), (900, 0), (900, 900), (0, 900)], [[(300, 300), (600, 300), (600, 600)]]
            )
        )
    return gpd.GeoDataFrame(geometry=shapes, crs=32633)


def centres():
    return shapely.points(*np.meshgrid(GRID.x, GRID.y))


def layer_of(frame, **options):
    return proximity_layer(ProximitySource(frame, "near", **options), GRID)


def whole(layer):
    return layer.block(0, 0, *GRID.shape)[0]


@pytest.mark.parametrize("kind", ["points", "lines", "polygons"])
def test_distances_are_those_of_shapely(kind):
    frame = features(kind)
    expected = shapely.distance(centres(), frame.geometry.union_all())
    np.testing.assert_allclose(whole(layer_of(frame)), expected, atol=1e-3, rtol=1e-6)
    cut = whole(layer_of(frame, max=200.0))
    np.testing.assert_allclose(cut, np.minimum(expected, 200), atol=1e-3, rtol=1e-6)


@pytest.mark.parametrize("kind", ["points", "lines", "polygons"])
def test_presence_is_what_touches_the_cell_or_holds_its_centre(kind):
    frame = features(kind)
    x, y = np.meshgrid(GRID.x, GRID.y)
    shapes = centres() if kind == "polygons" else shapely.box(x - 30, y - 30, x + 30, y + 30)
    expected = shapely.intersects(shapes, frame.geometry.union_all())
    found = whole(layer_of(frame, kind="presence"))
    assert (found == expected).mean() > 0.999


@pytest.mark.parametrize("kind", ["points", "lines", "polygons"])
def test_densities_count_what_lies_within_the_radius(kind):
    frame = features(kind)
    radius = 400.0
    found = whole(layer_of(frame, kind="density", radius=radius))
    x, y = np.meshgrid(GRID.x, GRID.y)
    for row, column in ((0, 0), (20, 25), (35, 48), (11, 30)):
        near = np.hypot(x - x[row, column], y - y[row, column]) <= radius
        area = near.sum() * 0.06**2
        if kind == "points":
            xy = shapely.get_coordinates(frame.geometry.to_numpy())
            at_row, at_column = GRID.rowcol(xy[:, 0], xy[:, 1])
            inside = at_row >= 0
            expected = near[at_row[inside], at_column[inside]].sum() / area
        elif kind == "polygons":
            expected = shapely.intersects(centres()[near], frame.geometry.union_all()).mean()
        else:
            ground = shapely.union_all(shapely.box(x - 30, y - 30, x + 30, y + 30)[near])
            length = sum(shape.intersection(ground).length for shape in frame.geometry)
            assert found[row, column] == pytest.approx(length / 1e3 / area, rel=0.03)
            continue
        assert found[row, column] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["points", "lines", "polygons"])
@pytest.mark.parametrize("what", ["distance", "density", "presence"])
def test_a_window_has_the_bits_of_the_whole(kind, what):
    layer = layer_of(features(kind), kind=what)
    everything = whole(layer)
    for row, column, height, width in ((0, 0, 7, 50), (13, 21, 20, 9), (39, 49, 1, 1)):
        part = layer.block(row, column, height, width)[0]
        expected = everything[row : row + height, column : column + width]
        np.testing.assert_array_equal(part, expected)


def test_a_column_of_points_is_interpolated_and_strikes_have_no_direction():
    frame = features("points").assign(grains=np.arange(9.0), strike=[10.0, 190.0] * 4 + [10.0])
    values = layer_of(frame, kind="value", column="grains", unit="grains")
    assert values.bands[0].kind == "continuous"
    assert 0 <= np.nanmin(whole(values)) <= np.nanmax(whole(values)) <= 8
    strike = layer_of(frame, kind="strike", column="strike")
    sine, cosine = strike.block(0, 0, *GRID.shape)
    np.testing.assert_allclose(sine, np.sin(np.deg2rad(20)), rtol=1e-5)
    np.testing.assert_allclose(cosine, np.cos(np.deg2rad(20)), rtol=1e-5)


def test_deposits_are_no_evidence_for_themselves():
    survey = make_survey()
    own = ProximitySource(survey.deposits.to_crs(4326), "occurrences")
    with pytest.raises(DataError, match="2 of 2 deposits are among its points"):
        build_stack(survey, make_grid(), proximity=[own])


def test_proximity_is_part_of_the_stack_in_memory_and_in_a_file(tmp_path):
    survey = make_survey()
    rocks = survey.geology.to_crs(4326)
    path = tmp_path / "rocks.gpkg"
    rocks.to_file(path, layer="rocks")
    source = ProximitySource(path, "north", layer="rocks", where="rock = 'north'")
    stack = build_stack(survey, make_grid(), proximity=[source])
    (band,) = [band for band in bands_of(stack) if band.name == "north"]
    assert band.kind == "distance"
    middle = (5_500_000 + 5_504_000) / 2
    expected = np.maximum(middle - stack.y.values, 0)[:, None] * np.ones(stack.sizes["x"])
    np.testing.assert_allclose(stack.sel(band="north").values, expected, atol=0.5)
    file = stack_to_file(survey, make_grid(), tmp_path / "stack.tif", proximity=[source])
    np.testing.assert_array_equal(read_raster(file).values, stack.values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "far"}, "unknown"),
        ({"max": -1.0}, "max = -1.0 must be metres above 0"),
        ({"kind": "value"}, "column belongs"),
        ({"column": "a"}, "column belongs"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        ProximitySource("a.gpkg", "a", **options)


def test_no_feature_and_no_crs_are_refused():
    frame = features("points")
    with pytest.raises(DataError, match="no feature"):
        layer_of(frame.iloc[:0])
    with pytest.raises(DataError, match="no CRS"):
        layer_of(frame.set_crs(None, allow_override=True))
    mixed = gpd.GeoDataFrame(geometry=[Point(0, 0), box(0, 0, 9, 9)], crs=32633)
    with pytest.raises(DataError, match="not of a mixture"):
        layer_of(mixed, kind="density")
