"""Evaluation: figures against brute force and scikit-learn, plain verdicts, and the leak test."""

from functools import partial

import numpy as np
import pytest
from builders import (
    QUICK,
    Case,
    make_grid,
    make_stack,
    points_in,
    scattered_cells,
    small_case,
    small_model,
    small_scores,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from geomfaf.baselines import BASELINES, ExtraTreesWindow
from geomfaf.errors import DataError
from geomfaf.evaluate import evaluate_model, evaluate_paper_protocol, higher_share, map_metrics, verdict, window_metrics
from geomfaf.folds import Folds, spatial_folds
from geomfaf.model import train_model
from geomfaf.predict import predict_scores
from geomfaf.screen import rank_auc
from geomfaf.windows import centred_windows

ONE_EACH = np.arange(200)


def score_map(shape, seed, *, levels=0, nodata=0.3):
    """A map with ties (``levels`` values) and nodata."""
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, shape) / levels if levels else rng.random(shape)
    return np.where(rng.random(shape) < nodata, np.nan, score).astype(np.float32)


def brute_share(score, valid, row, col):
    cells = [score[r, c] for r, c in np.argwhere(valid) if np.isfinite(score[r, c])]
    return sum(1.0 if cell > score[row, col] else 0.5 if cell == score[row, col] else 0.0 for cell in cells) / len(
        cells
    )


@given(seed=st.integers(0, 9999), levels=st.sampled_from([0, 2, 5]), nodata=st.floats(0, 0.8))
@settings(max_examples=40, deadline=None)
def test_higher_share_equals_brute_force(seed, levels, nodata):
    score = score_map((7, 9), seed, levels=levels, nodata=nodata)
    score[3, 3] = 0.5
    valid = np.random.default_rng(seed).random(score.shape) < 0.8
    rows, cols = np.indices(score.shape).reshape(2, -1)
    found = higher_share(score, valid | (rows * cols == 9).reshape(score.shape), rows, cols)
    valid = valid | (rows * cols == 9).reshape(score.shape)
    expected = [
        brute_share(score, valid, r, c) if np.isfinite(score[r, c]) else np.nan for r, c in zip(rows, cols, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_nodata_around_the_map_changes_no_share():
    score = score_map((20, 20), 1, nodata=0)
    wide = np.full((20, 40), np.nan, np.float32)
    wide[:, :20] = score
    rows, cols = scattered_cells(make_grid(20, 20), 15, 0)
    alone, beside = (higher_share(s, np.isfinite(s), rows, cols) for s in (score, wide))
    assert (alone == beside).all()
    everything_valid = higher_share(wide, np.ones(wide.shape, bool), rows, cols)
    assert (alone == everything_valid).all()


@pytest.mark.parametrize("levels", [0, 4])
def test_map_auc_is_the_auc_of_deposits_against_all_valid_cells(levels):
    score = score_map((30, 30), 2, levels=levels)
    rows, cols = np.argwhere(np.isfinite(score))[::37].T
    cells = score[np.isfinite(score)]
    expected = roc_auc_score(
        np.r_[np.ones(len(rows)), np.zeros(len(cells))], np.r_[score[rows, cols], cells].astype(float)
    )
    figures = map_metrics(higher_share(score, np.isfinite(score), rows, cols), np.arange(len(rows)))
    assert figures["map_auc"] == pytest.approx(expected)
    assert figures["map_auc_low"] <= expected <= figures["map_auc_high"]


def test_captures_count_the_deposits_on_the_best_ground():
    score = np.arange(1000, dtype=float)[::-1].reshape(1, 1000)  # the best cell first
    columns = np.array([0, 49, 51, 99, 150, 201, 900])
    figures = map_metrics(higher_share(score, score >= 0, np.zeros(7, int), columns), np.arange(7))
    assert [figures[f"captured_{share}"] for share in (5, 10, 20)] == [2, 4, 5]
    assert [figures[f"capture_{share}"] for share in (5, 10, 20)] == pytest.approx([2 / 7, 4 / 7, 5 / 7])


def test_the_interval_of_one_cluster_has_no_width_and_of_many_has():
    shares = np.random.default_rng(0).random(40)
    together = map_metrics(shares, np.zeros(40))
    apart = map_metrics(shares, np.arange(40))
    assert together["map_auc_low"] == pytest.approx(together["map_auc_high"])
    half = 1.96 * shares.std() / np.sqrt(40)
    assert apart["map_auc_high"] - apart["map_auc_low"] == pytest.approx(2 * half, rel=0.1)


@pytest.mark.parametrize("levels", [0, 5])
def test_window_metrics_are_scikit_learns(levels):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 90)
    scores = (rng.random(90) + 0.3 * labels) / 1.3
    scores = np.round(scores * levels) / levels if levels else scores
    said = scores > 0.5
    assert window_metrics(labels, scores) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, said),
            "auc": roc_auc_score(labels, scores),
            "recall": recall_score(labels, said),
            "f1": f1_score(labels, said),
        }
    )


def placements(own, rival):
    rng = np.random.default_rng(0)
    return {
        "MFAF": np.clip(own + rng.normal(0, 0.05, 200), 0, 1),
        "extra trees": np.clip(rival + rng.normal(0, 0.05, 200), 0, 1),
    }


@pytest.mark.parametrize(
    ("own", "rival", "against_chance", "against_rival"),
    [
        (0.1, 0.3, "better than chance", "MFAF is ahead of extra trees"),
        (0.3, 0.1, "better than chance", "Extra trees beats MFAF here"),
        (0.2, 0.2, "better than chance", "cannot be told apart"),
        (0.5, 0.5, "do not show that MFAF's map is better than chance", "cannot be told apart"),
        (0.8, 0.2, "worse than chance", "prefer its map"),
    ],
)
def test_the_verdict_says_who_wins(own, rival, against_chance, against_rival):
    lines = verdict(placements(own, rival), ONE_EACH)
    assert len(lines) == 2
    assert against_chance in lines[0]
    assert "200 deposits" in lines[0]
    assert against_rival in lines[1]


def test_the_verdict_warns_of_few_deposits_in_few_places():
    few = {name: shares[:8] for name, shares in placements(0.1, 0.1).items()}
    lines = verdict(few, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert "With 8 held-out deposits" in lines[-2]
    assert "only 2 blocks" in lines[-1]


def small_evaluation(model=None, **options):
    case = small_case()
    scores = small_scores() if model is None else predict_scores(model, case.stack)
    return evaluate_model(model or small_model(), case.stack, case.windows, case.deposits, scores, **options)


def test_the_table_holds_what_can_be_computed_by_hand():
    case, result = small_case(), small_evaluation(baselines=["logistic regression"])
    row = result.table.set_index("model").loc["MFAF"]
    heldout = small_scores().sel(band="heldout_score").values
    truth = np.zeros(case.grid.shape, bool)
    truth[case.cells] = True
    both = np.r_[heldout[truth], heldout.ravel()]
    assert row["map_auc"] == pytest.approx(rank_auc(both, np.arange(len(both)) < truth.sum()))
    assert (row["deposits"], row["windows"], row["ore_windows"]) == (14, len(case.windows), 14)
    out_of_fold = np.full(len(case.windows), np.nan)
    fold_of = case.folds.of_windows(case.windows)
    for member in small_model().members:
        for number in np.flatnonzero(fold_of == member.fold):
            top, left = case.windows.loc[number, ["row", "col"]] + 8
            padded = np.pad(case.stack.values, ((0, 0), (8, 8), (8, 8)), constant_values=np.nan)
            raw = padded[:, top : top + 8, left : left + 8]
            x = member.encoder.transform(raw, [str(b) for b in case.stack["band"].values])
            out_of_fold[number] = member.classifier.predict_proba(x[None])[0, 1]
    assert row["auc"] == pytest.approx(roc_auc_score(case.windows["label"], out_of_fold), abs=1e-6)
    assert result.table["protocol"].tolist() == ["spatial folds"] * 2
    assert result.placements["MFAF"].shape == (14,)


def test_rivals_do_not_depend_on_the_order_in_which_a_fold_names_its_bands():
    names = ["Au", "Cu", "geology", "fault_distance"]
    count = small_case().folds.count
    found = [
        small_evaluation(small_case().train(bands=[order] * count), baselines=["logistic regression"])
        .table.set_index("model")
        .loc["logistic regression"]
        for order in (names, names[::-1])
    ]
    for figure in ("auc", "map_auc"):
        assert found[0][figure] == pytest.approx(found[1][figure], abs=0.01)
    assert found[0]["map_auc"] > 0.7


def test_an_evaluation_repeats_itself_to_the_bit(fewer_trees):
    first, again = (small_evaluation() for _ in range(2))
    assert first.table.equals(again.table)
    assert first.verdict == again.verdict


def test_an_evaluation_on_another_grid_or_with_other_windows_is_refused():
    case, model = small_case(), small_model()
    with pytest.raises(DataError, match="another grid"):
        evaluate_model(model, make_stack(make_grid(83, 97)), case.windows, case.deposits, small_scores())
    with pytest.raises(DataError, match="another grid"):
        evaluate_model(model, case.stack, case.windows, case.deposits, small_scores()[:, :-1])
    wider = centred_windows(case.grid, 12, case.deposits, case.valid)
    with pytest.raises(DataError, match="windows of 12 cells"):
        evaluate_model(model, case.stack, wider, case.deposits, small_scores())


def test_deposits_outside_the_ground_are_not_counted():
    case = small_case()
    with pytest.raises(DataError, match="no deposit lies on valid ground"):
        evaluate_model(
            model := small_model(), case.stack, case.windows, points_in(case.grid, [500], [0]), small_scores()
        )
    assert model.members


def test_the_papers_protocol_is_marked_as_leaking():
    row = evaluate_paper_protocol(small_case().stack, small_case().windows, options=QUICK, device="cpu")
    assert row["protocol"].tolist() == ["paper (leaks)"]
    barren = (small_case().windows["label"] == 0).sum()
    assert (row.loc[0, "windows"], row.loc[0, "ore_windows"]) == (2 * round(0.2 * barren), round(0.2 * barren))
    assert "map_auc" not in row


def random_case(seed):
    """Smooth noise and deposits thrown at random: there is nothing to find."""
    case = Case.__new__(Case)
    case.grid, case.size, case.valid = make_grid(200, 200), 8, np.ones((200, 200), bool)
    case.cells = scattered_cells(case.grid, 40, seed)
    case.deposits, case.stack = points_in(case.grid, *case.cells), make_stack(case.grid, seed)
    case.windows = centred_windows(case.grid, 8, case.deposits, case.valid, seed=seed)
    case.folds = spatial_folds(case.windows, case.grid, case.valid, count=3, seed=seed)
    return case


def map_rows(case):
    model = train_model(case.stack, case.windows, case.folds, options=QUICK, device="cpu")
    scores = predict_scores(model, case.stack, stride=4)
    result = evaluate_model(model, case.stack, case.windows, case.deposits, scores, baselines=["extra trees"], stride=4)
    return result.table.set_index("model")


@pytest.fixture
def fewer_trees(monkeypatch):
    monkeypatch.setitem(BASELINES, "extra trees", partial(ExtraTreesWindow, trees=40))


def test_noise_and_random_deposits_give_no_skill(fewer_trees):
    """THE LEAK TEST: over several seeds the mean is 0.5 and the intervals hold it as often as they should."""
    tables = [map_rows(random_case(seed)) for seed in range(4)]
    for name in ("MFAF", "extra trees"):
        rows = [table.loc[name] for table in tables]
        holding = sum(row["map_auc_low"] <= 0.5 <= row["map_auc_high"] for row in rows)
        assert holding >= 3
        # 40 deposits: one map AUC has a standard error of 0.046, the mean of four 0.023.
        assert np.mean([row["map_auc"] for row in rows]) == pytest.approx(0.5, abs=0.06)


def test_the_leak_test_can_see_a_leak(fewer_trees, monkeypatch):
    """The same with every window in every training: skill out of nothing, and the interval shows it."""
    monkeypatch.setattr(Folds, "training", lambda self, windows, fold: np.ones(len(windows), bool))
    monkeypatch.setattr("geomfaf.model.shared_cells", lambda *_: 0)
    row = map_rows(random_case(0)).loc["extra trees"]
    assert row["map_auc_low"] > 0.6
