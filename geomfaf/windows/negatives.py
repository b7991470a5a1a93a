"""Barren windows: drawn anew for every fold, from its training ground alone, by a rule with a name.

No place is known to be barren. Which unlabelled ground stands for it is a choice that moves the
figures (Zuo and Wang 2020), so the rule is named, and the evaluation repeats it over several draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from ..errors import DataError, UsageError, require_known
from ..rasters.reader import RasterReader
from .features import window_features
from .folds import EVERY_FOLD, NO_FOLD, Folds, fold_number
from .reading import windows_from
from .windows import NEGATIVES, window_centres, windows_on

RULES = ("distance", "random", "environment", "unlabelled", "geology")

ROWS = 512
"""Rows of cells whose random numbers are held at once."""

POOL = 50
"""Places looked at for each barren window wanted, where a rule needs to know the
ground's values.
"""


def draw_windows(
    windows: gpd.GeoDataFrame,
    folds: Folds,
    stack: xr.DataArray | RasterReader,
    *,
    rule: str = "distance",
    negatives: float = NEGATIVES,
    min_distance: int | None = None,
    bands: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
) -> gpd.GeoDataFrame:
    """Add barren windows to the deposits' windows: for each fold some to train and some to test.

    A fold's training windows are drawn with its training deposits and training ground only. Drawn
    once for all folds, their distance from every deposit would outline the deposits of the test
    ground.

    Parameters
    ----------
    windows : GeoDataFrame
        Windows of one size; those with label 1 are taken, see :func:`geomfaf.centred_windows`.
    folds : Folds
        See :func:`geomfaf.spatial_folds`.
    stack : DataArray or RasterReader
        (band, y, x), see :func:`geomfaf.build_stack`; its file is read in parts.
    rule : {"distance", "random", "environment", "unlabelled", "geology"}
        ``"distance"``: at random at least ``min_distance`` from the training deposits.
        ``"random"``: anywhere. ``"environment"``: as ``"distance"``, and among the half of the
        ground whose bands are least like those at the nearest training deposit. ``"unlabelled"``:
        as ``"random"``, with a chance that falls with the probability of being an unknown deposit
        (positive-unlabelled weights of Elkan and Noto 2008, doi 10.1145/1401890.1401920).
        ``"geology"``: as ``"distance"``, in the same classes of the class band, and in the same
        shares, as the training deposits.
    negatives : float
        Barren windows for each deposit window, in training and in test.
    min_distance : int, optional
        Cells between the centre of a barren window and a deposit; the window size when omitted.
    bands : sequence of sequences of str, optional
        Bands that each fold may look at; all when omitted.
    seed : int
        The draw. The chance of each cell is drawn first, so that folds share most of their windows.

    Returns
    -------
    GeoDataFrame
        As ``windows``, deposits first, with ``trains``: 0 = every fold that its place allows, a
        number = that fold alone (from 1), -1 = none. Barren test windows are always at random
        ``min_distance`` from deposits, so that the rules can be compared.

    Raises
    ------
    DataError
        When a fold has no barren ground to learn from by the rule.

    Examples
    --------
    >>> import geomfaf as gm
    >>> import numpy as np
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> ore = gm.centred_windows(grid, 8, survey.deposits, np.ones(grid.shape, bool), negatives=0)
    >>> folds = gm.spatial_folds(ore, grid, np.ones(grid.shape, bool))
    >>> drawn = gm.draw_windows(ore, folds, stack, rule="random")
    >>> bool((drawn["label"] == 0).any())
    True
    """
    require_known(rule, RULES, "rule for barren windows")
    require_negatives(negatives)
    # 1. The deposits' windows, and the ground.
    ore = windows[windows["label"] == 1]
    size = int(windows["size"].iloc[0])
    reach = size if min_distance is None else min_distance
    source = RasterReader.of(stack)
    valid = source.valid
    tested_by = folds.raster()
    drawn = []
    trains = []
    for fold in range(folds.count):
        # 2. Barren windows that train the fold, by the rule.
        known = folds.training(ore, fold)
        tested = tested_by == fold
        # The window reaches half its size towards the fold's blocks, and keeps the margin free.
        ground = valid & ~_within(tested, folds.margin + size // 2)
        names = None if bands is None else list(bands[fold])
        training = _draw_training(rule, source, names, ground, ore[known], reach, negatives, seed)
        if len(training) < 2:
            raise DataError(
                f'fold {fold_number(fold)} has no barren ground to learn from by the rule "{rule}", {reach}'
                f" cells ({reach * folds.grid.cell:g} m) from deposits: lower min_distance or use another"
                " rule or smaller cells."
            )
        drawn.append(training)
        trains.append(np.full(len(training), fold_number(fold)))
        # 3. Barren windows that test it, far from all deposits, whatever the rule.
        testing = _draw_testing(valid & tested, folds, ore, fold, negatives, seed)
        drawn.append(testing)
        trains.append(np.full(len(testing), NO_FOLD))
    # 4. All windows in one table, deposits first.
    cells = np.concatenate(drawn)
    without_deposits = np.zeros(len(cells), int)
    barren = windows_on(folds.grid, cells, size, valid, without_deposits)
    barren["trains"] = np.concatenate(trains)
    table = pd.concat([ore.assign(trains=EVERY_FOLD), barren], ignore_index=True)
    table["number"] = np.arange(1, len(table) + 1)
    return gpd.GeoDataFrame(table, geometry="geometry", crs=folds.grid.crs)


def _within(cells: np.ndarray, reach: int) -> np.ndarray:
    """Return which cells lie so many cells from some of (y, x) bool, or nearer, across corners as
    along sides.
    """
    return maximum_filter(cells, size=2 * reach + 1, mode="constant", cval=False)


def _draw_training(
    rule: str,
    stack: RasterReader,
    names: list[str] | None,
    ground: np.ndarray,
    ore: gpd.GeoDataFrame,
    reach: int,
    negatives: float,
    seed: int,
) -> np.ndarray:
    """Return the flat numbers of the cells on which a fold's barren training windows are centred.

    ``ground`` (y, x) bool, ``ore`` and the bands of these names are what may train the fold.
    """
    # 1. The ground that may be drawn at all.
    at = window_centres(ore, stack.grid)
    free = ground.copy()
    free[at] = False
    if rule not in ("random", "unlabelled"):
        free &= _far(ground.shape, at, reach)
    wanted = round(negatives * len(ore))
    if rule in ("random", "distance"):
        return _draw(free, seed, wanted)[0]
    # 2. The other rules look at the bands of some places of it.
    cells, log_chance = _draw(free, seed, round(POOL * negatives * len(ore)))
    if not len(cells):
        return cells
    pool = np.divmod(cells, ground.shape[1])
    draw_weight = _draw_weights(rule, stack, names, pool, at)
    drawable = draw_weight > 0
    return _highest(cells[drawable], log_chance[drawable] / draw_weight[drawable], wanted)[0]


def _draw_testing(
    ground: np.ndarray,
    folds: Folds,
    ore: gpd.GeoDataFrame,
    fold: int,
    negatives: float,
    seed: int,
) -> np.ndarray:
    """Return the flat numbers of the cells on which a fold's barren test windows are centred: at
    random, a window from every deposit.
    """
    at = window_centres(ore, folds.grid)
    size = int(ore["size"].iloc[0])
    free = ground & _far(ground.shape, at, size)
    tested = (folds.of_windows(ore) == fold).sum()
    # A fold that tests no deposit still tests some barren ground.
    wanted = round(negatives * max(1, tested))
    return _draw(free, seed, wanted)[0]


def _draw_weights(
    rule: str, stack: RasterReader, names: list[str] | None, pool: tuple, ore: tuple
) -> np.ndarray:
    """Return the relative chance of each place of the pool to be drawn."""
    if rule == "geology":
        return _class_weights(stack, names, pool, ore)
    here, there = _standardised(stack, names, pool, ore)
    if rule == "environment":
        unlike = cKDTree(there).query(here)[0]
        return (unlike >= np.median(unlike)).astype(float)
    return _barren_chance(here, there)


def _far(
    shape: tuple[int, ...],
    ore: tuple,
    reach: int,
) -> np.ndarray:
    """Return which cells lie at least ``reach`` cells from the deposits."""
    # A disc a deposit: distances of all cells would take ten times the map's own memory.
    around = np.arange(-reach, reach + 1)
    outside = around[:, None] ** 2 + around[None, :] ** 2 >= reach**2
    far = np.ones(shape, bool)
    for row, col in zip(*ore, strict=True):
        top = max(row - reach, 0)
        left = max(col - reach, 0)
        part = far[top : row + reach + 1, left : col + reach + 1]
        first_row = top - (row - reach)
        first_col = left - (col - reach)
        part &= outside[first_row:, first_col:][: part.shape[0], : part.shape[1]]
    return far


def _draw(free: np.ndarray, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return flat numbers of ``count`` free cells drawn at random, ascending, and the logarithm of
    each one's chance.

    Every cell of the map has one random number, and those of the highest are drawn: whether a cell
    is drawn does not depend on the order or number of the others. With weights the keys are
    ``chance ** (1 / weight)`` (Efraimidis and Spirakis 2006, doi 10.1016/j.ipl.2005.11.003); their
    logarithms keep the order.
    """
    rng = np.random.default_rng(seed)
    width = free.shape[1]
    cells = np.zeros(0, np.int64)
    keys = np.zeros(0)
    for first in range(0, len(free), ROWS):
        some = free[first : first + ROWS]
        # The same numbers as of all rows at once, which may not fit into memory.
        chance = rng.random(some.shape)
        found = np.flatnonzero(some)
        log_chance = np.log(np.maximum(chance.flat[found], 1e-300))
        both = np.concatenate([cells, found + first * width])
        cells, keys = _highest(both, np.concatenate([keys, log_chance]), count)
    return cells, keys


def _highest(cells: np.ndarray, keys: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of the highest keys, ascending, and their keys; of equal ones the first."""
    if 0 < count < len(keys):
        # Most are out of the question: only the others are worth sorting.
        lowest = np.partition(keys, len(keys) - count)[len(keys) - count]
        cells = cells[keys >= lowest]
        keys = keys[keys >= lowest]
    highest = np.sort(np.argsort(-keys, kind="stable")[:count])
    return cells[highest], keys[highest]


def _standardised(
    stack: RasterReader, names: list[str] | None, pool: tuple, ore: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bands at the pool and at the deposits in units of the pool's spread; gaps are the
    pool's median.
    """
    # 1. The bands that have a value at both.
    here = window_features(stack, *pool, bands=names).values.astype(float)
    there = window_features(stack, *ore, bands=names).values.astype(float)
    seen_here = np.isfinite(here).any(axis=0)
    seen_there = np.isfinite(there).any(axis=0)
    seen = seen_here & seen_there
    here = here[:, seen]
    there = there[:, seen]
    # 2. Gaps filled, then scaled.
    centre = np.nanmedian(here, axis=0)
    here = np.where(np.isfinite(here), here, centre)
    there = np.where(np.isfinite(there), there, centre)
    spread = here.std(axis=0)
    spread[spread == 0] = 1.0
    return (here - centre) / spread, (there - centre) / spread


def _barren_chance(pool: np.ndarray, ore: np.ndarray) -> np.ndarray:
    """Return how likely each unlabelled place is barren, by the weights of Elkan and Noto (2008).

    With g = P(labelled | bands) and c = the mean of g over deposits, an unlabelled place is ore
    with the probability (1 - c) / c * g / (1 - g).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    x = np.concatenate([pool, ore])
    labels = np.zeros(len(x))
    labels[len(pool) :] = 1
    model = LogisticRegression(max_iter=1000)
    # Too few deposits to leave a third of them out: every place is as likely as the next.
    if len(ore) < 3:
        return np.ones(len(pool))
    labelled = cross_val_predict(model, x, labels, cv=3, method="predict_proba")[:, 1]
    c = float(labelled[labels == 1].mean())
    g = np.clip(labelled[labels == 0], 0, 1 - 1e-9)
    is_ore = (1 - c) / max(c, 1e-9) * g / (1 - g)
    # No place is without a chance: a draw may need them all.
    return np.clip(1 - is_ore, 1e-3, 1.0)


def _class_weights(
    stack: RasterReader, names: list[str] | None, pool: tuple, ore: tuple
) -> np.ndarray:
    """Return for each place of the pool the deposits' share of its class over the pool's share of
    it.
    """
    allowed = stack.names if names is None else names
    found = [band for band in stack.bands if band.kind == "class" and band.name in allowed]
    if not found:
        raise UsageError(
            'negatives by the rule "geology" need a class band, and the stack has none: use'
            ' "distance".'
        )
    here, there = [
        np.nan_to_num(windows_from(stack, at[0], at[1], 1, [found[0].name]).ravel()).astype(int)
        for at in (pool, ore)
    ]
    if not len(here):
        return np.zeros(0)
    # The share of every class number, 0 being ground without one.
    length = max(here.max(), there.max()) + 1
    of_pool = np.bincount(here, minlength=length) / len(here)
    of_deposits = np.bincount(there, minlength=length) / len(there)
    return of_deposits[here] / of_pool[here]


def require_negatives(negatives: object) -> None:
    """Raise :class:`UsageError` unless there is a positive number of barren windows for each
    deposit.
    """
    # True is an int to Python, and no number of windows.
    if isinstance(negatives, bool) or not isinstance(negatives, int | float):
        positive = False
    else:
        positive = 0 < negatives < np.inf
    if not positive:
        raise UsageError(
            f"negatives = {negatives!r} must be above 0: barren windows for each deposit, such"
            " as 4."
        )


DRAWS = 5
"""Draws of barren windows and seeds that every simple model is judged on."""


def draw_seed(seed: int, number: int) -> int:
    """Return the seed of a draw; the folds of one draw use the numbers after it."""
    return seed + 1000 * number
