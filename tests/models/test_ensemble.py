"""The simple models that judge together with a network: joined, kept, restored, and blind to test
ground.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import QUICK, Case, small_case
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from geomfaf.errors import DataError, ModelMismatchError, UsageError
from geomfaf.evaluation.held_out import network_draw
from geomfaf.models.baselines import ALONE, NETWORK
from geomfaf.models.ensemble import SUREST, fit_partners, join, restore_partners
from geomfaf.models.fold_models import inner_odds, train_model, window_rows
from geomfaf.models.model_files import PARTNERS_FILE, load_model, save_model
from geomfaf.models.network.classifier import MFAFClassifier
from geomfaf.models.network.options import Training, training_options
from geomfaf.models.predict import predict_scores
from geomfaf.windows.features import Features

NAMES = ("logistic regression", "fuzzy overlay")
JOINED = replace(QUICK, partners=NAMES)


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


def test_the_score_is_the_network_s_joined_with_each_partner(model):
    case, member = small_case(), model.members[0]
    test = case.windows[model.folds.testing(case.windows, 0)]
    found = member.judge_windows(case.stack, test)
    rows = window_rows(case.stack, test, member.partners.rows.bands)
    words = [
        logit(partner.predict_proba(rows)[:, 1].clip(SUREST, 1 - SUREST))
        for partner in member.partners.models
    ]
    np.testing.assert_allclose(found[0], expit((logit(found[4]) + sum(words)) / 3), atol=1e-5)
    alone = small_case().train(options=QUICK).members[0].judge_windows(case.stack, test)
    np.testing.assert_allclose(
        found[4], alone[0], atol=1e-6
    )  # partners change nothing in the network
    np.testing.assert_array_equal(found[1], alone[1])  # votes are the network's


def test_the_map_agrees_with_its_windows(model):
    """At a lattice centre on a fold's own ground the held-out map is what the fold model says of
    that window.
    """
    case = small_case()
    scores = predict_scores(model, case.stack, stride=2)
    draw = network_draw(model, case.stack, case.windows, stride=2)
    np.testing.assert_allclose(
        draw.maps[NETWORK], scores.sel(band="heldout_score").values, atol=1e-6
    )
    half, raster = case.size // 2, model.folds.raster()
    at = case.windows[
        (case.windows["row"] % 2 == 0) & (case.windows["col"] % 2 == 0)
    ]  # centres on the lattice
    assert len(at) > 3
    for number in at.index:
        row, col = int(at["row"][number]) + half, int(at["col"][number]) + half
        found = model.members[raster[row, col]].judge_windows(case.stack, at.loc[[number]])
        assert draw.maps[NETWORK][row, col] == pytest.approx(float(found[0, 0]), abs=1e-5)
        assert draw.maps[ALONE][row, col] == pytest.approx(float(found[4, 0]), abs=1e-5)


def test_a_saved_model_with_partners_scores_the_same(model, tmp_path):
    save_model(model, tmp_path)
    again = load_model(tmp_path, device="cpu")
    stack = small_case().stack
    np.testing.assert_array_equal(
        predict_scores(again, stack).values, predict_scores(model, stack).values
    )
    assert again.options.partners == NAMES


def test_changed_or_missing_rows_are_refused(model, tmp_path):
    save_model(model, tmp_path)
    kept = (tmp_path / PARTNERS_FILE).read_bytes()
    (tmp_path / PARTNERS_FILE).write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(ModelMismatchError, match=r"not the file that model\.json describes"):
        load_model(tmp_path)
    (tmp_path / PARTNERS_FILE).unlink()
    with pytest.raises(ModelMismatchError, match="is missing"):
        load_model(tmp_path)


def test_partners_that_learn_something_else_today_are_refused(model):
    """As another version of a library might: their words on their own rows are kept
    and compared.
    """
    partners = model.members[0].partners
    arrays = partners.as_arrays()
    content = partners.as_json()
    np.testing.assert_array_equal(
        restore_partners(content, arrays).log_odds(partners.rows), arrays["said"]
    )
    with pytest.raises(ModelMismatchError, match=r"differ from what they were by up to 0\.5"):
        restore_partners(content, {**arrays, "said": arrays["said"] + 0.5})


def test_noise_on_test_ground_changes_no_partner():
    """Bands and deposits of a fold's ground are replaced: its partners say the same of any place,
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
    rows = window_rows(case.stack, case.windows, before.members[1].partners.rows.bands)
    same = [m.members[1].partners.log_odds(rows) for m in (before, after)]
    np.testing.assert_array_equal(*same)
    other = [m.members[0].partners.log_odds(rows) for m in (before, after)]
    assert not np.array_equal(*other)  # the test could fail


def test_partners_need_the_windows_features(model):
    case = small_case()
    x = np.zeros((1, len(model.members[0].encoder.channels), case.size, case.size), np.float32)
    with pytest.raises(DataError, match=r"their log odds are needed"):
        model.members[0].judge(x)


def test_partners_are_fitted_with_the_seed_and_rows_they_are_given():
    rng = np.random.default_rng(0)
    rows = window_rows(small_case().stack, small_case().windows, ["Au", "Cu"])
    labels = (rng.random(len(rows)) < 0.5).astype(int)
    first, second = (fit_partners(("extra trees",), rows, labels, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.log_odds(rows), second.log_odds(rows))
    assert isinstance(first.rows, Features)
    assert first.log_odds(rows).shape == (1, len(rows))


def test_an_unknown_partner_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r'no baseline "extra tree".*extra trees'):
        Training(partners=("extra tree",))
    assert training_options().partners == ("extra trees", "fuzzy overlay")
    assert training_options("mfaf").partners == ()
    assert training_options(partners=["best band"]).partners == ("best band",)


CORRECTING = replace(QUICK, partners=("logistic regression",), joining="correction")


def test_a_correction_begins_by_saying_what_the_partners_say():
    """Before its first step, the zero classifier adds nothing: P(ore) is the prior's, in every
    branch.
    """
    x, prior = (
        np.random.default_rng(0).normal(size=(12, 3, 8, 8)).astype(np.float32),
        np.linspace(-2, 2, 12),
    )
    still = replace(CORRECTING, learning_rate=1e-12, weight_decay=0.0)
    classifier = MFAFClassifier(still, device="cpu").fit(x, np.arange(12) % 2, prior=prior)
    branches = classifier.predict_branches(x, prior=prior.astype(np.float32))
    np.testing.assert_allclose(branches, np.broadcast_to(expit(prior), branches.shape), atol=1e-6)


def test_inner_odds_are_those_of_partners_that_saw_neither_the_window_nor_its_neighbours():
    """Against partners fitted by hand for each inner part."""
    case = small_case()
    own = case.windows[case.folds.training(case.windows, 0)]
    found = inner_odds(case.stack, own, case.folds, ["Au", "Cu"], ("logistic regression",), 0)
    fold_of, seen = case.folds.of_windows(own), 0
    for part in (1, 2):
        train, test = case.folds.training(own, part), fold_of == part
        if not test.any() or own["label"][train].sum() < 2:
            continue
        rows = [window_rows(case.stack, own[chosen], ["Au", "Cu"]) for chosen in (train, test)]
        by_hand = fit_partners(("logistic regression",), rows[0], own["label"].to_numpy()[train])
        np.testing.assert_allclose(found[test], by_hand.log_odds(rows[1])[0])
        seen += int(test.sum())
    assert seen > 5


def test_noise_on_test_ground_changes_no_bit_of_a_correction():
    case = Case()
    before = case.train(options=CORRECTING)
    stack, ground = case.stack.copy(deep=True), case.folds.raster() == 1
    rng = np.random.default_rng(1)
    for band in range(2):
        stack.values[band][ground] = 10 ** rng.normal(size=int(ground.sum()))
    windows = case.windows.copy()
    own = case.folds.of_windows(windows) == 1
    windows.loc[own, "label"] = 1 - windows.loc[own, "label"]
    after = train_model(stack, windows, case.folds, options=CORRECTING, device="cpu")
    one, other = (m.members[1].classifier.net_.state_dict() for m in (before, after))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_saved_correction_scores_the_same_and_has_no_network_alone(tmp_path):
    model = small_case().train(options=CORRECTING)
    save_model(model, tmp_path)
    stack = small_case().stack
    scores = predict_scores(model, stack)
    np.testing.assert_array_equal(
        predict_scores(load_model(tmp_path, device="cpu"), stack).values, scores.values
    )
    assert list(network_draw(model, stack, small_case().windows).maps) == [NETWORK]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"partners": ()}, "needs partners to correct"),
        ({"balance": "smote"}, 'cannot be had with balance = "smote"'),
        ({"calibration": "isotonic"}, 'cannot be had with calibration = "isotonic"'),
        ({"joining": "sum"}, 'joining = "sum" is unknown'),
    ],
)
def test_a_correction_that_cannot_be_had_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        replace(CORRECTING, **changes)


def test_the_tree_initialised_preset_corrects_extra_trees():
    chosen = training_options("tree-initialised")
    assert (chosen.partners, chosen.joining) == (("extra trees",), "correction")
