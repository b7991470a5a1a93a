"""Element bands go in; isolines and filled anomaly classes that a geochemist draws come out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import contourpy
import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
import xarray as xr
from scipy.ndimage import gaussian_filter

from ..errors import UsageError, nearest_name, require_known
from ..files import finished_file
from ..rasters.bands import Band, bands_of, grid_of, valid_cells
from ..rasters.geotiff import read_raster
from .concentration_area import concentration_area
from .layers import write_layers
from .rounding import rounded
from .target_reasons import factor_label, short

PERCENTILES = (75.0, 90.0, 97.5)
"""Percentiles at which isolines are drawn and classes end."""

DEVIATIONS = (1.0, 2.0, 3.0)
"""Robust standard deviations above the median at which classes end."""

METHODS = ("quantile", "mad", "concentration-area")

SIDE = 400
"""Cells along the longer side of what is contoured: IDW between samples has no finer shapes."""

LINE_COLUMNS = ("element", "unit", "value", "percentile", "class")
CLASS_COLUMNS = ("element", "unit", "method", "class", "lower", "upper", "area_km2")


@dataclass(frozen=True)
class Surface:
    """One band on cells coarse enough to contour, with its scale.

    Attributes
    ----------
    values : ndarray
        (y, x), NaN = nodata; logarithms to base 10 where ``log`` is true.
    x, y : ndarray
        Centres of the cells.
    log : bool
    """

    values: np.ndarray
    x: np.ndarray
    y: np.ndarray
    log: bool

    @property
    def known(self) -> np.ndarray:
        """The values of the valid cells, in ascending order."""
        return np.sort(self.values[np.isfinite(self.values)])

    def shown(self, level: float) -> float:
        """Return a level as a concentration."""
        return float(10**level) if self.log else float(level)

    def contours(self) -> contourpy.ContourGenerator:
        """Return what draws lines and filled ground."""
        masked = np.ma.masked_invalid(self.values)
        return contourpy.contour_generator(
            self.x, self.y, masked, fill_type=contourpy.FillType.OuterOffset
        )


def surface_of(stack: xr.DataArray, band: Band) -> Surface:
    """Return a band on at most :data:`SIDE` cells a side: means of blocks, of logarithms for
    elements, smoothed over one cell.
    """
    grid = grid_of(stack)
    layer = stack.sel(band=band.name).values.astype(float)
    values = layer[np.isfinite(layer)]
    positive = bool((values > 0).all())
    log = band.kind == "element" and positive
    if log:
        layer = np.log10(layer)
    # 1. Means of whole blocks; what is left over at the edges is padded with nodata.
    factor = max(1, -(-max(layer.shape) // SIDE))
    height = -(-layer.shape[0] // factor) * factor
    width = -(-layer.shape[1] // factor) * factor
    padded = np.full((height, width), np.nan)
    down, across = layer.shape
    padded[:down, :across] = layer
    blocks = padded.reshape(height // factor, factor, width // factor, factor)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3))
    # 2. Smoothing that no nodata enters: weights are smoothed with the values.
    weight = gaussian_filter(count.astype(float), 1.0)
    smooth = gaussian_filter(total, 1.0) / np.maximum(weight, 1e-9)
    smooth = np.where(count > 0, smooth, np.nan)
    # 3. Where the blocks' middles lie, in cells of the stack and then in metres.
    rows = (np.arange(height // factor) + 0.5) * factor - 0.5
    cols = (np.arange(width // factor) + 0.5) * factor - 0.5
    x, _ = grid.xy(np.zeros(len(cols)), cols)
    _, y = grid.xy(rows, np.zeros(len(rows)))
    return Surface(smooth, np.asarray(x), np.asarray(y), log)


def element_bands(stack: xr.DataArray) -> list[Band]:
    """Return the bands that isolines are drawn of."""
    return [band for band in bands_of(stack) if band.kind in ("element", "ratio")]


def isolines(
    stack: xr.DataArray,
    *,
    levels: str | Sequence[float] = "percentiles",
    least_km2: float = 0.0,
) -> gpd.GeoDataFrame:
    """Return the isolines of every element band.

    Parameters
    ----------
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    levels : {"percentiles", "round"} or sequence of float
        The :data:`PERCENTILES` of the valid cells; 1, 2 and 5 of every decade above the median;
        or values in each band's own unit.
    least_km2 : float
        Closed lines around less ground are left out: one sample's share, say.

    Returns
    -------
    GeoDataFrame
        element, unit, value, percentile (of the valid cells below), class ("above 90 %"); a
        multi-line a level.
    """
    rows = []
    shapes = []
    for band in element_bands(stack):
        surface = surface_of(stack, band)
        known = surface.known
        if not len(known) or known[0] == known[-1]:
            continue
        drawn = surface.contours()
        for level in _levels(surface, levels):
            # 1. All lines of the level but the specks, as one feature.
            kept = _large_lines(drawn.lines(level), least_km2)
            if not kept:
                continue
            # 2. What people read beside it.
            cells_below = np.searchsorted(known, level)
            below = 100 * float(cells_below / len(known))
            value = surface.shown(level)
            unit = band.unit.rstrip("?")
            end = f"{below:.3g} %" if levels == "percentiles" else short(value)
            rows.append((factor_label(band.name), unit, value, below, f"above {end}"))
            shapes.append(shapely.multilinestrings(kept))
    table = pd.DataFrame(rows, columns=list(LINE_COLUMNS))
    return gpd.GeoDataFrame(table, geometry=shapes, crs=grid_of(stack).crs)


def _large_lines(
    lines: Iterable[Any],
    least_km2: float,
) -> list[shapely.LineString]:
    """Return the lines of a level but its specks; a line of one place is none, however many points
    it has there: flat ground gives such lines.
    """
    kept = []
    for points in lines:
        if np.ptp(points, axis=0).max() == 0:
            continue
        line = shapely.LineString(points)
        if _large(line, least_km2):
            kept.append(line)
    return kept


def _large(line: shapely.LineString, least_km2: float) -> bool:
    """Return whether a line encloses enough ground, or, where it is open, is as long as such ground
    is wide.
    """
    if line.is_closed:
        # The surveyor's formula, from the first point on: a ring of two places encloses nothing.
        x, y = (shapely.get_coordinates(line) - line.coords[0]).T
        area = abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2
        return bool(area >= least_km2 * 1e6)
    return line.length >= np.sqrt(least_km2 * 1e6)


def _levels(
    surface: Surface,
    levels: str | Sequence[float],
) -> list[float]:
    """Return the levels of one surface, on its scale, each once."""
    known = surface.known
    if not isinstance(levels, str):
        found = _levels_of_values(surface, np.asarray(levels, float))
    elif levels == "percentiles":
        found = np.quantile(known, np.array(PERCENTILES) / 100)
    elif levels == "round":
        found = _round_levels(surface)
    else:
        raise UsageError(f'levels = "{levels}" is unknown: use percentiles, round, or values.')
    # A level that no cell crosses has no line.
    found = np.asarray(found)
    crossed = (found > known[0]) & (found < known[-1])
    return sorted(set(found[crossed].tolist()))


def _levels_of_values(surface: Surface, values: np.ndarray) -> np.ndarray:
    """Return values in the band's own unit as levels of its surface."""
    if not surface.log:
        return values
    if not (values > 0).all():
        raise UsageError("levels of an element must be above 0.")
    return np.log10(values)


def _round_levels(surface: Surface) -> np.ndarray:
    """Return 1, 2 and 5 of every decade between the median and the highest value."""
    known = surface.known
    middle = np.median(known)
    # Log-ratios have no decades: their whole numbers are round.
    if not surface.log:
        return np.arange(np.ceil(middle), known[-1])
    first = np.floor(middle)
    last = np.ceil(known[-1])
    decades = np.arange(first, last + 1)
    steps = np.log10([1.0, 2.0, 5.0])
    found = (decades[:, None] + steps[None, :]).ravel()
    return found[found > middle]


def anomaly_classes(
    stack: xr.DataArray,
    *,
    methods: Sequence[str] = METHODS,
    least_km2: float = 0.0,
) -> gpd.GeoDataFrame:
    """Return the ground of anomalous classes, by several rules side by side.

    Parameters
    ----------
    methods : sequence of {"quantile", "mad", "concentration-area"}
        Classes end at the :data:`PERCENTILES`; at the median plus 1, 2 and 3 robust standard
        deviations (1.4826 times the median absolute deviation, of logarithms for elements); at the
        breaks of the concentration-area curve, see :func:`concentration_area`.
    least_km2 : float
        Pieces and holes of less ground are left out.

    Returns
    -------
    GeoDataFrame
        element, unit, method, class (from 1, the lowest), lower and upper (the class's ends; the
        highest has no upper one), area_km2.
    """
    for name in methods:
        require_known(name, METHODS, "method")
    rows = []
    shapes = []
    for band in element_bands(stack):
        surface = surface_of(stack, band)
        known = surface.known
        if not len(known) or known[0] == known[-1]:
            continue
        drawn = surface.contours()
        symbol = factor_label(band.name)
        unit = band.unit.rstrip("?")
        for method in methods:
            # 1. Ends that no cell reaches make no class.
            ends = _class_ends(surface, method)
            ends = [end for end in ends if known[0] < end < known[-1]]
            for number, lower in enumerate(ends, start=1):
                # 2. The ground of one class; the highest is open at its top.
                last = number == len(ends)
                upper = known[-1] + 1.0 if last else ends[number]
                ground = _filled(drawn, lower, upper, least_km2)
                if ground.is_empty:
                    continue
                # 3. What people read beside it.
                bottom = surface.shown(lower)
                top = np.nan if last else surface.shown(upper)
                area_km2 = ground.area / 1e6
                rows.append((symbol, unit, method, number, bottom, top, area_km2))
                shapes.append(ground)
    table = pd.DataFrame(rows, columns=list(CLASS_COLUMNS))
    return gpd.GeoDataFrame(table, geometry=shapes, crs=grid_of(stack).crs)


def _class_ends(surface: Surface, method: str) -> list[float]:
    """Return where the anomalous classes of one surface begin, ascending, on its scale."""
    known = surface.known
    if method == "quantile":
        shares = np.array(PERCENTILES) / 100
        return np.unique(np.quantile(known, shares)).tolist()
    if method == "mad":
        # 1.4826 makes it the standard deviation of normal values.
        middle = float(np.median(known))
        deviation = np.median(np.abs(known - middle))
        robust = 1.4826 * float(deviation)
        if not robust > 0:
            return []
        return [middle + times * robust for times in DEVIATIONS]
    _, _, breaks = concentration_area(known)
    return breaks.tolist()


def _filled(
    drawn: contourpy.ContourGenerator,
    lower: float,
    upper: float,
    least_km2: float,
) -> shapely.Geometry:
    """Return the ground between two levels as one geometry, without specks and pinholes."""
    least = least_km2 * 1e6
    kept = []
    filled = drawn.filled(lower, upper)
    for points, offsets in zip(*filled, strict=True):
        # The outer ring of a piece comes first, then its holes.
        outer, *inner = [points[a:b] for a, b in pairwise(offsets)]
        holes = [ring for ring in inner if shapely.Polygon(ring).area >= least]
        piece = shapely.Polygon(outer, holes)
        if piece.area < max(least, 1e-6):
            continue
        # Rings that touch themselves make a polygon that no program takes.
        if not piece.is_valid:
            piece = piece.buffer(0)
        kept.append(piece)
    return shapely.union_all(kept)


def write_isolines(
    run: str | Path,
    *,
    levels: str | Sequence[float] = "percentiles",
    elements: Sequence[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
) -> Path | None:
    """Write ``isolines.gpkg`` of a run: its isolines and, as layer ``anomalies``, the classes.

    Parameters
    ----------
    run : path
        The run folder: its ``stack.tif``, and the samples of its ``survey.gpkg``, whose share of
        the ground is the smallest shape.
    elements : sequence of str
        Bands or element symbols to draw; all when empty.
    out : path, optional
        Another file.

    Returns
    -------
    Path or None
        The file, with ``concentration_area.png`` beside it; None where the stack has no element band, and no file is written.
    """
    run = Path(run)
    if not (run / "stack.tif").exists():
        raise UsageError(f"{run} holds no stack.tif: give the folder that `geomfaf run` filled.")
    stack = chosen_elements(read_raster(run / "stack.tif"), elements)
    if not element_bands(stack):
        return None
    least = sample_share(stack, run / "survey.gpkg")
    layers = {
        "isolines": rounded(isolines(stack, levels=levels, least_km2=least)),
        "anomalies": rounded(anomaly_classes(stack, least_km2=least)),
    }
    path = run / "isolines.gpkg" if out is None else Path(out)
    write_layers(layers, path, overwrite=overwrite)
    draw_concentration_area(stack, path.with_name("concentration_area.png"), overwrite=overwrite)
    return path


def chosen_elements(
    stack: xr.DataArray,
    elements: Sequence[str],
) -> xr.DataArray:
    """Return the bands of some elements, by band or by symbol; all bands when none is named."""
    names: dict[str, str] = {}
    for band in element_bands(stack):
        names[band.name] = band.name
        names.setdefault(factor_label(band.name), band.name)
    for name in elements:
        if name not in names:
            raise UsageError(f'no band maps "{name}".{nearest_name(name, names)}')
    if not elements:
        return stack
    return stack.sel(band=[names[name] for name in elements])


def draw_concentration_area(
    stack: xr.DataArray, path: str | Path, *, overwrite: bool = False
) -> None:
    """Draw the concentration-area curve of every element on log-log paper, with its breaks."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    bands = element_bands(stack)
    columns = min(4, len(bands))
    rows = -(-len(bands) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.6 * rows), layout="tight")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for band, axes in zip(bands, panels, strict=False):
        # 1. The curve and its breaks, in the unit of the element.
        surface = surface_of(stack, band)
        at, area, breaks = concentration_area(surface.known)
        values = [surface.shown(value) for value in at]
        axes.plot(values, 100 * 10**area, ".", color="#08306b")
        for level in breaks:
            value = surface.shown(level)
            axes.axvline(value, color="#b2182b", linewidth=0.8)
            axes.annotate(
                short(value),
                (value, 0.02),
                xycoords=("data", "axes fraction"),
                rotation=90,
                va="bottom",
                ha="right",
                fontsize=7,
                color="#b2182b",
            )
        # 2. Axes with numbers that people say: 1, 2, 5, 10.
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        if surface.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        unit = band.unit.rstrip("?") or "value"
        axes.set_title(f"{factor_label(band.name)} ({unit})", fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in panels[len(bands) :]:
        axes.set_axis_off()
    figure.supxlabel("value", fontsize=9)
    figure.supylabel("% of the area at or above it", fontsize=9)
    with finished_file(path, overwrite=overwrite) as final:
        figure.savefig(final, dpi=130)


def sample_share(stack: xr.DataArray, survey: Path) -> float:
    """Return the square kilometres of mapped ground for one sample; 0 where none is kept."""
    if not survey.exists():
        return 0.0
    samples = pyogrio.read_info(survey, layer="samples")["features"]
    if not samples:
        return 0.0
    cells = valid_cells(stack).sum()
    mapped = cells * grid_of(stack).cell_area / 1e6
    return float(mapped / samples)
