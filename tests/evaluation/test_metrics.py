"""Figures of maps and windows: closed forms, brute force, scikit-learn, and what nodata and ties
must not do.
"""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, spearmanr, t
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    recall_score,
    roc_auc_score,
)

from geomfaf.errors import DataError
from geomfaf.evaluation.intervals import (
    _expanded_levels,
    bootstrap_interval,
    degrees_of_freedom,
    mean_interval,
)
from geomfaf.evaluation.metrics import (
    boyce_index,
    map_metrics,
    place_deposits,
    prediction_area,
    rate_curve,
)
from geomfaf.evaluation.window_metrics import window_metrics


def placed(score, rows, cols):
    return place_deposits(score, np.isfinite(score), rows, cols)


def ranked_map(count=1000):
    """One row of cells, the best first."""
    return np.arange(count, dtype=float)[::-1].reshape(1, count)


def scored_map(seed, *, levels=0, nodata=0.3, shape=(7, 9)):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, shape) / levels if levels else rng.random(shape)
    score = np.where(rng.random(shape) < nodata, np.nan, score)
    score[3, 3] = 0.5
    return score


@given(seed=st.integers(0, 9999), levels=st.sampled_from([0, 2, 5]), nodata=st.floats(0, 0.8))
@settings(max_examples=40)
def test_a_placement_equals_counting_cells_one_by_one(seed, levels, nodata):
    score = scored_map(seed, levels=levels, nodata=nodata)
    rows, cols = np.nonzero(np.isfinite(score))
    found = placed(score, rows, cols)
    cells = score[np.isfinite(score)].tolist()
    for number, (row, col) in enumerate(zip(rows, cols, strict=True)):
        assert found.above[number] == sum(cell > score[row, col] for cell in cells) / len(cells)
        assert found.tied[number] == sum(cell == score[row, col] for cell in cells) / len(cells)


@given(data=st.data(), levels=st.integers(1, 4))
@settings(max_examples=30)
def test_a_capture_is_the_mean_over_every_way_to_break_the_ties(data, levels):
    scores = np.array(
        data.draw(st.lists(st.integers(0, levels - 1), min_size=2, max_size=7)), float
    )
    deposits = np.array(
        data.draw(st.lists(st.integers(0, len(scores) - 1), min_size=1, max_size=3))
    )
    taken = data.draw(st.integers(0, len(scores)))
    found = (
        placed(scores[None], np.zeros(len(deposits), int), deposits)
        .captured(taken / len(scores))
        .mean()
    )
    # Every set of that many cells that a ranking by score, ties in any order, could put first.
    ways = [
        chosen
        for chosen in map(set, combinations(range(len(scores)), taken))
        if all(scores[a] >= scores[b] for a in chosen for b in set(range(len(scores))) - chosen)
    ]
    assert found == pytest.approx(
        np.mean([[cell in chosen for cell in deposits] for chosen in ways]), abs=1e-12
    )


def test_half_nodata_changes_no_share():
    """The flaw of a peer: nodata counted as area."""
    score = scored_map(1, nodata=0, shape=(20, 20))
    wide = np.full((20, 40), np.nan)
    wide[:, :20] = score
    rows, cols = np.divmod(np.random.default_rng(0).choice(400, 15, replace=False), 20)
    alone = map_metrics(placed(score, rows, cols))
    assert alone == map_metrics(placed(wide, rows, cols))
    assert alone == map_metrics(place_deposits(wide, np.ones(wide.shape, bool), rows, cols))
    beside = np.concatenate([score, np.full_like(score, 2.0)], axis=1)  # has scores, is not valid
    assert alone == map_metrics(place_deposits(beside, np.isfinite(wide), rows, cols))


@pytest.mark.parametrize("levels", [0, 4])
def test_map_auc_is_scikit_learns_and_the_area_under_the_curve(levels):
    score = scored_map(2, levels=levels, shape=(30, 30))
    rows, cols = np.argwhere(np.isfinite(score))[::37].T
    cells = score[np.isfinite(score)]
    expected = roc_auc_score(
        np.r_[np.ones(len(rows)), np.zeros(len(cells))], np.r_[score[rows, cols], cells]
    )
    found = placed(score, rows, cols)
    area, captured = rate_curve(found)
    figures = map_metrics(found)
    assert figures["map_auc"] == pytest.approx(expected, abs=1e-12)
    assert np.trapezoid(captured, area) == pytest.approx(expected, abs=1e-12)
    assert figures["map_auc_low"] <= expected <= figures["map_auc_high"]


def test_captures_count_the_deposits_on_the_best_ground():
    columns = np.array(
        [0, 9, 49, 50, 99, 150, 201, 900]
    )  # the cell of column k is the last of the best k + 1
    figures = map_metrics(placed(ranked_map(), np.zeros(8, int), columns))
    assert [figures[f"capture_{share}"] * 8 for share in (1, 2, 5, 10, 20)] == pytest.approx(
        [2, 2, 3, 5, 6]
    )
    assert (figures["deposits"], figures["clusters"], figures["cells"]) == (8, 8, 1000)


def test_a_map_of_one_value_has_the_figures_of_no_skill():
    found = placed(np.ones((10, 10)), [0, 3, 9], [1, 1, 4])
    figures = map_metrics(found)
    assert figures["map_auc"] == pytest.approx(0.5)
    assert [figures[f"capture_{share}"] for share in (1, 2, 5, 10, 20)] == pytest.approx(
        [0.01, 0.02, 0.05, 0.1, 0.2]
    )
    assert (figures["pa_area"], figures["nd"]) == pytest.approx((0.5, 1.0))
    assert np.isnan(figures["boyce"])
    assert np.isnan(figures["boyce_low"])


@pytest.mark.parametrize(("cells", "held"), [(100, 1), (1000, 10), (64, 16)])
def test_normalised_density_of_a_perfect_map_is_the_area_over_the_ore_ground(cells, held):
    """Deposits on all of the best k of n cells: captured(x) = n x / k, so x = k / (n + k) and Nd =
    n / k.
    """
    figures = map_metrics(placed(ranked_map(cells), np.zeros(held, int), np.arange(held)))
    assert figures["pa_area"] == pytest.approx(held / (cells + held))
    assert figures["nd"] == pytest.approx(cells / held)


@given(seed=st.integers(0, 9999), levels=st.sampled_from([0, 2, 5]), count=st.integers(1, 20))
@settings(max_examples=40)
def test_the_intersection_lies_on_both_curves_of_the_plot(seed, levels, count):
    score = scored_map(seed, levels=levels)
    rows, cols = np.random.default_rng(seed).choice(np.argwhere(np.isfinite(score)), count).T
    area, captured = rate_curve(placed(score, rows, cols))
    assert (area[0], captured[0], area[-1], captured[-1]) == pytest.approx((0, 0, 1, 1))
    assert (np.diff(captured) >= -1e-12).all()
    meets = float(prediction_area(area, captured))
    assert np.interp(meets, area, captured) == pytest.approx(1 - meets, abs=1e-12)


def brute_boyce(score, rows, cols):
    """Hirzel et al. (2006) in a plain loop, Spearman by scipy."""
    cells = score[np.isfinite(score)]
    width = (cells.max() - cells.min()) / 10
    ratios, middles = [], []
    for step in range(101):
        low = cells.min() + step * (cells.max() - width - cells.min()) / 100
        high = cells.max() if step == 100 else low + width
        expected = np.sum((cells >= low) & (cells <= high))
        if expected > 0:
            own = score[rows, cols]
            ratios.append(np.sum((own >= low) & (own <= high)) / expected)
            middles.append(low + width / 2)
    return spearmanr(ratios, middles).statistic


@pytest.mark.parametrize("seed", range(8))
def test_boyce_index_equals_a_plain_loop(seed):
    score = scored_map(seed, levels=(0, 7)[seed % 2], shape=(25, 25))
    rows, cols = np.argwhere(np.isfinite(score))[seed :: 20 + seed].T
    assert boyce_index(placed(score, rows, cols)) == pytest.approx(
        brute_boyce(score, rows, cols), abs=1e-9
    )


def test_boyce_index_knows_a_good_map_from_one_the_wrong_way_round():
    score = np.linspace(0, 1, 10_000).reshape(100, 100)
    chance = score.ravel() ** 3 / (score**3).sum()
    rows, cols = np.divmod(np.random.default_rng(0).choice(10_000, 2000, p=chance), 100)
    assert boyce_index(placed(score, rows, cols)) > 0.98
    assert boyce_index(placed(1 - score, rows, cols)) < -0.98


def test_deposits_without_a_score_are_refused_by_name():
    score = np.array([[1.0, np.nan, 0.5]])
    with pytest.raises(DataError, match=r"1 of 2 deposits .* row 0, column 1"):
        placed(score, [0, 0], [0, 1])
    with pytest.raises(DataError, match="1 of 1 deposits"):
        place_deposits(score, np.array([[False, True, True]]), [0], [0])
    with pytest.raises(DataError, match="no deposit"):
        placed(score, [], [])


def test_one_cluster_has_no_interval_and_many_have_the_width_of_the_mean():
    values = np.random.default_rng(0).random(40)
    assert mean_interval(values, np.zeros(40), bounds=(0, 1)) == (0, 1)
    assert mean_interval(values, np.zeros(40)) == (-np.inf, np.inf)
    assert np.isnan(bootstrap_interval(lambda drawn: drawn @ values[:, None], np.zeros(40))).all()
    low, high = mean_interval(values, np.arange(40))
    # Each deposit a cluster: the textbook interval of a mean.
    assert (low, high) == pytest.approx(
        t.interval(0.95, 39, values.mean(), values.std(ddof=1) / np.sqrt(40))
    )
    pairs = mean_interval(
        np.repeat(values, 2), np.repeat(np.arange(40), 2)
    )  # twins are no new witnesses
    assert pairs == pytest.approx((low, high), abs=1e-12)


def test_degrees_of_freedom_are_those_of_bell_and_mccaffrey():
    """Their matrices, written out: residuals of a mean, each cluster's times the inverse root of 1
    - H.
    """
    group = np.repeat(np.arange(4), (6, 3, 2, 1))
    one = np.ones((len(group), 1))
    residual = np.eye(len(group)) - one @ one.T / len(group)
    columns = []
    for number in range(4):
        own = group == number
        values, vectors = np.linalg.eigh(residual[np.ix_(own, own)])
        root = vectors @ np.diag(values**-0.5) @ vectors.T
        columns.append(residual[:, own] @ root @ one[own, 0] / len(group))
    matrix = np.array(columns) @ np.array(columns).T
    expected = np.trace(matrix) ** 2 / np.trace(matrix @ matrix)
    assert degrees_of_freedom(group) == pytest.approx(expected)
    assert degrees_of_freedom(np.arange(30)) == pytest.approx(29)
    assert mean_interval(np.ones(12), group) == (1, 1)


@pytest.mark.parametrize(
    "sizes", [(7, 7), (5, 5, 5), (7,) * 5, (20, 6, 3, 2, 2, 1, 1, 1), (30, 4, 4), (3,) * 12]
)
@pytest.mark.parametrize("likeness", [0.0, 0.5])
def test_intervals_of_few_clusters_hold_the_truth_as_often_as_they_say(sizes, likeness):
    """Shares of mean 0.5 that are alike within a cluster; the 95 % interval may miss it in 5 % of
    1,500 cases.
    """
    rng, group = np.random.default_rng(1), np.repeat(np.arange(len(sizes)), sizes)
    missed = 0
    for _ in range(1500):
        own, shared = rng.normal(size=len(group)), rng.normal(size=len(sizes))[group]
        low, high = mean_interval(
            norm.cdf(likeness**0.5 * shared + (1 - likeness) ** 0.5 * own), group
        )
        missed += not low <= 0.5 <= high
    assert missed / 1500 < 0.075


def test_bootstrap_intervals_of_few_clusters_are_wider_and_stay_among_the_draws():
    values = np.array([0.0, 0.1, 0.5, 0.9, 1.0, 0.4])

    def statistic(drawn):
        return (drawn @ values / drawn.sum(axis=1))[:, None]

    low, high = bootstrap_interval(statistic, np.arange(6), draws=20_000)
    drawn = np.random.default_rng(0).choice(values, (20_000, 6)).mean(axis=1)
    # t(5) = 2.571, times sqrt(6 / 5) = 2.816 standard deviations of a normal: 0.243 and 99.757 %.
    assert (low[0], high[0]) == pytest.approx(np.quantile(drawn, [0.00243, 0.99757]), abs=0.02)
    assert 0 < low[0] < np.quantile(drawn, 0.025) - 0.05


def test_intervals_equal_a_plain_bootstrap_of_clusters():
    """The same multinomial counts, each replica built by repeating its deposits."""
    score = scored_map(5, shape=(30, 30))
    rows, cols = np.argwhere(np.isfinite(score))[::40].T
    clusters = np.arange(len(rows)) // 3
    figures = map_metrics(placed(score, rows, cols), clusters=clusters, seed=4)
    rng, count, replicas = np.random.default_rng(4), clusters.max() + 1, []
    for times in rng.multinomial(count, np.full(count, 1 / count), size=2000)[:300]:
        again = np.repeat(np.arange(len(rows)), times[clusters])
        area, captured = rate_curve(placed(score, rows[again], cols[again]))
        at = float(prediction_area(area, captured))
        drawn = placed(score, rows[again], cols[again])
        replicas.append(
            [drawn.auc.mean(), drawn.captured(0.1).mean(), (1 - at) / at, boyce_index(drawn)]
        )
    low, high = np.quantile(replicas, _expanded_levels(clusters), axis=0)
    assert (figures["map_auc_low"], figures["map_auc_high"]) == mean_interval(
        placed(score, rows, cols).auc, clusters, bounds=(0, 1)
    )
    names = ("map_auc", "capture_10", "nd", "boyce")
    # 300 of the 2000 draws: their outer quantiles agree to about a tenth of the width.
    for number, name in enumerate(names):
        width = high[number] - low[number]
        assert figures[f"{name}_low"] == pytest.approx(low[number], abs=0.2 * width)
        assert figures[f"{name}_high"] == pytest.approx(high[number], abs=0.2 * width)


def test_a_bootstrap_in_batches_gives_the_same_bits(monkeypatch):
    values = np.random.default_rng(1).random(30)

    def mean(drawn):
        return (drawn @ values / drawn.sum(axis=1))[:, None]

    whole = bootstrap_interval(mean, np.arange(30))
    monkeypatch.setattr("geomfaf.evaluation.intervals.BATCH", 1000)
    np.testing.assert_allclose(bootstrap_interval(mean, np.arange(30)), whole, rtol=1e-12)


@pytest.mark.parametrize("levels", [0, 5])
@pytest.mark.parametrize("seed", range(3))
def test_window_metrics_are_scikit_learns(seed, levels):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 90)
    scores = (rng.random(90) + 0.3 * labels) / 1.3
    scores = np.round(scores * levels) / levels if levels else scores
    said = scores > 0.5
    found = window_metrics(labels, scores)
    error = found.pop("calibration_error")
    assert found == pytest.approx(
        {
            "windows": 90,
            "ore_windows": labels.sum(),
            "accuracy": accuracy_score(labels, said),
            "auc": roc_auc_score(labels, scores),
            "average_precision": average_precision_score(labels, scores),
            "recall": recall_score(labels, said),
            "f1": f1_score(labels, said),
            "brier": brier_score_loss(labels, scores),
        },
        abs=1e-12,
    )
    if not levels:  # scikit-learn puts a score on the edge of two bins into the lower one
        share, mean = calibration_curve(labels, scores, n_bins=10)
        counts, _ = np.histogram(scores, 10, range=(0, 1))
        assert error == pytest.approx(np.average(np.abs(share - mean), weights=counts[counts > 0]))


def test_weighted_window_figures_are_scikit_learns():
    """A bootstrap draw is a set of weights: the figures of a draw equal scikit-learn's with
    sample_weight.
    """
    from geomfaf.evaluation.window_metrics import _window_figures

    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 60), rng.integers(0, 12, 60) / 12
    weights = rng.integers(0, 4, (5, 60)).astype(float)
    for row, drawn in zip(_window_figures(labels == 1, scores, weights), weights, strict=True):
        expected = [
            accuracy_score(labels, scores > 0.5, sample_weight=drawn),
            roc_auc_score(labels, scores, sample_weight=drawn),
            average_precision_score(labels, scores, sample_weight=drawn),
            recall_score(labels, scores > 0.5, sample_weight=drawn),
            f1_score(labels, scores > 0.5, sample_weight=drawn),
            brier_score_loss(labels, scores, sample_weight=drawn),
        ]
        np.testing.assert_allclose(row[:6], expected, atol=1e-12)


def test_window_intervals_hold_the_figure_and_need_clusters():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    scores = (rng.random(200) + 0.5 * labels) / 1.5
    found = window_metrics(labels, scores, clusters=np.arange(200))
    for name in ("accuracy", "auc", "average_precision", "recall", "f1", "brier"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    assert "auc_low" not in window_metrics(labels, scores)


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.5])
def test_scores_that_are_no_probabilities_are_refused(bad):
    with pytest.raises(DataError, match="window 1 is"):
        window_metrics(np.array([0, 1]), np.array([0.5, bad]))
    with pytest.raises(DataError, match="one score a window"):
        window_metrics(np.array([0, 1]), np.array([0.5]))
