"""Scores, deposits and a survey go in; ranked targets, numbered cells and placed deposits come out."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..rasters.bands import require_score_bands
from ..rasters.grid import Grid
from ..rasters.reader import RasterReader
from ..rasters.strips import Raster, strips, values_at, whole_band
from ..settings.tables import TABLES
from ..windows.windows import DEFAULT_SIZE
from .rounding import rounded
from .target_cells import TargetCells, WindowCells
from .target_ground import (
    DepositDistances,
    GroundRules,
    known_and_new_ground,
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


def make_targets(  # noqa: PLR0913  (layers, and one keyword a setting)
    scores: Raster,
    deposits: gpd.GeoDataFrame,
    *,
    stack: Raster | None = None,
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
    scores : DataArray or path
        Result of :func:`geomfaf.predict_scores`, or the file of one: of a file, one band is in memory
        at a time.
    deposits : GeoDataFrame
        Known deposits; names and commodities are found by their headings.
    stack : DataArray or path, optional
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
    return targets_and_elements(
        scores,
        deposits,
        stack=stack,
        samples=samples,
        faults=faults,
        size=size,
        area_share=area_share,
        known_distance=known_distance,
        max_km2=max_km2,
    )[0]


def targets_and_elements(
    scores: Raster,
    deposits: gpd.GeoDataFrame,
    *,
    stack: Raster | None = None,
    samples: gpd.GeoDataFrame | None = None,
    faults: gpd.GeoDataFrame | None = None,
    size: int = DEFAULT_SIZE,
    **settings: Any,
) -> tuple[gpd.GeoDataFrame, pd.DataFrame]:
    """Return what :func:`make_targets` does and the elements on the targets, which
    :func:`target_layers` takes: to rank whole bands is the longest part of both.

    Parameters
    ----------
    settings
        See :func:`make_targets`.
    """
    # 1. All layers on the raster's ground.
    scores = RasterReader.of(scores, "score")
    grid = scores.grid
    stack = None if stack is None else RasterReader.of(stack)
    if stack is not None:
        grid.require_same(stack.grid, "the stack")
    deposits = in_crs(deposits, grid.crs, "the deposits")
    samples = None if samples is None else in_crs(samples, grid.crs, "the samples")
    faults = None if faults is None else in_crs(faults, grid.crs, "the faults")
    # 2. The ground: how much of it, how far from known deposits, its outlines.
    require_score_bands(scores.names, ["score"])
    rules, labels, explored, threshold = _target_ground(
        whole_band(scores, "score"),
        deposits,
        # Where no element is mapped, the samples' spacing says nothing of what the map resolves.
        samples if _maps_elements(stack) else None,
        grid,
        window=size,
        **{setting.name: setting.default for setting in TABLES["targets"].settings} | settings,
    )
    numbers, polygons = outlines(labels, grid)
    del labels
    targets = gpd.GeoDataFrame({"number": numbers}, geometry=polygons, crs=grid.crs)
    targets["area_km2"] = targets.area / 1e6
    # 3. What the map says of them, what lies nearest, and their order.
    targets = targets.assign(**_score_columns(scores, TargetCells.of(polygons, grid)))
    targets = targets.assign(**deposit_columns(targets, deposits))
    exploration = np.isin(numbers, explored) & (rules.known_distance > 0)
    targets = _listed(targets, exploration, rules)
    # 4. Why they are targets.
    inside = TargetCells.of(targets.geometry, grid)
    elements = target_elements(inside, targets, stack, samples)
    columns = rock_columns(inside, targets, stack)
    targets = _with_reasons(targets.assign(**columns), elements, samples, faults)
    targets.attrs = {
        "known_distance": rules.known_distance,
        "min_km2": rules.least * grid.cell_area / 1e6,
        "max_km2": rules.most * grid.cell_area / 1e6,
        "threshold": threshold,
    }
    return targets, elements


def _maps_elements(stack: RasterReader | None) -> bool:
    """Return whether the score may rest on elements, as far as anyone knows."""
    return stack is None or any(band.kind in ("element", "ratio") for band in stack.bands)


def _target_ground(
    score: np.ndarray,
    deposits: gpd.GeoDataFrame,
    samples: gpd.GeoDataFrame | None,
    grid: Grid,
    **settings: Any,
) -> tuple[GroundRules, np.ndarray, np.ndarray, float]:
    """Return the rules of the ground and what :func:`known_and_new_ground` does by them."""
    away = DepositDistances(deposits, grid)
    rules = sized_rules(score, away, samples, grid, **settings)
    return rules, *known_and_new_ground(score, away, grid, rules)


def _score_columns(scores: RasterReader, cells: TargetCells) -> dict[str, np.ndarray]:
    """Return the figures of the score bands on targets, and their best cells."""
    there = scores.names
    names = ["score", "heldout_score", "spread", "vote_share"]
    require_score_bands(there, names)
    height = cells.values(scores, "score")
    columns = {"mean_score": cells.means(height)}
    for name in names[1:]:
        columns[name] = cells.means(cells.values(scores, name))
    # Scores without an area of applicability say nothing of it.
    extrapolated = np.full(cells.count, np.nan)
    if "applicable" in there:
        extrapolated = 1 - cells.means(cells.values(scores, "applicable"))
    # The best cell of each, where to walk first: of equal ones the first of the map.
    height = np.nan_to_num(height, nan=-np.inf)
    best = [on_target[np.argmax(height[on_target])] for on_target in cells.split()]
    places = np.array(best, int)
    x, y = scores.grid.xy(*np.divmod(cells.cell[places], scores.grid.width))
    return {
        **columns,
        "max_score": height[places].astype(float),
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
    elements: pd.DataFrame,
    samples: gpd.GeoDataFrame | None,
    faults: gpd.GeoDataFrame | None,
) -> gpd.GeoDataFrame:
    """Return the targets with all columns, in their order."""
    targets = targets.assign(**shape_columns(targets))
    x = targets["x"].to_numpy()
    y = targets["y"].to_numpy()
    columns: dict[str, Any] = {
        **sample_columns(targets, samples),
        **fault_columns(targets, faults),
        **degrees(x, y, targets.crs),
    }
    of_target = dict(list(elements.groupby("number")))
    columns["elements"] = []
    columns["best_samples"] = []
    for number in targets["number"]:
        high, best = element_texts(of_target.get(number, elements[:0]))
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
    of_target = dict(list(contributions.groupby("number")))
    nothing = contributions[:0]
    texts = [factor_text(of_target.get(number, nothing)) for number in targets["number"]]
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
    scores: Raster,
    size: int,
    deposits: gpd.GeoDataFrame,
    targets: gpd.GeoDataFrame,
) -> gpd.GeoDataFrame:
    """Return every window cell of the map with its number, scores, and what the targets say of it.

    Cells are numbered row by row from 1 at the top left, as the paper numbers its areas. Their
    status is that of the targets on them: the two layers tell one story.

    Parameters
    ----------
    scores : DataArray or path
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
        the cell, and at least a quarter of it; ``missed``: it holds a deposit that lies in
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
    scores = RasterReader.of(scores, "score")
    inside = TargetCells.of(targets.geometry, scores.grid)
    return _cells_and_targets(scores, size, deposits, targets, inside)


def _cells_and_targets(
    scores: RasterReader,
    size: int,
    deposits: gpd.GeoDataFrame,
    targets: gpd.GeoDataFrame,
    inside: TargetCells,
) -> gpd.GeoDataFrame:
    """Return what :func:`make_cells` does, for the cells inside the targets."""
    grid = scores.grid
    deposits = in_crs(deposits, grid.crs, "the deposits")
    tiles = WindowCells(grid, size)
    # 1. Means of the scores, cell by cell; those without ground are left out.
    names = ("score", "heldout_score", "spread", "vote_share")
    require_score_bands(scores.names, names)
    columns: dict[str, np.ndarray] = {"number": np.arange(1, tiles.count + 1)}
    for name in names:
        columns[name], known = tiles.means(scores, name)
        if name == "score":
            columns["valid_share"] = known / size**2
    rows, cols = grid.rowcol(deposits.geometry.x, deposits.geometry.y)
    number = np.where(rows >= 0, tiles.number(rows, cols), 0)
    columns["deposits"] = np.bincount(number, minlength=tiles.count + 1)[1:]
    columns["target"] = tiles.main_targets(inside, targets["number"].to_numpy(int))
    kept = columns["valid_share"] > 0
    columns = {name: values[kept] for name, values in columns.items()}
    cells = gpd.GeoDataFrame(columns, geometry=tiles.squares(columns["number"]), crs=grid.crs)
    cells["vote"] = (cells["vote_share"] > 0.5).astype(int)
    # 2. What the target on each says; deposits that no target holds.
    status = targets.set_index("number")["status"].to_dict()
    said = cells["target"].map(status).astype(object).fillna("")
    lost = (_targets_of(deposits, targets) == 0) & (rows >= 0)
    missed = cells["number"].isin(number[lost])
    cells["status"] = said.mask(missed & (said == ""), "missed")
    return cells[[*CELL_COLUMNS, "geometry"]]


def placed_deposits(
    scores: Raster, deposits: gpd.GeoDataFrame, targets: gpd.GeoDataFrame
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
    scores = RasterReader.of(scores, "score")
    grid = scores.grid
    deposits = in_crs(deposits, grid.crs, "the deposits")
    require_score_bands(scores.names, ("score", "heldout_score"))
    # 1. The scores of their cells.
    rows, cols = grid.rowcol(deposits.geometry.x, deposits.geometry.y)
    on_grid = np.flatnonzero(rows >= 0)
    cells = rows[on_grid] * grid.width + cols[on_grid]
    order = np.argsort(cells, kind="stable")
    found = {}
    for column, band in (("map_score", "score"), ("map_heldout", "heldout_score")):
        found[column] = np.full(len(deposits), np.nan)
        found[column][on_grid[order]] = values_at(scores, band, cells[order])
    # 2. How much of the ground is as good.
    judged = any(np.isfinite(strip).any() for _, strip in strips(scores, "heldout_score"))
    column, band = ("map_heldout", "heldout_score") if judged else ("map_score", "score")
    # Cells of the deposit's own score count with the better ones: the figure never flatters.
    found["best_percent"] = _share_as_high(scores, band, found[column])
    said = rounded(pd.DataFrame(found, index=deposits.index))
    placed = deposits.copy()
    said = said.assign(target=_targets_of(deposits, targets))
    for own, values in said.items():
        name = str(own)
        while name in placed:
            name += "_"
        placed[name] = values
    return placed


def _share_as_high(scores: RasterReader, band: str, values: np.ndarray) -> np.ndarray:
    """Return the percentage of the valid ground whose score is at least as high as each value, NaN
    for NaN.
    """
    asked = np.unique(values[np.isfinite(values)])
    as_high_as = np.zeros(len(asked) + 1, np.int64)
    # Each cell counts for the highest of the values that it reaches, and so for all below.
    for _, strip in strips(scores, band):
        reached = np.searchsorted(asked, strip[np.isfinite(strip)], "right")
        as_high_as += np.bincount(reached, minlength=len(as_high_as))
    at_least = as_high_as[::-1].cumsum()[::-1]
    percent = 100 * at_least[1:] / max(1, at_least[0])
    shares = np.full(len(values), np.nan)
    known = np.isfinite(values)
    shares[known] = percent[np.searchsorted(asked, values[known])]
    return shares


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
    scores: Raster,
    deposits: gpd.GeoDataFrame,
    *,
    stack: Raster | None = None,
    samples: gpd.GeoDataFrame | None = None,
    size: int = DEFAULT_SIZE,
    elements: pd.DataFrame | None = None,
) -> dict[str, gpd.GeoDataFrame | pd.DataFrame]:
    """Return the layers of ``targets.gpkg``: targets, the numbered cells, the deposits placed on
    the map, and the table of elements by target; their numbers rounded.

    Parameters
    ----------
    elements : DataFrame, optional
        From :func:`targets_and_elements`; made from the stack and the samples when omitted.
    """
    scores = RasterReader.of(scores, "score")
    stack = None if stack is None else RasterReader.of(stack)
    samples = None if samples is None else in_crs(samples, scores.grid.crs, "the samples")
    inside = TargetCells.of(targets.geometry, scores.grid)
    if elements is None:
        elements = target_elements(inside, targets, stack, samples)
    return {
        "targets": rounded(targets),
        "cells": rounded(_cells_and_targets(scores, size, deposits, targets, inside)),
        "deposits": placed_deposits(scores, deposits, targets),
        "target_elements": placed_at_targets(rounded(elements), targets),
    }


def placed_at_targets(table: pd.DataFrame, targets: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a table of rows by target with the target's point, so that a map program shows it.

    QGIS leaves tables without geometry out of the order of a project's layers.
    """
    places = targets.set_index("number")[["x", "y"]].reindex(table["number"])
    points = gpd.points_from_xy(places["x"].to_numpy(float), places["y"].to_numpy(float))
    return gpd.GeoDataFrame(table, geometry=points, crs=targets.crs)
