"""Held-out scores: no simple model knows its test ground, what was kept is what was computed, and
optimism shows.
"""

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

import geomfaf.models.network.classifier
from geomfaf.evaluation.baseline_map import baseline_scores
from geomfaf.evaluation.held_out import Baselines, Draw, network_draw, remembered
from geomfaf.evaluation.network_draws import network_draws
from geomfaf.evaluation.optimism import measure_optimism
from geomfaf.evaluation.run_evaluation import (
    affordable_draws,
    assess_map,
    assessment_record,
    with_applicability,
)
from geomfaf.models import side_by_side
from geomfaf.models.baselines import BASELINES, NETWORK, ExtraTreesWindow
from geomfaf.models.fold_models import train_model
from geomfaf.models.network.options import training_options
from geomfaf.models.predict import Lattice, model_lattice, predict_scores
from geomfaf.windows.features import window_features
from geomfaf.windows.folds import spatial_folds
from geomfaf.windows.negatives import draw_seed, draw_windows
from geomfaf.windows.screen import screen_elements
from geomfaf.windows.windows import centred_windows


def drawn_case(seed=1, rule="distance"):
    case = Case((120, 110), count=16, seed=seed)
    case.windows = centred_windows(case.grid, case.size, case.deposits, case.valid, negatives=0)
    case.folds = spatial_folds(case.windows, case.grid, case.valid, count=3, seed=seed)
    return case


def simple_models(case, names=tuple(BASELINES)):
    bands = [list(case.stack["band"].values)] * case.folds.count
    return Baselines(case.stack, case.folds, bands, Lattice(case.valid, 4), case.size, names)


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("rule", ["distance", "unlabelled"])
def test_noise_on_test_ground_changes_no_bit_of_a_simple_model(name, rule):
    """THE NOISE TEST of the simple models, the draw of their barren windows included."""
    case = drawn_case()
    probe = window_features(
        make_stack(case.grid, 7), *scattered_cells(case.grid, 200, 3), case.size
    )
    hidden = case.folds.raster() == 0
    near = np.zeros(case.grid.shape, bool)
    for row, col in np.argwhere(hidden):
        near[
            max(row - case.size, 0) : row + case.size + 1,
            max(col - case.size, 0) : col + case.size + 1,
        ] = True
    found = []
    for noisy in (False, True):
        if noisy:
            rng = np.random.default_rng(9)
            case.stack.values[:, near] = rng.uniform(0.1, 1e4, (4, near.sum()))
            case.stack.values[2, near] = rng.integers(1, 3, near.sum())
            tested = case.folds.of_windows(case.windows) == 0
            places = np.argwhere(hidden)[rng.choice(hidden.sum(), tested.sum(), replace=False)]
            case.windows.loc[tested, ["row", "col"]] = places - case.size // 2
        windows = draw_windows(case.windows, case.folds, case.stack, rule=rule, seed=4)
        models = simple_models(case, [name])
        fitted = [models.fitted(name, Draw(windows, 4), fold) for fold in range(case.folds.count)]
        found.append([model.predict_proba(probe) for model in fitted])
    assert np.array_equal(found[0][0], found[1][0])
    assert not all(np.array_equal(found[0][fold], found[1][fold]) for fold in (1, 2))


def test_screening_does_not_know_the_test_ground():
    from geomfaf.run.project import Project
    from geomfaf.run.steps import screen_in_folds
    from geomfaf.survey.survey import Survey

    case = drawn_case()
    rng = np.random.default_rng(0)
    cells = scattered_cells(case.grid, 900, 5)
    samples = points_in(case.grid, *cells)
    for name in ("Au", "Cu"):
        samples[name] = case.stack.sel(band=name).values[cells]
    project = Project(case.grid, {}, None, stages={"screen": {"radius": 300.0}})
    before = screen_in_folds(
        project, Survey(samples, case.deposits, elements={"Au": "ppb", "Cu": "ppm"}), case.folds
    )
    assert any("Au" in part for part in before[1])
    hidden = case.folds.raster()[cells] == 1
    for name in ("Au", "Cu"):
        samples.loc[hidden, name] = rng.lognormal(0, 3, hidden.sum()).astype(np.float32)
    moved = case.deposits[case.folds.raster()[case.cells] != 1]  # and none of the fold's deposits
    after = screen_in_folds(
        project, Survey(samples, moved, elements={"Au": "ppb", "Cu": "ppm"}), case.folds
    )
    assert before[1][1] == after[1][1]
    assert (
        screen_elements(samples, moved, ["Au"], radius=300.0)["auc"][0]
        != before[0].set_index("element").auc["Au"]
    )


def test_the_network_map_of_a_draw_is_the_held_out_band_of_a_prediction():
    case, model = small_case(), small_model()
    alone = network_draw(model, case.stack, case.windows)
    # Other windows stand in a batch: a processor may sum them in another order.
    np.testing.assert_allclose(
        alone.maps[NETWORK], small_scores().sel(band="heldout_score").values, atol=1e-6
    )
    assert np.isfinite(alone.scores[NETWORK]).all()


def test_what_was_kept_is_what_was_computed_and_other_states_are_computed(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"a": np.arange(3.0)}

    windows = small_case().windows
    for state in ((1, windows), (1, windows), (2, windows), (1, windows.iloc[1:])):
        assert remembered(tmp_path, state, compute)["a"].tolist() == [0, 1, 2]
    assert len(calls) == 3
    assert remembered(None, (1, windows), compute)["a"].tolist() == [0, 1, 2]


def test_an_interrupted_draw_goes_on_with_the_same_scores(tmp_path, monkeypatch):
    case = drawn_case()
    draw = Draw(draw_windows(case.windows, case.folds, case.stack), 0)
    names = ["best band", "logistic regression"]
    whole = simple_models(case, names).judge([draw])[0]
    simple_models(case, names[:1]).judge([draw], folder=tmp_path)
    fitted = []
    original = Baselines.fitted
    monkeypatch.setattr(
        Baselines,
        "fitted",
        lambda self, name, *rest: fitted.append(name) or original(self, name, *rest),
    )
    again = simple_models(case, names).judge([draw], folder=tmp_path)[0]
    assert set(fitted) == {"logistic regression"}
    for name in names:
        np.testing.assert_array_equal(whole.maps[name], again.maps[name])
        np.testing.assert_array_equal(whole.scores[name], again.scores[name])


@pytest.mark.slow
def test_processes_find_what_one_finds(tmp_path, monkeypatch):
    """The network on more draws, and simple models of them, by two processes and by this one."""
    case = drawn_case()
    options = training_options("mfaf", least_steps=2, ensemble=("ridge logistic regression",))
    drawn = draw_windows(case.windows, case.folds, case.stack)
    model = train_model(case.stack, drawn, case.folds, options=options, device="cpu")
    draws = [Draw(drawn, seed) for seed in (3, 4)]

    def judged():
        found = network_draws(draws, model, case.stack, folder=tmp_path / str(side_by_side.MANY))
        return simple_models(case, ["best band", "extra trees"]).judge(found)

    alone = judged()
    monkeypatch.setattr(side_by_side, "MANY", 2)
    monkeypatch.setattr(side_by_side, "MEMORY", 1.0)
    monkeypatch.setattr(side_by_side, "cores", lambda: 2)
    together = judged()
    assert list(alone[0].maps) == ["MFAF ensemble", NETWORK, "best band", "extra trees"]
    for one, other in zip(alone, together, strict=True):
        for name in one.maps:
            np.testing.assert_array_equal(one.maps[name], other.maps[name])
            np.testing.assert_array_equal(one.scores[name], other.scores[name])


@pytest.mark.slow
def test_a_random_split_of_overlapping_windows_flatters_and_the_meter_shows_it(monkeypatch):
    """Random deposits on smooth noise: nothing can be known, yet the random split finds it."""
    # Trees on all rows remember most of what they saw.
    full = {**BASELINES, "full trees": partial(ExtraTreesWindow, share=None)}
    monkeypatch.setattr("geomfaf.models.baselines.BASELINES", full)
    grid = make_grid(200, 200)
    cells = scattered_cells(grid, 40, 0)
    stack, deposits = make_stack(grid, 0), points_in(grid, *cells)
    windows = centred_windows(grid, 8, deposits, np.ones(grid.shape, bool), negatives=0)
    folds = spatial_folds(windows, grid, np.ones(grid.shape, bool), count=4)
    row = measure_optimism(
        stack, folds, deposits, size=8, options=QUICK, models=["full trees", "extra trees", NETWORK]
    ).set_index("model")
    assert row.loc["extra trees", "spatial_auc"] == pytest.approx(0.5, abs=0.13)
    assert row.loc["full trees", "spatial_auc"] == pytest.approx(0.5, abs=0.13)
    assert row.loc["full trees", "optimism"] > 0.15
    assert (row["optimism"] > 0).all()
    assert (row["optimism"] == row["random_auc"] - row["spatial_auc"]).all()


def assessed(case, **settings):
    tables = [
        draw_windows(case.windows, case.folds, case.stack, seed=draw_seed(0, number))
        for number in range(2)
    ]
    model = train_model(case.stack, tables[0], case.folds, options=QUICK, device="cpu")
    scores = predict_scores(model, case.stack)
    options = {
        "baselines": ["logistic regression", "best band"],
        "shifts": 9,
        "optimism": ["best band"],
        **settings,
    }
    found = assess_map(
        model, case.stack, tables, case.deposits, scores, evidence=case.stack, settings=options
    )
    return found, model, scores, tables


@pytest.mark.slow
def test_every_training_of_an_assessment_is_on_the_models_device(monkeypatch):
    asked, real = [], geomfaf.models.network.classifier.choose_device
    monkeypatch.setattr(
        "geomfaf.models.network.classifier.choose_device",
        lambda name: asked.append(name) or real(name),
    )
    assessed(
        drawn_case(), network_draws=2, network_shifts=1, optimism=["MFAF"], baselines=["best band"]
    )
    assert len(asked) > 10
    assert set(asked) == {"cpu"}


def test_an_assessment_holds_every_part_and_its_figures_agree():
    case = drawn_case()
    found, model, scores, tables = assessed(case, network_draws=2, network_shifts=1)
    assert [test["model"] for test in assessment_record(found)["null_tests"]] == [
        "logistic regression",
        "MFAF",
    ]
    table = found.table.set_index("model")
    assert table["draws"].to_dict() == {NETWORK: 2, "logistic regression": 2, "best band": 2}
    assert (table["map_auc_sd_draws"] > 0).all()
    text = " ".join(found.verdict)
    for words in (
        "held-out map AUC",
        "Recommended for this area",
        "Optimism of a random split",
        "p = 0.",
    ):
        assert words in text
    mean, spread = found.evaluation.risk_return("logistic regression")
    maps = [draw.maps["logistic regression"] for draw in found.evaluation.draws]
    np.testing.assert_allclose(mean, (maps[0] + maps[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(spread, np.abs(maps[0] - maps[1]) / np.sqrt(2), atol=1e-6)
    drawn = baseline_scores(found.evaluation, "logistic regression")
    assert list(drawn["band"].values) == list(scores["band"].values)
    np.testing.assert_array_equal(drawn.sel(band="heldout_score").values, maps[0])
    assert np.isfinite(drawn.values).all()
    assert "logistic regression" in str(drawn["description"].values[0])
    both, line = with_applicability(drawn, model, case.stack, tables[0])
    assert list(both["band"].values)[-2:] == ["dissimilarity", "applicable"]
    share = 1 - both.sel(band="applicable").values.mean()
    assert f"{100 * share:.1f} % of the area" in line


def test_the_network_is_repeated_as_its_cost_allows():
    case, model = small_case(), small_model()
    assert affordable_draws(model, case.windows, 5) == 5
    assert affordable_draws(model, case.windows, 2) == 2
    assert model_lattice(model, case.valid).stride == 2
