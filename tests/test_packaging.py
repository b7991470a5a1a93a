"""What is packed: the same bytes each time, complete, of one version, and it runs from elsewhere."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from projects import tiny_words
from run_builder import make_run

import geomfaf

ROOT = Path(__file__).parents[1]
PACKED = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "Makefile")
FOLDERS = ("geomfaf", "examples")


def copy_of_the_source(folder: Path) -> Path:
    """Copy what is packed; every file is as new as the copy."""
    paths = [ROOT / name for name in PACKED]
    for name in FOLDERS:
        paths += [path for path in (ROOT / name).rglob("*") if "__pycache__" not in path.parts]
    for path in paths:
        if path.is_file():
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def build(source: Path, out: Path) -> dict[str, str]:
    """Build sdist and wheel; return their hashes by name."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with sdist and wheel, and their hashes when built twice."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("packed")
    found = []
    for number in ("1", "2"):
        source = copy_of_the_source(folder / f"source{number}")
        if number == "2":  # another day, another machine
            for path in source.rglob("*"):
                os.utime(path, (1.2e9, 1.2e9))
        found.append(build(source, folder / f"dist{number}"))
    return folder / "dist1", found


def test_the_same_files_give_the_same_bytes(built):
    _, (first, second) = built
    assert len(first) == 2
    assert first == second


def test_the_archives_have_nothing_that_a_checker_minds(built):
    pytest.importorskip("twine")
    pytest.importorskip("check_wheel_contents")
    dist, _ = built
    files = [str(path) for path in dist.iterdir()]
    wheel = [path for path in files if path.endswith(".whl")]
    for words in (["twine", "check", "--strict", *files], ["check_wheel_contents", *wheel]):
        result = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


def test_the_wheel_holds_all_that_the_package_reads(built):
    import zipfile

    dist, _ = built
    names = set(zipfile.ZipFile(next(dist.glob("*.whl"))).namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "geomfaf").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= names
    assert {name.split("/")[0] for name in names - wanted} == {
        f"geomfaf-{geomfaf.__version__}.dist-info"
    }


@pytest.mark.slow
def test_installed_from_the_wheel_it_works_in_another_folder(built, tmp_path):
    """Survey, check, run and report of the installed package: they read every kind of file in it."""
    dist, _ = built
    site = tmp_path / "site"
    wheel = next(dist.glob("*.whl"))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", site, wheel]
    subprocess.run(command, check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    make_run(elsewhere)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def call(*words: str) -> str:
        result = subprocess.run(
            [sys.executable, *words],
            cwd=elsewhere,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    place = call("-c", "import geomfaf; print(geomfaf.__file__)").strip()
    assert Path(place).is_relative_to(site)
    call("-m", "geomfaf", "demo", "demo", "--no-run")
    assert "samples" in call("-m", "geomfaf", "check", "demo/survey.gpkg", "--json")
    call("-m", "geomfaf", "report", "out")
    assert "leaflet" in (elsewhere / "out" / "report.html").read_text(encoding="utf-8").lower()
    # The demo to its end, with what the wheel holds alone.
    call("-m", "geomfaf", *tiny_words("demo/geomfaf.toml", "demo/out"))
    for name in ("report.html", "targets.gpkg", "project.qgz", "run.json"):
        assert (elsewhere / "demo" / "out" / name).exists(), name


def test_every_place_names_the_same_version():
    version = geomfaf.__version__
    for name, pattern in (
        ("CITATION.cff", r"^version: (.+)$"),
        ("CHANGELOG.md", r"^## (\S+)"),
        ("qgis_plugin/geomfaf_qgis/metadata.txt", r"^version=(.+)$"),
        ("packaging/conda/meta.yaml", r'set version = "(.+)"'),
    ):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.search(pattern, text, re.MULTILINE).group(1) == version, name


CONDA_NAMES = {"torch": "pytorch", "lazy-loader": "lazy_loader", "matplotlib": "matplotlib-base"}


def test_the_conda_recipe_asks_for_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = set()
    for line in project["dependencies"]:
        name, least = line.split(">=")
        wanted.add(f"{CONDA_NAMES.get(name, name)} >={least}")
    text = (ROOT / "packaging/conda/meta.yaml").read_text(encoding="utf-8")
    run = text.split("  run:")[1].split("test:")[0]
    assert set(re.findall(r"- (.+)", run)) - {"python >=3.11"} == wanted


def test_every_extra_is_in_all_or_for_developers():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = extras["optional-dependencies"]
    named = set(re.search(r"\[(.+)\]", extras["all"][0]).group(1).split(","))
    assert named == set(extras) - {"all", "test", "docs", "dev"}
