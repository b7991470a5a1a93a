"""A file of windows and folds goes in; both come out, when they were cut from the same grid."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np

from ..errors import DataError
from ..rasters.grid import Grid
from ..survey.read import read_layer
from ..survey.survey import Source
from .folds import Folds, blocks_along, fold_index


def read_folds(path: str | Path, grid: Grid) -> tuple[gpd.GeoDataFrame, Folds]:
    """Read the windows and the folds that ``geomfaf windows`` wrote for a grid."""
    windows = read_layer(Source(Path(path), "windows"))
    blocks = read_layer(Source(Path(path), "folds"))
    blocks = blocks.sort_values(["row", "col"])
    down = blocks["row"].max() + 1
    across = blocks["col"].max() + 1
    number = blocks["fold"].to_numpy().reshape(down, across)
    table = fold_index(number)
    # Every block knows how the map was cut.
    first = blocks.iloc[0]
    linkage = float(first["linkage"]) if "linkage" in blocks else 0.0
    block = int(first["block"])
    margin = int(first["margin"])
    folds = Folds(grid, block, table, margin, linkage)
    # Block by block: a grid of finer cells over the same ground has the same outer bounds.
    same = windows.crs == grid.crs and table.shape == blocks_along(grid, folds.block)
    if same:
        tolerance = grid.cell / 1e3
        expected = folds.blocks().bounds
        same = np.allclose(blocks.bounds, expected, rtol=0, atol=tolerance)
    if not same:
        raise DataError(
            f"{path} was cut from another grid than this stack: run `geomfaf windows` on it again."
        )
    return windows, folds
