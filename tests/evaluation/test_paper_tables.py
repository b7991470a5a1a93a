"""The paper's experiments on a small finished run: figures, resuming, the page and the published
numbers.
"""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from builders import small_case
from click.testing import CliRunner
from PIL import Image

import geomfaf.evaluation.paper_tables
import geomfaf.models.network.classifier
from geomfaf.cli.main import main
from geomfaf.deliver.layers import write_layers
from geomfaf.errors import UsageError
from geomfaf.evaluation.paper_methods import METRICS, TABLES, Method
from geomfaf.evaluation.paper_tables import (
    LEAST_EPOCHS,
    alone,
    one_run,
    run_experiment,
)
from geomfaf.evaluation.window_metrics import window_metrics
from geomfaf.models.fold_models import encode_windows, train_model
from geomfaf.models.model_files import save_model
from geomfaf.models.network.options import training_options
from geomfaf.rasters.geotiff import write_raster

pytestmark = pytest.mark.slow

OPTIONS = training_options(epochs=1, least_steps=2, batch=8)
METHODS = (
    Method("plain", {"network": "plain", "backbone": "compact"}, (60.0, 50.0, 30.0, 40.0)),
    Method("branches", {"dilations": (1, 2)}, (70.0, 60.0, 40.0, 50.0)),
    Method("no attention", {"channel_attention": False}),
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run's folder, and a table of compact networks."""
    case = small_case()
    write_raster(case.stack, tmp_path / "stack.tif")
    write_layers({"windows": case.windows, "folds": case.folds.blocks()}, tmp_path / "windows.gpkg")
    save_model(case.train(options=OPTIONS), tmp_path / "model")
    (tmp_path / "run.json").write_text("{}")
    monkeypatch.setitem(TABLES, "table3", ("Small", METHODS))
    monkeypatch.setattr("geomfaf.evaluation.paper_tables.LEAST_EPOCHS", 1)
    return tmp_path


def test_figures_are_those_of_held_out_windows_mean_and_spread_over_seeds(run):
    table = (
        run_experiment("table3", run, seeds=2, workers=1)
        .query("protocol == 'spatial'")
        .set_index("method")
    )
    case, expected = small_case(), []
    options = training_options("mfaf", epochs=1, least_steps=2, batch=8, network="plain")
    for seed in (0, 1):
        model = train_model(
            case.stack, case.windows, case.folds, options=options, seed=seed, device="cpu"
        )
        scores = np.empty(len(case.windows))
        for member in model.fold_models:
            own = case.folds.of_windows(case.windows) == member.fold
            names = [str(name) for name in case.stack["band"].values]
            x = encode_windows(case.stack, case.windows[own], names, member.encoder)
            scores[own] = member.classifier.predict_proba(x)[:, 1]
        expected.append(window_metrics(case.windows["label"].to_numpy(), scores))
    for name in METRICS:
        values = [100 * figures[name] for figures in expected]
        assert table.loc["plain", name] == pytest.approx(np.mean(values))
        assert table.loc["plain", f"{name}_sd"] == pytest.approx(np.std(values, ddof=1))
    assert table.loc["plain", "windows"] == len(case.windows)
    assert table.loc["branches", "auc_published"] == 60


def test_a_run_that_was_not_finished_or_has_other_folds_is_refused(run):
    """Its bands were screened without the old folds' ground: on new folds they would leak."""
    case = small_case()
    folds = replace(case.folds, table=case.folds.table[::-1].copy())
    write_layers(
        {"windows": case.windows, "folds": folds.blocks()}, run / "windows.gpkg", overwrite=True
    )
    with pytest.raises(UsageError, match="are not those of its model"):
        run_experiment("table3", run, seeds=1, workers=1)
    (run / "run.json").unlink()
    with pytest.raises(UsageError, match=r"run\.json is missing"):
        run_experiment("table3", run, seeds=1, workers=1)


@pytest.mark.parametrize("protocol", ["spatial", "paper"])
def test_a_training_that_was_interrupted_goes_on_in_its_middle(run, monkeypatch, protocol):
    options = training_options("mfaf", epochs=4, least_steps=0, batch=8)
    whole, path, epochs = run / "whole.json", run / "experiments" / "runs" / "one.json", []
    one_run(run, whole, protocol, 0, options)
    one_epoch = geomfaf.models.network.classifier._one_epoch

    def stop_in_the_third(*given):
        if len(epochs) == 2:
            raise KeyboardInterrupt
        epochs.append(given[5])
        return one_epoch(*given)

    monkeypatch.setattr("geomfaf.models.network.classifier.CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr("geomfaf.models.network.classifier._one_epoch", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        one_run(run, path, protocol, 0, options)
    assert not path.exists()
    rest = []
    monkeypatch.setattr(
        "geomfaf.models.network.classifier._one_epoch",
        lambda *given: rest.append(given[5]) or one_epoch(*given),
    )
    one_run(run, path, protocol, 0, options)
    assert rest[:2] == [2, 3]
    assert path.read_text() == whole.read_text()
    assert not path.with_suffix("").exists()


def test_an_interrupted_experiment_goes_on_and_a_finished_one_trains_nothing(run, monkeypatch):
    done, one_run = [], geomfaf.evaluation.paper_tables.one_run

    def stop_after_two(*job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job[1])
        one_run(*job)

    monkeypatch.setattr(geomfaf.evaluation.paper_tables, "one_run", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        run_experiment("table3", run, seeds=1, workers=1)
    rest = []
    monkeypatch.setattr(
        geomfaf.evaluation.paper_tables,
        "one_run",
        lambda *job: rest.append(job[1]) or one_run(*job),
    )
    first = run_experiment("table3", run, seeds=1, workers=1)
    assert len(rest) == 4
    assert not set(rest) & set(done)
    monkeypatch.setattr(geomfaf.evaluation.paper_tables, "one_run", None)
    pd.testing.assert_frame_equal(run_experiment("table3", run, seeds=1, workers=1), first)


def test_other_inputs_are_other_runs(run):
    run_experiment("table3", run, seeds=1, workers=1)
    before = set((run / "experiments" / "runs").iterdir())
    write_raster(small_case().stack * 1.5, run / "stack.tif", overwrite=True)
    run_experiment("table3", run, seeds=1, workers=1)
    assert len(set((run / "experiments" / "runs").iterdir()) - before) == 6


def test_processes_find_what_one_process_finds(run):
    one = run_experiment("table3", run, seeds=1, workers=1)
    for path in (run / "experiments" / "runs").iterdir():
        path.unlink()
    two = run_experiment("table3", run, seeds=1, workers=2)
    pd.testing.assert_frame_equal(one, two, atol=1e-3)


def test_the_page_the_table_and_the_figure(run):
    result = run_experiment("table3", run, seeds=1, workers=1)
    folder = run / "experiments"
    page = (folder / "table3.md").read_text(encoding="utf-8")
    assert "not\npublic" in page
    assert "| branches | 70.00 / 60.00 / 40.00 / 50.00 |" in page
    auc = result.set_index(["protocol", "method"])["auc"]
    difference = auc["spatial", "branches"] - auc["spatial", "plain"]
    assert f"branches {difference:+.1f} (+10.0)" in page
    read = pd.read_csv(folder / "table3.csv")
    np.testing.assert_allclose(read["auc"], result["auc"], atol=1e-3)
    assert min(Image.open(folder / "table3.png").size) > 300


def test_the_command(run):
    toml = run / "geomfaf.toml"
    toml.write_text('out = "."\n')
    result = CliRunner().invoke(
        main, ["experiment", "table3", str(toml), "--quick", "--workers", "1"]
    )
    assert result.exit_code == 0, result.output
    page = (run / "experiments" / "table3.md").read_text(encoding="utf-8")
    assert "3 epochs" in page
    assert "A quick run" in page


def test_an_unfinished_run_and_an_unknown_table_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"stack.tif is missing: run `geomfaf run`"):
        run_experiment("table3", tmp_path)
    with pytest.raises(UsageError, match='Did you mean "table6"'):
        run_experiment("tabel6", tmp_path)
    with pytest.raises(UsageError, match="seeds = 0"):
        run_experiment("table6", tmp_path, seeds=0)
    with pytest.raises(UsageError, match="workers = 0"):
        run_experiment("table6", tmp_path, workers=0)


def test_methods_change_what_their_table_is_about():
    from dataclasses import asdict, replace

    base = training_options()
    for name, wanted in (("table5", {"beta", "network"}), ("table6", {"dilations"})):
        options = [asdict(replace(base, **method.changes)) for method in TABLES[name][1]]
        varied = {key for key in options[0] if len({json.dumps(o[key]) for o in options}) > 1}
        assert varied == wanted
        assert {o["backbone"] for o in options} == {"resnet18"}
    ablation = [asdict(replace(base, **method.changes)) for method in TABLES["table4"][1]]
    assert [(o["channel_attention"], o["spatial_attention"]) for o in ablation[:3]] == [
        (True, True),
        (False, True),
        (True, False),
    ]


def test_a_published_network_is_judged_alone_on_whole_windows_and_long_enough():
    chosen = alone(training_options())
    assert (chosen.ensemble, chosen.view, chosen.epochs) == ((), 1.0, LEAST_EPOCHS)
    assert alone(training_options("paper")).epochs == 220
