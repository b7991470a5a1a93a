"""Windows: every cell once, the right number on the right ground, the right label."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from builders import make_grid, points_in, scattered_cells
from hypothesis import given, settings
from hypothesis import strategies as st

from geomfaf.errors import DataError, UsageError
from geomfaf.windows.windows import (
    centred_windows,
    deposit_cells,
    read_windows,
    tiled_windows,
    valid_deposits,
    window_centres,
)

SHAPES = [(12, 12), (13, 12), (12, 17), (23, 31), (5, 40)]


def naive_window(array, row, col, size, fill):
    """What read_windows must give, cell by cell."""
    window = np.full((len(array), size, size), fill, array.dtype)
    for i in range(size):
        for j in range(size):
            if 0 <= row + i < array.shape[1] and 0 <= col + j < array.shape[2]:
                window[:, i, j] = array[:, row + i, col + j]
    return window


def cells_under(windows, grid):
    """How many windows cover each cell."""
    count = np.zeros(grid.shape, int)
    for row, col, size in windows[["row", "col", "size"]].to_numpy():
        count[max(row, 0) : row + size, max(col, 0) : col + size] += 1
    return count


@pytest.mark.parametrize("shape", SHAPES)
def test_tiles_cover_every_cell_exactly_once(shape):
    grid = make_grid(*shape)
    assert (cells_under(tiled_windows(grid, 5), grid) == 1).all()


@given(
    height=st.integers(4, 40),
    width=st.integers(4, 40),
    strides=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_no_stride_loses_a_cell_or_leaves_the_map(height, width, strides):
    grid = make_grid(height, width)
    windows = tiled_windows(grid, 4, strides=strides)
    assert (cells_under(windows, grid) > 0).all()
    assert windows["row"].between(0, height - 1).all()
    assert windows["col"].between(0, width - 1).all()
    assert not windows.duplicated(["row", "col"]).any()


def test_several_strides_are_the_union_of_each():
    grid = make_grid(21, 18)
    both = tiled_windows(grid, 6, strides=[6, 4])
    corners = set(map(tuple, both[["row", "col"]].to_numpy()))
    single = [
        set(map(tuple, tiled_windows(grid, 6, strides=[s])[["row", "col"]].to_numpy()))
        for s in (6, 4)
    ]
    assert corners == single[0] | single[1]
    assert len(single[0] - single[1]) > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_numbers_run_row_by_row_and_match_polygons_and_cells(shape):
    grid = make_grid(*shape)
    windows = tiled_windows(grid, 5)
    number_of_cell = np.arange(grid.size, dtype=float).reshape(1, *shape)
    read = read_windows(number_of_cell, windows["row"].to_numpy(), windows["col"].to_numpy(), 5)
    centres = shapely.points(*(v.ravel() for v in grid.xy(*np.indices(shape))))
    assert windows["number"].tolist() == list(range(1, len(windows) + 1))
    # The top-left corners, read like a page: north to south, then west to east.
    left_top = np.array([(-polygon.bounds[3], polygon.bounds[0]) for polygon in windows.geometry])
    assert (np.lexsort((left_top[:, 1], left_top[:, 0])) == np.arange(len(windows))).all()
    for polygon, cells in zip(windows.geometry, read, strict=True):
        inside = np.flatnonzero(shapely.contains(polygon, centres))
        assert sorted(cells[np.isfinite(cells)].astype(int)) == inside.tolist()


def test_a_number_stays_with_its_ground_when_empty_windows_go():
    grid = make_grid(12, 12)
    valid = np.ones(grid.shape, bool)
    valid[:4, :4] = False
    valid[4:6, :4] = False
    all_windows, some = tiled_windows(grid, 4), tiled_windows(grid, 4, valid=valid)
    assert some["number"].tolist() == list(range(2, 10))
    same = all_windows.set_index("number").loc[some["number"]]
    assert (same.geometry.to_numpy() == some.geometry.to_numpy()).all()
    assert some.set_index("number").loc[4, "valid_share"] == 0.5


def test_valid_share_counts_the_overhang_as_not_valid():
    windows = tiled_windows(make_grid(6, 4), 4)
    assert windows["valid_share"].tolist() == [1.0, 0.5]


def test_labels_equal_a_brute_force_point_in_polygon():
    grid = make_grid(37, 29)
    rng = np.random.default_rng(4)
    west, south, east, north = grid.bounds
    deposits = gpd.GeoDataFrame(
        geometry=gpd.points_from_xy(rng.uniform(west, east, 12), rng.uniform(south, north, 12)),
        crs=grid.crs,
    )
    windows = tiled_windows(grid, 8, strides=[8, 5], deposits=deposits)
    brute = [
        sum(polygon.contains(point) for point in deposits.geometry) for polygon in windows.geometry
    ]
    assert windows["deposits"].tolist() == brute
    assert windows["label"].tolist() == [int(count > 0) for count in brute]
    assert 0 < windows["label"].sum() < len(windows)


@pytest.mark.parametrize("stride", [0, 9])
def test_a_stride_that_loses_cells_is_refused(stride):
    with pytest.raises(UsageError, match="no cell may be lost"):
        tiled_windows(make_grid(20, 20), 8, strides=[stride])


@pytest.mark.parametrize("size", [1, 21])
def test_a_window_that_does_not_fit_is_refused(size):
    with pytest.raises(UsageError, match="does not fit"):
        tiled_windows(make_grid(20, 40), size)


@pytest.mark.parametrize("size", [5, 8])
def test_centred_windows_hold_their_deposit_in_the_middle_cell(size):
    grid = make_grid(40, 50)
    rows, cols = [0, 20, 39, 20], [0, 25, 49, 25]
    windows = centred_windows(grid, size, points_in(grid, rows, cols), np.ones(grid.shape, bool))
    ore = windows[windows["label"] == 1]
    assert sorted(zip(ore["row"] + size // 2, ore["col"] + size // 2, strict=True)) == [
        (0, 0),
        (20, 25),
        (39, 49),
    ]
    assert ore["deposits"].tolist() == [1, 2, 1]
    assert (windows["label"].to_numpy()[: len(ore)] == 1).all()
    centre_rows, centre_cols = window_centres(windows, grid)
    assert grid.rowcol(*grid.xy(centre_rows, centre_cols))[0].tolist() == centre_rows.tolist()
    assert (centre_cols >= 0).all()


@pytest.mark.parametrize("min_distance", [None, 3, 15])
def test_barren_windows_keep_their_distance_and_stay_on_valid_ground(min_distance):
    grid = make_grid(60, 70)
    cells = scattered_cells(grid, 6, 3)
    valid = np.ones(grid.shape, bool)
    valid[:, :20] = False
    windows = centred_windows(grid, 8, points_in(grid, *cells), valid, min_distance=min_distance)
    barren = windows[windows["label"] == 0]
    rows, cols = window_centres(barren, grid)
    distance = np.hypot(rows[:, None] - cells[0], cols[:, None] - cells[1]).min(axis=1)
    assert distance.min() >= (8 if min_distance is None else min_distance)
    assert valid[rows, cols].all()
    assert (
        len(barren) == 4 * valid[cells].sum()
    )  # those that repel without data have no windows of their own
    assert (barren["deposits"] == 0).all()


def test_centred_windows_are_the_same_for_a_seed_and_differ_between_seeds():
    grid = make_grid(60, 70)
    deposits = points_in(grid, *scattered_cells(grid, 6, 3))
    first, again, other = (
        centred_windows(grid, 8, deposits, np.ones(grid.shape, bool), seed=seed)
        for seed in (5, 5, 6)
    )
    assert first.equals(again)
    assert not first[["row", "col"]].equals(other[["row", "col"]])


def test_fewer_barren_windows_where_there_is_little_barren_ground():
    grid = make_grid(20, 20)
    windows = centred_windows(
        grid, 8, points_in(grid, [0], [0]), np.ones(grid.shape, bool), min_distance=26
    )
    # Only three cells lie 26 cells from the north-west corner: (18, 19), (19, 18) and (19, 19).
    assert (windows["label"] == 0).sum() == 3


def test_centred_windows_need_deposits_and_barren_ground():
    grid = make_grid(20, 20)
    valid = np.ones(grid.shape, bool)
    with pytest.raises(DataError, match="no deposit lies on the grid"):
        centred_windows(grid, 8, points_in(grid, [50], [50]), valid)
    with pytest.raises(DataError, match="no deposit lies on the grid where it is valid"):
        centred_windows(grid, 8, points_in(grid, [10], [10]), ~valid)
    with pytest.raises(DataError, match="lower min_distance"):
        centred_windows(grid, 8, points_in(grid, [10], [10]), valid, min_distance=30)


def test_deposits_on_ground_without_data_get_no_window_and_repel_barren_ones(monkeypatch):
    said = []
    monkeypatch.setattr("geomfaf.windows.windows.say", said.append)
    grid = make_grid(60, 70)
    rows, cols = scattered_cells(grid, 12, 3)
    deposits, valid = points_in(grid, rows, cols), np.ones(grid.shape, bool)
    valid[rows[:5], cols[:5]] = False
    cut = centred_windows(grid, 8, deposits, valid, negatives=4)
    at = np.column_stack(window_centres(cut[cut["label"] == 1], grid))
    assert sorted(map(tuple, at.tolist())) == sorted(
        zip(rows[5:].tolist(), cols[5:].tolist(), strict=True)
    )
    assert said == ["5 of 12 deposits lie on ground without data and get no window"]
    barren = np.column_stack(window_centres(cut[cut["label"] == 0], grid))
    apart = np.hypot(*(barren[:, None] - np.column_stack([rows, cols])).transpose(2, 0, 1))
    assert apart.min() >= 8


def test_deposits_off_the_grid_are_left_out():
    grid = make_grid(20, 20)
    rows, cols = deposit_cells(points_in(grid, [3, 25, -1], [4, 2, 2]), grid)
    assert (rows.tolist(), cols.tolist()) == ([3], [4])


@given(
    corners=st.lists(st.tuples(st.integers(-9, 15), st.integers(-9, 15)), min_size=1, max_size=6),
    size=st.integers(1, 7),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_read_windows_equals_naive_slicing(corners, size, seed):
    array = np.random.default_rng(seed).normal(size=(2, 9, 12)).astype(np.float32)
    rows, cols = np.array(corners).T
    naive = np.stack([naive_window(array, row, col, size, -7.0) for row, col in corners])
    found = read_windows(array, rows, cols, size, fill=-7.0)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, naive)


def test_read_windows_leaves_the_array_alone():
    array = np.ones((1, 4, 4), np.float32)
    windows = read_windows(array, np.array([-1]), np.array([-1]), 3)
    windows[:] = 9
    assert (array == 1).all()


def test_deposits_in_degrees_are_on_the_same_cells_and_without_a_crs_are_refused():
    """Degrees read as metres would lie on no cell, and every window would be barren."""
    grid = make_grid(40, 50)
    deposits = points_in(grid, *scattered_cells(grid, 7, 1))
    in_degrees = deposits.to_crs(4326)
    for own, other in zip(
        deposit_cells(deposits, grid), deposit_cells(in_degrees, grid), strict=True
    ):
        np.testing.assert_array_equal(own, other)
    valid = np.ones(grid.shape, bool)
    assert tiled_windows(grid, 8, deposits=in_degrees, valid=valid)["deposits"].sum() == 7
    with pytest.raises(DataError, match="deposits have no CRS"):
        tiled_windows(grid, 8, deposits=deposits.set_crs(None, allow_override=True), valid=valid)
    # Those off valid ground do not count; where none is left, the message says what is not done.
    rows, cols = deposit_cells(deposits, grid)
    valid[rows[0], cols[0]] = False
    assert len(valid_deposits(deposits, grid, valid, "nothing")[0]) == 6
    with pytest.raises(DataError, match="no deposit lies on valid ground: nothing is judged"):
        valid_deposits(deposits, grid, np.zeros(grid.shape, bool), "nothing is judged")
