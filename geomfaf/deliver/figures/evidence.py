"""The bands of evidence, a panel each, with deposits and targets where there are any."""

from __future__ import annotations

from colorsys import hls_to_rgb

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
from ...rasters.bands import Band, bands_of, grid_of
from .map_sheet import draw_coordinates, draw_lines, grid_extent

LEGEND_CLASSES = 12
"""Classes named beside a map; the rest of a long legend is counted."""
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
    columns = min(5 if len(bands) > 8 else 4, len(bands))
    rows = -(-len(bands) // columns)
    # A place for everything, in inches: a layout engine would draw ten maps three times.
    wide = 2.5
    high = wide * grid.height / grid.width
    pitch_x = wide + 1.0
    named = max((min(len(band.legend), LEGEND_CLASSES + 1) for band in bands), default=0)
    pitch_y = high + 0.6 + 0.07 * named
    page = (columns * pitch_x + 0.3, rows * pitch_y + 0.4)
    figure = Figure(figsize=page)
    FigureCanvasAgg(figure)
    for number, (band, layer) in enumerate(zip(bands, stack.values, strict=True)):
        row = number // columns
        left = 0.35 + (number % columns) * pitch_x
        top = page[1] - 0.25 - row * pitch_y
        place = (left / page[0], (top - high) / page[1], wide / page[0], high / page[1])
        axes = figure.add_axes(place)
        draw_band(axes, band, layer, grid_extent(grid))
        axes.set_title(f"({_letter(number + 1)}) {_plain(band.label, 40)}", fontsize=8, loc="left")
        draw_coordinates(axes, size=5.5)
        axes.set(xlabel="", ylabel="")
        draw_lines(axes, targets, colors="white", linewidths=0.9)
        draw_lines(axes, targets, colors="black", linewidths=0.45)
        draw_deposits(axes, deposits, size=9)
        axes.set(xlim=grid_extent(grid)[:2], ylim=grid_extent(grid)[2:])
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
    axes: Axes, band: Band, layer: np.ndarray, extent: tuple[float, float, float, float]
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
    low, high = np.quantile(valid, [0.02, 0.98]) if len(valid) else (0.0, 1.0)
    logarithmic = band.kind == "element" and low > 0 and high > low
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high if high > low else low + 1)
    ramp = RAMPS.get(band.kind, "magma")
    image = axes.imshow(layer, extent=extent, cmap=ramp, norm=norm, interpolation="nearest")
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.02, 0.12, 0.035, 0.76)))
    bar.ax.tick_params(labelsize=6, which="both")
    if band.unit:
        bar.set_label(band.unit, fontsize=6)
    if logarithmic:
        bar.set_ticks(LogLocator(subs=(1, 2, 3, 5)), minor=False)
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.minorticks_off()


def draw_classes(
    axes: Axes, band: Band, layer: np.ndarray, extent: tuple[float, float, float, float]
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
    handles = [Patch(color=colours[i], label=_plain(band.legend[numbers[i]])) for i in widest]
    if len(numbers) > most:
        handles.append(Patch(color="none", label=f"and {len(numbers) - most} smaller classes"))
    return handles


def band_colours(band: Band) -> list[tuple[float, float, float]]:
    """Return a colour a class, in the order of the sorted legend; ground without a map is grey."""
    numbers = sorted(band.legend)
    pairs = zip(numbers, class_colours(len(numbers)), strict=True)
    grey = (0.88, 0.88, 0.88)
    return [grey if band.legend[number] == UNMAPPED else colour for number, colour in pairs]


def class_colours(count: int) -> list[tuple[float, float, float]]:
    """Return ``count`` soft colours in the manner of a geological map; neighbours in the legend
    differ in hue and in lightness.
    """
    return [
        hls_to_rgb((0.11 + number * 0.618034) % 1, 0.66 + 0.13 * (number % 3 - 1), 0.5)
        for number in range(count)
    ]


def _plain(text: str, most: int = 30) -> str:
    """Return a name that a figure may show: short, and with no sign of mathematics in it."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    # A name that begins with an underscore is left out by matplotlib; dollars begin mathematics.
    return short.replace("$", r"\$").replace("_", " ")


def _letter(number: int) -> str:
    """Return a, b, ... z, aa, ab, ... of a panel's number."""
    before = (number - 1) // 26
    return (chr(96 + before) if before else "") + chr(97 + (number - 1) % 26)
