"""The headings and rows of a text go in; a name for each cell of a row comes out, or the line whose
cells and headings disagree in number.

Such a table is repaired where one reading alone makes sense.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TextIO

from ..errors import DataError
from .element_names import parse_element
from .header_rows import HeaderRows

BLANKS = r"\s+"
"""The delimiter of a text whose columns are told apart by blanks."""

_SIGNS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", BLANKS: "blank"}


def column_names(
    file: str,
    header: HeaderRows,
    rows: Sequence[Sequence[str]],
    lines: Sequence[int],
    delimiter: str,
) -> tuple[list[str], list[str]]:
    """Return a name for each cell of a row of data, and what was repaired.

    Parameters
    ----------
    file : str
        For messages.
    header : HeaderRows
        Which of the rows are headings.
    rows, lines : sequence
        The first rows of the text, and the line after each.
    delimiter : str
        What divides the cells.

    Raises
    ------
    DataError
        Where rows and headings disagree, and no one reading alone makes sense.
    """
    names = header.names
    data = []
    for row, line in zip(rows[header.data :], lines[header.data :], strict=True):
        if "".join(row).strip():
            data.append((row, line))
    # 1. how many cells a row has: as many as most have, of equals as many as there are headings
    widths = [len(row) for row, _ in data]
    usual = max(
        set(widths),
        key=lambda width: (widths.count(width), width == len(names)),
        default=len(names),
    )
    while len(names) > usual and not names[-1]:  # delimiters at the end of the headings
        names.pop()
    # 2. the one reading that makes sense, if there is one
    notes = []
    if usual > len(names) and not any("".join(row[len(names) :]).strip() for row, _ in data):
        notes.append("every row ends in delimiters that the headings lack: left out")
    elif usual == len(names) + 1 and _are_row_names([row[0] for row, _ in data]):
        names.insert(0, "row")
        notes.append("the first column has no heading and names the rows")
    elif usual != len(names):
        joined = _joined_headings(names)
        if len(joined) != usual:
            raise _disagree(file, data[widths.index(usual)], len(names), delimiter)
        notes.append(f"headings with a delimiter in them were joined: {', '.join(joined)}")
        names = joined
    names += [""] * (usual - len(names))
    return [name or f"Unnamed: {number}" for number, name in enumerate(names)], notes


def _disagree(
    file: str, row_and_line: tuple[Sequence[str], int], headings: int, delimiter: str
) -> DataError:
    """Return the refusal of a row that has more or fewer cells than there are headings."""
    row, line = row_and_line
    if len(row) > headings:
        sign = _SIGNS[delimiter]
        kind = "a text, or a decimal comma" if sign == "comma" else "a text"
        what = f"A {sign} stands inside a cell ({kind}): put such cells in quotes"
    else:
        what = "Correct the table"
    return DataError(
        f"{file}, line {line}: it has {len(row)} cells, and the headings have {headings}. {what}, or"
        " name the row of the headings with --header (header =)."
    )


def widest_row(
    file: str,
    raw: bytes,
    encoding: str,
    delimiter: str,
    skip: int,
    headings: int,
) -> int:
    """Return the most cells that a row below the headings has, those beyond the headings being
    blank; raise :class:`DataError` for the first row where they are not.
    """
    text = io.TextIOWrapper(io.BytesIO(raw), encoding, errors="replace", newline="")
    widest = headings
    try:
        for row, line in _rows(text, delimiter):
            if line <= skip or len(row) <= headings:
                continue
            if "".join(row[headings:]).strip():
                raise _disagree(file, (row, line), headings, delimiter)
            widest = max(widest, len(row))
    except csv.Error as error:
        raise DataError(f"{file} is not a table that can be read: {error}.") from error
    return widest


def said_of_short_rows(
    raw: bytes, encoding: str, delimiter: str, skip: int, headings: int
) -> list[str]:
    r"""Return what there is to say of rows that end before the last heading: nothing, or a sentence.

    >>> said_of_short_rows(b"x,y,Au\n1,2,3\n4,5\n", "utf-8", ",", 1, 3)
    ['1 row has fewer cells than there are headings (line 3: 2 of 3): what it lacks is missing at its end']
    """
    text = raw.decode(encoding, errors="replace")
    short: list[tuple[int, int]] = []
    if delimiter == BLANKS or '"' in text:
        for row, line in _rows(io.StringIO(text, newline=""), delimiter):
            if line > skip and len(row) < headings and "".join(row).strip():
                short.append((line, len(row)))
    else:
        # Without quotes a delimiter is a delimiter: counting them is several times as fast.
        for line, row in enumerate(text.splitlines(), start=1):
            cells = row.count(delimiter) + 1
            if line > skip and cells < headings and row.strip():
                short.append((line, cells))
    if not short:
        return []
    line, cells = short[0]
    count = f"{len(short):,} rows have" if len(short) > 1 else "1 row has"
    lacks = (
        "what they lack is missing at their end"
        if len(short) > 1
        else "what it lacks is missing at its end"
    )
    return [
        f"{count} fewer cells than there are headings (line {line:,}: {cells} of {headings}): {lacks}"
    ]


def _rows(text: TextIO, delimiter: str) -> Iterator[tuple[Sequence[str], int]]:
    """Yield the rows of a text, and the line after each."""
    if delimiter == BLANKS:
        for number, line in enumerate(text, start=1):
            yield line.split(), number
        return
    reader = csv.reader(text, delimiter=delimiter)
    for row in reader:
        yield row, reader.line_num


def _joined_headings(names: Sequence[str]) -> list[str]:
    """Join headings that were divided at a delimiter before their unit: ``Au`` and ``ppb``."""
    joined: list[str] = []
    for name in names:
        before = parse_element(joined[-1]) if joined else None
        together = parse_element(f"{joined[-1]} {name}") if before else None
        if before and together not in (None, before):
            joined[-1] = f"{joined[-1]} {name}"
        else:
            joined.append(name)
    return joined


def _are_row_names(cells: Sequence[str]) -> bool:
    """Return whether the first cells of the rows number them, as R writes them."""
    plain = [cell.strip().strip('"') for cell in cells]
    return plain == [str(number) for number in range(1, len(plain) + 1)]
