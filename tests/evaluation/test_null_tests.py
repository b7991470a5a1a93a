"""The null test: a p value that is uniform when there is nothing to find, and small when
there is.
"""

import numpy as np
import pytest
from builders import make_grid, make_stack, points_in, scattered_cells, smooth_noise
from scipy.stats import kstest

from geomfaf.errors import DataError, UsageError
from geomfaf.evaluation.null_tests import NullTest, _Ground, _moved, network_null_test, null_test
from geomfaf.evaluation.verdict import null_line
from geomfaf.models.network.options import Training
from geomfaf.rasters.bands import Band, as_dataarray

GRID = make_grid(60, 60)


def noise_stack(seed):
    fields = [smooth_noise(GRID.shape, 1000 * seed + number, 2.0) for number in range(2)]
    return as_dataarray(np.stack(fields), GRID, [Band("Au", "presence"), Band("Cu", "presence")])


@pytest.mark.slow
def test_p_is_uniform_when_deposits_follow_nothing(monkeypatch):
    """Forty surveys of noise: p takes the values 1/20 ... 20/20 equally often (Kolmogorov and
    Smirnov).
    """
    monkeypatch.setattr("geomfaf.evaluation.null_tests.GROUND", 300)
    found = []
    for seed in range(40):
        deposits = points_in(GRID, *scattered_cells(GRID, 12, seed))
        options = {"block": 15, "margin": 2, "shifts": 19}
        found.append(null_test(noise_stack(seed), deposits, seed=seed, **options).p)
    spread = np.random.default_rng(0).uniform(
        -1 / 20, 0, 40
    )  # the steps of a twentieth, made continuous
    assert kstest(np.array(found) + spread, "uniform").pvalue > 0.01
    assert np.mean(found) == pytest.approx(0.525, abs=0.15)


def test_deposits_that_follow_a_band_are_not_by_chance():
    cells = scattered_cells(GRID, 20, 1)
    result = null_test(
        make_stack(GRID, 1, ore=cells), points_in(GRID, *cells), block=15, margin=2, shifts=39
    )
    assert result.p == 1 / 40
    assert result.observed > 0.7
    assert np.mean(result.moved) == pytest.approx(0.5, abs=0.1)


@pytest.mark.slow
def test_the_network_too_tells_deposits_that_follow_a_band_from_moved_ones(monkeypatch):
    monkeypatch.setattr("geomfaf.evaluation.null_tests.GROUND", 300)
    cells = scattered_cells(GRID, 20, 1)
    stack = make_stack(GRID, 1, ore=cells)
    options = Training(epochs=4, least_steps=40)
    result = network_null_test(
        stack, points_in(GRID, *cells), options, block=15, margin=4, shifts=1
    )
    assert result.observed > max(0.65, result.moved.max())
    assert result.model == "MFAF"
    line = null_line(result)
    assert "the real pattern scores higher than 1 of 1 moved ones" in line
    assert "too few for a p below 0.50" in line


def test_the_network_is_tested_away_from_every_window_it_learned_from(monkeypatch):
    """No training window of a fold may reach a cell of the fold's blocks."""
    ground = _Ground(noise_stack(0), 15, 8, 0)
    raster = np.full(GRID.shape, -1)
    raster[ground.rows, ground.cols] = ground.fold
    for fold, trains in enumerate(ground.trains):
        for row, col in zip(ground.rows[trains][::50], ground.cols[trains][::50], strict=True):
            window = raster[max(0, row - 4) : row + 4, max(0, col - 4) : col + 4]
            assert not (window == fold).any()


def test_p_counts_the_observed_pattern_too():
    assert NullTest(0.5, np.array([0.4, 0.5, 0.6]), "torus", "x").p == 0.75
    assert NullTest(0.7, np.array([0.4, 0.5, 0.6]), "torus", "x").p == 0.25


def test_a_shift_on_the_torus_keeps_all_distances_and_a_turn_keeps_straight_ones():
    at = np.array([[3, 5], [3, 9], [40, 50], [59, 0]])
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = _moved(at, GRID, "torus", rng)
        assert ((moved >= 0) & (moved < 60)).all()
        step = (moved - at) % 60
        assert (step == step[0]).all()
        turned = _moved(at, GRID, "rotate", rng)
        before, after = (
            np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
            for points in (at, turned)
        )
        assert np.abs(before - after).max() < 1.5  # rounded to cells


def test_no_moved_deposit_lies_on_nodata_and_none_is_lost(monkeypatch):
    stack = noise_stack(0)
    stack.values[:, :, 30:] = np.nan
    seen = []
    original = "geomfaf.evaluation.null_tests._Ground.heldout_auc"
    monkeypatch.setattr(original, lambda self, ore, judged: seen.append((self, ore)) or 0.5)
    cells = scattered_cells(make_grid(60, 30), 9, 2)
    for way in ("torus", "rotate", "redraw"):
        null_test(stack, points_in(GRID, *cells), block=15, margin=2, shifts=9, way=way)
    for ground, ore in seen:
        assert len(np.unique(ore)) == 9
        assert (ore < 60 * 30).all()
        assert len(ground.fold) == 60 * 30


def test_no_training_cell_is_within_the_margin_of_its_test_ground():
    from geomfaf.evaluation.null_tests import _Ground

    ground = _Ground(noise_stack(0), 15, 4, 0)
    at = np.argwhere(ground.number >= 0)
    for fold, trains in enumerate(ground.trains):
        apart = np.abs(at[trains][:, None] - at[ground.fold == fold][None]).max(axis=2)
        assert apart.min() == 5


def test_too_few_deposits_an_unknown_way_and_one_block_are_refused():
    points = points_in(GRID, [3, 50], [3, 50])
    with pytest.raises(DataError, match="fewer than two deposits"):
        null_test(noise_stack(0), points.iloc[:1], block=15, margin=2)
    with pytest.raises(UsageError, match='"jump" is unknown'):
        null_test(noise_stack(0), points, block=15, margin=2, way="jump")
    with pytest.raises(DataError, match="one block"):
        null_test(noise_stack(0), points, block=60, margin=2)
