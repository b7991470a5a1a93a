"""A finished GeoTIFF and its bands go in; a cloud-optimised one with overviews comes out.

One rule for every raster that geomfaf writes: overviews of class bands take the nearest cell, so
that class numbers stay class numbers; those of all other bands are averages of their valid cells.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio.enums import Resampling

from .bands import Band
from .cog import assemble_cog
from .tiff_tiles import LAYOUT, TILE

GDAL_CACHE = 64 * 2**20
"""Bytes that GDAL may keep while it builds overviews; its own default is a twentieth of the
machine.
"""

STORED = {
    "COMPRESS_OVERVIEW": "ZSTD",
    "ZSTD_LEVEL_OVERVIEW": LAYOUT["zstd_level"],
    "PREDICTOR_OVERVIEW": LAYOUT["predictor"],
    "INTERLEAVE_OVERVIEW": "BAND",
    "BIGTIFF_OVERVIEW": "YES",
    "GDAL_TIFF_OVR_BLOCKSIZE": TILE,
    "GDAL_NUM_THREADS": "ALL_CPUS",
}
"""Overviews are stored as their raster is, so that their tiles can stand in its file."""


def write_cog(plain: Path, final: Path, bands: Sequence[Band]) -> None:
    """Join a GeoTIFF and the overviews that its bands' kinds ask for into a cloud-optimised one.

    Parameters
    ----------
    plain : Path
        A finished GeoTIFF without overviews, stored as
        :data:`~geomfaf.rasters.tiff_tiles.LAYOUT` says; its descriptions, tags and tiles are kept.
    final : Path
        Beside it; temporary files are made in the same folder and removed.
    """
    with rasterio.open(plain) as source:
        factors = overview_factors(source.shape)
    rules = [overview_rule(band) for band in bands]
    made: list[Path] = []
    overviews = []
    try:
        # GDAL has one rule for all bands of a file: each rule gets a file of its own bands.
        for rule in sorted(set(rules)) if factors else []:
            own = [number for number, other in enumerate(rules) if other == rule]
            part = _virtual(plain, plain.with_name(f"{plain.name}.{rule.name}.vrt"), own, made)
            made.append(part.with_name(f"{part.name}.ovr"))
            with (
                rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE, **STORED),
                rasterio.open(part, "r+") as file,
            ):
                file.build_overviews(factors, rule)
            overviews.append((made[-1], own))
        assemble_cog(plain, overviews, final)
    finally:
        for path in made:
            path.unlink(missing_ok=True)


def overview_rule(band: Band) -> Resampling:
    """Return how cells of a band are joined to coarser ones.

    >>> overview_rule(Band("geology", "class")).name, overview_rule(Band("Au")).name
    ('nearest', 'average')
    """
    return Resampling.nearest if band.kind == "class" else Resampling.average


def overview_factors(shape: tuple[int, int]) -> list[int]:
    """Return the factors of a raster's overviews: halved until it fits one tile, as GDAL does.

    >>> overview_factors((1300, 600))
    [2, 4]
    """
    factors: list[int] = []
    height, width = shape
    while height > TILE or width > TILE:
        height //= 2
        width //= 2
        factors.append(2 ** (len(factors) + 1))
    return factors


def _virtual(
    plain: Path,
    path: Path,
    bands: Sequence[int],
    made: list[Path],
) -> Path:
    """Write a virtual raster of some bands (from 0) of a file; return its path."""
    rasterio.shutil.copy(plain, path, driver="VRT")
    made.append(path)
    tree = ElementTree.parse(path)  # noqa: S314  (written by GDAL just now)
    root = tree.getroot()
    for number, element in enumerate(root.findall("VRTRasterBand")):
        if number in bands:
            element.set("band", str(list(bands).index(number) + 1))
        else:
            root.remove(element)
    tree.write(path)
    return path
