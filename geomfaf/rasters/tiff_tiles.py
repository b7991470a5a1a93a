"""GeoTIFF tiles as bytes: compressed where they are computed, appended to a file by whoever writes
it.

GDAL compresses one block in memory; its tiles are cut out and appended to a growing file whose
metadata GDAL wrote before any tile. The directory with the tiles' places is written last. So tiles
are compressed in parallel, a file that is killed while growing loses no finished tile, and GDAL
need not reopen it (it forgets the compression level: level 9 instead of 1 took ten times as long).

Only what is needed of BigTIFF is here: little-endian, one directory (TIFF 6.0, Adobe 1992; BigTIFF,
2007).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from affine import Affine
from rasterio.io import MemoryFile

TILE = 512
TILE_OFFSETS = 324
TILE_BYTE_COUNTS = 325
LONG8 = 16
TYPES = {
    3: "<u2",
    4: "<u4",
    LONG8: "<u8",
}

Directory = dict[int, bytes]
"""The 20-byte entries of a BigTIFF's directory by their tags."""

# Measured by benchmarks/compression.py: predictor 3 costs a little and saves a seventh; higher levels
# and deflate cost several times as much for 2 to 4 %.
LAYOUT = {
    "driver": "GTiff",
    "dtype": "float32",
    "nodata": np.nan,
    "tiled": True,
    "blockxsize": TILE,
    "blockysize": TILE,
    "interleave": "band",
    "compress": "zstd",
    "zstd_level": 1,
    "predictor": 3,
    "bigtiff": "yes",
}


def compressed_tiles(values: np.ndarray) -> list[bytes]:
    """Return the compressed tile of each band of a block (bands, rows, columns) of at most one
    tile.
    """
    bands, height, width = values.shape
    with MemoryFile() as memory:
        # No georeference is needed in memory; a transform keeps rasterio from warning about it.
        with memory.open(
            **LAYOUT,
            count=bands,
            height=height,
            width=width,
            transform=Affine.scale(2, -2),
        ) as file:
            file.write(values)
        # One band a tile: the directory says where GDAL put each.
        (entries,) = read_directories(memory)
        places = zip(
            read_numbers(memory, entries[TILE_OFFSETS]),
            read_numbers(memory, entries[TILE_BYTE_COUNTS]),
            strict=True,
        )
        return [_read(memory, offset, size) for offset, size in places]


def read_directories(file: BinaryIO) -> list[Directory]:
    """Return every directory of a BigTIFF."""
    order, version, _, _, start = struct.unpack("<2sHHHQ", _read(file, 0, 16))
    if order != b"II" or version != 43:
        raise ValueError(f"not a little-endian BigTIFF: {order!r}, version {version}.")
    found = []
    while start:
        (count,) = struct.unpack("<Q", _read(file, start, 8))
        content = _read(file, start + 8, 20 * count + 8)
        entries = [content[20 * i : 20 * i + 20] for i in range(count)]
        found.append({struct.unpack_from("<H", entry)[0]: entry for entry in entries})
        (start,) = struct.unpack_from("<Q", content, 20 * count)
    return found


def write_directory(path: Path, offsets: np.ndarray, sizes: np.ndarray) -> None:
    """End a file: append the places of its tiles and a directory that names them."""
    with path.open("r+b") as file:
        (entries,) = read_directories(file)
        for tag, numbers in ((TILE_OFFSETS, offsets), (TILE_BYTE_COUNTS, sizes)):
            data = np.asarray(numbers, "<u8").tobytes()
            # A single number stands in the entry itself.
            value = data if len(data) == 8 else struct.pack("<Q", _append(file, data))
            entries[tag] = struct.pack("<HHQ", tag, LONG8, len(numbers)) + value
        body = b"".join(entries[tag] for tag in sorted(entries))
        start = _append(file, struct.pack("<Q", len(entries)) + body + bytes(8))
        file.seek(8)
        file.write(struct.pack("<Q", start))


def _append(file: BinaryIO, data: bytes) -> int:
    """Write at the end, on an even place as TIFF wants it; return the place."""
    file.seek(0, 2)
    file.write(bytes(file.tell() % 2))
    place = file.tell()
    file.write(data)
    return place


def read_numbers(file: BinaryIO, entry: bytes) -> list[int]:
    """Return the whole numbers of an entry."""
    _, kind, count = struct.unpack_from("<HHQ", entry)
    size = count * np.dtype(TYPES[kind]).itemsize
    data = (
        entry[12 : 12 + size]
        if size <= 8
        else _read(file, struct.unpack_from("<Q", entry, 12)[0], size)
    )
    return np.frombuffer(data, TYPES[kind]).tolist()


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)
