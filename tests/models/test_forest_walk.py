"""Forests walked by compiled code say what scikit-learn's own say, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from geomfaf.models.forest_walk import flat_forest

KINDS = (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor)


@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(2, 60),
    judged=st.integers(0, 200),
    columns=st.integers(1, 9),
    whole=st.booleans(),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_the_shares_are_those_of_scikit_learn_tree_by_tree(
    kind, rows, judged, columns, whole, seed
):
    rng = np.random.default_rng(seed)
    # Whole numbers lie on thresholds now and then; one row of each class at least.
    x = rng.integers(0, 4, (rows, columns)) if whole else rng.normal(size=(rows, columns))
    labels = rng.integers(0, 2, rows)
    labels[:2] = 0, 1
    weights = rng.uniform(0.1, 5, rows)
    forest = kind(15, n_jobs=1, bootstrap=False, random_state=seed)
    forest.fit(x.astype(np.float32), labels, sample_weight=weights)
    given_rows = rng.normal(1.5, 2, (judged, columns)).astype(np.float32)
    given_rows = np.round(given_rows) if whole else given_rows
    found = flat_forest(forest).ore_share(given_rows)
    expected = np.empty(0)
    if judged and hasattr(forest, "predict_proba"):
        expected = forest.predict_proba(given_rows)[:, 1]
    elif judged:
        expected = forest.predict(given_rows)
    np.testing.assert_array_equal(found, expected)


def test_a_row_has_the_same_bits_whatever_rows_lie_beside_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 12)).astype(np.float32)
    forest = RandomForestClassifier(50, random_state=0).fit(x[:100], x[:100, 0] > 0)
    flat = flat_forest(forest)
    together = flat.ore_share(x)
    for part in (slice(7, 8), slice(0, 65), slice(130, 290)):
        np.testing.assert_array_equal(flat.ore_share(x[part]), together[part])


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_a_value_beside_a_threshold_goes_its_own_way(step):
    """Thresholds are float64: the float32 values next to one lie on their sides of it."""
    x = np.array([[0.1], [0.3]], np.float32)
    forest = RandomForestClassifier(1, bootstrap=False, random_state=0).fit(x, [0, 1])
    threshold = forest.estimators_[0].tree_.threshold[0]
    value = np.float32(threshold)
    for _ in range(abs(step)):
        value = np.nextafter(value, np.float32(step * np.inf))
    found = flat_forest(forest).ore_share(np.array([[value]]))
    assert found[0] == float(np.float64(value) > threshold)
