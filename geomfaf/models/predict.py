"""Dense prediction: windows centred on a lattice over the whole map, blended into smooth score
bands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter
from scipy.sparse import csr_array

from ..errors import UsageError
from ..progress import track
from ..rasters.bands import Band, as_dataarray, grid_of, valid_cells
from ..windows.features import Features, window_features
from ..windows.windows import read_windows
from .fold_models import Model
from .network.encode import Encoder
from .network.uncertainty import PASSES, require_uncertainty

STRIP = 8
"""Lattice rows read at a time: bounds the memory of a prediction by the width of the map."""

SCORE_BANDS = (
    Band("score", "score", "", "Prospectivity score (mean of all fold models)"),
    Band("heldout_score", "score", "", "Held-out score (by the model that never saw the place)"),
    Band(
        "spread",
        "score",
        "",
        "Spread of the score (standard deviation over branches and fold models)",
    ),
    Band("vote_share", "score", "", "Share of branches that vote ore"),
)


class Lattice:
    """Window centres every ``stride`` cells and the weights that blend their scores over the cells
    between.

    A cell's score is the average of the windows centred within ``stride`` cells of it, weighted by
    a tent that falls from 1 at the centre to 0 one stride away along each axis (bilinear
    interpolation between the centres). A wider blend would smear the score of a window's centre
    over ground that it was not asked about.

    Parameters
    ----------
    valid : ndarray
        (y, x) bool; centres with no valid cell within a stride are left out.
    stride : int
        Cells.
    """

    def __init__(self, valid: np.ndarray, stride: int) -> None:
        if stride < 1:
            raise UsageError(f"stride = {stride} must be at least 1 cell.")
        self.valid = valid
        self.rows, self.cols = (_centres(length, stride) for length in valid.shape)
        self.down, self.across = (
            _tent(length, centres, stride)
            for length, centres in zip(valid.shape, (self.rows, self.cols), strict=True)
        )
        self.stride = stride
        self.wanted = self.near(valid)

    def near(self, cells: np.ndarray) -> np.ndarray:
        """Return which centres lie within a stride of any of the cells, (lattice rows, lattice
        columns) bool.
        """
        reach = 2 * self.stride + 1
        return maximum_filter(cells, size=reach, mode="constant", cval=0)[
            np.ix_(self.rows, self.cols)
        ]

    def blend(self, values: np.ndarray) -> np.ndarray:
        """Return (..., y, x) float32 from (..., lattice rows, lattice columns); NaN centres do not
        count.
        """
        flat = values.reshape(-1, *values.shape[-2:])
        result = np.empty((len(flat), *self.valid.shape), np.float32)
        for number, layer in enumerate(flat):
            known = np.isfinite(layer)
            total = self.down @ np.where(known, layer, 0.0) @ self.across.T
            weight = self.down @ known.astype(float) @ self.across.T
            with np.errstate(invalid="ignore", divide="ignore"):
                result[number] = np.where(self.valid & (weight > 1e-9), total / weight, np.nan)
        return result.reshape(*values.shape[:-2], *self.valid.shape)


def lattice_scores(
    stack: xr.DataArray,
    lattice: Lattice,
    wanted: np.ndarray,
    encoder: Encoder,
    predict: Callable[..., np.ndarray],
    size: int,
    odds: np.ndarray | None = None,
) -> np.ndarray:
    """Score the windows centred on the wanted lattice points.

    Parameters
    ----------
    wanted : ndarray
        (lattice rows, lattice columns) bool.
    predict : callable
        Encoded windows (n, channels, size, size) -> (outputs, n); with ``odds`` also theirs.
    odds : (partners, wanted points) ndarray, optional
        What partners say of the wanted points, row by row: forests judge all at once faster than
        strip by strip.

    Returns
    -------
    ndarray
        float32 (outputs, lattice rows, lattice columns), NaN where not wanted.
    """
    names = [str(name) for name in stack["band"].values]
    used = [name for name in names if name in {channel.band for channel in encoder.channels}]
    values = stack.sel(band=used).values
    half = size // 2
    result = None
    done = 0
    for first in range(0, len(lattice.rows), STRIP):
        at, across = np.nonzero(wanted[first : first + STRIP])
        if not len(at):
            continue
        rows = lattice.rows[first + at]
        cols = lattice.cols[across]
        top = max(rows.min() - half, 0)
        bottom = min(rows.max() + size - half, stack.sizes["y"])
        encoded = encoder.transform(values[:, top:bottom], used)
        windows = read_windows(encoded, rows - half - top, cols - half, size, fill=0.0)
        rest = () if odds is None else (odds[:, done : done + len(at)],)
        scores = predict(windows, *rest)
        done = done + len(at)
        if result is None:
            result = np.full((len(scores), *wanted.shape), np.nan, np.float32)
        result[:, first + at, across] = scores
    return np.full((1, *wanted.shape), np.nan, np.float32) if result is None else result


def ground_features(
    model: Model, stack: xr.DataArray, lattice: Lattice, wanted: np.ndarray
) -> Features | None:
    """Return the features of the wanted lattice points, row by row; None for a model without
    partners to read them.
    """
    bands = {
        name for member in model.members if member.partners for name in member.partners.rows.bands
    }
    if not bands:
        return None
    at, across = np.nonzero(wanted)
    used = stack.sel(band=[name for name in map(str, stack["band"].values) if name in bands])
    return window_features(used, lattice.rows[at], lattice.cols[across], model.size)


def predict_scores(
    model: Model,
    stack: xr.DataArray,
    *,
    stride: int | None = None,
    uncertainty: str = "ensemble",
    passes: int = PASSES,
) -> xr.DataArray:
    """Score every cell of a stack.

    Parameters
    ----------
    stride : int, optional
        Cells between the centres of the windows, at most half a window; a quarter of the window
        when omitted.
    uncertainty : {"ensemble", "mc-dropout"}
        What ``spread`` is the standard deviation over: branches and fold models, or branches, fold
        models and passes with dropout (Gal and Ghahramani 2016). Scores and votes are the same.
    passes : int
        With dropout, for each fold model.

    Returns
    -------
    DataArray
        float32 (band, y, x) with ``score``, ``heldout_score`` (only on the grid the model was
        trained on, else NaN), ``spread`` and ``vote_share``; NaN outside the study area. Where the
        model was trained with a calibration, score, held-out score and spread are calibrated; votes
        are cast before it.
    """
    model.require_stack(stack)
    require_uncertainty(uncertainty, passes, model.options)
    passes = passes if uncertainty == "mc-dropout" else 0
    grid = grid_of(stack)
    lattice = model_lattice(model, valid_cells(stack), stride)
    same_ground = grid == model.folds.grid
    tested = model.folds.raster() if same_ground else np.full(grid.shape, -1, np.int8)
    heldout = np.full(grid.shape, np.nan, np.float32)
    total = np.zeros((4, *lattice.wanted.shape))
    ground = ground_features(model, stack, lattice, lattice.wanted)
    for member in track(model.members, "predicting", unit="fold models"):
        judge = partial(member.judge, passes=passes, seed=model.seed + member.fold)
        odds = member.odds(ground)
        found = lattice_scores(
            stack, lattice, lattice.wanted, member.encoder, judge, model.size, odds
        )
        found = found[:4].astype(float)
        if same_ground:
            own = tested == member.fold
            heldout[own] = lattice.blend(found[0])[own]
        score, votes, mean, spread = found
        total += np.stack([score, votes, mean, spread**2 + mean**2])
    score, votes, mean, square = total / len(model.members)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    score, spread, share = lattice.blend(np.stack([score, spread, votes]))
    return as_dataarray(np.stack([score, heldout, spread, share]), grid, score_bands(passes))


def score_bands(passes: int = 0) -> list[Band]:
    """Return the bands of a score map, the spread named by what it is taken over."""
    if not passes:
        return list(SCORE_BANDS)
    text = (
        f"Spread of the score (standard deviation over branches, fold models and {passes} passes"
        " with dropout)"
    )
    return [
        replace(band, description=text) if band.name == "spread" else band for band in SCORE_BANDS
    ]


def model_lattice(model: Model, valid: np.ndarray, stride: int | None = None) -> Lattice:
    """Return the lattice on which a model's windows are centred.

    A held-out score leans on windows centred up to a stride beside its fold's blocks. These reach
    half a window farther, and the nearest training window begins a whole window from the blocks:
    wider strides would leak.
    """
    stride = default_stride(model.size) if stride is None else stride
    if stride > model.size // 2:
        raise UsageError(
            f"stride = {stride} cells is more than half a window ({model.size // 2} cells):"
            " held-out scores would lean on ground that their model was trained on. Use a smaller"
            " stride."
        )
    return Lattice(valid, stride)


def default_stride(size: int) -> int:
    """Return a quarter of the window, in cells."""
    return max(1, size // 4)


def _centres(length: int, stride: int) -> np.ndarray:
    """Return the centre cells along an axis: every ``stride`` cells from the first, and the last
    one.
    """
    return np.unique(np.append(np.arange(0, length, stride), length - 1))


def _tent(length: int, centres: np.ndarray, stride: int) -> csr_array:
    """Return the weights (cells, centres)."""
    distance = np.abs(np.arange(length)[:, None] - centres[None, :])
    return csr_array(np.maximum(0.0, 1.0 - distance / stride))
