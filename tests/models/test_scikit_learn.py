"""scikit-learn's own checks of MFAFClassifier; its classifiers as rivals; our folds as its cv."""

import numpy as np
import pytest
from builders import QUICK, small_case
from scipy.special import logit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import estimator_checks

from geomfaf.errors import DataError, UsageError
from geomfaf.evaluation.baseline_map import predict_baseline
from geomfaf.models.any_classifier import AnyClassifier
from geomfaf.models.baselines import make_baseline, register_baseline
from geomfaf.models.fold_models import window_arrays
from geomfaf.models.network.classifier import MFAFClassifier
from geomfaf.models.network.options import Training
from geomfaf.windows.splitter import FoldSplitter

EXPECTED = {
    "check_methods_sample_order_invariance": (
        "float32: the last bit depends on a window's place in its batch"
    )
}
SMALL = Training(network="plain", flips=False, least_steps=25, batch=16, learning_rate=1e-2)


@pytest.mark.slow
def test_scikit_learns_own_checks_pass():
    """Every check of scikit-learn, on tables: their rows are windows whose cells are all alike."""
    if not hasattr(estimator_checks, "EstimatorCheckFailedWarning"):
        pytest.skip("scikit-learn before 1.6 cannot be told which check is expected to fail")
    results = estimator_checks.check_estimator(
        MFAFClassifier(SMALL, device="cpu"), expected_failed_checks=EXPECTED, on_fail="raise"
    )
    passed = [result["check_name"] for result in results if result["status"] == "passed"]
    assert len(passed) > 40
    assert "check_classifiers_train" in passed


def test_a_classifier_is_cloned_with_its_parameters():
    model = MFAFClassifier(QUICK, seed=3, device="cpu")
    copy = clone(model)
    assert copy.get_params() == {"options": QUICK, "seed": 3, "device": "cpu"}
    assert clone(MFAFClassifier()).options is None
    assert repr(MFAFClassifier(seed=3)) == "MFAFClassifier(seed=3)"


def test_labels_of_any_kind_come_back():
    x, y = window_arrays(small_case().stack, small_case().windows)
    names = np.array(["barren", "ore"])[y]
    model = MFAFClassifier(QUICK, device="cpu").fit(x, names)
    same = MFAFClassifier(QUICK, device="cpu").fit(x, y)
    assert set(model.predict(x)) <= {"barren", "ore"}
    np.testing.assert_array_equal(model.predict_proba(x), same.predict_proba(x))
    with pytest.raises(DataError, match="two classes"):
        model.fit(x, np.arange(len(x)) % 3)
    with pytest.raises(DataError, match="channels of its training"):
        model.predict_proba(x[:, 1:])


def test_our_folds_are_the_cv_of_scikit_learn():
    case = small_case()
    x, y = window_arrays(case.stack, case.windows)
    splitter = FoldSplitter(case.folds, case.windows)
    assert splitter.get_n_splits() == case.folds.count
    scores = cross_val_score(
        MFAFClassifier(QUICK, device="cpu"), x, y, cv=splitter, scoring="roc_auc"
    )
    # The same by hand, fold by fold.
    for fold, score in enumerate(scores):
        train = case.folds.training(case.windows, fold)
        test = case.folds.testing(case.windows, fold)
        model = MFAFClassifier(QUICK, device="cpu").fit(x[train], y[train])
        ore = model.predict_proba(x[test])[:, 1]
        pairs = ore[y[test] == 1][:, None] - ore[y[test] == 0]
        assert score == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-2]}, cv=splitter)
    assert search.fit(x.mean(axis=(2, 3)), y).n_splits_ == case.folds.count


def test_rows_that_are_not_the_windows_are_refused():
    case = small_case()
    with pytest.raises(UsageError, match="3 rows are not the"):
        next(FoldSplitter(case.folds, case.windows).split(np.zeros((3, 2))))


RIVALS = [
    KNeighborsClassifier(5),
    make_pipeline(StandardScaler(), LogisticRegression()),
    GaussianNB(),
]


@pytest.mark.parametrize("classifier", RIVALS, ids=lambda rival: type(rival).__name__)
def test_any_classifier_makes_a_map_that_finds_held_out_deposits(classifier):
    case = small_case()
    scores = predict_baseline(classifier, case.stack, case.windows, case.folds)
    heldout = scores.sel(band="heldout_score").values
    assert np.isfinite(heldout).all()
    # The stack's first element is high around deposits: ranks of held-out ground must say so.
    ranks = heldout.ravel().argsort().argsort().reshape(heldout.shape) / heldout.size
    assert ranks[case.cells].mean() > 0.7
    assert type(classifier).__name__ in str(scores["description"].values[0])


def test_a_registered_classifier_makes_the_same_map_by_its_name(monkeypatch):
    from geomfaf.models import baselines

    monkeypatch.setattr(baselines, "BASELINES", dict(baselines.BASELINES))
    monkeypatch.setattr(baselines, "KNOWN_TO_SETTINGS", [])
    register_baseline("bayes", GaussianNB())
    case = small_case()
    by_name = predict_baseline("bayes", case.stack, case.windows, case.folds)
    itself = predict_baseline(GaussianNB(), case.stack, case.windows, case.folds)
    np.testing.assert_array_equal(by_name.values, itself.values)


def test_a_classifier_without_probabilities_is_told_what_helps():
    with pytest.raises(UsageError, match="CalibratedClassifierCV"):
        register_baseline("support vectors", LinearSVC())


def test_without_weights_odds_are_those_of_as_much_ore_as_barren_ground():
    """Bayes' rule: three barren rows to one of ore, and features that say nothing, give one half."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(400, 2)).astype(np.float32)
    labels = np.arange(400) % 4 == 0
    model = AnyClassifier(make_pipeline(StandardScaler(), LogisticRegression(C=1e-9)))
    model._learn(matrix, labels.astype(int), np.ones(400))
    np.testing.assert_allclose(model._ore(matrix), 0.5, atol=1e-4)
    assert model.shift_ == pytest.approx(logit(0.25))


def test_unset_seeds_become_the_models():
    from sklearn.ensemble import RandomForestClassifier

    forest = make_pipeline(StandardScaler(), RandomForestClassifier(5))
    chosen = AnyClassifier(forest, seed=7)._estimator().get_params()
    assert chosen["randomforestclassifier__random_state"] == 7
    kept = AnyClassifier(RandomForestClassifier(5, random_state=2), seed=7)._estimator()
    assert kept.random_state == 2
    assert make_baseline(forest, seed=4).seed == 4
