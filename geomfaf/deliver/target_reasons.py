"""Targets and a survey go in; why each of them is one comes out: elements, samples, rocks, faults,
deposits, shape, and a sentence.
"""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import CRS

from ..errors import DataError
from ..evaluation.target_factors import percentiles_among
from ..rasters.bands import Band
from ..rasters.grid import lon_lat
from ..rasters.reader import RasterReader
from ..rasters.strips import sorted_values
from ..survey.element_names import parse_element
from ..survey.label_columns import labels_of
from .layers import labelled_samples
from .target_cells import TargetCells

ANOMALOUS = 90.0
"""Percentile from which an element is said to be high on a target."""

BEST = 3
"""Elements whose best sample is named, and rocks and factors that are listed."""

NONE_HIGH = f"none above {ANOMALOUS:g} %"
"""What ``elements`` says where elements were mapped and none is high."""

ELEMENT_COLUMNS = ("number", "element", "unit", "percentile", "value", "sample_id")


def in_crs(
    frame: gpd.GeoDataFrame,
    crs: CRS,
    what: str,
) -> gpd.GeoDataFrame:
    """Return a layer in the CRS of the raster; without a CRS nobody can tell where it lies."""
    if frame.crs is None:
        raise DataError(
            f"{what} have no coordinate reference system, so nobody can tell where on the map they"
            " lie: say it, for instance deposits.set_crs(4326)."
        )
    return frame if CRS(frame.crs) == crs else frame.to_crs(crs)


def target_elements(
    cells: TargetCells,
    targets: gpd.GeoDataFrame,
    stack: RasterReader | None,
    samples: gpd.GeoDataFrame | None,
) -> pd.DataFrame:
    """Return how high every element is on every target, and the best sample on it.

    Parameters
    ----------
    cells : TargetCells
        Those of the targets.
    targets : GeoDataFrame
        With ``number``.
    stack : RasterReader, optional
        Its element bands are ranked among the valid cells of the whole area.
    samples : GeoDataFrame, optional
        In the CRS of the targets, a column a band.

    Returns
    -------
    DataFrame
        number, element (symbol), unit, percentile (mean over the target of the percentile that each
        cell's value has in the area; ties count half), value and sample_id of its highest sample,
        NaN and "" without one. The highest element of a target first.
    """
    if stack is None:
        return pd.DataFrame(columns=list(ELEMENT_COLUMNS))
    inside = _samples_inside(targets, samples)
    numbers = targets["number"].to_numpy(int)
    rows = []
    for band in stack.bands:
        if band.kind not in ("element", "ratio"):
            continue
        # 1. The percentile of every cell in the whole area, and its mean on each target.
        ground, on_targets = sorted_values(stack, band.name, cells.cell)
        means = cells.means(percentiles_among(ground, on_targets))
        # 2. The best sample on each, where one lies there and was analysed for it.
        best = _best_samples(inside, band.name)
        parsed = parse_element(band.name)
        symbol = parsed[0] if parsed else band.name
        for number, mean in zip(numbers.tolist(), means.tolist(), strict=True):
            value, name = best.get(number, (np.nan, ""))
            rows.append((number, symbol, band.unit, mean, value, name))
    table = pd.DataFrame(rows, columns=list(ELEMENT_COLUMNS))
    return table.sort_values(
        ["number", "percentile"],
        ascending=[True, False],
        kind="stable",
        ignore_index=True,
    )


def _samples_inside(
    targets: gpd.GeoDataFrame, samples: gpd.GeoDataFrame | None
) -> pd.DataFrame | None:
    """Return the samples that lie on targets, with ``number`` of the target."""
    if samples is None or not len(samples) or not len(targets):
        return None
    tree = shapely.STRtree(targets.geometry.to_numpy())
    points = samples.geometry.to_numpy()
    sample, target = tree.query(points, predicate="intersects")
    named = samples if "sample_id" in samples else labelled_samples(samples)
    table = pd.DataFrame(named.drop(columns=named.geometry.name))
    numbers = targets["number"].to_numpy(int)
    return table.iloc[sample].assign(number=numbers[target])


def _best_samples(
    inside: pd.DataFrame | None,
    column: str,
) -> dict[int, tuple[float, str]]:
    """Return target -> (value, name) of the highest sample on it."""
    if inside is None or column not in inside:
        return {}
    values = pd.to_numeric(inside[column], errors="coerce")
    known = inside.assign(value=values).dropna(subset=["value"])
    # The first of equal values: the order of the file decides, as everywhere.
    highest_first = known.sort_values("value", ascending=False, kind="stable")
    best = highest_first.drop_duplicates("number")
    found = {}
    for row in best[["number", "value", "sample_id"]].to_dict("records"):
        number = int(row["number"])
        found[number] = (float(row["value"]), str(row["sample_id"]))
    return found


def element_texts(table: pd.DataFrame) -> tuple[str, str]:
    """Return one target's anomalous elements and their best samples, as text; "" where no element
    was mapped.

    >>> row = (1, "Au", "ppb", 97.6, 12.49, "S00348")
    >>> element_texts(pd.DataFrame([row], columns=list(ELEMENT_COLUMNS)))
    ('Au 98 %', 'Au 12.5 ppb, S00348')
    """
    high = table[table["percentile"] >= ANOMALOUS]
    if len(table) and not len(high):
        return NONE_HIGH, ""
    # Rounding 99.6 up to "100 %" would say that nothing in the area is higher.
    percents = np.minimum(high["percentile"].round(), 99)
    elements = []
    for name, percent in zip(high["element"], percents, strict=True):
        elements.append(f"{name} {percent:.0f} %")
    # Of the best few, the sample that a person would go back to.
    samples = []
    sampled = high[high["value"].notna()]
    for row in sampled.head(BEST).to_dict("records"):
        assay = f"{row['element']} {short(row['value'])} {row['unit']}".rstrip("? ")
        samples.append(f"{assay}, {row['sample_id']}")
    return ", ".join(elements), "; ".join(samples)


def short(value: float) -> str:
    """Return a number with three digits, as people write it.

    >>> short(12.4928), short(1234.4), short(0.0051)
    ('12.5', '1,234', '0.0051')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def sample_columns(
    targets: gpd.GeoDataFrame, samples: gpd.GeoDataFrame | None
) -> dict[str, np.ndarray]:
    """Return how many samples lie on each target, and how far (m) the nearest is (0 inside)."""
    if samples is None or not len(samples):
        missing = np.full(len(targets), np.nan)
        return {"samples": np.zeros(len(targets), int), "sample_distance_m": missing}
    inside = _samples_inside(targets, samples)
    counts = {}
    if inside is not None:
        counts = inside["number"].value_counts().to_dict()
    number = [counts.get(target, 0) for target in targets["number"]]
    distance = nearest(samples, targets.geometry.to_numpy())[1]
    return {"samples": np.array(number, int), "sample_distance_m": distance}


def rock_columns(
    cells: TargetCells, targets: gpd.GeoDataFrame, stack: RasterReader | None
) -> dict[str, list[str]]:
    """Return the commonest class on each target, and the shares of the commonest three."""
    band = None if stack is None else _class_band(stack)
    if stack is None or band is None:
        nothing = [""] * len(targets)
        return {"geology": nothing, "rocks": list(nothing)}
    classes = np.nan_to_num(cells.values(stack, band.name)).astype(int)
    names = []
    shares = []
    for on_target in cells.split():
        # 1. Cells of each class on the target.
        counts = np.bincount(classes[on_target], minlength=1)
        # Ground without a class is no rock.
        counts[0] = 0
        order = np.argsort(-counts, kind="stable")[:BEST]
        order = order[counts[order] > 0]
        # 2. Their names and shares; what rounds to nothing is not named.
        rocks = [band.legend.get(int(value), f"class {value}") for value in order]
        percent = 100 * counts[order] / max(1, counts.sum())
        names.append(rocks[0] if rocks else "")
        texts = []
        for name, share in zip(rocks, percent, strict=True):
            if share >= 0.5:
                texts.append(f"{name} {share:.0f} %")
        shares.append(", ".join(texts))
    return {"geology": names, "rocks": shares}


def _class_band(stack: RasterReader) -> Band | None:
    """Return the first class band of a stack, None where it has none."""
    for band in stack.bands:
        if band.kind == "class":
            return band
    return None


def fault_columns(
    targets: gpd.GeoDataFrame,
    faults: gpd.GeoDataFrame | None,
) -> dict[str, Any]:
    """Return name, distance (m, from the best cell) and strike (degrees) of each target's nearest
    fault.

    The strike is that of the fault's chord beside the target, as long as the target is.
    """
    places = shapely.points(targets["x"], targets["y"])
    index, distance = nearest(faults, places)
    names = [""] * len(targets)
    strikes = np.full(len(targets), np.nan)
    if faults is not None and len(faults):
        labels = labels_of(faults, "fault").to_numpy()
        names = labels[index].tolist()
        lengths = targets["length_m"].to_numpy()
        lines = faults.geometry.to_numpy()[index]
        for number, line in enumerate(lines):
            strikes[number] = chord_azimuth(line, places[number], lengths[number])
    return {
        "fault": names,
        "fault_distance_m": distance,
        "fault_strike": strikes,
    }


def chord_azimuth(
    line: shapely.Geometry,
    place: shapely.Point,
    length: float,
) -> float:
    """Return the azimuth (0 to 180 degrees from north) of the chord of a line beside a place.

    >>> chord_azimuth(shapely.LineString([(0, 0), (10, 10), (10, 90)]), shapely.Point(12, 60), 20)
    0.0
    """
    # 1. The part of the fault that is nearest, and the place on it.
    parts = shapely.get_parts(line)
    distances = shapely.distance(parts, place)
    part = parts[np.argmin(distances)]
    middle = shapely.line_locate_point(part, place)
    # 2. Two points on it, half a length to either side, as far as it goes.
    along = [middle - length / 2, middle + length / 2]
    ends = shapely.line_interpolate_point(part, np.clip(along, 0, part.length))
    first, second = shapely.get_coordinates(ends)
    return azimuth(second - first)


def azimuth(vector: np.ndarray) -> float:
    """Return the azimuth (0 to 180 degrees from north) of a line along (east, north).

    >>> [azimuth(np.array(v)) for v in ((0, 1), (1, 0), (-1, 1), (0, -2))]
    [0.0, 90.0, 135.0, 0.0]
    """
    east, north = vector
    # From north, clockwise; a line has no direction, so half a turn is enough.
    return float(np.degrees(np.arctan2(east, north)) % 180)


def deposit_columns(
    targets: gpd.GeoDataFrame,
    deposits: gpd.GeoDataFrame,
) -> dict[str, Any]:
    """Return the deposits inside each target, and name, commodity and distance (m) of the
    nearest.
    """
    polygons = targets.geometry.to_numpy()
    index, distance = nearest(deposits, polygons)
    names = [""] * len(targets)
    commodities = [""] * len(targets)
    count = np.zeros(len(targets), int)
    if len(deposits) and len(targets):
        labels = labels_of(deposits, "deposit").to_numpy()
        names = labels[index].tolist()
        mined = labels_of(deposits, "commodity").to_numpy()
        commodities = mined[index].tolist()
        # One that lies on a common edge counts for both targets.
        tree = shapely.STRtree(polygons)
        points = deposits.geometry.to_numpy()
        _, inside = tree.query(points, predicate="intersects")
        count = np.bincount(inside, minlength=len(targets))
    return {
        "deposits": count.astype(int),
        "deposit_distance_m": distance,
        "nearest_deposit": names,
        "nearest_commodity": commodities,
    }


def shape_columns(targets: gpd.GeoDataFrame) -> dict[str, np.ndarray]:
    """Return length and width (m) of each target's smallest rectangle, and the azimuth (degrees) of
    its longer side.
    """
    found = np.full((3, len(targets)), np.nan)
    boxes = shapely.minimum_rotated_rectangle(targets.geometry.to_numpy())
    for number, box in enumerate(boxes):
        # Two sides of the rectangle that meet; the longer one gives the azimuth.
        corners = shapely.get_coordinates(box)
        sides = corners[1:3] - corners[0:2]
        lengths = np.hypot(sides[:, 0], sides[:, 1])
        longer = int(np.argmax(lengths))
        found[0, number] = lengths[longer]
        found[1, number] = lengths[1 - longer]
        found[2, number] = azimuth(sides[longer])
    return {
        "length_m": found[0],
        "width_m": found[1],
        "azimuth": found[2],
    }


def degrees(
    x: np.ndarray,
    y: np.ndarray,
    crs: CRS,
) -> dict[str, np.ndarray]:
    """Return longitude and latitude (WGS 84) of places; NaN in a local grid."""
    lon, lat = lon_lat(x, y, crs)
    return {"lon": lon, "lat": lat}


def nearest(
    layer: gpd.GeoDataFrame | None,
    places: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return index of and distance (m) to the nearest feature of each place; NaN where there is
    none.
    """
    if layer is None or not len(layer) or not len(places):
        first = np.zeros(len(places), int)
        return first, np.full(len(places), np.nan)
    tree = shapely.STRtree(layer.geometry.to_numpy())
    pairs, distance = tree.query_nearest(places, return_distance=True, all_matches=False)
    return pairs[1], distance


def factor_text(contributions: pd.DataFrame) -> str:
    """Return the factors that move one target's score most, with sign.

    >>> table = pd.DataFrame({"factor": ["Au_ppb", "fault_distance", "Cu"],
    ...     "contribution": [0.1234, 0.08, -0.02]})
    >>> factor_text(table)
    'Au +0.12; fault distance +0.08; Cu -0.02'
    """
    size = contributions["contribution"].abs()
    # What rounds to nothing moves nothing.
    moved = contributions[size >= 0.005]
    moved = moved.sort_values("contribution", key=abs, ascending=False)
    parts = []
    for row in moved.head(BEST).to_dict("records"):
        parts.append(f"{factor_label(str(row['factor']))} {row['contribution']:+.2f}")
    return "; ".join(parts)


def factor_label(band: str) -> str:
    """Return what people call a band: the element, or its words.

    >>> factor_label("Au_ppb"), factor_label("fault_distance")
    ('Au', 'fault distance')
    """
    element = parse_element(band)
    return element[0] if element else band.replace("_", " ")
