"""A score map larger than memory: the same numbers whatever the blocks, the file or the machine."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from builders import QUICK, Case, make_grid, make_stack, small_case, small_model

from geomfaf.errors import ModelMismatchError, OutputExistsError
from geomfaf.models.predict import ScorePlan, predict_scores, predict_to_file
from geomfaf.rasters import stream
from geomfaf.rasters.bands import as_dataarray, bands_of
from geomfaf.rasters.geotiff import read_raster, write_raster
from geomfaf.rasters.reader import RasterReader
from geomfaf.windows.features import window_features

JOINED = replace(QUICK, ensemble=("extra trees", "logistic regression"))


def centres(length, stride):
    return sorted({*range(0, length, stride), length - 1})


def tents(length, stride):
    """(cells, centres)"""
    return np.array(
        [[max(0, 1 - abs(c - m) / stride) for m in centres(length, stride)] for c in range(length)]
    )


def map_by_hand(model, stack, stride):
    """All windows of the map cut out of one padded array and judged at once; score and held-out."""
    height, width = stack.shape[1:]
    half = model.size // 2
    names = [str(name) for name in stack["band"].values]
    places = [(r, c) for r in centres(height, stride) for c in centres(width, stride)]
    rows, cols = np.array(places).T
    down, across = tents(height, stride), tents(width, stride)
    score = np.zeros((height, width))
    heldout = np.zeros((height, width))
    for member in model.fold_models:
        encoded = member.encoder.transform(stack.values, names)
        padded = np.pad(encoded, ((0, 0), (half, half), (half, half)))
        windows = np.stack([padded[:, r : r + model.size, c : c + model.size] for r, c in places])
        features = window_features(stack, rows, cols, model.size)
        said = member.judge(windows, member.odds(features)).score.astype(float)
        said = said.reshape(down.shape[1], across.shape[1])
        blended = down @ said @ across.T / (down.sum(axis=1)[:, None] * across.sum(axis=1))
        score += blended / len(model.fold_models)
        own = model.folds.raster() == member.fold
        heldout[own] = blended[own]
    return score, heldout


@pytest.mark.parametrize("options", [QUICK, JOINED], ids=["network", "ensemble"])
@pytest.mark.parametrize("block", [(97, 83), (31, 40), (9, 83)])
def test_blocks_of_any_size_give_the_map_of_all_windows(options, block):
    case = small_case()
    model = small_model() if options == QUICK else case.train(options=options)
    plan = ScorePlan(model, RasterReader(case.stack), 3)
    found = np.empty((4, *case.grid.shape), np.float32)
    for row in range(0, 97, block[0]):
        for column in range(0, 83, block[1]):
            height, width = min(block[0], 97 - row), min(block[1], 83 - column)
            part = plan.block(row, column, height, width)
            found[:, row : row + height, column : column + width] = part
    score, heldout = map_by_hand(model, case.stack, 3)
    np.testing.assert_allclose(found[0], score, atol=2e-6)
    np.testing.assert_allclose(found[1], heldout, atol=2e-6)
    # Spread and votes, against the map of one block.
    np.testing.assert_allclose(found, predict_scores(model, case.stack, stride=3), atol=2e-6)


def test_blocks_without_one_of_the_classes_have_its_columns():
    """Classes that no legend names are those of the training, whatever lies in a block."""
    case = Case()
    case.stack.values[2] = np.where(np.arange(83) < 45, 1, 2)
    bands = [replace(band, legend={}) for band in bands_of(case.stack)]
    case.stack = as_dataarray(case.stack.values, case.grid, bands)
    model = case.train(options=replace(QUICK, ensemble=("extra trees",)))
    whole = predict_scores(model, case.stack, stride=4).values
    # Windows of these blocks reach ten cells around them at most: one class, then the other.
    for column in (10, 70):
        found = ScorePlan(model, RasterReader(case.stack), 4).block(50, column, 9, 3)
        expected = whole[:, 50:59, column : column + 3]
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.fixture(scope="module")
def wide():
    """Four blocks, with data around the corner where they meet and in the last cell alone."""
    grid = make_grid(530, 560)
    stack = make_stack(grid, seed=3)
    outside = np.ones(grid.shape, bool)
    outside[490:525, 480:545] = False
    outside[-1, -1] = False
    stack.values[:, outside] = np.nan
    return stack


@pytest.fixture(scope="module")
def ensemble():
    return small_case().train(options=JOINED)


def test_the_file_is_the_map_in_memory_to_the_byte(wide, ensemble, tmp_path):
    expected = predict_scores(ensemble, wide)
    assert np.isfinite(expected.values[0]).sum() == 35 * 65 + 1
    whole = write_raster(expected, tmp_path / "whole.tif")
    for stack in (wide, write_raster(wide, tmp_path / "stack.tif")):
        path = predict_to_file(ensemble, stack, tmp_path / "s.tif", cog=True, overwrite=True)
        assert path.read_bytes() == whole.read_bytes()
    xr.testing.assert_identical(read_raster(path), expected)


def test_zarr_in_and_out(wide, ensemble, tmp_path):
    pytest.importorskip("zarr")
    stored = tmp_path / "stack.zarr"
    reader = RasterReader(wide)
    stream.stream_raster(stored, reader.grid, reader.bands, reader.read, job="stack")
    path = predict_to_file(ensemble, stored, tmp_path / "scores.zarr")
    xr.testing.assert_identical(read_raster(path), predict_scores(ensemble, wide))


@pytest.mark.slow
def test_a_cluster_of_processes_gives_the_same_bytes(wide, ensemble, tmp_path):
    from distributed import LocalCluster

    stack = write_raster(wide, tmp_path / "stack.tif")
    here = predict_to_file(ensemble, stack, tmp_path / "here.tif")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as workers:
        address = workers.scheduler_address
        there = predict_to_file(ensemble, stack, tmp_path / "there.tif", scheduler=address)
    assert there.read_bytes() == here.read_bytes()


def test_an_interrupted_map_goes_on_and_another_model_begins_anew(
    wide, ensemble, tmp_path, monkeypatch
):
    path = tmp_path / "scores.tif"
    expected = predict_to_file(ensemble, wide, tmp_path / "whole.tif").read_bytes()
    computed = []
    whole_block = ScorePlan.block

    def block(self, *window, until=99):
        if len(computed) == until:
            raise KeyboardInterrupt
        computed.append(window[:2])
        return whole_block(self, *window)

    monkeypatch.setattr("geomfaf.rasters.blocks.cores", lambda: 1)
    monkeypatch.setattr(ScorePlan, "block", lambda self, *window: block(self, *window, until=2))
    with pytest.raises(KeyboardInterrupt):
        predict_to_file(ensemble, wide, path)
    assert not path.exists()
    first = list(computed)
    monkeypatch.setattr(ScorePlan, "block", block)
    # 1. the same map goes on: no block twice
    predict_to_file(ensemble, wide, path)
    assert path.read_bytes() == expected
    assert sorted(computed) == [(0, 0), (0, 512), (512, 0), (512, 512)]
    assert first
    # 2. another model, ground or stride is another job
    jobs = {
        ScorePlan(ensemble, RasterReader(wide)).fingerprint(),
        ScorePlan(small_model(), RasterReader(wide)).fingerprint(),
        ScorePlan(ensemble, RasterReader(wide), 1).fingerprint(),
        ScorePlan(ensemble, RasterReader(wide * 1.0)).fingerprint(),
        ScorePlan(ensemble, RasterReader(wide.fillna(1.0))).fingerprint(),
    }
    assert len(jobs) == 4
    with pytest.raises(OutputExistsError):
        predict_to_file(ensemble, wide, path)


def test_a_stack_that_differs_is_refused_before_any_work(wide, ensemble, tmp_path):
    lacking = wide.sel(band=["Cu", "geology", "fault_distance"])
    with pytest.raises(ModelMismatchError, match='needs band "Au"'):
        predict_to_file(ensemble, lacking, tmp_path / "s.tif")
    assert os.listdir(tmp_path) == []


def test_the_number_of_threads_is_given_back_and_changes_no_bit(wide):
    plan = ScorePlan(small_model(), RasterReader(wide))
    before = torch.get_num_threads()
    try:
        plan.threads = 1
        one = plan.block(480, 470, 50, 80)
        plan.threads = 2
        np.testing.assert_array_equal(plan.block(480, 470, 50, 80), one)
    finally:
        torch.set_num_threads(before)
    predict_scores(small_model(), small_case().stack)
    assert torch.get_num_threads() == before
