"""Tiles that are compressed already go in; a cloud-optimised GeoTIFF comes out.

A cloud-optimised GeoTIFF is a tiled one in a certain order: all directories first, then the tiles
of the smallest overview, of the next, and last those of the raster itself. Nothing needs to be
compressed again for it: the directories are written anew and the tiles' bytes are copied behind
them (OGC 21-026, Cloud Optimized GeoTIFF Standard, 2023; the lines before the first directory are
those of GDAL's own driver).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import InternalError
from .tiff_tiles import (
    LONG8,
    TILE_BYTE_COUNTS,
    TILE_OFFSETS,
    Directory,
    read_directories,
    read_numbers,
)

SUBFILE = 254
WIDTH = 256
HEIGHT = 257
LONG = 4
REDUCED = 1
"""What an overview's directory says of itself."""

SAME = (259, 317, 322, 323, 339)
"""Compression, predictor, width and height of a tile, sample format: what all tiles of a file share."""

OF_THE_FILE = (33550, 33922, 34264, 34735, 34736, 34737, 42112)
"""Georeference and GDAL's metadata: said once, by the first directory."""

HEADER = 16
LEADER = 4
TRAILER = 4
"""Bytes before a tile, its size, and after it, its last ones again: a reader knows that it has the
whole tile without asking the directory.
"""

_LAYOUT = (
    "LAYOUT=IFDS_BEFORE_DATA\n"
    "BLOCK_ORDER=ROW_MAJOR\n"
    "BLOCK_LEADER=SIZE_AS_UINT4\n"
    "BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n"
    "KNOWN_INCOMPATIBLE_EDITION=NO\n "
)
GHOST = f"GDAL_STRUCTURAL_METADATA_SIZE={len(_LAYOUT):06d} bytes\n{_LAYOUT}".encode("ascii")


class Level(NamedTuple):
    """The raster or one of its overviews.

    Attributes
    ----------
    width, height : int
        Cells.
    source : (tiles,) int ndarray
        Number of the file that holds each tile, tiles band by band and row by row.
    offsets, sizes : (tiles,) int ndarray
        Place and bytes of each tile in its file.
    """

    width: int
    height: int
    source: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray


def assemble_cog(base: Path, overviews: Sequence[tuple[Path, Sequence[int]]], final: Path) -> None:
    """Join a tiled GeoTIFF and overviews of its bands into a cloud-optimised GeoTIFF.

    Parameters
    ----------
    base : Path
        BigTIFF of one directory, bands apart (:data:`geomfaf.rasters.tiff_tiles.LAYOUT`).
    overviews : sequence of (Path, band numbers)
        Files of overviews, one directory a factor, each for some of the bands (from 0); together
        for all of them.
    final : Path
        A new file.
    """
    paths = [base, *(path for path, _ in overviews)]
    files = [path.open("rb") for path in paths]
    try:
        (main,) = read_directories(files[0])
        bands = read_numbers(files[0], main[277])[0]
        levels = [_level(files[0], main, 0)]
        parts = [
            (number, file, read_directories(file), own)
            for number, (file, (_, own)) in enumerate(zip(files[1:], overviews, strict=True), 1)
        ]
        for step in range(len(parts[0][2]) if parts else 0):
            joined = []
            for number, file, directories, own in parts:
                _require_same_tiles(main, directories[step])
                joined.append((_level(file, directories[step], number), own))
            levels.append(_join_bands(joined, bands))
        with final.open("wb") as target:
            _write(target, files, main, levels)
    finally:
        for file in files:
            file.close()


def _level(file: BinaryIO, directory: Directory, number: int) -> Level:
    offsets = np.array(read_numbers(file, directory[TILE_OFFSETS]))
    return Level(
        read_numbers(file, directory[WIDTH])[0],
        read_numbers(file, directory[HEIGHT])[0],
        np.full(len(offsets), number),
        offsets,
        np.array(read_numbers(file, directory[TILE_BYTE_COUNTS])),
    )


def _require_same_tiles(main: Directory, other: Directory) -> None:
    """Raise :class:`InternalError` where tiles of two files cannot stand in one."""
    for tag in SAME:
        # A format that is the same for all samples is written once or once a sample.
        mine = main[tag][12:14]
        theirs = other[tag][12:14] if tag in other else None
        if tag != 339 and mine != theirs:
            raise InternalError(f"overviews are stored otherwise than their raster (tag {tag})")


def _join_bands(parts: Sequence[tuple[Level, Sequence[int]]], bands: int) -> Level:
    """Return one overview of all bands from those of some bands each."""
    first = parts[0][0]
    tiles = len(first.offsets) // len(parts[0][1])
    source, offsets, sizes = np.zeros((3, bands, tiles), np.int64)
    for level, own in parts:
        source[own] = level.source.reshape(len(own), tiles)
        offsets[own] = level.offsets.reshape(len(own), tiles)
        sizes[own] = level.sizes.reshape(len(own), tiles)
    return Level(first.width, first.height, source.ravel(), offsets.ravel(), sizes.ravel())


def _write(
    target: BinaryIO, files: Sequence[BinaryIO], main: Directory, levels: Sequence[Level]
) -> None:
    """Write header, directories and tiles, the smallest overview's first."""
    # 1. how long the directories are does not depend on where the tiles lie: first with no places
    nowhere = [np.zeros(len(level.offsets), np.int64) for level in levels]
    data = HEADER + len(GHOST)
    length = len(_directories(files[0], main, levels, nowhere, data))
    # 2. a place for each tile, behind all directories
    places: list[np.ndarray] = [np.zeros(0, np.int64)] * len(levels)
    end = data + length
    for number in reversed(range(len(levels))):
        sizes = levels[number].sizes
        # A tile that was never written (all nodata) takes no room.
        taken = np.where(sizes > 0, sizes + LEADER + TRAILER, 0)
        starts = end + np.cumsum(taken) - taken
        places[number] = np.where(sizes > 0, starts + LEADER, 0)
        end += int(taken.sum())
    # 3. everything, in this order
    target.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, data + len(GHOST) % 2))
    target.write(GHOST)
    target.write(_directories(files[0], main, levels, places, data))
    for level in reversed(levels):
        for number, offset, size in zip(level.source, level.offsets, level.sizes, strict=True):
            if not size:
                continue
            files[number].seek(offset)
            tile = files[number].read(size)
            target.write(struct.pack("<I", size))
            target.write(tile)
            target.write(tile[-TRAILER:])


def _directories(
    file: BinaryIO,
    main: Directory,
    levels: Sequence[Level],
    places: Sequence[np.ndarray],
    start: int,
) -> bytes:
    """Return the bytes of all directories with their values, which begin at ``start``."""
    out = bytearray(start % 2)
    for number, (level, own) in enumerate(zip(levels, places, strict=True)):
        # 1. the values of every tag: the raster's own, but for what an overview has of its own
        values: dict[int, tuple[int, int, bytes]] = {}
        for tag, entry in main.items():
            if number == 0 or tag not in OF_THE_FILE:
                kind, count = struct.unpack_from("<HQ", entry, 2)
                values[tag] = (kind, count, _bytes_of(file, entry))
        if number:
            values[SUBFILE] = (LONG, 1, struct.pack("<I", REDUCED))
            values[WIDTH] = (LONG, 1, struct.pack("<I", level.width))
            values[HEIGHT] = (LONG, 1, struct.pack("<I", level.height))
        for tag, numbers in ((TILE_OFFSETS, own), (TILE_BYTE_COUNTS, level.sizes)):
            values[tag] = (LONG8, len(numbers), np.asarray(numbers, "<u8").tobytes())
        # 2. entries, the place of the next directory, then the values that no entry holds
        last = number == len(levels) - 1
        out += _directory(values, start + len(out), last=last)
    return bytes(out)


def _directory(values: dict[int, tuple[int, int, bytes]], start: int, *, last: bool) -> bytes:
    """Return one directory and its values; the next one begins where it ends."""
    entries = bytearray(struct.pack("<Q", len(values)))
    behind = bytearray()
    values_start = start + 8 + 20 * len(values) + 8
    for tag in sorted(values):
        kind, count, content = values[tag]
        if len(content) <= 8:
            entry = content.ljust(8, b"\0")
        else:
            entry = struct.pack("<Q", values_start + len(behind))
            # Values begin on even places.
            behind += content + bytes(len(content) % 2)
        entries += struct.pack("<HHQ", tag, kind, count) + entry
    following = 0 if last else values_start + len(behind)
    return bytes(entries) + struct.pack("<Q", following) + bytes(behind)


def _bytes_of(file: BinaryIO, entry: bytes) -> bytes:
    """Return the value of an entry as it lies in its file."""
    kind, count = struct.unpack_from("<HQ", entry, 2)
    size = count * BYTES_OF[kind]
    if size <= 8:
        return entry[12 : 12 + size]
    file.seek(struct.unpack_from("<Q", entry, 12)[0])
    return file.read(size)


BYTES_OF = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
"""Bytes of a value by the number of its type (TIFF 6.0, section 2; 16: BigTIFF)."""
