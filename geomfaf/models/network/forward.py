"""A trained network and windows go in; what each of its branches says of them comes out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch

from .devices import computing_type, limit_threads, restored_threads
from .mfaf import MFAF, branch_probabilities
from .options import Training


def autocast(net: MFAF, options: Training) -> torch.autocast:
    """Return the context in which a network computes; its weights stay float32."""
    device = next(net.parameters()).device
    kind = computing_type(options.precision, options.backbone, device)
    return torch.autocast(device.type, dtype=kind or torch.bfloat16, enabled=kind is not None)


def branch_scores(net: MFAF, options: Training, x: np.ndarray, batch: int) -> np.ndarray:
    """Return P(ore) of every branch, (branches, windows) float32, of windows as large as the
    network looks at.
    """
    batches = [x[start : start + batch] for start in range(0, len(x), batch)]
    if not batches:
        return np.empty((len(net.branches), 0), np.float32)
    judged = partial(_of_batch, net, options)
    threads = min(torch.get_num_threads(), len(batches))
    if threads == 1 or next(net.parameters()).device.type != "cpu":
        return np.concatenate([judged(part) for part in batches], axis=1)
    # A batch a thread: threads that share a batch of a network this small wait for each other, and
    # where neighbours keep the cores busy they do little else.
    with (
        restored_threads(),
        ThreadPoolExecutor(threads, initializer=limit_threads, initargs=(1,)) as pool,
    ):
        return np.concatenate(list(pool.map(judged, batches)), axis=1)


def _of_batch(net: MFAF, options: Training, windows: np.ndarray) -> np.ndarray:
    """Return P(ore) of every branch, (branches, windows) float32."""
    device = next(net.parameters()).device
    # Both hold for the thread that enters them.
    with torch.inference_mode(), autocast(net, options):
        part = torch.from_numpy(np.ascontiguousarray(windows, np.float32))
        # Channels last and batches that stay in the cache halve the time on a processor.
        part = part.to(memory_format=torch.channels_last).to(device)
        return branch_probabilities(net(part)).cpu().numpy()
