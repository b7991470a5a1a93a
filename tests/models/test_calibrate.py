"""Calibration: it finds what is known to be wrong with scores, and learns it without the fold's
test ground.
"""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from builders import QUICK, Case, ground_to_test, same_weights, small_case, small_model
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from geomfaf.errors import DataError, UsageError
from geomfaf.evaluation.held_out import network_draw
from geomfaf.evaluation.metrics import window_metrics
from geomfaf.models.baselines import NETWORK
from geomfaf.models.fold_models import inner_scores
from geomfaf.models.model_files import load_model, save_model
from geomfaf.models.network.calibrate import (
    KINDS,
    Calibration,
    even_odds,
    fit_calibration,
    fit_isotonic,
    fit_temperature,
    log_loss,
    log_odds,
    scores_inside,
)
from geomfaf.models.network.options import training_options
from geomfaf.models.predict import predict_scores
from geomfaf.windows.folds import Folds

CURVES = KINDS[1:]


def sure_scores(count: int = 20_000, *, temperature: float = 2.5, seed: int = 0) -> tuple:
    """Log odds that are ``temperature`` times too large, and what was found there."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, count)
    labels = (rng.random(count) < expit(true)).astype(int)
    return temperature * true, labels


@cache
def calibrated_model(kind: str):
    return small_case().train(options=replace(QUICK, calibration=kind))


# The curves.


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_a_known_temperature_is_found(temperature):
    logits, labels = sure_scores(temperature=temperature)
    assert fit_temperature(logits, labels, np.ones(len(labels))) == pytest.approx(
        temperature, rel=0.04
    )


def test_temperature_is_the_slope_of_a_logistic_regression_without_intercept():
    logits, labels = sure_scores(500)
    weights = even_odds(labels)
    theirs = LogisticRegression(C=1e12, fit_intercept=False, tol=1e-10, max_iter=1000)
    theirs.fit(logits[:, None], labels, sample_weight=weights * len(labels))
    assert fit_temperature(logits, labels, weights) == pytest.approx(
        1 / theirs.coef_[0, 0], rel=1e-4
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_log_loss_never_rises_on_what_was_fitted(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(4, 60))
    logits, labels = rng.normal(0, 3, count), np.r_[0, 1, rng.integers(0, 2, count - 2)]
    weights = rng.random(count)
    before = log_loss(logits, labels, weights)
    temperature = fit_temperature(logits, labels, weights)
    after = log_loss(logits / temperature, labels, weights)
    assert after <= before
    # It falls as far as it can: no other temperature within the bounds is better.
    others = [log_loss(logits / t, labels, weights) for t in np.geomspace(0.1, 10, 500)]
    assert after <= min(others) + 1e-6


def test_windows_told_apart_without_error_get_a_bounded_temperature():
    logits, labels = np.array([-2.0, -1, 1, 2]), np.array([0, 0, 1, 1])
    assert fit_temperature(logits, labels, np.ones(4)) == pytest.approx(0.1, rel=1e-4)
    assert fit_temperature(-logits, labels, np.ones(4)) == pytest.approx(10, rel=1e-4)


def test_isotonic_is_scikit_learns():
    logits, labels = sure_scores(400)
    scores, weights = expit(logits), even_odds(labels)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(
        scores, labels, sample_weight=weights
    )
    said, found = fit_isotonic(scores, labels, weights)
    new = np.r_[0.0, np.random.default_rng(1).random(1000), 1.0]
    np.testing.assert_allclose(
        Calibration("isotonic", said=said, found=found).apply(new), theirs.predict(new), atol=1e-12
    )


@pytest.mark.parametrize("kind", CURVES)
def test_scores_that_were_too_sure_are_mended_on_new_windows(kind):
    learned, new = sure_scores(2000), sure_scores(2000, seed=1)
    calibration = fit_calibration(kind, expit(learned[0]), learned[1])
    before, after = (
        window_metrics(new[1], scores)
        for scores in (expit(new[0]), calibration.apply(expit(new[0])))
    )
    assert before["calibration_error"] > 0.08
    assert after["calibration_error"] < 0.04
    assert after["brier"] < before["brier"]


def test_a_temperature_keeps_the_order():
    logits, labels = sure_scores(300)
    scores = expit(logits).astype(np.float32)
    calibrated = fit_calibration("temperature", scores, labels).apply(scores)
    assert calibrated.dtype == np.float32
    order = np.argsort(scores)
    assert (np.diff(calibrated[order]) >= 0).all()
    assert window_metrics(labels, calibrated)["auc"] == pytest.approx(
        window_metrics(labels, scores)["auc"], abs=1e-9
    )


def test_ore_and_barren_windows_weigh_the_same():
    """Scores of 0.5 that know nothing stay 0.5, however many barren windows were drawn."""
    labels = np.r_[np.ones(10), np.zeros(90)]
    assert fit_calibration("isotonic", np.full(100, 0.5), labels).apply(
        np.array([0.5])
    ) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_comes_back_from_json_to_the_bit(kind):
    logits, labels = sure_scores(200)
    calibration = fit_calibration(kind, expit(logits), labels)
    assert Calibration.from_json(json.loads(json.dumps(calibration.as_json()))) == calibration
    assert Calibration.from_json(None) == Calibration()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_0_and_1_and_gaps_are_borne(kind):
    scores = np.array([0.0, 1.0, 0.2, 0.9, 1.0, 0.0, 0.4], np.float32)
    calibration = fit_calibration(kind, scores, np.array([0, 1, 0, 1, 0, 1, 1]))
    found = calibration.apply(np.array([0, 1, np.nan], np.float32))
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2])
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(UsageError, match='"tempreature" is unknown: use none or temperature'):
        fit_calibration("tempreature", np.ones(2), np.array([0, 1]))
    with pytest.raises(UsageError, match='calibration = "tempreature"'):
        training_options(calibration="tempreature")
    with pytest.raises(DataError, match="one kind is missing"):
        fit_calibration("temperature", np.ones(2), np.array([1, 1]))
    with pytest.raises(DataError, match="2 scores, 3 labels and 2 weights do not fit together"):
        fit_temperature(np.zeros(2), np.zeros(3), np.ones(2))
    with pytest.raises(DataError, match="finite scores"):
        fit_isotonic(np.array([np.nan, 1]), np.array([0, 1]), np.ones(2))


# Inside the fold.


@pytest.mark.parametrize("fold", [0, 1])
def test_noise_on_test_ground_changes_no_bit_of_weights_and_calibration(fold):
    """THE NOISE TEST, once more: the inner networks and the curve must not know the fold's ground
    either.
    """
    case, options = Case(count=16), replace(QUICK, calibration="isotonic")
    honest = case.train(options=options)
    hidden, rng = ground_to_test(case, fold), np.random.default_rng(99)
    case.stack.values[:, hidden] = rng.uniform(0.1, 1e5, (4, hidden.sum()))
    case.stack.values[2, hidden] = rng.integers(1, 3, hidden.sum())
    tested = case.folds.of_windows(case.windows) == fold
    case.windows.loc[tested, "label"] = 1 - case.windows.loc[tested, "label"]
    blind = case.train(options=options)
    assert same_weights(honest, blind, fold)
    assert honest.members[fold].calibration == blind.members[fold].calibration
    assert honest.members[fold].calibration.kind == "isotonic"
    others = [number for number in range(case.folds.count) if number != fold]
    assert all(honest.members[n].calibration != blind.members[n].calibration for n in others)


def test_inner_networks_see_neither_the_folds_ground_nor_what_they_are_tested_on():
    case = Case(count=14)
    raster, seen = case.folds.raster(), []

    def cells(windows) -> np.ndarray:
        read = np.zeros(case.grid.shape, bool)
        for row, col in windows[["row", "col"]].to_numpy():
            read[max(row, 0) : row + case.size, max(col, 0) : col + case.size] = True
        return read

    def learn(train, test):
        seen.append((cells(train), cells(test)))
        return np.full(len(test), 0.5)

    for fold in range(case.folds.count):
        seen.clear()
        scores, labels = scores_inside(case.windows, case.folds, fold, learn)
        assert len(seen) == case.folds.count - 1
        assert len(scores) == len(labels) > 0
        for learned, judged in seen:
            assert not (learned & judged).any()
            assert not (raster == fold)[learned | judged].any()


def test_windows_drawn_for_one_fold_alone_train_its_inner_networks_only():
    case, seen = Case(count=14), []
    windows = case.windows.assign(trains=np.where(case.windows["label"] == 1, 0, 2))
    scores_inside(
        windows, case.folds, 1, lambda train, test: seen.append(train) or np.full(len(test), 0.5)
    )
    assert all((train["label"] == 0).any() for train in seen)
    with pytest.raises(DataError, match="training ground of fold 1 cannot be split once more"):
        scores_inside(windows, case.folds, 0, lambda train, test: np.full(len(test), 0.5))


def test_two_folds_leave_no_inner_parts_and_that_is_said():
    case = small_case()
    halves = Folds(
        case.grid, case.folds.block, (case.folds.table > 0).astype(int), case.folds.margin
    )
    with pytest.raises(
        DataError, match='use calibration = "none", more folds, or a smaller window'
    ):
        scores_inside(case.windows, halves, 0, lambda train, test: np.full(len(test), 0.5))


def test_the_curve_of_a_fold_is_that_of_its_inner_scores():
    case, model = small_case(), calibrated_model("temperature")
    names = [str(name) for name in case.stack["band"].values]
    options = model.options
    for member in model.members:
        inner = inner_scores(case.stack, case.windows, case.folds, member.fold, names, options=options,
                             seed=member.fold, device="cpu")  # fmt: skip
        assert member.calibration == fit_calibration("temperature", *inner)


# A calibrated model.


@pytest.mark.parametrize("kind", CURVES)
def test_the_networks_are_those_of_a_model_without_calibration(kind):
    assert all(same_weights(small_model(), calibrated_model(kind), fold) for fold in range(3))


def test_every_score_goes_through_the_folds_curve_and_votes_do_not():
    case, plain, model = small_case(), small_model(), calibrated_model("temperature")
    x = (
        np.random.default_rng(0)
        .normal(size=(40, len(plain.members[0].encoder.channels), 8, 8))
        .astype(np.float32)
    )
    for before, after in zip(plain.members, model.members, strict=True):
        branches, curve = before.classifier.predict_branches(x), after.calibration
        score, votes, mean, spread, alone = after.judge(x)
        np.testing.assert_array_equal(alone, branches.mean(axis=0))
        np.testing.assert_allclose(score, curve.apply(branches.mean(axis=0)), atol=1e-6)
        np.testing.assert_allclose(votes, (branches > 0.5).mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(mean, curve.apply(branches).mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(spread, curve.apply(branches).std(axis=0), atol=1e-6)
        assert (np.argsort(score) == np.argsort(before.judge(x)[0])).all()
    drawn, first = network_draw(model, case.stack, case.windows), predict_scores(model, case.stack)
    np.testing.assert_allclose(
        drawn.maps[NETWORK], first.sel(band="heldout_score").values, atol=1e-6
    )
    uncalibrated = predict_scores(plain, case.stack)
    assert (
        np.abs(first.sel(band="heldout_score") - uncalibrated.sel(band="heldout_score")).max()
        > 1e-3
    )
    np.testing.assert_array_equal(first.sel(band="vote_share"), uncalibrated.sel(band="vote_share"))


@pytest.mark.parametrize("kind", CURVES)
def test_a_calibrated_model_survives_its_files(tmp_path, kind):
    model, case = calibrated_model(kind), small_case()
    back = load_model(save_model(model, tmp_path / "model"), device="cpu")
    assert [m.calibration for m in back.members] == [m.calibration for m in model.members]
    assert back.options == model.options
    np.testing.assert_array_equal(
        predict_scores(back, case.stack).values, predict_scores(model, case.stack).values
    )


def test_a_model_file_without_calibration_is_read(tmp_path):
    folder = save_model(small_model(), tmp_path / "model")
    content = json.loads((folder / "model.json").read_text())
    for member in content["members"]:
        del member["calibration"]
    del content["training"]["calibration"], content["training"]["dropout"]
    (folder / "model.json").write_text(json.dumps(content))
    back = load_model(folder, device="cpu")
    np.testing.assert_array_equal(
        predict_scores(back, small_case().stack).values,
        predict_scores(small_model(), small_case().stack).values,
    )
