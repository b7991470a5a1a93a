"""A file of rows (text, Excel, OpenDocument; packed or not) goes in; one table with a row of
headings comes out, and what had to be assumed.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyogrio

from ..errors import DataError, UsageError, nearest_name
from .formats import BOOKS, find_encoding
from .header_rows import LOOKED_AT, HeaderRows, find_header
from .row_widths import BLANKS, column_names, said_of_short_rows, widest_row

TEXT_TABLES = (".csv", ".tsv", ".txt", ".dat", ".tab.txt", ".asc")


_EXPLAINS = re.compile(r"read.?me|metadata|licen[cs]e|legend|dictionary|about|notes", re.IGNORECASE)
START = 200_000
"""Bytes of a text that are looked at to find its delimiter and headings."""


@dataclass(frozen=True)
class Table:
    """A table as read.

    Attributes
    ----------
    frame : DataFrame
        Nothing is converted but what is a number throughout its column.
    encoding : str
        Of a text, ``""`` of a workbook.
    notes : tuple of str
        What had to be assumed of its rows and columns.
    first_row : int
        Row of the file that holds the first row of data, from 1.
    """

    frame: pd.DataFrame
    encoding: str = ""
    notes: tuple[str, ...] = ()
    first_row: int = 2


@dataclass(frozen=True)
class Layout:
    """What a user says of a table's rows, see :func:`geomfaf.survey.header_rows.find_header`."""

    sheet: str | None = None
    encoding: str | None = None
    header: int | None = None
    units_row: int | None = None
    skip: int = 0


def table_suffix(path: str | Path) -> str | None:
    """Return the suffix of a table, that of its content where it is packed; None for other files.

    >>> table_suffix("a.CSV"), table_suffix("a.csv.gz"), table_suffix("a.gpkg")
    ('.csv', '.csv', None)
    """
    name = Path(path).name.casefold()
    if name.endswith(".zip"):
        member = _member(Path(path))
        return None if member is None else table_suffix(member)
    name = name.removesuffix(".gz")
    suffix = Path(name).suffix
    return suffix if suffix in (*TEXT_TABLES, *BOOKS) else None


def is_table(path: str | Path) -> bool:
    """Return whether a file is a table, which has no geometry of its own."""
    return table_suffix(path) is not None


def read_table(path: Path, layout: Layout | None = None) -> Table:
    """Read a table; delimiter, encoding, headings and units are found where they are not said."""
    layout = layout or Layout()
    if table_suffix(path) in BOOKS:
        return _read_sheet(path, layout)
    return _read_text(path, layout)


def sheet_names(path: Path) -> list[str]:
    """Return the sheets of a workbook that hold rows; none for a text."""
    if table_suffix(path) not in BOOKS:
        return []
    return [name for name, rows in _sheets(path).items() if len(rows) > 1]


# --- text


def _read_text(path: Path, layout: Layout) -> Table:
    # 1. what kind of text it is: bytes, encoding, delimiter
    raw = _content(path)
    encoding = layout.encoding or find_encoding(raw)
    try:
        start = raw[:START].decode(encoding, errors="replace")
        delimiter = find_delimiter(start)
        rows, lines = _first_rows(start, delimiter)
    except LookupError as error:
        raise DataError(f"{path.name} cannot be read as {encoding}: {error}") from error
    if not rows:
        raise DataError(f"{path.name} is not a table that can be read: it is empty.")
    # 2. which rows are headings and units
    header = find_header(
        rows,
        header=layout.header,
        units_row=layout.units_row,
        skip=layout.skip,
        file=path.name,
    )
    names, notes = column_names(path.name, header, rows, lines, delimiter)
    # 3. the rows below them
    frame = _parsed(
        path,
        raw,
        encoding,
        delimiter,
        names,
        skip=_lines_above(header, lines),
        cells=max((len(row) for row in rows[header.data :]), default=0),
    )
    # 4. pandas fills rows that end early: only where the last cell is missing can there be one
    named = [column for column, name in enumerate(names) if not name.startswith("Unnamed: ")]
    if named and frame.iloc[:, named[-1]].isna().any():
        skip = _lines_above(header, lines)
        notes += said_of_short_rows(raw, encoding, delimiter, skip, named[-1] + 1)
    notes += _said_of_rows(header)
    return Table(_without_blank_columns(frame), encoding, tuple(notes), header.data + 1)


def find_delimiter(text: str) -> str:
    r"""Return the sign that divides the most lines into the same number of cells.

    >>> find_delimiter("Au;Cu\n1,5;2,5\n"), find_delimiter("x,y\n1,2\n"), find_delimiter("x  y\n1  2\n")
    (';', ',', '\\s+')
    """
    # The sign that gives the most lines the same number of cells; of equal ones, the most cells.
    best = (0.0, 0, BLANKS)
    lines = [line for line in text.splitlines()[:LOOKED_AT] if line.strip()]
    if len(text) >= START:
        lines = lines[:-1] or lines  # the last one may be cut
    for sign in ("\t", ";", "|", ","):
        widths = [len(row) for row in csv.reader(lines, delimiter=sign) if row]
        usual = max(set(widths), key=widths.count, default=0)
        share = widths.count(usual) / max(len(widths), 1)
        if usual > 1 and (share, usual) > best[:2]:
            best = (share, usual, sign)
    if best[0] < 0.5:
        counts = [len(line.split()) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        if usual > 1 and counts.count(usual) > 0.8 * len(counts):
            return BLANKS
    return best[2] if best[0] else ","


def _first_rows(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Return the first rows that hold something, and the line of the text after each."""
    if delimiter == BLANKS:
        rows = [line.split() for line in text.splitlines()[:LOOKED_AT]]
        return rows, list(range(1, len(rows) + 1))
    rows = []
    lines = []
    # A cell in quotes may hold several lines.
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)
    for row in reader:
        rows.append(row)
        lines.append(reader.line_num)
        if len(rows) >= LOOKED_AT:
            break
    return rows, lines


def _lines_above(header: HeaderRows, lines: Sequence[int]) -> int:
    """Return how many lines of the text stand above the data."""
    return lines[header.data - 1] if header.data else 0


def _parsed(
    path: Path,
    raw: bytes,
    encoding: str,
    delimiter: str,
    names: list[str],
    skip: int,
    cells: int,
) -> pd.DataFrame:
    """Return the rows below the headings, as pandas sees them; ``cells`` is the most that a row is
    known to have.
    """
    # pandas drops what stands beyond the names: room for it shows what it is.
    if cells > len(names):
        cells = widest_row(path.name, raw, encoding, delimiter, skip, len(names))
    room = [*names, *(f"beyond {number}" for number in range(len(names), cells))]
    try:
        frame = pd.read_csv(
            io.BytesIO(raw),
            sep=delimiter,
            encoding=encoding,
            skiprows=skip,
            header=None,
            names=room,
            index_col=False,
            low_memory=False,
            skip_blank_lines=True,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        widest = widest_row(path.name, raw, encoding, delimiter, skip, len(names))
        if widest > cells:
            return _parsed(path, raw, encoding, delimiter, names, skip, widest)
        raise DataError(
            f"{path.name} is not a table that can be read (as {encoding}): {error}"
        ) from error
    return frame.iloc[:, : len(names)]


def _without_blank_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out columns that have neither a heading nor a value; the other unnamed ones are
    numbered as a person counts.
    """
    names = {}
    for number, column in enumerate(frame.columns):
        if str(column).startswith("Unnamed: "):
            if frame[column].isna().all():
                frame = frame.drop(columns=column)
            else:
                names[column] = f"column {number + 1}"
    return frame.rename(columns=names)


def _said_of_rows(header: HeaderRows) -> list[str]:
    """Say which rows were taken for headings and units, where it is not the first alone."""
    if header.plain:
        return []
    rows = " and ".join(map(str, header.rows))
    verb = "rows {} hold" if len(header.rows) > 1 else "row {} holds"
    line = f"{verb.format(rows)} the headings"
    if header.units_row:
        line += f", row {header.units_row} the units"
    left_out = header.data - len(header.rows) - (header.units_row is not None)
    return [line + (f"; {left_out} rows above the data are left out" if left_out > 0 else "")]


# --- workbooks


def _read_sheet(path: Path, layout: Layout) -> Table:
    # A workbook often has empty sheets, or one of remarks.
    sheets = {name: rows for name, rows in _sheets(path).items() if len(rows) > 1}
    by_case = {name.casefold(): name for name in sheets}
    wanted = layout.sheet
    if wanted is None and len(sheets) == 1:
        wanted = next(iter(sheets))
    if wanted is None:
        raise UsageError(
            f"{path.name} has {len(sheets)} sheets, name one of them with --sheet (layer =):"
            f" {', '.join(sheets)}."
        )
    if wanted.casefold() not in by_case:
        hint = nearest_name(wanted, sheets)
        raise UsageError(f'{path.name} has no sheet "{wanted}".{hint} It has: {", ".join(sheets)}.')
    cells = sheets[by_case[wanted.casefold()]]
    first = []
    for row in cells.head(LOOKED_AT).to_numpy().tolist():
        first.append([_text(cell) for cell in row])
    header = find_header(
        first,
        header=layout.header,
        units_row=layout.units_row,
        skip=layout.skip,
        file=path.name,
    )
    names = header.names
    names += [""] * (cells.shape[1] - len(names))
    frame = cells.iloc[header.data :].dropna(how="all").reset_index(drop=True)
    frame.columns = [name or f"Unnamed: {number}" for number, name in enumerate(names)]
    frame = _without_blank_columns(frame.infer_objects())
    return Table(frame, "", tuple(_said_of_rows(header)), header.data + 1)


DAMAGED_BOOK = (
    ValueError,
    OSError,
    LookupError,
    AttributeError,
    TypeError,
    ElementTree.ParseError,
    zlib.error,
    zipfile.BadZipFile,
    pyogrio.errors.DataSourceError,
)
"""What the libraries raise on workbooks that are no workbooks, or are damaged."""

LARGEST = 2_000_000_000
"""Bytes that a packed table may unpack to: a few kilobytes can hold what fills any memory."""


def _sheets(path: Path) -> dict[str, pd.DataFrame]:
    """Return every sheet of a workbook, cell by cell."""
    try:
        if table_suffix(path) == ".ods":
            return {str(name): _ods_sheet(path, str(name)) for name, _ in pyogrio.list_layers(path)}
        content = io.BytesIO(_content(path))
        book = pd.read_excel(content, sheet_name=None, header=None)
    except ImportError as error:
        raise UsageError(
            f"{path.name}: Excel needs openpyxl: pip install 'geomfaf[excel]'."
        ) from error
    except DAMAGED_BOOK as error:
        reason = str(error).splitlines()[0].rstrip(".:") if str(error) else type(error).__name__
        raise DataError(
            f"{path.name} is not an Excel workbook that can be read: {reason}."
        ) from error
    return {str(name): rows for name, rows in book.items()}


def _ods_sheet(path: Path, name: str) -> pd.DataFrame:
    """Return a sheet of an OpenDocument table; cells that are numbers become numbers."""
    rows = pyogrio.read_dataframe(
        path,
        layer=name,
        read_geometry=False,
        HEADERS="DISABLE",
        FIELD_TYPES="STRING",
    )
    cells = rows.astype(object).where(rows.notna(), None)
    return cells.map(_number_or_text, na_action="ignore")


def _number_or_text(cell: object) -> object:
    try:
        return float(str(cell))
    except ValueError:
        return cell if str(cell).strip() else None


def _text(cell: object) -> str:
    """Return a cell as text; "" for a blank one."""
    return "" if cell is None or (isinstance(cell, float) and np.isnan(cell)) else str(cell)


# --- packed files


def _content(path: Path) -> bytes:
    """Return the bytes of a file, unpacked."""
    # Packed files are read at most up to a size: a small one may unpack to anything.
    name = path.name.casefold()
    try:
        if name.endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                _require_size(path, archive.getinfo(str(_member(path))).file_size)
                return archive.read(str(_member(path)))
        if name.endswith(".gz"):
            with gzip.open(path) as packed:
                content = packed.read(LARGEST + 1)
            _require_size(path, len(content))
            return content
        if name.endswith((".xlsx", ".xlsm")):
            with zipfile.ZipFile(path) as archive:
                _require_size(path, sum(part.file_size for part in archive.infolist()))
    except (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} cannot be unpacked: {error}") from error
    return path.read_bytes()


def _require_size(path: Path, size: int) -> None:
    """Refuse a packed file that would unpack to more than any table needs."""
    if size > LARGEST:
        raise DataError(
            f"{path.name} unpacks to {size / 1e9:.1f} GB, more than the {LARGEST / 1e9:g} GB that"
            " are read: give the table itself, or a GeoPackage."
        )


def _member(path: Path) -> str | None:
    """Return the one table in a zip archive; None where there is none, or several, or a layer."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX")]
    except (OSError, zipfile.BadZipFile):
        return None
    # An archive is a table when one file of it is, and no layer lies beside it.
    known = (*TEXT_TABLES, *BOOKS)
    tables = [name for name in names if name.casefold().endswith(known)]
    if len(tables) > 1:  # what only explains the table
        tables = [name for name in tables if not _EXPLAINS.search(name.rsplit("/", 1)[-1])]
    shapes = [name for name in names if name.casefold().endswith((".shp", ".gpkg", ".gdb"))]
    return tables[0] if len(tables) == 1 and not shapes else None
