"""Logistic regressions solved together are those that scikit-learn solves one by one."""

import numpy as np
import pytest
from builders import small_case
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from geomfaf.models.baselines import fit_logistic_models, make_baseline
from geomfaf.models.logistic import Problem, solve_logistic
from geomfaf.windows.features import window_features


def problem(seed: int, *, spread: float = 1.0) -> Problem:
    """Rows of which the first column tells something; sizes differ from problem to problem."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(0, spread, (rng.integers(5, 60), rng.integers(1, 9)))
    labels = (matrix[:, 0] + rng.normal(size=len(matrix)) > 0.5).astype(int)
    labels[:2] = 0, 1
    return Problem(matrix, labels, rng.uniform(0.2, 3, len(labels)))


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([0.01, 1.0, 30.0]), st.sampled_from([0.01, 1.0]))
def test_each_is_the_one_that_scikit_learn_finds(seed, spread, strength):
    """Different numbers of rows and columns, classes that are nearly and quite apart."""
    problems = [problem(seed + number, spread=spread) for number in range(4)]
    for own, line in zip(problems, solve_logistic(problems, strength=strength), strict=True):
        oracle = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000)
        oracle.fit(own.matrix, own.labels, sample_weight=own.weights)
        np.testing.assert_allclose(
            line.predict_proba(own.matrix), oracle.predict_proba(own.matrix), atol=2e-4
        )
        assert len(line.slopes) == own.matrix.shape[1]


def test_none_is_no_problem_and_a_row_that_weighs_nothing_says_nothing():
    assert solve_logistic([]) == []
    own = problem(3)
    more = Problem(
        np.vstack([own.matrix, 9 + own.matrix[:1]]),
        np.r_[own.labels, 1 - own.labels[:1]],
        np.r_[own.weights, 0.0],
    )
    one, other = solve_logistic([own, more])
    np.testing.assert_allclose(one.slopes, other.slopes, atol=1e-7)
    assert one.level == pytest.approx(other.level, abs=1e-7)


def test_models_fitted_together_say_what_models_fitted_alone_say():
    case = small_case()
    rng = np.random.default_rng(0)
    tables = []
    labels = []
    for count in (20, 50, 35):
        rows = rng.integers(0, case.grid.height, count)
        tables.append(window_features(case.stack, rows, rng.integers(0, case.grid.width, count)))
        labels.append((np.arange(count) % 4 == 0).astype(int))
    flat = tables[0][np.zeros(6, int)]
    together = fit_logistic_models([*tables, flat], [*labels, np.arange(6) % 2])
    assert together[3] is None  # no column varies
    for table, own, model in zip(tables, labels, together, strict=False):
        alone = make_baseline("logistic regression").fit(table, own)
        np.testing.assert_allclose(
            model.predict_proba(tables[1]), alone.predict_proba(tables[1]), atol=1e-3
        )
