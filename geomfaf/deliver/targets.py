"""Targets: numbered window cells and ranked polygons around the best ground."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from rasterio.features import shapes
from scipy import ndimage

from ..errors import DataError, UsageError
from ..rasters.bands import bands_of, grid_of, score_values
from ..windows.windows import tiled_windows

TARGETS_BY = ("score", "vote")
MIN_CELLS = 16
"""Specks below this many cells are left out: a map scored every fourth cell resolves nothing
smaller.
"""


def make_cells(scores: xr.DataArray, size: int, deposits: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return every window cell of the map with its number, scores and whether it is known, new or
    neither.

    Cells are numbered row by row from 1 at the top left, as the paper numbers its areas.

    Returns
    -------
    GeoDataFrame
        number, score, heldout_score, spread, vote_share (means over the cell's valid ground), vote
        (1 = a majority of the branches votes ore), deposits, status: ``known`` (voted ore, with a
        deposit), ``missed`` (a deposit, not voted ore), ``new`` (voted ore, no deposit) or empty.
    """
    grid = grid_of(scores)
    names = ("score", "heldout_score", "spread", "vote_share")
    layers = score_values(scores, names)
    valid = np.isfinite(layers[0])
    cells = tiled_windows(grid, size, deposits=deposits, valid=valid)
    at_row, at_col = (np.arange(length) // size for length in grid.shape)
    columns = -(-grid.width // size)
    number = (at_row[:, None] * columns + at_col[None, :] + 1).astype(np.int64)
    for name, layer in zip(names, layers, strict=True):
        cells[name] = ndimage.mean(
            np.nan_to_num(layer), np.where(np.isfinite(layer), number, 0), cells["number"]
        )
    vote = cells["vote_share"] > 0.5
    known = cells["deposits"] > 0
    cells["vote"] = vote.astype(int)
    cells["status"] = np.select([vote & known, known, vote], ["known", "missed", "new"], default="")
    order = [
        "number",
        "status",
        "score",
        "heldout_score",
        "spread",
        "vote_share",
        "vote",
        "deposits",
        "valid_share",
    ]
    return cells[[*order, "geometry"]]


def make_targets(
    scores: xr.DataArray,
    deposits: gpd.GeoDataFrame,
    *,
    stack: xr.DataArray | None = None,
    faults: gpd.GeoDataFrame | None = None,
    area_share: float = 0.05,
    threshold: float | None = None,
    by: str = "score",
    min_cells: int = MIN_CELLS,
) -> gpd.GeoDataFrame:
    """Return polygons around the best ground, ranked by mean score and numbered from 1.

    Parameters
    ----------
    scores : DataArray
        Result of :func:`geomfaf.predict_scores`.
    stack : DataArray, optional
        Its class band gives each target the commonest class on it.
    faults : GeoDataFrame, optional
        Gives the best cell of each target its distance to the nearest fault.
    area_share : float
        Share of the valid area that the targets may take, best first.
    threshold : float, optional
        Score above which ground is a target, instead of ``area_share``.
    by : {"score", "vote"}
        ``"vote"`` takes the ground where a majority of the branches votes ore.
    min_cells : int
        Polygons of fewer cells are left out.

    Returns
    -------
    GeoDataFrame
        number, status (``known`` with a deposit inside, else ``new``), area_km2, mean_score,
        max_score, heldout_score, spread, vote_share, extrapolated (share of it that is unlike the
        training ground, NaN when the raster does not tell), deposits (inside), deposit_distance_m
        (to the nearest one, 0 inside), geology, x and y (the best cell) and fault_distance_m (from
        there); empty when nothing is above.
    """
    grid = grid_of(scores)
    if stack is not None:
        grid.require_same(grid_of(stack), "the stack")
    score, votes = score_values(scores, ("score", "vote_share"))
    labels, count = ndimage.label(_best_ground(score, votes, area_share, threshold, by))
    sizes = ndimage.sum_labels(np.ones_like(labels), labels, np.arange(count + 1))
    labels[(sizes < min_cells)[labels]] = 0
    parts: dict[int, list] = {}
    for shape, value in shapes(labels.astype(np.int32), mask=labels > 0, transform=grid.transform):
        parts.setdefault(int(value), []).append(shapely.geometry.shape(shape))
    index = np.array(sorted(parts), int)
    polygons = [shapely.union_all(parts[number]) for number in index]
    columns: dict[str, Any] = _columns(scores, labels, index)
    columns["area_km2"] = sizes[index] * grid.cell_area / 1e6
    tree = shapely.STRtree(polygons)
    inside = (
        tree.query(deposits.geometry.to_numpy(), predicate="intersects")[1] if len(deposits) else []
    )
    columns["deposits"] = np.bincount(inside, minlength=len(index)).astype(int)
    columns["status"] = np.where(columns["deposits"] > 0, "known", "new")
    columns["geology"] = _dominant_class(stack, labels, index)
    columns["deposit_distance_m"] = _distance(deposits, polygons)
    best = ndimage.maximum_position(np.nan_to_num(score, nan=-np.inf), labels, index)
    columns["x"], columns["y"] = grid.xy(*np.array(best, int).reshape(-1, 2).T)
    columns["fault_distance_m"] = _distance(faults, shapely.points(columns["x"], columns["y"]))
    frame = gpd.GeoDataFrame(columns, geometry=polygons, crs=grid.crs)
    frame = frame.sort_values(
        ["mean_score", "max_score"], ascending=False, kind="stable"
    ).reset_index(drop=True)
    frame["number"] = np.arange(1, len(frame) + 1)
    return frame[[*TARGET_COLUMNS, "geometry"]]


TARGET_COLUMNS = (
    "number",
    "status",
    "area_km2",
    "mean_score",
    "max_score",
    "heldout_score",
    "spread",
    "vote_share",
    "extrapolated",
    "deposits",
    "deposit_distance_m",
    "geology",
    "fault_distance_m",
    "x",
    "y",
)


def placed_deposits(
    scores: xr.DataArray, deposits: gpd.GeoDataFrame, targets: gpd.GeoDataFrame
) -> gpd.GeoDataFrame:
    """Return the deposits with what the map says of their place.

    Returns
    -------
    GeoDataFrame
        The given columns and map_score, map_heldout (the score by the model that never saw the
        place), best_percent (percentage of the valid ground whose held-out score is at least as
        high; without held-out scores, whose score is) and target (the number of the target that it
        lies in, 0 = none). A name that is taken gets ``_`` behind it.
    """
    grid = grid_of(scores)
    layers = dict(
        zip(
            ("map_score", "map_heldout"),
            score_values(scores, ("score", "heldout_score")),
            strict=True,
        )
    )
    rows, cols = grid.rowcol(deposits.geometry.x, deposits.geometry.y)
    found = {
        name: np.where(rows >= 0, layer[rows, cols], np.nan).astype(float)
        for name, layer in layers.items()
    }
    ranked = "map_heldout" if np.isfinite(layers["map_heldout"]).any() else "map_score"
    ground = np.sort(layers[ranked][np.isfinite(layers[ranked])])
    at_least = len(ground) - np.searchsorted(ground, found[ranked], "left")
    found["best_percent"] = np.where(
        np.isfinite(found[ranked]), 100 * at_least / max(1, len(ground)), np.nan
    )
    numbers = np.zeros(len(deposits), int)
    if len(targets) and len(deposits):
        at, polygon = shapely.STRtree(targets.geometry.to_numpy()).query(
            deposits.geometry, predicate="intersects"
        )
        numbers[at] = targets["number"].to_numpy()[polygon]
    placed = deposits.copy()
    for name, column in {**found, "target": numbers}.items():
        while name in placed:
            name += "_"
        placed[name] = column
    return placed


def _best_ground(
    score: np.ndarray, votes: np.ndarray, area_share: float, threshold: float | None, by: str
) -> np.ndarray:
    valid = np.isfinite(score)
    if not valid.any():
        raise DataError("no cell of the raster has a score: nothing can become a target.")
    if by == "vote":
        return np.nan_to_num(votes) > 0.5
    if by != "score":
        raise UsageError(f'targets by "{by}" are unknown: use {" or ".join(TARGETS_BY)}.')
    if threshold is None:
        if not 0 < area_share < 1:
            raise UsageError(f"area_share = {area_share} must lie between 0 and 1, such as 0.05.")
        threshold = float(np.quantile(score[valid], 1 - area_share))
    return np.nan_to_num(score, nan=-np.inf) > threshold


def _columns(scores: xr.DataArray, labels: np.ndarray, index: np.ndarray) -> dict[str, Any]:
    """Return the means and maxima of the score bands on each polygon."""
    score, heldout, spread, votes = score_values(
        scores, ("score", "heldout_score", "spread", "vote_share")
    )
    if not np.isfinite(heldout).any():  # a foreign grid: not a score of zero, but none
        heldout = np.full(heldout.shape, np.nan)

    def on_polygons(measure: Callable, layer: np.ndarray) -> np.ndarray:
        return np.asarray(measure(layer, labels, index), float)

    return {
        "mean_score": on_polygons(ndimage.mean, score),
        "max_score": on_polygons(ndimage.maximum, score),
        # A foreign grid has no held-out scores: NaN there, not zero.
        "heldout_score": (
            on_polygons(ndimage.mean, heldout)
            if np.isfinite(heldout).any()
            else np.full(len(index), np.nan)
        ),
        "spread": on_polygons(ndimage.mean, spread),
        "vote_share": on_polygons(ndimage.mean, votes),
        "extrapolated": (
            on_polygons(ndimage.mean, 1 - scores.sel(band="applicable").values)
            if "applicable" in scores["band"].values
            else np.full(len(index), np.nan)
        ),
    }


def _dominant_class(stack: xr.DataArray | None, labels: np.ndarray, index: np.ndarray) -> list[str]:
    """Return the name of the commonest class on each polygon, "" without a class band."""
    found = [b for b in bands_of(stack) if b.kind == "class"] if stack is not None else []
    if stack is None or not found:
        return [""] * len(index)
    classes = np.nan_to_num(stack.sel(band=found[0].name).values).astype(int)
    boxes = ndimage.find_objects(labels)
    names = []
    for number in index:
        here = boxes[number - 1]
        counts = np.bincount(classes[here][labels[here] == number])
        names.append(found[0].legend.get(int(counts.argmax()), ""))
    return names


def _distance(
    layer: gpd.GeoDataFrame | None, places: Sequence[shapely.Geometry] | np.ndarray
) -> np.ndarray:
    """Return metres from each place to the nearest geometry of a layer, NaN where there is none."""
    if layer is None or not len(layer) or not len(places):
        return np.full(len(places), np.nan)
    tree = shapely.STRtree(layer.geometry.to_numpy())
    return tree.query_nearest(places, return_distance=True, all_matches=False)[1]
