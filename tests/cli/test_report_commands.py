"""`geomfaf report` and `geomfaf figure` on a finished run's folder."""

import pytest
from click.testing import CliRunner
from run_builder import make_run

from geomfaf.cli.main import main
from geomfaf.cli.report_commands import NAMES
from geomfaf.deliver.figures.run_figures import FIGURES


def call(*words):
    return CliRunner().invoke(main, ["--progress", "none", *map(str, words)])


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("commands"))


def test_the_report_is_made_again_from_the_folder_alone(out):
    result = call("report", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(out / "report.html"), str(out / "summary.md")]
    first = (out / "report.html").read_bytes()
    assert call("report", out).exit_code == 0
    assert (out / "report.html").read_bytes() == first


def test_a_figure_is_drawn_where_it_is_wanted(out, tmp_path):
    result = call("figure", "curves", out, "--folder", tmp_path / "f", "--format", "svg")
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "f").iterdir()] == ["curves.svg"]
    again = call("figure", "curves", out, "--folder", tmp_path / "f", "--format", "svg")
    assert again.exit_code != 0
    assert "--overwrite" in again.stderr


def test_the_command_names_every_figure_there_is():
    assert set(NAMES) == set(FIGURES)


@pytest.mark.parametrize("words", [["report"], ["figure", "all"]])
def test_a_folder_without_a_run_is_refused_in_one_line(tmp_path, words):
    result = call(*words, tmp_path)
    assert result.exit_code == 2
    assert "holds no scores.tif" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
