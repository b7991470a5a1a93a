"""The maps of a run: targets on classes of area, samples on geology, the numbered cells."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from ..run_folder import KNOWN_GROUND, RunFolder, name_column
from .area_shares import REST_COLOUR, SHARE_COLOURS, area_classes, share_colormap, share_names
from .evidence import class_handles, draw_classes, draw_deposits
from .labels import place_labels
from .map_sheet import add_legend, draw_lines, grid_extent, map_sheet

FAULT = "#3f4a54"
TARGET = "#08306b"
KNOWN = "#000000"
DASHES = (0, (3, 1.5))
"""Known ground is dashed: a line's colour alone does not tell it from new ground."""
MISSED = "#b5006a"
DIGIT = 0.64
"""Width of a digit as a share of the size of its letters."""


def draw_targets(run: RunFolder, *, supported: bool = True) -> Figure:
    """Return the target map: classes of area, targets by list, deposits with their names, faults.

    Where the map is not ``supported``, no better than chance as far as the data tell, the title
    says so.
    """
    title = run.title
    if not supported:
        title += "\nThe data do not show that this map is better than chance"
    sheet = map_sheet(run.grid, title, _note(run))
    axes = sheet.axes
    # From the ground up: best ground, structures, targets, deposits, names.
    _draw_shares(axes, run)
    faults = run.survey.get("faults")
    draw_lines(axes, faults, colors=FAULT, linewidths=0.5, zorder=3)
    # Two lists, two signs.
    known = run.targets["list"] == KNOWN_GROUND
    draw_lines(axes, run.targets[~known], colors=TARGET, linewidths=1.3, zorder=4)
    around = run.targets[known]
    draw_lines(
        axes,
        around,
        colors=KNOWN,
        linewidths=1.0,
        linestyles=DASHES,
        zorder=4,
    )
    draw_deposits(axes, run.deposits)
    # Targets are named before deposits: they are what the map is for.
    taken: list[np.ndarray] = []
    symbols = point_coordinates(run.deposits)
    omitted = place_labels(
        axes,
        _label_places(run.targets),
        run.targets["name"].tolist(),
        symbols=symbols,
        taken=taken,
        colour=TARGET,
        size=7.5,
    )
    named = _name_deposits(axes, run.deposits, taken)
    add_legend(sheet, _target_legend(run, omitted, named), title="Share of the area, best first")
    return sheet.figure


def draw_geology(run: RunFolder) -> Figure:
    """Return samples, faults and deposits on the geological map, as the paper's Figure 1."""
    sheet = map_sheet(run.grid, f"{run.title}\nGeology and samples", _note(run))
    axes = sheet.axes
    # The rocks as the models saw them: the band, not the polygons.
    handles: list[Artist] = []
    band = run.geology_band
    if band is not None:
        layer = run.stack.sel(band=band.name).values
        draw_classes(axes, band, layer, grid_extent(run.grid))
        handles += class_handles(band, layer, 16)
    faults = run.survey.get("faults")
    if faults is not None:
        draw_lines(axes, faults, colors="black", linewidths=0.7, zorder=3)
        handles.append(_line("black", 0.7, "fault"))
    samples = run.survey.get("samples")
    if samples is not None:
        points = samples.geometry
        dots = axes.scatter(points.x, points.y, s=4, c="#202020", linewidths=0)
        dots.set_zorder(4)
        handles.append(_mark("o", "#202020", f"sample ({len(samples):,})", size=2.5))
    # The edge of the ground that was looked at.
    area = run.survey.get("study_area")
    draw_lines(axes, area, colors="black", linewidths=1.2, zorder=5)
    # Deposits last: nothing may hide them.
    draw_deposits(axes, run.deposits)
    unnamed = _name_deposits(axes, run.deposits, [])
    handles.append(_deposit_mark(run.deposits, unnamed))
    title = "" if band is None else band.label
    add_legend(sheet, handles, title=title)
    return sheet.figure


def draw_cells(run: RunFolder) -> Figure:
    """Return the numbered window cells, known and new told apart, as the paper's Figure 8."""
    sheet = map_sheet(run.grid, f"{run.title}\nNumbered window cells", _note(run))
    axes = sheet.axes
    _draw_shares(axes, run)
    # All cells thin, the new and the known ones over them.
    draw_lines(axes, run.cells, colors="#9a9a9a", linewidths=0.2, zorder=2)
    # A run without targets gave its cells no status.
    cells = run.cells.assign(status=run.cells.get("status", ""))
    new = cells[cells["status"] == "new"]
    around = cells[cells["status"].isin(["known", "extension"])]
    missed = cells[cells["status"] == "missed"]
    draw_lines(axes, new, colors=TARGET, linewidths=0.9, zorder=4)
    draw_lines(axes, around, colors="white", linewidths=2.0, zorder=5)
    draw_lines(axes, around, colors=KNOWN, linewidths=1.4, linestyles=DASHES, zorder=5)
    draw_lines(axes, missed, colors=MISSED, linewidths=1.2, zorder=5)
    draw_deposits(axes, run.deposits, size=14)
    _number_cells(axes, pd.concat([new, around, missed]), run.deposits)
    handles = [
        *_share_patches(),
        _line(TARGET, 1.1, f"cell on an exploration target ({len(new):,})"),
        _dashed(f"cell on ground around known deposits ({len(around):,})"),
    ]
    if len(missed):
        handles.append(_line(MISSED, 1.2, f"cell with a deposit, on no target ({len(missed):,})"))
    handles.append(_mark("^", "white", "known deposit"))
    add_legend(sheet, handles, title="Share of the area, best first")
    return sheet.figure


def _number_cells(axes: Axes, cells: gpd.GeoDataFrame, deposits: gpd.GeoDataFrame) -> None:
    """Write the numbers of cells inside them, as large as fits, beside the deposits' symbols."""
    if not len(cells):
        return
    # 1. The size at which the longest number is as wide as a cell.
    boxes = cells.geometry.bounds.to_numpy()
    corners = axes.transData.transform(boxes.reshape(-1, 2)).reshape(-1, 4)
    width = float((corners[:, 2] - corners[:, 0]).max()) * 72 / axes.figure.dpi
    digits = len(str(cells["number"].max()))
    size = min(6.0, 0.9 * width / (DIGIT * digits))
    # 2. In the upper half of a cell; in the lower half where a deposit lies in the upper.
    points = point_coordinates(deposits)
    for number, (west, south, east, north) in zip(cells["number"], boxes, strict=True):
        inside = (points[:, 0] >= west) & (points[:, 0] < east)
        inside &= points[:, 1] > (south + north) / 2 - 0.1 * (north - south)
        inside &= points[:, 1] <= north + 0.2 * (north - south)
        share = 0.25 if inside.any() else 0.75
        text = axes.text(
            (west + east) / 2,
            south + share * (north - south),
            str(number),
            fontsize=size,
            ha="center",
            va="center",
            zorder=8,
        )
        text.set_path_effects([withStroke(linewidth=size / 4, foreground="white")])


def point_coordinates(layer: gpd.GeoDataFrame | gpd.GeoSeries) -> np.ndarray:
    """Return a point inside each feature, (features, 2)."""
    if not len(layer):
        return np.empty((0, 2))
    return shapely.get_coordinates(layer.geometry.representative_point().to_numpy())


def _draw_shares(axes: Axes, run: RunFolder) -> None:
    """Draw the best 1 to 20 % of the area and hatch what is extrapolated."""
    classes = area_classes(run.scores.sel(band="score").values)
    extent = grid_extent(run.grid)
    axes.imshow(
        classes,
        extent=extent,
        cmap=share_colormap(),
        vmin=-0.5,
        vmax=5.5,
        interpolation="nearest",
    )
    outside = run.extrapolated
    if outside.any():
        from matplotlib import rc_context

        # Drawn as filled contours, the one kind of image that matplotlib hatches.
        with rc_context({"hatch.linewidth": 0.4, "hatch.color": "#505050"}):
            axes.contourf(
                outside.astype(float),
                levels=[0.5, 1.5],
                extent=extent,
                origin="upper",
                colors="none",
                hatches=["////"],
                zorder=2,
            )


def _name_deposits(axes: Axes, deposits: gpd.GeoDataFrame, taken: list[np.ndarray]) -> int | None:
    """Write the deposits' names; return how many found no room, None where they have no names."""
    column = name_column(deposits)
    if column is None:
        return None
    names = deposits[column].fillna("").astype(str)
    named = deposits[names != ""]
    omitted = place_labels(
        axes,
        point_coordinates(named),
        names[names != ""].tolist(),
        symbols=point_coordinates(deposits),
        taken=taken,
        size=6,
    )
    return len(omitted)


def _label_places(targets: gpd.GeoDataFrame) -> np.ndarray:
    """Return where a target's name belongs: its best cell, else a point inside."""
    inside = point_coordinates(targets)
    best = targets[["x", "y"]].to_numpy(float)
    return np.where(np.isfinite(best), best, inside)


def _target_legend(run: RunFolder, omitted: list[str], unnamed: int | None) -> list[Artist]:
    known = int((run.targets["list"] == KNOWN_GROUND).sum())
    new = len(run.targets) - known
    # A target without a label is named here, so that none is lost.
    room = f"\n(no room for {_listed(omitted)})" if omitted else ""
    # What the map shows and nothing else: each sign is there when its layer is.
    handles: list[Artist] = [
        *_share_patches(),
        _line(TARGET, 1.3, f"exploration target ({new}){room}"),
        _dashed(f"ground around known deposits ({known})"),
        _deposit_mark(run.deposits, unnamed),
    ]
    if "faults" in run.survey:
        handles.append(_line(FAULT, 0.5, "fault"))
    if run.extrapolated.any():
        patch = Patch(facecolor="none", edgecolor="#505050", hatch="////")
        patch.set_label("extrapolated: unlike all\ntraining ground")
        handles.append(patch)
    return handles


def _share_patches() -> list[Patch]:
    colours = (*SHARE_COLOURS, REST_COLOUR)
    pairs = zip(colours, share_names(), strict=True)
    patches = []
    for colour, name in pairs:
        patch = Patch(facecolor=colour, label=name)
        patch.set(edgecolor="#808080", linewidth=0.4)
        patches.append(patch)
    return patches


def _deposit_mark(deposits: gpd.GeoDataFrame, unnamed: int | None) -> Line2D:
    room = f"\n(no room for {unnamed} names)" if unnamed else ""
    return _mark("^", "white", f"known deposit ({len(deposits)}){room}")


def _line(colour: str, width: float, label: str, **style: Any) -> Line2D:
    return Line2D(
        [],
        [],
        color=colour,
        linewidth=width,
        label=label,
        **style,
    )


def _mark(
    marker: str,
    colour: str,
    label: str,
    *,
    size: float = 5.5,
) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        color=colour,
        markersize=size,
        markeredgecolor="black",
        markeredgewidth=0.7,
        label=label,
    )


def _dashed(label: str) -> Line2D:
    return _line(KNOWN, 1.0, label, linestyle=DASHES)


def _listed(names: list[str]) -> str:
    """Return a few names, or how many there are.

    >>> _listed(["T1", "T2"]), _listed(["T1"] * 9)
    ('T1, T2', '9 targets')
    """
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} targets"


def _note(run: RunFolder) -> str:
    made = str(run.record.get("finished", ""))[:10]
    version = run.record.get("versions", {}).get("geomfaf", "")
    by = f"geomfaf {version}".strip()
    cell = f"cells of {run.grid.cell:g} m"
    return f"{cell}\n{by}, {made}" if made else f"{cell}\n{by}"
