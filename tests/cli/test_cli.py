"""Commands as a user types them: the examples of the help texts, and what bad input says."""

import json
import re
import shlex
from importlib.metadata import version
from pathlib import Path

import click
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from builders import make_grid, make_stack, points_in, scattered_cells
from click.testing import CliRunner
from shapely import Point

from geomfaf.cli.main import main
from geomfaf.cli.options import SettingType
from geomfaf.rasters.bands import making_of_bands
from geomfaf.rasters.geotiff import read_raster, write_raster

STAGES = "check screen grid rasterize stack windows pretrain train evaluate predict targets".split()


def call(*words):
    return CliRunner().invoke(main, ["--progress", "none", *map(str, words)])


def example_of(name):
    text = " ".join(call(name, "--help").stdout.split())
    found = re.search(r"Example: geomfaf (.+?)(?= Options:)", text)
    assert found, f"the help of {name} has no example"
    return shlex.split(found.group(1))


QUICK = {
    "[grid]": "cell = 200",
    "[folds]": "count = 3",
    "[evaluate]": 'draws = 1\nnetwork_draws = 1\nshifts = 0\nbaselines = ["extra trees"]\noptimism = []',
}


def coarse(toml):
    """Large cells and few draws make the demo quick; everything else stays as `init` wrote it."""
    text = toml.read_text()
    for heading, lines in QUICK.items():
        assert text.count(f"{heading}\n") == 1
        text = text.replace(f"{heading}\n", f"{heading}\n{lines}\n")
    toml.write_text(text)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    result = call("demo", folder / "demo", "--no-run")
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.slow
def test_the_examples_of_all_help_texts_run_on_the_demo_data(demo, monkeypatch):
    monkeypatch.chdir(demo)
    order = [
        "init",
        "run",
        "check",
        "screen",
        "grid",
        "rasterize",
        "stack",
        "weights",
        "windows",
        "pretrain",
        "train",
    ]
    for name in [*order, "predict", "evaluate", "targets"]:
        words = example_of(name)
        assert words[0] == name
        result = call(*words)
        assert result.exit_code == 0, f"geomfaf {' '.join(words)}: {result.output}"
        if name == "init":
            coarse(demo / "demo" / "geomfaf.toml")
    assert set(gpd.list_layers("demo/targets.gpkg")["name"]) >= {"targets", "cells", "deposits"}
    assert (demo / "demo" / "targets.csv").exists()
    with rasterio.open("demo/grid.tif") as grid:
        assert grid.descriptions == ("Au (ppb), IDW", "Cu (ppm), IDW")
        assert grid.units == ("ppb", "ppm")
        assert grid.res == (100, 100)


@pytest.mark.parametrize("name", main.commands)
def test_every_command_has_an_example_and_says_its_defaults(name):
    assert example_of(name)[0] == name
    assert name in call("--help").stdout
    for option in main.commands[name].params:
        if isinstance(option.type, SettingType | click.Choice) and isinstance(option, click.Option):
            assert "[default: " in option.help, option.name


def test_the_help_says_the_exit_codes():
    text = " ".join(call("--help").stdout.split())
    assert "Exit codes: 0 done, 1 failed, 2 wrong use, 3 data refused, 130 interrupted." in text


@pytest.mark.parametrize(("stage", "until"), [("windows", "stack"), ("screen", None)])
def test_a_closed_list_is_a_choice(stage, until):
    for option in main.commands[stage].params:
        if option.name in ("kind", "rule", "fold_kind", "method"):
            assert isinstance(option.type, click.Choice), option.name


def test_tables_go_to_stdout_as_json(demo):
    result = call("screen", demo / "demo" / "survey.gpkg", "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert {"element", "auc", "zauc", "n_ore", "n_barren", "kept"} <= set(rows[0])
    assert all(row["n_ore"] > 0 and row["n_barren"] > 0 for row in rows)


def test_weights_of_evidence_are_printed_and_mapped(tmp_path):
    grid = make_grid(60, 60)
    ore = scattered_cells(grid, 30, 0)
    write_raster(make_stack(grid, 0, ore=ore), tmp_path / "stack.tif")
    points_in(grid, *ore).to_file(tmp_path / "deposits.gpkg", layer="deposits")
    words = ["weights", tmp_path / "stack.tif", tmp_path / "deposits.gpkg", "--json"]
    result = call(*words, "--ascending", "Cu", "--out", tmp_path / "posterior.tif")
    assert result.exit_code == 0, result.output
    rows = {row["band"]: row for row in json.loads(result.stdout)}
    assert (rows["Cu"]["method"], rows["Au"]["method"]) == ("ascending", "descending")
    assert rows["Au"]["studentised"] > 5
    with rasterio.open(tmp_path / "posterior.tif") as posterior:
        assert posterior.read(1).max() <= 1
    cuts = json.loads(call(*words, "--band", "geology").stdout)
    assert [row["class"] for row in cuts] == [1, 2]
    assert sum(row["points"] for row in cuts) == 30
    wrong = call(*words, "--band", "geolgy")
    assert wrong.exit_code == 2
    assert 'Did you mean "geology"' in wrong.stderr


def test_a_csv_in_kilometres_is_gridded(tmp_path):
    table = pd.DataFrame({"X": [421.05, 421.45], "Y": [2416.05, 2416.25], "Au": [1.0, 5.0]})
    table.to_csv(tmp_path / "s.csv", index=False)
    out = tmp_path / "au.tif"
    words = [
        "grid",
        tmp_path / "s.csv",
        out,
        "--x",
        "X",
        "--y",
        "Y",
        "--crs",
        "EPSG:32649",
        "--xy-unit",
        "km",
    ]
    result = call(
        *words, "--cell", 100, "--bounds", "421000,2416000,421500,2416300", "--elements", "au"
    )
    assert result.exit_code == 0, result.output
    with rasterio.open(out) as grid:
        values = grid.read(1)
        assert grid.crs.to_epsg() == 32649
        row, col = grid.index(421050, 2416050)
        assert values[row, col] == 1.0
        row, col = grid.index(421450, 2416250)
        assert values[row, col] == 5.0
    again = call(*words, "--cell", 100)
    assert again.exit_code == 1
    assert "--overwrite" in again.output


def write_survey(path, deposits=8, crs=32650, **columns):
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 10_000, (60, 2)) + np.array([400_000, 2_400_000])
    columns = columns or {"Au_ppb": rng.lognormal(size=60), "Cu_ppm": rng.lognormal(size=60)}
    gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(*xy.T), crs=crs).to_file(
        path, layer="samples"
    )
    points = [
        Point(*p) for p in rng.uniform(1000, 9000, (deposits, 2)) + np.array([400_000, 2_400_000])
    ]
    frame = gpd.GeoDataFrame({"name": [f"D{i}" for i in range(deposits)]}, geometry=points, crs=crs)
    frame.to_file(path, layer="deposits")
    return path


def refused(result, code, *words):
    """One message, the right exit code, no traceback."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    message = [line for line in result.output.splitlines() if line.startswith("geomfaf: ")]
    assert len(message) == 1
    for word in words:
        assert word in result.output


@pytest.mark.parametrize(("count", "word"), [(0, "empty"), (1, "only one deposit")])
def test_too_few_deposits_are_refused(tmp_path, count, word):
    survey = write_survey(tmp_path / "s.gpkg", deposits=2)
    layer = gpd.read_file(survey, layer="deposits").iloc[:count]
    layer.to_file(survey, layer="deposits")
    result = call("check", survey)
    if count == 0:  # an empty layer plays no role
        refused(result, 3, "deposits")
    else:
        refused(result, 3, word)


def test_samples_without_crs_are_refused_with_the_command_that_helps(tmp_path):
    pd.DataFrame({"x": [1.0], "y": [2.0], "Au": [1.0]}).to_csv(tmp_path / "s.csv", index=False)
    refused(call("grid", tmp_path / "s.csv", tmp_path / "o.tif"), 3, "--crs EPSG:")
    assert not (tmp_path / "o.tif").exists()


def test_a_missing_layer_names_the_nearest_one(demo, tmp_path):
    result = call("grid", demo / "demo" / "survey.gpkg", tmp_path / "o.tif", "--layer", "sample")
    refused(result, 2, 'no layer "sample"', 'Did you mean "samples"?')


def test_no_element_columns_are_refused(tmp_path):
    survey = write_survey(tmp_path / "s.gpkg", remarks=["a"] * 60)
    refused(call("check", survey), 3, "no layer looks like samples")
    refused(call("grid", survey, tmp_path / "o.tif", "--layer", "samples"), 3, "chemical element")


def test_a_cell_too_small_for_the_memory_is_refused(demo, tmp_path):
    result = call("grid", demo / "demo" / "survey.gpkg", tmp_path / "o.tif", "--cell", "0.01")
    refused(result, 2, "GB are free on the disk", "Use cells of at least")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[grid]\npowr = 3\n", 'Did you mean "power"?'),
        ("[gird]\ncell = 100\n", 'Did you mean "grid"?'),
        ("[samples]\npath = 's.gpkg'\nlayr = 'x'\n", 'Did you mean "layer"?'),
        ("[train]\nepoch = 3\n", 'Did you mean "epochs"?'),
        ("[train]\nweights_sha256 = 'ab'\n", 'has no setting "weights_sha256"'),
        ("seed = \n", "not a TOML file"),
    ],
)
def test_an_unknown_key_in_the_project_names_the_nearest_one(tmp_path, text, hint):
    (tmp_path / "geomfaf.toml").write_text(text)
    refused(call("run", tmp_path / "geomfaf.toml"), 2, hint)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = -1", "seed = -1 must lie between 0 and 2147483647"),
        ("out = 5", "out = 5 must be a text in quotes"),
        ('[windows]\nsize = "8"', '[windows] size = "8" must be a whole number'),
        ("[windows]\nsize = 8.5", "[windows] size = 8.5 must be a whole number"),
        ("[windows]\nstrides = 4", "[windows] strides = 4 must be a list"),
        ('[windows]\nnegatives = "4"', "must be a number"),
        ("[folds]\ncount = 2.5", "[folds] count = 2.5 must be a whole number"),
        ("[folds]\nzones = 5", "must be a text in quotes"),
        ("[samples]\npath = 5", "[samples] path = 5 must be a text"),
        ("[deposits]\npath = 's.gpkg'\nwhere = 5", "[deposits] where = 5 must be a text"),
        ("[samples]\npath = 's.gpkg'\nencoding = 5", "[samples] encoding = 5 must be a text"),
        (
            "[deposits]\npath = 's.gpkg'\nswap_xy = 'false'",
            '[deposits] swap_xy = "false" must be true or false',
        ),
        ("[check]\nstrict = 'false'", '[check] strict = "false" must be true or false'),
        ("[grid]\nbarriers = 'false'", '[grid] barriers = "false" must be true or false'),
        (
            "[train]\ndevice = 'gpu'",
            '[train] device = "gpu" is unknown. Did you mean "cpu"? Known: auto, cpu, cuda, mps',
        ),
        ("[predict]\nuncertainty = 'mc-dropout'", "[predict] uncertainty is gone: it went with"),
        ("[train]\npartners = ['extra trees']", "[train] partners is gone: it is called ensemble"),
        ('preset = "tree-initialised"', 'preset = "tree-initialised" is gone: the network as a'),
        ("[predict]\nstride = 0", "[predict] stride = 0 must be 1 or more"),
        ("[evaluate]\ndraws = 0", "[evaluate] draws = 0 must lie between 1 and 1000"),
        ("[evaluate]\nshifts = true", "[evaluate] shifts = true must be a whole number"),
        ("[evaluate]\npaper_protocol = 1", "[evaluate] paper_protocol = 1 must be true or false"),
        ('[evaluate]\nbaselines = ["extra tree"]', 'Did you mean "extra trees"?'),
        (
            '[evaluate]\noptimism = "MFAF"',
            '[evaluate] optimism = "MFAF" must be a list in brackets',
        ),
        ('[evaluate]\noptimism = ["mfaf"]', 'Did you mean "MFAF"?'),
        (
            "[targets]\narea_share = 5",
            "[targets] area_share = 5 must lie between 0 and 1, both excluded",
        ),
        ("[targets]\nknown_distance = -1", "known_distance = -1"),
        ('[targets]\nby = "vote"', "by is gone"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_before_any_work(tmp_path, text, words):
    (tmp_path / "geomfaf.toml").write_text(text + "\n")
    result = call("run", tmp_path)  # the folder stands for its geomfaf.toml
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_places_that_cannot_be_written_are_refused_before_any_work(tmp_path):
    """The inputs are no rasters: whoever read them first would complain about them."""
    for name in ("stack.tif", "windows.gpkg", "file"):
        (tmp_path / name).write_text("nothing")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.safetensors").write_text("kept")
    inputs = tmp_path / "stack.tif", tmp_path / "windows.gpkg"
    for words, said in (
        (("train", *inputs, tmp_path / "model"), "weights.safetensors exists"),
        (("train", *inputs, tmp_path / "file" / "model"), "cannot be made"),
        (
            ("predict", tmp_path / "stack.tif", tmp_path / "model", tmp_path / "none" / "s.tif"),
            "does not exist",
        ),
        (
            ("predict", tmp_path / "stack.tif", tmp_path / "model", tmp_path / "s.png"),
            "name it .tif for GeoTIFF or .zarr for Zarr",
        ),
        (("weights", *inputs, "--out", tmp_path / "s.png"), "name it s.tif"),
    ):
        result = call(*words)
        assert result.exit_code != 0
        assert said in " ".join(result.stderr.split())
    assert (tmp_path / "model" / "weights.safetensors").read_text() == "kept"


def test_a_place_that_cannot_be_read_or_written_is_one_line(tmp_path):
    result = call("check", tmp_path / "survey.csv", "--out", "/proc/none/out")
    assert result.exit_code != 0
    (tmp_path / "broken.tif").write_text("nothing")
    result = call("predict", tmp_path / "broken.tif", tmp_path, tmp_path / "out.tif")
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1


def test_pretraining_refuses_windows_that_do_not_fit(tmp_path):
    write_raster(make_stack(make_grid(40, 40)), tmp_path / "stack.tif")
    words = ("pretrain", tmp_path / "stack.tif", tmp_path / "out", "--steps", 1, "--size")
    for size, said in (
        (0, "0 must lie between 2 and 1024"),
        (-3, "-3 must lie between 2 and 1024"),
        (41, "does not fit a stack of 40 x 40 cells"),
    ):
        refused(call(*words, size), 2, said)


def test_the_screening_of_a_project_file_is_the_files(demo, tmp_path):
    toml = tmp_path / "geomfaf.toml"
    assert call("init", demo / "demo" / "survey.gpkg", "--toml", toml).exit_code == 0
    toml.write_text(toml.read_text().replace("[screen]", "[screen]\ncritical = 99.0"))
    kept = [row["kept"] for row in json.loads(call("screen", toml, "--json").stdout)]
    assert not any(kept)
    given = [
        row["kept"]
        for row in json.loads(call("screen", toml, "--json", "--critical", "2.58").stdout)
    ]
    assert any(given)


@pytest.mark.slow
def test_the_screening_of_a_project_file_takes_its_seed(demo, tmp_path):
    toml = tmp_path / "geomfaf.toml"
    assert call("init", demo / "demo" / "survey.gpkg", "--toml", toml).exit_code == 0
    toml.write_text("seed = 7\n" + toml.read_text().replace("seed = ", "# seed = "))
    here, there, other = (
        json.loads(call("screen", toml, "--json", "--method", "svm", *given).stdout)
        for given in ((), ("--seed", 7), ("--seed", 8))
    )
    assert here == there != other


def test_a_finished_run_is_kept_without_overwrite(tmp_path):
    survey = write_survey(tmp_path / "s.gpkg")
    assert call("init", survey, "--toml", tmp_path / "p.toml").exit_code == 0
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{}")
    refused(call("run", tmp_path / "p.toml"), 1, "--overwrite")
    refused(call("init", survey, "--toml", tmp_path / "p.toml"), 1, "--overwrite")
    assert (tmp_path / "out" / "run.json").read_text() == "{}"


def test_a_text_that_is_no_bounds_is_a_usage_error(demo, tmp_path):
    result = call("grid", demo / "demo" / "survey.gpkg", tmp_path / "o.tif", "--bounds", "1,2,3")
    assert result.exit_code == 2
    assert "W,S,E,N" in result.output


def test_what_the_gridding_offers_can_be_asked_for(demo, tmp_path):
    survey = demo / "demo" / "survey.gpkg"
    out = tmp_path / "o.zarr"
    words = (
        "grid",
        survey,
        out,
        "--elements",
        "Au,Cu",
        "--cell",
        "200",
        "--power",
        "auto",
        "--neighbours",
        "8",
    )
    more = (
        "--extras",
        "distance,count",
        "--barriers",
        survey,
        "--max-distance",
        "900",
        "--anisotropy",
        "2,30",
    )
    result = CliRunner().invoke(
        main, [*map(str, ("--progress", "plain", *words, *more, "--minimum", "2"))]
    )
    assert result.exit_code == 0, result.output
    assert "smallest leave-one-out error: power" in result.stderr
    assert "RMSE log10, spatial blocks" in result.stderr
    found = read_raster(out)
    assert found["band"].values.tolist() == ["Au_ppb", "Cu_ppm", "nearest_sample", "samples_used"]
    nearest = found.sel(band="nearest_sample").values
    assert np.isnan(found.sel(band="Au_ppb").values[nearest > 900.01]).all()
    assert float(making_of_bands(found)["Au_ppb"]["rmse_log10_spatial_blocks"]) > 0


def test_grids_and_stacks_say_how_they_are_drawn_where_it_is_asked_for(demo, tmp_path):
    survey = demo / "demo" / "survey.gpkg"
    for command in ("grid", "stack"):
        out = tmp_path / f"{command}.tif"
        words = ("--elements", "Au", "--cell", "400", "--no-errors", "--style")
        assert call(command, survey, out, *words).exit_code == 0
        assert "rasterrenderer" in out.with_suffix(".qml").read_text(encoding="utf-8")
    # The names of the rocks.
    assert (tmp_path / "stack.tif.aux.xml").exists()


def test_a_stack_of_a_project_file_is_built_as_the_file_says(demo, tmp_path):
    toml = demo / "demo" / "power.toml"
    text = (demo / "demo" / "geomfaf.toml").read_text()
    toml.write_text(
        text.replace("[grid]", "[grid]\npower = 3\nscale = 'linear'\nmax_distance = 5000\n", 1)
    )
    words = ("--elements", "Au", "--cell", "400", "--no-errors", "--power", "1.5")
    for given, power in ((words[:-2], "3"), (words, "1.5")):
        out = tmp_path / f"{power}.tif"
        assert call("stack", toml, out, *given).exit_code == 0
        notes = making_of_bands(read_raster(out))["Au_ppb"]
        assert notes == {"idw_power": power, "idw_neighbours": "12", "idw_scale": "linear"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("--power", "two"), ["--power", 'two must be a number or "auto"']),
        (("--radius", "-5"), ["--radius", "-5 must be more than 0"]),
        (
            ("--scheduler", "tcp://127.0.0.1:9"),
            ["no Dask scheduler answers at tcp://127.0.0.1:9", "leave --scheduler"],
        ),
    ],
)
def test_gridding_options_that_cannot_be_met_leave_nothing_behind(demo, tmp_path, words, parts):
    survey = demo / "demo" / "survey.gpkg"
    result = call("grid", survey, tmp_path / "o.tif", "--elements", "Au", "--cell", "200", *words)
    refused(result, 2, *parts)
    assert not list(tmp_path.iterdir())


def test_a_result_that_is_an_input_is_refused_before_any_work(tmp_path):
    survey = write_survey(tmp_path / "s.gpkg")
    before = survey.read_bytes()
    (tmp_path / "hard.tif").hardlink_to(survey)
    (tmp_path / "soft.tif").symlink_to(survey)
    (tmp_path / "p.toml").write_text("[samples]\npath = 's.gpkg'\n")
    for words in (
        ("grid", survey, survey),
        ("grid", survey, tmp_path / "hard.tif"),
        ("grid", survey, tmp_path / "soft.tif"),
        ("stack", tmp_path / "p.toml", tmp_path / "hard.tif"),
        ("predict", survey, tmp_path, survey),
        ("init", survey, "--toml", survey),
        ("weights", survey, survey, "--out", tmp_path / "hard.tif"),
    ):
        refused(call(*words, "--overwrite"), 2, "is one of the inputs")
    assert survey.read_bytes() == before


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "a\x7fb"])
def test_a_path_that_no_line_can_show_is_refused_in_one_line(tmp_path, name):
    refused(call("check", f"{tmp_path}/{name}.gpkg"), 2, "is no path")


def test_targets_and_windows_are_geopackages(tmp_path):
    for name in ("scores.tif", "d.gpkg"):
        (tmp_path / name).write_text("nothing")
    for command in ("targets", "windows"):
        words = (tmp_path / "scores.tif", tmp_path / "d.gpkg", tmp_path / "t.shp")
        refused(call(command, *words), 2, "a GeoPackage is written, name it t.gpkg")


def test_with_json_progress_everything_on_stderr_is_json(demo, tmp_path):
    survey = demo / "demo" / "survey.gpkg"
    (tmp_path / "bad.toml").write_text("[grid]\npowr = 3\n")
    for words, last, code in (
        (("grid", survey, tmp_path / "o.tif", "--elements", "Au", "--cell", 400), "message", 0),
        (("screen", survey), "message", 0),
        (("run", tmp_path / "bad.toml"), "error", 2),
        (("grid", survey, tmp_path / "p.tif", "--power", "two"), "error", 2),
        (("check", tmp_path / "none.gpkg"), "error", 2),
    ):
        result = CliRunner().invoke(main, ["--progress", "json", *map(str, words)])
        assert result.exit_code == code, result.output
        events = [json.loads(line) for line in result.stderr.splitlines()]
        assert events[-1]["event"] in (last, "progress")
        if code:
            assert events[-1]["exit_code"] == code


def test_quiet_says_errors_alone(demo, tmp_path):
    survey = demo / "demo" / "survey.gpkg"
    words = ["-q", "screen", str(survey)]
    assert CliRunner().invoke(main, words).stderr == ""
    result = CliRunner().invoke(main, ["-q", "screen", str(tmp_path / "none.gpkg")])
    assert len(result.stderr.splitlines()) == 1


def test_tables_into_a_pipe_are_tab_separated(demo):
    lines = call("screen", demo / "demo" / "survey.gpkg").stdout.splitlines()
    assert lines[0].split("\t")[0] == "element"
    assert len({line.count("\t") for line in lines}) == 1


def test_the_doctor_finds_this_installation_well():
    result = call("doctor")
    assert result.exit_code == 0, result.output
    assert "FAILED" not in result.stdout
    assert result.stdout.count("passed") == 3


def test_a_plan_writes_nothing_and_says_why(demo):
    toml = demo / "demo" / "plan.toml"
    toml.write_text((demo / "demo" / "geomfaf.toml").read_text())
    words = ("--set", "targets.area_share=0.02", "--seed", 3, "--out", demo / "planned")
    result = call("run", toml, "--plan", *words)
    assert result.exit_code == 0, result.output
    shown = result.stdout.splitlines()
    assert any(line.split() == ["targets.area_share", "0.02", "(--set)"] for line in shown)
    assert "not made yet" in result.stdout
    assert not (demo / "planned").exists()
    quick = [line.split() for line in call("run", toml, "--plan", "--quick").stdout.splitlines()]
    assert ["evaluate.draws", "1", "(quick)"] in quick
    assert ["predict.stride", "8", "(quick)"] in quick
    refused(call("run", toml, "--set", "targets.area_shares=0.02"), 2, 'mean "area_share"')
    refused(call("run", toml, "--set", "targets"), 2, "is no setting")


def test_the_version_is_that_of_the_package_and_of_what_its_numbers_depend_on():
    lines = call("--version").stdout.splitlines()
    assert lines[0] == f"geomfaf {version('geomfaf')}"
    said = dict(line.split(" ") for line in lines)
    assert {"python", "numpy", "torch", "rasterio", "scikit-learn"} <= set(said)
    assert said["torch"] == version("torch")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_completes_commands_and_choices(shell):
    """The page's own line names the variable; the shell then asks with the words typed so far."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    variable = f"_GEOMFAF_COMPLETE={shell}_source geomfaf"
    assert variable in page
    name = variable.partition("=")[0]

    def asked(words, place, **more):
        environment = {name: f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": place, **more}
        answer = CliRunner(env=environment).invoke(main, prog_name="geomfaf")
        return answer.output.split()

    source = CliRunner(env={name: f"{shell}_source"}).invoke(main, prog_name="geomfaf").output
    assert f"{shell}_complete" in source
    # fish gives the word under the cursor instead of its number.
    assert any(
        "rasterize" in word for word in asked("geomfaf rast", "rast" if shell == "fish" else "1")
    )
    words = "geomfaf figure "
    found = asked(words, "" if shell == "fish" else "2")
    assert any("geology" in word for word in found)


def test_samples_alone_are_told_what_is_missing(tmp_path):
    table = tmp_path / "s.csv"
    table.write_text("x,y,Au_ppb\n1,2,<5\n3,4,7\n")
    advice = "Name the file of the known deposits behind the others."
    refused(call("check", table), 3, "no layer looks like deposits", advice)
