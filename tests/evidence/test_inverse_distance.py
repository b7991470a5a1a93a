"""Inverse-distance weighting against an oracle that is too slow and too simple to be wrong."""

import io
import json
import math
from contextlib import redirect_stderr

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import MultiPoint, Point

from geomfaf.errors import DataError, UsageError
from geomfaf.evidence.inverse_distance import CHUNK, TIE, idw, idw_grid, idw_points, merge_places
from geomfaf.progress import quiet, show_progress
from geomfaf.rasters.bands import bands_of, grid_of
from geomfaf.rasters.grid import Grid

UTM = 32633
GRID = Grid.from_bounds((0, 0, 700, 500), 100, UTM)
CENTRES = np.column_stack([axis.ravel() for axis in GRID.xy(*np.indices(GRID.shape))])


def oracle(xy, values, target, power, neighbours, radius):
    """Estimate one band at one point: the documented rules, one after the other, in float64."""
    places = {}
    for place, value in zip(map(tuple, xy), values, strict=True):
        if math.isfinite(value):
            places.setdefault(place, []).append(float(value))
    near = sorted(
        (math.dist(place, target), math.fsum(group) / len(group)) for place, group in places.items()
    )
    if radius is not None:
        near = [(d, z) for d, z in near if d <= radius * (1 + TIE)]
    if neighbours is not None and len(near) > neighbours:
        near = [(d, z) for d, z in near if d <= near[neighbours - 1][0] * (1 + TIE)]
    if not near:
        return math.nan
    if near[0][0] == 0:
        return near[0][1]
    weights = [(near[0][0] / d) ** power for d, _ in near]
    return math.fsum(w * z for w, (_, z) in zip(weights, near, strict=True)) / math.fsum(weights)


def oracle_bands(xy, values, targets, power, neighbours, radius):
    return np.array(
        [[oracle(xy, row, tuple(t), power, neighbours, radius) for t in targets] for row in values]
    )


def layer(xy, **columns):
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*np.transpose(xy)), crs=UTM)
    return points.assign(**columns)


# Layouts in whole metres, so that equal distances are equal; the grid's centres lie among them.
def _places(draw, count):
    kind = draw(
        st.sampled_from(["random", "clustered", "collinear", "duplicated", "lattice", "centres"])
    )
    metre = st.integers(-200, 900)
    if kind == "random":
        return [(draw(metre), draw(metre)) for _ in range(count)]
    if kind == "clustered":
        x, y, near = draw(metre), draw(metre), st.integers(-3, 3)
        return [(x + draw(near), y + draw(near)) for _ in range(count - 1)] + [(x + 500, y - 400)]
    if kind == "collinear":
        y = draw(st.sampled_from([50, 100, -37]))
        return [(draw(metre), y) for _ in range(count)]
    if kind == "duplicated":
        pool = [(draw(metre), draw(metre)) for _ in range(3)]
        return [draw(st.sampled_from(pool)) for _ in range(count)]
    step = 100 if kind == "lattice" else 50
    return [
        (step * draw(st.integers(-1, 9)), step * draw(st.integers(-1, 7))) for _ in range(count)
    ]


@st.composite
def surveys(draw):
    count = draw(st.integers(1, 30))
    xy = np.array(_places(draw, count), float)
    value = st.one_of(st.floats(1e-3, 1e4), st.just(math.nan))
    values = np.array([[draw(value) for _ in range(count)] for _ in range(draw(st.integers(1, 3)))])
    neighbours = draw(st.one_of(st.none(), st.integers(1, count + 2)))
    radius = draw(st.one_of(st.none(), st.sampled_from([40.0, 50.0, 100.0, 250.0, 5000.0])))
    return (
        xy,
        values,
        {
            "power": draw(st.sampled_from([0.5, 1.0, 2.0, 3.5, 16.0])),
            "neighbours": neighbours,
            "radius": radius,
        },
    )


# --- against the oracle
# ----------------------------------------------------------------------------------------------


@given(surveys())
@settings(max_examples=150)
def test_every_cell_is_what_the_oracle_says(survey):
    xy, values, options = survey
    expected = oracle_bands(xy, values, CENTRES, **options)
    got = idw(xy, values, GRID, **options)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.reshape(len(values), -1), expected, rtol=1e-6)
    np.testing.assert_allclose(idw_points(xy, values, CENTRES, **options), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("neighbours", "radius"),
    [(12, None), (1, None), (50, None), (12, 900.0), (None, 900.0), (None, None)],
)
def test_a_thousand_samples_agree_with_brute_force(neighbours, radius):
    rng = np.random.default_rng(7)
    xy = np.round(rng.uniform(0, 20_000, (1000, 2)), 3)
    values = rng.lognormal(0, 1, (2, 1000))
    targets = rng.uniform(-1000, 21_000, (60, 2))
    expected = oracle_bands(xy, values, targets, 2.0, neighbours, radius)
    assert np.isfinite(expected).any()
    got = idw_points(xy, values, targets, neighbours=neighbours, radius=radius)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_cells_on_both_sides_of_a_chunk_agree_with_brute_force():
    rng = np.random.default_rng(3)
    grid = Grid.from_bounds((0, 0, 3000, 2400), 10, UTM)
    assert grid.size > CHUNK
    xy, values = rng.uniform(0, 2400, (80, 2)), rng.lognormal(0, 1, (1, 80))
    cells = np.r_[0:5, CHUNK - 5 : CHUNK + 5, grid.size - 5 : grid.size]
    targets = np.column_stack(grid.xy(*np.divmod(cells, grid.width)))
    got = idw(xy, values, grid).reshape(1, -1)[:, cells]
    np.testing.assert_allclose(got, oracle_bands(xy, values, targets, 2.0, 12, None), rtol=1e-6)


# --- ties
# ------------------------------------------------------------------------------------------------------------


def circle_of(radius):
    """Return the whole-numbered points at exactly this distance from the origin."""
    side = np.arange(-radius, radius + 1)
    x, y = (axis.ravel() for axis in np.meshgrid(side, side))
    on_it = x * x + y * y == radius * radius
    return np.column_stack([x[on_it], y[on_it]]).astype(float)


@pytest.mark.parametrize(("radius", "count"), [(5, 12), (65, 36), (1105, 108)])
@pytest.mark.parametrize("neighbours", [1, 3, 11])
def test_all_tied_samples_count_however_many_there_are(radius, count, neighbours):
    xy = circle_of(radius)
    assert len(xy) == count
    values = np.arange(count, dtype=float)[None]
    far = np.array([[3.0 * radius, 0.0], [0.0, 4.0 * radius], [7.0 * radius, 1.0]])
    got = idw_points(
        np.r_[xy, far], np.c_[values, [[1e6, 1e6, 1e6]]], [[0, 0]], neighbours=neighbours
    )
    assert got[0, 0] == pytest.approx(values.mean(), rel=1e-12)


def test_the_middle_of_four_samples_is_their_mean_with_one_neighbour():
    assert (
        idw_points(
            [[0, 0], [10, 0], [0, 10], [10, 10]], [[1.0, 2.0, 3.0, 10.0]], [[5, 5]], neighbours=1
        )
        == 4.0
    )


def test_distances_that_differ_by_rounding_alone_are_ties():
    x, y = 500_000.1, 5_500_000.7
    corners = [(x + 300.3 * i, y + 700.7 * j) for i in (0, 1) for j in (0, 1)]
    middle = (x + 150.15, y + 350.35)
    assert len({math.dist(corner, middle) for corner in corners}) > 1
    far = [(x + 500.0 * i, y + 9000.0) for i in range(8)]
    got = idw_points([*corners, *far], [[1.0, 2.0, 4.0, 13.0, *[1e6] * 8]], [middle], neighbours=1)
    assert got[0, 0] == pytest.approx(5.0, rel=1e-6)


@given(surveys(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_order_of_the_samples_does_not_matter(survey, random):
    xy, values, options = survey
    order = list(range(len(xy)))
    random.shuffle(order)
    shuffled = idw_points(xy[order], values[:, order], CENTRES, **options)
    np.testing.assert_allclose(shuffled, idw_points(xy, values, CENTRES, **options), rtol=1e-12)


# --- obvious answers
# -------------------------------------------------------------------------------------------------


@given(surveys())
@settings(max_examples=40)
def test_estimates_stay_between_the_smallest_and_the_largest_sample(survey):
    xy, values, options = survey
    for row, estimates in zip(values, idw_points(xy, values, CENTRES, **options), strict=True):
        known = estimates[np.isfinite(estimates)]
        if len(known):
            assert np.nanmin(row) * (1 - 1e-9) <= known.min()
            assert known.max() <= np.nanmax(row) * (1 + 1e-9)


@pytest.mark.parametrize("neighbours", [1, 2, 12, None])
def test_a_sample_at_a_cell_centre_comes_back_exactly(neighbours):
    rng = np.random.default_rng(1)
    values = rng.lognormal(0, 2, GRID.size).astype(np.float32)
    got = idw_grid(layer(CENTRES, Au=values), ["Au"], GRID, neighbours=neighbours).values[0]
    assert np.array_equal(got.ravel(), values)
    in_logs = idw_grid(
        layer(CENTRES, Au=values), ["Au"], GRID, neighbours=neighbours, scale="log"
    ).values[0]
    np.testing.assert_allclose(in_logs.ravel(), values, rtol=1e-6)


def test_a_field_equal_to_northing_stays_north_up():
    band = idw_grid(layer(CENTRES, north=CENTRES[:, 1]), ["north"], GRID)
    assert band.values[0, :, 3].tolist() == band.y.values.tolist() == [450, 350, 250, 150, 50]
    assert grid_of(band) == GRID


@pytest.mark.parametrize(
    ("corner", "cell"),
    [((50, 450), (0, 0)), ((650, 450), (0, -1)), ((50, 50), (-1, 0)), ((650, 50), (-1, -1))],
)
def test_a_corner_marker_stays_in_its_corner(corner, cell):
    values = np.zeros(len(CENTRES))
    values[(corner == CENTRES).all(axis=1)] = 9
    band = idw_grid(layer(CENTRES, marker=values), ["marker"], GRID).values[0]
    assert band[cell] == 9
    assert np.count_nonzero(band) == 1


def test_one_sample_fills_the_grid():
    assert (idw([[123, 456]], [[7.5]], GRID) == 7.5).all()


def test_no_sample_gives_no_value():
    assert np.isnan(idw(np.zeros((0, 2)), np.zeros((2, 0)), GRID)).all()
    assert np.isnan(idw([[0, 0], [5, 5]], [[np.nan, np.nan]], GRID)).all()
    one_of_two = idw([[0, 0], [5, 5]], [[1.0, 1.0], [np.nan, np.nan]], GRID)
    assert (one_of_two[0] == 1).all()
    assert np.isnan(one_of_two[1]).all()


def test_a_radius_leaves_far_cells_empty_and_takes_its_own_edge():
    got = idw([[50, 250]], [[3.0]], GRID, radius=200.0)[0]
    x, y = GRID.xy(*np.indices(GRID.shape))
    inside = np.hypot(x - 50, y - 250) <= 200
    assert inside.sum() == 9  # its edge at (250, 250), (50, 450) and (50, 50) included
    assert (got[inside] == 3).all()
    assert np.isnan(got[~inside]).all()


def test_missing_values_of_one_element_do_not_touch_another():
    rng = np.random.default_rng(2)
    xy, full = rng.uniform(0, 500, (20, 2)), rng.lognormal(0, 1, 20)
    holes = np.where(np.arange(20) % 3 == 0, np.nan, full)
    both = idw(xy, [full, holes], GRID)
    assert np.array_equal(both[0], idw(xy, [full], GRID)[0])
    assert np.array_equal(
        both[1], idw(xy[np.isfinite(holes)], [holes[np.isfinite(holes)]], GRID)[0]
    )


def test_samples_of_one_place_are_averaged_and_count_once():
    one_place = idw_points(
        [[0, 0], [0, 0.0001], [0, 0], [10, 0]], [[1.0, 2.0, 6.0, 9.0]], [[5, 0], [0, 0]]
    )
    assert one_place.tolist() == [[6.0, 3.0]]
    places, means = merge_places(
        np.array([[3.0, 1.0], [1.0, 1.0], [3.0, 1.0]]), np.array([[4.0, 5.0, 8.0]])
    )
    assert dict(zip(map(tuple, places.tolist()), means[0].tolist(), strict=True)) == {
        (3, 1): 6,
        (1, 1): 5,
    }


def test_the_log_scale_halves_way_at_the_geometric_mean():
    samples = layer([[50, 50], [250, 50]], Au=[1.0, 100.0])
    grid = Grid.from_bounds((0, 0, 300, 100), 100, UTM)
    np.testing.assert_allclose(
        idw_grid(samples, ["Au"], grid, scale="log").values[0], [[1, 10, 100]], rtol=1e-6
    )


def test_no_power_overflows():
    got = idw_points(
        [[0, 0], [1e6, 0]], [[1.0, 2.0]], [[1e-3, 0], [999_999, 0], [5e5, 0]], power=300
    )
    np.testing.assert_allclose(got, [[1, 2, 1.5]])


def test_bands_say_what_they_are_and_the_samples_stay_as_they_were():
    samples = layer(CENTRES, Au_ppb=1.0, Cu=2.0)
    before = samples.copy(deep=True)
    band = idw_grid(samples, ["Cu", "Au_ppb"], GRID, units={"Au_ppb": "ppb"}, scale="log")
    assert [b.name for b in bands_of(band)] == ["Cu", "Au_ppb"]
    assert [b.unit for b in bands_of(band)] == ["", "ppb"]
    assert [b.description for b in bands_of(band)] == ["Cu, IDW of log10", "Au (ppb), IDW of log10"]
    assert samples.equals(before)
    assert samples.crs == before.crs


# --- what is refused
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"power": 0}, "power 0 must be a positive number; 2 is usual"),
        ({"power": math.nan}, "power nan must be"),
        ({"neighbours": 0}, "neighbours 0 must be at least 1; 12 is usual"),
        ({"radius": -5.0}, "radius -5.0 must be a positive number of metres"),
        ({"scale": "cubic"}, 'scale "cubic" is unknown: use one of linear, log'),
    ],
)
def test_options_that_make_no_sense_are_refused(option, message):
    with pytest.raises(UsageError, match=message):
        idw_grid(layer(CENTRES, Au=1.0), ["Au"], GRID, **option)


def test_a_missing_column_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match=r'no column "Au_pb"\. Did you mean "Au_ppb"\?'):
        idw_grid(layer(CENTRES, Au_ppb=1.0), ["Au_pb"], GRID)


@pytest.mark.parametrize(
    ("crs", "message"),
    [
        (None, "the samples have no CRS: set one"),
        (4326, "WGS 84 is geographic"),
        (2263, "US survey foot"),
        (
            32634,
            (
                "the samples are in WGS 84 / UTM zone 34N, the grid in WGS 84 / UTM zone 33N:"
                " reproject"
            ),
        ),
    ],
)
def test_samples_of_another_crs_are_refused(crs, message):
    with pytest.raises(DataError, match=message):
        idw_grid(layer(CENTRES, Au=1.0).set_crs(crs, allow_override=True), ["Au"], GRID)


def test_samples_that_are_not_clean_are_refused_in_words():
    with pytest.raises(
        DataError, match="Au holds text, not numbers alone: clean it with check_survey"
    ):
        idw_grid(layer([[50, 50], [150, 50]], Au=["<0.05", "1"]), ["Au"], GRID)
    with pytest.raises(DataError, match="Au has 2 values that are zero or negative"):
        idw_grid(
            layer([[50, 50], [150, 50], [250, 50]], Au=[0.0, -1.0, 3.0]), ["Au"], GRID, scale="log"
        )
    several = gpd.GeoDataFrame({"Au": [1.0]}, geometry=[MultiPoint([(0, 0), (1, 1)])], crs=UTM)
    with pytest.raises(DataError, match="the samples hold MultiPoint, not points alone"):
        idw_grid(several, ["Au"], GRID)
    nowhere = gpd.GeoDataFrame({"Au": [1.0, 2.0]}, geometry=[Point(0, 0), None], crs=UTM)
    with pytest.raises(DataError, match="1 samples have no finite coordinates: remove them"):
        idw_grid(nowhere, ["Au"], GRID)


def test_arrays_of_the_wrong_shape_are_refused():
    with pytest.raises(UsageError, match=r"coordinates \(3, 2\) and values \(1, 4\)"):
        idw(np.zeros((3, 2)), np.zeros((1, 4)), GRID)


# --- progress
# --------------------------------------------------------------------------------------------------------


@pytest.fixture
def progress_style():
    return show_progress


def stderr_of_gridding():
    caught = io.StringIO()
    with redirect_stderr(caught):
        idw([[0, 0]], [[1.0]], GRID)
    return caught.getvalue()


def test_gridding_reports_to_stderr_only_when_asked(progress_style):
    assert stderr_of_gridding() == ""
    progress_style("plain")
    assert "gridding: 100 %" in stderr_of_gridding()
    with quiet():
        assert stderr_of_gridding() == ""


def test_json_progress_counts_every_cell(progress_style):
    progress_style("json")
    last = json.loads(stderr_of_gridding().splitlines()[-1])
    assert (last["event"], last["done"], last["total"], last["unit"]) == (
        "progress",
        35,
        35,
        "cells",
    )
