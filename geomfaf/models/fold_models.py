"""A trained model: one fold model a fold, each trained away from the ground that tests it.

Windows, folds and a stack go in; what comes out judges windows, and is kept on disk by
:mod:`geomfaf.models.model_files`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import torch
import xarray as xr

from ..errors import DataError, InternalError, ModelMismatchError
from ..progress import quiet, track
from ..rasters.bands import Band, bands_of
from ..rasters.grid import Grid
from ..rasters.reader import RasterReader
from ..windows.features import Features, window_features
from ..windows.folds import Folds, fold_number
from ..windows.leak_proof import shared_cells
from ..windows.reading import windows_from
from .baselines import ENSEMBLE, NETWORK
from .ensemble import SimpleModels, fit_simple_models, join
from .network.classifier import MFAFClassifier, seen_size, steps_of
from .network.devices import choose_device
from .network.distributed import gather, own_device, own_folds
from .network.encode import Encoder, fit_encoder
from .network.options import Training, training_options
from .network.pretrain import starting_point
from .network.starting_weights import StartingWeights, pinned, read_starting_weights

SHORT = 5_000_000
"""Window cells of a training of a few seconds: a progress bar of its own would only flicker."""


class Judgement(NamedTuple):
    """What a fold model says of windows, (windows,) float32 each.

    Attributes
    ----------
    score : ndarray
        P(ore): the mean of the branches, joined with the simple models of an ensemble.
    votes : ndarray
        Share of the network's branches that vote ore, P > 0.5, before anything is joined.
    mean, spread : ndarray
        Mean and standard deviation over the branches of the joined P(ore).
    network : ndarray
        The network's score alone.
    """

    score: np.ndarray
    votes: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    network: np.ndarray


@dataclass(frozen=True)
class FoldModel:
    """The network of one fold with its input layer, and the simple models of an ensemble."""

    fold: int
    encoder: Encoder
    classifier: MFAFClassifier
    simple: SimpleModels | None = None

    def __repr__(self) -> str:
        return f"<FoldModel of fold {fold_number(self.fold)}: {', '.join(self.bands)}>"

    @property
    def bands(self) -> list[str]:
        """Names of the bands that the fold model looks at."""
        names = dict.fromkeys(channel.band for channel in self.encoder.channels)
        if self.simple is not None:
            names |= dict.fromkeys(self.simple.rows.bands)
        return list(names)

    def judge(self, x: np.ndarray, odds: np.ndarray | None = None) -> Judgement:
        """Return what the fold model says of encoded windows: every score comes from here.

        Parameters
        ----------
        x : ndarray
            (windows, channels, size, size).
        odds : (simple models, windows) ndarray, optional
            What the simple models say of the same windows, see :meth:`odds`; needed where there
            are any.
        """
        if self.simple is not None and odds is None:
            raise DataError(
                f"{', '.join(self.simple.names)} judge with the network: their log odds are needed."
            )
        branches = self.classifier.predict_branches(x)
        # The network alone first; an ensemble joins each branch with the simple models.
        network = branches.mean(axis=0)
        score = network
        joined = branches
        if self.simple is not None and odds is not None:
            score = join(network, odds)
            joined = join(branches, odds)
        # Few branches: their spread is taken in float64, all is kept in float32.
        joined = joined.astype(float)
        return Judgement(
            score=score.astype(np.float32),
            votes=(branches > 0.5).mean(axis=0).astype(np.float32),
            mean=joined.mean(axis=0).astype(np.float32),
            spread=joined.std(axis=0).astype(np.float32),
            network=network,
        )

    def odds(self, ground: Features | None) -> np.ndarray | None:
        """Return the simple models' log odds of ground, (models, places); None where there are
        none.
        """
        if self.simple is None or ground is None:
            return None
        return self.simple.log_odds(ground.select(bands=self.simple.rows.bands))

    def judge_windows(
        self, stack: xr.DataArray | RasterReader, windows: gpd.GeoDataFrame
    ) -> Judgement:
        """Return what the fold model says of the windows of a table."""
        names = list(dict.fromkeys(channel.band for channel in self.encoder.channels))
        rows = None
        if self.simple is not None:
            rows = window_rows(stack, windows, self.simple.rows.bands)
        return self.judge(encode_windows(stack, windows, names, self.encoder), self.odds(rows))


@dataclass(frozen=True)
class Model:
    """Fold models and everything needed to use them on a stack.

    Attributes
    ----------
    fold_models : list of FoldModel
        One for each fold; a place is judged honestly only by the one whose fold it is in.
    bands : list of Band
        The stack's bands at training.
    size : int
        Cells along a window.
    folds : Folds
        Which ground tests which fold model, and the grid of the training stack.
    options : Training
    seed : int
    start : dict
        File, hash and kind of the starting weights; empty when training began at random.
    """

    fold_models: list[FoldModel]
    bands: list[Band]
    size: int
    folds: Folds
    options: Training
    seed: int
    start: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        bands = ", ".join(band.name for band in self.bands)
        return (
            f"<Model {self.name}: {len(self.fold_models)} folds, windows of {self.size} cells of"
            f" {self.folds.grid.cell:g} m, bands {bands}>"
        )

    @property
    def name(self) -> str:
        """Name of the model's row in every table."""
        return ENSEMBLE if self.options.ensemble else NETWORK

    def network_alone(self) -> Model:
        """Return the same networks without the simple models of the ensemble."""
        own = [replace(fold_model, simple=None) for fold_model in self.fold_models]
        return replace(self, fold_models=own, options=self.options.network_alone())

    def require_stack(self, bands: Sequence[Band], grid: Grid) -> None:
        """Raise :class:`ModelMismatchError` that says in what a stack of these bands on this grid
        differs from the training stack.
        """
        # Bands that no fold model looks at may be missing.
        used = {name for fold_model in self.fold_models for name in fold_model.bands}
        there = {band.name: band for band in bands}
        for band in self.bands:
            if band.name not in used:
                continue
            # The same name may stand for another unit, kind or legend.
            other = there.get(band.name)
            if other is None:
                raise ModelMismatchError(
                    f'the model needs band "{band.name}"; the stack has {", ".join(there)}.'
                )
            for what in ("kind", "unit", "legend"):
                mine = getattr(band, what)
                theirs = getattr(other, what)
                if mine != theirs:
                    raise ModelMismatchError(
                        f'{what} of band "{band.name}" is {theirs!r} in the stack, {mine!r} in the'
                        " model: build the stack as for the training."
                    )
        if not np.isclose(grid.cell, self.folds.grid.cell, rtol=1e-6):
            raise ModelMismatchError(
                f"the stack has cells of {grid.cell:g} m, the model was trained on"
                f" {self.folds.grid.cell:g} m."
            )

    def fingerprint(self) -> str:
        """Return a hash of everything that decides what the model says of ground."""
        digest = hashlib.sha256(repr((self.name, self.size, self.options)).encode())
        digest.update(repr((self.folds.table.tolist(), self.folds.block)).encode())
        for fold_model in self.fold_models:
            digest.update(repr((fold_model.fold, fold_model.encoder)).encode())
            for tensor in fold_model.classifier.net_.state_dict().values():
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
            if fold_model.simple is not None:
                for array in fold_model.simple.as_arrays().values():
                    digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def train_model(
    stack: xr.DataArray | RasterReader,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    *,
    options: Training | None = None,
    bands: Sequence[Sequence[str]] | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoints: Path | None = None,
) -> Model:
    """Train one fold model a fold; with several processes each trains some of them, see
    :mod:`geomfaf.models.network.distributed`.

    Parameters
    ----------
    stack : DataArray or RasterReader
        (band, y, x), see :func:`geomfaf.build_stack`; its file is read where the windows lie.
    windows : GeoDataFrame
        Labelled windows of one size, see :func:`geomfaf.centred_windows`.
    folds : Folds
        See :func:`geomfaf.spatial_folds`. No training window of a fold shares a cell with its test
        windows; that is checked here again, window by window.
    options : Training, optional
        See :func:`geomfaf.training_options`; the compact preset when omitted.
    bands : sequence of sequences of str, optional
        Names of the bands that each fold may use (screening is learned, so it belongs inside the
        fold).
    seed : int
        The same seed, data and machine give the same result.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the network is computed; ``auto`` takes a graphics card where there is one.
    checkpoints : Path, optional
        Folder that keeps the state of the training; an interrupted one continues from it.

    Returns
    -------
    Model
        One fold model a fold.

    Raises
    ------
    DataError
        When the folds' margin is narrower than a window.
    InternalError
        When training and test windows of a fold share a cell.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> grid = gm.survey_grid(survey, cell=400)
    >>> stack = gm.build_stack(survey, grid, elements=["Au_ppb", "Cu_ppm"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=4)
    >>> options = gm.training_options("mfaf", least_steps=2)
    >>> gm.train_model(stack, windows, folds, options=options)
    <Model MFAF: 5 folds, windows of 4 cells of 400 m, bands Au_ppb, Cu_ppm, geology, fault_distance>
    """
    options = pinned(options or training_options())
    source = RasterReader.of(stack)
    grid = source.grid
    named = source.bands
    grid.require_same(folds.grid, "the folds' grid")
    size = int(windows["size"].iloc[0])
    if folds.margin < size:
        raise DataError(
            f"the folds keep {folds.margin} cells free around test ground; windows of {size} need"
            f" {size}."
        )
    # 1. where to compute, and what to begin with
    device = own_device(device)
    weights = read_starting_weights(options, grid)
    # 2. the folds that fall to this process
    trained = []
    for fold in track(own_folds(folds.count), "training", unit="folds"):
        checkpoint = None
        if checkpoints is not None:
            checkpoint = checkpoints / f"fold_{fold_number(fold)}.safetensors"
        fold_model = train_fold(
            source,
            windows,
            folds,
            fold,
            options=options,
            names=[band.name for band in named] if bands is None else bands[fold],
            seed=seed,
            device=device,
            source=weights,
            checkpoint=checkpoint,
        )
        trained.append(fold_model)
    # 3. those that other processes trained
    trained = _gather_fold_models(trained, device)
    start = {} if weights is None else weights.record()
    return Model(trained, named, size, folds, options, seed, start)


def train_fold(  # noqa: PLR0913 - what a training takes, a fold of it
    stack: xr.DataArray | RasterReader,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    fold: int,
    *,
    options: Training,
    names: Sequence[str],
    seed: int,
    device: str,
    source: StartingWeights | None = None,
    checkpoint: Path | None = None,
) -> FoldModel:
    """Train the model of one fold on the windows away from its ground; see :func:`train_model`."""
    train = folds.training(windows, fold)
    # The folds promise it; a promise on which every figure rests is checked window by window.
    if shared_cells(windows, train, folds.testing(windows, fold)):
        raise InternalError(
            f"training and test windows of fold {fold_number(fold)} share cells: the split leaks"
        )
    # A seed of its own: networks that begin alike would err alike.
    classifier = MFAFClassifier(options, seed=seed + fold, device=device)
    size = int(windows["size"].iloc[0])
    begin = partial(
        starting_point,
        classifier,
        stack,
        size=seen_size(options, size),
        source=source,
        folds=folds,
        fold=fold,
    )
    return fit_fold_model(
        stack,
        windows[train],
        names,
        classifier,
        fold=fold,
        begin=begin,
        checkpoint=checkpoint,
        label=f"fold {fold_number(fold)} of {folds.count}",
    )


def fit_fold_model(
    stack: xr.DataArray | RasterReader,
    windows: gpd.GeoDataFrame,
    names: Sequence[str],
    classifier: MFAFClassifier,
    *,
    fold: int = 0,
    begin: Callable[..., dict[str, torch.Tensor] | None] | None = None,
    checkpoint: Path | None = None,
    label: str = "training",
) -> FoldModel:
    """Train a network, and the simple models of its ensemble, on all the given windows.

    Parameters
    ----------
    names : sequence of str
        The bands that may be used.
    classifier : MFAFClassifier
        Not trained yet; its options name the simple models.
    begin : callable, optional
        (encoder, label) -> weights that the training begins with.
    """
    # 1. scaling and classes are learned from exactly these windows
    options = classifier.training
    x, labels, encoder = training_data(stack, windows, names)
    places = windows[["row", "col"]].to_numpy(float)
    start = None if begin is None else begin(encoder=encoder, label=f"{label}, pretraining")
    # 2. the network
    steps = options.epochs * steps_of(options, len(x))
    with quiet() if steps * options.batch * x[0, 0].size < SHORT else nullcontext():
        classifier.fit(
            x,
            labels,
            places=places,
            checkpoint=checkpoint,
            start=start,
            label=label,
        )
    # 3. the simple models on the same windows
    simple = None
    if options.ensemble:
        rows = window_rows(stack, windows, names)
        simple = fit_simple_models(options.ensemble, rows, labels, seed=classifier.seed)
    return FoldModel(fold, encoder, classifier, simple)


def _gather_fold_models(trained: list[FoldModel], device: str) -> list[FoldModel]:
    """Return the models of all folds, those of other processes included, on this
    process's device.
    """
    for fold_model in trained:
        # Another process may not reach this one's graphics card.
        fold_model.classifier.net_.cpu()
    # Every process ends with the same model, in the order of the folds.
    everyone = sorted(gather(trained), key=lambda fold_model: fold_model.fold)
    for fold_model in everyone:
        fold_model.classifier.device = device
        fold_model.classifier.net_.to(choose_device(device))
    return everyone


def training_data(
    stack: xr.DataArray | RasterReader, windows: gpd.GeoDataFrame, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, Encoder]:
    """Return encoded windows, labels and the encoder learned from exactly these windows."""
    # The windows as they lie in the stack, all their bands.
    source = RasterReader.of(stack)
    size = int(windows["size"].iloc[0])
    rows = windows["row"].to_numpy()
    cols = windows["col"].to_numpy()
    raw = windows_from(source, rows, cols, size, names)
    # Scaling is a band's over all cells of all windows.
    by_band = raw.swapaxes(0, 1)
    bands = {band.name: band for band in source.bands}
    encoder = fit_encoder(by_band.reshape(len(names), -1), [bands[name] for name in names])
    x = encoder.transform(by_band, names).swapaxes(0, 1)
    return np.ascontiguousarray(x), windows["label"].to_numpy(np.int64), encoder


def window_arrays(stack: xr.DataArray, windows: gpd.GeoDataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Cut a stack into the arrays that :class:`geomfaf.MFAFClassifier` takes.

    Bands are scaled over all the windows and classes are one channel each; no label has a say in
    it. :func:`geomfaf.train_model` learns the scaling inside each fold instead.

    Parameters
    ----------
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    windows : GeoDataFrame
        Labelled windows of one size, see :func:`geomfaf.make_windows`.

    Returns
    -------
    x : ndarray
        (windows, channels, size, size) float32, gaps filled.
    y : ndarray
        (windows,) int, 1 = ore.

    Examples
    --------
    >>> import geomfaf as gm
    >>> survey, _ = gm.check_survey(gm.make_survey("small")[0])
    >>> stack = gm.build_stack(survey, gm.survey_grid(survey, cell=200), elements=["Au_ppb"])
    >>> windows, folds = gm.make_windows(stack, survey.deposits, size=8)
    >>> x, y = gm.window_arrays(stack, windows)
    >>> x.shape == (len(windows), 7, 8, 8), x.dtype, y.tolist() == windows["label"].tolist()
    (True, dtype('float32'), True)
    """
    x, labels, _ = training_data(stack, windows, [band.name for band in bands_of(stack)])
    return x, labels


def window_rows(
    stack: xr.DataArray | RasterReader, windows: gpd.GeoDataFrame, names: Sequence[str]
) -> Features:
    """Return the features of windows, for the simple models."""
    size = int(windows["size"].iloc[0]) if len(windows) else 1
    rows = windows["row"].to_numpy() + size // 2
    cols = windows["col"].to_numpy() + size // 2
    return window_features(stack, rows, cols, size, bands=names)


def encode_windows(
    stack: xr.DataArray | RasterReader,
    windows: gpd.GeoDataFrame,
    names: Sequence[str],
    encoder: Encoder,
) -> np.ndarray:
    """Return windows encoded by a learned encoder, (windows, channels, size, size)."""
    size = int(windows["size"].iloc[0]) if len(windows) else 1
    raw = windows_from(stack, windows["row"].to_numpy(), windows["col"].to_numpy(), size, names)
    # The encoder wants a band at a time, the network a window.
    by_band = encoder.transform(raw.swapaxes(0, 1), names)
    return np.ascontiguousarray(by_band.swapaxes(0, 1))
