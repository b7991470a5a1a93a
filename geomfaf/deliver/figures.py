"""The pictures of a run: the bands, the score map with its targets, and the curves of
all models.
"""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator

from ..evidence.stack import UNMAPPED
from ..files import finished_file
from ..models.baselines import NETWORK
from ..rasters.bands import Band, bands_of, grid_of
from ..survey.survey import Survey

OUTLINE = "#202020"
LEGEND_CLASSES = 12
"""Classes named beside a map; the rest of a long legend is counted."""


def draw_stack(stack: xr.DataArray, path: str | Path, *, overwrite: bool = False) -> Path:
    """Draw every band of a stack into one PNG."""
    bands = bands_of(stack)
    grid = grid_of(stack)
    columns = min(4, len(bands))
    rows = -(-len(bands) // columns)
    ratio = grid.height / grid.width
    figure = Figure(figsize=(3.9 * columns, (2.9 * ratio + 0.35) * rows), layout="constrained")
    for number, (band, layer) in enumerate(zip(bands, stack.values, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, number)
        _draw_band(figure, axes, band, layer, _extent_km(grid))
        axes.set_title(band.label, fontsize=9)
        axes.tick_params(labelsize=6)
    figure.supxlabel("Easting, northing (km)", fontsize=7)
    return _save(figure, path, overwrite)


def draw_scores(
    scores: xr.DataArray,
    targets: gpd.GeoDataFrame,
    survey: Survey,
    path: str | Path,
    *,
    supported: bool = True,
    overwrite: bool = False,
) -> Path:
    """Draw the score map with faults, deposits and numbered targets into one PNG.

    The title says so where the map is not ``supported``: no better than chance as far as the data
    tell.
    """
    grid = grid_of(scores)
    ratio = grid.height / grid.width
    figure = Figure(figsize=(10.5, 8.6 * ratio + 0.9), layout="constrained")
    axes = figure.add_subplot()
    layer = scores.sel(band="score").values
    low, high = np.nanquantile(layer, [0.02, 0.995])
    image = axes.imshow(
        layer,
        extent=_extent_km(grid),
        cmap="YlOrRd",
        norm=Normalize(low, high),
        interpolation="nearest",
    )
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.01, extend="both")
    bar.set_label("Prospectivity score")
    if survey.faults is not None:
        for line in survey.faults.geometry.explode(index_parts=False):
            axes.plot(*_km(line.coords), color="#5b6770", linewidth=0.5, zorder=2)
    for target in targets.itertuples():
        for polygon in getattr(target.geometry, "geoms", [target.geometry]):
            axes.plot(*_km(polygon.exterior.coords), color=OUTLINE, linewidth=0.9, zorder=3)
    axes.set(xlim=_extent_km(grid)[:2], ylim=_extent_km(grid)[2:])
    omitted = _number_targets(axes, targets)
    x = survey.deposits.geometry.x / 1e3
    y = survey.deposits.geometry.y / 1e3
    axes.scatter(
        x,
        y,
        s=26,
        marker="^",
        c="white",
        edgecolors="black",
        linewidths=0.8,
        zorder=5,
        label="known deposit",
    )
    axes.plot([], [], color=OUTLINE, linewidth=0.9, label=f"target (number = rank{omitted})")
    if survey.faults is not None:
        axes.plot([], [], color="#5b6770", linewidth=0.5, label="fault")
    axes.set_xlabel(f"Easting (km), {grid.crs.name}")
    axes.set_ylabel("Northing (km)")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.06), ncols=3, frameon=False, fontsize=8)
    warning = "" if supported else "\nThe data do not show that this map is better than chance"
    axes.set_title(f"Prospectivity score, known deposits and ranked targets{warning}")
    return _save(figure, path, overwrite)


def draw_curves(
    curves: pd.DataFrame, evaluation: pd.DataFrame, path: str | Path, *, overwrite: bool = False
) -> Path:
    """Draw the prediction-rate curves of all models, the whole and the best fifth of the ground,
    into one PNG.
    """
    figures = evaluation[evaluation["map_auc"].notna()].set_index("model")
    order = list(figures["map_auc"].sort_values(ascending=False).index)
    deposits = int(figures["deposits"].iloc[0])
    figure = Figure(figsize=(11.5, 5.4), layout="constrained")
    colours = _class_colours(len(order))
    for number, (most, title) in enumerate(
        ((100, "Whole area"), (20, "Best fifth of the area")), start=1
    ):
        axes = figure.add_subplot(1, 2, number)
        for colour, name in zip(colours, order, strict=True):
            strong = name == NETWORK
            axes.plot(
                100 * curves.index,
                100 * curves[name],
                color="black" if strong else colour,
                linewidth=2.4 if strong else 1.4,
                zorder=3 if strong else 2,
                label=f"{name}, {figures.loc[name, 'map_auc']:.3f}",
            )
        axes.plot(
            [0, 100], [0, 100], color="#808080", linewidth=1, linestyle=":", label="chance, 0.500"
        )
        inside = 100 * curves.loc[curves.index <= most / 100 + 1e-9, order].to_numpy()
        axes.set(xlim=(0, most), ylim=(0, min(100, 1.08 * inside.max())), title=title)
        axes.set_xlabel("Share of the valid area, best ground first (%)")
        axes.set_ylabel(f"Share of the {deposits} held-out deposits (%)")
        axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(
        fontsize=8,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        title="model, map AUC",
    )
    figure.suptitle(
        f"Prediction-rate curves: {deposits} deposits, each judged by models that never saw its"
        " ground"
    )
    return _save(figure, path, overwrite)


def _draw_band(figure: Figure, axes: Axes, band: Band, layer: np.ndarray, extent: tuple) -> None:
    if band.kind == "class":
        numbers = sorted(band.legend)
        colours = [
            (0.88, 0.88, 0.88) if band.legend[number] == UNMAPPED else colour
            for number, colour in zip(numbers, _class_colours(len(numbers)), strict=True)
        ]
        index = np.full(int(max(numbers)) + 1, np.nan)
        index[numbers] = np.arange(len(numbers))
        shown = index[np.nan_to_num(layer).astype(int)]
        axes.imshow(
            shown,
            extent=extent,
            cmap=ListedColormap(colours),
            vmin=-0.5,
            vmax=len(numbers) - 0.5,
            interpolation="nearest",
        )
        area = [int((layer == number).sum()) for number in numbers]
        widest = np.argsort(area)[::-1][:LEGEND_CLASSES]
        handles = [Patch(color=colours[i], label=band.legend[numbers[i]][:26]) for i in widest]
        if len(numbers) > LEGEND_CLASSES:
            handles.append(
                Patch(color="none", label=f"and {len(numbers) - LEGEND_CLASSES} smaller classes")
            )
        # Below, where it does not push the colour bars of the row above away from their maps.
        axes.legend(
            handles=handles,
            fontsize=5,
            loc="upper left",
            bbox_to_anchor=(0, -0.08),
            ncols=2,
            frameon=False,
        )
        return
    low, high = np.nanquantile(layer, [0.02, 0.98])
    logarithmic = band.kind == "element" and low > 0 and high > low
    norm = LogNorm(low, high) if logarithmic else Normalize(low, high if high > low else low + 1)
    ramp = {"element": "viridis", "distance": "cividis_r"}.get(band.kind, "magma")
    image = axes.imshow(layer, extent=extent, cmap=ramp, norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.01)
    bar.ax.tick_params(labelsize=6, which="both")
    if band.unit:
        bar.set_label(band.unit, fontsize=6)
    if logarithmic:
        bar.set_ticks(LogLocator(subs=(1, 2, 3, 5)), minor=False)
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.minorticks_off()


def _class_colours(count: int) -> list:
    """Return ``count`` soft colours in the manner of a geological map; neighbours in the legend
    differ.
    """
    from colorsys import hls_to_rgb

    return [
        hls_to_rgb((0.11 + number * 0.618034) % 1, 0.62 + 0.14 * (number % 3 - 1), 0.5)
        for number in range(count)
    ]


def _number_targets(axes: Axes, targets: gpd.GeoDataFrame) -> str:
    """Write the numbers beside the targets, best first; return which would cover others and are
    left out, for a legend.

    A number stands at the outline's own north-east corner (that of its bounding box may lie far
    away from it), on the target where that is taken or off the map, or at another corner.
    """
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    near = 0.022 * max(abs(right - left), abs(top - bottom))
    placed: list[tuple[float, float]] = []
    omitted = []
    for target in targets.itertuples():
        outline = shapely.get_coordinates(target.geometry) / 1e3
        middle = shapely.get_coordinates(target.geometry.representative_point())[0] / 1e3
        for to_east, to_north in ((1, 1), (0, 0), (-1, -1), (1, -1), (-1, 1)):
            corner = outline[(outline * (to_east, to_north)).sum(axis=1).argmax()]
            east, north = (corner if to_east else middle).tolist()
            x = east + to_east * near / 2
            y = north + to_north * near / 2
            inside = left < x < right and bottom < y < top
            if inside and not any(abs(x - a) < near and abs(y - b) < near for a, b in placed):
                break
        else:
            omitted.append(str(target.number))
            continue
        placed.append((x, y))
        axes.annotate(
            str(target.number),
            (east, north),
            xytext=(to_east, to_north),
            textcoords="offset points",
            fontsize=7,
            weight="bold",
            ha=("center", "left", "right")[to_east],
            va=("center", "bottom", "top")[to_north],
            color="#0b3d91",
            zorder=6,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )
    if len(omitted) > 6:
        return f"; no room for {len(omitted)} of them"
    return f"; no room for {', '.join(omitted)}" if omitted else ""


def _extent_km(grid) -> tuple[float, float, float, float]:
    west, south, east, north = grid.bounds
    return west / 1e3, east / 1e3, south / 1e3, north / 1e3


def _km(coordinates) -> tuple[np.ndarray, np.ndarray]:
    xy = np.asarray(coordinates)[:, :2] / 1e3
    return xy[:, 0], xy[:, 1]


def _save(figure: Figure, path: str | Path, overwrite: bool) -> Path:
    path = Path(path)
    with finished_file(path, overwrite=overwrite) as final:
        figure.savefig(final, dpi=150, bbox_inches="tight")
    return path
