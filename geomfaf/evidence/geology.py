"""Turn the geological map into a band of classes and the study area into a mask, block by block.

A layer is made ready once (:class:`GeologyLayer`, :class:`AreaLayer`); its ``block`` then gives any
window of the grid from the polygons that a spatial index finds there, in a thread, in a process or
on a cluster alike.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize

from ..errors import DataError, require_known
from ..rasters.bands import Band
from ..rasters.blocks import fill_blocks
from ..rasters.grid import Grid

# Rasterio hides this warning of its own in-memory dataset, but not when several threads rasterize.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module="rasterio.features")

SUBCELLS = 8
"""Each cell is cut into 8 x 8 parts to find the class with the largest share of it."""

MOST_CLASSES = 65_535
"""Classes that a band of whole numbers of two bytes holds."""

GEOLOGY_RULES = ("largest", "centre")

MANY_VERTICES = 2_000
"""Shapes with more vertices are cut to the window before they are burned: a long outline is not
read for each block.
"""


class AreaLayer:
    """The study area, ready to say which cell centres of a window lie in it."""

    def __init__(self, study_area: gpd.GeoDataFrame, grid: Grid):
        grid.require_crs(study_area.crs, "study area's polygons")
        self.grid = grid
        self.shapes = Shapes(shapely.get_parts(study_area.geometry.to_numpy()))

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return (height, width) bool."""
        return self.shapes.burn(self.grid.window(row, column, height, width)) > 0


class GeologyLayer:
    """Polygons with classes, ready to be rasterized window by window.

    Parameters
    ----------
    geology, column, grid, rule
        See :func:`rasterize_geology`.

    Attributes
    ----------
    legend : dict
        Number -> name, numbered from 1 in alphabetical order.
    """

    def __init__(
        self,
        geology: gpd.GeoDataFrame,
        column: str,
        grid: Grid,
        *,
        rule: str = "largest",
    ):
        require_known(rule, GEOLOGY_RULES, "geology rule")
        grid.require_crs(geology.crs, "geology's polygons")
        self.grid = grid
        self.column = column
        self.rule = rule
        # 1. Rows without a name are unmapped ground.
        names = geology[column].astype("string").str.strip()
        named = (names.notna() & (names != "")).to_numpy(bool)
        names = names[named]
        # 2. Classes are numbered in alphabetical order.
        if names.nunique() > MOST_CLASSES:
            raise DataError(
                f"the geology has {names.nunique():,} classes in column {column}, and a band holds"
                f" {MOST_CLASSES:,}: name the column of the classes (column =), not one of numbers of"
                " polygons."
            )
        self.legend = {}
        for number, name in enumerate(sorted(names.unique()), start=1):
            self.legend[number] = str(name)
        number_of = {name: number for number, name in self.legend.items()}
        numbers = names.map(number_of).to_numpy(np.uint16)
        self.shapes = Shapes(geology.geometry.to_numpy()[named], numbers)

    @property
    def band(self) -> Band:
        """The class band that the numbers make."""
        return Band("geology", "class", "", f"Geology ({self.column})", self.legend)

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return uint16 (height, width), 0 = no polygon."""
        window = self.grid.window(row, column, height, width)
        if self.rule == "centre":
            return self.shapes.burn(window)
        return _largest_share(self.shapes.burn(window.refined(SUBCELLS)))

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the numbers."""
        return self.rule + self.shapes.digest().hex()


class Shapes:
    """Shapes with numbers and the spatial index that finds those of a window; later ones lie on
    top.
    """

    def __init__(self, shapes: Sequence[Any] | np.ndarray, numbers: np.ndarray | None = None):
        self.shapes = np.asarray(shapes, object)
        self.numbers = np.ones(len(self.shapes), np.uint16) if numbers is None else numbers
        self.large = shapely.get_num_coordinates(self.shapes) > MANY_VERTICES
        self.tree = shapely.STRtree(self.shapes)

    def burn(self, window: Grid, *, all_touched: bool = False) -> np.ndarray:
        """Return uint16 (y, x): the number of the last shape at a cell's centre, or that touches
        it; 0 is none.
        """
        # 1. What the index finds there, in the order of the layer.
        west, south, east, north = window.bounds
        near = np.sort(self.tree.query(shapely.box(west, south, east, north)))
        shapes = self.shapes[near]
        # 2. Long outlines are cut to the window and a margin.
        margin = 2 * window.cell
        large = self.large[near]
        shapes[large] = shapely.clip_by_rect(
            shapes[large],
            west - margin,
            south - margin,
            east + margin,
            north + margin,
        )
        # 3. What is left of them is burned.
        left = ~shapely.is_empty(shapes)
        pairs = list(zip(shapes[left], self.numbers[near[left]].tolist(), strict=True))
        if not pairs:
            return np.zeros(window.shape, np.uint16)
        return rasterize(
            pairs,
            window.shape,
            transform=window.transform,
            fill=0,
            dtype=np.uint16,
            all_touched=all_touched,
        )

    def digest(self) -> bytes:
        """Return a hash of the shapes and their numbers."""
        digest = hashlib.sha256(self.numbers.tobytes())
        for text in shapely.to_wkb(self.shapes):
            digest.update(text)
        return digest.digest()


def study_area_mask(study_area: gpd.GeoDataFrame, grid: Grid) -> np.ndarray:
    """Return which cell centres lie inside the study area, (y, x) bool."""
    return AreaLayer(study_area, grid).block(0, 0, *grid.shape)


def rasterize_geology(
    geology: gpd.GeoDataFrame,
    column: str,
    grid: Grid,
    *,
    rule: str = "largest",
) -> tuple[np.ndarray, dict[int, str]]:
    """Rasterize polygons to class numbers.

    Parameters
    ----------
    geology : GeoDataFrame
        Polygons in the CRS of the grid; where they overlap, the later one in the file counts.
    column : str
        Column with the class names; rows without a name are unmapped ground.
    grid : Grid
        The cells, in metres.
    rule : {"largest", "centre"}
        ``"largest"`` gives a cell to the class that covers most of it (unmapped ground takes part;
        shares to 1/64 of a cell; the lower number wins a tie), ``"centre"`` to the class at its
        centre.

    Returns
    -------
    classes : ndarray
        uint16 (y, x), 0 = no polygon.
    legend : dict
        Number -> name, numbered from 1 in alphabetical order.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> classes, legend = gm.rasterize_geology(survey.geology, survey.geology_column, grid)
    >>> classes.shape == grid.shape, legend[1]
    (True, 'Carboniferous')
    """
    layer = GeologyLayer(geology, column, grid, rule=rule)
    # float32 holds every uint16 exactly.
    classes = fill_blocks(
        lambda *window: layer.block(*window)[None], grid, 1, "rasterizing geology"
    )[0]
    return classes.astype(np.uint16), layer.legend


def _largest_share(fine: np.ndarray) -> np.ndarray:
    """Return the commonest class of each SUBCELLS x SUBCELLS part; the lower number wins a tie."""
    rows = fine.shape[0] // SUBCELLS
    columns = fine.shape[1] // SUBCELLS
    # 1. The lowest and the highest class of every cell.
    low = _reduced(fine, np.minimum)
    high = _reduced(fine, np.maximum)
    # 2. Few cells have a boundary in them: only their parts are counted.
    row, column = np.nonzero(low != high)
    cells = fine.reshape(rows, SUBCELLS, columns, SUBCELLS).transpose(0, 2, 1, 3)
    parts = cells[row, column].reshape(len(row), SUBCELLS**2)
    best = np.zeros(len(row), np.uint16)
    count = np.zeros(len(row), np.uint8)
    for number in np.unique(parts):
        here = (parts == number).sum(axis=1, dtype=np.uint8)
        better = here > count
        best[better] = number
        count[better] = here[better]
    low[row, column] = best
    return low


def _reduced(fine: np.ndarray, extreme: np.ufunc) -> np.ndarray:
    """Return the minimum or maximum of each SUBCELLS x SUBCELLS part, rows first: this is fast."""
    rows = fine.shape[0] // SUBCELLS
    columns = fine.shape[1] // SUBCELLS
    of_rows = extreme.reduce(fine.reshape(rows, SUBCELLS, -1), axis=1)
    return extreme.reduce(of_rows.reshape(rows, columns, SUBCELLS), axis=2)
