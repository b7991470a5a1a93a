"""A stack in a file gives the same windows, features, draws and folds as the same stack in memory."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt, distance_transform_edt

import geomfaf as gm
from geomfaf.errors import InternalError
from geomfaf.rasters.bands import Band, as_dataarray, valid_cells
from geomfaf.rasters.grid import Grid
from geomfaf.rasters.reader import RasterReader
from geomfaf.windows import leak_proof, negatives, reading, variogram
from geomfaf.windows.reading import strip_of, windows_from
from geomfaf.windows.windows import read_windows, summed_cells

GRID = Grid.from_bounds((0, 0, 7000, 5000), 100, 32633)
BANDS = [
    Band("Au_ppb", "element", "ppb"),
    Band("rock", "class"),
    Band("fault_distance", "distance", "m"),
]


def made_stack() -> object:
    rng = np.random.default_rng(3)
    values = rng.lognormal(size=(3, *GRID.shape)).astype(np.float32)
    values[1] = rng.integers(1, 5, GRID.shape)
    values[0, :9] = np.nan
    values[:, :, 60:] = np.nan
    return as_dataarray(values, GRID, BANDS)


STACK = made_stack()


@pytest.fixture(scope="module", params=[".tif", ".zarr"])
def reader(request, tmp_path_factory):
    """The stack in a file, read in blocks of 16 cells."""
    path = tmp_path_factory.mktemp("stack") / f"stack{request.param}"
    if request.param == ".tif":
        gm.write_raster(STACK, path)
    else:
        from geomfaf.rasters.stream import stream_raster

        source = RasterReader(STACK)
        stream_raster(path, GRID, BANDS, source.read, job="copy")
    return RasterReader(path)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 16)
    monkeypatch.setattr("geomfaf.windows.features.BLOCK", 2000)
    monkeypatch.setattr(negatives, "ROWS", 7)


places = st.lists(
    st.tuples(st.integers(-20, GRID.height + 20), st.integers(-20, GRID.width + 20)),
    max_size=30,
)


@settings(max_examples=25, deadline=None)
@given(places=places, size=st.integers(1, 9))
def test_windows_of_a_file_are_those_of_the_memory(reader, places, size):
    rows, cols = np.array(places, int).reshape(-1, 2).T
    names = ["fault_distance", "Au_ppb"]
    expected = read_windows(STACK.sel(band=names).values, rows, cols, size)
    assert np.array_equal(windows_from(reader, rows, cols, size, names), expected, equal_nan=True)
    strip = strip_of(STACK, rows, cols, size) if len(rows) else None
    for number in range(len(rows)):
        cut = strip.values[:, :, number * size : (number + 1) * size]
        whole = read_windows(STACK.values, rows[[number]], cols[[number]], size)[0]
        assert np.array_equal(cut, whole, equal_nan=True)


@pytest.mark.parametrize("size", [None, 1, 6])
@pytest.mark.parametrize("bands", [None, ["rock", "Au_ppb"]])
def test_features_of_a_file_are_those_of_the_memory_to_the_bit(reader, size, bands):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, GRID.height, 400)
    cols = rng.integers(0, GRID.width, 400)
    # In memory the classes of a band without a legend are those of the band.
    expected = gm.window_features(STACK, rows, cols, size, bands=bands)
    found = gm.window_features(reader, rows, cols, size, bands=bands)
    assert found.columns == expected.columns
    assert found.values.tobytes() == expected.values.tobytes()
    assert np.array_equal(found.x, expected.x)
    assert np.array_equal(found.y, expected.y)


def test_the_valid_cells_of_a_file_are_those_of_the_memory(reader):
    assert np.array_equal(reader.valid, valid_cells(STACK))


@pytest.mark.parametrize("rule", negatives.RULES)
def test_windows_and_folds_of_a_file_are_those_of_the_memory(reader, rule):
    rng = np.random.default_rng(5)
    xy = rng.uniform((300, 300), (5700, 4000), (25, 2))
    deposits = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*xy.T), crs=32633)
    options = {"size": 4, "rule": rule, "min_distance": 3}
    windows, folds = gm.make_windows(reader, deposits, **options)
    expected, same = gm.make_windows(STACK, deposits, **options)
    assert folds.same_split(same)
    assert windows.drop(columns="geometry").equals(expected.drop(columns="geometry"))
    assert (windows["label"] == 0).any()


@settings(max_examples=30, deadline=None)
@given(
    cells=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 29)), min_size=1, max_size=6),
    reach=st.integers(0, 12),
)
def test_distances_are_those_of_the_distance_transforms(cells, reach):
    at = tuple(np.array(cells).T)
    free = np.ones((20, 30), bool)
    free[at] = False
    expected = distance_transform_edt(free) >= reach
    assert np.array_equal(negatives._far(free.shape, at, reach), expected)
    near = distance_transform_cdt(free, metric="chessboard") <= reach
    assert np.array_equal(negatives._within(~free, reach), near)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), count=st.integers(0, 40), share=st.floats(0.0, 1.0))
def test_cells_are_drawn_as_if_all_random_numbers_were_held_at_once(seed, count, share):
    free = np.random.default_rng(1).random((23, 17)) < share
    chance = np.random.default_rng(seed).random(free.shape)
    highest = sorted(np.flatnonzero(free), key=lambda cell: -chance.flat[cell])[:count]
    cells, log_chance = negatives._draw(free, seed, count)
    assert cells.tolist() == sorted(highest)
    assert np.allclose(np.exp(log_chance), chance.flat[cells])


@pytest.mark.parametrize("shuffled", [0, 10**6])
def test_places_are_drawn_from_the_valid_cells_each_once(monkeypatch, shuffled):
    monkeypatch.setattr(variogram, "SHUFFLED", shuffled)
    valid = np.random.default_rng(2).random((30, 40)) < 0.3
    valid[:4] = False
    rows, cols = variogram.drawn_cells(valid, 100, seed=7)
    assert len(set(zip(rows.tolist(), cols.tolist(), strict=True))) == 100
    assert valid[rows, cols].all()
    # All of them, where fewer are there.
    assert len(variogram.drawn_cells(valid, 10**6, seed=7)[0]) == valid.sum()


def test_cells_are_counted_as_by_adding_them_one_by_one():
    cells = np.random.default_rng(4).random((12, 9)) < 0.5
    total = summed_cells(cells)
    for row in range(13):
        for col in range(10):
            assert total[row, col] == cells[:row, :col].sum()


def test_a_split_is_proved_some_rows_at_a_time_as_it_is_at_once(monkeypatch):
    rng = np.random.default_rng(6)
    xy = rng.uniform((300, 300), (5700, 4000), (25, 2))
    deposits = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*xy.T), crs=32633)
    windows, folds = gm.make_windows(STACK, deposits, size=4)
    at_once = gm.prove_leak_free(windows, folds)
    monkeypatch.setattr(leak_proof, "ROWS", 7)
    assert gm.prove_leak_free(windows, folds).equals(at_once)
    # A gap beyond the reach is told as the reach; the smaller ones stay as they are.
    monkeypatch.setattr(leak_proof, "REACH", 0)
    reach = 2 * folds.margin
    found = gm.prove_leak_free(windows, folds)["gap"]
    assert found.tolist() == at_once["gap"].clip(upper=reach).tolist()
    # One training window moved onto test ground is found wherever it lies.
    number = int(np.flatnonzero(folds.training(windows, 0) & (windows["label"] == 1))[0])
    moved = windows.copy()
    blocks = np.argwhere(folds.table == 0)[-1] * folds.block
    moved.loc[number, ["row", "col"]] = blocks
    with monkeypatch.context() as patch:
        patch.setattr(
            type(folds), "training", lambda self, table, fold: np.arange(len(table)) == number
        )
        with pytest.raises(InternalError, match="the split leaks"):
            gm.prove_leak_free(moved, folds)
