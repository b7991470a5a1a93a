"""Barren windows: each rule does what it says, and no fold's draw knows the deposits that
test it.
"""

import numpy as np
import pytest
from builders import Case, make_grid, make_stack, points_in, scattered_cells
from hypothesis import given, settings
from hypothesis import strategies as st

from geomfaf.errors import DataError, UsageError
from geomfaf.windows.features import window_features
from geomfaf.windows.folds import EVERY_FOLD, NO_FOLD, spatial_folds
from geomfaf.windows.leak_proof import prove_leak_free
from geomfaf.windows.negatives import RULES, _barren_chance, draw_windows
from geomfaf.windows.windows import centred_windows, window_centres


def ore_case(seed=1, count=16, shape=(120, 110)):
    """Deposits' windows alone, their folds and a stack in which Au is high at the deposits."""
    case = Case(shape, count=count, seed=seed)
    case.windows = centred_windows(case.grid, case.size, case.deposits, case.valid, negatives=0)
    case.folds = spatial_folds(case.windows, case.grid, case.valid, count=3, seed=seed)
    return case


def training(case, table, fold):
    return table[case.folds.training(table, fold)]


@given(rule=st.sampled_from(RULES), seed=st.integers(0, 200), reach=st.sampled_from([None, 2, 12]))
@settings(max_examples=25, deadline=None)
def test_every_draw_is_proved_leak_free_and_has_the_numbers_asked_for(rule, seed, reach):
    case = ore_case(seed=seed % 4)
    try:
        table = draw_windows(
            case.windows,
            case.folds,
            case.stack,
            rule=rule,
            negatives=3,
            min_distance=reach,
            seed=seed,
        )
    except DataError:  # far from every deposit there may be no ground
        return
    proof = prove_leak_free(table, case.folds)
    assert (proof["gap"] >= case.size).all()
    assert (proof["train"] - proof["train_ore"] <= 3 * proof["train_ore"]).all()
    assert proof["test_ore"].sum() == len(case.windows)
    assert set(table["trains"]) == {EVERY_FOLD, NO_FOLD, *range(1, case.folds.count + 1)}
    for fold in range(case.folds.count):
        own = training(case, table, fold)
        at, ore = (
            np.column_stack(window_centres(own[own["label"] == label], case.grid))
            for label in (0, 1)
        )
        nearest = np.hypot(*(at[:, None] - ore[None]).transpose(2, 0, 1)).min(axis=1)
        assert nearest.min() >= (
            1 if rule in ("random", "unlabelled") else case.size if reach is None else reach
        )


@pytest.mark.parametrize("rule", RULES)
def test_bands_and_deposits_of_the_test_ground_do_not_move_a_training_window(rule):
    case = ore_case()
    before = draw_windows(case.windows, case.folds, case.stack, rule=rule, min_distance=12)
    hidden = case.folds.raster() == 0
    rng = np.random.default_rng(5)
    case.stack.values[:, hidden] = rng.uniform(0.1, 1e4, (4, hidden.sum()))
    case.stack.values[2, hidden] = rng.integers(1, 3, hidden.sum())
    tested = case.folds.of_windows(case.windows) == 0
    moved = case.windows.copy()
    places = np.argwhere(hidden)[rng.choice(hidden.sum(), tested.sum(), replace=False)]
    moved.loc[tested, ["row", "col"]] = places - case.size // 2
    after = draw_windows(moved, case.folds, case.stack, rule=rule, min_distance=12)
    columns = ["row", "col", "label"]
    first, second = (training(case, table, 0)[columns].to_numpy() for table in (before, after))
    assert (first == second).all()
    assert not training(case, before, 1)[columns].equals(training(case, after, 1)[columns])


def test_geology_matches_the_classes_of_the_training_deposits():
    case = ore_case(count=24)
    case.stack.values[2] = 1
    case.stack.values[2, :, 40:] = 2
    rows, cols = window_centres(case.windows, case.grid)
    table = draw_windows(case.windows, case.folds, case.stack, rule="geology", negatives=8)
    for fold in range(case.folds.count):
        known = case.folds.training(case.windows, fold)
        own = training(case, table, fold)
        at = window_centres(own[own["label"] == 0], case.grid)
        share = (case.stack.values[2][at] == 1).mean()
        assert share == pytest.approx(
            (case.stack.values[2][rows[known], cols[known]] == 1).mean(), abs=0.17
        )


def gold(case, rule):
    table = draw_windows(case.windows, case.folds, case.stack, rule=rule, negatives=6)
    own = training(case, table, 0)
    features = window_features(
        case.stack.sel(band=["Au"]), *window_centres(own[own["label"] == 0], case.grid)
    )
    return features.values.mean()


def test_environment_and_unlabelled_keep_away_from_ground_like_the_deposits():
    """Gold is high at deposits: barren windows that are unlike them, or weighted so, have less of
    it.
    """
    case = ore_case(count=24)
    assert gold(case, "environment") < gold(case, "distance")
    assert gold(case, "unlabelled") <= gold(case, "random")


def test_unlabelled_places_like_the_deposits_are_seldom_taken_for_barren():
    """A known mixture: 60 of 1,060 unlabelled places are of the deposits' kind, and most of these
    are unlabelled.
    """
    rng = np.random.default_rng(0)
    hidden, barren, ore = (
        rng.normal(4, 1, (60, 2)),
        rng.normal(0, 1, (1000, 2)),
        rng.normal(4, 1, (30, 2)),
    )
    chance = _barren_chance(np.concatenate([hidden, barren]), ore)
    assert chance[:60].mean() < 0.3
    assert chance[60:].mean() > 0.95


def test_draws_follow_their_seed_and_folds_share_most_windows():
    case = ore_case()
    first, again, other = (
        draw_windows(case.windows, case.folds, case.stack, seed=seed) for seed in (1, 1, 2)
    )
    assert first.equals(again)
    assert not first[["row", "col"]].equals(other[["row", "col"]])


def test_unknown_rules_and_missing_class_bands_are_refused():
    case = ore_case()
    with pytest.raises(UsageError, match='barren windows "near" is unknown'):
        draw_windows(case.windows, case.folds, case.stack, rule="near")
    with pytest.raises(UsageError, match="need a class band"):
        draw_windows(case.windows, case.folds, case.stack.sel(band=["Au", "Cu"]), rule="geology")
    with pytest.raises(DataError, match="no barren ground to learn from"):
        draw_windows(case.windows, case.folds, case.stack, min_distance=90)


def test_nodata_ground_is_never_drawn():
    grid = make_grid(120, 110)
    deposits = points_in(grid, *scattered_cells(make_grid(120, 60), 14, 3))
    valid = np.ones(grid.shape, bool)
    valid[:, 70:] = False
    stack = make_stack(grid)
    stack.values[:, ~valid] = np.nan
    windows = centred_windows(grid, 8, deposits, valid, negatives=0)
    table = draw_windows(windows, spatial_folds(windows, grid, valid, count=2), stack)
    rows, cols = window_centres(table[table["label"] == 0], grid)
    assert valid[rows, cols].all()


@pytest.mark.parametrize("number", [-1, 0, float("nan"), float("inf"), "4", True])
def test_a_number_of_barren_windows_that_makes_none_or_all_is_refused(number):
    case = Case()
    with pytest.raises(UsageError, match="must be above 0"):
        draw_windows(case.windows, case.folds, case.stack, negatives=number)
