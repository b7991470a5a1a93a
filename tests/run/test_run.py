"""The main story, end to end: a survey goes in, a run folder comes out, the same one every time,
without leaks.
"""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from projects import RUN_FOLDER, prepare

import geomfaf
from geomfaf.errors import DataError, OutputExistsError, UsageError
from geomfaf.rasters.bands import grid_of, valid_cells
from geomfaf.rasters.geotiff import read_raster
from geomfaf.run.folder import KEPT, MARKER
from geomfaf.run.project import Project, load_project
from geomfaf.run.run import run_project
from geomfaf.run.template import init_project
from geomfaf.synthetic import make_survey
from geomfaf.windows.windows import window_centres

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_trees")]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    survey, truth = make_survey("small", seed=0)
    project = prepare(folder, survey)
    return run_project(project), project, truth


def test_deposits_without_data_neither_train_nor_test(tmp_path, monkeypatch):
    """Elements alone, and no value farther than 250 m from a sample: many deposits lie
    on nodata.
    """
    said = []
    monkeypatch.setattr("geomfaf.windows.assembly.say", said.append)
    survey, _ = make_survey("small", seed=0)
    quick = {"evaluate__draws": 1, "evaluate__shifts": 0, "evaluate__baselines": '["extra trees"]'}
    bare = replace(survey, geology=None, faults=None, geology_column=None)
    out = run_project(prepare(tmp_path, bare, cell=200, grid__max_distance=250, **quick))
    windows, stack = (
        gpd.read_file(out / "windows.gpkg", layer="windows"),
        read_raster(out / "stack.tif"),
    )
    ore = windows[windows["label"] == 1]
    rows, cols = window_centres(ore, grid_of(stack))
    assert valid_cells(stack)[rows, cols].all()
    row = pd.read_csv(out / "evaluation.csv").iloc[0]
    assert row["ore_windows"] == row["deposits"] == len(ore) < len(survey.deposits)
    assert any("have no data in the stack: they neither train nor test" in line for line in said)


def test_the_run_folder_is_complete(small_run):
    out, _, _ = small_run
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert set(RUN_FOLDER) <= there
    assert not [name for name in there if Path(name).name.startswith(".")]
    assert not list((out / KEPT / "unfinished").iterdir())


def test_signal_free_elements_are_screened_out(small_run):
    out, _, truth = small_run
    screening = pd.read_csv(out / "screen.csv")
    kept = set(screening.loc[screening["kept"], "element"])
    assert kept == set(truth.elements.loc[truth.elements["signal"], "column"])


def test_the_map_ranks_unseen_deposits_well_above_chance(small_run):
    out, _, _ = small_run
    table = pd.read_csv(out / "evaluation.csv").set_index("model")
    assert list(table.index) == [
        "MFAF ensemble",
        "MFAF",
        "distance to deposit",
        "logistic regression",
        "extra trees",
    ]
    assert table["draws"].tolist() == [1, 1, 2, 2, 2]
    trained = table.drop(index="distance to deposit")
    assert (trained["map_auc_low"] > 0.5).all(), table
    assert (trained["map_auc"] > 0.7).all(), table
    assert set(table["deposits"]) == {36}


def test_the_stack_holds_no_deposits_and_every_raster_shares_the_grid(small_run):
    out, _, _ = small_run
    with rasterio.open(out / "stack.tif") as stack, rasterio.open(out / "scores.tif") as scores:
        assert stack.transform == scores.transform
        assert stack.crs == scores.crs
        assert stack.shape == scores.shape
        assert not any("deposit" in name.lower() for name in stack.descriptions)
        assert stack.descriptions[-2:] == ("Geology (stratum)", "Distance to nearest fault (m)")
        assert scores.overviews(1) or max(scores.shape) < 512
        shown = scores.read(masked=True)
        names = [text.split("(")[0].strip() for text in scores.descriptions]
    assert (shown >= 0).all()
    assert (shown[[0, 1, 3, 5]] <= 1).all()
    assert names[-2:] == ["Dissimilarity index", "Area of applicability"]


def test_targets_take_the_share_of_the_area_that_was_asked_for(small_run):
    out, _, _ = small_run
    targets = gpd.read_file(out / "targets.gpkg", layer="targets")
    with rasterio.open(out / "scores.tif") as scores:
        cell = scores.res[0] * scores.res[1] / 1e6
        area = np.isfinite(scores.read(1)).sum() * cell
    assert list(targets["number"]) == list(range(1, len(targets) + 1))
    exploration = targets[targets["list"] == "exploration"]
    assert exploration["area_km2"].sum() == pytest.approx(0.05 * area, rel=0.1)
    assert targets.geometry.is_valid.all()
    np.testing.assert_allclose(targets.area / 1e6, targets["area_km2"], rtol=5e-4)
    assert exploration["mean_score"].is_monotonic_decreasing


def test_the_record_says_what_went_in(small_run):
    out, project, _ = small_run
    record = json.loads((out / "run.json").read_text())
    assert record["inputs"]["samples"]["sha256"] == geomfaf.files.file_hash(
        project.sources["samples"].path
    )
    assert record["settings"]["seed"] == 0
    assert {"train", "predict", "evaluate"} <= set(record["seconds"])
    assert record["versions"]["geomfaf"] == geomfaf.__version__


def test_the_summary_prints_the_verdict_and_the_counts(small_run):
    out, _, _ = small_run
    text = (out / "summary.md").read_text()
    for line in json.loads((out / "evaluation.json").read_text())["verdict"]:
        assert line in text
    assert "**36 held-out deposits in" in text
    assert "36 known deposits" in text


def test_the_evaluation_says_everything_it_found(small_run):
    out, _, _ = small_run
    found = json.loads((out / "evaluation.json").read_text())
    assert found["null_tests"][0]["p"] == 0.05  # none of the 19 moved patterns scores as high
    assert found["optimism"][0]["optimism"] > 0
    assert all(row["gap"] >= 16 for row in found["folds"])
    assert "of the area is unlike any training ground" in found["verdict"][-1]
    curves = pd.read_csv(out / "curves.csv")
    assert (curves[["MFAF", "extra trees"]].diff().dropna() >= 0).all().all()


def test_the_map_of_a_model_that_is_named_is_written(tmp_path):
    survey, _ = make_survey("small", seed=0)
    project = prepare(tmp_path, survey, cell=200, train__epochs=1)
    toml = tmp_path / "geomfaf.toml"
    toml.write_text(toml.read_text().replace('model = "auto"', 'model = "extra trees"'))
    out = run_project(load_project(toml))
    assert project.model == "auto"
    assert "those of **extra trees**" in (out / "summary.md").read_text()
    with rasterio.open(out / "scores.tif") as scores:
        assert "extra trees" in scores.descriptions[0]
    with rasterio.open(out / "risk_return.tif") as risk:
        assert risk.count == 2
    toml.write_text(toml.read_text().replace('model = "extra trees"', 'model = "extra tree"'))
    with pytest.raises(UsageError, match="extra trees"):
        load_project(toml)


def test_two_runs_with_the_same_seed_are_identical(tmp_path):
    survey, _ = make_survey("small", seed=0)
    quick = {"train__least_steps": 5, "evaluate__draws": 1, "evaluate__shifts": 5}
    out, again = (
        run_project(prepare(tmp_path / name, survey, cell=200, **quick)) for name in ("one", "two")
    )
    for name in ("stack.tif", "scores.tif"):
        with rasterio.open(out / name) as first, rasterio.open(again / name) as second:
            assert np.array_equal(first.read(), second.read(), equal_nan=True)
    for layer in ("targets", "cells"):
        first, second = (
            gpd.read_file(folder / "targets.gpkg", layer=layer) for folder in (out, again)
        )
        pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(second))
    assert (out / "targets.csv").read_bytes() == (again / "targets.csv").read_bytes()
    assert (out / "evaluation.csv").read_bytes() == (again / "evaluation.csv").read_bytes()


def test_a_second_run_uses_the_trained_model_again(small_run, tmp_path):
    out, project, _ = small_run
    shutil.copytree(project.folder, tmp_path / "copy")
    copy = load_project(tmp_path / "copy" / "geomfaf.toml")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        run_project(copy)
    before = (copy.out / "model" / "model.json").stat().st_mtime_ns
    run_project(copy, overwrite=True)
    assert (copy.out / "model" / "model.json").stat().st_mtime_ns == before
    assert "belongs to an earlier run" not in (copy.out / "run.log").read_text()
    with (
        rasterio.open(out / "scores.tif") as first,
        rasterio.open(copy.out / "scores.tif") as second,
    ):
        assert np.array_equal(first.read(), second.read(), equal_nan=True)


def interrupted(*_):
    """Ctrl-C, as soon as the evaluation begins."""
    raise KeyboardInterrupt


def check_first_map(out):
    """What an interrupted evaluation leaves: a map and its targets that say what they are."""
    scores = read_raster(out / "provisional_scores.tif")
    prediction = read_raster(out / "kept" / "prediction.tif")
    np.testing.assert_array_equal(scores.values, prediction.values)
    with rasterio.open(out / "provisional_scores.tif") as file:
        for band in file.indexes:
            assert file.tags(band)["provisional"].startswith("provisional: of the first draw")
    layers = set(gpd.list_layers(out / "provisional_targets.gpkg")["name"])
    assert layers == {"provisional_targets", "layer_styles"}
    targets = gpd.read_file(out / "provisional_targets.gpkg", layer="provisional_targets")
    assert targets["provisional"].str.startswith("provisional: of the first draw").all()
    assert set(targets["list"]) == {"exploration", "known ground"}
    # The best cell of each is the highest that the map has there.
    rows, cols = grid_of(scores).rowcol(targets["x"], targets["y"])
    best = scores.sel(band="score").values[rows, cols]
    np.testing.assert_allclose(best, targets["max_score"], atol=1e-4)
    assert not (out / "scores.tif").exists()
    assert not (out / "targets.gpkg").exists()


def test_samples_and_deposits_are_enough_and_a_quick_look_says_that_it_is_one(
    tmp_path, monkeypatch
):
    survey, _ = make_survey("small", seed=1)
    source = tmp_path / "bare.gpkg"
    survey.samples.to_file(source, layer="soil")
    survey.deposits.to_file(source, layer="mines")
    toml = prepare(tmp_path / "p", source, cell=200, train__epochs=2).path
    project = load_project(toml, {"quick": True})
    assert project.stage("predict") == {"stride": 8}
    assert load_project(toml, {"quick": True, "predict.stride": 3}).stage("predict")["stride"] == 3
    # 1. A first map is there before the evaluation begins, and goes when it is done.
    with monkeypatch.context() as patch:
        patch.setattr("geomfaf.run.stages._judge_and_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_project(project)
    check_first_map(project.out)
    said = (project.out / "run.log").read_text()
    assert "Still to come: evaluate, factors, targets, isolines, report" in said
    out = run_project(project)
    assert not list(out.glob("provisional*"))
    # 2. The quick look itself.
    with rasterio.open(out / "stack.tif") as stack:
        assert all("IDW" in name for name in stack.descriptions)
        assert np.isnan(stack.read(1)[0, 0]) or stack.count > 0
    table = pd.read_csv(out / "evaluation.csv")
    assert list(table["model"]) == ["MFAF ensemble", "MFAF", "extra trees", "logistic regression"]
    assert set(table["draws"]) == {1}
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["verdict"][0].startswith("This is a quick look")
    assert "MFAF ensemble" in evaluation["verdict"][0]
    assert evaluation["null_tests"] == evaluation["optimism"] == []
    with rasterio.open(out / "scores.tif") as scores:
        assert evaluation["verdict"][0].startswith(scores.tags(1)["quick"])
    for name in ("summary.md", "report.html"):
        text = (out / name).read_text()
        assert "Quick look: prospectivity" in text
        assert "This is a quick look" in text
    with zipfile.ZipFile(out / "project.qgz") as project:
        assert b"Quick look: prospectivity" in project.read("project.qgs")
    findings = pd.read_csv(out / "check.csv")
    assert {"geology", "faults", "study_area"} <= set(findings["layer"])


def test_a_csv_survey_in_degrees_goes_to_its_utm_zone(tmp_path):
    survey, _ = make_survey("small", seed=0)
    for name, layer in (("samples", survey.samples), ("deposits", survey.deposits)):
        lonlat = layer.to_crs(4326)
        table = pd.DataFrame(lonlat.drop(columns="geometry"))
        table.assign(lon=lonlat.geometry.x, lat=lonlat.geometry.y).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    said = init_project(
        [tmp_path / "samples.csv", tmp_path / "deposits.csv"], tmp_path / "g.toml", crs="EPSG:4326"
    )
    assert any("EPSG:32650" in line for line in said)
    project = load_project(tmp_path / "g.toml")
    assert project.read().crs.to_epsg() == 32650
    np.testing.assert_allclose(
        project.read().samples.total_bounds, survey.samples.total_bounds, atol=1e-3
    )


def test_a_refused_survey_leaves_the_findings_and_no_results(tmp_path):
    survey, _ = make_survey("small", seed=0)
    source = tmp_path / "one.gpkg"
    survey.samples.to_file(source, layer="samples")
    survey.deposits.iloc[:1].to_file(source, layer="deposits")
    project = prepare(tmp_path / "p", source)
    with pytest.raises(DataError, match="only one deposit"):
        run_project(project)
    reports = {"check.csv", "check.json", "check.gpkg", "detection_limits.csv"}
    assert {path.name for path in project.out.iterdir()} == {*reports, MARKER, KEPT, "run.log"}
    assert "only one deposit" in (project.out / "check.csv").read_text()


def test_a_wrong_training_setting_is_refused_before_anything_is_read_or_written(tmp_path):
    project = Project(
        tmp_path, {}, tmp_path / "out", stages={"train": {"ensemble": ["extra tree"]}}
    )
    with pytest.raises(UsageError, match=r'"extra tree" is unknown.*Did you mean "extra trees"'):
        run_project(project)
    assert not (tmp_path / "out").exists()
