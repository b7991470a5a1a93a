"""Where and in which arithmetic a network computes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ...errors import UsageError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device to compute on: ``auto`` takes CUDA, then Apple's MPS, then
    the processor.
    """
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UsageError(f'device "{name}" is unknown: use auto, cpu, cuda or mps.')
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f'device "{name}" cannot be used here: {error}. Use auto or cpu.'
        ) from error
    return device


def computing_type(precision: str, backbone: str, device: torch.device) -> torch.dtype | None:
    """Return the type of the convolutions' arithmetic under autocast, None for float32 throughout.

    ``auto`` takes bfloat16 where the hardware multiplies it: CUDA from compute capability 8,
    processors with AMX or AVX512-BF16. The compact network stays in float32: its steps are too
    small for the casts to pay, and so its results do not depend on the processor.
    """
    if precision == "float32" or (precision == "auto" and backbone == "compact"):
        return None
    if precision == "bfloat16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else None
    if device.type != "cpu":
        return None
    # Private names: an older or newer PyTorch without them computes in float32.
    checks = [
        getattr(torch.cpu, name, None)
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    ]
    return torch.bfloat16 if any(check() for check in checks if check) else None


def threads_a_block(blocks: int) -> int:
    """Return how many of PyTorch's threads one of so many blocks computes with: all cores are busy,
    and no two blocks wait for each other's threads.
    """
    return max(1, torch.get_num_threads() // max(1, blocks))


def limit_threads(threads: int) -> None:
    """Let PyTorch compute with so many threads from now on, wherever a block came to be computed."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@contextmanager
def restored_threads() -> Iterator[None]:
    """Give PyTorch back the number of threads that it had."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        limit_threads(threads)
