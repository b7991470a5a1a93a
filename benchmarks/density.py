"""Count how dense the code is: tokens a line of code, comment lines per 100 lines of code.

Prints a row a folder, or a row a module with ``--modules``. Docstrings count as neither code nor comment.
The field, counted the same way (tokens, comments): rasterio 5.9, 6; torchgeo 6.8, 5; verde 6.9, 15; odc-geo 7.7, 5;
geoutils 7.9, 22; nanoGPT 8.4, 27.

Run: python benchmarks/density.py [--modules] [FOLDER]
"""

from __future__ import annotations

import argparse
import tokenize
from collections import Counter
from pathlib import Path

LAYOUT = {
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}


def count(path: Path) -> Counter:
    """Return tokens, lines of code and comment lines of one file."""
    found: Counter = Counter()
    lines: set[int] = set()
    with tokenize.open(path) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type == tokenize.COMMENT:
                found["comments"] += 1
            elif token.type not in LAYOUT and not is_docstring(token):
                found["tokens"] += 1
                lines.add(token.start[0])
    found["lines"] = len(lines)
    return found


def is_docstring(token: tokenize.TokenInfo) -> bool:
    """Return whether a token is a text in three quotes, which in this package is a docstring."""
    return token.type == tokenize.STRING and token.string.lstrip("rR").startswith('"""')


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="geomfaf", type=Path)
    parser.add_argument("--modules", action="store_true", help="a row a module")
    options = parser.parse_args()
    rows: dict[str, Counter] = {}
    for path in sorted(options.folder.rglob("*.py")):
        inside = path.relative_to(options.folder)
        name = inside.as_posix() if options.modules else inside.parent.as_posix()
        rows.setdefault(name, Counter()).update(count(path))
    rows["all"] = sum(rows.values(), Counter())
    print(f"{'':40}{'lines':>8}{'tokens/line':>13}{'comments/100':>14}")
    for name, found in rows.items():
        lines = max(1, found["lines"])
        density = found["tokens"] / lines
        comments = 100 * found["comments"] / lines
        print(f"{name:40}{lines:>8}{density:>13.1f}{comments:>14.1f}")


if __name__ == "__main__":
    main()
