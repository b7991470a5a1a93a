"""docs/architecture.md names files that are there."""

import re
from pathlib import Path

import geomfaf

HOME = Path(geomfaf.__file__).parent
PAGE = HOME.parent / "docs" / "architecture.md"


def test_every_file_of_the_page_is_there_and_every_folder_has_its_line():
    text = PAGE.read_text(encoding="utf-8")
    table = text.split("## Where is")[1]
    named = re.findall(r"`([a-z_]+/[a-z_/]+(?:\.py|/))`", table)
    assert len(set(named)) >= 30
    assert [name for name in named if not (HOME / name).exists()] == []
    folders = {path.parent.name for path in HOME.glob("*/__init__.py")}
    assert folders == set(re.findall(r"^  ([a-z]+)/ ", text, re.M))
