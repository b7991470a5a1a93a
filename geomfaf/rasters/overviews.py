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
from .tiff_tiles import TILE

GDAL_CACHE = 64 * 2**20
"""Bytes that GDAL may keep while it builds overviews; its own default is a twentieth of the
machine.
"""

COG = {
    "driver": "COG",
    "compress": "ZSTD",
    "level": 1,
    "predictor": "YES",
    "bigtiff": "IF_SAFER",
}


def write_cog(plain: Path, final: Path, bands: Sequence[Band]) -> None:
    """Copy a GeoTIFF into a cloud-optimised one with the overviews that its bands' kinds ask for.

    Parameters
    ----------
    plain : Path
        A finished GeoTIFF without overviews; its bands' descriptions and tags are kept.
    final : Path
        Beside it; temporary files are made in the same folder and removed.
    """
    rules = [overview_rule(band) for band in bands]
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE, COMPRESS_OVERVIEW="ZSTD"):
        if len(set(rules)) == 1:
            rasterio.shutil.copy(plain, final, **COG, overview_resampling=rules[0].name.upper())
            return
        # GDAL has one rule for all bands of a file: each rule gets a file of its own bands.
        made: list[Path] = []
        try:
            joined = _with_overviews(plain, rules, made)
            rasterio.shutil.copy(joined, final, **COG)
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


def _with_overviews(plain: Path, rules: Sequence[Resampling], made: list[Path]) -> Path:
    """Return a virtual raster of all bands, each with the overviews of its rule.

    ``made`` gets the temporary files.
    """
    joined = _virtual(plain, plain.with_name(f"{plain.name}.vrt"), range(len(rules)), made)
    with rasterio.open(plain) as source:
        factors = overview_factors(source.shape)
    if not factors:
        return joined
    tree = ElementTree.parse(joined)  # noqa: S314  (written by GDAL just now)
    elements = tree.getroot().findall("VRTRasterBand")
    for rule in sorted(set(rules)):
        # 1. The bands of one rule, and their overviews beside them.
        own = [number for number, other in enumerate(rules) if other == rule]
        part = _virtual(plain, plain.with_name(f"{plain.name}.{rule.name}.vrt"), own, made)
        made.append(part.with_name(f"{part.name}.ovr"))
        with rasterio.open(part, "r+") as file:
            file.build_overviews(factors, rule)
        # 2. Each of the bands is told where its overviews are: one directory a factor.
        for place, number in enumerate(own, start=1):
            for directory in range(1, len(factors) + 1):
                overview = ElementTree.SubElement(elements[number], "Overview")
                source_file = ElementTree.SubElement(overview, "SourceFilename", relativeToVRT="0")
                source_file.text = f"GTIFF_DIR:{directory}:{made[-1].absolute()}"
                ElementTree.SubElement(overview, "SourceBand").text = str(place)
    tree.write(joined)
    return joined


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
