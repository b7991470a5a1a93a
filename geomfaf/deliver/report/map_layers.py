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
from .pictures import Colour, hatch_image, index_image, ramp_image

MOST_POINTS = 5000
LEGEND_CLASSES = 40
CONTINUOUS = {
    "score": "Score",
    "heldout_score": "Held-out score",
    "spread": "Spread of the score",
}
Line = list[list[float]]
"""Points of a line or ring, easting and northing."""


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
    # 1. The best ground; the rest of it stays empty.
    colours = [_rgba(colour) for colour in (*SHARE_COLOURS, "#f4f4f200")]
    legend = list(zip(share_names()[:-1], SHARE_COLOURS, strict=True))
    shares = index_image(area_classes(score), colours)
    images = [_image("Best 20 % of the area", shares, legend, shown=True)]
    # 2. The continuous maps; both scores on one scale, so that they can be compared.
    low, high = _ends(score, 0.995)
    there = list(map(str, run.scores["band"].values))
    for name, title in CONTINUOUS.items():
        if name not in there:
            continue
        values = run.scores.sel(band=name).values
        if name == "spread":
            images.append(_spread_image(title, values))
            continue
        said = f"{title}: {low:.2f} (pale) to {high:.2f} (dark)"
        picture = ramp_image(values, "YlOrRd", low, high)
        images.append(_image(title, picture, [(said, "")]))
    # 3. The rocks.
    band = run.geology_band
    if band is not None:
        images.append(_geology_image(run))
    # 4. What the map does not speak for.
    if run.extrapolated.any():
        hatch = hatch_image(run.extrapolated)
        images.append(_image("Extrapolated ground", hatch, [], shown=True, over=True))
    return images


def target_features(run: RunFolder) -> list[dict[str, Any]]:
    """Return the targets with their rings and the reasons that a click shows."""
    found = []
    rows = run.targets.to_dict("records")
    for row, geometry in zip(rows, run.targets.geometry, strict=True):
        rocks = row["rocks"] or row["geology"]
        reasons = [row["why"], row["elements"], rocks, row["factors"]]
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
    rows = run.deposits.to_dict("records")
    found = []
    for point, row in zip(points, rows, strict=True):
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
    # The sample's own number, else its place in the table.
    names = shown.get("sample_id", shown.index)
    names = names.astype(str).tolist()
    points = _coordinates(shown)
    found = []
    for point, name in zip(points, names, strict=True):
        found.append({"at": point, "name": name})
    return found


def line_features(run: RunFolder, name: str) -> list[Line]:
    """Return the lines, or the outlines, of a layer, thinned to half a cell."""
    layer = run.survey.get(name)
    if layer is None:
        return []
    # Half a cell is less than the eye sees, and saves most of the points.
    tolerance = run.grid.cell / 2
    simple = shapely.simplify(layer.geometry.to_numpy(), tolerance)
    found: list[Line] = []
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
    colours = band_colours(band)
    picture = index_image(index, [_rgba(colour) for colour in colours])
    # The legend names the widest classes.
    names = [band.legend[number] for number in sorted(band.legend)]
    known = index[np.isfinite(index)]
    places, areas = np.unique(known, return_counts=True)
    widest_first = np.argsort(-areas, kind="stable")
    widest = places[widest_first].astype(int)
    legend = []
    for place in widest[:LEGEND_CLASSES]:
        legend.append((names[place], to_hex(colours[place])))
    unnamed = len(names) - len(legend)
    if unnamed:
        legend.append((f"and {unnamed} smaller classes", ""))
    return _image(band.label, picture, legend)


def _spread_image(title: str, values: np.ndarray) -> dict[str, Any]:
    """Return the image of the spread, on a ramp of its own: it is no score."""
    low, high = _ends(values, 0.98)
    said = f"{title}: {low:.2f} (dark) to {high:.2f} (yellow)"
    picture = ramp_image(values, "cividis", low, high)
    return _image(title, picture, [(said, "")])


def _ends(values: np.ndarray, upper: float) -> list[float]:
    """Return the second percentile and an upper quantile: single cells do not set a scale."""
    return np.nanquantile(values, [0.02, upper]).tolist()


def _image(
    name: str,
    address: str,
    legend: list[tuple[str, str]],
    *,
    shown: bool = False,
    over: bool = False,
) -> dict[str, Any]:
    return {
        "name": name,
        "address": address,
        "legend": legend,
        "shown": shown,
        "over": over,
    }


def _rings(geometry: shapely.Geometry, tolerance: float) -> list[list[Line]]:
    """Return the rings of each polygon, holes behind their shell."""
    simple = shapely.simplify(geometry, tolerance)
    found = []
    for part in shapely.get_parts(simple):
        shells = [part.exterior, *part.interiors]
        found.append([_points(ring) for ring in shells])
    return found


def _points(line: shapely.Geometry) -> Line:
    return shapely.get_coordinates(line).round(1).tolist()


def _coordinates(layer: gpd.GeoDataFrame) -> Line:
    points = layer.geometry.representative_point().to_numpy()
    return shapely.get_coordinates(points).round(1).tolist()


def _number(value: Any, digits: int = 2) -> float | None:
    known = value is not None and np.isfinite(value)
    return round(float(value), digits) if known else None


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)


def _rgba(colour: Any) -> Colour:
    """Return a colour of matplotlib's as bytes."""
    red, green, blue, opacity = (round(255 * part) for part in to_rgba(colour))
    return red, green, blue, opacity
