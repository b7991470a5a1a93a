"""A trained model: the networks of all folds, what they were trained on, and how it is kept on
disk.

``weights.safetensors`` holds the weights, ``model.json`` everything else in words and numbers.
Nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import torch
import xarray as xr

from ..errors import DataError, ModelMismatchError, UsageError
from ..progress import quiet, track
from ..rasters.bands import Band, bands_of, grid_of
from ..windows.features import Features, window_features
from ..windows.folds import Folds, shared_cells
from ..windows.windows import read_windows
from .ensemble import Partners, fit_partners, join
from .network.calibrate import (
    UNCALIBRATED,
    Calibration,
    fit_calibration,
    scores_by_parts,
    scores_inside,
)
from .network.classifier import MFAFClassifier, seen_size
from .network.devices import choose_device
from .network.distributed import gather, own_device, own_folds
from .network.encode import Encoder, fit_encoder
from .network.options import Training, training_options
from .network.pretrain import starting_point
from .network.starting_weights import pinned, read_starting_weights
from .network.uncertainty import dropout_probabilities


@dataclass(frozen=True)
class FoldModel:
    """The network of one fold with the input layer, the calibration and the partners that it
    learned with.
    """

    fold: int
    encoder: Encoder
    classifier: MFAFClassifier
    calibration: Calibration = UNCALIBRATED
    partners: Partners | None = None

    @property
    def bands(self) -> list[str]:
        """Names of the bands that the fold model looks at."""
        own = dict.fromkeys(channel.band for channel in self.encoder.channels)
        return list(own | dict.fromkeys([] if self.partners is None else self.partners.rows.bands))

    def judge(
        self, x: np.ndarray, odds: np.ndarray | None = None, *, passes: int = 0, seed: int = 0
    ) -> np.ndarray:
        """Return what the fold model says of encoded windows, (5, windows) float32: every score
        comes from here.

        The rows are the score (the mean of the branches' P(ore), joined with the partners' and
        calibrated), the share of branches that vote ore (the network's own, before both), mean and
        standard deviation of the joined and calibrated P(ore) over the branches, or over the
        branches of each of so many passes with dropout, and the network's score alone.

        Parameters
        ----------
        x : ndarray
            (windows, channels, size, size).
        odds : (partners, windows) ndarray, optional
            What the partners say of the same windows, see :meth:`odds`; needed where there are any.
        """
        if self.partners is not None and odds is None:
            raise DataError(
                f"{', '.join(self.partners.names)} judge with the network: their log odds are"
                " needed."
            )
        corrects = self.classifier.options.joining == "correction"
        prior = odds.mean(axis=0).astype(np.float32) if corrects and odds is not None else None
        said = branches = self.classifier.predict_branches(x, prior=prior)
        if passes:
            said = dropout_probabilities(self.classifier, x, passes=passes, seed=seed).reshape(
                -1, len(x)
            )
        alone = score = branches.mean(axis=0)
        if self.partners is not None and odds is not None and not corrects:
            score = join(alone, odds)
            said = join(said, odds)
        said = self.calibration.apply(said).astype(float)
        score = self.calibration.apply(score)
        found = [score, (branches > 0.5).mean(axis=0), said.mean(axis=0), said.std(axis=0), alone]
        return np.stack(found).astype(np.float32)

    def odds(self, ground: Features | None) -> np.ndarray | None:
        """Return the partners' log odds of ground, (partners, places); None where there are no
        partners.
        """
        if self.partners is None or ground is None:
            return None
        return self.partners.log_odds(ground.select(bands=self.partners.rows.bands))

    def judge_windows(self, stack: xr.DataArray, windows: gpd.GeoDataFrame) -> np.ndarray:
        """Return what the fold model says of the windows of a table, see :meth:`judge`."""
        names = list(dict.fromkeys(channel.band for channel in self.encoder.channels))
        rows = (
            None if self.partners is None else window_rows(stack, windows, self.partners.rows.bands)
        )
        return self.judge(encode_windows(stack, windows, names, self.encoder), self.odds(rows))


@dataclass(frozen=True)
class Model:
    """Networks of all folds and everything needed to use them on a stack.

    Attributes
    ----------
    members : list of FoldModel
        One for each fold; a place is judged honestly only by the member whose fold it is in.
    bands : list of Band
        The stack's bands at training.
    size : int
        Cells along a window.
    folds : Folds
        Which ground tests which member, and the grid of the training stack.
    options : Training
    seed : int
    start : dict
        File, hash and kind of the starting weights; empty when training began at random.
    """

    members: list[FoldModel]
    bands: list[Band]
    size: int
    folds: Folds
    options: Training
    seed: int
    start: dict[str, Any] = field(default_factory=dict)

    def require_stack(self, stack: xr.DataArray) -> None:
        """Raise :class:`ModelMismatchError` that says in what a stack differs from the training
        stack.
        """
        used = {name for member in self.members for name in member.bands}
        there = {band.name: band for band in bands_of(stack)}
        for band in self.bands:
            if band.name not in used:
                continue
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
        grid = grid_of(stack)
        if not np.isclose(grid.cell, self.folds.grid.cell, rtol=1e-6):
            raise ModelMismatchError(
                f"the stack has cells of {grid.cell:g} m, the model was trained on"
                f" {self.folds.grid.cell:g} m."
            )


def train_model(
    stack: xr.DataArray,
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
    stack : DataArray
        (band, y, x), see :func:`geomfaf.build_stack`.
    windows : GeoDataFrame
        Labelled windows of one size, see :func:`geomfaf.centred_windows`.
    folds : Folds
        See :func:`geomfaf.spatial_folds`. No training window of a fold shares a cell with its test
        windows; that is checked here again, window by window.
    bands : sequence of sequences of str, optional
        Names of the bands that each fold may use (screening is learned, so it belongs inside the
        fold).
    checkpoints : Path, optional
        Folder that keeps the state of the training; an interrupted one continues from it.
    """
    options = pinned(options or training_options())
    grid = grid_of(stack)
    named = bands_of(stack)
    grid.require_same(folds.grid, "the folds' grid")
    size = int(windows["size"].iloc[0])
    if folds.margin < size:
        raise DataError(
            f"the folds keep {folds.margin} cells free around test ground; windows of {size} need"
            f" {size}."
        )
    members = []
    device = own_device(device)
    source = read_starting_weights(options, grid)
    for fold in track(own_folds(folds.count), "training", unit="folds"):
        names = list(bands[fold]) if bands is not None else [band.name for band in named]
        train = folds.training(windows, fold)
        test = folds.testing(windows, fold)
        if shared_cells(windows, train, test):
            raise DataError(
                f"training and test windows of fold {fold + 1} share cells: the split leaks. This"
                " is a bug."
            )
        own: dict[str, Any] = {"options": options, "seed": seed + fold, "device": device}
        calibration = UNCALIBRATED
        if options.calibration != "none":
            inner = inner_scores(stack, windows, folds, fold, names, **own)
            calibration = fit_calibration(options.calibration, *inner)
        checkpoint = None if checkpoints is None else checkpoints / f"fold_{fold + 1}.safetensors"
        if options.joining == "correction":
            own["prior"] = inner_odds(
                stack, windows[train], folds, names, options.partners, seed + fold
            )
        begin = partial(
            starting_point,
            stack=stack,
            size=seen_size(options, size),
            source=source,
            folds=folds,
            fold=fold,
        )
        label = f"fold {fold + 1} of {folds.count}"
        member = fit_member(
            stack,
            windows[train],
            names,
            fold=fold,
            begin=begin,
            checkpoint=checkpoint,
            label=label,
            **own,
        )
        members.append(replace(member, calibration=calibration))
    members = _gather_members(members, device)
    return Model(
        members, named, size, folds, options, seed, {} if source is None else source.record()
    )


def fit_member(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    names: Sequence[str],
    *,
    options: Training,
    fold: int = 0,
    seed: int = 0,
    device: str = "auto",
    begin: Callable[..., dict[str, torch.Tensor] | None] | None = None,
    prior: np.ndarray | None = None,
    checkpoint: Path | None = None,
    label: str = "training",
) -> FoldModel:
    """Train a network and its partners on all the given windows.

    Parameters
    ----------
    names : sequence of str
        The bands that may be used.
    begin : callable, optional
        (classifier, encoder) -> weights that the training begins with.
    prior : (windows,) ndarray, optional
        Log odds that the network corrects, see :func:`inner_odds`; needed for ``joining =
        "correction"``.
    """
    if options.joining == "correction" and prior is None:
        raise UsageError(
            'joining = "correction" needs folds to split the windows once more: use train_model.'
        )
    x, labels, encoder = training_data(stack, windows, names)
    places = windows[["row", "col"]].to_numpy(float)
    classifier = MFAFClassifier(options, seed=seed, device=device)
    start = (
        None if begin is None else begin(classifier, encoder=encoder, label=f"{label}, pretraining")
    )
    # A few seconds: a bar of its own would only flicker.
    short = (
        max(options.epochs * len(x), options.least_steps * options.batch) * x[0, 0].size < 5_000_000
    )
    with quiet() if short else nullcontext():
        classifier.fit(
            x, labels, places=places, checkpoint=checkpoint, start=start, prior=prior, label=label
        )
    partners = None
    if options.partners:
        partners = fit_partners(
            options.partners, window_rows(stack, windows, names), labels, seed=seed
        )
    return FoldModel(fold, encoder, classifier, partners=partners)


def inner_scores(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    fold: int,
    names: Sequence[str],
    *,
    options: Training,
    seed: int = 0,
    device: str = "auto",
) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and labels of a fold's training windows, each by a model that did not see its
    ground.

    These models have the options of the fold's own one, and learn everything else anew from their
    own windows.
    """

    def learn(train: gpd.GeoDataFrame, test: gpd.GeoDataFrame) -> np.ndarray:
        with quiet():
            inside = fit_member(
                stack, train, names, options=options.fresh(), seed=seed, device=device
            )
            return inside.judge_windows(stack, test)[0]

    return scores_inside(windows, folds, fold, learn)


def inner_odds(
    stack: xr.DataArray,
    windows: gpd.GeoDataFrame,
    folds: Folds,
    names: Sequence[str],
    partners: Sequence[str],
    seed: int,
) -> np.ndarray:
    """Return the partners' mean log odds of a fold's training windows, by models that did not see
    their ground.

    Where the ground cannot be split once more they are 0, even odds.
    """

    def learn(train: gpd.GeoDataFrame, test: gpd.GeoDataFrame) -> np.ndarray:
        found = fit_partners(
            partners, window_rows(stack, train, names), train["label"].to_numpy(), seed=seed
        )
        return found.log_odds(window_rows(stack, test, names)).mean(axis=0)

    with quiet():
        return np.nan_to_num(scores_by_parts(windows, folds, learn, "inner log odds"), nan=0.0)


def _gather_members(members: list[FoldModel], device: str) -> list[FoldModel]:
    """Return the models of all folds, those of other processes included, on this
    process's device.
    """
    for member in members:
        member.classifier.net_.cpu()  # another process may not reach this one's graphics card
    members = sorted(gather(members), key=lambda member: member.fold)
    for member in members:
        member.classifier.device = device
        member.classifier.net_.to(choose_device(device))
    return members


def training_data(
    stack: xr.DataArray, windows: gpd.GeoDataFrame, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, Encoder]:
    """Return encoded windows, labels and the encoder learned from exactly these windows."""
    chosen = stack.sel(band=list(names))
    size = int(windows["size"].iloc[0])
    raw = read_windows(chosen.values, windows["row"].to_numpy(), windows["col"].to_numpy(), size)
    by_band = raw.swapaxes(0, 1)
    encoder = fit_encoder(by_band.reshape(len(names), -1), bands_of(chosen))
    x = encoder.transform(by_band, names).swapaxes(0, 1)
    return np.ascontiguousarray(x), windows["label"].to_numpy(np.int64), encoder


def window_rows(stack: xr.DataArray, windows: gpd.GeoDataFrame, names: Sequence[str]) -> Features:
    """Return the features of windows, for the simple models."""
    size = int(windows["size"].iloc[0]) if len(windows) else 1
    rows, cols = (windows[name].to_numpy() + size // 2 for name in ("row", "col"))
    return window_features(stack.sel(band=list(names)), rows, cols, size)


def encode_windows(
    stack: xr.DataArray, windows: gpd.GeoDataFrame, names: Sequence[str], encoder: Encoder
) -> np.ndarray:
    """Return windows encoded by a learned encoder, (windows, channels, size, size)."""
    size = int(windows["size"].iloc[0]) if len(windows) else 1
    raw = read_windows(
        stack.sel(band=list(names)).values,
        windows["row"].to_numpy(),
        windows["col"].to_numpy(),
        size,
    )
    return np.ascontiguousarray(encoder.transform(raw.swapaxes(0, 1), names).swapaxes(0, 1))
