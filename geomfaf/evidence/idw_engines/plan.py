"""A prepared interpolation: everything that is decided once, and the function that estimates one
block.

Blocks are the unit of work. :meth:`IdwPlan.block` runs in threads, in processes and on a Dask
cluster alike, and its result does not depend on which blocks ran before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...rasters.grid import Grid
from .cross_validation import choose_rule
from .options import EXTRAS, IdwOptions, make_rule
from .samples import Transform, bands_by_missing, check_samples, merge_places, metric, point_search
from .tree_engine import FAR, TIE, Rule, TreeSearch

if TYPE_CHECKING:
    from .kernels import CellSteps

Window = tuple[int, int, int, int]
Found = tuple[np.ndarray, np.ndarray]
BlockSearch = Callable[[Window], Found]
"""Takes (row, column, height, width); returns values (bands, height, width) and (2, height, width)
extras.
"""


class IdwPlan:
    """Samples made ready to estimate any block of one grid.

    Parameters
    ----------
    xy : ndarray
        (samples, 2) metres.
    values : ndarray
        (bands, samples), NaN where missing.
    grid : Grid
        The whole grid.
    power, neighbours, radius, options
        See :func:`geomfaf.evidence.inverse_distance.idw_grid`.
    antilog : bool
        The values are log10 of what is wanted.
    """

    def __init__(
        self,
        xy: np.ndarray,
        values: np.ndarray,
        grid: Grid,
        *,
        power: float | str = 2.0,
        neighbours: int | str | None = 12,
        radius: float | None = None,
        options: IdwOptions | None = None,
        antilog: bool = False,
    ):
        self.options = options or IdwOptions()
        self.rule = make_rule(power, neighbours, radius, self.options)
        self.grid = grid
        self.antilog = antilog
        # 1. Samples of one place count once.
        checked, values = check_samples(xy, values)
        self.places, self.values = merge_places(checked, values)
        # 2. The rule, where the data are to choose it.
        self.metric = metric(self.options.anisotropy, self.places)
        if "auto" in (power, neighbours):
            automatic = {"power": power == "auto", "neighbours": neighbours == "auto"}
            self.rule = choose_rule(self.places, self.values, self.rule, self.options, **automatic)
        # 3. The engine, by the size of the job alone.
        self.engine = self._choose_engine()
        self.searches: list[tuple[np.ndarray, BlockSearch]] = []
        self.extra_search: BlockSearch | None = None

    @property
    def bands(self) -> int:
        """Number of bands of a block: values, then extras in the order asked for."""
        return len(self.values) + len(self.options.extras)

    def prepare(self, pool: Executor | None = None) -> IdwPlan:
        """Build the search structures; returns itself."""
        groups = bands_by_missing(self.values)
        if self.engine == "far":
            self.searches = [(np.arange(len(self.values)), self._far_search(pool))]
        else:
            shared = bool(self.options.extras) and len(groups) == 1
            self.searches = []
            for bands, mask in groups:
                search = self._search(mask, self.values[bands], shared)
                self.searches.append((bands, search))
            self.extra_search = self.searches[0][1] if shared else None
        anywhere = np.isfinite(self.values).any(axis=0)
        if self.options.extras and self.extra_search is None and anywhere.any():
            self.extra_search = self._extra_search(anywhere)
        return self

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return float32 (bands, height, width) of a window of the grid."""
        window = (row, column, height, width)
        # 1. One search for all bands needs no copying.
        if len(self.searches) == 1 and len(self.searches[0][0]) == self.bands:
            values = self.searches[0][1](window)[0]
            return self._finish(values)
        # 2. Else a search for each group of bands; one of them may have found the extras too.
        out = np.full((self.bands, height, width), np.nan, np.float32)
        extra = None
        for bands, search in self.searches:
            values, found = search(window)
            out[bands] = self._finish(values)
            extra = found if search is self.extra_search else extra
        if not self.options.extras:
            return out
        # 3. The extras come last.
        if extra is None and self.extra_search is not None:
            extra = self.extra_search(window)[1]
        for place, name in enumerate(self.options.extras, start=len(self.values)):
            if extra is not None:
                out[place] = extra[EXTRAS.index(name)]
            else:
                out[place] = np.nan if name == "distance" else 0.0
        return out

    def fingerprint(self) -> str:
        """Return a hash of everything that decides the numbers: samples, rule, options, engine."""
        barriers = self.options.barriers
        if barriers is not None:
            from .barriers import barrier_segments

            barriers = hashlib.sha256(barrier_segments(barriers).tobytes()).hexdigest()
        settings = (self.rule, replace(self.options, barriers=barriers), self.engine, self.antilog)
        digest = hashlib.sha256(repr(settings).encode())
        for array in (self.places, self.values):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _finish(self, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, np.float32)
        return np.power(np.float32(10), values) if self.antilog else values

    def _search(self, mask: np.ndarray, known: np.ndarray, extras: bool) -> BlockSearch:
        """Return the search for bands that share their samples."""
        places = self.places[mask]
        known = known[:, mask]
        rule = self.rule
        if rule.neighbours >= len(places):
            rule = rule._replace(neighbours=0)
        if self.engine == "scipy":
            search = point_search(places, known, rule, self.metric, self.options.barriers)
            return partial(_search_points, search, self.grid, self.metric)
        return _compiled_search(
            self.metric,
            places,
            known,
            rule,
            self.grid,
            extras,
        )

    def _extra_search(self, anywhere: np.ndarray) -> BlockSearch:
        """Return the search for distance and count when bands differ in their samples, or all
        samples count.
        """
        if self.engine != "far":
            return self._search(anywhere, self.values[:0], True)
        nearest = self.rule._replace(neighbours=1, farthest=FAR)
        places = self.places[anywhere]
        search = _compiled_search(
            self.metric,
            places,
            self.values[:0, anywhere],
            nearest,
            self.grid,
            True,
        )
        return partial(_search_nearest, search, len(places))

    def _far_search(self, pool: Executor | None) -> BlockSearch:
        from .far_field import FarField

        field = FarField(
            self.places,
            self.values,
            self.grid,
            self.rule.power,
            self.options.tolerance,
        )
        field.build(pool)
        masks: list[tuple[np.ndarray, BlockSearch, float]] = []
        if self.rule.farthest == FAR and self.rule.minimum <= 1:
            return partial(_search_far, field, masks)
        # Where the nearest sample is too far, or samples are too few, the far field has no say.
        nearest = self.rule._replace(neighbours=1, minimum=1, farthest=FAR)
        for bands, mask in bands_by_missing(self.values):
            places = self.places[mask]
            none = self.values[:0, mask]
            search = _compiled_search(
                self.metric,
                places,
                none,
                nearest,
                self.grid,
                True,
            )
            enough = mask.sum() >= self.rule.minimum
            farthest = self.rule.farthest * (1 + TIE) if enough else -1.0
            masks.append((bands, search, farthest))
        return partial(_search_far, field, masks)

    def _choose_engine(self) -> str:
        """Return "scipy", "knn" or "far"."""
        # 1. All samples count alike in all directions: the far field, if an error is allowed.
        everything = self.rule.neighbours == 0 and self.rule.radius == FAR
        far = everything and self.options.anisotropy is None and self.options.tolerance > 0
        # 2. What the compiled engines cannot do.
        steep = far and self.rule.power > 8
        nothing = not np.isfinite(self.values).any()
        if nothing or steep or self.options.barriers is not None or self.options.engine == "scipy":
            return "scipy"
        # 3. Small jobs are done before a compiled engine is loaded.
        if self.options.engine == "auto" and self.scipy_seconds() < 1.5:
            return "scipy"
        return "far" if far else "knn"

    def scipy_seconds(self) -> float:
        """Return roughly how long the scipy engine would take on one core.

        Two microseconds a point for the search and 0.15 a neighbour; 30 ns a pair of point and
        sample without. The compiled engines take a second to load, and five once to compile.
        """
        groups = len(bands_by_missing(self.values))
        bands = len(self.values)
        if self.rule.neighbours == 0:
            return self.grid.size * len(self.places) * (groups * 3e-8 + bands * 1e-9)
        return self.grid.size * (groups * (2e-6 + 1.5e-7 * self.rule.neighbours) + bands * 5e-8)


def _compiled_search(
    metric: Transform,
    places: np.ndarray,
    known: np.ndarray,
    rule: Rule,
    grid: Grid,
    extras: bool,
) -> BlockSearch:
    from . import kernels

    rule = rule._replace(neighbours=0) if rule.neighbours >= len(places) else rule
    # Counting costs a tenth of the time: only where a count is asked for.
    rule = rule if extras or rule.minimum > 1 else rule._replace(minimum=0)
    steps = _cell_steps(metric, grid)
    buckets = kernels.make_buckets(metric(places), known)
    side = kernels.tile_size(buckets, rule, steps)
    return partial(
        _search_steps,
        steps,
        buckets,
        rule,
        side,
        extras,
    )


def _cell_steps(metric: Transform, grid: Grid) -> CellSteps:
    """Return where the transform puts the centre of the first cell, and the steps between cells.

    Steps from cells far apart: the rounding of neighbours' difference would add up over the grid.
    """
    from . import kernels

    apart = 2**20
    origin = metric(np.column_stack(grid.xy(0, 0)))[0]
    along = metric(np.column_stack(grid.xy(0, apart)))[0]
    down = metric(np.column_stack(grid.xy(apart, 0)))[0]
    column = (along - origin) / apart
    row = (down - origin) / apart
    return kernels.CellSteps(
        x=float(origin[0]),
        y=float(origin[1]),
        column_x=float(column[0]),
        column_y=float(column[1]),
        row_x=float(row[0]),
        row_y=float(row[1]),
    )


def _search_steps(
    steps,
    buckets,
    rule,
    side,
    extras,
    window: Window,
) -> Found:
    from .kernels import knn_block

    row, column, height, width = window
    out = np.empty((buckets.values.shape[1], height, width), np.float32)
    extra = np.empty((2, height, width) if extras else (0, 0, 0), np.float32)
    knn_block(
        steps,
        (row, column),
        buckets,
        rule,
        side,
        out,
        extra,
    )
    return out, extra


def _search_points(
    search: TreeSearch,
    grid: Grid,
    transform: Transform,
    window: Window,
) -> Found:
    row, column, height, width = window
    rows, columns = np.divmod(np.arange(height * width), width)
    centres = np.column_stack(grid.xy(row + rows, column + columns))
    found = search.estimate(transform(centres), workers=1)
    nearest = np.where(np.isfinite(found.nearest), found.nearest, np.nan)
    extra = np.stack([nearest, found.used])
    values = found.values.reshape(-1, height, width)
    return values, extra.reshape(2, height, width)


def _search_nearest(search: BlockSearch, count: int, window: Window) -> Found:
    values, extra = search(window)
    extra[1] = count
    return values, extra


def _search_far(field, masks, window: Window) -> Found:
    out = field.block(*window)
    for bands, search, farthest in masks:
        nearest = search(window)[1][0]
        out[bands] = np.where(nearest <= farthest, out[bands], np.nan)
    return out, np.empty((0, 0, 0), np.float32)
