"""Maps in files, which may be larger than memory: judged by a sample of their ground in which every
score is the whole map's, and the ground that a model speaks for.
"""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import geomfaf as gm
from geomfaf.cli.main import main
from geomfaf.deliver.layers import write_layers
from geomfaf.errors import DataError
from geomfaf.evaluation import evaluate, ground_sample
from geomfaf.evaluation.evaluate import evaluate_model
from geomfaf.evaluation.ground_sample import GroundSample
from geomfaf.evaluation.held_out import Draw
from geomfaf.evaluation.run_evaluation import with_applicability
from geomfaf.models.model_files import save_model
from geomfaf.models.predict import Lattice
from geomfaf.rasters.reader import RasterReader


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(3, 40),
    width=st.integers(3, 40),
    stride=st.integers(1, 7),
    most=st.integers(1, 60),
    seed=st.integers(0, 50),
)
def test_every_cell_of_a_sample_has_the_score_that_it_has_on_the_whole_map(
    height, width, stride, most, seed
):
    rng = np.random.default_rng(seed)
    valid = rng.random((height, width)) < 0.8
    valid[0, 0] = True
    on_ground = np.argwhere(valid)
    deposits = on_ground[rng.integers(0, len(on_ground), 4)].T
    sample = GroundSample(valid, stride, tuple(deposits), most)
    lattice = Lattice(valid, stride)
    # One score a centre, the same for both.
    scores = rng.random((2, *lattice.wanted.shape))
    whole = lattice.blend(np.where(lattice.wanted, scores, np.nan))
    at = (
        np.searchsorted(lattice.rows, sample.centre_rows),
        np.searchsorted(lattice.cols, sample.centre_cols),
    )
    found = sample.blend(scores[:, at[0], at[1]][:, None])
    expected = whole[:, sample.cell_rows, sample.cell_cols][:, None]
    assert np.allclose(found, expected, atol=1e-6)
    # Enough of the ground, all of it valid, and the deposits behind it.
    assert 1 <= sample.squares <= most
    assert 1 <= len(sample) <= most * stride**2
    assert valid[sample.cell_rows, sample.cell_cols].all()
    behind = sample.cells_of(*deposits)[1]
    assert np.array_equal(sample.cell_rows[behind], deposits[0])
    assert np.array_equal(sample.cell_cols[behind], deposits[1])
    # A centre has a say in a cell when its score changes the cell's.
    one = rng.integers(0, len(sample.cell_rows))
    asked = np.arange(len(sample.cell_rows))[None] == one
    moved = []
    for centre in range(len(sample.centre_rows)):
        changed = scores[0, at[0], at[1]].copy()
        changed[centre] += 1
        moved.append(sample.blend(changed[None])[0, one] != found[0, 0, one])
    assert np.array_equal(sample.near(asked)[0], moved)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A trained model, its stack and its scores, in memory and in files."""
    folder = tmp_path_factory.mktemp("sample")
    survey, _ = gm.check_survey(gm.make_survey("small")[0])
    grid = gm.survey_grid(survey, cell=200)
    stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    windows, folds = gm.make_windows(stack, survey.deposits, size=8, fold_count=2)
    options = gm.training_options("compact", least_steps=3)
    model = gm.train_model(stack, windows, folds, options=options)
    scores = gm.predict_scores(model, stack)
    gm.write_raster(stack, folder / "stack.tif")
    gm.write_raster(scores, folder / "scores.tif")
    write_layers({"windows": windows, "folds": folds.blocks()}, folder / "windows.gpkg")
    write_layers({"deposits": survey.deposits}, folder / "deposits.gpkg")
    save_model(model, folder / "model")
    return folder, model, stack, windows, survey.deposits, scores


def judged(case, *, whole):
    folder, model, stack, windows, deposits, scores = case
    if not whole:
        stack = RasterReader(folder / "stack.tif")
        scores = RasterReader(folder / "scores.tif")
    draws = [Draw(windows, model.seed)]
    names = ["logistic regression", "distance to deposit", "extra trees"]
    return evaluate_model(model, stack, draws, deposits, scores, baselines=names)


def test_with_every_square_in_the_sample_the_figures_are_those_of_the_whole_map(case):
    sampled = judged(case, whole=False)
    whole = judged(case, whole=True)
    assert isinstance(sampled.simple.lattice, GroundSample)
    assert sampled.table["model"].tolist() == whole.table["model"].tolist()
    for name in whole.aucs:
        assert sampled.aucs[name] == pytest.approx(whole.aucs[name], abs=1e-6), name
        assert sampled.draws[0].scores[name] == pytest.approx(
            whole.draws[0].scores[name], abs=1e-6, nan_ok=True
        )
    assert "<img" not in sampled._repr_html_()
    assert "stand for the ground" in sampled._repr_html_()


@pytest.mark.parametrize("most", [100, 400])
def test_the_error_of_a_sample_is_what_it_says(case, monkeypatch, most):
    whole = judged(case, whole=True)
    monkeypatch.setattr(GroundSample.__init__, "__defaults__", (most,))
    sampled = judged(case, whole=False)
    squares = sampled.simple.lattice.squares
    assert most / 4 < squares <= most
    for name in whole.aucs:
        # The mean over the deposits, which is the AUC; three standard errors.
        error = abs(sampled.aucs[name].mean() - whole.aucs[name].mean())
        assert error < 3 * 0.5 / np.sqrt(squares), name


def test_the_command_says_that_a_large_map_is_judged_by_a_sample(case, monkeypatch):
    folder = case[0]
    words = ["evaluate", str(folder / "stack.tif"), "--windows", str(folder / "windows.gpkg")]
    words += ["--model", str(folder / "model"), "--scores", str(folder / "scores.tif")]
    words += ["--deposits", str(folder / "deposits.gpkg"), "--json"]
    monkeypatch.setattr(evaluate, "BASELINES", {"logistic regression": None})
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    assert "stand for the ground" not in found.stderr
    monkeypatch.setattr(ground_sample, "WHOLE", 1000)
    sampled = CliRunner().invoke(main, words)
    assert sampled.exit_code == 0, sampled.output
    assert "squares stand for the ground of the map" in sampled.stderr
    for row, same in zip(json.loads(found.stdout), json.loads(sampled.stdout), strict=True):
        assert row["model"] == same["model"]
        assert row["map_auc"] == pytest.approx(same["map_auc"], abs=0.005)


def test_a_deposit_off_the_ground_is_no_deposit_of_a_sample(case):
    folder, model, _, windows, deposits, scores = case
    far = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0.0], [0.0]), crs=deposits.crs)
    with pytest.raises(DataError, match="no deposit lies on valid ground"):
        evaluate_model(model, RasterReader(folder / "stack.tif"), [Draw(windows, 0)], far, scores)


def test_the_ground_a_model_speaks_for_is_mapped_from_files_as_a_run_maps_it(case, tmp_path):
    folder, model, stack, windows, _, scores = case
    expected, line = with_applicability(scores, model, stack, windows)
    words = [
        "applicability",
        *(str(folder / name) for name in ("stack.tif", "model", "windows.gpkg")),
    ]
    found = CliRunner().invoke(main, [*words, str(tmp_path / "area.tif")])
    assert found.exit_code == 0, found.output
    assert line in found.stderr.replace("\n", " ")
    area = gm.read_raster(tmp_path / "area.tif")
    bands = ["dissimilarity", "applicable"]
    assert area["band"].values.tolist() == bands
    assert area.values.tobytes() == expected.sel(band=bands).values.tobytes()
    # The ground is what the model's own bands cover, whatever else the stack holds.
    assert RasterReader(folder / "stack.tif").only(["geology", "Au_ppb"]).names == [
        "Au_ppb",
        "geology",
    ]


@pytest.mark.parametrize("command", ["applicability", "evaluate"])
def test_windows_of_another_split_are_refused(case, tmp_path, command):
    folder, _, stack, _, deposits, _ = case
    windows, folds = gm.make_windows(stack, deposits, size=8, fold_count=3)
    other = tmp_path / "other.gpkg"
    write_layers({"windows": windows, "folds": folds.blocks()}, other)
    stack, model = str(folder / "stack.tif"), str(folder / "model")
    words = [stack, model, str(other), str(tmp_path / "area.tif")]
    if command == "evaluate":
        words = [stack, "--windows", str(other), "--model", model]
        words += [
            "--scores",
            str(folder / "scores.tif"),
            "--deposits",
            str(folder / "deposits.gpkg"),
        ]
    found = CliRunner().invoke(main, [command, *words])
    assert found.exit_code == 3
    assert "give the windows that trained it" in " ".join(found.stderr.split())
    assert not (tmp_path / "area.tif").exists()
