"""Evaluation: figures against brute force and scikit-learn, plain verdicts, and the leak test."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
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
from scipy.stats import binom, t
from sklearn.metrics import roc_auc_score

from geomfaf.errors import DataError, GeomfafError
from geomfaf.evaluation.evaluate import evaluate_baselines, evaluate_model, evaluate_paper_protocol
from geomfaf.evaluation.held_out import Draw
from geomfaf.evaluation.null_tests import NullTest
from geomfaf.evaluation.verdict import (
    null_line,
    optimism_lines,
    recommended,
    verdict,
    with_null_tests,
)
from geomfaf.models.baselines import BASELINES, ExtraTreesWindow, RandomForestWindow
from geomfaf.models.fold_models import train_model
from geomfaf.models.predict import predict_scores
from geomfaf.rasters.bands import as_dataarray, bands_of
from geomfaf.windows.folds import Folds, spatial_folds
from geomfaf.windows.negatives import draw_windows
from geomfaf.windows.screen import rank_auc
from geomfaf.windows.windows import centred_windows

ONE_EACH = np.arange(200)


def outranked(own, rival, count=200):
    """Shares of the ground that each deposit outranks, by two models; ``own`` and ``rival`` are
    shares above.
    """
    rng = np.random.default_rng(0)
    return {
        "MFAF": np.clip(1 - own + rng.normal(0, 0.05, count), 0, 1),
        "extra trees": np.clip(1 - rival + rng.normal(0, 0.05, count), 0, 1),
    }


@pytest.mark.parametrize(
    ("own", "rival", "against_chance", "against_rival", "best"),
    [
        (0.1, 0.3, "better than chance", "MFAF is ahead of extra trees", "MFAF"),
        (0.3, 0.1, "better than chance", "MFAF is beaten here by extra trees", "extra trees"),
        (0.2, 0.2, "better than chance", "MFAF cannot be told apart from extra trees", "MFAF"),
        (
            0.5,
            0.5,
            "do not show that the map of MFAF is better than chance",
            "cannot be told apart",
            "MFAF",
        ),
        (0.8, 0.2, "worse than chance", "beaten here by", "extra trees"),
        (
            0.8,
            0.6,
            "worse than chance",
            "beaten here by",
            "MFAF",
        ),  # better than the network, and no good itself
    ],
)
def test_the_verdict_says_who_wins(own, rival, against_chance, against_rival, best):
    found = outranked(own, rival)
    lines = verdict(found, ONE_EACH)
    assert len(lines) == 3
    assert against_chance in lines[0]
    assert "200 deposits" in lines[0]
    assert against_rival in lines[1]
    assert recommended(found, ONE_EACH) == best
    if own < 0.5 or best != "MFAF":
        assert lines[2].startswith(f"Recommended for this area: {best}")
    else:
        assert lines[2].startswith("No map can be recommended on these data")
        assert f"that of {best}" in lines[2]


def test_a_simple_model_that_beats_chance_is_named_where_the_network_does_not():
    count = len(ONE_EACH)
    found = {
        "MFAF": np.where(np.arange(count) % 2, 0.98, 0.06),
        "extra trees": np.full(count, 0.58),
    }
    lines = verdict(found, ONE_EACH)
    assert recommended(found, ONE_EACH) == "MFAF"
    assert lines[2].startswith("The map of MFAF cannot be recommended on these data.")
    assert f'"extra trees" {found["extra trees"].mean():.3f}' in lines[2]


def test_a_map_of_what_is_known_is_never_recommended_and_is_told():
    found = {
        "MFAF": outranked(0.3, 0.1)["MFAF"],
        "distance to deposit": outranked(0.3, 0.1)["extra trees"],
    }
    assert recommended(found, ONE_EACH) == "MFAF"
    assert any(
        "distance to the nearest known deposit alone" in line for line in verdict(found, ONE_EACH)
    )


def test_the_verdict_warns_of_few_deposits_in_few_places():
    few = {name: shares[:8] for name, shares in outranked(0.1, 0.1).items()}
    lines = verdict(few, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert "With 8 held-out deposits no share" in lines[-2]
    assert "only 2 clusters" in lines[-1]


def test_the_null_test_and_the_optimism_meter_are_told_in_words():
    moved = np.linspace(0.4, 0.6, 99)
    assert "do follow the evidence" in null_line(NullTest(0.7, moved, "torus", "extra trees"))
    line = null_line(NullTest(0.5, moved, "redraw", "extra trees"))
    assert "cannot be excluded" in line
    assert "redrawn at random 99 times 0.500 on average, p = 0.510" in line
    passed = null_line(NullTest(0.7, moved, "torus", "MFAF"))
    tests = [NullTest(0.7, moved, "torus", "MFAF"), NullTest(0.5, moved, "redraw", "extra trees")]
    assert with_null_tests(["better than chance", "more"], tests) == [
        "better than chance",
        line,
        "more",
        passed,
    ]
    meter = pd.DataFrame(
        [{"model": "extra trees", "random_auc": 0.9, "spatial_auc": 0.7, "optimism": 0.2}]
    )
    assert "+0.200 (extra trees" in optimism_lines(meter)[0]


def drawn(case):
    """The one draw of windows that trained the model."""
    return [Draw(case.windows, 0)]


def small_evaluation(model=None, **options):
    case = small_case()
    scores = small_scores() if model is None else predict_scores(model, case.stack)
    return evaluate_model(
        model or small_model(), case.stack, drawn(case), case.deposits, scores, **options
    )


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
    for member in small_model().fold_models:
        for number in np.flatnonzero(fold_of == member.fold):
            top, left = case.windows.loc[number, ["row", "col"]] + 8
            padded = np.pad(case.stack.values, ((0, 0), (8, 8), (8, 8)), constant_values=np.nan)
            raw = padded[:, top : top + 8, left : left + 8]
            x = member.encoder.transform(raw, [str(b) for b in case.stack["band"].values])
            out_of_fold[number] = member.classifier.predict_proba(x[None])[0, 1]
    assert row["auc"] == pytest.approx(roc_auc_score(case.windows["label"], out_of_fold), abs=1e-6)
    assert result.table["protocol"].tolist() == ["spatial folds"] * 2
    assert result.aucs["MFAF"].shape == (14,)
    assert result.aucs["MFAF"].mean() == pytest.approx(row["map_auc"])
    assert row["map_auc_low"] <= row["map_auc"] <= row["map_auc_high"]
    at = np.sort(heldout.ravel())[::-1]
    shares = [(at > heldout[cell]).mean() for cell in zip(*case.cells, strict=True)]
    assert 14 * row["capture_10"] == pytest.approx(np.sum(np.array(shares) < 0.1), abs=0.05)
    # The rank of a share of area that ends on a whole number of cells: the curve is that of the
    # captured counts.
    assert result.curves["MFAF"].is_monotonic_increasing
    assert result.curves["MFAF"].iloc[[0, -1]].tolist() == [0, 1]
    assert (result.proof["gap"] >= case.size).all()


def test_rivals_do_not_depend_on_the_order_in_which_a_fold_names_its_bands():
    names = ["Au", "Cu", "geology", "fault_distance"]
    count = small_case().folds.count
    found = [
        small_evaluation(
            small_case().train(bands=[order] * count), baselines=["logistic regression"]
        )
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
        evaluate_model(
            model, make_stack(make_grid(83, 97)), drawn(case), case.deposits, small_scores()
        )
    with pytest.raises(DataError, match="another grid"):
        evaluate_model(model, case.stack, drawn(case), case.deposits, small_scores()[:, :-1])
    wider = centred_windows(case.grid, 12, case.deposits, case.valid)
    blank = small_scores().copy()
    blank.values[1] = np.nan
    with pytest.raises(DataError, match="no held-out scores"):
        evaluate_model(model, case.stack, drawn(case), case.deposits, blank)
    bands = [
        replace(band, description=band.description + " (extra trees)") for band in bands_of(blank)
    ]
    simple = as_dataarray(small_scores().values, case.grid, bands)
    with pytest.raises(DataError, match="is not that of MFAF but"):
        evaluate_model(model, case.stack, drawn(case), case.deposits, simple)
    with pytest.raises(DataError, match="windows of 12 cells"):
        evaluate_model(model, case.stack, [Draw(wider, 0)], case.deposits, small_scores())


def test_deposits_outside_the_ground_are_not_counted():
    case = small_case()
    with pytest.raises(DataError, match="no deposit lies on valid ground"):
        evaluate_model(
            model := small_model(),
            case.stack,
            drawn(case),
            points_in(case.grid, [500], [0]),
            small_scores(),
        )
    assert model.fold_models


def test_the_papers_protocol_is_marked_as_leaking():
    row = evaluate_paper_protocol(
        small_case().stack, small_case().windows, options=QUICK, device="cpu"
    )
    assert row["protocol"].tolist() == ["paper (leaks)"]
    barren = (small_case().windows["label"] == 0).sum()
    assert (row.loc[0, "windows"], row.loc[0, "ore_windows"]) == (
        2 * round(0.2 * barren),
        round(0.2 * barren),
    )
    assert "map_auc" not in row


def random_case(seed):
    """Smooth noise and deposits thrown at random, many or few: there is nothing to find."""
    case = Case.__new__(Case)
    case.grid, case.size, case.valid = make_grid(160, 160), 8, np.ones((160, 160), bool)
    case.cells = scattered_cells(case.grid, (32, 14)[seed % 2], seed)
    case.deposits, case.stack = points_in(case.grid, *case.cells), make_stack(case.grid, seed)
    ore = centred_windows(case.grid, 8, case.deposits, case.valid, negatives=0)
    case.folds = spatial_folds(ore, case.grid, case.valid, count=3, seed=seed)
    case.windows = draw_windows(ore, case.folds, case.stack, seed=seed)
    return case


def map_rows(case, baselines=None):
    """Every model's figures; those of the named simple models, without the network."""
    if baselines:
        draws = [Draw(case.windows, 0)]
        found = evaluate_baselines(
            case.stack, case.folds, draws, case.deposits, baselines=baselines, stride=4
        )
        return found.table.set_index("model")
    model = train_model(case.stack, case.windows, case.folds, options=QUICK, device="cpu")
    scores = predict_scores(model, case.stack, stride=4)
    return evaluate_model(
        model, case.stack, drawn(case), case.deposits, scores, stride=4
    ).table.set_index("model")


def require_no_skill(tables):
    """Refuse more intervals beside 0.5 than the 5 % of them that may be, and a mean that is not
    0.5.

    The surveys are independent, the models of one survey are not: each model is counted on its own.
    Were there nothing but chance, one in a hundred choices of seeds would be refused by the count,
    and one by the means.
    """
    surveys, models = len(tables), len(tables[0])
    most = binom.ppf(1 - 0.01 / models, surveys, 0.05)
    far = t.ppf(1 - 0.005 / models, surveys - 1)
    for name in tables[0].index:
        rows = pd.DataFrame([table.loc[name] for table in tables])
        beside = int(((rows["map_auc_low"] > 0.5) | (rows["map_auc_high"] < 0.5)).sum())
        assert beside <= most, f"{name}: {beside} of {surveys} intervals do not contain 0.5"
        auc = rows["map_auc"].astype(float)
        assert abs(auc.mean() - 0.5) <= far * auc.std() / surveys**0.5, (
            f"{name}: the mean map AUC is {auc.mean():.3f}"
        )


@pytest.fixture
def fewer_trees(monkeypatch):
    for name, forest in (("extra trees", ExtraTreesWindow), ("random forest", RandomForestWindow)):
        monkeypatch.setitem(BASELINES, name, partial(forest, trees=30))


@pytest.mark.slow
def test_noise_and_random_deposits_give_no_skill(fewer_trees):
    """THE LEAK TEST: over surveys of noise every model's interval contains 0.5 as often as it
    should.
    """
    tables = [map_rows(random_case(seed)) for seed in range(10)]
    assert list(tables[0].index) == ["MFAF", *BASELINES]
    require_no_skill(tables)


def test_the_leak_test_can_see_a_leak(fewer_trees, monkeypatch):
    """The same with every window in every training: skill out of nothing, and the intervals show
    it.
    """
    monkeypatch.setattr(Folds, "training", lambda self, windows, fold: np.ones(len(windows), bool))
    with pytest.raises(GeomfafError, match="the split leaks"):
        map_rows(random_case(0), ["extra trees"])
    monkeypatch.setattr("geomfaf.evaluation.evaluate.prove_leak_free", lambda *_: pd.DataFrame())
    tables = [map_rows(random_case(seed), ["extra trees"]) for seed in range(5)]
    assert (tables[0]["map_auc_low"] > 0.6).all()
    with pytest.raises(AssertionError, match=r"extra trees: \d of 5 intervals"):
        require_no_skill(tables)
