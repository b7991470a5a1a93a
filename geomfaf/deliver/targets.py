"""Scores, deposits and a survey go in; ranked targets, numbered cells and placed deposits come out."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from scipy import ndimage

from ..rasters.bands import bands_of, grid_of, score_values
from ..rasters.grid import Grid
from ..windows.windows import DEFAULT_SIZE, tiled_windows
from .rounding import rounded
from .target_ground import (
    GroundRules,
    cells_inside,
    known_and_new_ground,
    metres_to,
    outlines,
    sized_rules,
)
from .target_reasons import (
    degrees,
    deposit_columns,
    element_texts,
    factor_text,
    fault_columns,
    in_crs,
    rock_columns,
    sample_columns,
    shape_columns,
    target_elements,
)
from .target_sentences import why_sentence

TARGET_COLUMNS = tuple(
    "number name list status rank area_km2 mean_score max_score heldout_score spread vote_share"
    " extrapolated deposits deposit_distance_m nearest_deposit nearest_commodity samples"
    " sample_distance_m elements best_samples geology rocks fault fault_distance_m fault_strike"
    " length_m width_m azimuth x y lon lat factors why".split()
)
CELL_COLUMNS = (
    "number",
    "status",
    "target",
    "score",
    "heldout_score",
    "spread",
    "vote_share",
    "vote",
    "deposits",
    "valid_share",
)
LISTS = ("exploration", "known ground")

CELL_SHARE = 0.25
"""A target that covers less of a window cell does not give it its status."""


def make_targets(  # noqa: PLR0913  (layers, and one keyword a setting)
    scores: xr.DataArray,
    deposits: gpd.GeoDataFrame,
    *,
    stack: xr.DataArray | None = None,
    samples: gpd.GeoDataFrame | None = None,
    faults: gpd.GeoDataFrame | None = None,
    size: int = DEFAULT_SIZE,
    area_share: float = 0.05,
    known_distance: float | None = None,
    max_km2: float | None = None,
) -> gpd.GeoDataFrame:
    """Return polygons around the best ground in two ranked lists, each with the reasons for it.

    *Exploration targets* take their share of the area from ground farther than ``known_distance``
    from every known deposit. *Ground around known deposits* is what scores as high nearer to them.
    A piece that is too large is split at the saddles between its summits; one that is smaller than
    the ground of a single sample is left out. Layers in another CRS are brought into the raster's.

    Parameters
    ----------
    scores : DataArray
        Result of :func:`geomfaf.predict_scores`.
    deposits : GeoDataFrame
        Known deposits; names and commodities are found by their headings.
    stack : DataArray, optional
        Its element bands and its class band say what is on a target.
    samples : GeoDataFrame, optional
        Give the best samples, and how far apart they are: the smallest target.
    faults : GeoDataFrame, optional
        Give the nearest fault.
    size : int
        Cells along a window of the model; summits closer than this are one.
    area_share : float
        Share of the valid area that exploration targets take, best first.
    known_distance : float, optional
        Metres; half a window or the mean spacing of the samples, whichever is larger, but never so
        far that less than half of the area is left, when omitted. 0 ranks all ground in one go: a
        target is known ground when a deposit lies inside.
    max_km2 : float, optional
        Largest target; a tenth of what all exploration targets may take when omitted.

    Returns
    -------
    GeoDataFrame
        One row a target with the columns :data:`TARGET_COLUMNS`, which docs/outputs.md explains:
        exploration targets first, both lists by mean score. ``attrs`` holds ``known_distance``
        (m), ``min_km2``, ``max_km2`` and ``threshold`` (the score of the poorest ground taken).
        Empty when no piece is large enough.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> scores = gm.predict_baseline("logistic regression", stack, windows, folds)
    >>> targets = gm.make_targets(scores, survey.deposits, stack=stack, size=8)
    >>> targets["list"].unique().tolist()
    ['exploration', 'known ground']
    """
    # 1. All layers on the raster's ground.
    grid = grid_of(scores)
    if stack is not None:
        grid.require_same(grid_of(stack), "the stack")
    deposits = in_crs(deposits, grid.crs, "the deposits")
    samples = None if samples is None else in_crs(samples, grid.crs, "the samples")
    faults = None if faults is None else in_crs(faults, grid.crs, "the faults")
    # 2. How far known ground reaches, how small and how large a target may be.
    (score,) = score_values(scores, ["score"])
    away = metres_to(deposits, grid)
    # Where no element is mapped, the samples' spacing says nothing of what the map resolves.
    kinds = ["element"] if stack is None else [band.kind for band in bands_of(stack)]
    mapped = "element" in kinds or "ratio" in kinds
    spaced = samples if mapped else None
    rules = sized_rules(
        score,
        away,
        spaced,
        grid,
        window=size,
        area_share=area_share,
        known_distance=known_distance,
        max_km2=max_km2,
    )
    # 3. The ground, its outlines, and the cells inside them.
    labels, explored, threshold = known_and_new_ground(score, away, grid, rules)
    numbers, polygons = outlines(labels, grid)
    targets = gpd.GeoDataFrame({"number": numbers}, geometry=polygons, crs=grid.crs)
    targets["area_km2"] = targets.area / 1e6
    inside = cells_inside(polygons, grid)
    # 4. What the map says of them, what lies nearest, and their order.
    targets = targets.assign(**_score_columns(scores, inside, len(targets)))
    targets = targets.assign(**deposit_columns(targets, deposits))
    exploration = np.isin(numbers, explored) & (rules.known_distance > 0)
    targets = _listed(targets, exploration, rules)
    # 5. Why they are targets.
    targets = _with_reasons(targets, grid, stack, samples, faults)
    targets.attrs = {
        "known_distance": rules.known_distance,
        "min_km2": rules.least * grid.cell_area / 1e6,
        "max_km2": rules.most * grid.cell_area / 1e6,
        "threshold": threshold,
    }
    return targets


def _score_columns(
    scores: xr.DataArray,
    inside: np.ndarray,
    count: int,
) -> dict[str, np.ndarray]:
    """Return the figures of the score bands on targets 1 to ``count``, and their best cells."""
    numbers = np.arange(1, count + 1)
    names = ["score", "heldout_score", "spread", "vote_share"]
    columns: dict[str, np.ndarray] = {}
    if "applicable" in scores["band"].values:
        names.append("applicable")
    for name, layer in zip(names, score_values(scores, names), strict=True):
        # A foreign grid has no held-out scores: NaN there, not zero.
        known = np.where(np.isfinite(layer), inside, 0)
        with np.errstate(invalid="ignore"):
            means = ndimage.mean(np.nan_to_num(layer), known, numbers)
        columns[name] = np.asarray(means, float).reshape(count)
    (score,) = score_values(scores, ["score"])
    height = np.nan_to_num(score, nan=-np.inf)
    # The best cell of each, where to walk first.
    best = ndimage.maximum_position(height, inside, numbers)
    best_row, best_col = np.array(best, int).reshape(count, 2).T
    x, y = grid_of(scores).xy(best_row, best_col)
    maxima = ndimage.maximum(height, inside, numbers)
    maxima = np.asarray(maxima, float).reshape(count)
    # Scores without an area of applicability say nothing of it.
    unknown = np.full(count, np.nan)
    extrapolated = 1 - columns.pop("applicable", unknown)
    columns["mean_score"] = columns.pop("score")
    return {
        **columns,
        "max_score": maxima,
        "extrapolated": extrapolated,
        "x": x,
        "y": y,
    }


def _listed(
    targets: gpd.GeoDataFrame, exploration: np.ndarray, rules: GroundRules
) -> gpd.GeoDataFrame:
    """Return the targets in their two lists, ranked, named and numbered from 1."""
    known = targets["deposits"].to_numpy() > 0
    if rules.known_distance == 0:
        exploration = ~known
    targets["list"] = np.where(exploration, *LISTS)
    # A known deposit on it decides before the list that it stands in.
    conditions = [known, exploration]
    targets["status"] = np.select(conditions, ["known", "new"], default="extension")
    # Equal scores keep the order of the map, row by row from the top left.
    targets = targets.assign(later=~exploration).sort_values(
        ["later", "mean_score", "max_score", "number"],
        ascending=[True, False, False, True],
        ignore_index=True,
    )
    targets["number"] = np.arange(1, len(targets) + 1)
    targets["rank"] = targets.groupby("list").cumcount().astype(int) + 1
    letters = targets["later"].map({False: "T", True: "K"})
    targets["name"] = letters.astype(str) + targets["rank"].astype(str)
    return targets.drop(columns="later")


def _with_reasons(
    targets: gpd.GeoDataFrame,
    grid: Grid,
    stack: xr.DataArray | None,
    samples: gpd.GeoDataFrame | None,
    faults: gpd.GeoDataFrame | None,
) -> gpd.GeoDataFrame:
    """Return the targets with all columns, in their order."""
    inside = cells_inside(targets.geometry, grid)
    targets = targets.assign(**shape_columns(targets))
    x = targets["x"].to_numpy()
    y = targets["y"].to_numpy()
    columns: dict[str, Any] = {
        **rock_columns(inside, targets, stack),
        **sample_columns(targets, samples),
        **fault_columns(targets, faults),
        **degrees(x, y, grid.crs),
    }
    table = target_elements(inside, targets, stack, samples)
    columns["elements"] = []
    columns["best_samples"] = []
    for number in targets["number"]:
        high, best = element_texts(table[table["number"] == number])
        columns["elements"].append(high)
        columns["best_samples"].append(best)
    targets = targets.assign(**columns, factors="", why="")
    return with_sentences(targets)[[*TARGET_COLUMNS, "geometry"]]


def with_factors(
    targets: gpd.GeoDataFrame,
    contributions: pd.DataFrame,
) -> gpd.GeoDataFrame:
    """Return the targets with ``factors``, and ``why`` made again with them.

    Parameters
    ----------
    contributions : DataFrame
        See :func:`geomfaf.evaluation.target_factors.target_contributions`.
    """
    texts = [
        factor_text(contributions[contributions["number"] == number])
        for number in targets["number"]
    ]
    factors = pd.Series(texts, index=targets.index, dtype=object)
    return with_sentences(targets.assign(factors=factors))


def with_sentences(targets: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the targets with the sentence ``why`` made again from their other columns."""
    rows = targets.drop(columns="geometry").to_dict("records")
    texts = [why_sentence(row) for row in rows]
    sentences = pd.Series(texts, index=targets.index, dtype=object)
    found = targets.assign(why=sentences)
    found.attrs = dict(targets.attrs)
    return found


def make_cells(
    scores: xr.DataArray,
    size: int,
    deposits: gpd.GeoDataFrame,
    targets: gpd.GeoDataFrame,
) -> gpd.GeoDataFrame:
    """Return every window cell of the map with its number, scores, and what the targets say of it.

    Cells are numbered row by row from 1 at the top left, as the paper numbers its areas. Their
    status is that of the targets on them: the two layers tell one story.

    Parameters
    ----------
    scores : DataArray
        See :func:`geomfaf.predict_scores`.
    size : int
        Cells along a window cell.
    deposits : GeoDataFrame
        Points of the known deposits.
    targets : GeoDataFrame
        See :func:`geomfaf.make_targets`.

    Returns
    -------
    GeoDataFrame
        number, status (``known``, ``extension`` or ``new``: that of the target that covers most of
        the cell, and at least :data:`CELL_SHARE` of it; ``missed``: it holds a deposit that lies in
        no target; empty elsewhere), target (its number, 0 = none), score, heldout_score, spread,
        vote_share (means over the cell's valid ground), vote (1 = a majority of the branches votes
        ore), deposits, valid_share.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> scores = gm.predict_baseline("logistic regression", stack, windows, folds)
    >>> targets = gm.make_targets(scores, survey.deposits, size=8)
    >>> gm.make_cells(scores, 8, survey.deposits, targets)["number"].tolist()[:3]
    [1, 2, 3]
    """
    grid = grid_of(scores)
    deposits = in_crs(deposits, grid.crs, "the deposits")
    names = ("score", "heldout_score", "spread", "vote_share")
    layers = score_values(scores, names)
    valid = np.isfinite(layers[0])
    cells = tiled_windows(grid, size, deposits=deposits, valid=valid)
    # 1. Means of the scores, cell by cell.
    at_row = np.arange(grid.height) // size
    at_col = np.arange(grid.width) // size
    columns = -(-grid.width // size)
    number = at_row[:, None] * columns + at_col[None, :] + 1
    number = number.astype(np.int64)
    for name, layer in zip(names, layers, strict=True):
        number_of_known = np.where(np.isfinite(layer), number, 0)
        cells[name] = ndimage.mean(np.nan_to_num(layer), number_of_known, cells["number"])
    cells["vote"] = (cells["vote_share"] > 0.5).astype(int)
    # 2. The target on each cell.
    inside = cells_inside(targets.geometry, grid)
    cells["target"] = _main_targets(inside, number, targets)[cells["number"]]
    status = targets.set_index("number")["status"].to_dict()
    said = cells["target"].map(status).astype(object).fillna("")
    # 3. Deposits that no target holds.
    rows, cols = grid.rowcol(deposits.geometry.x, deposits.geometry.y)
    lost = (_targets_of(deposits, targets) == 0) & (rows >= 0)
    cells_of_lost = number[rows[lost], cols[lost]]
    missed = cells["number"].isin(cells_of_lost)
    cells["status"] = said.mask(missed & (said == ""), "missed")
    return cells[[*CELL_COLUMNS, "geometry"]]


def _main_targets(
    inside: np.ndarray,
    number: np.ndarray,
    targets: gpd.GeoDataFrame,
) -> np.ndarray:
    """Return, by the number of a window cell, the target that covers most of it, 0 where none
    covers enough.
    """
    found = np.zeros(number.max() + 1, int)
    covered = np.zeros(number.max() + 1)
    whole = np.bincount(number.ravel(), minlength=number.max() + 1)
    for place, target in enumerate(targets["number"], start=1):
        on_target = np.bincount(number[inside == place], minlength=len(whole))
        share = on_target / np.maximum(whole, 1)
        more = (share > covered) & (share >= CELL_SHARE)
        found[more] = target
        covered[more] = share[more]
    return found


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
    deposits = in_crs(deposits, grid.crs, "the deposits")
    score, heldout = score_values(scores, ("score", "heldout_score"))
    layers = {"map_score": score, "map_heldout": heldout}
    rows, cols = grid.rowcol(deposits.geometry.x, deposits.geometry.y)
    on_grid = rows >= 0
    found = {}
    for name, layer in layers.items():
        here = np.where(on_grid, layer[rows, cols], np.nan)
        found[name] = here.astype(float)
    ranked = "map_heldout" if np.isfinite(layers["map_heldout"]).any() else "map_score"
    layer = layers[ranked]
    ground = np.sort(layer[np.isfinite(layer)])
    # Cells of the deposit's own score count with the better ones: the figure never flatters.
    at_least = len(ground) - np.searchsorted(ground, found[ranked], "left")
    percent = 100 * at_least / max(1, len(ground))
    has_score = np.isfinite(found[ranked])
    found["best_percent"] = np.where(has_score, percent, np.nan)
    said = rounded(pd.DataFrame(found, index=deposits.index))
    placed = deposits.copy()
    said = said.assign(target=_targets_of(deposits, targets))
    for column, values in said.items():
        name = str(column)
        while name in placed:
            name += "_"
        placed[name] = values
    return placed


def _targets_of(
    deposits: gpd.GeoDataFrame,
    targets: gpd.GeoDataFrame,
) -> np.ndarray:
    """Return the number of the target that each deposit lies in, 0 = none."""
    numbers = np.zeros(len(deposits), int)
    if len(targets) and len(deposits):
        tree = shapely.STRtree(targets.geometry.to_numpy())
        points = deposits.geometry.to_numpy()
        deposit, polygon = tree.query(points, predicate="intersects")
        numbers[deposit] = targets["number"].to_numpy()[polygon]
    return numbers


def target_layers(
    targets: gpd.GeoDataFrame,
    scores: xr.DataArray,
    deposits: gpd.GeoDataFrame,
    *,
    stack: xr.DataArray | None = None,
    samples: gpd.GeoDataFrame | None = None,
    size: int = DEFAULT_SIZE,
) -> dict[str, gpd.GeoDataFrame | pd.DataFrame]:
    """Return the layers of ``targets.gpkg``: targets, the numbered cells, the deposits placed on
    the map, and the table of elements by target; their numbers rounded.
    """
    grid = grid_of(scores)
    samples = None if samples is None else in_crs(samples, grid.crs, "the samples")
    inside = cells_inside(targets.geometry, grid)
    return {
        "targets": rounded(targets),
        "cells": rounded(make_cells(scores, size, deposits, targets)),
        "deposits": placed_deposits(scores, deposits, targets),
        "target_elements": placed_at_targets(
            rounded(target_elements(inside, targets, stack, samples)), targets
        ),
    }


def placed_at_targets(table: pd.DataFrame, targets: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a table of rows by target with the target's point, so that a map program shows it.

    QGIS leaves tables without geometry out of the order of a project's layers.
    """
    places = targets.set_index("number")[["x", "y"]].reindex(table["number"])
    points = gpd.points_from_xy(places["x"].to_numpy(float), places["y"].to_numpy(float))
    return gpd.GeoDataFrame(table, geometry=points, crs=targets.crs)
