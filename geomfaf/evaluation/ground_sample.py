"""Some cells of a map that is larger than memory, in place of all of them: a regular sample of the
ground, and the deposits.

The score of every one of them is that of the whole map, to the rounding, blended from the same
windows. What is estimated is the ground's distribution alone. The ground is taken in squares
between four windows' centres, all their cells: at the centres alone scores vary more than between
them, and deposits, which lie anywhere, would seem to rank lower than they do.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from ..errors import DataError
from ..models.predict import all_centres, tents
from ..rasters.reader import RasterReader
from ..windows.folds import Folds
from ..windows.reading import windows_from

if TYPE_CHECKING:  # it needs torch
    from ..models.fold_models import FoldModel

SQUARES = 40_000
"""Squares of the ground, at most: the standard error of a share of the area is then 0.0025 or less
(``0.5 / sqrt(squares)``, that of as many random cells; more cells in a regular pattern have less).
"""

WHOLE = 9_000_000
"""Cells of a map of which every one is judged; of a larger one that is read from files, a sample."""

AT_ONCE = 4000
"""Windows that are read and judged together."""


class GroundSample:
    """What :class:`geomfaf.models.predict.Lattice` is to a whole map, for a sample of its cells.

    Maps of it are (1, cells): the ground's cells first, the deposits' behind them.

    Parameters
    ----------
    valid : ndarray
        (y, x) bool.
    stride : int
        Cells between the centres of the windows.
    deposits : tuple of ndarray
        Rows and columns of the deposits.
    most : int
        Squares of the ground, at most.

    Attributes
    ----------
    cell_rows, cell_cols : (cells,) ndarray
    valid, ground : (1, cells) ndarray of bool
        All cells; those that stand for the ground.
    centre_rows, centre_cols : (centres,) ndarray
        Cells on which the windows that have a say are centred.
    wanted : (1, centres) ndarray of bool
        All of them.
    """

    def __init__(
        self,
        valid: np.ndarray,
        stride: int,
        deposits: tuple[np.ndarray, np.ndarray],
        most: int = SQUARES,
    ) -> None:
        self.stride = stride
        self.shape = valid.shape
        height, width = valid.shape
        down = all_centres(height, stride)
        across = all_centres(width, stride)
        # 1. every so many-th square in both directions, so that there are not too many of them
        ground_rows, ground_cols, self.squares = _regular(valid, stride, most)
        if not len(ground_rows):
            raise DataError("no ground of the map is valid: nothing can be judged.")
        self.cell_rows = np.concatenate([ground_rows, deposits[0]])
        self.cell_cols = np.concatenate([ground_cols, deposits[1]])
        count = len(self.cell_rows)
        self.valid = np.ones((1, count), bool)
        self.ground = np.arange(count)[None] < len(ground_rows)
        # 2. the centres that each cell's score is blended from, and how much each of them counts
        cells, centres, weights = _blended_from(
            self.cell_rows, self.cell_cols, down, across, stride
        )
        known, number = np.unique(centres, return_inverse=True)
        at_row, at_col = np.divmod(known, len(across))
        self.centre_rows = down[at_row]
        self.centre_cols = across[at_col]
        self.wanted = np.ones((1, len(known)), bool)
        self.weights = csr_array((weights, (cells, number)), (count, len(known)))

    def __len__(self) -> int:
        return int(self.ground.sum())

    def sentence(self) -> str:
        """Say what stands for the ground, and how far shares of the area may be off."""
        error = 0.5 / math.sqrt(self.squares)
        return (
            f"{len(self):,} cells in {self.squares:,} squares stand for the ground of the map, which"
            f" is read in parts: the standard error of an AUC from them is {error:.4f} or less"
        )

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of the centres."""
        return self.centre_rows, self.centre_cols

    def fold_of(self, folds: Folds) -> np.ndarray:
        """Return the fold of every cell, (1, cells)."""
        return folds.at(self.cell_rows, self.cell_cols)[None]

    def cells_of(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the deposits are among the cells: they stand behind the ground."""
        behind = np.arange(len(self), len(self) + len(rows))
        return np.zeros(len(rows), int), behind

    def near(self, cells: np.ndarray) -> np.ndarray:
        """Return which centres have a say in some of (1, cells) bool, (1, centres) bool."""
        return (self.weights.T @ cells[0].astype(float) > 0)[None]

    def blend(self, values: np.ndarray) -> np.ndarray:
        """Return (..., 1, cells) float32 from (..., 1, centres); NaN centres do not count."""
        flat = values.reshape(-1, values.shape[-1])
        known = np.isfinite(flat)
        total = self.weights @ np.where(known, flat, 0.0).T
        weight = self.weights @ known.T.astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            blended = np.where(weight > 1e-9, total / weight, np.nan)
        return blended.T.astype(np.float32).reshape(*values.shape[:-1], len(self.cell_rows))

    def scores(
        self,
        stack: RasterReader,
        wanted: np.ndarray,
        fold_model: FoldModel,
        odds: np.ndarray | None,
    ) -> np.ndarray:
        """Return what a fold model says of the wanted centres, (outputs, 1, centres) float32, NaN
        where not wanted; see :func:`geomfaf.models.predict.lattice_scores`.
        """
        encoder = fold_model.encoder
        size = fold_model.classifier.seen_
        names = list(dict.fromkeys(channel.band for channel in encoder.channels))
        own = np.flatnonzero(wanted[0])
        parts = []
        for first in range(0, len(own), AT_ONCE):
            some = own[first : first + AT_ONCE]
            top = self.centre_rows[some] - size // 2
            left = self.centre_cols[some] - size // 2
            # The encoder wants a band at a time, the network a window.
            by_band = windows_from(stack, top, left, size, names).swapaxes(0, 1)
            windows = encoder.transform(by_band, names).swapaxes(0, 1)
            their_odds = None if odds is None else odds[:, first : first + AT_ONCE]
            parts.append(np.stack(fold_model.judge(np.ascontiguousarray(windows), their_odds)))
        found = np.concatenate(parts, axis=1)
        layers = np.full((len(found), *wanted.shape), np.nan, np.float32)
        layers[:, 0, own] = found
        return layers


def _regular(valid: np.ndarray, stride: int, most: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return rows and columns of the valid cells of every so many-th square between the centres, in
    both directions, and the number of these squares.
    """
    height, width = valid.shape
    # 1. the squares that hold valid ground
    first_rows = np.arange(0, height, stride)
    first_cols = np.arange(0, width, stride)
    in_rows = np.logical_or.reduceat(valid, first_rows, axis=0)
    on_ground = np.logical_or.reduceat(in_rows, first_cols, axis=1)
    apart = 1
    while np.count_nonzero(on_ground[::apart, ::apart]) > most:
        apart += 1
    # 2. their cells: (squares, rows of a square, columns of a square)
    at_row, at_col = np.nonzero(on_ground[::apart, ::apart])
    across = np.arange(stride)
    rows = first_rows[::apart][at_row][:, None, None] + across[:, None]
    cols = first_cols[::apart][at_col][:, None, None] + across
    rows, cols = np.broadcast_arrays(rows, cols)
    on_map = (rows < height) & (cols < width)
    rows = rows[on_map]
    cols = cols[on_map]
    known = valid[rows, cols]
    return rows[known], cols[known], len(at_row)


def _blended_from(
    rows: np.ndarray,
    cols: np.ndarray,
    down: np.ndarray,
    across: np.ndarray,
    stride: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (cell, flat number of a centre, weight) of all centres that have a say in a cell."""
    cells = []
    centres = []
    weights = []
    near_rows = tents(rows, down, stride)
    near_cols = tents(cols, across, stride)
    for at_row, row_weight in zip(*near_rows, strict=True):
        for at_col, col_weight in zip(*near_cols, strict=True):
            weight = row_weight * col_weight
            some = np.flatnonzero(weight > 0)
            cells.append(some)
            centres.append(at_row[some] * len(across) + at_col[some])
            weights.append(weight[some])
    return np.concatenate(cells), np.concatenate(centres), np.concatenate(weights)
