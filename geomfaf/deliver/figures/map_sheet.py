"""A grid goes in; an empty map comes out, with its frame: coordinates, scale bar, north, a panel
for the legend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from PIL import Image

from ...files import finished_file
from ...rasters.grid import Grid

LONGEST_SIDE = 8.6
"""Inches of the map's longer side: with its panel it fits an A4 page."""
PANEL = 2.75
MARGIN = 0.65
FORMATS: tuple[str, ...] = ("png", "svg")
ROUND: dict[str, Any] = {"nbins": 6, "steps": [1, 2, 5, 10]}
"""How many coordinates are labelled, and at which steps."""
Extent = tuple[float, float, float, float]


@dataclass(frozen=True)
class MapSheet:
    """A figure with a map and, right of it, a panel for what explains it."""

    figure: Figure
    axes: Axes
    panel: Axes


def map_sheet(grid: Grid, title: str, note: str = "") -> MapSheet:
    """Return an empty map of a grid's extent, in its own metres, with everything a map needs.

    Parameters
    ----------
    grid : Grid
        Its bounds are the map's.
    title : str
        Stands over the map.
    note : str
        Stands at the foot of the panel.
    """
    west, south, east, north = grid.bounds
    # One scale both ways: a kilometre is as long to the north as to the east.
    scale = LONGEST_SIDE / max(east - west, north - south)
    width = (east - west) * scale
    height = (north - south) * scale
    # 1. A page of exactly map, panel and margins, so that the map's scale is the same everywhere.
    page = (width + PANEL + 1.6 * MARGIN, max(height, 5.2) + 1.5 * MARGIN)
    figure = Figure(figsize=page)
    FigureCanvasAgg(figure)
    low = page[1] - 0.7 * MARGIN - height
    axes = figure.add_axes(on_page(page, 0.9 * MARGIN, low, width, height))
    axes.set(xlim=(west, east), ylim=(south, north), aspect="equal")
    axes.set_title(title, fontsize=11, loc="left", weight="bold", y=1)
    draw_coordinates(axes)
    # 2. What explains it.
    left = 1.35 * MARGIN + width
    panel = figure.add_axes(on_page(page, left, low, PANEL, height))
    panel.set_axis_off()
    _draw_north(panel)
    draw_scale_bar(axes, panel)
    said = f"{grid.crs.name}\n{note}".strip()
    panel.text(
        0,
        0,
        said,
        fontsize=6.5,
        va="bottom",
        wrap=True,
    )
    return MapSheet(figure, axes, panel)


def on_page(
    page: tuple[float, float],
    left: float,
    low: float,
    width: float,
    height: float,
) -> Extent:
    """Return a rectangle in shares of a page; all are inches.

    >>> on_page((10, 5), 1, 1, 5, 2)
    (0.1, 0.2, 0.5, 0.4)
    """
    across, up = page
    return left / across, low / up, width / across, height / up


def draw_coordinates(axes: Axes, *, size: float = 7) -> None:
    """Draw a grid of eastings and northings in kilometres."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(**ROUND))
        axis.set_major_formatter(FuncFormatter(lambda metres, _: in_km(metres)))
    axes.tick_params(
        labelsize=size,
        direction="out",
        top=True,
        right=True,
    )
    # Northings stand upright along their edge: they are long numbers.
    axes.tick_params(axis="y", labelrotation=90)
    axes.grid(color="#404040", linewidth=0.3, alpha=0.35)
    axes.set_xlabel("Easting (km)", fontsize=size)
    axes.set_ylabel("Northing (km)", fontsize=size)


def draw_fixed_coordinates(axes: Axes, point: float, *, size: float) -> None:
    """Draw the grid of :func:`draw_coordinates` for the limits that the axes have now, unnamed.

    Matplotlib's own axes measure each label twice: of a small map that was half of the time.

    Parameters
    ----------
    axes : Axes
        Theirs are hidden.
    point : float
        Metres on the map that are a point on the page.
    size : float
        Points of the labels.
    """
    axes.xaxis.set_visible(False)
    axes.yaxis.set_visible(False)
    west, east = axes.get_xlim()
    south, north = axes.get_ylim()
    tick = 3.5 * point
    text: dict[str, Any] = {"fontsize": size, "clip_on": False}
    grid = []
    ticks = []
    for x in round_places(west, east):
        grid.append([(x, south), (x, north)])
        ticks.append([(x, south), (x, south - tick)])
        ticks.append([(x, north), (x, north + tick)])
        axes.text(x, south - 2 * tick, in_km(x), ha="center", va="top", **text)
    for y in round_places(south, north):
        grid.append([(west, y), (east, y)])
        ticks.append([(west, y), (west - tick, y)])
        ticks.append([(east, y), (east + tick, y)])
        # Northings stand upright along their edge: they are long numbers.
        axes.text(west - 2 * tick, y, in_km(y), ha="right", va="center", rotation=90, **text)
    # The grid above images and below lines, as matplotlib has it.
    lines = LineCollection(grid, colors="#404040", linewidths=0.3, alpha=0.35, zorder=1.5)
    axes.add_collection(lines, autolim=False)
    marks = LineCollection(ticks, colors="black", linewidths=0.8, clip_on=False)
    axes.add_collection(marks, autolim=False)


def in_km(metres: float) -> str:
    """Return what an easting or a northing is labelled with.

    >>> in_km(2402500.0)
    '2,402.5'
    """
    return f"{metres / 1e3:,.6g}"


def round_places(low: float, high: float) -> list[float]:
    """Return the round coordinates between two limits that :func:`draw_coordinates` labels.

    >>> round_places(404900.0, 407100.0)
    [405000.0, 405500.0, 406000.0, 406500.0, 407000.0]
    """
    places = MaxNLocator(**ROUND).tick_values(low, high)
    return [float(place) for place in places if low <= place <= high]


def draw_scale_bar(axes: Axes, panel: Axes) -> None:
    """Draw a bar of a round length near a fifth of the map's width, in the panel's upper right."""
    west, east = axes.get_xlim()
    length = round_length((east - west) / 5)
    unit = f"{length / 1e3:g} km" if length >= 1e3 else f"{length:g} m"
    # In the map's own metres, so that it stays right whatever the page.
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        unit,
        loc="upper left",
        bbox_to_anchor=(0.14, 1.0),
        bbox_transform=panel.transAxes,
        frameon=False,
        size_vertical=(east - west) / 400,
        label_top=True,
        borderpad=0,
    )
    panel.add_artist(bar)


def round_length(metres: float) -> float:
    """Return the largest of 1, 2, 5, 10, ... that is not longer.

    >>> [round_length(metres) for metres in (4321, 999, 1000, 20.5)]
    [2000.0, 500.0, 1000.0, 20.0]
    """
    power = 10.0 ** np.floor(np.log10(metres))
    # A hair of tolerance: 1000 is not longer than 1000.
    longest = metres * 1.000001
    lengths = [step * power for step in (1.0, 2.0, 5.0)]
    return float(max(length for length in lengths if length <= longest))


def add_legend(sheet: MapSheet, handles: Sequence[Artist], *, title: str = "") -> None:
    """Write a legend into the panel, under the scale bar."""
    legend = sheet.panel.legend(
        handles=list(handles),
        loc="upper left",
        bbox_to_anchor=(0, 0.92),
        frameon=False,
        fontsize=7.5,
        borderaxespad=0,
        borderpad=0,
        title=title,
        title_fontsize=8,
        alignment="left",
    )
    legend.set_in_layout(True)


def draw_lines(axes: Axes, layer: gpd.GeoDataFrame | gpd.GeoSeries | None, **style: Any) -> None:
    """Draw the lines of a layer, or the outlines of its polygons."""
    if layer is None or not len(layer):
        return
    parts = shapely.get_parts(layer.geometry.to_numpy())
    # Polygons become their outlines, holes too.
    shapes = np.where(shapely.get_dimensions(parts) == 2, shapely.boundary(parts), parts)
    lines = shapely.get_parts(shapes)
    paths = [shapely.get_coordinates(line) for line in lines if line.geom_type != "Point"]
    axes.add_collection(LineCollection(paths, **style), autolim=False)


def grid_extent(grid: Grid) -> Extent:
    """Return west, east, south, north, the order of matplotlib's images."""
    west, south, east, north = grid.bounds
    return west, east, south, north


def save_figure(
    figure: Figure,
    path: str | Path,
    *,
    overwrite: bool = False,
    dpi: int = 200,
) -> Path:
    """Write a figure under a name that says its format; the same figure gives the same bytes."""
    path = Path(path)
    kind = path.suffix.removeprefix(".")
    if kind == "png":
        return save_png(picture_of(figure, dpi), path, overwrite=overwrite)
    with finished_file(path, overwrite=overwrite) as final:
        _write(figure, final, kind, dpi)
    return path


def picture_of(figure: Figure, dpi: int) -> Image.Image:
    """Draw a figure; :func:`save_png` and :func:`small_png` pack the picture,
    in another thread where there is more to draw.
    """
    before = figure.dpi
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # A page is opaque: the fourth channel says nothing.
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    figure.set_dpi(before)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.info["dpi"] = (dpi, dpi)
    return picture


def save_png(picture: Image.Image, path: Path, *, overwrite: bool = False) -> Path:
    """Write a picture of :func:`picture_of` as PNG; it says its dots per inch."""
    # The fourth step of nine takes two thirds of the time of the usual sixth, and two bytes in a
    # hundred more.
    packing = {"dpi": picture.info["dpi"], "compress_level": 4}
    with finished_file(path, overwrite=overwrite) as final:
        picture.save(final, format="png", **packing)
    return path


def small_png(picture: Image.Image, *, width: int | None = None) -> bytes:
    """Return a PNG in at most 128 colours and not wider than ``width`` pixels, for a page."""
    picture = picture.convert("RGB")
    # Fewer pixels first, fewer colours then: the other way round blurs the palette.
    if width is not None and picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    small = BytesIO()
    few = picture.quantize(128, dither=Image.Dither.NONE)
    # Packing as far as it goes takes six times as long, for four bytes in a hundred.
    few.save(small, format="png", compress_level=6)
    return small.getvalue()


def _write(
    figure: Figure,
    path: Path,
    kind: str,
    dpi: int,
) -> None:
    from matplotlib import rc_context

    # Text stays text, so that it can be searched and edited; no date and no random names.
    # A date would make every file a different one.
    metadata = {"Date": None} if kind == "svg" else {}
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "geomfaf"}):
        figure.savefig(path, format=kind, dpi=dpi, metadata=metadata)


def _draw_north(panel: Axes) -> None:
    """Draw an arrow to grid north in the panel's upper left corner."""
    arrow = {
        "arrowstyle": "-|>",
        "linewidth": 1.2,
        "color": "black",
    }
    panel.annotate(
        "",
        xy=(0.04, 1.0),
        xytext=(0.04, 0.945),
        xycoords="axes fraction",
        arrowprops=arrow,
    )
    panel.text(
        0.075,
        0.975,
        "N",
        fontsize=9,
        weight="bold",
        va="center",
    )
