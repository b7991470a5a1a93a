"""The plugin's algorithms in real QGIS: what geomfaf is asked, and what stands in the project afterwards."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyogrio
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "deliver"))
from run_folders import RECORD, full_run

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
arguments = sys.argv[3:]
if arguments[0] == "run":
    shutil.copytree({run!r}, arguments[arguments.index("--out") + 1], dirs_exist_ok=True)
if arguments[0] == "init":
    Path(arguments[arguments.index("--toml") + 1]).write_text("")
if arguments[0] in ("grid", "stack"):
    shutil.copy(Path({run!r}) / "stack.tif", arguments[2])
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
    asked = folder / "asked.jsonl"
    command = folder / "my geomfaf"
    command.write_text(FAKE.format(python=sys.executable, asked=str(asked), run=str(run)))
    command.chmod(0o755)
    environment = {**os.environ, "GEOMFAF_COMMAND": str(command), "HOME": str(folder)}
    found = subprocess.run(
        [SYSTEM_PYTHON, SCRIPT, folder],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    calls = [json.loads(line) for line in asked.read_text().splitlines()]
    assert not (folder / "gone").exists()
    return json.loads(found.stdout.splitlines()[-1]), calls, folder


def test_all_algorithms_are_there_with_help(report):
    found, _, _ = report
    names = ("check", "explain", "grid", "install", "report", "run", "stack", "targets")
    assert found["algorithms"] == [f"geomfaf:{name}" for name in names]
    assert all(found["help"].values())


def test_layers_reach_geomfaf_by_their_roles(report):
    found, _, folder = report
    out = folder / "it's $(touch gone) 金"
    assert found["check"]["done"], found["check"]
    layers = dict(pyogrio.list_layers(out / "survey.gpkg"))
    assert set(layers) == {"samples", "deposits", "geology", "faults", "study_area"}
    back = pyogrio.read_dataframe(out / "survey.gpkg", layer="samples")
    assert len(back) == 30


def test_arguments_are_passed_as_they_are(report):
    _, calls, folder = report
    out = folder / "it's $(touch gone) 金"
    check = ["check", str(out / "survey.gpkg"), "--out", str(out), "--overwrite"]
    assert ["--progress", "json", *check] in calls
    (asked, again) = [call for call in calls if call[2] == "run" and "preset=mfaf" in call]
    assert asked == again
    settings = [asked[k + 1] for k, part in enumerate(asked) if part == "--set"]
    assert settings == [
        "preset=mfaf",
        'samples.elements=["Au"]',
        "deposits.where=\"name = 'O''Brien \\\"x\\\" $(touch gone)'\"",
        "grid.cell=50",
    ]
    targets = calls[[call[2] for call in calls].index("report") - 1]
    assert targets[-4:] == [
        "--set",
        "targets.area_share=0.03",
        "--set",
        "targets.known_distance=700",
    ]


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


def test_a_target_is_explained(report):
    found, _, _ = report
    text = Path(found["explain"]["SHEET"]).read_text(encoding="utf-8")
    assert "High gold beside a fault." in text
    assert "<script>" not in text


def test_messages_are_geomfafs_own_or_say_what_to_do(report):
    found, _, folder = report
    assert found["failing"] == {"error": "the layer samples has no element column: name one."}
    assert found["nothing"]["refused"].startswith("Choose samples and deposits")
    assert found["install"] == {"error": "nothing was installed: tick the box to agree."}
    assert "holds no targets" in found["lost"]["error"]
    assert "cancelled" in found["cancelled"]["error"]
    assert not list((folder / "cancelled").glob("*.gpkg"))
