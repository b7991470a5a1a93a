"""The plugin's algorithms in real QGIS: what geomfaf is asked, and what stands in the project afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
from shapely import Point

sys.path.insert(0, str(Path(__file__).parents[1] / "deliver"))
from run_folders import RECORD, full_run

from geomfaf.deliver.layers import write_layers
from geomfaf.deliver.qgis.project import write_project

SYSTEM_PYTHON = Path("/usr/bin/python3")
SCRIPT = Path(__file__).with_name("qgis_run.py")

# Stands for geomfaf: notes what it was asked, and fills the folders as geomfaf would.
FAKE = """#!{python}
import json, os, shutil, sys
from pathlib import Path
if sys.argv[1:] == ["--version"]:
    sys.exit(print("geomfaf 0.2.0"))
with open({asked!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if os.environ.get("FAKE_ERROR"):
    event = {{"event": "error", "text": os.environ["FAKE_ERROR"]}}
    sys.exit(print(json.dumps(event), file=sys.stderr) or 3)
print(json.dumps({{"event": "message", "text": "working"}}), file=sys.stderr)
run = Path({run!r})
arguments = sys.argv[3:]
if arguments[0] == "run" and "--out" in arguments:
    shutil.copytree(run, arguments[arguments.index("--out") + 1], dirs_exist_ok=True)
if arguments[0] == "init":
    Path(arguments[arguments.index("--toml") + 1]).write_text("# written")
if arguments[0] in ("grid", "stack"):
    shutil.copy(run / "stack.tif", arguments[2])
if "--style" in arguments:
    shutil.copy(run / "stack.qml", Path(arguments[2]).with_suffix(".qml"))
if arguments[0] == "demo":
    shutil.copy({survey!r}, Path(arguments[1]) / "survey.gpkg")
if arguments[0] == "check":
    shutil.copy({findings!r}, Path(arguments[arguments.index("--out") + 1]) / "check.gpkg")
if "--sheet" in arguments:
    Path(arguments[arguments.index("--sheet") + 1]).write_text("sheet of " + arguments[2])
if arguments[0] == "report":
    (Path(arguments[1]) / "report.html").write_text("again")
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Return what the script saw, and what geomfaf was asked."""
    if not SYSTEM_PYTHON.exists():
        pytest.skip("QGIS is not here: apt-get install python3-qgis, for /usr/bin/python3")
    there = subprocess.run([SYSTEM_PYTHON, "-c", "import qgis.core"], capture_output=True)
    if there.returncode:
        pytest.skip("QGIS is not here: apt-get install python3-qgis, for /usr/bin/python3")
    folder = tmp_path_factory.mktemp("plugin")
    run = full_run(folder / "run")
    (run / "isolines.gpkg").unlink()  # fewer layers, less time
    write_project(run, RECORD)
    (run / "run.json").write_text("{}")
    (run / "report.html").write_text("<title>x</title>")
    (run / "survey.gpkg").rename(folder / "survey.gpkg")
    findings = folder / "findings.gpkg"
    points = gpd.GeoDataFrame({"what": ["x"]}, geometry=[Point(0, 0)], crs="EPSG:32633")
    write_layers({"findings": points}, findings)
    asked = folder / "asked.jsonl"
    command = folder / "my geomfaf"
    stand_in = FAKE.format(
        python=sys.executable,
        asked=str(asked),
        run=str(run),
        survey=str(folder / "survey.gpkg"),
        findings=str(findings),
    )
    command.write_text(stand_in)
    command.chmod(0o755)
    environment = {**os.environ, "GEOMFAF_COMMAND": str(command), "HOME": str(folder)}
    found = subprocess.run(
        [SYSTEM_PYTHON, SCRIPT, folder],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    calls = [json.loads(line)[2:] for line in asked.read_text().splitlines()]
    assert not (folder / "gone").exists()
    return json.loads(found.stdout.splitlines()[-1]), calls, folder


ALGORITHMS = {
    "demo": "Data",
    "check": "Data",
    "grid": "Data",
    "stack": "Data",
    "run": "Map",
    "targets": "Map",
    "explain": "Results",
    "report": "Results",
    "install": "Setup",
}


def test_all_algorithms_are_there_with_help_in_groups(report):
    found, _, _ = report
    algorithms = found["algorithms"]
    assert {name.removeprefix("geomfaf:"): a["group"] for name, a in algorithms.items()} == (
        ALGORITHMS
    )
    for name, algorithm in algorithms.items():
        assert len(algorithm["help"]) > 100, name
        assert not algorithm["hidden"], name
        assert algorithm["inputs"], name
        assert algorithm["outputs"], name


def test_labels_say_the_unit_of_each_number(report):
    found, _, _ = report
    for algorithm in found["algorithms"].values():
        for name, label in algorithm["inputs"].items():
            if name in ("CELL", "DISTANCE"):
                assert "(m;" in label
            if name == "SHARE":
                assert "(%;" in label


def test_what_comes_back_is_declared(report):
    """The model designer and qgis_process know only outputs that are declared."""
    found, _, _ = report
    for name in (*ALGORITHMS, "named", "toml"):
        runs = found[name] if isinstance(found[name], list) else [found[name]]
        for one in runs:
            assert not one.get("undeclared"), name


def test_layers_reach_geomfaf_by_their_roles(report):
    found, _, folder = report
    out = folder / "it's $(touch gone) 金"
    assert found["check"]["done"], found["check"]
    layers = dict(pyogrio.list_layers(out / "survey.gpkg"))
    assert set(layers) == {"samples", "deposits", "geology", "faults", "study_area"}
    back = pyogrio.read_dataframe(out / "survey.gpkg", layer="samples")
    assert len(back) == 30


def test_the_same_layers_are_the_same_bytes(report):
    """A cancelled run goes on where it stopped only if its survey is what it was."""
    found, _, _ = report
    assert found["same_survey"]


def test_broken_layers_reach_geomfaf_which_reports_them(report):
    found, _, folder = report
    assert found["broken"].get("done"), found["broken"]
    rows = pyogrio.read_dataframe(folder / "broken" / "survey.gpkg", layer="geology")
    assert rows["rock"].tolist() == ["rock 0", "rock 1", "rock 2"]
    assert rows.geometry.is_valid.tolist()[::2] == [False, True]


def test_arguments_are_passed_as_they_are(report):
    _, calls, folder = report
    out = folder / "it's $(touch gone) 金"
    check = ["check", str(out / "survey.gpkg"), "--out", str(out), "--overwrite"]
    assert check in calls
    settings = [
        "preset=mfaf",
        'samples.elements=["Au"]',
        "deposits.where=\"name = 'O''Brien \\\"x\\\" $(touch gone)'\"",
        "grid.cell=50",
    ]
    # 1. The project file holds the settings of the dialog; the run takes them from there.
    toml = str(out / "geomfaf.toml")
    init = ["init", str(out / "survey.gpkg"), "--toml", toml, "--overwrite"]
    init += [part for setting in settings for part in ("--set", setting)]
    run = ["run", toml, "--out", str(out / "out"), "--overwrite"]
    assert calls.count(init) == 3
    assert calls.count(run) == 3
    # 2. Of a file that is chosen, they go before what it says.
    own = [*run, "--set", "grid.cell=70", "--quick"]
    own[1], own[3] = str(folder / "own.toml"), str(folder / "by file" / "out")
    assert own in calls


def test_relative_paths_are_those_of_who_asks(report):
    found, calls, folder = report
    assert [one.get("done") for one in found["relative"]] == [True] * 3, found["relative"]
    assert (folder / "beside" / "grid.tif").exists()
    assert (folder / "beside" / "T1.html").exists()
    run = ["run", str(folder / "own.toml"), "--out", str(folder / "beside" / "out"), "--overwrite"]
    assert run in calls


def test_targets_again_keeps_the_settings_of_the_run(report):
    _, calls, folder = report
    out = str(folder / "it's $(touch gone) 金" / "out")
    again = ["run", out, "--overwrite"]
    rules = ("targets.area_share=0.03", "targets.known_distance=700")
    assert [*again, *(part for rule in rules for part in ("--set", rule))] in calls
    # The folder of the project stands for the run in it.
    assert again in calls


def test_a_project_file_that_was_changed_by_hand_is_kept(report):
    found, _, folder = report
    kept = folder / "it's $(touch gone) 金" / "geomfaf_before.toml"
    assert kept.read_text() == "# by hand\n"
    assert "is kept as" in found["run"][2]["log"]
    assert "is kept as" not in found["run"][1]["log"]


def test_the_result_is_one_styled_group(report):
    found, _, _ = report
    assert all(run["done"] for run in found["run"])
    assert found["groups"] == [RECORD["title"]]
    assert len(found["layers"]) > 15
    missing = {"Faults", "Study area", "Samples", "Geology"}  # moved away with survey.gpkg
    for name, (valid, renderer) in found["layers"].items():
        assert valid or name in missing, name
        assert renderer != "singlebandgray", name
    assert found["layers"]["Targets"] == [True, "categorizedSymbol"]


def test_layers_are_not_doubled_in_the_projects_own_window(report):
    found, _, _ = report
    before, after = found["in_its_own_project"]
    assert before == after > 15


def test_surveys_and_findings_are_shown(report):
    found, _, folder = report
    assert set(found["demo_layers"]) == {
        "Samples with element columns",
        "Known deposits",
        "Geological map",
        "Faults",
        "Study area",
    }
    assert list(found["check_layers"]) == ["Findings, points"]
    file = folder / "it's $(touch gone) 金" / "check.gpkg"
    assert found["check"]["FINDINGS"] == f"{file}|layername=findings"
    assert "FINDINGS_LINES" not in found["check"]


def test_rasters_are_shown_in_classes(report):
    """QGIS itself would mix three bands into colours that mean nothing."""
    found, _, _ = report
    assert found["stack"]["done"], found["stack"]
    assert found["stack_shown"] == "singlebandpseudocolor" != found["stack_before"]


def test_a_model_chains_run_targets_and_report(report):
    """In a thread of its own, as QGIS runs it; its layers are in the window's project afterwards."""
    found, _, _ = report
    assert found["model"]["problems"] == []
    assert found["model"]["done"] == [True]
    assert found["model"]["groups"] == [RECORD["title"]]


def test_the_target_that_is_clicked_on_is_explained(report):
    found, calls, folder = report
    sheet = Path(found["explain"]["SHEET"])
    name = found["explain"]["NAME"]
    assert sheet.read_text(encoding="utf-8") == f"sheet of {name}"
    assert "is the nearest" not in found["explain"]["log"]
    assert "is the nearest" in found["far"]["log"]
    run = str(folder / "it's $(touch gone) 金" / "out")
    assert ["explain", run, name, "--sheet", str(sheet), "--overwrite"] in calls
    assert found["named"]["NAME"] == "T2"
    assert found["unnamed"]["refused"] == "Click on a target, or write its name, such as T1."


def test_the_report_is_opened_and_written_again_only_where_that_is_asked_for(report):
    found, calls, _ = report
    reports = [call for call in calls if call[0] == "report"]
    assert len(reports) == 1
    assert Path(found["report"]["REPORT"]).name == "report.html"


def test_messages_are_geomfafs_own_or_say_what_to_do(report):
    found, _, folder = report
    assert found["failing"] == {"error": "the layer samples has no element column: name one."}
    assert found["nothing"]["refused"].startswith("Choose samples and deposits")
    assert found["both"]["refused"].startswith("A project file names its own data")
    assert found["install"] == {"refused": "Nothing was installed: tick the box to agree."}
    assert found["install_nothing"]["refused"].startswith("Say what to install")
    assert "holds no finished run" in found["lost"]["error"]
    assert "holds no finished run" in found["no_run"]["error"]
    assert "cancelled" in found["cancelled"]["error"]
    assert not list((folder / "cancelled").iterdir())
