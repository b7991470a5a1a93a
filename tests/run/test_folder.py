"""The folder of a run: whose files are replaced, and whose are not; one run at a time."""

import json
import os
import subprocess
import sys

import pytest

from geomfaf.errors import OutputExistsError, UsageError
from geomfaf.files import WatchedFolder, finished_file, watch_folder, write_json
from geomfaf.run.folder import (
    KEPT,
    MARKER,
    known_files,
    locked_folder,
    note_files,
    require_run_folder,
)


def test_a_new_and_an_empty_folder_are_taken(tmp_path):
    require_run_folder(tmp_path / "new", [])
    require_run_folder(tmp_path, [])


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "targets.csv").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"did not make \(targets\.csv\)"):
        require_run_folder(tmp_path, [])
    assert (tmp_path / "targets.csv").read_text() == "mine"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        require_run_folder(tmp_path / "out", [])


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_an_input_in_the_run_folder_is_refused_under_any_name(tmp_path, link):
    out = tmp_path / "out"
    out.mkdir()
    note_files(out, ["targets.gpkg"])
    inside = out / "targets.gpkg"
    inside.write_text("my deposits")
    source = inside
    if link is not None:
        source = tmp_path / "deposits.gpkg"
        link(inside, source)
    with pytest.raises(UsageError, match="lies in the run folder"):
        require_run_folder(out, [source])


def test_a_link_in_the_folder_to_an_input_is_refused(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    note_files(out, [])
    (tmp_path / "survey.gpkg").write_text("mine")
    (out / "stack.tif").symlink_to(tmp_path / "survey.gpkg")
    with pytest.raises(UsageError, match="lies in the run folder"):
        require_run_folder(out, [tmp_path / "survey.gpkg"])


def test_only_known_files_are_replaced(tmp_path):
    (tmp_path / "mine.csv").write_text("mine")
    (tmp_path / "ours.csv").write_text("old")
    watch = WatchedFolder(tmp_path, {"ours.csv"})
    with watch_folder(watch):
        for name in ("ours.csv", "new.csv", "new.csv"):
            with finished_file(tmp_path / name, overwrite=True) as path:
                path.write_text("new")
        with (
            pytest.raises(OutputExistsError, match="not a file that geomfaf made"),
            finished_file(tmp_path / "mine.csv", overwrite=True) as path,
        ):
            path.write_text("new")
    assert (tmp_path / "mine.csv").read_text() == "mine"
    assert (tmp_path / "ours.csv").read_text() == "new"
    assert set(watch.made) == {"ours.csv", "new.csv"}
    write_json({}, tmp_path / "mine.csv", overwrite=True)  # watched no more


def test_a_second_run_is_refused_with_the_process_of_the_first(tmp_path):
    with locked_folder(tmp_path / "out"):
        code = (
            "from geomfaf.run.folder import locked_folder\n"
            "from pathlib import Path\n"
            f"with locked_folder(Path({str(tmp_path / 'out')!r})): pass"
        )
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"process {os.getpid()}, since" in second.stderr
    assert "UsageError" in second.stderr
    assert not (tmp_path / "out" / KEPT / "running.json").exists()


def test_the_lock_of_a_killed_run_is_no_lock_and_what_it_left_is_swept(tmp_path):
    out = tmp_path / "out"
    code = (
        "import os, signal\n"
        "from geomfaf.files import finished_file\n"
        "from geomfaf.run.folder import locked_folder\n"
        "from pathlib import Path\n"
        f"with locked_folder(Path({str(out)!r})), finished_file({str(out / 'a.tif')!r}) as path:\n"
        "    path.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True)
    left = [path.name for path in out.glob(".*")]
    assert len(left) == 1
    assert not (out / "a.tif").exists()
    with locked_folder(out):
        assert json.loads((out / KEPT / "running.json").read_text())["process"] == os.getpid()
    assert {path.name for path in out.iterdir()} == {MARKER, KEPT}


def test_a_damaged_marker_names_nothing(tmp_path):
    (tmp_path / MARKER).write_text('{"files": ')
    assert known_files(tmp_path) == {MARKER}
