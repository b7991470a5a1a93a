"""The grid: does every point, cell, window and block land where an atlas would put it?"""

import numpy as np
import pytest
import rasterio.transform
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geomfaf.errors import DataError, GeomfafError, OutputExistsError, UsageError, nearest_name
from geomfaf.rasters.grid import Grid, default_cell_size, require_metres

UTM = 32633
CELLS = st.sampled_from([0.1, 0.3, 1 / 3, 1.0, 7.7, 12.5, 30.0, 100.0, 1000.0])
CORNERS = st.floats(-5e5, 9e6, allow_nan=False)
LENGTHS = st.floats(0.01, 60)


@st.composite
def bounds_and_cells(draw):
    west, south, cell = draw(CORNERS), draw(CORNERS), draw(CELLS)
    bounds = (west, south, west + draw(LENGTHS) * cell, south + draw(LENGTHS) * cell)
    return bounds, cell


@st.composite
def grids(draw):
    bounds, cell = draw(bounds_and_cells())
    return Grid.from_bounds(bounds, cell, UTM)


def small_grid():
    return Grid.from_bounds((500_000, 4_000_000, 500_400, 4_000_300), 100, UTM)


def all_cells(grid):
    return np.indices(grid.shape)


# --- where cells lie
# -------------------------------------------------------------------------------------------------


@given(bounds_and_cells())
def test_snapped_bounds_cover_what_was_asked_with_less_than_a_cell_to_spare(asked):
    (west, south, east, north), cell = asked
    left, bottom, right, top = Grid.from_bounds(*asked, UTM).bounds
    slack = 1e-6 * cell
    for over in (west - left, south - bottom, right - east, top - north):
        assert -slack <= over <= cell + slack


@given(bounds_and_cells())
def test_edges_lie_on_whole_multiples_of_the_cell(asked):
    cell = asked[1]
    edges = np.array(Grid.from_bounds(*asked, UTM).bounds) / cell
    assert np.allclose(edges, np.round(edges), rtol=0, atol=1e-5)


def test_two_surveys_of_one_region_share_their_cells():
    one = Grid.from_bounds((1003, 2007, 5111, 6222), 100, UTM)
    other = Grid.from_bounds((1890, 1234, 4999, 9999), 100, UTM)
    assert set(one.x) & set(other.x) == {x for x in one.x if other.x.min() <= x <= other.x.max()}
    assert (
        len(set(one.y) & set(other.y))
        == len([y for y in one.y if other.y.min() <= y <= other.y.max()])
        > 0
    )


def test_whole_bounds_get_no_extra_cell():
    assert Grid.from_bounds((0.1, 0.2, 0.7, 0.3), 0.1, UTM).shape == (1, 6)
    assert Grid.from_bounds((300_000, 100, 300_500, 400), 100, UTM).shape == (3, 5)


def test_row_zero_is_in_the_north_and_values_stand_at_the_centres():
    grid = small_grid()
    assert grid.y.tolist() == [4_000_250, 4_000_150, 4_000_050]
    assert grid.x.tolist() == [500_050, 500_150, 500_250, 500_350]
    assert (grid.height, grid.width, grid.size, grid.cell, grid.cell_area) == (
        3,
        4,
        12,
        100,
        10_000,
    )


@given(grids())
def test_cell_centres_are_those_of_rasterio(grid):
    rows, cols = (values.ravel()[:: max(grid.size // 50, 1)] for values in all_cells(grid))
    x, y = rasterio.transform.xy(grid.transform, rows, cols)
    ours = grid.xy(rows, cols)
    assert np.allclose(ours[0], x, rtol=0, atol=1e-6)
    assert np.allclose(ours[1], y, rtol=0, atol=1e-6)


# --- points to cells
# -------------------------------------------------------------------------------------------------


@given(grids())
def test_every_cell_centre_finds_its_own_cell(grid):
    rows, cols = all_cells(grid)
    found = grid.rowcol(*grid.xy(rows, cols))
    assert np.array_equal(found[0], rows)
    assert np.array_equal(found[1], cols)


@given(grids(), st.floats(0, 1), st.floats(0, 1))
def test_every_point_of_the_bounds_lies_in_the_cell_that_is_named(grid, east_share, north_share):
    west, south, east, north = grid.bounds
    x, y = west + east_share * (east - west), south + north_share * (north - south)
    row, col = (int(value) for value in grid.rowcol(x, y))
    assert 0 <= row < grid.height
    assert 0 <= col < grid.width
    left, bottom, right, top = grid.window_bounds(row, col, 1, 1)
    slack = 1e-5 * grid.cell
    assert left - slack <= x <= right + slack
    assert bottom - slack <= y <= top + slack


@given(grids())
def test_the_corners_of_the_bounds_belong_to_the_corner_cells(grid):
    west, south, east, north = grid.bounds
    rows, cols = grid.rowcol([west, east, west, east], [north, north, south, south])
    assert rows.tolist() == [0, 0, grid.height - 1, grid.height - 1]
    assert cols.tolist() == [0, grid.width - 1, 0, grid.width - 1]


@given(grids(), st.sampled_from([(-1, 0), (1, 0), (0, -1), (0, 1), (1, 1)]), st.floats(0.01, 1e4))
def test_points_beyond_the_edge_have_neither_row_nor_column(grid, direction, cells_away):
    west, south, east, north = grid.bounds
    x = {-1: west - cells_away * grid.cell, 0: (west + east) / 2, 1: east + cells_away * grid.cell}[
        direction[0]
    ]
    y = {
        -1: south - cells_away * grid.cell,
        0: (south + north) / 2,
        1: north + cells_away * grid.cell,
    }[direction[1]]
    assert [int(value) for value in grid.rowcol(x, y)] == [-1, -1]


def test_an_inner_edge_belongs_to_the_cell_east_and_south_of_it():
    row, col = small_grid().rowcol(500_200, 4_000_200)
    assert (int(row), int(col)) == (1, 2)


def test_points_without_coordinates_are_outside():
    rows, cols = small_grid().rowcol([np.nan, 500_050, np.inf], [4_000_050, np.nan, 4_000_050])
    assert rows.tolist() == cols.tolist() == [-1, -1, -1]


# --- windows, blocks, refinement
# -------------------------------------------------------------------------------------


@given(grids(), st.integers(1, 25))
@settings(max_examples=50)
def test_blocks_cover_every_cell_exactly_once_and_know_their_place(grid, size):
    covered = np.zeros(grid.shape, int)
    for row, col, block in grid.blocks(size):
        assert max(block.shape) <= size
        covered[row : row + block.height, col : col + block.width] += 1
        assert np.allclose(block.x, grid.x[col : col + block.width], rtol=0, atol=1e-5 * grid.cell)
        assert np.allclose(block.y, grid.y[row : row + block.height], rtol=0, atol=1e-5 * grid.cell)
    assert (covered == 1).all()


def test_odd_sizes_keep_their_right_and_bottom_cells():
    grid = Grid.from_bounds((0, 0, 1300, 700), 100, UTM)
    assert [(row, col, block.shape) for row, col, block in grid.blocks(5)] == [
        (0, 0, (5, 5)), (0, 5, (5, 5)), (0, 10, (5, 3)), (5, 0, (2, 5)), (5, 5, (2, 5)), (5, 10, (2, 3)),
    ]  # fmt: skip


@given(grids(), st.integers(-20, 40), st.integers(-20, 40), st.integers(1, 30), st.integers(1, 30))
def test_a_window_is_the_grid_of_its_cells_even_where_it_overhangs(grid, row, col, height, width):
    window = grid.window(row, col, height, width)
    assert window.shape == (height, width)
    assert np.allclose(
        window.bounds, grid.window_bounds(row, col, height, width), rtol=0, atol=1e-5 * grid.cell
    )
    x, y = grid.xy(row, col)
    assert window.x[0] == pytest.approx(float(x), abs=1e-5 * grid.cell)
    assert window.y[0] == pytest.approx(float(y), abs=1e-5 * grid.cell)


def test_window_bounds_by_hand():
    grid = small_grid()
    assert grid.window_bounds(1, 2, 2, 1) == (500_200, 4_000_000, 500_300, 4_000_200)
    assert grid.window(1, 2, 2, 1).bounds == (500_200, 4_000_000, 500_300, 4_000_200)


@given(grids(), st.integers(1, 8))
def test_the_refined_grid_lies_over_the_same_ground(grid, factor):
    fine = grid.refined(factor)
    assert fine.shape == (grid.height * factor, grid.width * factor)
    assert np.allclose(fine.bounds, grid.bounds, rtol=0, atol=1e-5 * grid.cell)
    assert np.allclose(
        fine.x.reshape(-1, factor).mean(axis=1), grid.x, rtol=0, atol=1e-5 * grid.cell
    )
    assert np.allclose(
        fine.y.reshape(-1, factor).mean(axis=1), grid.y, rtol=0, atol=1e-5 * grid.cell
    )


def test_rectangular_cells_have_their_own_area():
    grid = Grid(CRS(UTM), Affine(20, 0, 0, 0, -5, 100), (20, 3))
    assert grid.cell_area == 100
    assert grid.cell == 10
    assert grid.bounds == (0, 0, 60, 100)


# --- what is refused
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bounds", [(1, 0, 0, 1), (0, 1, 1, 0), (0, 0, 0, 1), (0, 0, 1, 0), (np.nan, 0, 1, 1)]
)
def test_bounds_in_the_wrong_order_are_refused(bounds):
    with pytest.raises(UsageError, match="west < east and south < north"):
        Grid.from_bounds(bounds, 10, UTM)


@pytest.mark.parametrize("cell", [0, -5, np.nan, np.inf])
def test_a_cell_size_must_be_a_positive_number(cell):
    with pytest.raises(
        UsageError, match=rf"a cell size of {cell} is not a positive number of metres"
    ):
        Grid.from_bounds((0, 0, 1, 1), cell, UTM)


def test_degrees_are_refused_with_the_step_that_helps():
    with pytest.raises(
        DataError, match=r"WGS 84 is geographic.*to_crs\(layer\.estimate_utm_crs\(\)\)"
    ) as caught:
        Grid.from_bounds((15, 50, 16, 51), 0.01, 4326)
    assert caught.value.exit_code == 3


def test_feet_are_refused_by_their_name():
    with pytest.raises(DataError, match="US survey foot, not in metres: reproject"):
        require_metres(2263)


def test_a_metric_crs_is_given_back():
    assert require_metres("EPSG:3067") == CRS(3067)


@pytest.mark.parametrize(
    "transform", [Affine(1, 0.1, 0, 0, -1, 0), Affine(1, 0, 0, 0, 1, 0), Affine(-1, 0, 0, 0, -1, 0)]
)
def test_rasters_that_are_not_north_up_are_refused(transform):
    with pytest.raises(UsageError, match=r"not north-up.*Warp the raster"):
        Grid(CRS(UTM), transform, (2, 2))


def test_a_grid_without_cells_is_refused():
    with pytest.raises(UsageError, match="0 x 5 cells is empty"):
        Grid(CRS(UTM), Affine(1, 0, 0, 0, -1, 0), (0, 5))


def test_too_small_cells_are_refused_and_the_size_that_is_offered_fits():
    bounds = (0, 0, 1e7, 1e7)
    with pytest.raises(
        UsageError, match=r"10,000,000 x 10,000,000 cells; 3 bands need about .* GB"
    ) as caught:
        Grid.from_bounds(bounds, 1, UTM).require_memory(3)
    assert caught.value.exit_code == 2
    offered = float(str(caught.value).split("cells of at least ")[1].split(" m")[0])
    Grid.from_bounds(bounds, offered * 1.1, UTM).require_memory(3)
    with pytest.raises(UsageError, match="GB are free"):
        Grid.from_bounds(bounds, offered / 1.5, UTM).require_memory(3)


def test_a_common_grid_fits_into_memory():
    Grid.from_bounds((0, 0, 1000, 1000), 10, UTM).require_memory(10)


def test_grids_that_differ_are_told_apart_in_words():
    grid = small_grid()
    grid.require_same(small_grid(), "the stack")
    with pytest.raises(
        DataError, match="the stack is in WGS 84 / UTM zone 34N, not in WGS 84 / UTM zone 33N"
    ):
        grid.require_same(Grid(CRS(32634), grid.transform, grid.shape), "the stack")
    with pytest.raises(DataError, match="the stack is on another grid: 3 x 3 cells of 100 m"):
        grid.require_same(grid.window(0, 0, 3, 3), "the stack")
    with pytest.raises(DataError, match="another grid"):
        grid.require_same(grid.window(0, 1, 3, 4), "the stack")


def test_a_layer_of_another_or_no_crs_is_refused():
    grid = small_grid()
    grid.require_crs(CRS(UTM), "faults")
    with pytest.raises(
        DataError, match="the faults are in WGS 84, the grid in WGS 84 / UTM zone 33N: reproject"
    ):
        grid.require_crs(CRS(4326), "faults")
    with pytest.raises(DataError, match="the faults have no CRS: set one"):
        grid.require_crs(None, "faults")


# --- default cell size, errors
# ---------------------------------------------------------------------------------------


@given(st.floats(0.5, 5e6), st.floats(0, 1))
def test_the_default_cell_is_round_and_gives_500_to_1000_cells(longest, share):
    cell = default_cell_size((100, 200, 100 + longest, 200 + share * longest))
    assert 500 * (1 - 1e-6) <= longest / cell <= 1000 * (1 + 1e-6)
    mantissa = cell / 10 ** np.floor(np.log10(cell) + 1e-9)
    assert np.isclose(mantissa, [1, 2, 2.5, 5]).any()


def test_the_longer_side_decides_whichever_it_is():
    assert (
        default_cell_size((0, 0, 68_000, 82_000))
        == default_cell_size((0, 0, 82_000, 68_000))
        == 100
    )


@pytest.mark.parametrize("bounds", [(5, 5, 5, 5), (np.nan,) * 4])
def test_bounds_without_ground_have_no_default_cell(bounds):
    with pytest.raises(UsageError, match="cover no ground"):
        default_cell_size(bounds)


def test_errors_have_the_exit_codes_that_scripts_rely_on():
    assert (UsageError.exit_code, DataError.exit_code, OutputExistsError.exit_code) == (2, 3, 1)
    assert issubclass(UsageError, GeomfafError)
    assert issubclass(DataError, ValueError)
    assert issubclass(OutputExistsError, FileExistsError)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("SAMPLE", ' Did you mean "samples"?'), ("geologie", ' Did you mean "Geology"?'), ("xyz", "")],
)
def test_the_nearest_name_is_offered_whatever_its_case(name, hint):
    assert nearest_name(name, ["samples", "Geology", "faults"]) == hint
