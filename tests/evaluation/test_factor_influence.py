"""What a factor weighs: the model's own answer with the factor at its median, for every kind of
model.
"""

import numpy as np
import pandas as pd
import pytest
from builders import small_case, small_model, small_scores
from scipy.stats import kendalltau, spearmanr
from sklearn.metrics import roc_auc_score

from geomfaf.evaluation.baseline_map import baseline_scores
from geomfaf.evaluation.evaluate import evaluate_model
from geomfaf.evaluation.factor_influence import (
    FACTOR_COLUMNS,
    factor_agreement,
    factor_influence,
)
from geomfaf.evaluation.fold_judges import Ground, fold_judges, occluded, side_by_side
from geomfaf.evaluation.held_out import Draw
from geomfaf.evaluation.target_factors import (
    CONTRIBUTION_COLUMNS,
    OccludedScores,
    occluded_scores,
    target_contributions,
)
from geomfaf.models.attention import factor_attention
from geomfaf.models.predict import predict_scores


def two_targets() -> np.ndarray:
    labels = np.zeros(small_case().grid.shape, int)
    labels[10:22, 30:41] = 1
    labels[60:70, 5:19] = 2
    return labels


def contributions(judges, stack, labels):
    return target_contributions(occluded_scores(judges, stack, labels > 0), stack, labels)


def judges(name="MFAF ensemble"):
    case = small_case()
    return fold_judges(name, small_model(), case.stack, case.windows)


def test_a_contribution_is_the_change_of_the_map_itself():
    """The oracle is the whole map, predicted again on the occluded stack."""
    case, labels = small_case(), two_targets()
    table = contributions(judges(), case.stack, labels)
    assert tuple(table.columns) == CONTRIBUTION_COLUMNS
    before = small_scores().sel(band="score").values
    for factor in ("Au", "geology"):
        again = predict_scores(small_model(), occluded(case.stack, factor))
        change = before - again.sel(band="score").values
        own = table[table["factor"] == factor].set_index("number")["contribution"]
        for number in (1, 2):
            assert own[number] == pytest.approx(change[labels == number].mean(), abs=1e-6)
    assert table["contribution"].abs().max() > 1e-3


def test_on_large_maps_fewer_centres_say_nearly_the_same(monkeypatch):
    case, labels = small_case(), two_targets()
    whole = contributions(judges(), case.stack, labels).set_index(["number", "factor"])
    monkeypatch.setattr("geomfaf.evaluation.target_factors.CENTRES", 60)
    some = contributions(judges(), case.stack, labels).set_index(["number", "factor"])
    some = some.loc[whole.index, "contribution"]
    assert not np.allclose(some, whole["contribution"], atol=1e-7)
    np.testing.assert_allclose(some, whole["contribution"], atol=0.03)


def test_a_simple_models_contributions_are_those_of_its_map():
    case, labels = small_case(), two_targets()
    name = "logistic regression"
    model = small_model()
    draws = [Draw(case.windows, model.seed)]
    found = evaluate_model(
        model, case.stack, draws, case.deposits, small_scores(), baselines=[name]
    )
    before = baseline_scores(found, name).sel(band="score").values
    own = judges(name)
    flat = case.stack.copy()
    for factor in case.stack["band"].values:
        flat = occluded(flat, factor)
    table = contributions(own, case.stack, labels)
    assert set(table["factor"]) == set(case.stack["band"].values)
    assert table["contribution"].abs().max() > 1e-3
    # Every factor at its median gives one score everywhere: nothing is left to contribute.
    assert contributions(own, flat, labels)["contribution"].abs().max() < 1e-6
    # Its fold models are those that made the map.
    centres = own.mean(Ground.of(case.stack, case.windows))
    rows = case.windows["row"] + own.size // 2
    cols = case.windows["col"] + own.size // 2
    on_lattice = (rows % own.stride == 0) & (cols % own.stride == 0)
    expected = before[rows, cols][on_lattice]
    np.testing.assert_allclose(centres[on_lattice], expected, atol=1e-5)


def test_values_and_percentiles_are_those_on_the_target():
    case, labels = small_case(), two_targets()
    table = contributions(judges(), case.stack, labels)
    gold = case.stack.sel(band="Au").values
    row = table[(table["number"] == 2) & (table["factor"] == "Au")].iloc[0]
    assert row["value"] == pytest.approx(gold[labels == 2].mean(), rel=1e-5)
    below = [(gold < value).mean() * 100 for value in gold[labels == 2]]
    assert row["percentile"] == pytest.approx(np.mean(below), abs=0.1)
    assert table[table["factor"] == "geology"]["value"].isna().all()
    for _, part in table.groupby("number"):
        assert part["contribution"].abs().is_monotonic_decreasing


def test_what_the_model_said_serves_other_targets():
    """Asked about more ground, and read from a table, it gives the same contributions."""
    case, labels = small_case(), two_targets()
    more = labels > 0
    more[20:40, 10:40] = True
    once = occluded_scores(judges(), case.stack, more)
    kept = OccludedScores.from_table(once.table(), once.stride)
    assert kept.covers(case.stack, labels > 0)
    assert not kept.covers(case.stack, np.ones_like(more))
    own = contributions(judges(), case.stack, labels).set_index(["number", "factor"])
    again = target_contributions(kept, case.stack, labels).set_index(["number", "factor"])
    np.testing.assert_allclose(again.loc[own.index, "contribution"], own["contribution"], atol=1e-6)


def test_without_a_target_there_is_no_contribution():
    case = small_case()
    empty = np.zeros(case.grid.shape, int)
    assert len(contributions(judges(), case.stack, empty)) == 0


def test_occlusion_sets_the_median_and_the_commonest_class_and_keeps_gaps():
    stack = small_case().stack.copy()
    stack.values[0, :5, :5] = np.nan
    gold = occluded(stack, "Au").values[0]
    assert np.isnan(gold[:5, :5]).all()
    assert set(np.unique(gold[np.isfinite(gold)])) == {np.nanmedian(stack.values[0])}
    at = list(stack["band"].values).index("geology")
    classes, counts = np.unique(stack.values[at], return_counts=True)
    assert set(np.unique(occluded(stack, "geology").values[at])) == {classes[counts.argmax()]}
    assert np.array_equal(occluded(stack, "Au").values[1:], stack.values[1:], equal_nan=True)


def test_windowsside_by_side_are_judged_as_on_the_map():
    case = small_case()
    for name in ("MFAF", "MFAF ensemble", "extra trees"):
        own = judges(name)
        strip = side_by_side(case.stack, case.windows, own.size)
        ground = Ground.of(case.stack, case.windows)
        np.testing.assert_allclose(own.judge(1, strip), own.judge(1, ground), atol=1e-6)


def test_what_is_changed_in_one_band_is_what_the_changed_stack_gives():
    """The features of one band are replaced: made again from the changed stack they are the same."""
    case = small_case()
    strip = side_by_side(case.stack, case.windows, case.size)
    order = np.random.default_rng(0).permutation(len(case.windows))
    other = np.random.default_rng(1).permutation(len(case.windows))
    both = strip.dealt_out("Cu", [other, order])
    for changed in (strip.without("geology"), strip.without("Au"), both):
        again = Ground.of(changed.stack, changed.windows)
        np.testing.assert_allclose(changed.features.values, again.features.values, atol=1e-6)
    window = slice(order[3] * case.size, (order[3] + 1) * case.size)
    # The second order stands behind the first.
    place = (len(order) + 3) * case.size
    moved = both.stack.values[1][:, place : place + case.size]
    np.testing.assert_array_equal(moved, strip.stack.values[1][:, window])
    alone = judges("MFAF ensemble").judge(1, strip.dealt_out("Cu", [order]))
    together = judges("MFAF ensemble").judge(1, both)[len(order) :]
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("name", ["MFAF ensemble", "best band"])
def test_the_influence_of_all_factors(name):
    case, model = small_case(), small_model()
    attention = (
        factor_attention(model, case.stack, case.windows) if name == "MFAF ensemble" else None
    )
    table = factor_influence(judges(name), model, case.stack, case.windows, attention)
    assert tuple(table.columns) == FACTOR_COLUMNS
    assert sorted(table["factor"]) == sorted(case.stack["band"].values)
    assert table["attention"].notna().all() == (name == "MFAF ensemble")
    assert (table["occlusion"] >= 0).all()
    again = factor_influence(judges(name), model, case.stack, case.windows, attention)
    pd.testing.assert_frame_equal(table, again)
    if name == "best band":
        # The model reads one band a fold: the others can weigh nothing.
        idle = table[table["occlusion"] == 0]
        assert 1 <= len(idle) < len(table)
        assert (idle["permutation"] == 0).all()
    else:
        weights = attention[attention["factor"] == "Au"].groupby("fold")["weight"].mean()
        gold = table.set_index("factor").loc["Au"]
        assert gold["attention"] == pytest.approx(weights.mean())
        assert gold["attention_sd"] == pytest.approx(weights.std())


def test_a_factor_that_tells_the_labels_is_missed_when_it_is_permuted():
    """Gold alone is high at the deposits of the case: dealt out at random it costs the AUC most."""
    case, model = small_case(), small_model()
    own = judges("logistic regression")
    table = factor_influence(own, model, case.stack, case.windows).set_index("factor")
    assert table["permutation"].idxmax() == "Au"
    test = case.windows[case.folds.testing(case.windows, 0)]
    auc = roc_auc_score(test["label"], own.judge(0, Ground.of(case.stack, test)))
    assert table.loc["Au", "permutation"] < auc


def test_agreement_is_that_of_scipy():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(8, 3)), columns=["permutation", "attention", "occlusion"])
    found = factor_agreement(table)
    assert len(found) == 3
    for pair in found:
        both = table[pair["one"]], table[pair["other"]]
        assert pair["spearman"] == pytest.approx(spearmanr(*both)[0], abs=5e-4)
        assert pair["kendall"] == pytest.approx(kendalltau(*both)[0], abs=5e-4)
    assert factor_agreement(table.assign(attention=np.nan)) == [found[1]]
    assert factor_agreement(table.head(2)) == []
