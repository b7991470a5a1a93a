"""Dense prediction: every cell scored, blended without seams or shifts, held out where it
says so.
"""

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from builders import Case, make_grid, make_scores, make_stack, small_case, small_model, small_scores
from hypothesis import given, settings
from hypothesis import strategies as st

from geomfaf.errors import UsageError
from geomfaf.models.network.encode import Channel, Encoder
from geomfaf.models.predict import Lattice, default_stride, lattice_scores, predict_scores
from geomfaf.rasters.bands import Band, as_dataarray, bands_of, score_values

VALUE_ITSELF = Encoder((Channel("Au", "density"),))


def tent_average(lattice, values, row, col):
    """The blend at one cell, centre by centre."""
    total = weight = 0.0
    for i, centre_row in enumerate(lattice.rows):
        for j, centre_col in enumerate(lattice.cols):
            near = [
                max(0, 1 - abs(a - b) / lattice.stride)
                for a, b in ((row, centre_row), (col, centre_col))
            ]
            if np.isfinite(values[i, j]):
                total += near[0] * near[1] * values[i, j]
                weight += near[0] * near[1]
    return total / weight


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    stride=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_constant_stays_constant_on_every_valid_cell(height, width, stride, seed):
    valid = np.random.default_rng(seed).random((height, width)) < 0.7
    lattice = Lattice(valid, stride)
    blended = lattice.blend(np.where(lattice.wanted, 0.37, np.nan))
    np.testing.assert_array_equal(np.isfinite(blended), valid)
    np.testing.assert_allclose(blended[valid], 0.37, rtol=1e-6)


@pytest.mark.parametrize("stride", [1, 3, 4])
def test_the_blend_is_the_tent_weighted_average(stride):
    lattice = Lattice(np.ones((14, 11), bool), stride)
    values = np.random.default_rng(0).random(lattice.wanted.shape)
    values[0, 1] = np.nan
    blended = lattice.blend(np.stack([values, 2 * values]))
    for row, col in [(0, 0), (13, 10), (7, 5), (1, 3), (12, 9)]:
        if stride == 1 and (row, col) == (0, 1):
            continue
        assert blended[0, row, col] == pytest.approx(
            tent_average(lattice, values, row, col), rel=1e-5
        )
    np.testing.assert_allclose(blended[1], 2 * blended[0], rtol=1e-5)


def test_a_centre_keeps_its_own_score_and_a_slope_stays_a_slope():
    lattice = Lattice(np.ones((13, 17), bool), 4)
    slope = lattice.rows[:, None] * 1.0 + lattice.cols[None, :] * 0.1
    blended = lattice.blend(slope)
    np.testing.assert_allclose(blended, np.arange(13)[:, None] + np.arange(17) * 0.1, atol=1e-5)


@pytest.mark.parametrize(("stride", "size"), [(1, 4), (3, 5), (4, 8)])
def test_scores_stand_on_the_cell_their_window_is_centred_on(stride, size):
    """A predictor that returns the centre cell gives back the band: no shift, whatever the strip or
    the edge.
    """
    grid = make_grid(75, 41)
    values = np.arange(grid.size, dtype=np.float32).reshape(1, *grid.shape) / grid.size
    stack = as_dataarray(values, grid, [Band("Au", "density")])
    lattice = Lattice(np.ones(grid.shape, bool), stride)
    scores = lattice_scores(
        stack,
        lattice,
        lattice.wanted,
        VALUE_ITSELF,
        lambda w: w[:, 0, size // 2, size // 2][None],
        size,
    )
    np.testing.assert_array_equal(scores[0], values[0][np.ix_(lattice.rows, lattice.cols)])


def test_windows_of_a_prediction_are_the_windows_of_the_training():
    grid = make_grid(31, 23)
    stack = make_stack(grid)
    lattice, seen = Lattice(np.ones(grid.shape, bool), 3), []
    lattice_scores(
        stack,
        lattice,
        lattice.wanted,
        VALUE_ITSELF,
        lambda w: seen.append(w) or np.zeros((1, len(w))),
        6,
    )
    seen = np.concatenate(seen)
    padded = np.pad(VALUE_ITSELF.transform(stack.values[:1], ["Au"]), ((0, 0), (6, 6), (6, 6)))
    expected = [padded[:, r + 3 : r + 9, c + 3 : c + 9] for r in lattice.rows for c in lattice.cols]
    np.testing.assert_array_equal(seen, np.stack(expected))


def test_a_lattice_point_that_is_not_wanted_is_not_scored():
    stack = make_stack(make_grid(20, 20))
    lattice = Lattice(np.ones((20, 20), bool), 4)
    wanted = np.zeros(lattice.wanted.shape, bool)
    wanted[2, 3] = True
    scores = lattice_scores(stack, lattice, wanted, VALUE_ITSELF, lambda w: np.ones((2, len(w))), 6)
    assert (np.isfinite(scores) == wanted).all()
    nothing = lattice_scores(
        stack, lattice, wanted & False, VALUE_ITSELF, lambda w: np.ones((2, len(w))), 6
    )
    assert np.isnan(nothing).all()


def test_score_spread_and_votes_are_those_of_all_branches_of_all_folds():
    case, model = small_case(), small_model()
    lattice = Lattice(case.valid, default_stride(case.size))
    branches = np.concatenate(
        [
            lattice_scores(
                case.stack,
                lattice,
                lattice.wanted,
                m.encoder,
                m.classifier.predict_branches,
                case.size,
            )
            for m in model.fold_models
        ]
    )
    expected = [branches.mean(axis=0), branches.std(axis=0), (branches > 0.5).mean(axis=0)]
    for name, layer in zip(("score", "spread", "vote_share"), expected, strict=True):
        np.testing.assert_allclose(small_scores().sel(band=name), lattice.blend(layer), atol=2e-4)
    assert [band.kind for band in bands_of(small_scores())] == ["score"] * 4


def test_the_held_out_score_is_the_folds_own_model_and_no_other():
    case, model = small_case(), small_model()
    raster, heldout = case.folds.raster(), small_scores().sel(band="heldout_score").values
    for member in model.fold_models:
        alone = (
            predict_scores(replace(model, fold_models=[member]), case.stack)
            .sel(band="score")
            .values
        )
        own = raster == member.fold
        np.testing.assert_allclose(heldout[own], alone[own], atol=1e-6)
        assert np.abs(heldout[~own] - alone[~own]).max() > 1e-3


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_no_window_behind_a_held_out_score_touches_training_ground(stride):
    case = Case(count=20)
    lattice, raster = Lattice(case.valid, stride), case.folds.raster()
    for fold in range(case.folds.count):
        learned = np.zeros(case.grid.shape, bool)
        for row, col in case.windows.loc[
            case.folds.training(case.windows, fold), ["row", "col"]
        ].to_numpy():
            learned[max(row, 0) : row + case.size, max(col, 0) : col + case.size] = True
        own = raster == fold
        weights = lattice.down.T @ own.astype(float) @ lattice.across
        half = case.size // 2
        for i, j in zip(*np.nonzero(weights > 0), strict=True):
            top, left = lattice.rows[i] - half, lattice.cols[j] - half
            assert not learned[max(top, 0) : top + case.size, max(left, 0) : left + case.size].any()


def test_a_stride_whose_held_out_scores_would_leak_is_refused():
    assert np.isfinite(predict_scores(small_model(), small_case().stack, stride=4).values).all()
    with pytest.raises(UsageError, match=r"stride = 5 .*half a window \(4 cells\)"):
        predict_scores(small_model(), small_case().stack, stride=5)
    with pytest.raises(UsageError, match="at least 1"):
        predict_scores(small_model(), small_case().stack, stride=0)


def test_outside_the_study_area_is_nodata_and_all_inside_is_scored():
    stack = small_case().stack.copy(deep=True)
    inside = np.hypot(*(np.indices(small_case().grid.shape) - [[[48]], [[41]]])) < 36
    stack.values[:, ~inside] = np.nan
    stack.values[0, 40:50, 40:50] = np.nan  # a gap in one band takes no cell out
    scores = predict_scores(small_model(), stack)
    for layer in scores.values:
        np.testing.assert_array_equal(np.isfinite(layer), inside)
    assert scores.sel(band="score").min() >= 0
    assert scores.sel(band="score").max() <= 1


def test_another_place_has_scores_but_none_held_out():
    case = small_case()
    east = replace(case.grid, transform=Affine(100, 0, 600_000, 0, -100, 6_000_000))
    elsewhere = as_dataarray(case.stack.values, east, bands_of(case.stack))
    scores = predict_scores(small_model(), elsewhere)
    assert np.isnan(scores.sel(band="heldout_score")).all()
    here = small_scores().sel(band="score").values
    np.testing.assert_array_equal(scores.sel(band="score").values, here)


def test_a_raster_without_scores_is_refused():
    grid = make_grid(5, 5)
    assert (score_values(make_scores(grid, np.ones(grid.shape)), ["score"])[0] == 1).all()
    with pytest.raises(UsageError, match='no band "score", it has Au, Cu, geology'):
        score_values(make_stack(grid))


def test_the_default_stride_is_a_quarter_window():
    assert [default_stride(size) for size in (2, 8, 16, 128)] == [1, 2, 4, 32]
