"""`make plugin` gives a ZIP that QGIS installs: one folder, its metadata, the licence, nothing else.

The rules are those of the plugin repository's validator (QGIS-Plugins-Website, plugins/validator.py)
but that addresses answer: none is public yet.
"""

import re
import shutil
import subprocess
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "qgis_plugin" / "geomfaf_qgis"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The ZIP, made from a folder in which the plugin had been run."""
    folder = tmp_path_factory.mktemp("make")
    for name in ("qgis_plugin", "LICENSE", "Makefile"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    # What running it, and systems, leave behind stays out.
    plugin = folder / "qgis_plugin" / "geomfaf_qgis"
    (plugin / "__pycache__").mkdir(exist_ok=True)
    (plugin / "__pycache__" / "x.pyc").write_bytes(b"x")
    (plugin / ".DS_Store").write_bytes(b"x")
    (plugin / ".idea").mkdir()
    (plugin / ".idea" / "x.xml").write_bytes(b"x")
    subprocess.run(["make", "plugin"], cwd=folder, check=True, capture_output=True)
    path = folder / "dist" / "geomfaf_qgis.zip"
    # The same files give the same bytes.
    first = path.read_bytes()
    subprocess.run(["make", "plugin"], cwd=folder, check=True, capture_output=True)
    assert path.read_bytes() == first
    with zipfile.ZipFile(path) as found:
        assert found.testzip() is None
        yield found


def test_the_zip_has_the_structure_that_qgis_demands(archive):
    names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"geomfaf_qgis"}
    needed = ("__init__.py", "metadata.txt", "LICENSE", "icon.svg")
    assert {f"geomfaf_qgis/{name}" for name in needed} <= set(names)
    sources = {path.name for path in (ROOT / "qgis_plugin" / "geomfaf_qgis").glob("*.py")}
    assert {name.split("/")[-1] for name in names if name.endswith(".py")} == sources


def test_the_zip_holds_nothing_hidden_built_or_binary(archive):
    for name in archive.namelist():
        assert not re.search(r"__pycache__|__MACOSX|\.pyc|\.\.|/\.|^/", name), name
        # Every file is text.
        archive.read(name).decode("utf-8")
    assert sum(info.file_size for info in archive.infolist()) < 25_000_000


def test_the_plugin_says_that_it_runs_on_qt_5_and_6(archive):
    metadata = ConfigParser()
    metadata.optionxform = str
    metadata.read_string(archive.read("geomfaf_qgis/metadata.txt").decode("utf-8"))
    found = dict(metadata["general"])
    assert found["qgisMinimumVersion"] == "3.22"
    # From QGIS 4 on a plugin counts for it where its last version is said to be one of those.
    assert found["qgisMaximumVersion"] == "4.99"
    assert "/" not in found["author"]
    for flag in ("experimental", "deprecated", "server"):
        assert found[flag] in ("True", "False")


def test_qt_is_reached_through_qgis_alone():
    """PyQt5 or PyQt6, as QGIS has it; enums by their full names, which both know."""
    for path in (ROOT / "qgis_plugin").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"PyQt[56]|exec_\(|QVariant\.", text), path.name


def test_metadata_has_what_qgis_asks_for():
    metadata = ConfigParser()
    metadata.read(PLUGIN / "metadata.txt", encoding="utf-8")
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
    assert (PLUGIN / found["icon"]).exists()
