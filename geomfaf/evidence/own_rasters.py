"""A raster of the user's, on any grid and in any CRS, goes in; bands on the run's grid come out.

The raster is read once from end to end when the layer is made (its range, codes for "no value",
classes), then window by window: memory holds a window and what of the raster lies under it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
import rasterio.crs
from rasterio.enums import ColorInterp, Resampling
from rasterio.warp import reproject, transform_bounds

from ..errors import UsageError, require_known
from ..files import file_hash
from ..rasters.bands import REACH, Band
from ..rasters.blocks import Window
from ..rasters.grid import Grid
from ..survey.cleaning.findings import Finding
from .derivatives import DERIVED, SQUARE_OR_NOT, derived_band, parse_derived
from .geology import AreaLayer
from .layers import SCREENED
from .raster_files import RasterFile

VALUE_KINDS = ("continuous", "class", "angle")
SCALES = ("linear", "log", "signed-log")
RESAMPLINGS = ("average", "mode", "bilinear", "cubic", "nearest", "median")

SUFFIXES = (".tif", ".tiff", ".vrt", ".ers", ".asc", ".nc", ".img", ".grd", ".bil", ".flt")
"""Names' ends by which `geomfaf init` knows a raster."""

PIECE = 128
"""Cells along the squares that are warped one by one: a cell's bits do not depend on the block that
asks for it.
"""

MOST_PIXELS = 16_000_000
"""Pixels of a raster that are held for one such square."""

COARSE = 200
"""Cells along the longer side when the covered share of the study area is counted."""


@dataclass(frozen=True)
class RasterSource:
    """A raster of the user's and how its values are meant.

    Parameters
    ----------
    path : str or Path
        Anything GDAL opens: GeoTIFF, COG, VRT, ERS, ASCII grid, NetCDF.
    name : str
        Of the band.
    band : int
        Which band of the file, from 1.
    variable : str, optional
        Of a NetCDF file with several.
    kind : {"continuous", "class", "angle"}
        ``"angle"`` (degrees, such as an azimuth) becomes two bands, its sine and its cosine.
    unit : str
    resampling : str, optional
        See :data:`RESAMPLINGS`. When omitted: average (class: mode) where the run's cells are
        coarser than the raster's, bilinear (class: nearest) where they are finer.
    scale : {"linear", "log", "signed-log"}
        What the band holds: the values, their log10, or sign(v) log10(1 + abs(v)).
    derive : sequence of str
        Further bands made from it, see :data:`geomfaf.evidence.derivatives.DERIVED`.
    nodata : float, optional
        The code for "no value", where the file does not say it.
    crs : str, optional
        Where the file does not say it.

    Raises
    ------
    UsageError
        For an unknown kind, scale, resampling or filter.

    Examples
    --------
    >>> import geomfaf as gm
    >>> gm.RasterSource("tmi.tif", "magnetics", unit="nT", derive=["vertical"]).kind
    'continuous'
    """

    path: str | Path
    name: str
    band: int = 1
    variable: str | None = None
    kind: str = "continuous"
    unit: str = ""
    resampling: str | None = None
    scale: str = "linear"
    derive: Sequence[str] = ()
    nodata: float | None = None
    crs: str | None = None

    def __post_init__(self) -> None:
        require_known(self.kind, VALUE_KINDS, f"{self.name}: kind")
        require_known(self.scale, SCALES, f"{self.name}: scale")
        if self.resampling is not None:
            require_known(self.resampling, RESAMPLINGS, f"{self.name}: resampling")
        if self.kind != "continuous" and (self.scale != "linear" or self.derive):
            raise UsageError(
                f"{self.name}: scale and derive are for continuous values, not for kind"
                f' "{self.kind}": leave them out.'
            )
        for text in self.derive:
            parse_derived(text, self.name)


def is_raster(path: str | Path) -> bool:
    """Return whether a file is a raster by its name.

    >>> is_raster("tmi.tif"), is_raster("survey.gpkg")
    (True, False)
    """
    return Path(path).suffix.lower() in SUFFIXES


def recognise_raster(path: str | Path, name: str = "") -> RasterSource:
    """Return a raster's source as it looks: classes where the file has a colour table.

    Raises
    ------
    DataError
        When it is a picture, has no CRS or no value.
    """
    path = Path(path)
    name = name or re.sub(r"\W+", "_", path.stem)
    with rasterio.open(path) as file:
        palette = file.colorinterp[0] == ColorInterp.palette
        unit = file.units[0] or ""
    source = RasterSource(path, name, kind="class" if palette else "continuous", unit=unit)
    RasterFile(path, name=name, classes=palette)
    return source


class RasterLayer:
    """A raster ready to give its bands for any window of a grid.

    Parameters
    ----------
    source : RasterSource
    grid : Grid
        The run's; windows may overhang it.
    """

    def __init__(self, source: RasterSource, grid: Grid):
        self.source = source
        self.grid = grid
        self.file = RasterFile(
            source.path,
            source.band,
            variable=source.variable,
            classes=source.kind == "class",
            nodata=source.nodata,
            crs=source.crs,
            name=source.name,
        )
        self.derived = [parse_derived(text, source.name) for text in source.derive]
        for name, argument in self.derived:
            if name == "ratio":
                self.file.require_band(argument)
            elif name not in SQUARE_OR_NOT and not np.isclose(*grid.sides):
                height, width = grid.sides
                raise UsageError(
                    f"{source.name}: {name} needs square cells, and those of the grid are"
                    f" {width:g} x {height:g} m."
                )
        # How many of the raster's pixels lie along a cell, and so how large a piece may be.
        self.ratio = grid.cell / self.file.pixel_in(grid.crs)
        self.piece = PIECE
        while self.piece > 1 and (self.piece * self.ratio) ** 2 > MOST_PIXELS:
            self.piece //= 2
        self.resampling = self._resampling()
        self.bands = self._bands()
        self.making = [self._making() for _ in self.bands]
        if source.kind == "continuous":
            for own, (name, argument) in zip(self.making[1:], self.derived, strict=True):
                own[REACH] = f"{DERIVED[name].halo(argument) * max(grid.sides):g}"
        # Filters that need the whole map at once are computed once, on the run's grid.
        self.whole: dict[str, np.ndarray] = {}
        for name, argument in self.derived:
            if DERIVED[name].whole:
                grid.require_memory(1, copies=12)
                values = self.values(0, 0, *grid.shape)
                whole = DERIVED[name].compute(values, grid.cell, argument, self._other)
                self.whole[f"{name}:{argument}"] = whole

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
        inside: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 (bands, height, width), NaN where the raster has no value."""
        window = (row, column, height, width)
        if self.source.kind == "angle":
            return self._angle(window)
        values = self.values(*window)
        parts = [self._scaled(values)]
        for name, argument in self.derived:
            parts.append(self._derivative(name, argument, window))
        return np.stack(parts)

    def values(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return float32 (height, width) of the raster's own values."""
        return self._warped((row, column, height, width), self.file.read)[0]

    def fingerprint(self) -> str:
        """Return a hash of the file and of how it is read."""
        text = f"{self.source}{self.resampling}{self.file.codes}{file_hash(self.file.path)}"
        return hashlib.sha256(text.encode()).hexdigest()

    def covered(self, area: AreaLayer) -> float:
        """Return the share of the study area in which the raster has a value."""
        # On coarse cells: a share needs no more, and the raster is read at few places.
        factor = max(1, max(self.grid.shape) // COARSE)
        coarse = Grid.from_bounds(self.grid.bounds, self.grid.cell * factor, self.grid.crs)
        inside = area.shapes.burn(coarse) > 0
        if not inside.any():
            return 0.0
        rows, columns = np.nonzero(inside)
        x, y = coarse.xy(rows, columns)
        return float(self.file.has_value(x, y, self.grid.crs).mean())

    def _derivative(self, name: str, argument: float | None, window: Window) -> np.ndarray:
        """Return one derived band: from a window with a margin, cut back to the window."""
        row, column, height, width = window
        if DERIVED[name].whole:
            whole = self.whole[f"{name}:{argument}"]
            return whole[row : row + height, column : column + width]
        halo = DERIVED[name].halo(argument)
        wide = (row - halo, column - halo, height + 2 * halo, width + 2 * halo)
        # What a filter looks at beyond the window is computed too and cut away again.
        values = self.values(*wide)

        def other(band: int) -> np.ndarray:
            return self._warped(wide, partial(self.file.read, band=band))[0]

        result = DERIVED[name].compute(values, self.grid.cell, argument, other)
        return result[halo : halo + height, halo : halo + width].astype(np.float32)

    def _other(self, band: int) -> np.ndarray:
        raise UsageError(f"{self.source.name}: band {band} has no meaning here.")

    def _angle(self, window: Window) -> np.ndarray:
        """Return sine and cosine, averaged as a vector: the mean of 350 and 10 degrees is 0."""

        def vector(file: rasterio.DatasetReader, *part: int) -> np.ndarray:
            angle = np.deg2rad(self.file.read(file, *part)[0])
            return np.stack([np.sin(angle), np.cos(angle)])

        return self._warped(window, vector, planes=2)

    def _warped(self, window: Window, read, planes: int = 1) -> np.ndarray:
        """Return float32 (planes, height, width) of a window: the pieces it touches, cut to it."""
        row, column, height, width = window
        piece = self.piece
        # Pieces stand at multiples of their size, whatever the window: the same bits everywhere.
        top = row // piece * piece
        left = column // piece * piece
        rows = range(top, row + height, piece)
        columns = range(left, column + width, piece)
        wide = np.empty((planes, len(rows) * piece, len(columns) * piece), np.float32)
        # Opened once for all pieces: GDAL keeps the tiles that they share.
        with self.file.opened() as file:
            for first_row, first_column in product(rows, columns):
                down = slice(first_row - top, first_row - top + piece)
                across = slice(first_column - left, first_column - left + piece)
                ground = self.grid.window(first_row, first_column, piece, piece)
                wide[:, down, across] = self._warp_piece(ground, partial(read, file), planes)
        return wide[:, row - top : row - top + height, column - left : column - left + width]

    def _warp_piece(self, ground: Grid, read, planes: int) -> np.ndarray:
        """Warp what lies under a small grid onto it; exactly, without GDAL's linear shortcut."""
        result = np.full((planes, *ground.shape), np.nan, np.float32)
        crs = rasterio.crs.CRS.from_wkt(ground.crs.to_wkt())
        # 1. The part of the raster under the piece, and two pixels around it.
        bounds = transform_bounds(crs, self.file.crs, *ground.bounds)
        part = self.file.window_of(bounds, margin=2)
        if part is None:
            return result
        # 2. Its values, NaN where there are none, warped.
        reproject(
            np.asarray(read(*part), np.float32),
            result,
            src_transform=self.file.transform_of(part),
            src_crs=self.file.crs,
            src_nodata=np.nan,
            dst_transform=ground.transform,
            dst_crs=crs,
            dst_nodata=np.nan,
            resampling=self.resampling,
            tolerance=0,
        )
        return result

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        if self.source.scale == "linear":
            return values
        if self.source.scale == "signed-log":
            return np.sign(values) * np.log10(1 + np.abs(values))
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log10(values)
        # Zero and what lies below it have no logarithm: no value.
        return np.where(np.isfinite(logs), logs, np.nan).astype(np.float32)

    def _resampling(self) -> Resampling:
        if self.source.resampling is not None:
            return Resampling[
                "med" if self.source.resampling == "median" else self.source.resampling
            ]
        # Coarser cells must take all pixels below them into account, finer ones lie between two.
        coarser = self.ratio > 1
        if self.source.kind == "class":
            return Resampling.mode if coarser else Resampling.nearest
        return Resampling.average if coarser else Resampling.bilinear

    def _bands(self) -> list[Band]:
        source = self.source
        if source.kind == "class":
            return [Band(source.name, "class", "", source.name, self.file.legend)]
        if source.kind == "angle":
            sine = Band(f"{source.name}_sin", "continuous", "", f"{source.name}, sine")
            cosine = Band(f"{source.name}_cos", "continuous", "", f"{source.name}, cosine")
            return [sine, cosine]
        # A logarithm has no unit.
        unit = source.unit
        text = f"{source.name} ({unit})" if unit else source.name
        if source.scale != "linear":
            text = f"{text}, {'log10' if source.scale == 'log' else 'signed log10'}"
            unit = ""
        bands = [Band(source.name, "continuous", unit, text)]
        for name, argument in self.derived:
            bands.append(derived_band(source.name, source.unit, name, argument))
        return bands

    def _making(self) -> dict[str, str]:
        return {
            "raster": Path(self.source.path).name,
            "raster_band": str(self.source.band),
            "raster_resampling": self.resampling.name,
            "raster_scale": self.source.scale,
            **({} if self.source.kind == "class" else SCREENED),
        }


def raster_findings(layer: RasterLayer, area: AreaLayer) -> list[Finding]:
    """Return what is odd about a raster, and what was done about it.

    A raster that covers the study area in part keeps its gaps; one that misses it is refused.
    """
    found = []

    def add(
        severity: str,
        rule: str,
        count: int,
        done: str,
        advice: str = "",
    ) -> None:
        found.append(
            Finding(
                severity,
                "rasters",
                layer.source.name,
                rule,
                count,
                done,
                advice,
            )
        )

    # 1. How much of the study area it covers.
    share = layer.covered(area)
    if share == 0:
        add("refused", "misses the study area", 1, "no cell has a value", "check its CRS and place")
    elif share < 0.995:
        advice = "give a raster that covers the area, or a smaller study area"
        done = f"{share:.0%} of the study area has a value; the rest stays empty"
        add("noticed", "covers a part", 1, done, advice)
    # 2. What its numbers mean.
    for code, count in layer.file.codes.items():
        done = f"{code:g} is read as no value"
        add("fixed", "undeclared nodata", count, done, "declare it: nodata =")
    if layer.file.factor != 1 or layer.file.offset != 0:
        done = f"values are {layer.file.factor:g} times the numbers, plus {layer.file.offset:g}"
        add("noticed", "scale and offset of the file", 1, done)
    if layer.file.eight_bit and layer.source.kind == "continuous":
        add(
            "noticed",
            "8-bit values",
            1,
            "0 to 255, perhaps stretched for the eye",
            "give the measured values where you have them",
        )
    return found
