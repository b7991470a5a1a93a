"""The plugin runs geomfaf without a shell, shows how far it is and stops it; fakes stand for it."""

import json
import re
import threading
import time
from pathlib import Path

import pytest
from stand_ins import PLUGIN, Feedback, fake

import geomfaf
from geomfaf.progress import show_progress

from geomfaf_qgis.process import RunError, run_process  # isort: skip
from geomfaf_qgis.progress import Report  # isort: skip


HOSTILE = ["a b", 'quo"te', "it's", "$(touch gone)", "`touch gone`", "金 ä; rm x", "--not", "*"]


def test_names_pass_through_untouched(tmp_path):
    body = f"json.dump(sys.argv[1:], open({str(tmp_path / 'said.json')!r}, 'w'))"
    command = fake(tmp_path / "it's a tool" / "geomfaf", body)
    run_process([str(command), *HOSTILE], Feedback(), tmp_path)
    assert json.loads((tmp_path / "said.json").read_text()) == HOSTILE
    assert not (tmp_path / "gone").exists()


def test_messages_and_the_error_come_from_geomfaf(tmp_path):
    events = [
        {"event": "progress", "stage": "gridding", "done": 5, "total": 10, "seconds_left": 70},
        {"event": "message", "text": "half of it"},
        {
            **{"event": "finding", "severity": "noticed", "layer": "geology", "column": ""},
            **{"rule": "gaps", "count": 4, "done": "unmapped"},
        },
        {"event": "warning", "text": "slow"},
        {"event": "error", "text": 'the layer "x" has no rows: give another.', "exit_code": 3},
    ]
    body = f"for event in {events!r}: print(json.dumps(event), file=sys.stderr)\nsys.exit(3)"
    feedback = Feedback()
    with pytest.raises(RunError, match=r'^the layer "x" has no rows: give another\.$'):
        run_process([str(fake(tmp_path / "geomfaf", body))], feedback, tmp_path)
    assert feedback.progress == [50]
    assert feedback.texts == ["gridding: 50 %, about 1 min left"]
    assert feedback.lines == [
        "half of it",
        "noticed: geology: gaps (4): unmapped",
        "warning: slow",
    ]


def stage(name, number, state, **content):
    return json.dumps(
        {"event": "stage", "stage": name, "number": number, "of": 3, "state": state, **content}
    )


def test_the_bar_goes_by_how_long_stages_usually_take(monkeypatch):
    """Stages of 10, 60 and 30 usual seconds, on a computer half as fast."""
    clock = [0.0]
    monkeypatch.setattr("geomfaf_qgis.progress.time.monotonic", lambda: clock[0])
    feedback = Feedback()
    report = Report(feedback)
    report.take(stage("check", 1, "begins", usual_seconds=10, usual_seconds_left=100))
    clock[0] = 20
    report.take(stage("check", 1, "done"))
    report.take(stage("train", 2, "begins", usual_seconds=60, usual_seconds_left=90))
    assert feedback.progress[-1] == pytest.approx(10)
    assert feedback.texts[-1] == "train (2 of 3), about 3 min left"
    # 1. Nothing is said for a minute: the bar moves all the same.
    clock[0] = 80
    report.tick()
    assert feedback.progress[-1] == pytest.approx(40)
    assert feedback.texts[-1] == "train (2 of 3), about 2 min left"
    # 2. A loop inside begins again and again: the bar never goes back.
    event = {"event": "progress", "stage": "folds", "done": 1, "total": 5, "seconds_left": 9}
    report.take(json.dumps(event))
    assert feedback.texts[-1] == "train (2 of 3): folds 20 %, about 2 min left"
    # 3. Longer than usual: it waits at the end of the stage.
    clock[0] = 1000
    report.tick()
    assert feedback.progress[-1] == pytest.approx(67)
    report.take(stage("train", 2, "done"))
    report.take(stage("report", 3, "begins", usual_seconds=30, usual_seconds_left=30))
    report.take(stage("report", 3, "remembered"))
    assert feedback.progress[-1] == pytest.approx(100)
    assert feedback.progress == sorted(feedback.progress)


def test_stages_of_a_real_run_say_how_long_they_take(tmp_path, capfd):
    survey, _ = geomfaf.make_survey("small")
    geomfaf.write_survey(survey, tmp_path / "survey.gpkg")
    geomfaf.init_project([tmp_path / "survey.gpkg"], tmp_path / "geomfaf.toml")
    show_progress("json")
    try:
        geomfaf.run_project(tmp_path / "geomfaf.toml", until="check")
    finally:
        show_progress("none")
    feedback = Feedback()
    report = Report(feedback)
    for line in capfd.readouterr().err.splitlines():
        report.take(line)
    assert report.own == 0
    assert 0 < feedback.progress[-1] < 5
    assert feedback.texts[0].startswith("check (1 of ")


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


def test_no_shell_is_ever_asked():
    for path in PLUGIN.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "shell=True" not in text
        assert not re.search(r"os\.system|os\.popen", text)
