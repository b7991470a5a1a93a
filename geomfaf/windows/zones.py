"""Polygons, or deposits with a column of folds, go in; the fold of every block comes out."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from ..errors import DataError, UsageError, nearest_name
from ..progress import say
from ..rasters.grid import Grid


def zone_table(
    zones: gpd.GeoDataFrame, grid: Grid, block: int, column: str | None = None
) -> np.ndarray:
    """Return the fold of each block, that of the nearest feature, (block rows, block columns) int.

    Parameters
    ----------
    zones : GeoDataFrame
        Polygons or points.
    block : int
        Cells along a block.
    column : str, optional
        Features with the same value in it are one fold, in the order of the values; without it each
        feature is a fold.
    """
    grid.require_crs(zones.crs, "zones of the folds")
    fold_of = np.arange(len(zones)) if column is None else _numbers(zones, column)
    if len(np.unique(fold_of)) < 2:
        raise UsageError(
            "zones for folds must be at least two: one to test on, one to learn from."
            if column is None
            else f'"{column}" has one value: folds need at least two, to test on one and learn from'
            " the others."
        )
    # 1. The middles of the blocks.
    rows = np.arange(0, grid.height, block) + (block - 1) / 2
    cols = np.arange(0, grid.width, block) + (block - 1) / 2
    x, y = grid.xy(*np.meshgrid(rows, cols, indexing="ij"))
    # 2. The zone each lies in, or the nearest one.
    tree = shapely.STRtree(zones.geometry.to_numpy())
    _, nearest = tree.query_nearest(shapely.points(x, y).ravel(), all_matches=False)
    seen, table = np.unique(fold_of[nearest], return_inverse=True)
    if len(seen) < 2:
        raise UsageError(
            "all ground lies in one of the zones for folds: give zones that divide the study area."
        )
    if column is not None:
        _say_values(zones[column], fold_of, seen)
    return table.reshape(x.shape)


def _numbers(zones: gpd.GeoDataFrame, column: str) -> np.ndarray:
    """Return the fold of each feature by the values of a column."""
    if column not in zones:
        names = [str(name) for name in zones.columns if name != zones.geometry.name]
        raise UsageError(
            f'there is no column "{column}" to take the folds'
            f" from.{nearest_name(column, names)} There are: {', '.join(names)}."
        )
    empty = zones[column].isna().to_numpy()
    if empty.any():
        raise DataError(
            f'column "{column}" is empty in row {int(np.argmax(empty)) + 1}: every feature must'
            " name its fold."
        )
    return pd.factorize(zones[column], sort=True)[0]


def _say_values(values: pd.Series, fold_of: np.ndarray, seen: np.ndarray) -> None:
    """Say which value each fold stands for, and which have no ground of their own."""
    names = {int(fold): str(value) for fold, value in zip(fold_of, values, strict=True)}
    shown = [f"{number} = {names[int(fold)]}" for number, fold in enumerate(seen, start=1)]
    say(f'folds by "{values.name}": {", ".join(shown)}')
    lost = [name for fold, name in sorted(names.items()) if fold not in seen]
    if lost:
        say(f"no block of ground is nearest to {', '.join(lost)}: tested with their neighbours")
