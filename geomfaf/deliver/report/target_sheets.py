"""A target goes in; its sheet comes out: a map of its surroundings and what is known of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from ...rasters.blocks import cores
from ..figures.area_shares import area_classes, share_colormap
from ..figures.evidence import draw_deposits
from ..figures.labels import place_labels
from ..figures.map_sheet import (
    draw_fixed_coordinates,
    draw_lines,
    picture_of,
    round_length,
    small_png,
)
from ..figures.maps import KNOWN, TARGET, point_coordinates
from ..run_folder import KNOWN_GROUND, RunFolder, name_column
from .map_layers import sheet_id
from .pictures import data_address
from .tables import percent

MOST_SHEETS = 60
"""Sheets in one report, exploration targets first: more would make it too large to send."""

PAGE = 4.6
"""Inches of a sheet's picture, both ways."""
MAP = 0.88 * PAGE
"""Inches of the map in it."""


def target_sheets(run: RunFolder) -> list[dict[str, Any]]:
    """Return the sheets: id, name, list, status, why, a picture, facts as (label, text)."""
    return _sheets(run, run.targets.head(MOST_SHEETS))


def target_sheet(run: RunFolder, name: str) -> dict[str, Any]:
    """Return the sheet of one target, T1 or K2, which need not be among those of the report."""
    return _sheets(run, run.targets[run.targets["name"] == name])[0]


def _sheets(run: RunFolder, targets: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    classes = area_classes(run.scores.sel(band="score").values)
    figure, axes = _base_map(run)
    shared = axes.get_children()
    names = _deposit_names(run.deposits)
    rows = targets.to_dict("records")
    pictures = []
    # One thread draws while others pack what it drew.
    with ThreadPoolExecutor(cores()) as pool:
        for row in rows:
            draw_surroundings(axes, run, row, classes)
            place_labels(axes, *names, symbols=point_coordinates(run.deposits), size=7)
            pictures.append(pool.submit(small_png, picture_of(figure, 88)))
            _take_away(axes, shared)
    return [_sheet(row, one.result()) for row, one in zip(rows, pictures, strict=True)]


def _sheet(row: dict[str, Any], picture: bytes) -> dict[str, Any]:
    return {
        "id": sheet_id(row),
        "name": row["name"],
        "list": row["list"],
        "status": row["status"],
        "why": row["why"],
        "picture": data_address(picture),
        "facts": target_facts(row),
    }


def target_facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what is known of a target, as label and text; what is not known is left out."""
    # The map's own metres, and what a receiver for satellite positions shows.
    place = f"{row['x']:,.0f} E, {row['y']:,.0f} N"
    if np.isfinite(row["lat"]):
        place += f" ({row['lat']:.5f}, {row['lon']:.5f})"
    facts = [
        ("Status", f"{row['status']}, rank {row['rank']:.0f} of its list"),
        ("Best cell", place),
        ("Size", size_text(row)),
        ("Held-out score", _score(row)),
        ("Anomalous elements", row["elements"]),
        ("Best samples", row["best_samples"]),
        ("Samples inside", sample_text(row)),
        ("Rocks", row["rocks"] or row["geology"]),
        ("Fault", fault_text(row)),
        ("Nearest deposit", deposit_text(row)),
        ("Factors", row["factors"]),
        ("Extrapolated", extrapolated_text(row["extrapolated"])),
    ]
    return [(label, text) for label, text in facts if text]


def size_text(row: dict[str, Any]) -> str:
    """Return area and shape.

    >>> size_text({"area_km2": 1.5, "length_m": 2100.0, "width_m": 900.0, "azimuth": 41.0})
    '1.50 km², 2,100 m long, 900 m wide, azimuth 41°'
    """
    text = f"{row['area_km2']:.2f} km²"
    if np.isfinite(row["length_m"]):
        text += f", {row['length_m']:,.0f} m long"
        text += f", {row['width_m']:,.0f} m wide"
    if np.isfinite(row["azimuth"]):
        text += f", azimuth {row['azimuth']:.0f}°"
    return text


def sample_text(row: dict[str, Any]) -> str:
    """Return how many samples lie inside; that there is none is a caution."""
    if not np.isfinite(row["samples"]):
        return ""
    if row["samples"] > 0:
        return f"{row['samples']:.0f}"
    nearest = row["sample_distance_m"]
    if not np.isfinite(nearest):
        return "none"
    return f"none; the nearest is {nearest:,.0f} m away"


def fault_text(row: dict[str, Any]) -> str:
    """Return the nearest fault: name, distance, strike."""
    if not np.isfinite(row["fault_distance_m"]):
        return ""
    name = row["fault"] or "nearest"
    text = f"{name}, {row['fault_distance_m']:,.0f} m from the best cell"
    if np.isfinite(row["fault_strike"]):
        text += f", strike {row['fault_strike']:.0f}°"
    return text


def deposit_text(row: dict[str, Any]) -> str:
    """Return the nearest deposit: name, commodity, distance, and how many lie inside."""
    if not np.isfinite(row["deposit_distance_m"]):
        return ""
    known = (row["nearest_deposit"], row["nearest_commodity"])
    named = ", ".join(text for text in known if text)
    # Known ground: how many lie inside comes first.
    if row["deposits"] > 0:
        inside = f"{row['deposits']:.0f} inside"
        return f"{inside}: {named}" if named else inside
    away = f"{row['deposit_distance_m']:,.0f} m away"
    return f"{named}, {away}" if named else away


def extrapolated_text(share: float) -> str:
    """Return a caution where ground is unlike all training ground."""
    shown = percent(share)
    return (
        f"{shown} of it is unlike all training ground: there the score is a guess" if shown else ""
    )


def _base_map(run: RunFolder) -> tuple[Figure, Axes]:
    """Return a sheet's figure and the axes of its map, with what is the same on all sheets."""
    figure = Figure(figsize=(PAGE, PAGE))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.1, 0.1, MAP / PAGE, MAP / PAGE))
    axes.set_aspect("equal")
    # Neighbours are thin and grey; the target itself will be thick.
    draw_lines(axes, run.targets, colors="#777777", linewidths=0.8, zorder=4)
    draw_deposits(axes, run.deposits, size=40)
    return figure, axes


def _take_away(axes: Axes, shared: list[Artist]) -> None:
    """Take away what belongs to one sheet alone."""
    for drawn in axes.get_children():
        if drawn not in shared:
            drawn.remove()


def draw_surroundings(axes: Axes, run: RunFolder, row: dict[str, Any], classes: np.ndarray) -> None:
    """Draw the map of a target and of half its length around it, over what all sheets share."""
    target = run.targets.geometry[run.targets["number"] == row["number"]]
    west, south, east, north = target.total_bounds
    # A speck is shown with at least forty cells around, so that one sees where it is.
    half = max(east - west, north - south, 40 * run.grid.cell) * 0.85
    x = (west + east) / 2
    y = (south + north) / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half))
    draw_fixed_coordinates(axes, 2 * half / MAP / 72, size=6)
    # 1. The classes of area under everything; only the part in sight is drawn.
    _draw_part(axes, run, classes)
    # 2. Structures, samples, the target and its best cell.
    faults = _near(run.survey.get("faults"), axes)
    draw_lines(axes, faults, colors="#3f4a54", linewidths=0.9, zorder=3)
    samples = _near(run.survey.get("samples"), axes)
    if samples is not None:
        x, y = point_coordinates(samples).T
        axes.scatter(x, y, s=5, c="#202020", zorder=3.5)
    colour = KNOWN if row["list"] == KNOWN_GROUND else TARGET
    draw_lines(axes, target, colors=colour, linewidths=1.8, zorder=5)
    axes.plot(
        row["x"],
        row["y"],
        "+",
        color=colour,
        markersize=11,
        markeredgewidth=1.6,
        zorder=7,
    )
    _draw_bar(axes, half)


def _draw_part(axes: Axes, run: RunFolder, classes: np.ndarray) -> None:
    """Draw the classes of area inside the axes' limits."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    # Beyond the map there is nothing to draw.
    west, south, east, north = run.grid.bounds
    xs = np.clip([left, right], west, east)
    ys = np.clip([top, bottom], south, north)
    rows, cols = run.grid.rowcol(xs, ys)
    first_row = int(rows[0])
    last_row = int(rows[1]) + 1
    first_col = int(cols[0])
    last_col = int(cols[1]) + 1
    height = last_row - first_row
    width = last_col - first_col
    part = run.grid.window(first_row, first_col, height, width)
    west, south, east, north = part.bounds
    axes.imshow(
        classes[first_row:last_row, first_col:last_col],
        extent=(west, east, south, north),
        cmap=share_colormap(),
        vmin=-0.5,
        vmax=5.5,
        interpolation="nearest",
    )
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _deposit_names(deposits: gpd.GeoDataFrame) -> tuple[np.ndarray, list[str]]:
    """Return the places, (names, 2), and the names of the deposits that have one."""
    column = name_column(deposits)
    named = deposits[:0] if column is None else deposits[deposits[column].notna()]
    texts = [] if column is None else named[column].astype(str).tolist()
    return point_coordinates(named), texts


def _draw_bar(axes: Axes, half: float) -> None:
    """Draw a scale bar in the lower left corner."""
    # A quarter of the picture at most.
    length = round_length(half / 2)
    left = axes.get_xlim()[0] + half * 0.06
    low = axes.get_ylim()[0] + half * 0.06
    # Readable on dark red, too.
    axes.plot([left, left + length], [low, low], color="white", linewidth=4.5, zorder=8)
    axes.plot([left, left + length], [low, low], color="black", linewidth=2.5, zorder=9)
    unit = f"{length / 1e3:g} km" if length >= 1e3 else f"{length:g} m"
    halo = [withStroke(linewidth=2, foreground="white")]
    axes.text(left, low + half * 0.03, unit, fontsize=7, zorder=9, path_effects=halo)


def _near(layer: gpd.GeoDataFrame | None, axes: Axes) -> gpd.GeoSeries | None:
    """Return the shapes of a layer that may be in sight, in their order."""
    if layer is None:
        return None
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    shapes = layer.geometry
    places = shapes.sindex.query(shapely.box(left, bottom, right, top), sort=True)
    return shapes.iloc[places]


def _score(row: dict[str, Any]) -> str:
    if not np.isfinite(row["heldout_score"]):
        return ""
    text = f"{row['heldout_score']:.2f}; {row['mean_score']:.2f} by all models"
    if np.isfinite(row["spread"]):
        text += f", spread {row['spread']:.2f}"
    return text


def sheets_left_out(targets: pd.DataFrame) -> int:
    """Return how many targets have no sheet in the report."""
    return max(0, len(targets) - MOST_SHEETS)
