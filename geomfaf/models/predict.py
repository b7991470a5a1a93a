"""Dense prediction: windows centred on a lattice over the whole map, blended into smooth score
bands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter
from scipy.sparse import csr_array

from ..errors import UsageError
from ..rasters.bands import Band, as_dataarray, valid_cells
from ..rasters.blocks import block_windows, fill_blocks
from ..rasters.reader import RasterReader
from ..rasters.stream import stream_raster
from ..rasters.tiff_tiles import TILE
from ..windows.features import Features, window_features
from ..windows.windows import read_windows
from .baselines import NETWORK
from .network.encode import Encoder

if TYPE_CHECKING:  # only named here: who maps with a model has loaded torch already
    from ..windows.folds import Folds
    from .fold_models import FoldModel, Model

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
    corner, whole : tuple of int, optional
        First row and column of the cells on the whole map, and the map's shape: the centres are
        then those of the whole map that have a say in the cells, some of them beside these. Rows
        and columns count from the corner.
    """

    def __init__(
        self,
        valid: np.ndarray,
        stride: int,
        corner: tuple[int, int] = (0, 0),
        whole: tuple[int, int] | None = None,
    ) -> None:
        if stride < 1:
            raise UsageError(f"stride = {stride} must be at least 1 cell.")
        self.valid = valid
        height, width = valid.shape
        rows, cols = valid.shape if whole is None else whole
        self.rows = _centres(rows, stride, corner[0], height)
        self.cols = _centres(cols, stride, corner[1], width)
        self.down = _tent(height, self.rows, stride)
        self.across = _tent(width, self.cols, stride)
        self.stride = stride
        self.wanted = self.near(valid)

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and columns of the wanted centres, row by row."""
        at_row, at_col = np.nonzero(self.wanted)
        return self.rows[at_row], self.cols[at_col]

    def fold_of(self, folds: Folds) -> np.ndarray:
        """Return the fold of every cell, (y, x)."""
        return folds.raster()

    def cells_of(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where cells of the whole map are in this one: a sample's stand elsewhere."""
        return rows, cols

    def scores(
        self,
        stack: RasterReader,
        wanted: np.ndarray,
        fold_model: FoldModel,
        odds: np.ndarray | None,
    ) -> np.ndarray:
        """Return what a fold model says of the wanted centres, see :func:`lattice_scores`."""
        return lattice_scores(
            stack,
            self,
            wanted,
            fold_model.encoder,
            fold_model.judge,
            fold_model.classifier.seen_,
            odds,
        )

    def near(self, cells: np.ndarray) -> np.ndarray:
        """Return which centres lie within a stride of any of the cells, (lattice rows, lattice
        columns) bool.
        """
        reach = 2 * self.stride + 1
        # Centres beside the cells lie less than a stride off them.
        around = np.pad(cells, self.stride)
        around = maximum_filter(around, size=reach, mode="constant", cval=0)
        return around[np.ix_(self.rows + self.stride, self.cols + self.stride)]

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
    stack: xr.DataArray | RasterReader,
    lattice: Lattice,
    wanted: np.ndarray,
    encoder: Encoder,
    predict: Callable[..., Sequence[np.ndarray]],
    size: int,
    odds: np.ndarray | None = None,
    margin: int = 0,
) -> np.ndarray:
    """Score the windows centred on the wanted lattice points.

    Parameters
    ----------
    stack : DataArray or RasterReader
        The lattice's ground and ``margin`` cells around it.
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
    source = RasterReader.of(stack)
    needed = {channel.band for channel in encoder.channels}
    used = [name for name in source.names if name in needed]
    half = size // 2
    result = None
    done = 0
    for first in range(0, len(lattice.rows), STRIP):
        at, across = np.nonzero(wanted[first : first + STRIP])
        if not len(at):
            continue
        # 1. the strip of ground that the windows of these rows reach
        rows = lattice.rows[first + at] + margin
        cols = lattice.cols[across] + margin
        top = max(rows.min() - half, 0)
        bottom = min(rows.max() + size - half, source.grid.height)
        ground = source.read(top, 0, bottom - top, source.grid.width, used)
        encoded = encoder.transform(ground, used)
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
    fold_models: Sequence[FoldModel],
    stack: xr.DataArray | RasterReader,
    lattice: Lattice,
    wanted: np.ndarray,
    size: int,
    margin: int = 0,
) -> Features | None:
    """Return the features of the wanted lattice points that the simple models of fold models read,
    row by row; None where all are networks alone, which read none.

    The windows are of ``size`` cells; the stack has ``margin`` cells around the lattice's ground.
    """
    bands: set[str] = set()
    for fold_model in fold_models:
        if fold_model.simple is not None:
            bands |= set(fold_model.simple.rows.bands)
    if not bands:
        return None
    at, across = np.nonzero(wanted)
    # All models' bands at once: each takes its own from the table.
    rows = lattice.rows[at] + margin
    return window_features(stack, rows, lattice.cols[across] + margin, size, bands=sorted(bands))


class ScorePlan:
    """A model and a stack made ready to give any block of the score map.

    A block is computed from its own ground and the margin that its windows reach into, its windows
    in batches of its own: the same bits come out wherever it is computed.

    Parameters
    ----------
    model : Model
    stack : RasterReader
    stride : int, optional
        See :func:`predict_scores`.
    """

    def __init__(self, model: Model, stack: RasterReader, stride: int | None = None) -> None:
        from .network.devices import threads_a_block

        model.require_stack(stack.bands, stack.grid)
        self.model = model
        self.stack = stack.with_bands(_with_classes_of_the_model(stack.bands, model))
        self.grid = stack.grid
        self.stride = model_stride(model, stride)
        self.bands = score_bands(model.name)
        self.margin = model.size // 2 + self.stride
        self.same_ground = stack.grid == model.folds.grid
        self.threads = threads_a_block(len(block_windows(stack.grid, TILE)))

    def block(
        self,
        row: int,
        column: int,
        height: int,
        width: int,
    ) -> np.ndarray:
        """Return float32 (4, height, width): score, held-out score, spread, share of votes."""
        from .network.devices import limit_threads

        around = self.margin
        ground = self.stack.part(
            row - around, column - around, height + 2 * around, width + 2 * around
        )
        valid = valid_cells(ground)[around:-around, around:-around]
        heldout = np.full(valid.shape, np.nan, np.float32)
        if not valid.any():
            return np.repeat(heldout[None], len(self.bands), axis=0)
        # 1. every fold model scores the centres that have a say in the block
        lattice = Lattice(valid, self.stride, (row, column), self.grid.shape)
        tested = np.full(valid.shape, -1)
        if self.same_ground:
            tested = self.model.folds.of_cells(row, column, height, width)
        total = np.zeros((4, *lattice.wanted.shape))
        rows = ground_features(
            self.model.fold_models,
            ground,
            lattice,
            lattice.wanted,
            self.model.size,
            around,
        )
        limit_threads(self.threads)
        for fold_model in self.model.fold_models:
            found = lattice_scores(
                ground,
                lattice,
                lattice.wanted,
                fold_model.encoder,
                fold_model.judge,
                fold_model.classifier.seen_,
                fold_model.odds(rows),
                around,
            )
            score, votes, mean, spread = found[:4].astype(float)
            own = tested == fold_model.fold
            heldout[own] = lattice.blend(score)[own]
            total += np.stack([score, votes, mean, spread**2 + mean**2])
        # 2. moments over all branches of all fold models
        score, votes, mean, square = total / len(self.model.fold_models)
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        # 3. from the centres to the cells
        score, spread, share = lattice.blend(np.stack([score, spread, votes]))
        return np.stack([score, heldout, spread, share])

    def fingerprint(self) -> str:
        """Return a text that differs when any number of the map would."""
        return f"{self.model.fingerprint()}|{self.stack.fingerprint()}|{self.stride}"


def _with_classes_of_the_model(bands: Sequence[Band], model: Model) -> list[Band]:
    """Return the bands with the classes that the simple models know where a band has no legend.

    Features have a column a class: which classes there are must not depend on the block.
    """
    known: dict[str, dict[int, str]] = {}
    for fold_model in model.fold_models:
        columns = () if fold_model.simple is None else fold_model.simple.rows.columns
        for column in columns:
            if column.kind == "class":
                known.setdefault(column.band, {})[column.value] = column.label
    return [
        band if band.legend else replace(band, legend=known.get(band.name, {})) for band in bands
    ]


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

    See Also
    --------
    geomfaf.models.predict.predict_to_file : a map larger than memory.

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
    from .network.devices import restored_threads

    plan = ScorePlan(_loaded(model), RasterReader(stack), stride)
    plan.grid.require_memory(len(plan.bands))
    with restored_threads():
        layers = fill_blocks(plan.block, plan.grid, len(plan.bands), "predicting")
    return as_dataarray(layers, plan.grid, plan.bands)


def predict_to_file(
    model: Model | str | Path,
    stack: xr.DataArray | str | Path,
    path: str | Path,
    *,
    stride: int | None = None,
    overwrite: bool = False,
    cog: bool = False,
    scheduler: str | None = None,
) -> Path:
    """Score every cell of a stack of any size into a GeoTIFF or Zarr store, block by block.

    The numbers are those of :func:`predict_scores` to the bit. Memory holds the model and a few
    blocks; an interrupted call goes on where it stopped when it is repeated.

    Parameters
    ----------
    model, stack, stride
        See :func:`predict_scores`. A stack that is given by its file is read block by block.
    path, cog, scheduler
        See :func:`geomfaf.idw_to_file`. Workers of a cluster open the stack's file themselves.

    Examples
    --------
    >>> import tempfile
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4)
    >>> options = gm.training_options("mfaf", least_steps=2)
    >>> model = gm.train_model(stack, windows, folds, options=options)
    >>> path = predict_to_file(model, stack, f"{tempfile.mkdtemp()}/scores.tif")
    >>> bool(gm.read_raster(path).equals(gm.predict_scores(model, stack)))
    True
    """
    from .network.devices import restored_threads

    plan = ScorePlan(_loaded(model), RasterReader(stack), stride)
    with restored_threads():
        return stream_raster(
            path,
            plan.grid,
            plan.bands,
            plan.block,
            job=plan.fingerprint(),
            overwrite=overwrite,
            cog=cog,
            scheduler=scheduler,
        )


def _loaded(model: Model | str | Path) -> Model:
    if isinstance(model, str | Path):
        from .model_files import load_model

        return load_model(model)
    return model


def model_lattice(model: Model, valid: np.ndarray, stride: int | None = None) -> Lattice:
    """Return the lattice on which a model's windows are centred."""
    return Lattice(valid, model_stride(model, stride))


def model_stride(model: Model, stride: int | None = None) -> int:
    """Return the cells between the centres of a model's windows, a quarter of them when omitted.

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
    return stride


def default_stride(size: int) -> int:
    """Return a quarter of the window, in cells."""
    return max(1, size // 4)


def all_centres(whole: int, stride: int) -> np.ndarray:
    """Return the centre cells along an axis of a map: every ``stride`` cells from the first, and the
    last one.

    >>> all_centres(10, 4).tolist()
    [0, 4, 8, 9]
    """
    return np.unique(np.append(np.arange(0, whole, stride), whole - 1))


def _centres(whole: int, stride: int, first: int, length: int) -> np.ndarray:
    """Return those of all centres that are less than a stride from ``length`` cells, counted from
    ``first``.
    """
    centres = all_centres(whole, stride) - first
    return centres[(centres > -stride) & (centres < length - 1 + stride)]


def tents(cells: np.ndarray, centres: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the centres near each cell along an axis, and how much they count there,
    (3, cells) each; those of weight 0 are fillers.

    At most three lie less than a stride from a cell: the last one may be nearer to the one before it.

    >>> number, weight = tents(np.array([0, 3, 9]), np.array([0, 4, 8, 9]), 4)
    >>> weight.T.tolist()
    [[0.0, 1.0, 0.0], [0.25, 0.75, 0.0], [0.75, 1.0, 0.0]]
    """
    # The first centre that is not before the cell, the one before it, and the next.
    beside = np.array([[-1], [0], [1]])
    wanted = np.searchsorted(centres, cells) + beside
    number = np.clip(wanted, 0, len(centres) - 1)
    weight = np.maximum(0.0, 1.0 - np.abs(cells - centres[number]) / stride)
    return number, np.where(number == wanted, weight, 0.0)


def _tent(length: int, centres: np.ndarray, stride: int) -> csr_array:
    """Return the weights (cells, centres)."""
    number, weight = tents(np.arange(length), centres, stride)
    some = weight > 0
    at_cell = np.broadcast_to(np.arange(length), number.shape)[some]
    found = csr_array((weight[some], (at_cell, number[some])), (length, len(centres)))
    found.sort_indices()
    return found
