"""Every engine of the interpolation against a brute-force oracle that knows no shortcut."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geomfaf.evidence.inverse_distance import IdwOptions, idw, idw_points, merge_places
from geomfaf.rasters.grid import Grid

UTM = CRS.from_epsg(32633)
TIE, TOUCH = 1e-9, 1e-6


def oracle(
    xy, values, targets, *, power=2.0, neighbours=12, radius=None, minimum=1, max_distance=None
):
    """Estimate one point and band at a time, in float64, from all distances."""
    places, values = merge_places(np.asarray(xy, float), np.asarray(values, float))
    result = np.full((len(values), len(targets)), np.nan)
    for b, row in enumerate(values):
        valid = np.isfinite(row)
        known, here = row[valid], places[valid]
        if not len(known):
            continue
        for t, target in enumerate(targets):
            distance = np.hypot(*(here - target).T)
            limit = np.inf if radius is None else radius * (1 + TIE)
            if neighbours is not None and neighbours < len(known):
                limit = min(limit, np.sort(distance)[neighbours - 1] * (1 + TIE))
            near = distance <= limit
            if near.sum() < minimum or (
                max_distance is not None and distance.min() > max_distance * (1 + TIE)
            ):
                continue
            touching = distance <= TOUCH
            if touching.any():
                result[b, t] = known[touching].mean()
            elif near.any():
                weight = (distance[near].min() / distance[near]) ** power
                result[b, t] = (weight * known[near]).sum() / weight.sum()
    return result


def layout(kind, count, rng):
    """Return sample coordinates of one kind, around and beyond a grid of 1,000 by 800 m."""
    if kind == "random":
        xy = rng.uniform(-200, 1200, (count, 2))
    elif kind == "clustered":
        xy = rng.uniform(0, 1000, (5, 2))[rng.integers(0, 5, count)] + rng.normal(0, 15, (count, 2))
    elif kind == "collinear":
        xy = np.column_stack([np.linspace(0, 1000, count), np.full(count, 333.0)])
    elif kind == "duplicated":
        xy = rng.uniform(0, 1000, (max(count // 3, 1), 2)).repeat(3, axis=0)[:count]
    elif kind == "lattice":
        side = int(np.ceil(np.sqrt(count)))
        xy = (
            np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)[:count]
            * 50.0
        )
    elif kind == "outside":
        xy = rng.uniform(-9000, -3000, (count, 2)) * rng.choice([-1, 1], (count, 2))
    else:
        xy = rng.uniform(0, 1000, (1, 2))
    return np.round(xy, 2)


KINDS = ["random", "clustered", "collinear", "duplicated", "lattice", "outside", "one"]


@st.composite
def jobs(draw, powers=(0.5, 1.0, 1.3, 1.5, 2.0, 2.7, 3.0, 4.0)):
    """Draw samples with missing values, a grid whose cells may be rectangular, and targets
    on it.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    xy = layout(draw(st.sampled_from(KINDS)), draw(st.integers(1, 120)), rng) + draw(
        st.sampled_from([0.0, 4.5e6])
    )
    values = rng.lognormal(2, 1, (3, len(xy))) * draw(st.sampled_from([1.0, -1.0, 1e-3]))
    if draw(st.booleans()):
        values[rng.uniform(size=values.shape) < 0.3] = np.nan
    shift = 4.5e6 if xy.min() > 1e6 else 0.0
    width, height = draw(st.sampled_from([(25.0, 25.0), (10.0, 40.0), (33.3, 20.0)]))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    grid = Grid(UTM, Affine(width, 0, shift, 0, -height, 800 + shift), shape)
    return xy, values, grid, draw(st.sampled_from(powers))


def check(xy, values, grid, *, engine, **rule):
    rows, columns = np.divmod(np.arange(grid.size), grid.width)
    pick = np.random.default_rng(0).permutation(grid.size)[:60]
    expected = oracle(xy, values, np.column_stack(grid.xy(rows[pick], columns[pick])), **rule)
    names = {"minimum", "max_distance", "tolerance"} & set(rule)
    options = IdwOptions(engine=engine, **{name: rule.pop(name) for name in names})
    result = idw(xy, values, grid, options=options, **rule).reshape(len(values), -1)[:, pick]
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=0)


ENGINES = pytest.mark.parametrize("engine", ["scipy", "numba"])
LIGHT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@ENGINES
@LIGHT
@given(job=jobs(), neighbours=st.integers(1, 30))
def test_nearest_neighbours_equal_the_oracle(engine, job, neighbours):
    xy, values, grid, power = job
    check(xy, values, grid, engine=engine, power=power, neighbours=neighbours)


@ENGINES
@LIGHT
@given(
    job=jobs(),
    neighbours=st.sampled_from([None, 1, 4, 12]),
    radius=st.sampled_from([20.0, 50.0, 200.0, 5000.0]),
    minimum=st.integers(1, 5),
)
def test_radius_and_minimum_equal_the_oracle(engine, job, neighbours, radius, minimum):
    xy, values, grid, power = job
    check(
        xy,
        values,
        grid,
        engine=engine,
        power=power,
        neighbours=neighbours,
        radius=radius,
        minimum=minimum,
    )


@ENGINES
@LIGHT
@given(job=jobs(), max_distance=st.sampled_from([None, 30.0, 300.0]))
def test_all_samples_equal_the_oracle(engine, job, max_distance):
    xy, values, grid, power = job
    check(xy, values, grid, engine=engine, power=power, neighbours=None, max_distance=max_distance)


@LIGHT
@given(job=jobs(), neighbours=st.sampled_from([None, 5]))
def test_steep_powers_do_not_overflow(job, neighbours):
    xy, values, grid, _ = job
    check(xy, values, grid, engine="numba", power=25.0, neighbours=neighbours)


@pytest.mark.parametrize("neighbours", [None, 12])
@pytest.mark.parametrize("origin", [0.0, 40_000.0])
def test_many_blocks_and_levels_equal_the_oracle(neighbours, origin):
    """A grid of several blocks, samples dense in places, inside it and beyond, with
    missing values.
    """
    rng = np.random.default_rng(7)
    xy = np.vstack(
        [rng.normal(origin + 9000, 300, (1500, 2)), rng.uniform(-30_000, 60_000, (1500, 2))]
    )
    values = rng.lognormal(2, 1, (3, 3000))
    values[1, ::3] = np.nan
    values[2, xy[:, 0] > 12_000] *= -1
    grid = Grid(UTM, Affine(20, 0, origin, 0, -30, origin + 20_000), (700, 1100))
    pick = rng.integers(0, grid.size, 300)
    rows, columns = np.divmod(pick, grid.width)
    targets = np.column_stack(grid.xy(rows, columns))
    expected = oracle(xy, values, targets, neighbours=neighbours)
    result = idw(xy, values, grid, neighbours=neighbours, options=IdwOptions(engine="numba"))
    found = result[:, rows, columns]
    np.testing.assert_allclose(found[:2], expected[:2], rtol=1e-6)
    # Signed values cancel: the bound is relative to the distance from the smallest value.
    np.testing.assert_allclose(
        found[2] - np.nanmin(values[2]), expected[2] - np.nanmin(values[2]), rtol=1e-6
    )
    np.testing.assert_allclose(
        idw_points(xy, values, targets, neighbours=neighbours), expected, rtol=1e-9
    )


@pytest.mark.parametrize("tolerance", [1e-3, 1e-9])
def test_the_far_field_keeps_its_bound_before_rounding_to_float32(tolerance):
    """The worst case of the bound: one rich sample as near as a far sample may be."""
    from geomfaf.evidence.idw_engines.far_field import nodes_for, separation_error

    for power in (0.5, 2.0, 8.0):
        q = nodes_for(tolerance, power)
        assert 2 * separation_error(q, power) <= tolerance < 2 * separation_error(q - 1, power)


def test_small_jobs_need_no_compiler():
    from geomfaf.evidence.idw_engines.plan import IdwPlan

    rng = np.random.default_rng(0)
    xy, values = rng.uniform(0, 1000, (200, 2)), rng.uniform(1, 2, (8, 200))
    small, large = (Grid.from_bounds((0, 0, 1000, 1000), cell, UTM) for cell in (10, 0.5))
    assert [IdwPlan(xy, values, grid).engine for grid in (small, large)] == ["scipy", "knn"]
    assert IdwPlan(xy, values, large, neighbours=None).engine == "far"


@ENGINES
def test_extra_bands_come_from_the_neighbours(engine):
    xy = np.array([[50.0, 50.0], [250.0, 50.0], [250.0, 250.0]])
    values = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    grid = Grid.from_bounds((0, 0, 300, 300), 100, UTM)
    options = IdwOptions(engine=engine, extras=("count", "distance"))
    for part in (values[:1], values):
        result = idw(xy, part, grid, radius=150.0, options=options)
        assert result[-2].tolist() == [[0, 1, 1], [1, 3, 2], [1, 2, 1]]
        np.testing.assert_allclose(result[-1, 2], [0, 100, 0], atol=1e-4)
        assert np.isnan(result[-1, 0, 0])


def test_all_samples_have_extra_bands_too():
    xy = np.array([[50.0, 50.0], [250.0, 50.0], [250.0, 250.0]])
    values = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    grid = Grid.from_bounds((0, 0, 300, 300), 100, UTM)
    results = [
        idw(
            xy,
            values,
            grid,
            neighbours=None,
            options=IdwOptions(engine=engine, extras=("distance", "count")),
        )
        for engine in ("scipy", "numba")
    ]
    assert (results[0][-1] == 3).all()
    np.testing.assert_allclose(*results, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("neighbours", [None, 12])
@ENGINES
def test_nothing_known_gives_nothing(engine, neighbours):
    grid = Grid.from_bounds((0, 0, 300, 300), 100, UTM)
    options = IdwOptions(engine=engine, extras=("distance", "count"))
    result = idw(np.empty((0, 2)), np.empty((2, 0)), grid, neighbours=neighbours, options=options)
    assert np.isnan(result[:3]).all()
    assert (result[3] == 0).all()
    one = idw(
        np.array([[5.0, 5.0]]),
        np.array([[np.nan], [2.0]]),
        grid,
        neighbours=neighbours,
        options=options,
    )
    assert np.isnan(one[0]).all()
    assert (one[1] == 2).all()
    assert (one[3] == 1).all()


def test_direct_sums_are_within_the_tolerance_of_the_far_field():
    rng = np.random.default_rng(0)
    xy, values = rng.uniform(0, 3000, (500, 2)), rng.lognormal(0, 1, (2, 500))
    grid = Grid.from_bounds((0, 0, 3000, 3000), 10, UTM)
    far, direct = (
        idw(
            xy,
            values,
            grid,
            neighbours=None,
            options=IdwOptions(engine="numba", tolerance=tolerance),
        )
        for tolerance in (1e-6, 0)
    )
    np.testing.assert_allclose(far, direct, rtol=1e-6)
