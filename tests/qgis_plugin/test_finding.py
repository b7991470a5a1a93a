"""The plugin finds geomfaf on every system and runs it without a shell; fake commands stand for it."""

import json
import re
import stat
import sys
import threading
import time
from configparser import ConfigParser
from pathlib import Path

import pytest

import geomfaf

PLUGIN = Path(__file__).parents[2] / "qgis_plugin"
sys.path.insert(0, str(PLUGIN))

from geomfaf_qgis.finding import (  # noqa: E402
    ENVIRONMENT,
    NotFoundError,
    candidates,
    clean_environment,
    find_command,
    how_to_update,
    require_version,
)
from geomfaf_qgis.install import install_steps, python_of_qgis  # noqa: E402
from geomfaf_qgis.process import RunError, run_process  # noqa: E402


def fake(path: Path, body: str) -> Path:
    """Write a program in Python that can be run by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport json, signal, sys, time\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


class Feedback:
    """What the plugin's run tells QGIS."""

    def __init__(self, cancel_after: float = 0):
        self.lines = []
        self.progress = []
        self.texts = []
        self.until = time.monotonic() + cancel_after if cancel_after else None

    def isCanceled(self):
        return self.until is not None and time.monotonic() > self.until

    def pushInfo(self, text):
        self.lines.append(text)

    def pushWarning(self, text):
        self.lines.append(f"warning: {text}")

    def setProgress(self, percent):
        self.progress.append(percent)

    def setProgressText(self, text):
        self.texts.append(text)


@pytest.mark.parametrize(
    ("system", "place"),
    [
        ("Linux", "project/.venv/bin/geomfaf"),
        ("Linux", "home/.local/bin/geomfaf"),
        ("Linux", "home/.local/share/uv/tools/geomfaf/bin/geomfaf"),
        ("Linux", "home/.local/pipx/venvs/geomfaf/bin/geomfaf"),
        ("Linux", "home/miniforge3/envs/maps/bin/geomfaf"),
        ("Linux", "tools/geomfaf"),
        ("Darwin", "home/.local/bin/geomfaf"),
        ("Darwin", "home/anaconda3/bin/geomfaf"),
        ("Darwin", f"profile/{ENVIRONMENT}/bin/geomfaf"),
        ("Windows", "project/.venv/Scripts/geomfaf.exe"),
        ("Windows", f"profile/{ENVIRONMENT}/Scripts/geomfaf.exe"),
        ("Windows", "home/.local/bin/geomfaf.exe"),
        ("Windows", "appdata/uv/tools/geomfaf/Scripts/geomfaf.exe"),
        ("Windows", "home/miniconda3/envs/maps/Scripts/geomfaf.exe"),
        ("Windows", "tools/geomfaf.exe"),
    ],
)
def test_geomfaf_is_found_where_each_system_keeps_it(tmp_path, system, place):
    wanted = fake(tmp_path / place, "")
    split = ";" if system == "Windows" else ":"
    variables = {
        "PATH": split.join([str(tmp_path / "nothing"), str(tmp_path / "tools")]),
        "APPDATA": str(tmp_path / "appdata"),
    }
    home = tmp_path / "home"
    places = candidates(
        system, variables, home, tmp_path / "profile", tmp_path / "project" / "maps"
    )
    assert find_command("", places) == wanted


def test_the_chosen_command_goes_before_all_others(tmp_path):
    chosen = fake(tmp_path / "my tools" / "geomfaf", "")
    other = fake(tmp_path / "geomfaf", "")
    assert find_command(str(chosen), [other]) == chosen
    with pytest.raises(NotFoundError, match="cannot be run: correct the path"):
        find_command(str(tmp_path / "gone"), [other])


def test_without_geomfaf_the_message_says_what_to_do(tmp_path):
    with pytest.raises(NotFoundError, match='Run the algorithm "Install geomfaf"'):
        find_command("", [tmp_path / "geomfaf"])


def test_an_old_geomfaf_is_told_apart_from_something_else(tmp_path):
    old = fake(tmp_path / "old", "print('geomfaf 0.0.9')")
    with pytest.raises(NotFoundError, match=r"is geomfaf 0\.0\.9; this plugin needs 0\.2\.0"):
        require_version(old)
    other = fake(tmp_path / "other", "print('hello')")
    with pytest.raises(NotFoundError, match="does not answer like geomfaf: hello"):
        require_version(other)
    new = fake(tmp_path / "new", "print('geomfaf 0.12.3\\npython 3.12.1')")
    assert require_version(new) == "0.12.3"


def test_geomfaf_of_today_answers_as_the_plugin_expects(tmp_path):
    """What stands for geomfaf in other tests must not speak another language than geomfaf."""
    home = str(Path(geomfaf.__file__).parents[1])
    body = f"sys.path.insert(0, {home!r})\nfrom geomfaf.cli.main import main\nmain()"
    assert require_version(fake(tmp_path / "geomfaf", body)) == geomfaf.__version__


@pytest.mark.parametrize(
    ("place", "way"),
    [
        (f"profile/{ENVIRONMENT}/bin/geomfaf", 'run the algorithm "Install geomfaf" again'),
        ("uv/tools/geomfaf/bin/geomfaf", "uv tool upgrade geomfaf"),
        ("pipx/venvs/geomfaf/bin/geomfaf", "pipx upgrade geomfaf"),
        ("envs/maps/bin/geomfaf", "pip install --upgrade geomfaf"),
    ],
)
def test_the_message_says_how_to_update(tmp_path, place, way):
    old = fake(tmp_path / place, "print('geomfaf 0.1.0')")
    with pytest.raises(NotFoundError, match=way):
        require_version(old)
    # uv and pipx put a link where commands are.
    link = tmp_path / "geomfaf"
    link.symlink_to(old)
    assert way in how_to_update(link)


def test_what_qgis_says_of_its_python_stays_with_qgis():
    found = clean_environment({"PYTHONHOME": "x", "PROJ_LIB": "y", "PATH": "z"})
    assert found == {"PATH": "z"}


HOSTILE = ["a b", 'quo"te', "it's", "$(touch gone)", "`touch gone`", "金 ä; rm x", "--not", "*"]


def test_names_pass_through_untouched(tmp_path):
    body = f"json.dump(sys.argv[1:], open({str(tmp_path / 'said.json')!r}, 'w'))"
    command = fake(tmp_path / "it's a tool" / "geomfaf", body)
    run_process([str(command), *HOSTILE], Feedback(), tmp_path)
    assert json.loads((tmp_path / "said.json").read_text()) == HOSTILE
    assert not (tmp_path / "gone").exists()


def test_progress_messages_and_the_error_come_from_geomfaf(tmp_path):
    events = [
        {"event": "stage", "stage": "check", "number": 1, "of": 4, "state": "remembered"},
        {"event": "stage", "stage": "train", "number": 2, "of": 4, "state": "begins"},
        {"event": "progress", "stage": "training", "done": 5, "total": 10, "seconds_left": 7},
        {"event": "message", "text": "half of it"},
        {"event": "error", "text": 'the layer "x" has no rows: give another.', "exit_code": 3},
    ]
    body = f"for event in {events!r}: print(json.dumps(event), file=sys.stderr)\nsys.exit(3)"
    feedback = Feedback()
    with pytest.raises(RunError, match=r'^the layer "x" has no rows: give another\.$'):
        run_process([str(fake(tmp_path / "geomfaf", body))], feedback, tmp_path)
    assert feedback.progress == [25, 25, 37.5]
    assert feedback.texts == ["train (2 of 4)", "training: 50 %, 7 s left"]
    assert feedback.lines == ["half of it"]


class CancelledOnce(Feedback):
    """Cancelled as soon as a file says something."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def isCanceled(self):
        return self.path.exists() and bool(self.path.read_text())


def test_cancel_stops_the_process_and_its_helpers(tmp_path):
    """A process that says nothing for a minute is stopped at once, as by Ctrl+C."""
    body = f"""
import subprocess
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in the background
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
try:
    open({str(tmp_path / "pids")!r}, "w").write(str(helper.pid))
    time.sleep(60)
except KeyboardInterrupt:
    open({str(tmp_path / "asked")!r}, "w").close()
"""
    began = time.monotonic()
    with pytest.raises(RunError, match="cancelled"):
        run_process(
            [str(fake(tmp_path / "geomfaf", body))], CancelledOnce(tmp_path / "pids"), tmp_path
        )
    # Long before the minute is over, however busy the machine is.
    assert time.monotonic() - began < 55
    assert (tmp_path / "asked").exists()
    helper = Path("/proc") / (tmp_path / "pids").read_text()
    until = time.monotonic() + 30
    while helper.exists() and "Z" not in _state(helper) and time.monotonic() < until:
        time.sleep(0.05)
    assert not helper.exists() or "Z" in _state(helper)


def _state(process: Path) -> str:
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


def test_much_output_does_not_block(tmp_path):
    body = "for k in range(20000): print('line', k, file=sys.stderr)"
    feedback = Feedback()
    thread = threading.Thread(
        target=run_process, args=([str(fake(tmp_path / "geomfaf", body))], feedback, tmp_path)
    )
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert len(feedback.lines) == 20000


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
@pytest.mark.parametrize("uv", [None, "/opt/uv"])
def test_installing_makes_an_environment_and_fills_it(tmp_path, system, uv):
    environment = tmp_path / "my environment"
    make, fill = install_steps(environment, "geomfaf", uv, system)
    assert str(environment) in make
    assert fill[-1] == "geomfaf"
    inside = "Scripts" if system == "Windows" else "bin"
    assert any(Path(part).parent == environment / inside for part in fill)
    assert ("--torch-backend" in fill) == bool(uv)


def test_qgis_itself_is_never_taken_for_python(tmp_path):
    assert python_of_qgis(tmp_path, "Windows") == str(tmp_path / "python.exe")
    assert python_of_qgis(tmp_path, "Linux") == "python3"


def test_no_shell_is_ever_asked():
    for path in PLUGIN.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "shell=True" not in text
        assert not re.search(r"os\.system|os\.popen", text)


def test_metadata_has_what_qgis_asks_for():
    metadata = ConfigParser()
    metadata.read(PLUGIN / "geomfaf_qgis" / "metadata.txt", encoding="utf-8")
    found = dict(metadata["general"])
    needed = (
        *("name", "qgisminimumversion", "description", "about", "version", "author", "email"),
        *("repository", "tracker"),
    )
    assert all(found.get(name) for name in needed)
    for name in ("homepage", "repository", "tracker"):
        assert found[name].startswith("https://")
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    # Shown as plain text.
    assert not re.search(r"[<>\n]", found["description"] + found["about"])
    assert found["hasprocessingprovider"] == "yes"
    assert (PLUGIN / "geomfaf_qgis" / found["icon"]).exists()
