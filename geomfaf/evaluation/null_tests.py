"""Could deposits that follow nothing score as well? The same simple model on the deposits moved at
random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import xarray as xr
from scipy.ndimage import distance_transform_cdt

from ..errors import DataError, require_known
from ..models.baselines import NETWORK, Baseline, fit_logistic_models, make_baseline
from ..models.network.encode import Encoder, fit_encoder
from ..models.network.options import Training
from ..progress import quiet, track
from ..rasters.bands import bands_of, grid_of, valid_cells
from ..rasters.grid import Grid
from ..windows.features import Features, window_features
from ..windows.screen import rank_auc
from ..windows.windows import NEGATIVES, deposit_cells, read_windows

WAYS = ("torus", "rotate", "redraw")

SHIFTS = 199
"""Moved patterns: p can then be as small as 0.005."""

GROUND = 4000
"""Places drawn once that stand for the ground: their scores are what the deposits' are ranked
among.
"""

FOLDS = 5

MODEL = "logistic regression"
"""Cheap, and what it finds, every model finds; two hundred patterns on the network would cost a
thousand trainings.
"""

LEAST_WINDOW = 8
"""Cells along the network's windows, at least: the null test's cells are larger than the map's."""

Scorer = Callable[[np.ndarray], np.ndarray]
"""Takes numbers of cells, returns their scores."""


class Lesson(NamedTuple):
    """What a model of one fold is trained on: numbers of cells, their labels, a seed."""

    fold: int
    cells: np.ndarray
    labels: np.ndarray
    seed: int


Learner = Callable[[Sequence[Lesson]], Iterator[Scorer | None]]
"""Takes lessons, yields what scores other cells after each; None where no column varies."""

AT_ONCE = 250
"""Logistic regressions that are solved together: bounds the memory."""


@dataclass(frozen=True)
class NullTest:
    """Result of :func:`null_test`.

    Attributes
    ----------
    observed : float
        Held-out AUC of the deposits where they are.
    moved : ndarray
        (shifts,) the same for each moved pattern.
    way : str
    model : str
    """

    observed: float
    moved: np.ndarray
    way: str
    model: str

    @property
    def p(self) -> float:
        """Share of patterns, the observed one included, that score at least as high."""
        return float((1 + (self.moved >= self.observed).sum()) / (1 + len(self.moved)))


def null_test(
    stack: xr.DataArray,
    deposits: gpd.GeoDataFrame,
    *,
    block: int,
    margin: int,
    shifts: int = SHIFTS,
    way: str = "torus",
    model: str = MODEL,
    seed: int = 0,
) -> NullTest:
    """Score the deposits, and the same pattern of deposits moved at random, on held-out ground by a
    simple model.

    Everything but the deposits stays: ground, folds, numbers. The folds are dealt without looking
    at deposits, and no element may have been chosen by them: give a stack of all elements. Then,
    were the deposits where they are by chance, every pattern would be equally likely to score
    highest, and p is uniform.

    Parameters
    ----------
    stack : DataArray
        All bands, see :func:`geomfaf.build_stack`; coarse cells are enough.
    deposits : GeoDataFrame
        Points of the known deposits.
    block, margin : int
        Cells along a block of the folds, and kept free around a fold's blocks in training.
    shifts : int
        Patterns that are drawn; p is no smaller than 1 / (shifts + 1).
    way : {"torus", "rotate", "redraw"}
        ``"torus"`` shifts the pattern over the map's edges, which keeps its clusters (Lotwick and
        Silverman 1982, doi 10.1111/j.2517-6161.1982.tb01221.x); ``"rotate"`` turns it about the
        middle of the map, mirrored or not; ``"redraw"`` puts each deposit anywhere. One that falls
        on no valid ground is redrawn.
    model : str
        Name of a baseline.
    seed : int
        The same seed, data and machine give the same result.

    Returns
    -------
    NullTest
        ``observed`` (AUC), ``moved`` (shifts,) and ``p``.

    Raises
    ------
    DataError
        With fewer than two deposits on valid ground.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=200)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> test = gm.null_test(stack, survey.deposits, block=20, margin=8, shifts=4)
    >>> test.way
    'torus'
    """
    ground = _Ground(stack, block, margin, seed)
    patterns = ground.patterns(deposits, shifts, way, seed)
    return NullTest(*_scored(ground, patterns, ground.by_table(model), seed), way, model)


def network_null_test(
    stack: xr.DataArray,
    deposits: gpd.GeoDataFrame,
    options: Training,
    *,
    block: int,
    margin: int,
    shifts: int,
    device: str = "auto",
    seed: int = 0,
) -> NullTest:
    """Do the same with the network MFAF, the pattern shifted over the map's edges.

    It is trained from random weights on windows as wide as the margin, 8 cells at least, and the
    margin too; the simple models of its ensemble play no part. A pattern takes as many trainings as
    there are folds: a few shifts tell whether the real pattern stands out, no small p.
    """
    size = max(LEAST_WINDOW, margin)
    ground = _Ground(stack, block, size, seed)
    patterns = ground.patterns(deposits, shifts, "torus", seed)
    learn = ground.by_network(stack, options, size, device)
    return NullTest(*_scored(ground, patterns, learn, seed), "torus", NETWORK)


def _scored(
    ground: _Ground,
    patterns: list[np.ndarray],
    learn: Learner,
    seed: int,
) -> tuple[float, np.ndarray]:
    """Return the held-out AUC of the first pattern, and those of all others."""
    # 1. what every model learns from; 2. the models, as they are needed; 3. their AUCs
    # Lessons come first, all of them, so that a learner may solve many at once.
    lessons = [ground.lessons(pattern, seed + number) for number, pattern in enumerate(patterns)]
    scorers = learn(list(chain.from_iterable(lessons)))
    found = []
    for number, pattern in enumerate(track(patterns, "testing against chance", unit="patterns")):
        judged = [(lesson.fold, next(scorers)) for lesson in lessons[number]]
        found.append(ground.heldout_auc(pattern, judged))
    return found[0], np.array(found[1:])


class _Ground:
    """The valid cells, their features and their folds, which all patterns of deposits share."""

    def __init__(
        self,
        stack: xr.DataArray,
        block: int,
        margin: int,
        seed: int,
    ) -> None:
        # 1. valid cells by their numbers, and some drawn once that stand for the ground
        self.grid = grid_of(stack)
        valid = valid_cells(stack)
        rows, cols = np.nonzero(valid)
        self.rows = rows
        self.cols = cols
        self.number = np.full(self.grid.shape, -1)
        self.number[valid] = np.arange(len(rows))
        rng = np.random.default_rng(seed)
        self.stack = stack
        self.sample = np.sort(rng.permutation(len(rows))[:GROUND])
        # 2. blocks dealt to folds, without a look at deposits
        blocks = (rows // block) * (self.grid.width // block + 1) + cols // block
        _, blocks = np.unique(blocks, return_inverse=True)
        count = min(FOLDS, int(blocks.max()) + 1)
        if count < 2:
            raise DataError(
                "the ground is one block of the folds: nothing can be held out. Use a smaller"
                " block."
            )
        self.fold = (rng.permutation(blocks.max() + 1) % count)[blocks]
        # 3. what each fold may learn from: cells farther than the margin from its blocks
        raster = np.full(self.grid.shape, -1)
        raster[valid] = self.fold
        self.trains = [
            (distance_transform_cdt(raster != fold, metric="chessboard") > margin)[valid]
            for fold in range(count)
        ]

    def patterns(
        self,
        deposits: gpd.GeoDataFrame,
        shifts: int,
        way: str,
        seed: int,
    ) -> list[np.ndarray]:
        """Return the cells of the deposits, then those of so many moved patterns."""
        require_known(way, WAYS, "way of moving deposits")
        # Deposits of one cell are one: they could not be told apart on the map.
        rows, cols = deposit_cells(deposits, self.grid)
        cells = self.number[rows, cols]
        cells = np.unique(cells[cells >= 0])
        if len(cells) < 2:
            raise DataError(
                "fewer than two deposits lie on valid ground: nothing can be tested against chance."
            )
        # Cells were numbered row by row, as argwhere lists them.
        at = np.argwhere(self.number >= 0)[cells]
        rng = np.random.default_rng(seed)
        moved = [cells]
        for _ in range(shifts):
            moved.append(self.onto_ground(_moved(at, self.grid, way, rng), rng))
        return moved

    def onto_ground(self, at: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the valid cells at (row, column), redrawn where there is none or a deposit is
        already.
        """
        # A moved deposit may lie off the map, off valid ground, or on another one.
        height, width = self.grid.shape
        on = (at[:, 0] >= 0) & (at[:, 0] < height) & (at[:, 1] >= 0) & (at[:, 1] < width)
        cells = np.where(on, self.number[np.where(on, at[:, 0], 0), np.where(on, at[:, 1], 0)], -1)
        kept = np.unique(cells[cells >= 0])
        free = np.setdiff1d(np.arange(len(self.fold)), kept)
        return np.concatenate([kept, rng.choice(free, len(at) - len(kept), replace=False)])

    def by_table(self, model: str) -> Learner:
        """Return what fits a baseline to cells and labels."""
        features: Features = window_features(self.stack, self.rows, self.cols)

        def learn(lessons: Sequence[Lesson]) -> Iterator[Scorer | None]:
            for lesson in lessons:
                # A lesson whose columns do not vary teaches nothing: its ground ties.
                unfitted = make_baseline(model, seed=lesson.seed)
                try:
                    fitted = unfitted.fit(features[lesson.cells], lesson.labels)
                except DataError:
                    yield None
                else:
                    yield _scorer(fitted, features)

        def learn_together(lessons: Sequence[Lesson]) -> Iterator[Scorer | None]:
            for first in range(0, len(lessons), AT_ONCE):
                part = lessons[first : first + AT_ONCE]
                tables = [features[lesson.cells] for lesson in part]
                for fitted in fit_logistic_models(tables, [lesson.labels for lesson in part]):
                    yield None if fitted is None else _scorer(fitted, features)

        return learn_together if model == MODEL else learn

    def by_network(
        self,
        stack: xr.DataArray,
        options: Training,
        size: int,
        device: str,
    ) -> Learner:
        """Return what trains MFAF on the windows centred on cells, everything learned from these
        windows.
        """
        from ..models.network.classifier import MFAFClassifier

        bands = bands_of(stack)
        names = [str(name) for name in stack["band"].values]

        def windows(cells: np.ndarray) -> np.ndarray:
            return read_windows(
                stack.values, self.rows[cells] - size // 2, self.cols[cells] - size // 2, size
            )

        def learn(lessons: Sequence[Lesson]) -> Iterator[Scorer | None]:
            for lesson in lessons:
                # Scaling is learned from the lesson's own windows, like everything else.
                raw = windows(lesson.cells).swapaxes(0, 1)
                encoder = fit_encoder(raw.reshape(len(names), -1), bands)
                classifier = MFAFClassifier(options.fresh(), seed=lesson.seed, device=device)
                places = np.column_stack([self.rows[lesson.cells], self.cols[lesson.cells]])
                x = np.ascontiguousarray(encoder.transform(raw, names).swapaxes(0, 1))
                with quiet():
                    classifier.fit(x, lesson.labels.astype(np.int64), places=places.astype(float))
                yield partial(score, encoder, classifier)

        def score(encoder: Encoder, classifier: Any, cells: np.ndarray) -> np.ndarray:
            encoded = encoder.transform(windows(cells).swapaxes(0, 1), names).swapaxes(0, 1)
            return classifier.predict_proba(np.ascontiguousarray(encoded))[:, 1]

        return learn

    def lessons(self, ore: np.ndarray, seed: int) -> list[Lesson]:
        """Return what the model of each fold learns from: deposits and barren ground away from it.

        A fold without either has none, and all of its ground ties.
        """
        rng = np.random.default_rng(seed)
        found = []
        for fold, trains in enumerate(self.trains):
            # Barren ground is drawn from the sample, four places for each deposit.
            known = ore[trains[ore]]
            free = np.setdiff1d(self.sample[trains[self.sample]], known)
            if not len(known) or len(free) < 2:
                continue
            count = min(len(free), max(2, round(NEGATIVES * len(known))))
            barren = rng.choice(free, count, replace=False)
            labels = np.r_[np.ones(len(known)), np.zeros(len(barren))]
            found.append(Lesson(fold, np.concatenate([known, barren]), labels, seed))
        return found

    def heldout_auc(self, ore: np.ndarray, judged: Sequence[tuple[int, Scorer | None]]) -> float:
        """Return the AUC of deposits against the ground by models that were trained away from
        either, given as (fold, what scores cells).
        """
        # What no model scores stays at one half.
        own = np.full(len(ore), 0.5)
        background = np.full(len(self.sample), 0.5)
        for fold, score in judged:
            if score is None:
                continue
            for scores, places in ((own, ore), (background, self.sample)):
                tested = self.fold[places] == fold
                if tested.any():
                    scores[tested] = score(places[tested])
        both = np.r_[own, background]
        return rank_auc(both, np.arange(len(both)) < len(ore))


def _scorer(fitted: Baseline, features: Features) -> Scorer:
    """Return what scores cells by a fitted model of the table."""
    return lambda cells: fitted.predict_proba(features[cells])[:, 1]


def _moved(
    at: np.ndarray,
    grid: Grid,
    way: str,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a pattern of (row, column) moved at random; some may leave the map."""
    shape = np.array(grid.shape)
    if way == "torus":
        return (at + rng.integers(0, shape)) % shape
    if way == "redraw":
        return rng.integers(0, shape, at.shape)
    # Turned about the middle of the map, mirrored or not.
    angle = rng.uniform(0, 2 * np.pi)
    mirror = rng.choice([-1, 1])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = (shape - 1) / 2
    return np.round((at - middle) * (1, mirror) @ turn.T + middle).astype(int)
