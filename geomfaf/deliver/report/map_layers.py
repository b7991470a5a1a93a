"""A run goes in; what its interactive map draws comes out: images on the grid and plain features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from matplotlib.colors import to_hex, to_rgba

from ..figures.area_shares import SHARE_COLOURS, area_classes, share_names
from ..figures.evidence import band_colours, class_index
from ..run_folder import EXPLORATION, RunFolder, name_column
from .pictures import hatch_image, index_image, ramp_image

MOST_POINTS = 5000
LEGEND_CLASSES = 40


def map_content(run: RunFolder) -> dict[str, Any]:
    """Return everything the map draws, in the grid's metres, as JSON can hold it.

    Returns
    -------
    dict
        ``bounds`` (W, S, E, N); ``images``: name, address, legend, whether shown at first;
        ``targets``, ``deposits``, ``samples``: points and rings with their texts; ``faults``,
        ``study_area``: lines.
    """
    return {
        "bounds": [round(value, 3) for value in run.grid.bounds],
        "images": map_images(run),
        "targets": target_features(run),
        "deposits": deposit_features(run),
        "samples": sample_features(run),
        "faults": line_features(run, "faults"),
        "study_area": line_features(run, "study_area"),
    }


def map_images(run: RunFolder) -> list[dict[str, Any]]:
    """Return the images of the map, the classes of area first."""
    score = run.scores.sel(band="score").values
    colours = [_rgba(colour) for colour in (*SHARE_COLOURS, "#f4f4f200")]
    legend = list(zip(share_names()[:-1], SHARE_COLOURS, strict=True))
    shares = index_image(area_classes(score), colours)
    images = [_image("Best 20 % of the area", shares, legend, shown=True)]
    # 1. The continuous maps.
    low = float(np.nanquantile(score, 0.02))
    high = float(np.nanquantile(score, 0.995))
    bands = {"score": "Score", "heldout_score": "Held-out score", "spread": "Spread of the score"}
    there = list(map(str, run.scores["band"].values))
    for name, title in bands.items():
        if name not in there:
            continue
        values = run.scores.sel(band=name).values
        if name == "spread":
            low = float(np.nanquantile(values, 0.02))
            high = float(np.nanquantile(values, 0.98))
        ramp = "cividis" if name == "spread" else "YlOrRd"
        legend = [(f"{title}: {low:.2f} (pale) to {high:.2f} (dark)", "")]
        if name == "spread":
            legend = [(f"{title}: {low:.2f} (dark) to {high:.2f} (yellow)", "")]
        images.append(_image(title, ramp_image(values, ramp, low, high), legend))
    # 2. The rocks.
    band = run.geology_band
    if band is not None:
        images.append(_geology_image(run))
    # 3. What the map does not speak for.
    if run.extrapolated.any():
        images.append(
            _image("Extrapolated ground", hatch_image(run.extrapolated), [], shown=True, over=True)
        )
    return images


def target_features(run: RunFolder) -> list[dict[str, Any]]:
    """Return the targets with their rings and the reasons that a click shows."""
    found = []
    rows = run.targets.to_dict("records")
    for row, geometry in zip(rows, run.targets.geometry, strict=True):
        reasons = [row["why"], row["elements"], row["rocks"] or row["geology"], row["factors"]]
        found.append(
            {
                "name": row["name"],
                "sheet": sheet_id(row),
                "explore": row["list"] == EXPLORATION,
                "status": row["status"],
                "rings": _rings(geometry, run.grid.cell / 3),
                "reasons": [text for text in reasons if text],
                "area": round(float(row["area_km2"]), 2),
                "heldout": _number(row["heldout_score"]),
            }
        )
    return found


def deposit_features(run: RunFolder) -> list[dict[str, Any]]:
    """Return the deposits with names, commodities and what the held-out map says of them."""
    column = name_column(run.deposits)
    points = _coordinates(run.deposits)
    found = []
    for point, row in zip(points, run.deposits.to_dict("records"), strict=True):
        commodity = row.get("commodity")
        found.append(
            {
                "at": point,
                "name": _text(row.get(column)) if column else "",
                "commodity": _text(commodity),
                "best": _number(row.get("best_percent"), 1),
            }
        )
    return found


def sample_features(run: RunFolder) -> list[dict[str, Any]]:
    """Return the samples, at most five thousand of them, evenly thinned."""
    samples = run.survey.get("samples")
    if samples is None:
        return []
    step = -(-len(samples) // MOST_POINTS)
    shown = samples.iloc[::step]
    label = "sample_id" if "sample_id" in shown else None
    names = shown[label].astype(str) if label else shown.index.astype(str)
    return [
        {"at": point, "name": name}
        for point, name in zip(_coordinates(shown), names.tolist(), strict=True)
    ]


def line_features(run: RunFolder, name: str) -> list[list[list[float]]]:
    """Return the lines, or the outlines, of a layer, thinned to half a cell."""
    layer = run.survey.get(name)
    if layer is None:
        return []
    simple = shapely.simplify(layer.geometry.to_numpy(), run.grid.cell / 2)
    found: list[list[list[float]]] = []
    for part in shapely.get_parts(simple):
        line = shapely.boundary(part) if part.geom_type == "Polygon" else part
        found += [_points(single) for single in shapely.get_parts(line)]
    return [line for line in found if len(line) > 1]


def sheet_id(target: Mapping[Any, Any]) -> str:
    """Return the name of a target's sheet inside the page.

    >>> sheet_id({"number": 7.0, "name": "<T7>"})
    'target-7'
    """
    return f"target-{int(target['number'])}"


def _geology_image(run: RunFolder) -> dict[str, Any]:
    band = run.geology_band
    assert band is not None  # asked before
    layer = run.stack.sel(band=band.name).values
    index = class_index(band, layer)
    colours = [_rgba(colour) for colour in band_colours(band)]
    # The legend names the widest classes.
    numbers = sorted(band.legend)
    areas = [int((index == place).sum()) for place in range(len(numbers))]
    widest = np.argsort(areas, kind="stable")[::-1][:LEGEND_CLASSES]
    legend = [(band.legend[numbers[i]], to_hex(band_colours(band)[i])) for i in widest]
    if len(numbers) > LEGEND_CLASSES:
        legend.append((f"and {len(numbers) - LEGEND_CLASSES} smaller classes", ""))
    return _image(band.label, index_image(index, colours), legend)


def _image(
    name: str,
    address: str,
    legend: list[tuple[str, str]],
    *,
    shown: bool = False,
    over: bool = False,
) -> dict[str, Any]:
    return {"name": name, "address": address, "legend": legend, "shown": shown, "over": over}


def _rings(geometry: shapely.Geometry, tolerance: float) -> list[list[list[list[float]]]]:
    """Return the rings of each polygon, holes behind their shell."""
    simple = shapely.simplify(geometry, tolerance)
    found = []
    for part in shapely.get_parts(simple):
        shells = [part.exterior, *part.interiors]
        found.append([_points(ring) for ring in shells])
    return found


def _points(line: shapely.Geometry) -> list[list[float]]:
    return shapely.get_coordinates(line).round(1).tolist()


def _coordinates(layer: gpd.GeoDataFrame) -> list[list[float]]:
    points = layer.geometry.representative_point().to_numpy()
    return shapely.get_coordinates(points).round(1).tolist()


def _number(value: Any, digits: int = 2) -> float | None:
    known = value is not None and np.isfinite(value)
    return round(float(value), digits) if known else None


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _rgba(colour: Any) -> tuple[int, int, int, int]:
    red, green, blue, alpha = np.round(np.array(to_rgba(colour)) * 255).astype(int).tolist()
    return red, green, blue, alpha
