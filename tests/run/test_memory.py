"""Stages that write small files: what is made again, what is not, and what an interruption costs."""

import os
import signal
from dataclasses import replace

import pytest

from geomfaf.errors import OutputExistsError
from geomfaf.files import finished_file
from geomfaf.run.folder import known_files, locked_folder
from geomfaf.run.memory import Memory, Stage, source_hash
from geomfaf.run.project import Project
from geomfaf.run.results import Results
from geomfaf.run.stage_settings import train_settings


class Chain:
    """Three stages: numbers, their sum (with a checkpoint for each number), and a text."""

    def __init__(self, folder):
        self.project = Project(
            folder, {}, folder / "out", stages={"numbers": {"count": 3}, "text": {"unit": "m"}}
        )
        self.made = []
        self.added = []
        self.fail_after = None
        self.stages = [
            Stage("numbers", self.numbers, lambda p: p.stage("numbers"), "settings"),
            Stage("sum", self.sum, lambda p: None, "settings", ("numbers",)),
            Stage("text", self.text, lambda p: p.stage("text"), "settings", ("sum",)),
        ]

    def numbers(self, results, _):
        self.write(
            "numbers.txt", " ".join(map(str, range(results.project.stage("numbers")["count"])))
        )

    def sum(self, results, unfinished):
        total = 0
        for number in (self.out / "numbers.txt").read_text().split():
            kept = unfinished / number
            if not kept.exists():
                if len(self.added) == self.fail_after:
                    raise KeyboardInterrupt
                self.added.append(number)
                kept.write_text(number)
            total += int(kept.read_text())
        self.write("sum.txt", str(total))

    def text(self, results, _):
        unit = results.project.stage("text")["unit"]
        self.write("text.txt", f"{(self.out / 'sum.txt').read_text()} {unit}")

    @property
    def out(self):
        return self.project.out

    def write(self, name, text):
        self.made.append(name)
        with finished_file(self.out / name, overwrite=True) as path:
            path.write_text(text)

    def run(self, **tables):
        """Run with some settings changed; return the files that were made."""
        self.made.clear()
        self.project = replace(self.project, stages={**self.project.stages, **tables})
        with locked_folder(self.out):
            memory = Memory(self.project, self.stages)
            for stage in self.stages:
                memory.run(stage, Results(self.project))
        return [name.removesuffix(".txt") for name in self.made]


@pytest.fixture
def chain(tmp_path):
    return Chain(tmp_path)


def test_nothing_is_made_twice(chain):
    assert chain.run() == ["numbers", "sum", "text"]
    assert chain.run() == []
    assert (chain.out / "text.txt").read_text() == "3 m"


def test_a_setting_makes_its_stage_and_those_after_it(chain):
    chain.run()
    assert chain.run(text={"unit": "km"}) == ["text"]
    assert (chain.out / "text.txt").read_text() == "3 km"
    assert chain.run(numbers={"count": 4}) == ["numbers", "sum", "text"]
    assert (chain.out / "text.txt").read_text() == "6 km"


def test_a_setting_that_changes_no_file_stops_there(chain):
    chain.run()
    assert chain.run(numbers={"count": 3, "colour": "red"}) == ["numbers"]


@pytest.mark.parametrize("damage", ["cut", "gone", "note", "binary note"])
def test_a_file_that_is_not_as_it_was_is_made_again(chain, damage):
    chain.run()
    if damage == "cut":
        (chain.out / "sum.txt").write_text("")
    elif damage == "gone":
        (chain.out / "sum.txt").unlink()
    else:
        content = b'{"key": ' if damage == "note" else bytes(range(256))
        (chain.out / "kept" / "stages" / "sum.json").write_bytes(content)
    assert chain.run() == ["sum"]
    assert (chain.out / "sum.txt").read_text() == "3"


def test_an_interrupted_stage_goes_on_where_it_stopped(chain):
    chain.fail_after = 2
    with pytest.raises(KeyboardInterrupt):
        chain.run()
    assert not (chain.out / "sum.txt").exists()
    chain.fail_after = None
    assert chain.run() == ["sum", "text"]
    assert chain.added == ["0", "1", "2"]
    assert not list((chain.out / "kept" / "unfinished").iterdir())


def test_what_is_unfinished_is_not_taken_for_other_inputs(chain):
    chain.fail_after = 2
    with pytest.raises(KeyboardInterrupt):
        chain.run()
    chain.fail_after = None
    chain.run(numbers={"count": 4})
    assert chain.added == ["0", "1", "0", "1", "2", "3"]


def test_another_program_text_makes_everything_again(chain, monkeypatch):
    chain.run()
    monkeypatch.setattr("geomfaf.run.memory.source_hash", lambda last: "another")
    assert chain.run() == ["numbers", "sum", "text"]


def test_later_folders_decide_nothing_of_earlier_stages():
    assert source_hash("settings") != source_hash("deliver")


def test_a_file_of_the_users_is_never_replaced(chain):
    with locked_folder(chain.out):
        pass
    (chain.out / "sum.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="not a file that geomfaf made"):
        chain.run()
    assert (chain.out / "sum.txt").read_text() == "mine"
    assert "sum.txt" not in known_files(chain.out)


def test_every_stage_says_what_it_cost(chain):
    with locked_folder(chain.out):
        memory = Memory(chain.project, chain.stages)
        for stage in chain.stages:
            memory.run(stage, Results(chain.project))
    for note in memory.notes.values():
        assert note["seconds"] >= 0
        assert note["peak_mb"] > 10


def test_other_weights_are_another_training_wherever_they_lie(tmp_path):
    start = tmp_path / "start.pth"
    keys = []
    for content in (b"one", b"one", b"two"):
        start.write_bytes(content)
        project = Project(tmp_path, {}, tmp_path / "out", stages={"train": {"weights": str(start)}})
        keys.append(str(train_settings(project)))
        start = start.rename(tmp_path / f"{len(keys)}.pth")
    assert keys[0] == keys[1] != keys[2]


def test_files_of_a_killed_stage_are_its_own(chain, monkeypatch):
    """Between a file's appearance and the end of its stage the process dies, and notes nothing."""
    monkeypatch.setattr("geomfaf.run.memory.note_files", lambda out, names: None)
    chain.fail_after = 3

    def die(results, unfinished):
        Chain.sum(chain, results, unfinished)
        os.kill(os.getpid(), signal.SIGKILL)

    chain.stages[1] = replace(chain.stages[1], make=die)
    child = os.fork()
    if child == 0:
        chain.run()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    monkeypatch.undo()
    assert (chain.out / "sum.txt").exists()
    chain.stages[1] = replace(chain.stages[1], make=chain.sum)
    assert chain.run() == ["sum", "text"]
