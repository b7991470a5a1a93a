"""Folds must not leak: hypothesis tries to find a cell that trains and tests."""

import geopandas as gpd
import numpy as np
import pytest
import shapely
from builders import make_grid, points_in, scattered_cells
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geomfaf.errors import DataError, UsageError
from geomfaf.folds import Folds, random_split, read_folds, shared_cells, spatial_folds
from geomfaf.windows import centred_windows, tiled_windows
from geomfaf.write import write_layers


def make_windows(grid, kind, size, count, seed):
    deposits = points_in(grid, *scattered_cells(grid, count, seed))
    if kind == "centred":
        return centred_windows(grid, size, deposits, np.ones(grid.shape, bool), min_distance=2, seed=seed)
    strides = [size] if kind == "tiled" else [size, max(1, size // 2 + 1)]
    return tiled_windows(grid, size, strides=strides, deposits=deposits)


def covered(windows, grid):
    """Cells of any of the windows, (y, x) bool."""
    cells = np.zeros(grid.shape, bool)
    for row, col, size in windows[["row", "col", "size"]].to_numpy():
        cells[max(row, 0) : row + size, max(col, 0) : col + size] = True
    return cells


def cells_of_windows_centred_in(ground, size):
    """Every cell that some window centred on the ground reads, by brute force over the window's offsets."""
    reached = np.zeros(ground.shape, bool)
    rows, cols = np.nonzero(ground)
    for down in range(-(size // 2), size - size // 2):
        for across in range(-(size // 2), size - size // 2):
            r, c = rows + down, cols + across
            on = (r >= 0) & (r < ground.shape[0]) & (c >= 0) & (c < ground.shape[1])
            reached[r[on], c[on]] = True
    return reached


@given(
    height=st.integers(30, 75),
    width=st.integers(30, 75),
    size=st.integers(2, 9),
    kind=st.sampled_from(["tiled", "strided", "centred"]),
    deposits=st.integers(2, 25),
    count=st.integers(2, 6),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=60, deadline=None)
def test_no_cell_trains_and_tests(height, width, size, kind, deposits, count, seed):
    grid = make_grid(height, width)
    windows = make_windows(grid, kind, size, deposits, seed)
    try:
        folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), count=count, seed=seed)
    except DataError:
        assume(False)
    raster, fold_of = folds.raster(), folds.of_windows(windows)
    assert folds.block >= 2 * size
    assert 2 <= folds.count <= count
    assert set(np.unique(raster)) == set(range(folds.count))
    for fold in range(folds.count):
        train, test = windows[folds.training(windows, fold)], windows[fold_of == fold]
        learned = covered(train, grid)
        assert not (learned & covered(test, grid)).any()
        assert not (learned & cells_of_windows_centred_in(raster == fold, size)).any()
        assert shared_cells(windows, folds.training(windows, fold), fold_of == fold) == 0
        assert train["label"].sum() >= 1
        assert (train["label"] == 0).sum() >= 2


@pytest.mark.parametrize("kind", ["tiled", "strided", "centred"])
def test_every_window_is_tested_once_by_the_fold_under_its_centre(kind):
    grid = make_grid(61, 83)
    windows = make_windows(grid, kind, 6, 15, 2)
    folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), count=4)
    fold_of = folds.of_windows(windows)
    assert len(fold_of) == len(windows)
    for (row, col, size), fold in zip(windows[["row", "col", "size"]].to_numpy(), fold_of, strict=True):
        centre = min(max(row + size // 2, 0), 60), min(max(col + size // 2, 0), 82)
        assert folds.raster()[centre] == fold


def test_shared_cells_counts_overlapping_pairs():
    windows = tiled_windows(make_grid(12, 12), 4, strides=[2])
    corners = windows[["row", "col"]].to_numpy()
    train, test = np.arange(len(windows)) % 3 == 0, np.arange(len(windows)) % 3 == 1
    brute = sum((np.abs(a - b) < 4).all() for a in corners[train] for b in corners[test])
    assert brute > 0
    assert shared_cells(windows, train, test) == brute


def test_deposits_are_spread_evenly_where_the_geometry_allows_it():
    grid = make_grid(128, 128)
    rows, cols = (16 + 32 * np.indices((4, 4))).reshape(2, -1)  # one deposit in each block of 32
    windows = centred_windows(grid, 8, points_in(grid, rows, cols), np.ones(grid.shape, bool))
    folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), count=4, block=32)
    ore = windows["label"].to_numpy() == 1
    assert np.bincount(folds.of_windows(windows)[ore]).tolist() == [4, 4, 4, 4]


def test_uneven_blocks_are_dealt_to_nearly_equal_folds():
    grid = make_grid(128, 128)
    rng = np.random.default_rng(0)
    cells = np.divmod(rng.choice(grid.size, 60, replace=False), 128)
    windows = centred_windows(grid, 8, points_in(grid, *cells), np.ones(grid.shape, bool), min_distance=2)
    folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), count=4, block=32)
    held = np.bincount(folds.of_windows(windows)[windows["label"].to_numpy() == 1])
    assert held.max() - held.min() <= 1
    ground = np.bincount(folds.raster().ravel())
    assert ground.min() > 0.5 * ground.max()


def test_the_deal_follows_the_seed():
    grid = make_grid(90, 90)
    windows = make_windows(grid, "centred", 6, 20, 1)
    first, again, other = (spatial_folds(windows, grid, np.ones(grid.shape, bool), seed=s).table for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_blocks_shrink_until_a_split_is_possible():
    grid = make_grid(100, 100)
    deposits = points_in(grid, [10, 50, 90], [10, 50, 90])
    windows = centred_windows(grid, 8, deposits, np.ones(grid.shape, bool))
    assert spatial_folds(windows, grid, np.ones(grid.shape, bool)).count == 3


def test_deposits_in_one_place_are_refused_in_plain_words():
    grid = make_grid(80, 80)
    windows = centred_windows(grid, 8, points_in(grid, [3, 4, 5], [3, 4, 5]), np.ones(grid.shape, bool))
    with pytest.raises(DataError, match=r"too close together.*\d+ cells \(1600 m\).*smaller cells"):
        spatial_folds(windows, grid, np.ones(grid.shape, bool))
    with pytest.raises(DataError, match="blocks of 40 cells"):
        spatial_folds(windows, grid, np.ones(grid.shape, bool), block=40)


@pytest.mark.parametrize(("options", "words"), [({"count": 1}, "folds = 1"), ({"block": 15}, "two windows")])
def test_impossible_options_are_refused(options, words):
    grid = make_grid(80, 80)
    with pytest.raises(UsageError, match=words):
        spatial_folds(make_windows(grid, "tiled", 8, 9, 0), grid, np.ones(grid.shape, bool), **options)


def test_blocks_tile_the_grid_and_say_their_fold():
    grid = make_grid(61, 83)
    folds = spatial_folds(make_windows(grid, "tiled", 6, 15, 2), grid, np.ones(grid.shape, bool), block=20)
    blocks = folds.blocks()
    assert shapely.union_all(blocks.geometry.to_numpy()).equals(shapely.box(*grid.bounds))
    assert blocks.area.sum() == pytest.approx(grid.size * grid.cell_area)
    x, y = grid.xy(*np.indices(grid.shape))
    centres = gpd.GeoDataFrame(geometry=gpd.points_from_xy(x.ravel(), y.ravel()), crs=grid.crs)
    joined = centres.sjoin(blocks, predicate="within")["fold"].sort_index().to_numpy()
    assert (joined.reshape(grid.shape) == folds.raster() + 1).all()


def test_more_than_127_folds_keep_their_numbers():
    grid = make_grid(60, 60)
    folds = Folds(grid, 4, np.arange(225).reshape(15, 15), 2)
    assert folds.raster()[0, 0] == 0
    assert folds.raster()[-1, -1] == 224


def written(tmp_path, grid):
    windows = make_windows(grid, "centred", 6, 20, 1)
    folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), block=20)
    path = tmp_path / "windows.gpkg"
    write_layers({"windows": windows, "folds": folds.blocks().sample(frac=1, random_state=0)}, path)
    return path, windows, folds


def test_folds_survive_a_geopackage(tmp_path):
    grid = make_grid(61, 83)
    path, windows, folds = written(tmp_path, grid)
    back_windows, back = read_folds(path, grid)
    assert (back.table == folds.table).all()
    assert (back.block, back.margin, back.grid) == (folds.block, folds.margin, folds.grid)
    columns = ["number", "row", "col", "size", "label", "deposits", "valid_share"]
    assert (back_windows[columns].to_numpy() == windows[columns].to_numpy()).all()
    for fold in range(folds.count):
        assert (back.training(back_windows, fold) == folds.training(windows, fold)).all()


@pytest.mark.parametrize("other", [make_grid(61, 84), make_grid(122, 166, 50.0)], ids=["wider", "finer cells"])
def test_folds_of_another_grid_are_refused(tmp_path, other):
    path, _, _ = written(tmp_path, make_grid(61, 83))
    with pytest.raises(DataError, match="another grid"):
        read_folds(path, other)


def test_random_split_is_stratified_and_follows_its_seed():
    labels = np.array([1] * 20 + [0] * 80)
    test = random_split(labels, seed=3)
    assert (test[:20].sum(), test[20:].sum()) == (4, 16)
    assert (test == random_split(labels, seed=3)).all()
    assert (test != random_split(labels, seed=4)).any()
