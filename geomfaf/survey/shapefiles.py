"""A shapefile goes in; one whose parts agree comes out: its index is made again where it is lost or
cut, and its table's rows are counted.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyogrio

_HEAD = 100
"""Bytes before the first record of .shp and .shx; a record of .shx has eight."""


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """Give a shapefile that can be read, in a folder of its own where something must be mended;
    other files as they are.
    """
    parts = {}
    if path.suffix.lower() == ".shp":
        parts = {part.suffix.lower(): part for part in path.parent.glob(f"{path.stem}.*")}
    index_lost = bool(parts) and _index_is_lost(parts.get(".shx"))
    rows = None if index_lost else _rows_not_said(parts)
    if not index_lost and rows is None:
        yield path
        return
    # The user's files stay as they are.
    with tempfile.TemporaryDirectory() as folder:
        for suffix, part in parts.items():
            if not (index_lost and suffix == ".shx"):
                shutil.copy(part, Path(folder) / f"{path.stem}{suffix}")
        if rows is not None:
            _write_row_count(Path(folder) / f"{path.stem}.dbf", rows)
        pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": "YES"})
        try:
            yield Path(folder) / f"{path.stem}.shp"
        finally:
            pyogrio.set_gdal_config_options({"SHAPE_RESTORE_SHX": None})


def _index_is_lost(index: Path | None) -> bool:
    """Return whether the .shx is not there, or shorter than its own head says."""
    if index is None:
        return True
    with open(index, "rb") as file:
        head = file.read(_HEAD)
    # The length is written in words of two bytes.
    return len(head) < _HEAD or index.stat().st_size < 2 * struct.unpack(">i", head[24:28])[0]


def _rows_not_said(parts: dict[str, Path]) -> int | None:
    """Return how many rows the table holds where its head says another number; None where they
    agree, or the table does not hold them.
    """
    if ".dbf" not in parts or ".shx" not in parts:
        return None
    shapes = (parts[".shx"].stat().st_size - _HEAD) // 8
    with open(parts[".dbf"], "rb") as file:
        head = file.read(12)
    if len(head) < 12:
        return None
    said, head_size, row_size = struct.unpack("<IHH", head[4:])
    held = (parts[".dbf"].stat().st_size - head_size) // max(row_size, 1)
    return shapes if said != shapes and held >= shapes else None


def _write_row_count(table: Path, rows: int) -> None:
    with open(table, "r+b") as file:
        file.seek(4)
        file.write(struct.pack("<I", rows))
