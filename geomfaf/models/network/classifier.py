"""Train MFAF: one model a fold, each on windows that never touch its test ground."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_is_fitted, check_X_y

from ...errors import DataError, UsageError
from ...progress import track
from .augment import add_noise, smote, turn_and_flip
from .checkpoint import TrainingState, fingerprint
from .devices import choose_device
from .forward import autocast, branch_scores
from .mfaf import MFAF, distillation_loss
from .options import Training

if TYPE_CHECKING:  # scikit-learn has them from 1.6 on
    from sklearn.utils import Tags

CHECKPOINT_SECONDS = 20.0
"""Least time between two checkpoints of one model: a resumed run loses no more than this."""


class MFAFClassifier(ClassifierMixin, BaseEstimator):
    """MFAF as a scikit-learn classifier: ``fit`` and ``predict_proba`` on encoded windows.

    It is what :func:`geomfaf.train_model` trains, one a fold. A row of a table, (rows, features),
    is taken for a window whose cells are all alike.

    Parameters
    ----------
    options : Training, optional
        See :func:`geomfaf.training_options`; the network alone when omitted.
    seed : int
        The same seed, data and machine give the same weights on the processor.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Attributes
    ----------
    classes_ : ndarray
        The two labels, barren first.
    n_features_in_ : int
        Channels of a window.
    net_ : MFAF
    seen_ : int
        Cells along the part of a window that it looks at.
    history_ : list of dict
        epoch, loss and, with early stopping, validation loss.

    Raises
    ------
    UsageError
        By ``fit``, for options that need the ground, and for early stopping with too few windows.
    DataError
        When ``fit`` sees one class or diverges, or other features come to ``predict_proba``.

    References
    ----------
    Gao, Wang, Zhang and Wang (2023), doi 10.3390/su151310269.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(40) % 2
    >>> windows = rng.normal(labels[:, None, None, None], 0.5, (40, 3, 8, 8))
    >>> model = MFAFClassifier(device="cpu").fit(windows, labels)
    >>> model.predict_proba(windows).shape, float(model.score(windows, labels)) > 0.9
    ((40, 2), True)
    """

    def __init__(
        self, options: Training | None = None, *, seed: int = 0, device: str = "auto"
    ) -> None:
        self.options = options
        self.seed = seed
        self.device = device

    @property
    def training(self) -> Training:
        """The options in force."""
        return self.options or Training()

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        places: np.ndarray | None = None,
        checkpoint: Path | None = None,
        start: Mapping[str, torch.Tensor] | None = None,
        label: str = "training",
    ) -> MFAFClassifier:
        """Train on encoded windows.

        Parameters
        ----------
        X : ndarray
            (windows, channels, size, size) float32.
        y : ndarray
            (windows,), two labels: the larger one (1) is ore.
        places : ndarray, optional
            (windows, 2) row and column of each window: early stopping then holds back one side of
            the map, not a random part whose windows overlap the others.
        checkpoint : Path, optional
            File that keeps the state while training goes on; an interrupted training continues from
            it. A file of other windows, options or seed is not continued: its weights may have seen
            this fold's test ground.
        start : dict of Tensor, optional
            Weights to begin with, see :func:`geomfaf.models.network.pretrain.starting_point`;
            random ones when omitted.
        """
        options = self.training
        if start is None and options != options.fresh():
            raise UsageError(
                "pretrain and weights need to know the ground: use train_model, or options.fresh()."
            )
        # 1. windows that teach, and those that early stopping is judged by
        X, y = check_X_y(X, y, dtype=np.float32, allow_nd=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise DataError(
                "training needs windows of two classes, with and without deposits, and finds"
                f" {len(self.classes_)} class{'es' if len(self.classes_) > 1 else ''}. Only binary"
                " classification is supported."
            )
        self.n_features_in_ = X.shape[1]
        x = seen_part(_as_windows(X), options)
        self.seen_ = x.shape[-1]
        held = _validation_part(labels, places, options, self.seed)
        held_back = (x[held], labels[held])
        x = x[~held]
        labels = labels[~held]
        if options.balance == "smote":
            x, labels = smote(x, labels, seed=self.seed)
        # 2. a network, at random or from given weights
        device = choose_device(self.device)
        net = make_network(options, x.shape[1], x.shape[2], seed=self.seed, device=device)
        if start is not None:
            net.load_state_dict(start)
        # 3. epoch after epoch
        key = ""
        if checkpoint is not None:
            key = fingerprint(
                x,
                labels,
                held_back[0],
                options,
                self.seed,
                start,
            )
        self.history_ = self._epochs(
            net,
            (x, labels),
            held_back,
            checkpoint,
            key,
            label,
        )
        self.net_ = net.eval()
        return self

    def _epochs(
        self,
        net: MFAF,
        taught: tuple[np.ndarray, np.ndarray],
        held_back: tuple[np.ndarray, np.ndarray],
        checkpoint: Path | None,
        key: str,
        label: str,
    ) -> list[dict]:
        """Train a network in place on (windows, labels); return the losses of each epoch."""
        options = self.training
        device = next(net.parameters()).device
        optimiser = make_optimiser(net, options)
        inputs = torch.from_numpy(taught[0]).to(device)
        targets = torch.from_numpy(taught[1]).to(device)
        state = TrainingState.load(checkpoint, key, net, optimiser, device)
        saved = time.monotonic()
        for epoch in track(range(options.epochs), label, unit="epochs"):
            if epoch < state.epoch or state.stopped(options.patience):
                continue
            loss = _one_epoch(
                net,
                optimiser,
                inputs,
                targets,
                options,
                epoch,
                self.seed,
            )
            held_loss = _loss_of(net, *held_back, options) if len(held_back[0]) else None
            if not math.isfinite(loss):
                raise DataError(
                    f"the training diverged in epoch {epoch + 1}: its loss is {loss}. Lower"
                    f" learning_rate ({options.learning_rate:g})."
                )
            state.record(epoch, loss, held_loss, net)
            # A finished epoch takes a second or an hour: the clock says when to write.
            if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                state.save(checkpoint, key, net, optimiser)
                saved = time.monotonic()
        if state.best:
            net.load_state_dict(state.best)
        return state.history

    def predict_branches(self, x: np.ndarray, *, batch: int = 256) -> np.ndarray:
        """Return P(ore) of every branch, (branches, windows) float32.

        Of whole windows, or of the part around their centre that the network looks at, ``seen_``
        cells along.
        """
        x = middle_part(x, self.seen_)
        return branch_scores(self.net_, self.training, x, batch)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (windows, 2): 1 - score and score, the mean of the branches' P(ore)."""
        check_is_fitted(self)
        X = check_array(X, dtype=np.float32, allow_nd=True)
        if X.shape[1] != self.n_features_in_:
            raise DataError(
                f"X has {X.shape[1]} features, but MFAFClassifier is expecting"
                f" {self.n_features_in_} features as input: the channels of its training."
            )
        score = self.predict_branches(_as_windows(X)).mean(axis=0)
        return np.column_stack([1 - score, score])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the label of each window, (windows,): ore where its score is above one half."""
        score = self.predict_proba(X)
        return self.classes_[score.argmax(axis=1)]


def _as_windows(X: np.ndarray) -> np.ndarray:
    """Return windows; a row of a table is a window whose cells are all alike."""
    return np.tile(X[:, :, None, None], (1, 1, 2, 2)) if X.ndim == 2 else X


def restore_classifier(
    options: Training,
    weights: dict[str, torch.Tensor],
    channels: int,
    size: int,
    device: str = "auto",
) -> MFAFClassifier:
    """Return a trained classifier from saved weights."""
    classifier = MFAFClassifier(options, device=device)
    classifier.seen_ = seen_size(options, size)
    net = _network(options, channels, classifier.seen_)
    net.load_state_dict(weights)
    classifier.classes_ = np.array([0, 1])
    classifier.n_features_in_ = channels
    classifier.net_ = net.to(memory_format=torch.channels_last).to(choose_device(device)).eval()
    classifier.history_ = []
    return classifier


def learning_rate(
    step: int,
    steps: int,
    epoch: int,
    options: Training,
) -> float:
    """Return the rate at a step.

    ``onecycle`` rises for three tenths of the steps and falls along a cosine to nothing (Smith
    2018); ``step`` is the paper's: times 0.6 every 30 epochs.

    >>> from geomfaf.models.network.options import PRESETS
    >>> round(learning_rate(0, 100, 65, PRESETS["paper"]), 5)
    0.0072
    """
    if options.schedule == "step":
        return options.learning_rate * 0.6 ** (epoch // 30)
    rise = max(1, round(0.3 * steps))
    if step < rise:
        return options.learning_rate * (0.04 + 0.96 * step / rise)
    return (
        options.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
    )


def seen_size(options: Training, size: int) -> int:
    """Return the cells along the part of a window that a network looks at.

    >>> seen_size(Training(view=0.5), 16)
    8
    """
    return max(min(2, size), round(options.view * size))


def seen_part(x: np.ndarray, options: Training) -> np.ndarray:
    """Return the part of encoded windows around their centre cell ``size // 2`` that a network
    looks at.
    """
    return middle_part(x, seen_size(options, x.shape[-1]))


def middle_part(x: np.ndarray, seen: int) -> np.ndarray:
    """Return so many cells along each side of windows, around their centre cell ``size // 2``."""
    first = x.shape[-1] // 2 - seen // 2
    return x[..., first : first + seen, first : first + seen]


def make_network(
    options: Training,
    channels: int,
    size: int,
    *,
    seed: int,
    device: torch.device,
) -> MFAF:
    """Return a new network on a device; the seed decides its weights."""
    torch.manual_seed(seed)
    return _network(options, channels, size).to(memory_format=torch.channels_last).to(device)


def _network(options: Training, channels: int, size: int) -> MFAF:
    if options.network == "plain":
        return MFAF(
            channels,
            size,
            backbone=options.backbone,
            dilations=(0,),
            spatial_attention=False,
        )
    return MFAF(
        channels,
        size,
        backbone=options.backbone,
        dilations=options.dilations,
        channel_attention=options.channel_attention,
        spatial_attention=options.spatial_attention,
        shared=options.shared,
    )


def make_optimiser(net: MFAF, options: Training) -> torch.optim.Optimizer:
    """Return what moves the weights of ``net``: SGD with momentum as in the paper, or AdamW."""
    if options.optimiser == "sgd":
        return torch.optim.SGD(
            net.parameters(),
            options.learning_rate,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
        )
    # All weights at once, the same numbers. Not `fused`: on the processor it pairs weights with the
    # moments that a checkpoint gave back by their place in the memory, wrongly where the layouts
    # differ (PyTorch 2.14).
    return torch.optim.AdamW(
        net.parameters(), options.learning_rate, weight_decay=options.weight_decay, foreach=True
    )


def _one_epoch(
    net: MFAF,
    optimiser: torch.optim.Optimizer,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    options: Training,
    epoch: int,
    seed: int,
) -> float:
    """Train on as many windows as there are (more where there are few); return the mean loss."""
    # Seeded by epoch, a resumed training draws what the uninterrupted one would have drawn.
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    torch.manual_seed(seed * 100_003 + epoch)
    net.train()
    cast = autocast(net, options)
    batches = list(_batches(targets.cpu().numpy(), options, generator))
    total = 0.0
    for number, index in enumerate(batches):
        step = epoch * len(batches) + number
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, options.epochs * len(batches), epoch, options)
        # 1. the batch, turned, mirrored and noisy
        x = inputs[index]
        if options.flips:
            x = turn_and_flip(x, generator)
        if options.noise > 0:
            x = add_noise(x, generator, options.noise)
        # 2. forward, in float32 or less; the loss always in float32
        with cast:
            logits = net(x.contiguous(memory_format=torch.channels_last))
        loss = distillation_loss(
            logits.float(), targets[index], beta=options.beta, temperature=options.temperature
        )
        # 3. backward
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += float(loss.detach())
    return total / len(batches)


def steps_of(options: Training, windows: int) -> int:
    """Return the steps of one epoch over so many windows.

    >>> steps_of(Training(epochs=1, least_steps=40, batch=32), 100)
    40
    """
    least = math.ceil(options.least_steps / options.epochs)
    return max(math.ceil(windows / options.batch), least)


def _batches(
    labels: np.ndarray, options: Training, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the window numbers of each step; with the sampler, half of them are ore."""
    steps = steps_of(options, len(labels))
    if options.balance != "sampler":
        order = _cycle(np.arange(len(labels)), steps * options.batch, generator)
        # A step of one window would leave batch normalisation nothing to normalise: the last step
        # is filled up.
        yield from (torch.from_numpy(part) for part in np.split(order, steps))
        return
    groups = [np.flatnonzero(labels == value) for value in (0, 1)]
    half = options.batch // 2
    drawn = [_cycle(group, steps * half, generator).reshape(steps, half) for group in groups]
    yield from (torch.from_numpy(part) for part in np.concatenate(drawn, axis=1))


def _cycle(members: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    """Return ``count`` members in random order, each used equally often but for the remainder."""
    rounds = math.ceil(count / len(members))
    orders = [torch.randperm(len(members), generator=generator).numpy() for _ in range(rounds)]
    return members[np.concatenate(orders)[:count]]


def _validation_part(
    labels: np.ndarray,
    places: np.ndarray | None,
    options: Training,
    seed: int,
) -> np.ndarray:
    """Return which windows are held back: those farthest in a random direction, where places are
    known.
    """
    held = np.zeros(len(labels), bool)
    if options.patience == 0:
        return held
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi)
    along = (
        rng.random(len(labels))
        if places is None
        else places @ np.array([np.cos(angle), np.sin(angle)])
    )
    for value in (0, 1):
        members = np.flatnonzero(labels == value)
        held[members[np.argsort(along[members])][: round(options.validation * len(members))]] = True
    if len(np.unique(labels[held])) < 2:
        raise UsageError(
            f"early stopping (patience = {options.patience}) needs validation windows of both"
            f" kinds, and {int((labels == 1).sum())} ore windows are too few to spare any: set"
            " patience = 0."
        )
    return held


def _loss_of(
    net: MFAF,
    x: np.ndarray,
    labels: np.ndarray,
    options: Training,
) -> float:
    """Return the cross-entropy of windows that did not train, without distillation."""
    device = next(net.parameters()).device
    net.eval()
    with torch.inference_mode(), autocast(net, options):
        logits = net(torch.from_numpy(x).to(device)).float()
    return float(distillation_loss(logits, torch.from_numpy(labels).to(device), beta=0.0))
