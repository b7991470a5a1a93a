"""The plugin finds geomfaf on every system and says how to update it; fake commands stand for it."""

from pathlib import Path

import pytest
from stand_ins import fake

import geomfaf

from geomfaf_qgis.finding import (  # isort: skip  (stand_ins says where it is)
    ENVIRONMENT,
    NotFoundError,
    candidates,
    clean_environment,
    find_command,
    how_to_update,
    require_version,
)


@pytest.mark.parametrize(
    ("system", "place"),
    [
        ("Linux", "project/.venv/bin/geomfaf"),
        ("Linux", "home/.local/bin/geomfaf"),
        ("Linux", "home/.local/share/uv/tools/geomfaf/bin/geomfaf"),
        ("Linux", "home/.local/pipx/venvs/geomfaf/bin/geomfaf"),
        ("Linux", "home/miniforge3/envs/maps/bin/geomfaf"),
        ("Linux", "noted by conda/bin/geomfaf"),
        ("Linux", "uv tools/geomfaf/bin/geomfaf"),
        ("Linux", "pipx home/venvs/geomfaf/bin/geomfaf"),
        ("Linux", "tools/geomfaf"),
        ("Darwin", "home/.local/bin/geomfaf"),
        ("Darwin", "home/anaconda3/bin/geomfaf"),
        ("Darwin", f"profile/{ENVIRONMENT}/bin/geomfaf"),
        ("Darwin", "home/Library/Application Support/pipx/venvs/geomfaf/bin/geomfaf"),
        ("Darwin", "home/miniforge3/envs/maps/bin/geomfaf"),
        ("Windows", "local/pipx/pipx/venvs/geomfaf/Scripts/geomfaf.exe"),
        ("Windows", "local/miniconda3/Scripts/geomfaf.exe"),
        ("Windows", "programs/anaconda3/envs/maps/Scripts/geomfaf.exe"),
        ("Windows", "noted by conda/Scripts/geomfaf.exe"),
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
        "UV_TOOL_DIR": str(tmp_path / "uv tools"),
        "PIPX_HOME": str(tmp_path / "pipx home"),
    }
    if system == "Windows":
        folders = {"APPDATA": "appdata", "LOCALAPPDATA": "local", "PROGRAMDATA": "programs"}
        variables |= {name: str(tmp_path / folder) for name, folder in folders.items()}
    home = tmp_path / "home"
    (home / ".conda").mkdir(parents=True)
    (home / ".conda" / "environments.txt").write_text(f"{tmp_path / 'noted by conda'}\n")
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
