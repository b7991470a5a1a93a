"""Several processes of one training (torch.distributed): the folds are dealt among them, every one
gets all models.

Folds are independent, so the result does not depend on the number of processes; batches are never
split, because batch normalisation would then see other batches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed


@contextmanager
def process_group() -> Iterator[bool]:
    """Join the processes that ``torchrun`` started, if it did; yield whether this is the one that
    writes results.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield True
        return
    distributed.init_process_group(
        "gloo"
    )  # carries finished weights only: each device computes its folds alone
    try:
        yield distributed.get_rank() == 0
    finally:
        distributed.destroy_process_group()


def own_folds(count: int) -> range:
    """Return the folds that this process trains, all of them when it is alone."""
    if not _several():
        return range(count)
    return range(distributed.get_rank(), count, distributed.get_world_size())


def own_device(device: str) -> str:
    """Return this process's device: with several graphics cards each process takes its own."""
    if _several() and device in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{distributed.get_rank() % torch.cuda.device_count()}"
    return device


def gather(own: list[Any]) -> list[Any]:
    """Return the items of all processes, those of process 0 first; this waits for the
    slowest one.
    """
    if not _several():
        return own
    parts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, own)
    return [item for part in parts for item in part]


def _several() -> bool:
    return (
        distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )
