"""Measure training and prediction of MFAF, and a whole map, in one run.

    python benchmarks/training.py steps|loading|dense [ROUNDS]
    python benchmarks/training.py precision RUN

Per window, one training step (forward, loss, backward, AdamW) and one prediction, the branches one
after the other in float32 as the paper describes them, then folded into the batch, then channels
last, then in bfloat16 where the processor multiplies it, all these with PyTorch's own AdamW, and at
last as geomfaf computes it: all weights moved at once. The variants take turns and the fastest of ROUNDS (7) counts,
because other processes slow a computer down and never speed it up; the processor time of both cores
stands beside the wall clock. Then the share of a step that drawing and augmenting a batch takes,
and a map of 1560 x 1560 cells at a stride of 16 with the compact network. ``precision`` trains MFAF
on the compact network and on ResNet18 in float32 and in bfloat16 on the windows and folds of a
finished run, with three seeds each: the AUC of the held-out windows. The tables go to
``docs/benchmarks``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from idw import write
from torch.utils.flop_counter import FlopCounterMode

from geomfaf.evaluation.paper_tables import one_run
from geomfaf.models.network.augment import add_noise, turn_and_flip
from geomfaf.models.network.classifier import MFAFClassifier, make_optimiser, restore_classifier
from geomfaf.models.network.encode import Channel, Encoder
from geomfaf.models.network.mfaf import MFAF, distillation_loss
from geomfaf.models.network.options import training_options
from geomfaf.models.predict import Lattice, lattice_scores
from geomfaf.rasters.bands import Band, as_dataarray
from geomfaf.rasters.grid import Grid

BANDS = 10
CELLS = 1560
STRIDE = 16
OURS = "as geomfaf computes it"


def branch_loop(net: MFAF, x: torch.Tensor) -> torch.Tensor:
    """Return what ``net(x)`` returns, branch after branch."""
    logits = []
    for branch in net.branches:
        maps = net.backbones[0](branch(x))
        maps = maps if net.spatial is None else maps * net.spatial(maps)
        logits.append(net.classifier(net.dropout(maps.mean(dim=(2, 3)))))
    return torch.stack(logits)


Optimiser = torch.optim.Optimizer


def step(
    net: MFAF,
    optimiser: Optimiser,
    x: torch.Tensor,
    labels: torch.Tensor,
    forward: Callable,
    half: bool,
) -> None:
    """Compute one training step."""
    net.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        logits = forward(net, x)
    optimiser.zero_grad()
    distillation_loss(logits.float(), labels).backward()
    optimiser.step()


def scores(
    net: MFAF, _: Optimiser, x: torch.Tensor, labels: torch.Tensor, forward: Callable, half: bool
) -> None:
    """Predict a batch."""
    net.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
        forward(net, x)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds on the clock and those of the processor."""
    clock = time.perf_counter()
    processor = time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def measure_variant(
    backbone: str,
    x: torch.Tensor,
    forward: Callable,
    layout: torch.memory_format,
    half: bool,
    *,
    ours: bool,
) -> dict[str, tuple[float, float]]:
    """Return the times of the fastest of four training steps of a new network and of four
    predictions.
    """
    torch.manual_seed(0)
    net, x, labels = (
        MFAF(BANDS, x.shape[2], backbone=backbone).to(memory_format=layout),
        x.to(memory_format=layout),
        torch.arange(len(x)) % 2,
    )
    optimiser = (
        make_optimiser(net, training_options("mfaf", backbone=backbone))
        if ours
        else torch.optim.AdamW(net.parameters())
    )
    found = {}
    for what, work in (("training", step), ("prediction", scores)):
        found[what] = min(
            timed(lambda work=work: work(net, optimiser, x, labels, forward, half))
            for _ in range(4)
        )
    return found


def measure_network(backbone: str, size: int, batch: int, rounds: int) -> list[dict]:
    """Return one row a variant."""
    x = torch.randn(batch, BANDS, size, size, generator=torch.Generator().manual_seed(0))
    half = multiplies_bfloat16()
    variants: dict[str, tuple[Callable, torch.memory_format, bool]] = {
        "branch loop, float32": (branch_loop, torch.contiguous_format, False),
        "folded into the batch": (MFAF.__call__, torch.contiguous_format, False),
        "folded, channels last": (MFAF.__call__, torch.channels_last, False),
        "folded, channels last, bfloat16": (MFAF.__call__, torch.channels_last, True),
        OURS: (MFAF.__call__, torch.channels_last, half and backbone != "compact"),
    }
    if not half:
        del variants["folded, channels last, bfloat16"]
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for _ in range(rounds):
        for name, variant in variants.items():
            for what, found in measure_variant(backbone, x, *variant, ours=name == OURS).items():
                best[name, what] = min(found, best.get((name, what), found))
    rows = []
    for (name, what), found in best.items():
        clock, processor = (1e3 * seconds / batch for seconds in found)
        base = [1e3 * seconds / batch for seconds in best["branch loop, float32", what]]
        row = {"network": f"MFAF, {backbone}, {size} px", "work": what, "variant": name}
        row |= {"ms a window": clock, "processor ms": processor, "times faster": base[0] / clock}
        rows.append({**row, "times faster, processor": base[1] / processor})
    return rows


def product_speed(kind: torch.dtype) -> float:
    """Return the GFLOP/s of a product of two matrices of 2048 x 2048: about the most that a network
    can reach.
    """
    a, b = (torch.randn(2048, 2048).to(kind) for _ in range(2))
    return 2 * 2048**3 / min(timed(lambda: a @ b)[0] for _ in range(10)) / 1e9


def operations(backbone: str, size: int) -> float:
    """Return the operations of a training step for one window, those with padding too."""
    net = MFAF(BANDS, size, backbone=backbone)
    with FlopCounterMode(display=False) as counter:
        net(torch.randn(2, BANDS, size, size)).sum().backward()
    return counter.get_total_flops() / 2


def multiplies_bfloat16() -> bool:
    """Return whether this processor does, whether or not a training would use it."""
    checks = [
        getattr(torch.cpu, name, None)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return any(check() for check in checks if check)


def measure_loading(backbone: str, size: int, rounds: int) -> dict:
    """Return the share of a training step that drawing and augmenting its batch of 32 takes."""
    pool = torch.randn(512, BANDS, size, size)
    net = MFAF(BANDS, size, backbone=backbone).to(memory_format=torch.channels_last)
    labels = torch.arange(32) % 2
    generator = torch.Generator().manual_seed(0)

    def batch() -> torch.Tensor:
        x = pool[torch.randint(512, (32,), generator=generator)]
        x = add_noise(turn_and_flip(x, generator), generator)
        return x.contiguous(memory_format=torch.channels_last)

    loading = min(timed(batch)[0] for _ in range(5 * rounds))
    x = batch()
    optimiser = make_optimiser(net, training_options("mfaf", backbone=backbone))
    learning = min(
        timed(lambda: step(net, optimiser, x, labels, MFAF.__call__, False))[0]
        for _ in range(rounds)
    )
    row = {
        "network": f"MFAF, {backbone}, {size} px",
        "drawing ms a step": 1e3 * loading,
        "step ms": 1e3 * learning,
    }
    return {**row, "share": loading / (loading + learning)}


def measure_map(size: int, rounds: int) -> dict:
    """Score 1560 x 1560 cells with one compact network, and a thirtieth of its windows one at a
    time.
    """
    grid = Grid.from_bounds((0, 0, CELLS * 100, CELLS * 100), 100, 32633)
    names = [f"band {number}" for number in range(BANDS)]
    values = np.random.default_rng(0).normal(size=(BANDS, CELLS, CELLS)).astype(np.float32)
    stack = as_dataarray(values, grid, [Band(name, "density") for name in names])
    encoder = Encoder(tuple(Channel(name, "density") for name in names))
    classifier = restore_classifier(
        training_options("mfaf"), MFAF(BANDS, size).state_dict(), BANDS, size, "cpu"
    )
    lattice = Lattice(np.ones(grid.shape, bool), STRIDE)

    def whole(predict: Callable, wanted: np.ndarray) -> Callable[[], object]:
        return lambda: lattice.blend(lattice_scores(stack, lattice, wanted, encoder, predict, size))

    def one_by_one(windows: np.ndarray) -> np.ndarray:
        return np.concatenate([alone(classifier, window) for window in windows], axis=1)

    every = min(timed(whole(classifier.predict_branches, lattice.wanted)) for _ in range(rounds))
    few = np.zeros_like(lattice.wanted)
    few[::30] = True
    some = timed(whole(classifier.predict_branches, few))
    loop = timed(whole(one_by_one, few))
    row = {"window": size, "windows": int(lattice.wanted.sum()), "seconds, one network": every[0]}
    row |= {"five fold models (times 5)": 5 * every[0], "processor seconds, one network": every[1]}
    return {**row, "loop against batches, same windows": loop[0] / some[0]}


def alone(classifier: MFAFClassifier, window: np.ndarray) -> np.ndarray:
    """Return the branches' scores of one window."""
    return classifier.predict_branches(window[None])


def measure_precision(run: Path) -> pd.DataFrame:
    """Return the held-out window AUC of both types of arithmetic: mean and standard deviation over
    three seeds.
    """
    rows = []
    lengths = {
        "compact": {"epochs": 12, "least_steps": 60},
        "resnet18": {"epochs": 8, "least_steps": 0},
    }
    for backbone, length in lengths.items():
        for precision in ("float32", "bfloat16"):
            options = training_options(
                "mfaf", precision=precision, backbone=backbone, learning_rate=1e-3, **length
            )
            aucs = []
            for seed in range(3):
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "figures.json"
                    one_run(run, path, "spatial", seed, options)
                    aucs.append(json.loads(path.read_text(encoding="utf-8"))["auc"])
            row = {"network": f"MFAF, {backbone}", "arithmetic": precision}
            rows.append(
                {**row, "held-out AUC": np.mean(aucs), "sd over seeds": np.std(aucs, ddof=1)}
            )
    return pd.DataFrame(rows)


def main() -> None:
    """Measure one part and write its table."""
    if sys.argv[1] == "precision":
        write(
            measure_precision(Path(sys.argv[2])),
            "precision",
            "Networks alone; compact twelve epochs, ResNet18 eight; spatial folds, three seeds.",
        )
        return
    part = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    torch.set_num_threads(2)
    there = multiplies_bfloat16()
    said = (
        "This processor multiplies bfloat16."
        if there
        else "This processor has no bfloat16 multiplication."
    )
    note = f"{BANDS} bands, fastest of {rounds}. {said} PyTorch {torch.__version__}."
    if part == "steps":
        steps = [
            *measure_network("resnet18", 128, 32, rounds),
            *measure_network("resnet18", 64, 32, rounds),
        ]
        steps += measure_network("compact", 16, 32, 5 * rounds)
        speeds = {kind: product_speed(getattr(torch, kind)) for kind in ("float32", "bfloat16")}
        note += (
            " GFLOP/s of a matrix product:"
            f" {', '.join(f'{speed:.0f} in {kind}' for kind, speed in speeds.items())}."
        )
        least = [
            f"{operations('resnet18', size) / 1e6 / max(speeds.values()):.1f} ms at {size} px"
            for size in (128, 64)
        ]
        note += (
            f" ResNet18's operations alone take {' and '.join(least)} a window in training at the"
            " faster of them."
        )
        write(pd.DataFrame(steps), "training", f"Batches of 32, {note}")
    elif part == "loading":
        loading = [
            measure_loading("resnet18", 64, rounds),
            measure_loading("compact", 16, 5 * rounds),
        ]
        write(
            pd.DataFrame(loading),
            "loading",
            f"Windows in memory; quarter turns, flips, noise; batches of 32, {note}",
        )
    else:
        maps = [measure_map(size, rounds) for size in (16, 32)]
        write(
            pd.DataFrame(maps),
            "dense",
            f"{CELLS} x {CELLS} cells, stride {STRIDE}, compact network, {note}",
        )


if __name__ == "__main__":
    main()
