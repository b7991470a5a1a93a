"""The first rows of a table go in; which of them are headings, units and data comes out.

Tables of agencies and laboratories begin with titles, remarks, several rows of headings (method,
element) and a row of units. Data begin with the first row that has numbers where the rows below
have them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import DataError
from .element_names import parse_element
from .headings import axis_of
from .units import parse_unit

LOOKED_AT = 60
"""Rows of a table that are looked at."""

_NUMBER = re.compile(
    r"[<>≤≥~]?\s*[-+−]?\s*[\d.,'\u00a0 ]*\d[\d.,]*(e[-+]?\d+)?\s*(%|[a-z]{0,3}|[°ºd].*)",
    re.IGNORECASE,
)
_REMARK = re.compile(r"^\s*(#|%|//|!|--|;)")
_PLACE_UNITS = frozenset(
    "m km metre metres meter meters deg degree degrees dd dms ° ft yr y".split()
)
_NO_UNIT = frozenset("- -- none n/a na unitless text string date id no name number count".split())

# What laboratories call the rows between the headings and the data, in their first column.
_UNIT_ROW = re.compile(r"units?( symbol)?|uom|unit of measure|einheit(en)?|unidad(es)?|单位", re.I)
_OTHER_ROW = re.compile(
    r"(lower |upper |lab )?(detection|det\.?|reporting|quantitation)?[ _]?limits?( of reporting)?"
    r"|m?dl|lor|lod|lld|ldl|udl|u?loq|detection|analysis method|analytical method|methods?|technique"
    r"|sample type|digest(ion)?|nachweisgrenze|l[ií]mites?( de detecci[oó]n)?|m[eé]todos?|检出限|方法",
    re.I,
)

Cells = Sequence[str]


@dataclass(frozen=True)
class HeaderRows:
    """What the first rows of a table are.

    Attributes
    ----------
    headings : tuple of str
        One a column; "" where a column has none.
    units : tuple of str
        One a column, "" where the table does not say it.
    data : int
        Rows before the first row of data.
    rows : tuple of int
        The rows of the headings, from 1.
    units_row : int or None
        The row of the units, from 1.
    """

    headings: tuple[str, ...]
    units: tuple[str, ...]
    data: int
    rows: tuple[int, ...]
    units_row: int | None

    @property
    def names(self) -> list[str]:
        """A name for each column: its heading, with the unit that stands in a row of its own."""
        return [
            _with_unit(name, unit) for name, unit in zip(self.headings, self.units, strict=True)
        ]

    @property
    def plain(self) -> bool:
        """Whether the first row is the only one of headings, as in most tables."""
        return self.rows == (1,) and self.units_row is None and self.data == 1


def _with_unit(name: str, unit: str) -> str:
    """Return a heading with the unit that stands below it, where it names an element or an axis."""
    if not unit:
        return name
    # Only where it tells: "Au" with "ppb" below; "remarks" with "text" below tells nothing.
    parsed = parse_element(name)
    # "Gold" alone names nothing yet, and an element with a unit below it.
    if (parsed or parse_element(f"{name}_{unit}")) is not None and not (parsed and parsed[1]):
        return f"{name}_{unit}"
    return f"{name}_{unit}" if axis_of(name) and unit.casefold() != "m" else name


def find_header(
    rows: Sequence[Cells],
    *,
    header: int | None = None,
    units_row: int | None = None,
    skip: int = 0,
    file: str = "the table",
) -> HeaderRows:
    """Return which rows are headings and units; what is said by hand goes before what is found.

    Parameters
    ----------
    rows : sequence of rows
        The first rows, each a sequence of texts.
    header, units_row : int, optional
        Row of the headings, and of the units, from 1.
    skip : int
        Rows at the top that are no part of the table.
    file : str
        For the messages.

    Examples
    --------
    >>> rows = [["Survey 12", "", ""], ["Sample", "X", "Au"], ["", "m", "ppb"], ["S1", "400", "2.5"]]
    >>> found = find_header(rows)
    >>> found.headings, found.units, found.data, found.rows, found.units_row
    (('Sample', 'X', 'Au'), ('', 'm', 'ppb'), 3, (2,), 3)
    """
    for name, number in (("header", header), ("units_row", units_row), ("skip", skip or None)):
        if number is not None and not 1 <= number <= len(rows):
            raise DataError(
                f"{file}: {name} = {number}, and it has {len(rows)} rows to look at: rows count"
                " from 1."
            )
    if header is not None:
        below = [header] if header < len(rows) else []
        unit = _units_among(rows, below) if units_row is None else units_row - 1
        return _composed(rows, [header - 1], unit, max(header, (unit or 0) + 1))
    # 1. where the data begin
    start = _first_data(rows, skip)
    above = [number for number in range(skip, start) if _filled(rows[number])]
    units = units_row - 1 if units_row is not None else _units_among(rows, above)
    names = [
        number
        for number in above
        if number != units and not (_is_label(rows[number], _OTHER_ROW) and number > above[0])
    ]
    # 2. titles and remarks above are no headings
    block = _headings_among(rows, names, start)
    if not block:
        block = [skip] if skip < len(rows) else []
        start = max(start, skip + 1)
    return _composed(rows, block, units, max(start, (units or 0) + 1))


def _first_data(rows: Sequence[Cells], skip: int) -> int:
    """Return the first row that has numbers where most of the rows below have them."""
    # The lower third of what is looked at is data, whatever stands above.
    looked = [row for row in rows[skip:] if _filled(row)]
    looked = looked[-max(1, len(looked) // 3) :]  # what stands below any headings
    width = max((len(row) for row in rows), default=0)
    numeric = []
    for column in range(width):
        cells = [row[column] for row in looked if column < len(row) and row[column].strip()]
        if cells and sum(map(_is_number, cells)) >= 0.6 * len(cells):
            numeric.append(column)
    for number in range(skip, len(rows)):
        row = rows[number]
        cells = [row[column] for column in numeric if column < len(row) and row[column].strip()]
        if _REMARK.match(row[0] if row else "") or _is_label(row, _UNIT_ROW, _OTHER_ROW):
            continue
        if 2 * sum(map(_is_number, cells)) >= max(len(cells), 1) and len(cells) >= min(
            len(numeric), 2
        ):
            return number
    return min(skip + 1, len(rows))


def _units_among(rows: Sequence[Cells], above: Sequence[int]) -> int | None:
    """Return the row above the data whose cells are units and nothing else."""
    for number in reversed(above):
        # A row of units may begin with a word that says so.
        cells = _filled(rows[number])
        if _is_label(rows[number], _UNIT_ROW):
            cells = cells[1:]
        said = [cell for cell in cells if cell.casefold() not in _NO_UNIT]
        if said and all(_is_unit(cell) for cell in said) and any(map(parse_unit, said)):
            return number
    return None


def _headings_among(rows: Sequence[Cells], names: Sequence[int], start: int) -> list[int]:
    """Return the rows of headings: those next to the data that name several columns."""
    width = len(_filled(rows[start])) if start < len(rows) else 0
    block: list[int] = []
    for number in reversed(names):
        # Upwards from the data, as long as rows name several columns and hold no numbers.
        cells = _filled(rows[number])
        remark = _REMARK.match(cells[0])
        if remark and (block or len(cells) < 0.5 * width):
            continue
        if len(cells) < max(2, 0.4 * width) and (block or len(cells) < 2):
            break
        if block and sum(map(_is_number, cells)) > 0.5 * len(cells):
            break
        block.insert(0, number)
    return block


def _composed(
    rows: Sequence[Cells],
    block: Sequence[int],
    units: int | None,
    data: int,
) -> HeaderRows:
    """Return the heading of each column from the cells that stand above it."""
    width = max((len(rows[number]) for number in block), default=0)
    if units is not None:
        width = max(width, len(rows[units]))
    headings = []
    for column in range(width):
        cells = [rows[number][column].strip() for number in block if column < len(rows[number])]
        if column == 0:  # "# Sample" is a heading behind the sign of a remark
            cells = [_REMARK.sub("", cell, count=1).strip() for cell in cells]
        headings.append(_heading([cell for cell in cells if cell]))
    # The units as said, without their brackets; a word for "none" is no unit.
    said = [""] * width
    if units is not None:
        for column, cell in enumerate(rows[units]):
            text = cell.strip().strip("()[]").strip()
            if column == 0 and _UNIT_ROW.fullmatch(text):
                continue
            said[column] = "" if text.casefold() in _NO_UNIT else text
    numbers = tuple(number + 1 for number in block)
    units_row = None if units is None else units + 1
    return HeaderRows(_told_apart(headings, rows, block), tuple(said), data, numbers, units_row)


def _heading(parts: Sequence[str]) -> str:
    """Return the part that names the column: an element, an axis, else the lowest."""
    for part in reversed(parts):
        if parse_element(part) is not None or axis_of(part) is not None:
            return part
    return parts[-1] if parts else ""


def _told_apart(
    headings: Sequence[str], rows: Sequence[Cells], block: Sequence[int]
) -> tuple[str, ...]:
    """Return headings of which none stands twice: the method above, or a number, is added."""
    seen: dict[str, int] = {}
    told = []
    for column, heading in enumerate(headings):
        name = heading
        if heading and heading in seen:
            cells = [rows[number][column].strip() for number in block if column < len(rows[number])]
            others = [cell for cell in cells if cell and cell != heading]
            name = f"{heading} {others[0]}" if others else heading
        if name and name in seen:
            seen[name] += 1
            name = f"{name}.{seen[name] - 1}"
        seen[name] = 1
        told.append(name)
    return tuple(told)


def _is_label(row: Cells, *patterns: re.Pattern[str]) -> bool:
    """Return whether the first cell of a row says what the row is, and others follow."""
    first = row[0].strip().rstrip(":") if row else ""
    return bool(first) and any(pattern.fullmatch(first) for pattern in patterns)


def _filled(row: Cells) -> list[str]:
    return [cell.strip() for cell in row if cell.strip()]


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _is_unit(cell: str) -> bool:
    text = cell.strip().strip("()[]").strip().casefold()
    return parse_unit(text) is not None or text in _PLACE_UNITS
