"""What a program reads of a run on data at the edge of what a survey is."""

import json
import subprocess
import sys

import pytest
from projects import tiny_project, tiny_words


@pytest.mark.slow
def test_a_run_of_one_element_says_everything_in_json(tmp_path):
    """In a process of its own: what libraries write to stderr themselves would be seen too."""
    toml = tiny_project(tmp_path / "survey", elements=["Au_ppb"])
    command = [sys.executable, "-m", "geomfaf", "--progress", "json"]
    words = [*command, *tiny_words(toml, tmp_path / "out")]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    events = [json.loads(line) for line in result.stderr.splitlines()]
    stages = [event for event in events if event["event"] == "stage"]
    assert [event["state"] for event in stages] == ["begins", "done"] * (len(stages) // 2)
    assert stages[-1]["number"] == stages[-1]["of"] == len(stages) // 2
    assert {event["event"] for event in events} >= {"stage", "message", "progress"}
    assert (tmp_path / "out" / "report.html").exists()
