"""Dense prediction: windows centred on a lattice over the whole map, blended into smooth score
bands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter
from scipy.sparse import csr_array

from ..errors import UsageError
from ..progress import track
from ..rasters.bands import Band, as_dataarray, grid_of, valid_cells
from ..rasters.geotiff import read_raster
from ..windows.features import Features, window_features
from ..windows.windows import read_windows
from .baselines import NETWORK
from .network.encode import Encoder

if TYPE_CHECKING:  # only named here: who maps with a model has loaded torch already
    from .fold_models import Model

STRIP = 8
"""Lattice rows read at a time: bounds the memory of a prediction by the width of the map."""


def score_bands(name: str, *, simple: bool = False) -> list[Band]:
    """Return the bands of a score map, each saying whose scores it holds.

    Parameters
    ----------
    name : str
        Of the model.
    simple : bool
        A simple model has no branches: spread and votes are over its fold models alone.
    """
    over = "the fold models" if simple else "branches and fold models"
    voters = f"the fold models of {name}" if simple else "the network's branches"
    texts = {
        "score": f"Prospectivity score ({name}, mean of all fold models)",
        "heldout_score": f"Held-out score ({name}, by the model that never saw the place)",
        "spread": f"Spread of the score (standard deviation over {over} of {name})",
        "vote_share": f"Share of {voters} that vote ore",
    }
    return [Band(band, "score", "", text) for band, text in texts.items()]


SCORE_BANDS = tuple(score_bands(NETWORK))


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
        height, width = valid.shape
        self.rows = _centres(height, stride)
        self.cols = _centres(width, stride)
        self.down = _tent(height, self.rows, stride)
        self.across = _tent(width, self.cols, stride)
        self.stride = stride
        self.wanted = self.near(valid)

    def near(self, cells: np.ndarray) -> np.ndarray:
        """Return which centres lie within a stride of any of the cells, (lattice rows, lattice
        columns) bool.
        """
        reach = 2 * self.stride + 1
        around = maximum_filter(cells, size=reach, mode="constant", cval=0)
        return around[np.ix_(self.rows, self.cols)]

    def blend(self, values: np.ndarray) -> np.ndarray:
        """Return (..., y, x) float32 from (..., lattice rows, lattice columns); NaN centres do not
        count.
        """
        flat = values.reshape(-1, *values.shape[-2:])
        result = np.empty((len(flat), *self.valid.shape), np.float32)
        for number, layer in enumerate(flat):
            # The tent is a product of one along the rows and one along the columns.
            known = np.isfinite(layer)
            total = self.down @ np.where(known, layer, 0.0) @ self.across.T
            weight = self.down @ known.astype(float) @ self.across.T
            reached = self.valid & (weight > 1e-9)
            with np.errstate(invalid="ignore", divide="ignore"):
                result[number] = np.where(reached, total / weight, np.nan)
        return result.reshape(*values.shape[:-2], *self.valid.shape)


def lattice_scores(
    stack: xr.DataArray,
    lattice: Lattice,
    wanted: np.ndarray,
    encoder: Encoder,
    predict: Callable[..., Sequence[np.ndarray]],
    size: int,
    odds: np.ndarray | None = None,
) -> np.ndarray:
    """Score the windows centred on the wanted lattice points.

    Parameters
    ----------
    wanted : ndarray
        (lattice rows, lattice columns) bool.
    predict : callable
        Encoded windows (n, channels, size, size) -> outputs, (n,) each; with ``odds`` also theirs.
    odds : (models, wanted points) ndarray, optional
        What the simple models of an ensemble say of the wanted points, row by row: forests judge
        all at once faster than strip by strip.

    Returns
    -------
    ndarray
        float32 (outputs, lattice rows, lattice columns), NaN where not wanted.
    """
    # Strip by strip: the windows of a whole map would not fit into memory.
    needed = {channel.band for channel in encoder.channels}
    used = [name for name in map(str, stack["band"].values) if name in needed]
    values = stack.sel(band=used).values
    half = size // 2
    result = None
    done = 0
    for first in range(0, len(lattice.rows), STRIP):
        at, across = np.nonzero(wanted[first : first + STRIP])
        if not len(at):
            continue
        # 1. the strip of ground that the windows of these rows reach
        rows = lattice.rows[first + at]
        cols = lattice.cols[across]
        top = max(rows.min() - half, 0)
        bottom = min(rows.max() + size - half, stack.sizes["y"])
        encoded = encoder.transform(values[:, top:bottom], used)
        # 2. its windows; what lies off the map reads as the median of a band
        windows = read_windows(encoded, rows - half - top, cols - half, size, fill=0.0)
        if odds is None:
            scores = predict(windows)
        else:
            scores = predict(windows, odds[:, done : done + len(at)])
        done = done + len(at)
        # 3. each score to its place
        if result is None:
            result = np.full((len(scores), *wanted.shape), np.nan, np.float32)
        result[:, first + at, across] = scores
    return np.full((1, *wanted.shape), np.nan, np.float32) if result is None else result


def ground_features(
    model: Model,
    stack: xr.DataArray,
    lattice: Lattice,
    wanted: np.ndarray,
    table: Features | None = None,
) -> Features | None:
    """Return the features of the wanted lattice points, row by row; None for a network alone, which
    reads none.

    Where those of all points that the lattice wants are there already (``table``), they are taken
    from it.
    """
    bands: set[str] = set()
    for fold_model in model.fold_models:
        if fold_model.simple is not None:
            bands |= set(fold_model.simple.rows.bands)
    if not bands:
        return None
    if table is not None:
        return table[wanted[lattice.wanted]]
    at, across = np.nonzero(wanted)
    # All models' bands at once: each takes its own from the table.
    used = stack.sel(band=[name for name in map(str, stack["band"].values) if name in bands])
    return window_features(used, lattice.rows[at], lattice.cols[across], model.size)


def predict_scores(
    model: Model | str | Path, stack: xr.DataArray | str | Path, *, stride: int | None = None
) -> xr.DataArray:
    """Score every cell of a stack.

    Parameters
    ----------
    model : Model or path
        What :func:`geomfaf.train_model` returned, or the folder of a saved one.
    stack : DataArray or path
        (band, y, x) with the bands of the training, see :func:`geomfaf.build_stack`, or its file.
    stride : int, optional
        Cells between the centres of the windows, at most half a window; a quarter of the window
        when omitted.

    Returns
    -------
    DataArray
        float32 (band, y, x) with ``score``, ``heldout_score`` (only on the grid the model was
        trained on, else NaN), ``spread`` (standard deviation over branches and fold models) and
        ``vote_share``; NaN outside the study area.

    Raises
    ------
    ModelMismatchError
        When the stack lacks a band of the training, or has it in another unit, kind, legend or
        cell.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4)
    >>> options = gm.training_options("mfaf", least_steps=2)
    >>> model = gm.train_model(stack, windows, folds, options=options)
    >>> scores = gm.predict_scores(model, stack)
    >>> scores["band"].values.tolist()
    ['score', 'heldout_score', 'spread', 'vote_share']
    """
    if isinstance(model, str | Path):
        from .model_files import load_model

        model = load_model(model)
    if isinstance(stack, str | Path):
        stack = read_raster(stack)
    model.require_stack(stack)
    grid = grid_of(stack)
    lattice = model_lattice(model, valid_cells(stack), stride)
    # 1. every fold model scores the centres of all windows
    same_ground = grid == model.folds.grid
    tested = model.folds.raster() if same_ground else np.full(grid.shape, -1, np.int8)
    heldout = np.full(grid.shape, np.nan, np.float32)
    total = np.zeros((4, *lattice.wanted.shape))
    ground = ground_features(model, stack, lattice, lattice.wanted)
    for fold_model in track(model.fold_models, "predicting", unit="fold models"):
        found = lattice_scores(
            stack,
            lattice,
            lattice.wanted,
            fold_model.encoder,
            fold_model.judge,
            fold_model.classifier.seen_,
            fold_model.odds(ground),
        )
        score, votes, mean, spread = found[:4].astype(float)
        if same_ground:
            own = tested == fold_model.fold
            heldout[own] = lattice.blend(score)[own]
        total += np.stack([score, votes, mean, spread**2 + mean**2])
    # 2. moments over all branches of all fold models
    score, votes, mean, square = total / len(model.fold_models)
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    # 3. from the centres to the cells
    score, spread, share = lattice.blend(np.stack([score, spread, votes]))
    layers = np.stack([score, heldout, spread, share])
    return as_dataarray(layers, grid, score_bands(model.name))


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
    centres = np.arange(0, length, stride)
    return np.unique(np.append(centres, length - 1))


def _tent(length: int, centres: np.ndarray, stride: int) -> csr_array:
    """Return the weights (cells, centres)."""
    cells = np.arange(length)
    distance = np.abs(cells[:, None] - centres[None, :])
    return csr_array(np.maximum(0.0, 1.0 - distance / stride))
