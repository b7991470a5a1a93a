"""The simple models that judge together with a network: joined, kept, restored, and blind to test
ground.
"""

from dataclasses import replace

import numpy as np
import pytest
from builders import QUICK, Case, small_case
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from geomfaf.errors import DataError, ModelMismatchError, UsageError
from geomfaf.evaluation.held_out import network_draw
from geomfaf.models.baselines import ENSEMBLE, NETWORK
from geomfaf.models.ensemble import SUREST, fit_simple_models, join, restore_simple_models
from geomfaf.models.fold_models import train_model, window_rows
from geomfaf.models.model_files import SIMPLE_MODELS_FILE, load_model, save_model
from geomfaf.models.network.options import Training, training_options
from geomfaf.models.predict import predict_scores
from geomfaf.windows.features import Features

NAMES = ("logistic regression", "fuzzy overlay")
JOINED = replace(QUICK, ensemble=NAMES)


@pytest.fixture(scope="module")
def model():
    return small_case().train(options=JOINED)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_joining_is_the_mean_of_log_odds(scores):
    """Against the formula, written out for one place; certainty is cut at SUREST."""
    first, *rest = (min(max(score, SUREST), 1 - SUREST) for score in scores)
    odds = np.array([[logit(score)] for score in rest]).reshape(len(rest), 1)
    expected = expit(sum(logit(score) for score in (first, *rest)) / len(scores))
    assert join(np.array([scores[0]]), odds)[0] == pytest.approx(expected, abs=1e-9)


def test_equal_words_stay_and_the_order_of_models_does_not_matter():
    odds = np.log([[3.0, 0.5], [3.0, 0.25]])
    np.testing.assert_allclose(
        join(np.array([0.75, 0.2]), odds), join(np.array([0.75, 0.2]), odds[::-1])
    )
    assert join(np.array([0.75]), np.log([[3.0], [3.0]]))[0] == pytest.approx(0.75)


def test_the_score_is_the_network_s_joined_with_each_simple_model(model):
    case, member = small_case(), model.fold_models[0]
    test = case.windows[model.folds.testing(case.windows, 0)]
    found = member.judge_windows(case.stack, test)
    rows = window_rows(case.stack, test, member.simple.rows.bands)
    words = [
        logit(simple.predict_proba(rows)[:, 1].clip(SUREST, 1 - SUREST))
        for simple in member.simple.models
    ]
    np.testing.assert_allclose(
        found.score, expit((logit(found.network) + sum(words)) / 3), atol=1e-5
    )
    alone = small_case().train(options=QUICK).fold_models[0].judge_windows(case.stack, test)
    np.testing.assert_allclose(
        found.network, alone.score, atol=1e-6
    )  # the simple models change nothing in the network
    np.testing.assert_array_equal(found.votes, alone.votes)  # votes are the network's


def test_the_map_agrees_with_its_windows(model):
    """At a lattice centre on a fold's own ground the held-out map is what the fold model says of
    that window.
    """
    case = small_case()
    scores = predict_scores(model, case.stack, stride=2)
    draw = network_draw(model, case.stack, case.windows, stride=2)
    np.testing.assert_allclose(
        draw.maps[ENSEMBLE], scores.sel(band="heldout_score").values, atol=1e-6
    )
    half, raster = case.size // 2, model.folds.raster()
    at = case.windows[
        (case.windows["row"] % 2 == 0) & (case.windows["col"] % 2 == 0)
    ]  # centres on the lattice
    assert len(at) > 3
    for number in at.index:
        row, col = int(at["row"][number]) + half, int(at["col"][number]) + half
        found = model.fold_models[raster[row, col]].judge_windows(case.stack, at.loc[[number]])
        assert draw.maps[ENSEMBLE][row, col] == pytest.approx(float(found.score[0]), abs=1e-5)
        assert draw.maps[NETWORK][row, col] == pytest.approx(float(found.network[0]), abs=1e-5)


def test_a_saved_model_with_simple_models_scores_the_same(model, tmp_path):
    save_model(model, tmp_path)
    again = load_model(tmp_path, device="cpu")
    stack = small_case().stack
    np.testing.assert_array_equal(
        predict_scores(again, stack).values, predict_scores(model, stack).values
    )
    assert again.options.ensemble == NAMES


def test_changed_or_missing_rows_are_refused(model, tmp_path):
    save_model(model, tmp_path)
    kept = (tmp_path / SIMPLE_MODELS_FILE).read_bytes()
    (tmp_path / SIMPLE_MODELS_FILE).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(ModelMismatchError, match=r"not the file that model\.json describes"):
        load_model(tmp_path)
    (tmp_path / SIMPLE_MODELS_FILE).unlink()
    with pytest.raises(ModelMismatchError, match="is missing"):
        load_model(tmp_path)


def test_simple_models_that_learn_something_else_today_are_refused(model):
    """As another version of a library might: their words on their own rows are kept
    and compared.
    """
    simple = model.fold_models[0].simple
    arrays = simple.as_arrays()
    content = simple.as_json()
    np.testing.assert_array_equal(
        restore_simple_models(content, arrays).log_odds(simple.rows), arrays["said"]
    )
    with pytest.raises(ModelMismatchError, match=r"differ from what they were by up to 0\.5"):
        restore_simple_models(content, {**arrays, "said": arrays["said"] + 0.5})


def test_noise_on_test_ground_changes_no_simple_model():
    """Bands and deposits of a fold's ground are replaced: its simple models say the same of any place,
    to the bit.
    """
    case = Case()
    before = case.train(options=JOINED)
    rng, raster = np.random.default_rng(0), case.folds.raster()
    stack = case.stack.copy(deep=True)
    ground = raster == 1
    stack.values[:, ground] = stack.values[
        :, rng.permutation(np.flatnonzero(ground.ravel())) // 83, 0
    ]
    windows = case.windows.copy()
    own = case.folds.of_windows(windows) == 1
    windows.loc[own, "label"] = 1 - windows.loc[own, "label"]
    after = train_model(stack, windows, case.folds, options=JOINED, device="cpu")
    rows = window_rows(case.stack, case.windows, before.fold_models[1].simple.rows.bands)
    same = [m.fold_models[1].simple.log_odds(rows) for m in (before, after)]
    np.testing.assert_array_equal(*same)
    other = [m.fold_models[0].simple.log_odds(rows) for m in (before, after)]
    assert not np.array_equal(*other)  # the test could fail


def test_simple_models_need_the_windows_features(model):
    case = small_case()
    x = np.zeros((1, len(model.fold_models[0].encoder.channels), case.size, case.size), np.float32)
    with pytest.raises(DataError, match=r"their log odds are needed"):
        model.fold_models[0].judge(x)


def test_simple_models_are_fitted_with_the_seed_and_rows_they_are_given():
    rng = np.random.default_rng(0)
    rows = window_rows(small_case().stack, small_case().windows, ["Au", "Cu"])
    labels = (rng.random(len(rows)) < 0.5).astype(int)
    first, second = (fit_simple_models(("extra trees",), rows, labels, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.log_odds(rows), second.log_odds(rows))
    assert isinstance(first.rows, Features)
    assert first.log_odds(rows).shape == (1, len(rows))


def test_an_unknown_simple_model_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r'"extra tree" is unknown.*Did you mean "extra trees"'):
        Training(ensemble=("extra tree",))
    assert training_options().ensemble == ("extra trees", "ridge logistic regression")
    assert training_options("mfaf").ensemble == ()
    assert training_options(ensemble=["best band"]).ensemble == ("best band",)


@pytest.mark.parametrize(
    "wanted",
    [
        {"preset": "tree-initialised"},
        {"partners": ["extra trees"]},
        {"joining": "mean"},
        {"dropout": 0.2},
        {"calibration": "temperature"},
    ],
)
def test_a_choice_that_is_gone_is_refused_by_name_with_the_reason(wanted):
    (name,) = wanted
    with pytest.raises(UsageError, match=f"^{name}.* is gone: .*[.]$"):
        training_options(**wanted)
