"""Area of applicability: the index equals brute force and a closed form, the threshold too."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_grid, make_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from geomfaf.errors import DataError, UsageError
from geomfaf.evaluation.applicability import (
    AreaPlan,
    area_of_applicability,
    area_to_file,
    fit_applicability,
)
from geomfaf.rasters.bands import as_dataarray, bands_of
from geomfaf.rasters.geotiff import write_raster
from geomfaf.rasters.reader import RasterReader
from geomfaf.windows.features import Column, Features, window_features


def table(values):
    values = np.asarray(values, np.float32)
    columns = tuple(
        Column(f"band{number}", "density", "centre") for number in range(values.shape[1])
    )
    return Features(values, columns, np.zeros(len(values)), np.zeros(len(values)))


def brute(train, folds, places, weight):
    """Meyer and Pebesma (2021) in plain loops: indices of the training places, of the places, and
    the threshold.
    """
    mean, spread = train.mean(axis=0), train.std(axis=0, ddof=1)
    one, other = (weight * (values - mean) / spread for values in (train, places))

    def distance(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5

    pairs = [distance(a, b) for i, a in enumerate(one) for j, b in enumerate(one) if i < j]
    middle = sum(pairs) / len(pairs)
    own = [
        min(distance(a, b) for b, g in zip(one, folds, strict=True) if g != f) / middle
        for a, f in zip(one, folds, strict=True)
    ]
    found = [min(distance(a, b) for b in one) / middle for a in other]
    low, high = np.percentile(own, [25, 75])
    return own, found, max(value for value in own if value <= high + 1.5 * (high - low))


@given(seed=st.integers(0, 9999), count=st.integers(6, 30), columns=st.integers(1, 5))
@settings(max_examples=25)
def test_the_index_equals_brute_force(seed, count, columns):
    rng = np.random.default_rng(seed)
    train, places = (
        rng.normal(size=(n, columns)).astype(np.float32).astype(float) * 3 + 1 for n in (count, 12)
    )
    folds = np.arange(count) % 3
    weight = rng.random(columns) + 0.1
    importance = {f"band{number}": value for number, value in enumerate(weight)}
    fitted = fit_applicability(table(train), folds, importance=importance)
    train, places = (np.asarray(values, np.float32).astype(float) for values in (train, places))
    own, found, threshold = brute(train, folds, places, weight)
    np.testing.assert_allclose(fitted.training, own, rtol=1e-9)
    np.testing.assert_allclose(fitted.dissimilarity(table(places)), found, rtol=1e-9, atol=1e-12)
    assert fitted.threshold == pytest.approx(threshold, rel=1e-9)


def test_four_places_on_a_line_by_hand():
    """0, 1, 2, 3: mean pair distance 10 / 6 of the spacing; 5 is two spacings off, 1.5 half
    a one.
    """
    fitted = fit_applicability(table([[0], [1], [2], [3]]), np.array([0, 1, 0, 1]))
    np.testing.assert_allclose(fitted.dissimilarity(table([[5], [1.5], [2]])), [1.2, 0.3, 0])
    np.testing.assert_allclose(fitted.training, 0.6)
    assert fitted.threshold == pytest.approx(0.6)
    assert fitted.inside(fitted.dissimilarity(table([[3.9], [4.1]]))).tolist() == [True, False]


def test_folds_that_lie_apart_allow_more():
    """Random folds have a near neighbour in every other fold and make the area of applicability
    look small.
    """
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(centre, 0.3, (40, 2)) for centre in (0, 3, 6)])
    apart = fit_applicability(table(values), np.repeat([0, 1, 2], 40))
    mixed = fit_applicability(table(values), rng.integers(0, 3, 120))
    assert apart.threshold > 3 * mixed.threshold


def test_outliers_do_not_set_the_threshold():
    values = np.append(np.linspace(0, 1, 60), 50.0)[:, None]
    fitted = fit_applicability(table(values), np.arange(61) % 2)
    assert fitted.training.max() > 100 * fitted.threshold


def test_units_do_not_matter_and_a_band_without_weight_says_nothing():
    rng = np.random.default_rng(1)
    train, places, folds = rng.normal(size=(40, 3)), rng.normal(size=(9, 3)), np.arange(40) % 4
    plain = fit_applicability(table(train), folds)
    scaled = fit_applicability(table(train * [1, 100, 0.01] + 5), folds)
    np.testing.assert_allclose(
        scaled.dissimilarity(table(places * [1, 100, 0.01] + 5)),
        plain.dissimilarity(table(places)),
        rtol=1e-3,
    )
    without = fit_applicability(table(train), folds, importance={"band2": 0})
    away = places + np.array([0, 0, 1000])
    assert (without.dissimilarity(table(away)) == without.dissimilarity(table(places))).all()
    assert (plain.dissimilarity(table(away)) > 10).all()


def test_a_gap_counts_as_the_training_median_and_a_constant_not_at_all():
    rng = np.random.default_rng(2)
    train = np.column_stack([rng.normal(size=31), np.full(31, 7.0)])
    fitted = fit_applicability(table(train), np.arange(31) % 2)
    assert fitted.dissimilarity(table([[np.nan, 7.0]])) == pytest.approx(0, abs=1e-6)
    assert fitted.dissimilarity(table([[train[3, 0], 900.0]])) == pytest.approx(0, abs=1e-6)


def test_the_map_flags_ground_unlike_the_training_cells(monkeypatch):
    grid = make_grid(40, 50)
    stack = make_stack(grid, 0)
    stack.values[:2, 30:, :] *= 1e6  # no training cell has seen such values
    stack.values[:, :, :5] = np.nan
    rows, cols = np.random.default_rng(0).integers([0, 5], [30, 50], (150, 2)).T
    found, fitted = area_of_applicability(stack, rows, cols, (cols // 10) % 3)
    index, applicable = found.values
    assert np.isnan(index[:, :5]).all()
    assert np.isnan(applicable[:, :5]).all()
    assert (applicable[30:, 5:] == 0).all()
    assert applicable[:30, 5:].mean() > 0.9
    np.testing.assert_allclose(index[rows, cols], 0, atol=1e-6)
    assert (
        applicable[:, 5:] == (index[:, 5:] <= fitted.threshold)
    ).mean() > 0.999  # float32 against float64
    monkeypatch.setattr("geomfaf.evaluation.applicability.STEP", 10)
    plan = AreaPlan(RasterReader(stack), rows, cols, (cols // 10) % 3)
    for row in range(0, 40, 11):
        height = min(11, 40 - row)
        again = plan.block(row, 0, height, 50)
        np.testing.assert_array_equal(again, found.values[:, row : row + height])


def test_a_map_larger_than_a_block_is_the_map_of_all_places_at_once(tmp_path):
    """Four blocks, a class band without a legend of which some hold one class; places anywhere."""
    grid = make_grid(520, 530)
    stack = make_stack(grid, 1)
    bands = [replace(band, legend={}) for band in bands_of(stack)]
    values = stack.values
    values[2] = np.where(np.arange(530) < 515, 1, 3)
    values[:, 40:500, 40:490] = np.nan
    stack = as_dataarray(values, grid, bands)
    rng = np.random.default_rng(0)
    rows, cols = np.nonzero(np.isfinite(values[0]))
    chosen = rng.permutation(len(rows))[:200]
    places, folds = (rows[chosen], cols[chosen]), np.arange(200) % 3
    found, fitted = area_of_applicability(stack, *places, folds)
    # 1. the same without any blocks
    whole = fit_applicability(window_features(stack, *places), folds)
    np.testing.assert_array_equal(fitted.training, whole.training)
    index = whole.dissimilarity(window_features(stack, rows, cols))
    np.testing.assert_array_equal(found.values[0][rows, cols], index.astype(np.float32))
    np.testing.assert_array_equal(found.values[1][rows, cols], whole.inside(index))
    assert np.isnan(found.values[:, 40:500, 40:490]).all()
    # 2. from a file to a file
    stored = write_raster(stack, tmp_path / "stack.tif")
    path, again = area_to_file(stored, *places, folds, tmp_path / "area.tif", cog=True)
    assert again.threshold == fitted.threshold
    assert path.read_bytes() == write_raster(found, tmp_path / "whole.tif").read_bytes()
    jobs = {
        AreaPlan(RasterReader(source), *places, split).fingerprint()
        for source, split in ((stack, folds), (stored, folds), (stack, np.arange(200) % 2))
    }
    assert len(jobs) == 3
    with pytest.raises(UsageError, match="1 of 200 training places lie off the stack"):
        area_of_applicability(
            stack, np.where(chosen == chosen[0], 520, places[0]), cols[chosen], folds
        )


def test_what_cannot_be_judged_is_refused():
    values = table([[0.0], [1.0], [2.0]])
    with pytest.raises(DataError, match="two folds or more"):
        fit_applicability(values, np.zeros(3))
    with pytest.raises(DataError, match="two folds or more"):
        fit_applicability(values, np.zeros(2))
    with pytest.raises(DataError, match="no predictor varies"):
        fit_applicability(table([[1.0], [1.0]]), np.array([0, 1]))
    with pytest.raises(UsageError, match=r'no band "band1"\. Did you mean "band0"'):
        fit_applicability(values, np.arange(3), importance={"band1": 1})
    with pytest.raises(UsageError, match="is -1"):
        fit_applicability(values, np.arange(3), importance={"band0": -1})
    with pytest.raises(DataError, match="other columns"):
        fit_applicability(values, np.arange(3)).dissimilarity(table([[0.0, 1.0]]))
