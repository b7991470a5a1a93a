"""Train MFAF: one model a fold, each on windows that never touch its test ground."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from ...errors import DataError, UsageError
from ...progress import track
from .augment import add_noise, smote, turn_and_flip
from .checkpoint import TrainingState, fingerprint
from .devices import choose_device, computing_type
from .mfaf import MFAF, branch_probabilities, distillation_loss
from .options import Training

CHECKPOINT_SECONDS = 20.0
"""Least time between two checkpoints of one model: a resumed run loses no more than this."""


def autocast(net: MFAF, options: Training) -> torch.autocast:
    """Return the context in which a network computes; its weights stay float32."""
    device = next(net.parameters()).device
    kind = computing_type(options.precision, options.backbone, device)
    return torch.autocast(device.type, dtype=kind or torch.bfloat16, enabled=kind is not None)


class MFAFClassifier:
    """MFAF with scikit-learn's manners: ``fit`` and ``predict_proba`` on encoded windows.

    Parameters
    ----------
    options : Training
    seed : int
        The same seed, data and machine give the same weights on the processor.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Attributes
    ----------
    net_ : MFAF
    history_ : list of dict
        epoch, loss and, with early stopping, validation loss.
    """

    def __init__(
        self, options: Training | None = None, *, seed: int = 0, device: str = "auto"
    ) -> None:
        self.options = options or Training()
        self.seed = seed
        self.device = device

    def fit(
        self,
        x: np.ndarray,
        labels: np.ndarray,
        *,
        places: np.ndarray | None = None,
        checkpoint: Path | None = None,
        start: Mapping[str, torch.Tensor] | None = None,
        prior: np.ndarray | None = None,
        label: str = "training",
    ) -> MFAFClassifier:
        """Train on encoded windows.

        Parameters
        ----------
        x : ndarray
            (windows, channels, size, size) float32.
        labels : ndarray
            (windows,), 1 = ore.
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
        prior : (windows,) ndarray, optional
            Log odds of ore that the network learns to correct. They must come from models that did
            not see the window: of ones that did, there is nothing to correct. The network begins by
            saying just them.
        """
        options = self.options
        device = choose_device(self.device)
        if start is None and options != options.fresh():
            raise UsageError(
                "pretrain and weights need to know the ground: use train_model, or options.fresh()."
            )
        x = seen_part(x, options)
        labels = np.asarray(labels, np.int64)
        held = _validation_part(labels, places, options, self.seed)
        prior = np.zeros(len(x), np.float32) if prior is None else np.asarray(prior, np.float32)
        x_held = x[held]
        y_held = labels[held]
        prior_held = torch.from_numpy(prior[held]).to(device)
        x = x[~held]
        labels = labels[~held]
        prior = prior[~held]
        if options.balance == "smote":
            x, labels = smote(x, labels, seed=self.seed)
            prior = np.zeros(len(x), np.float32)
        if len(np.unique(labels)) < 2:
            raise DataError(
                "training needs windows with and without deposits, and one kind is missing."
            )
        net = make_network(options, x.shape[1], x.shape[2], seed=self.seed, device=device)
        if start is not None:
            net.load_state_dict(start)
        if prior.any():
            torch.nn.init.zeros_(net.classifier.weight)
            torch.nn.init.zeros_(net.classifier.bias)
        optimiser = make_optimiser(net, options)
        inputs, targets, before = (torch.from_numpy(part).to(device) for part in (x, labels, prior))
        key = (
            ""
            if checkpoint is None
            else fingerprint(x, labels, x_held, (options, prior.tobytes()), self.seed, start)
        )
        state = TrainingState.load(checkpoint, key, net, optimiser, device)
        saved = time.monotonic()
        for epoch in track(range(options.epochs), label, unit="epochs"):
            if epoch < state.epoch or state.stopped(options.patience):
                continue
            loss = _one_epoch(net, optimiser, inputs, targets, before, options, epoch, self.seed)
            held_loss = (
                _loss_of(net, x_held, y_held, options, device, prior_held) if len(y_held) else None
            )
            if not math.isfinite(loss):
                raise DataError(
                    f"the training diverged in epoch {epoch + 1}: its loss is {loss}. Lower"
                    f" learning_rate ({options.learning_rate:g})."
                )
            state.record(epoch, loss, held_loss, net)
            if checkpoint is not None and time.monotonic() - saved > CHECKPOINT_SECONDS:
                state.save(checkpoint, key, net, optimiser)
                saved = time.monotonic()
        if state.best:
            net.load_state_dict(state.best)
        self.net_ = net.eval()
        self.history_ = state.history
        return self

    def predict_branches(
        self, x: np.ndarray, *, prior: np.ndarray | None = None, batch: int = 256
    ) -> np.ndarray:
        """Return P(ore) of every branch, (branches, windows) float32; ``prior`` as
        in :meth:`fit`.
        """
        device = next(self.net_.parameters()).device
        x = seen_part(x, self.options)
        parts = []
        with torch.inference_mode(), autocast(self.net_, self.options):
            for start in range(0, len(x), batch):
                part = torch.from_numpy(np.ascontiguousarray(x[start : start + batch], np.float32))
                # Channels last and batches that stay in the cache halve the time on a processor.
                part = part.to(memory_format=torch.channels_last).to(device)
                logits = self.net_(part).float()
                if prior is not None:
                    logits = corrected(
                        logits, torch.from_numpy(prior[start : start + batch]).to(logits)
                    )
                parts.append(branch_probabilities(logits).cpu().numpy())
        return (
            np.concatenate(parts, axis=1)
            if parts
            else np.empty((len(self.net_.branches), 0), np.float32)
        )

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return (windows, 2): 1 - score and score, the mean of the branches' P(ore)."""
        score = self.predict_branches(x).mean(axis=0)
        return np.column_stack([1 - score, score])


def restore_classifier(
    options: Training,
    weights: dict[str, torch.Tensor],
    channels: int,
    size: int,
    device: str = "auto",
) -> MFAFClassifier:
    """Return a trained classifier from saved weights."""
    classifier = MFAFClassifier(options, device=device)
    net = _network(options, channels, seen_size(options, size))
    net.load_state_dict(weights)
    classifier.net_ = net.to(memory_format=torch.channels_last).to(choose_device(device)).eval()
    classifier.history_ = []
    return classifier


def learning_rate(step: int, steps: int, epoch: int, options: Training) -> float:
    """Return the rate at a step.

    ``onecycle`` rises for three tenths of the steps and falls along a cosine to nothing (Smith
    2018); ``step`` is the paper's: times 0.6 every 30 epochs.

    >>> from geomfaf.recipe import PRESETS
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
    size = x.shape[-1]
    seen = seen_size(options, size)
    first = size // 2 - seen // 2
    return x[..., first : first + seen, first : first + seen]


def make_network(
    options: Training, channels: int, size: int, *, seed: int, device: torch.device
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
            dropout=options.dropout,
        )
    return MFAF(
        channels,
        size,
        backbone=options.backbone,
        dilations=options.dilations,
        channel_attention=options.channel_attention,
        spatial_attention=options.spatial_attention,
        shared=options.shared,
        dropout=options.dropout,
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
    prior: torch.Tensor,
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
        x = inputs[index]
        if options.flips:
            x = turn_and_flip(x, generator)
        if options.noise > 0:
            x = add_noise(x, generator, options.noise)
        with cast:
            logits = net(x.contiguous(memory_format=torch.channels_last))
        logits = corrected(logits.float(), prior[index])
        loss = distillation_loss(
            logits, targets[index], beta=options.beta, temperature=options.temperature
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        total += float(loss.detach())
    return total / len(batches)


def _batches(
    labels: np.ndarray, options: Training, generator: torch.Generator
) -> Iterator[torch.Tensor]:
    """Yield the window numbers of each step; with the sampler, half of them are ore."""
    least = math.ceil(options.least_steps / options.epochs)
    if options.balance != "sampler":
        steps = max(math.ceil(len(labels) / options.batch), least)
        order = _cycle(np.arange(len(labels)), steps * options.batch, generator)
        # A step of one window would leave batch normalisation nothing to normalise: the last step
        # is filled up.
        yield from (torch.from_numpy(part) for part in np.split(order, steps))
        return
    groups = [np.flatnonzero(labels == value) for value in (0, 1)]
    half = options.batch // 2
    steps = max(math.ceil(len(labels) / options.batch), least)
    drawn = [_cycle(group, steps * half, generator).reshape(steps, half) for group in groups]
    yield from (torch.from_numpy(part) for part in np.concatenate(drawn, axis=1))


def _cycle(members: np.ndarray, count: int, generator: torch.Generator) -> np.ndarray:
    """Return ``count`` members in random order, each used equally often but for the remainder."""
    rounds = math.ceil(count / len(members))
    orders = [torch.randperm(len(members), generator=generator).numpy() for _ in range(rounds)]
    return members[np.concatenate(orders)[:count]]


def _validation_part(
    labels: np.ndarray, places: np.ndarray | None, options: Training, seed: int
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


def corrected(logits: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Return (branches, batch, 2) logits with (batch,) log odds of ore added."""
    return logits + torch.stack([torch.zeros_like(prior), prior], dim=-1)


def _loss_of(
    net: MFAF,
    x: np.ndarray,
    labels: np.ndarray,
    options: Training,
    device: torch.device,
    prior: torch.Tensor | None = None,
) -> float:
    net.eval()
    with torch.inference_mode(), autocast(net, options):
        logits = net(torch.from_numpy(x).to(device)).float()
    logits = logits if prior is None else corrected(logits, prior)
    return float(distillation_loss(logits, torch.from_numpy(labels).to(device), beta=0.0))
