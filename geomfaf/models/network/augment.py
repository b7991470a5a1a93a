"""Augmentation of training windows, and of nothing else: turns, flips, noise, SMOTE."""

from __future__ import annotations

import numpy as np
import torch

from ...errors import DataError
from .options import NOISE_VARIANCE


def turn_and_flip(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turn each window by a random number of quarter turns and mirror a random half of them.

    The eight results are the symmetries of the square; a geological pattern may look any way round.
    """
    result = torch.empty_like(x)
    # Drawn on the processor: the same seed turns the same windows on every device.
    choice = torch.randint(8, (len(x),), generator=generator).to(x.device)
    for number in range(8):
        chosen = choice == number
        part = torch.rot90(x[chosen], number % 4, dims=(2, 3))
        result[chosen] = part.flip(3) if number >= 4 else part
    return result


def add_noise(
    x: torch.Tensor, generator: torch.Generator, variance: float = NOISE_VARIANCE
) -> torch.Tensor:
    """Add Gaussian noise with mean 0 to standardised windows."""
    noise = torch.randn(x.shape, generator=generator).to(x.device)
    return x + noise * variance**0.5


def smote(x: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Add synthetic windows of the rarer class until both are equally many (Chawla et al. 2002).

    A synthetic window lies between a window and one of its nearest neighbours of the same class.
    Encoded windows go in, so that a class of the geological map is a share between 0 and 1 there
    and never a number between two classes.

    Returns
    -------
    x, labels : ndarray
        The given windows first, the synthetic ones after them.
    """
    from imblearn.over_sampling import SMOTE

    counts = np.bincount(labels, minlength=2)
    fewest = int(counts.min())
    if fewest < 2:
        raise DataError(
            f"SMOTE needs at least two windows of each class, and one class has {fewest}."
        )
    # A window has at most so many neighbours as there are others of its class.
    sampler = SMOTE(k_neighbors=min(5, fewest - 1), random_state=seed)
    flat, balanced = sampler.fit_resample(x.reshape(len(x), -1), labels)
    windows = flat.reshape(-1, *x.shape[1:])
    return windows.astype(np.float32), balanced
