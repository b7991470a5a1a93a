"""Folds must not leak: hypothesis tries to find a cell that trains and tests."""

from itertools import pairwise

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from builders import make_grid, points_in, scattered_cells
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geomfaf.deliver.layers import write_layers
from geomfaf.errors import DataError, InternalError, UsageError
from geomfaf.rasters.grid import Grid
from geomfaf.windows.fold_files import read_folds
from geomfaf.windows.folds import (
    Folds,
    deposit_clusters,
    random_split,
    spatial_folds,
)
from geomfaf.windows.leak_proof import prove_leak_free, shared_cells
from geomfaf.windows.windows import centred_windows, tiled_windows


def make_windows(grid, kind, size, count, seed):
    deposits = points_in(grid, *scattered_cells(grid, count, seed))
    if kind == "centred":
        return centred_windows(
            grid, size, deposits, np.ones(grid.shape, bool), min_distance=2, seed=seed
        )
    strides = [size] if kind == "tiled" else [size, max(1, size // 2 + 1)]
    return tiled_windows(grid, size, strides=strides, deposits=deposits)


def random_zones(grid, count, seed):
    """Strips of the map of random widths, from west to east."""
    west, south, east, north = grid.bounds
    edges = np.sort(np.random.default_rng(seed).uniform(west, east, count - 1))
    bounds = np.concatenate([[west], edges, [east]])
    shapes = [shapely.box(a, south, b, north) for a, b in pairwise(bounds)]
    return gpd.GeoDataFrame(geometry=shapes, crs=grid.crs)


def covered(windows, grid):
    """Cells of any of the windows, (y, x) bool."""
    cells = np.zeros(grid.shape, bool)
    for row, col, size in windows[["row", "col", "size"]].to_numpy():
        cells[max(row, 0) : row + size, max(col, 0) : col + size] = True
    return cells


def cells_of_windows_centred_in(ground, size):
    """Every cell that some window centred on the ground reads, by brute force over the window's
    offsets.
    """
    reached = np.zeros(ground.shape, bool)
    rows, cols = np.nonzero(ground)
    for down in range(-(size // 2), size - size // 2):
        for across in range(-(size // 2), size - size // 2):
            r, c = rows + down, cols + across
            on = (r >= 0) & (r < ground.shape[0]) & (c >= 0) & (c < ground.shape[1])
            reached[r[on], c[on]] = True
    return reached


@pytest.mark.slow
@given(
    height=st.integers(30, 75),
    width=st.integers(30, 75),
    size=st.integers(2, 9),
    kind=st.sampled_from(["tiled", "strided", "centred"]),
    dealt=st.sampled_from([None, "clusters", "checkerboard", "zones"]),
    deposits=st.integers(2, 25),
    count=st.integers(2, 6),
    reach=st.sampled_from([np.nan, 500.0, 2500.0]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=120, deadline=None)
def test_no_cell_trains_and_tests(height, width, size, kind, dealt, deposits, count, reach, seed):
    grid = make_grid(height, width)
    windows = make_windows(grid, kind, size, deposits, seed)
    options = {"zones": random_zones(grid, count, seed)} if dealt == "zones" else {"kind": dealt}
    try:
        folds = spatial_folds(
            windows,
            grid,
            np.ones(grid.shape, bool),
            count=count,
            autocorrelation=reach,
            seed=seed,
            **options,
        )
    except (DataError, UsageError):  # a seed may put all strips' edges into one block
        assume(False)
    raster, fold_of = folds.raster(), folds.of_windows(windows)
    assert folds.block >= 2 * size or dealt == "zones"
    # One fold a cluster of windows; a deposit lies in several windows where they overlap.
    most = {"clusters": windows["label"].sum(), "checkerboard": 2}
    assert 2 <= folds.count <= most.get(dealt, count)
    proof = prove_leak_free(windows, folds)
    assert (proof["gap"] >= size).all()
    assert proof["test"].sum() == len(windows)
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
    for (row, col, size), fold in zip(
        windows[["row", "col", "size"]].to_numpy(), fold_of, strict=True
    ):
        centre = min(max(row + size // 2, 0), 60), min(max(col + size // 2, 0), 82)
        assert folds.raster()[centre] == fold


@given(
    margin=st.integers(0, 12),
    size=st.integers(2, 6),
    block=st.integers(3, 12),
    count=st.integers(2, 4),
    seed=st.integers(0, 999),
)
@settings(max_examples=80, deadline=None)
def test_the_proof_accepts_and_refuses_as_brute_force_does(margin, size, block, count, seed):
    """Any deal of blocks and any choice of training windows: the proof fails exactly when a cell is
    too near.
    """
    grid, rng = make_grid(40, 36), np.random.default_rng(seed)
    windows = make_windows(grid, "centred", size, 6, seed)
    shape = tuple(-(-length // block) for length in grid.shape)
    folds = Folds(grid, block, rng.integers(0, count, shape), size)
    folds.table.flat[:count] = np.arange(count)
    chosen = [
        Folds(grid, block, folds.table, margin).training(windows, fold) for fold in range(count)
    ]
    raster, honest = folds.raster(), True
    for fold in range(count):
        ground = np.argwhere(raster == fold)
        for row, col in np.argwhere(covered(windows[chosen[fold]], grid)):
            honest &= np.abs(ground - (row, col)).max(axis=1).min() > size
    tampered = Tampered(grid, block, folds.table, size)
    object.__setattr__(tampered, "chosen", chosen)
    if honest:
        assert (prove_leak_free(windows, tampered)["gap"] >= size).all()
    else:
        with pytest.raises(InternalError, match="the split leaks"):
            prove_leak_free(windows, tampered)


class Tampered(Folds):
    """Folds whose training windows are given from outside."""

    def training(self, windows, fold):
        return self.chosen[fold]


def test_a_torn_cluster_is_no_proof():
    grid = make_grid(64, 64)
    windows = centred_windows(
        grid, 8, points_in(grid, [20, 20, 50], [30, 34, 5]), np.ones(grid.shape, bool)
    )
    table = np.array([[0, 1], [1, 0]])
    prove_leak_free(windows, Folds(grid, 32, table, 8))
    with pytest.raises(InternalError, match="cluster of deposits lies in two folds"):
        prove_leak_free(windows, Folds(grid, 32, table, 8, linkage=8))


@given(seed=st.integers(0, 9999), count=st.integers(1, 30), linkage=st.floats(0, 15))
@settings(max_examples=60, deadline=None)
def test_clusters_are_single_linkage(seed, count, linkage):
    from scipy.cluster.hierarchy import fcluster
    from scipy.cluster.hierarchy import linkage as tree

    at = np.random.default_rng(seed).integers(0, 40, (count, 2))
    found = deposit_clusters(*at.T, linkage)
    expected = fcluster(tree(at, "single"), linkage, "distance") if count > 1 else np.ones(1)
    together = [[a == b for a in labels for b in labels] for labels in (found, expected)]
    assert together[0] == together[1]


def test_a_cluster_across_a_block_edge_stays_in_one_fold():
    grid = make_grid(256, 256)
    rows, cols = (
        [20, 20, 100, 220, 220],
        [60, 66, 96, 20, 220],
    )  # columns 60 and 66 lie in two blocks of 64
    windows = centred_windows(grid, 8, points_in(grid, rows, cols), np.ones(grid.shape, bool))
    for seed in range(8):
        folds = spatial_folds(
            windows, grid, np.ones(grid.shape, bool), block=64, count=2, seed=seed
        )
        assert folds.raster()[20, 60] == folds.raster()[20, 66]
        assert folds.linkage == 8


def test_deposits_of_one_block_or_within_the_linkage_are_one_cluster():
    folds = Folds(make_grid(64, 64), 16, np.arange(16).reshape(4, 4) % 3, 4, linkage=4)
    rows, cols = np.array([2, 13, 2, 17, 40]), np.array([2, 13, 40, 13, 40])
    found = folds.clusters(
        rows, cols
    )  # the first two share a block, the fourth is 4 cells from the second
    assert found[0] == found[1] == found[3]
    assert len(np.unique(found)) == 3


def test_few_clusters_are_left_out_one_by_one_and_a_count_given_is_kept():
    grid = make_grid(384, 384)
    rows, cols = (32 + 128 * np.indices((3, 2))).reshape(2, -1)
    windows = centred_windows(grid, 8, points_in(grid, rows, cols), np.ones(grid.shape, bool))
    valid = np.ones(grid.shape, bool)
    assert spatial_folds(windows, grid, valid, block=64).count == 6
    assert spatial_folds(windows, grid, valid, block=64, count=3).count == 3
    assert spatial_folds(windows, grid, valid, block=64, count=3, kind="clusters").count == 6


def test_blocks_are_as_long_as_the_bands_resemble_themselves():
    grid = make_grid(200, 200)
    windows = centred_windows(
        grid, 8, points_in(grid, *scattered_cells(grid, 60, 1)), np.ones(grid.shape, bool)
    )
    sides = [
        spatial_folds(
            windows, grid, np.ones(grid.shape, bool), count=3, autocorrelation=reach
        ).block
        for reach in (100.0, 3100.0, np.nan)
    ]
    assert sides == [
        16,
        31,
        32,
    ]  # two windows; 3,100 m in cells of 100 m; four windows where nothing is known


@pytest.mark.parametrize(("width", "height"), [(400, 200), (200, 400), (100, 100)])
def test_the_margin_reaches_as_far_in_either_direction_where_cells_are_not_square(width, height):
    grid = Grid("EPSG:32650", Affine(width, 0, 4e5, 0, -height, 2.4e6), (200, 200))
    deposits = points_in(grid, *scattered_cells(grid, 60, 1))
    valid = np.ones(grid.shape, bool)
    windows = centred_windows(grid, 8, deposits, valid)
    folds = spatial_folds(windows, grid, valid, count=3, reach=1200)
    assert folds.margin * min(width, height) >= 1200
    long_range = spatial_folds(windows, grid, valid, count=3, autocorrelation=3100)
    assert long_range.block * min(width, height) >= 3100


def test_a_checkerboard_alternates_and_zones_are_followed():
    grid = make_grid(60, 80)
    windows = make_windows(grid, "centred", 8, 20, 3)
    board = spatial_folds(windows, grid, np.ones(grid.shape, bool), kind="checkerboard", block=20)
    assert board.table.tolist() == [[0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    west, south, east, north = grid.bounds
    halves = gpd.GeoDataFrame(
        geometry=[
            shapely.box(west, south, west + 3000, north),
            shapely.box(west + 3000, south, east - 1000, north),
        ],
        crs=grid.crs,
    )
    zoned = spatial_folds(windows, grid, np.ones(grid.shape, bool), zones=halves)
    assert (zoned.raster()[:, :30] == 0).all()
    assert (
        zoned.raster()[:, 30:] == 1
    ).all()  # the last ten columns lie in neither zone: the nearest takes them


def test_zones_of_another_crs_or_too_few_are_refused():
    grid = make_grid(60, 80)
    windows, valid = make_windows(grid, "centred", 8, 20, 3), np.ones(grid.shape, bool)
    zones = random_zones(grid, 3, 0)
    with pytest.raises(DataError, match="zones of the folds are in WGS 84"):
        spatial_folds(windows, grid, valid, zones=zones.to_crs(4326))
    with pytest.raises(UsageError, match="must be at least two"):
        spatial_folds(windows, grid, valid, zones=zones.iloc[:1])
    with pytest.raises(UsageError, match='kind of folds "tiles" is unknown'):
        spatial_folds(windows, grid, valid, kind="tiles")


def test_a_column_of_folds_of_ones_own_is_followed():
    """Four camps of deposits: each is a fold, and ground belongs to the nearest deposit's camp."""
    grid = make_grid(120, 120)
    at = np.array([[20, 20], [20, 24], [20, 100], [100, 20], [100, 100], [96, 100]])
    deposits = points_in(grid, *at.T).assign(camp=["d", "d", "b", "c", "a", "a"])
    valid = np.ones(grid.shape, bool)
    windows = centred_windows(grid, 8, deposits, valid, negatives=0)
    folds = spatial_folds(windows, grid, valid, zones=deposits, column="camp")
    # Folds are numbered in the order of their names.
    assert folds.raster()[tuple(at.T)].tolist() == [3, 3, 1, 2, 0, 0]
    rows, cols = np.indices(grid.shape)
    distance = np.hypot(rows[..., None] - at[:, 0], cols[..., None] - at[:, 1])
    nearest = np.array([3, 3, 1, 2, 0, 0])[distance.argmin(axis=-1)]
    assert (folds.raster() == nearest).mean() > 0.98  # but for blocks of two cells
    assert [folds.testing(windows, fold).sum() for fold in range(4)] == [2, 1, 1, 2]


def test_a_column_of_folds_that_cannot_be_is_refused():
    grid = make_grid(60, 80)
    windows, valid = make_windows(grid, "centred", 8, 20, 3), np.ones(grid.shape, bool)
    zones = random_zones(grid, 3, 0).assign(camp=["a", None, "b"], one=1)
    for column, words in (
        ("kamp", 'Did you mean "camp"'),
        ("camp", '"camp" is empty in row 2'),
        ("one", "has one value"),
    ):
        with pytest.raises((DataError, UsageError), match=words):
            spatial_folds(windows, grid, valid, zones=zones, column=column)


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
    windows = centred_windows(
        grid, 8, points_in(grid, *cells), np.ones(grid.shape, bool), min_distance=2
    )
    folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), count=4, block=32)
    held = np.bincount(folds.of_windows(windows)[windows["label"].to_numpy() == 1])
    assert (
        held.max() - held.min() <= 3
    )  # clusters stay together, so the last deals cannot level everything
    ground = np.bincount(folds.raster().ravel())
    assert ground.min() > 0.5 * ground.max()


def test_the_deal_follows_the_seed():
    grid = make_grid(90, 90)
    windows = make_windows(grid, "centred", 6, 20, 1)
    first, again, other = (
        spatial_folds(windows, grid, np.ones(grid.shape, bool), seed=s).table for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_blocks_shrink_until_a_split_is_possible():
    grid = make_grid(100, 100)
    deposits = points_in(grid, [10, 50, 90], [10, 50, 90])
    windows = centred_windows(grid, 8, deposits, np.ones(grid.shape, bool))
    assert spatial_folds(windows, grid, np.ones(grid.shape, bool)).count == 3


def test_deposits_in_one_place_are_refused_in_plain_words():
    grid = make_grid(80, 80)
    windows = centred_windows(
        grid, 8, points_in(grid, [3, 4, 5], [3, 4, 5]), np.ones(grid.shape, bool)
    )
    with pytest.raises(DataError, match=r"too close together.*\d+ cells \(1600 m\).*smaller cells"):
        spatial_folds(windows, grid, np.ones(grid.shape, bool))
    with pytest.raises(DataError, match="blocks of 40 cells"):
        spatial_folds(windows, grid, np.ones(grid.shape, bool), block=40)


@pytest.mark.parametrize(
    ("options", "words"), [({"count": 1}, "folds = 1"), ({"block": 15}, "two windows")]
)
def test_impossible_options_are_refused(options, words):
    grid = make_grid(80, 80)
    with pytest.raises(UsageError, match=words):
        spatial_folds(
            make_windows(grid, "tiled", 8, 9, 0), grid, np.ones(grid.shape, bool), **options
        )


def test_blocks_tile_the_grid_and_say_their_fold():
    grid = make_grid(61, 83)
    folds = spatial_folds(
        make_windows(grid, "tiled", 6, 15, 2), grid, np.ones(grid.shape, bool), block=20
    )
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


@pytest.mark.parametrize(
    "other", [make_grid(61, 84), make_grid(122, 166, 50.0)], ids=["wider", "finer cells"]
)
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
