"""What a reader copies from README, start page, guide and conventions runs, on one small survey."""

import re
import shlex
from contextlib import chdir
from pathlib import Path

import pytest
from click.testing import CliRunner
from run_builder import make_run

from geomfaf.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", "docs/index.md", "docs/guide.md", "docs/conventions.md", "docs/python.md"]


def blocks(page: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"^```([\w{}-]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """The geomfaf commands of a page; blocks that are marked as text are not for copying."""
    lines = [
        line for kind, text in blocks(page) if kind in ("", "sh") for line in text.splitlines()
    ]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("geomfaf ")]
    return [line[1:] for line in words]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the demo's survey, where the pages' commands expect it, and as one's own."""
    place = tmp_path_factory.mktemp("reader")
    with chdir(place):
        for words in commands("docs/index.md")[:1]:
            call(*words)
        Path("survey.gpkg").write_bytes(Path("demo/survey.gpkg").read_bytes())
    # A finished run to show again.
    make_run(place / "demo")
    return place


def call(*words: str) -> str:
    result = CliRunner().invoke(main, ["--progress", "none", *words])
    assert result.exit_code == 0, f"geomfaf {' '.join(words)}: {result.output}"
    return result.output


def quick(words: list[str]) -> list[str]:
    """A command as it stands; a run is only planned, as tests/cli makes one in full."""
    return [*words, "--plan"] if words[0] == "run" and "--plan" not in words else words


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_commands_that_a_reader_copies_run(folder, page):
    with chdir(folder):
        for words in commands(page):
            if words[0] != "demo":
                call(*quick(words))


def test_the_start_page_ends_with_what_it_promises(folder):
    out = folder / "demo" / "out"
    for name in ("report.html", "figures/targets.png"):
        assert (out / name).exists(), name


@pytest.mark.parametrize("page", PAGES)
def test_code_that_a_reader_copies_runs(folder, page):
    with chdir(folder):
        names = {"__name__": "page"}  # a block goes on where the one above it ended
        for kind, text in blocks(page):
            if kind == "python":
                code = text.replace("cell=50)", "cell=400)")
                code = code.replace("make_windows(stack, survey.deposits)", SMALL_WINDOWS)
                exec(compile(code, page, "exec"), names)


SMALL_WINDOWS = "make_windows(stack, survey.deposits, size=4, fold_count=2, fold_block=20)"


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_a_page_shows_are_known(page):
    """Every line of a TOML block is a setting that geomfaf.toml has."""
    import tomllib

    from geomfaf.settings.tables import TABLES

    known = {table.name: {setting.name for setting in table.settings} for table in TABLES.values()}
    for kind, text in blocks(page):
        for name, content in tomllib.loads(text if kind == "toml" else "").items():
            for table in content if isinstance(content, list) else [content]:
                assert set(table) <= known[name], f"{page}: [{name}]"


def test_links_between_pages_lead_somewhere():
    """Links of the repository's pages, as a reader follows them there; the site checks its own."""
    made = ("gallery/", "made/")  # by the site's build
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not link.startswith(made):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def headings(page: Path) -> set[str]:
    """The anchors of a page: its headings in small letters with hyphens, and names of its own."""
    text = re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    found = set(re.findall(r"^\(([\w-]+)\)=", text, re.MULTILINE))
    for heading in re.findall(r"^#+ +(.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def test_links_into_a_page_lead_to_a_heading():
    checked = 0
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        text = page.read_text(encoding="utf-8")
        for link, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", text):
            target = page.parent / link if link else page
            if target.suffix == ".md" and target.exists():
                checked += 1
                assert anchor in headings(target), f"{page.name}: {link}#{anchor}"
    assert checked
