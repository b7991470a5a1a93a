"""Monte-Carlo dropout: how far a trained network disagrees with thinned copies of itself (Gal and
Ghahramani 2016).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...errors import UsageError
from .backbones import make_backbone
from .classifier import MFAFClassifier, autocast, seen_part
from .mfaf import branch_probabilities
from .options import Training

UNCERTAINTIES = ("ensemble", "mc-dropout")

PASSES = 20


def require_uncertainty(kind: str, passes: int, options: Training) -> None:
    """Refuse an unknown kind, too few passes, and dropout that a network of these options does not
    have.
    """
    if kind not in UNCERTAINTIES:
        raise UsageError(f'uncertainty = "{kind}" is unknown: use {" or ".join(UNCERTAINTIES)}.')
    if kind == "ensemble":
        return
    if not isinstance(passes, int) or passes < 2:
        raise UsageError(
            f"passes = {passes} must be a whole number from 2: one thinned network has no spread."
        )
    if options.joining == "correction":
        raise UsageError(
            'uncertainty = "mc-dropout" cannot be had with joining = "correction": use "ensemble".'
        )
    if not _dropout_of(options):
        backbone = options.backbone
        way = (
            "train it with dropout = 0.2 (`geomfaf train --dropout 0.2`, [train] in the project"
            " file)"
        )
        if backbone != "compact":
            way = (
                f"{backbone} has none as published: take googlenet, mobilenet_v2, mnasnet or"
                " compact with dropout"
            )
        raise UsageError(
            f'uncertainty = "mc-dropout" needs a network with dropout, and this one ({backbone}) is'
            f' without: {way}, or use uncertainty = "ensemble".'
        )


def _dropout_of(options: Training) -> float:
    if options.backbone == "compact":
        return options.dropout
    with torch.random.fork_rng(devices=[]):
        return float(make_backbone(options.backbone, 1, 16).dropout)  # type: ignore[arg-type]


def dropped_share(classifier: MFAFClassifier) -> float:
    """Return the share of features that training dropped before the network's classifier."""
    layer = classifier.net_.dropout
    return layer.p if isinstance(layer, nn.Dropout) else 0.0


def dropout_probabilities(
    classifier: MFAFClassifier,
    x: np.ndarray,
    *,
    passes: int = PASSES,
    seed: int = 0,
    batch: int = 256,
) -> np.ndarray:
    """Return P(ore) by thinned copies of a network, (passes, branches, windows) float32.

    In each pass, each branch lacks features drawn at random with the share that was dropped in
    training, before the shared classifier. A pass lacks the same features in every window: it is
    one thinned network, its scores do not depend on how windows are batched, and a map by it has no
    grain of its own. Dropout stands behind everything else, so features are computed once for all
    passes; batch normalisation is as in prediction.

    Parameters
    ----------
    x : ndarray
        (windows, channels, size, size) encoded windows.
    seed : int
        Of the features that are dropped: the same seed gives the same bytes on the processor.
    """
    net = classifier.net_
    x = seen_part(x, classifier.options)
    device = next(net.parameters()).device
    share = dropped_share(classifier)
    branches = len(net.branches)
    shape = (passes, branches, 1, net.classifier.in_features)
    kept = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) >= share
    masks = (kept / (1 - share)).to(device)  # what is left is scaled up, as in training
    parts = []
    with torch.inference_mode(), autocast(net, classifier.options):
        for start in range(0, len(x), batch):
            part = torch.from_numpy(np.ascontiguousarray(x[start : start + batch], np.float32))
            pooled = net.pooled(part.to(memory_format=torch.channels_last).to(device))
            pooled = pooled.view(branches, len(part), -1)
            found = [branch_probabilities(net.classifier(pooled * mask)) for mask in masks]
            parts.append(torch.stack(found).cpu().numpy())
    return np.concatenate(parts, axis=2) if parts else np.empty((passes, branches, 0), np.float32)
