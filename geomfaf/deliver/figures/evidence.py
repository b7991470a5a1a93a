"""The bands of evidence, a panel each, with deposits and targets where there are any."""

from __future__ import annotations

from colorsys import hls_to_rgb
from string import ascii_lowercase

import geopandas as gpd
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from ...evidence.stack import UNMAPPED
from ...rasters.bands import Band, assumed, bands_of, grid_of
from .map_sheet import Extent, draw_fixed_coordinates, draw_lines, grid_extent, on_page

LEGEND_CLASSES = 12
"""Classes named beside a map; the rest of a long legend is counted."""
Shade = tuple[float, float, float]
"""Red, green, blue, 0 to 1 each."""
RAMPS = {"element": "viridis", "distance": "cividis_r"}


def draw_evidence(
    stack: xr.DataArray,
    *,
    deposits: gpd.GeoDataFrame | None = None,
    targets: gpd.GeoDataFrame | None = None,
) -> Figure:
    """Return a figure with every band of a stack, as the paper's Figure 2.

    Parameters
    ----------
    stack : DataArray, (band, y, x)
        As of :func:`geomfaf.build_stack`.
    deposits, targets : GeoDataFrame, optional
        Drawn on every panel.
    """
    bands = bands_of(stack)
    grid = grid_of(stack)
    columns = min(4, len(bands))
    # A place for everything, in inches: a layout engine would draw ten maps three times.
    wide = 2.5
    high = wide * grid.height / grid.width
    pitch_x = wide + 1.0
    # A legend stands below its map: two columns of names.
    lines = [min(len(band.legend), LEGEND_CLASSES + 1) for band in bands]
    longest = [max(lines[first : first + columns]) for first in range(0, len(bands), columns)]
    heights = [high + 0.6 + 0.07 * most for most in longest]
    page = (columns * pitch_x + 0.3, sum(heights) + 0.4)
    figure = Figure(figsize=page)
    FigureCanvasAgg(figure)
    for number, (band, layer) in enumerate(zip(bands, stack.values, strict=True)):
        # From the top left, row by row, as one reads.
        row = number // columns
        left = 0.35 + (number % columns) * pitch_x
        top = page[1] - 0.25 - sum(heights[:row])
        axes = figure.add_axes(on_page(page, left, top - high, wide, high))
        draw_band(axes, band, layer, grid_extent(grid))
        title = f"({_letter(number + 1)}) {_plain(assumed(band.label), 40)}"
        # Its height is given: to look for one, matplotlib measures all ticks once more.
        axes.set_title(title, fontsize=8, loc="left", y=1)
        west, east, south, north = grid_extent(grid)
        axes.set(xlim=(west, east), ylim=(south, north))
        draw_fixed_coordinates(axes, (east - west) / wide / 72, size=5.5)
        # White below black: an outline that shows on dark and on pale ground.
        draw_lines(axes, targets, colors="white", linewidths=0.9)
        draw_lines(axes, targets, colors="black", linewidths=0.45)
        draw_deposits(axes, deposits, size=9)
        axes.set(xlim=(west, east), ylim=(south, north))
    said = f"Easting, northing (km), {grid.crs.name}."
    if deposits is not None:
        said += " Triangles: known deposits; outlines: targets."
    figure.text(0.35 / page[0], 0.08 / page[1], said, fontsize=8)
    return figure


def draw_deposits(axes: Axes, deposits: gpd.GeoDataFrame | None, *, size: float = 26) -> None:
    """Draw deposits as white triangles with a black edge, which no map hides."""
    if deposits is None or not len(deposits):
        return
    points = deposits.geometry.representative_point()
    axes.scatter(
        points.x,
        points.y,
        s=size,
        marker="^",
        c="white",
        edgecolors="black",
        linewidths=0.7 if size > 15 else 0.5,
        zorder=6,
    )


def draw_band(
    axes: Axes,
    band: Band,
    layer: np.ndarray,
    extent: Extent,
) -> None:
    """Draw one band: classes with a legend, elements on a log scale, everything with its unit."""
    if band.kind == "class":
        draw_classes(axes, band, layer, extent)
        handles = class_handles(band, layer)
        # Below, where it does not push the colour bars of the row above away from their maps.
        axes.legend(
            handles=handles,
            fontsize=5,
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(0, -0.1),
            ncols=2,
        )
        return
    valid = layer[np.isfinite(layer)]
    # 1. Single freak cells do not set the scale; what is flat gets one all the same.
    low = float(np.quantile(valid, 0.02)) if len(valid) else 0.0
    high = float(np.quantile(valid, 0.98)) if len(valid) else 1.0
    logarithmic = band.kind == "element" and 0 < low < high
    top = high if high > low else low + 1
    norm = LogNorm(low, high) if logarithmic else Normalize(low, top)
    image = axes.imshow(
        layer,
        extent=extent,
        cmap=RAMPS.get(band.kind, "magma"),
        norm=norm,
        interpolation="nearest",
    )
    # 2. The bar stands inside the panel's own place.
    beside = axes.inset_axes((1.02, 0.12, 0.035, 0.76))
    bar = axes.figure.colorbar(image, cax=beside)
    bar.ax.tick_params(labelsize=6, which="both")
    if band.unit:
        bar.set_label(band.unit.rstrip("?"), fontsize=6)
    if logarithmic:
        bar.set_ticks(LogLocator(subs=(1, 2, 3, 5)), minor=False)
        bar.minorticks_off()
    bar.ax.yaxis.set_major_formatter("{x:,g}")


def draw_classes(
    axes: Axes,
    band: Band,
    layer: np.ndarray,
    extent: Extent,
) -> None:
    """Draw a class band in the colours of its legend."""
    numbers = sorted(band.legend)
    axes.imshow(
        class_index(band, layer),
        extent=extent,
        cmap=ListedColormap(band_colours(band)),
        vmin=-0.5,
        vmax=len(numbers) - 0.5,
        interpolation="nearest",
    )


def class_index(band: Band, layer: np.ndarray) -> np.ndarray:
    """Return the place of each cell's class in the sorted legend; NaN without a class."""
    numbers = sorted(band.legend)
    index = np.full(int(max(numbers)) + 1, np.nan)
    index[numbers] = np.arange(len(numbers))
    return index[np.nan_to_num(layer).astype(int)]


def class_handles(band: Band, layer: np.ndarray, most: int = LEGEND_CLASSES) -> list[Patch]:
    """Return the legend of the widest classes; the others are counted."""
    numbers = sorted(band.legend)
    colours = band_colours(band)
    areas = [int((layer == number).sum()) for number in numbers]
    widest = np.argsort(areas, kind="stable")[::-1][:most]
    handles = []
    for place in widest:
        name = _plain(band.legend[numbers[place]])
        handles.append(Patch(color=colours[place], label=name))
    if len(numbers) > most:
        said = f"and {len(numbers) - most} smaller classes"
        handles.append(Patch(color="none", label=said))
    return handles


def band_colours(band: Band) -> list[Shade]:
    """Return a colour a class, in the order of the sorted legend; ground without a map is grey."""
    numbers = sorted(band.legend)
    pairs = zip(numbers, class_colours(len(numbers)), strict=True)
    grey = (0.88, 0.88, 0.88)
    return [grey if band.legend[number] == UNMAPPED else colour for number, colour in pairs]


def class_colours(count: int) -> list[Shade]:
    """Return ``count`` soft colours in the manner of a geological map; neighbours in the legend
    differ in hue and in lightness.
    """
    shades = []
    for number in range(count):
        # Steps of the golden section never come back to a hue.
        hue = (0.11 + number * 0.618034) % 1
        lightness = 0.66 + 0.13 * (number % 3 - 1)
        shades.append(hls_to_rgb(hue, lightness, 0.5))
    return shades


def _plain(text: str, most: int = 30) -> str:
    """Return a name that a figure may show: short, and with no sign of mathematics in it."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    # A name that begins with an underscore is left out by matplotlib; dollars begin mathematics.
    return short.replace("$", r"\$").replace("_", " ")


def _letter(number: int) -> str:
    """Return a, b, ... z, aa, ab, ... of a panel's number."""
    before, last = divmod(number - 1, 26)
    first = ascii_lowercase[before - 1] if before else ""
    return first + ascii_lowercase[last]
