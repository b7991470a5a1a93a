"""Simple models: each finds what it is made to find, learns from its training rows alone, and
repeats itself.
"""

import warnings
from functools import partial

import numpy as np
import pytest
from builders import make_grid, make_stack, scattered_cells
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import logistic
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from geomfaf.errors import DataError, UsageError
from geomfaf.models.baselines import (
    BASELINES,
    BestBand,
    DistanceToDeposit,
    ExtraTreesWindow,
    RandomForestWindow,
    WeightsOfEvidenceCentre,
    make_baseline,
    register_baseline,
)
from geomfaf.models.fuzzy_overlay import FuzzyOverlay
from geomfaf.models.table_model import balanced_weights
from geomfaf.windows.features import Column, Features, window_features


def table_of(seed=0, count=200):
    """Noise, a band that is low in ore, a class that is common there, gaps; ore lies in
    the east.
    """
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 4 == 0).astype(int)
    low = rng.normal(0, 1, count) - 1.5 * labels
    host = (rng.random(count) < np.where(labels == 1, 0.8, 0.3)).astype(float)
    values = np.column_stack(
        [rng.normal(0, 1, count), low, host, 1 - host, low + rng.normal(0, 1, count)]
    )
    values[rng.random(count) < 0.1, 1] = np.nan
    columns = (
        Column("noise", "element", "centre"),
        Column("depth", "density", "centre"),
        Column("geology", "class", "centre", 1, "host"),
        Column("geology", "class", "centre", 2, "cover"),
        Column("depth", "density", "mean"),
    )
    x, y = rng.normal(0, 500, (2, count))
    return Features(values.astype(np.float32), columns, x + 3000 * labels, y), labels


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    for name, model in (("extra trees", ExtraTreesWindow), ("random forest", RandomForestWindow)):
        monkeypatch.setitem(BASELINES, name, partial(model, trees=60))


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_learns_and_repeats_itself(name):
    features, labels = table_of()
    unseen, truth = table_of(1)
    first, again = (
        make_baseline(name, seed=3).fit(features, labels).predict_proba(unseen) for _ in range(2)
    )
    assert first.tobytes() == again.tobytes()
    assert first.shape == (200, 2)
    assert (first >= 0).all()
    assert (first <= 1).all()
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)
    assert roc_auc_score(truth, first[:, 1]) > 0.75
    assert make_baseline(name).fit(features, labels).predict_proba(unseen[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", BASELINES)
def test_random_labels_give_no_skill(name):
    """Labels that belong to nothing: over several draws the mean AUC on unseen rows is one half."""
    found = []
    for seed in range(12):
        features, labels = table_of(seed)
        unseen, _ = table_of(100 + seed)
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(labels)
        scores = make_baseline(name).fit(features, drawn).predict_proba(unseen)[:, 1]
        found.append(roc_auc_score(rng.permutation(labels), scores))
    assert np.mean(found) == pytest.approx(
        0.5, abs=0.05
    )  # one AUC of 50 against 150 has a standard error of 0.047


@pytest.mark.parametrize("name", BASELINES)
def test_nothing_is_learned_from_rows_that_are_not_given(name):
    """The prediction for a row depends on that row and the training rows alone, not on the table it
    stands in.
    """
    features, labels = table_of()
    model = make_baseline(name).fit(features, labels)
    noise, _ = table_of(7)
    noise.values[:] = np.random.default_rng(0).normal(0, 1e4, noise.values.shape)
    alone = model.predict_proba(features[:20])
    both = Features(
        np.concatenate([features.values[:20], noise.values]),
        features.columns,
        np.append(features.x[:20], noise.x),
        np.append(features.y[:20], noise.y),
    )
    np.testing.assert_allclose(model.predict_proba(both)[:20], alone, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(BASELINES) - {"distance to deposit"}))
def test_sample_weights_reach_the_model(name):
    """Rows whose label is turned round carry nearly all the weight: the model learns
    the opposite.
    """
    features, labels = table_of(count=400)
    turned = np.random.default_rng(0).random(400) < 0.5
    wrong = np.where(turned, 1 - labels, labels)
    scores = []
    for weights in (np.where(turned, 1e-3, 1.0), np.where(turned, 1.0, 1e-3)):
        scores.append(
            make_baseline(name).fit(features, wrong, weights).predict_proba(features)[:, 1]
        )
    assert roc_auc_score(labels[~turned], scores[0][~turned]) > 0.75
    assert roc_auc_score(labels[turned], scores[1][turned]) < 0.25


def test_weights_of_zero_take_rows_out():
    features, labels = table_of()
    ore = np.flatnonzero(labels == 1)
    weights = np.ones(len(labels))
    weights[ore[1:]] = 0
    model = DistanceToDeposit().fit(features, labels, weights)
    distance = np.hypot(features.x - features.x[ore[0]], features.y - features.y[ore[0]])
    assert (np.argsort(model.predict_proba(features)[:, 1]) == np.argsort(-distance)).all()


def test_the_best_band_is_found_with_its_sign():
    features, labels = table_of()
    model = BestBand().fit(features, labels)
    assert (model.band_.name, model.sign_) == ("depth", -1.0)
    scores = model.predict_proba(features)[:, 1]
    known = np.isfinite(features.values[:, 1])
    assert (np.argsort(scores[known]) == np.argsort(-features.values[known, 1])).all()
    flipped = Features(-features.values, features.columns, features.x, features.y)
    assert BestBand().fit(flipped.select(bands=["depth"]), labels).sign_ == 1.0


def test_a_class_can_be_the_best_band():
    features, labels = table_of()
    features.values[:, 2], features.values[:, 3] = labels, 1 - labels
    model = BestBand().fit(features, labels)
    assert (model.band_.name, model.sign_) == ("geology=host", 1.0)


def test_the_distance_is_that_to_the_nearest_training_deposit():
    features, labels = table_of()
    unseen, _ = table_of(1)
    model = DistanceToDeposit().fit(features, labels)
    ore = np.column_stack([features.x, features.y])[labels == 1]
    distance = np.array(
        [np.hypot(*(ore - place).T).min() for place in np.column_stack([unseen.x, unseen.y])]
    )
    scores = model.predict_proba(unseen)[:, 1]
    assert (np.argsort(scores) == np.argsort(-distance)).all()
    half = np.median([np.hypot(*(ore - place).T).min() for place in
                      np.column_stack([features.x, features.y])[labels == 0]])  # fmt: skip
    np.testing.assert_allclose(scores, 1 / (1 + distance / half))


def test_fuzzy_overlay_with_known_directions_is_the_gamma_operator():
    features, labels = table_of()
    known = {"noise": 1, "depth": -1, "geology": {"host": 0.8, "cover": 0.3}}
    found = (
        FuzzyOverlay(directions=known, gamma=0.7)
        .fit(features, labels)
        .predict_proba(features)[:, 1]
    )
    members = []
    for column, sign in ((0, 1), (1, -1)):
        values = features.values[:, column].astype(float)
        values = np.where(np.isnan(values), np.nanmedian(values), values)
        low, high = np.quantile(values, [0.01, 0.99])
        # 0.01 and 0.99 at the ends: the logistic distribution's own quantile function says how
        # steep.
        steep = 2 * logistic.ppf(0.99) / (high - low)
        members.append(expit(sign * steep * (values - (low + high) / 2)))
    members.append(np.where(features.values[:, 2] == 1, 0.8, 0.3))
    expected = (1 - np.prod(1 - np.array(members), axis=0)) ** 0.7 * np.prod(members, axis=0) ** 0.3
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_fuzzy_overlay_leaves_out_what_says_nothing():
    features, labels = table_of(count=800)
    model = FuzzyOverlay().fit(features, labels)
    assert set(model.memberships_) == {"depth", "geology"}
    _, low, high = model.memberships_["depth"]
    assert low > high  # falling
    host, cover = model.memberships_["geology"][1]
    assert host > 0.6 > 0.4 > cover


def test_a_class_without_rows_and_a_row_without_a_class_are_neutral():
    features, labels = table_of()
    model = FuzzyOverlay(gamma=0.5).fit(features.select(bands=["geology"]), labels)
    nowhere = features.select(bands=["geology"])[:1]
    nowhere.values[:] = np.nan
    assert model.predict_proba(nowhere)[0, 1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("directions", "words"),
    [
        ({"dept": 1}, r'no band "dept"\. Did you mean "depth"'),
        ({"depth": 2}, "is 1 .* or -1, not 2"),
        ({"geology": 1}, "class name -> membership"),
        ({"geology": {"hos": 1.0}}, r'no class "hos"\. Did you mean "host"'),
    ],
)
def test_directions_that_mean_nothing_are_refused(directions, words):
    with pytest.raises(UsageError, match=words):
        FuzzyOverlay(directions=directions).fit(*table_of())
    with pytest.raises(UsageError, match="gamma = 2"):
        FuzzyOverlay(gamma=2)


def test_baselines_are_the_models_they_are_named_after():
    features, labels = table_of()
    trees = make_baseline("extra trees").fit(features, labels)
    assert isinstance(trees.model_, ExtraTreesRegressor)
    assert (ExtraTreesWindow().trees, trees.model_.min_samples_leaf) == (400, 2)
    assert (trees.model_.bootstrap, trees.model_.max_samples) == (True, 0.5)
    assert (
        type(make_baseline("random forest").fit(features, labels).model_) is RandomForestRegressor
    )
    assert isinstance(
        make_baseline("gradient boosting").fit(features, labels).model_,
        HistGradientBoostingClassifier,
    )
    assert isinstance(
        make_baseline("logistic regression").fit(features, labels).model_, LogisticRegression
    )


@pytest.mark.parametrize("share", [0.5, None])
def test_balanced_weights_are_scikit_learns_class_weights(share):
    """Our weights without sample weights give the trees of class_weight="balanced"."""
    features, labels = table_of()
    features.values[:] = np.nan_to_num(features.values)
    half = {} if share is None else {"bootstrap": True, "max_samples": share}
    check_forest(
        ExtraTreesWindow(trees=400, share=share).fit(features, labels),
        ExtraTreesClassifier(
            400, min_samples_leaf=2, class_weight="balanced", random_state=0, **half
        ),
        features,
        labels,
    )


def check_forest(ours, theirs, features, labels):
    """Regression trees on 0 and 1 divide the rows as Gini's classification trees do; deeper down
    rounding decides between splits that are as good.
    """
    theirs.fit(features.values, labels)
    for mine, its in zip(ours.model_.estimators_, theirs.estimators_, strict=True):
        # By their size: of two classes of rock, one column is the other's mirror image.
        divided = []
        for tree in (mine.tree_, its.tree_):
            sides = [tree.children_left[0], tree.children_right[0]]
            divided.append(sorted(tree.weighted_n_node_samples[sides]))
        np.testing.assert_allclose(*divided)
    found = ours.predict_proba(features)[:, 1]
    expected = theirs.predict_proba(features.values)[:, 1]
    assert np.abs(found - expected).mean() < 0.01
    assert np.corrcoef(found, expected)[0, 1] > 0.998


def test_the_random_forest_is_scikit_learns_classifier(monkeypatch):
    features, labels = table_of()
    features.values[:] = np.nan_to_num(features.values)
    theirs = RandomForestClassifier(
        200, min_samples_leaf=2, class_weight="balanced", random_state=0
    )
    check_forest(RandomForestWindow(trees=200).fit(features, labels), theirs, features, labels)


def test_the_ridge_regression_reads_every_statistic_and_is_the_penalised_likelihood():
    """Against the optimum that scipy finds of the penalised likelihood, written out."""
    features, labels = table_of()
    values = np.where(np.isnan(features.values), np.nanmedian(features.values, 0), features.values)
    values[0, 1] = 1e4  # a freak, cut at five standard deviations
    table = Features(values, features.columns, features.x, features.y)
    found = make_baseline("ridge logistic regression").fit(table, labels)
    assert list(found.kept_) == list(range(len(features.columns)))
    scaled = ((values - values.mean(0)) / values.std(0)).clip(-5, 5)
    weights = np.where(labels == 1, 1 / (labels == 1).sum(), 1 / (labels == 0).sum())
    weights *= len(labels) / 2

    def loss(line):
        surprise = np.logaddexp(0, -(2 * labels - 1) * (scaled @ line[1:] + line[0]))
        return (weights * surprise).sum() + (line[1:] ** 2).sum() / (2 * 0.01)

    best = minimize(loss, np.zeros(scaled.shape[1] + 1)).x
    np.testing.assert_allclose(
        found.predict_proba(table)[:, 1], expit(scaled @ best[1:] + best[0]), atol=1e-3
    )


def test_centre_models_read_the_centre_alone():
    features, labels = table_of()
    away = Features(features.values.copy(), features.columns, features.x, features.y)
    away.values[:, 4] += 100
    for name in ("logistic regression", "best band", "fuzzy overlay"):
        model = make_baseline(name).fit(features, labels)
        assert (model.predict_proba(away) == model.predict_proba(features)).all()


def test_warning_filters_are_kept_whatever_the_threads_of_a_forest_leave(monkeypatch):
    """Scikit-learn resets the filters in every thread, and what the last thread puts back may be an
    empty list.
    """
    features, labels = table_of()

    class Careless(ExtraTreesRegressor):
        def fit(self, *args, **more):
            warnings.filters.clear()
            return super().fit(*args, **more)

        def predict(self, *args):
            warnings.filters.clear()
            return super().predict(*args)

    monkeypatch.setattr(ExtraTreesWindow, "_estimator", lambda self: Careless(5))
    before = list(warnings.filters)
    assert before
    model = make_baseline("extra trees").fit(features, labels)
    assert warnings.filters == before
    model.predict_proba(features)
    assert warnings.filters == before


def test_rare_classes_and_constants_are_left_out():
    features, labels = table_of(count=400)
    features.values[:, 2] = 0
    features.values[:3, 2] = 1
    features.values[:, 0] = 5
    model = make_baseline("logistic regression").fit(features, labels)
    assert [features.names[number] for number in model.kept_] == ["depth", "geology=cover"]


def test_what_cannot_be_learned_or_read_is_refused():
    features, labels = table_of()
    with pytest.raises(DataError, match="no training row is ore"):
        make_baseline("best band").fit(features, labels * 0)
    with pytest.raises(DataError, match="as many finite weights"):
        make_baseline("best band").fit(features, labels, np.full(200, -1.0))
    model = make_baseline("extra trees").fit(features, labels)
    with pytest.raises(DataError, match="was trained on"):
        model.predict_proba(features.select(bands=["depth"]))
    features.values[:] = 1
    with pytest.raises(DataError, match="no column of the training rows varies"):
        make_baseline("extra trees").fit(features, labels)


def test_balanced_weights_share_the_ground_in_two():
    weights = balanced_weights(np.array([1, 0, 0, 0, 1]), np.array([1, 1, 2, 1, 3.0]))
    assert weights.tolist() == pytest.approx([0.625, 0.625, 1.25, 0.625, 1.875])


def test_users_register_their_own(monkeypatch):
    monkeypatch.setattr("geomfaf.models.baselines.BASELINES", dict(BASELINES))
    monkeypatch.setattr("geomfaf.models.baselines.KNOWN_TO_SETTINGS", [])
    register_baseline("mine", partial(FuzzyOverlay, gamma=0.5))
    assert make_baseline("mine", seed=1).gamma == 0.5
    with pytest.raises(UsageError, match="already"):
        register_baseline("mine", FuzzyOverlay)
    with pytest.raises(UsageError, match="must take seed="):
        register_baseline("other", lambda: FuzzyOverlay())
    with pytest.raises(UsageError, match=r"no fit\(\)"):
        register_baseline("other", lambda seed: object())
    with pytest.raises(UsageError, match=r'no baseline "extra tree"\. Did you mean "extra trees"'):
        make_baseline("extra tree")


def test_on_a_stack_the_baselines_find_the_halo():
    grid = make_grid(60, 60)
    ore = scattered_cells(grid, 30, 0)
    barren = scattered_cells(grid, 120, 1)
    rows, cols = (np.append(one, other) for one, other in zip(ore, barren, strict=True))
    labels = np.append(np.ones(30), np.zeros(120)).astype(int)
    features = window_features(make_stack(grid, 0, ore=ore), rows, cols, 8)
    train = np.arange(150) % 2 == 0
    for name in set(BASELINES) - {"distance to deposit"}:
        model = make_baseline(name).fit(features[train], labels[train])
        assert roc_auc_score(labels[~train], model.predict_proba(features[~train])[:, 1]) > 0.75


def test_weights_of_evidence_are_those_of_the_module():
    """One band, known counts: P(ore) at even odds is the share of ore rows over ore and barren
    shares in the class.
    """
    labels = np.repeat([1, 0], [20, 100])
    host = np.concatenate([np.ones(15), np.zeros(5), np.ones(30), np.zeros(70)])
    columns = tuple(
        Column("geology", "class", "centre", number + 1, name)
        for number, name in enumerate(("a", "b"))
    )
    values = np.column_stack([host, 1 - host]).astype(np.float32)
    features = Features(values, columns, np.zeros(120), np.zeros(120))
    model = WeightsOfEvidenceCentre().fit(features, labels)
    (pattern,) = model.patterns_
    assert (pattern.words, pattern.points, pattern.area) == ("1", 15, 45)
    found = model.predict_proba(features)[:, 1]
    assert found[0] == pytest.approx(0.75 / (0.75 + 0.30))
    assert found[-1] == pytest.approx(0.25 / (0.25 + 0.70))
    values[:1] = np.nan
    assert model.predict_proba(features)[0, 1] == 0.5


def test_weights_of_evidence_cut_a_band_from_either_side():
    features, labels = table_of()
    model = WeightsOfEvidenceCentre().fit(features, labels)
    by_band = {pattern.band: pattern for pattern in model.patterns_}
    assert by_band["depth"].method == "ascending"
    assert (
        by_band["depth"].studentised > 2 * by_band["noise"].studentised
    )  # the best of 200 cuts of noise passes 2
    with pytest.raises(DataError, match="was trained on"):
        model.predict_proba(features.select(bands=["depth"]))
