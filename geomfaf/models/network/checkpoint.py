"""The state of a training on disk: an interrupted one goes on where it stopped, to the bit."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .mfaf import MFAF


def fingerprint(
    x: np.ndarray,
    labels: np.ndarray,
    x_held: np.ndarray,
    options: object,
    seed: int,
    start: Mapping[str, torch.Tensor] | None = None,
) -> str:
    """Return a hash of everything that decides what a training ends with."""
    digest = hashlib.sha256(repr((options, seed, x.shape, x_held.shape)).encode())
    for part in (x, labels, x_held):
        digest.update(np.ascontiguousarray(part).tobytes())
    for name, tensor in (start or {}).items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass
class TrainingState:
    """Where a training stands: epochs done, losses, the best weights so far when it may
    stop early.
    """

    epoch: int
    history: list[dict]
    best: dict[str, torch.Tensor]
    best_loss: float = math.inf
    since_best: int = 0

    def stopped(self, patience: int) -> bool:
        """Return whether the validation loss has not fallen for ``patience`` epochs (0: never)."""
        return patience > 0 and self.since_best >= patience

    def record(
        self,
        epoch: int,
        loss: float,
        held_loss: float | None,
        net: MFAF,
    ) -> None:
        """Note the losses of an epoch, and keep its weights when its validation loss is the lowest
        so far.
        """
        self.epoch = epoch + 1
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": loss,
                "validation_loss": held_loss,
            }
        )
        if held_loss is None:
            return
        # Early stopping counts the epochs since the best one.
        self.since_best += 1
        if held_loss < self.best_loss:
            self.best = copy.deepcopy(net.state_dict())
            self.best_loss = held_loss
            self.since_best = 0

    def save(
        self,
        path: Path,
        key: str,
        net: MFAF,
        optimiser: torch.optim.Optimizer,
    ) -> None:
        """Write weights, optimiser state and losses into one safetensors file; no pickle."""
        from safetensors.torch import save_file

        # Weights, the best so far, and the optimiser's moments, under names that tell them apart.
        tensors = {f"net.{k}": v.contiguous() for k, v in net.state_dict().items()}
        tensors |= {f"best.{k}": v.contiguous() for k, v in self.best.items()}
        for number, slots in optimiser.state_dict()["state"].items():
            tensors |= {
                f"optimiser.{number}.{k}": v.contiguous()
                for k, v in slots.items()
                if torch.is_tensor(v)
            }
        rest = {
            "epoch": self.epoch,
            "best_loss": self.best_loss,
            "since_best": self.since_best,
            "history": self.history,
        }
        progress = json.dumps(rest)
        words = {
            "progress": progress,
            "fingerprint": key,
            "sha256": _hash_of(tensors, progress),
        }
        # Beside, then renamed: a training that is cut off leaves the state before.
        beside = path.with_suffix(".partial")
        save_file(tensors, beside, metadata=words)
        beside.replace(path)

    @classmethod
    def load(
        cls,
        path: Path | None,
        key: str,
        net: MFAF,
        optimiser: torch.optim.Optimizer,
        device: torch.device,
    ) -> TrainingState:
        """Restore an interrupted training into ``net`` and ``optimiser``, or start a new one.

        A checkpoint of another training, or one that was damaged, counts for nothing.
        """
        found = None if path is None else _read(path, key, device)
        if found is None:
            return cls(0, [], {})
        tensors, rest = found
        parts: dict[str, dict[str, torch.Tensor]] = {
            "net": {},
            "best": {},
            "optimiser": {},
        }
        for full, tensor in tensors.items():
            part, name = full.split(".", 1)
            parts[part][name] = tensor
        # Into the network and the optimiser as they were.
        net.load_state_dict(parts["net"])
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in parts["optimiser"].items():
            number, slot = name.split(".", 1)
            slots.setdefault(int(number), {})[slot] = tensor
        optimiser.load_state_dict(
            {"state": slots, "param_groups": optimiser.state_dict()["param_groups"]}
        )
        return cls(best=parts["best"], **rest)


def _read(
    path: Path, key: str, device: torch.device
) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Return the tensors and the progress of a checkpoint with this fingerprint, unharmed."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            words = file.metadata() or {}
            # safe_open is no mapping
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    sound = words.get("sha256") == _hash_of(tensors, words.get("progress", ""))
    if words.get("fingerprint") != key or not sound:
        return None
    return tensors, json.loads(words["progress"])


def _hash_of(tensors: Mapping[str, torch.Tensor], progress: str) -> str:
    """Return a hash of everything in a checkpoint: a flipped bit would go on in the weights."""
    digest = hashlib.sha256(progress.encode())
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()
