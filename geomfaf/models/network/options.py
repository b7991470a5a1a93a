"""Every choice of a training, with the reason where it is chosen, and the presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

from ...errors import UsageError, nearest_name
from ..baselines import make_baseline
from .augment import NOISE_VARIANCE
from .backbones import BACKBONES, make_backbone
from .calibrate import KINDS
from .mfaf import PAPER_DILATIONS


@dataclass(frozen=True)
class Training:
    """Every choice of the training; the defaults are those that did best on small real surveys."""

    network: str = (
        "mfaf"  # "plain": the backbone alone, without branches, attention and distillation
    )
    backbone: str = (
        "compact"  # 34,000 weights: with 20 to 200 deposits ResNet18's 11 million overfit
    )
    dilations: tuple[int, ...] | None = None  # scaled to the window, see mfaf.scaled_dilations
    channel_attention: bool = True
    spatial_attention: bool = True
    shared: bool = True  # one backbone for all branches
    beta: float = 0.4  # self-distillation, the paper's best (Table 5)
    temperature: float = 3.0  # usual for distillation; the paper is silent
    # once through the windows: on six surveys 100 steps lost skill on held-out ground against 40
    epochs: int = 1
    least_steps: int = (
        40  # with few windows an epoch is two or three steps: this many in all at least
    )
    batch: int = 32
    optimiser: str = "adamw"  # steadier than SGD on a hundred windows
    learning_rate: float = (
        5e-4  # with forty steps: 1e-3 learned the few deposits by heart, see docs/skill.md
    )
    momentum: float = 0.2  # SGD only, the paper's
    weight_decay: float = 0.02
    schedule: str = "onecycle"  # "step": times 0.6 every 30 epochs, the paper's
    view: float = 1.0  # share of the window's side, around its centre, that the network looks at
    balance: str = "sampler"  # half of each batch is ore; "smote" or "none" by name
    flips: bool = True
    noise: float = NOISE_VARIANCE
    validation: float = 0.2  # share of the training windows held back when patience > 0
    precision: str = (
        "auto"  # "auto": bfloat16 where the device multiplies it, see computing_type; or "float32"
    )
    dropout: float = 0.0  # before the compact network's classifier; published networks keep theirs
    calibration: str = "none"  # "temperature" or "isotonic", learned inside the fold: see calibrate
    patience: int = (
        0  # epochs without a better validation loss before stopping; 0 trains to the end
    )
    pretrain: int = (
        0  # steps of reconstruction of hidden cells before the training, on the fold's own ground
    )
    partners: tuple[
        str, ...
    ] = ()  # simple models whose log odds are averaged with the network's: see partners.py
    # "correction": the network begins from the partners' log odds and learns what to add to them
    joining: str = "mean"
    weights: str = field(
        default="", repr=False
    )  # file or folder of starting weights, see starting_weights.py
    weights_sha256: str = ""  # their hash: filled in at the training; any other weights are refused

    def __post_init__(self) -> None:
        for name, known in (
            ("network", ("mfaf", "plain")),
            ("precision", ("auto", "float32", "bfloat16")),
            ("optimiser", ("adamw", "sgd")),
            ("schedule", ("onecycle", "step")),
            ("balance", ("sampler", "smote", "none")),
            ("calibration", KINDS),
            ("joining", ("mean", "correction")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(
                    f'{name} = "{getattr(self, name)}" is unknown: use {" or ".join(known)}.'
                )
        kinds: dict[str, type | tuple[type, ...]] = {
            "int": int,
            "float": (int, float),
            "bool": bool,
            "str": str,
        }
        for option in fields(self):
            value = getattr(self, option.name)
            kind = kinds.get(str(option.type), object)
            if not isinstance(value, kind) or (isinstance(value, bool) and option.type != "bool"):
                raise UsageError(f"{option.name} = {value!r} is not of the kind {option.type}.")
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{option.name} = {value} must be a finite number.")
        if self.backbone not in BACKBONES:
            make_backbone(self.backbone, 1, 16)  # refuses a name that it does not know
        if (
            self.temperature <= 0
            or not 0 <= self.momentum < 1
            or self.patience < 0
            or self.least_steps < 0
        ):
            raise UsageError(
                "temperature must be positive, momentum from 0 to less than 1, patience and"
                " least_steps not negative."
            )
        if self.dilations is not None and not all(isinstance(rate, int) for rate in self.dilations):
            raise UsageError(f"dilations = {list(self.dilations)} must be whole numbers.")
        if (
            self.dilations is not None
            and (not self.dilations or min(self.dilations) < 1)
            and self.dilations != (0,)
        ):
            raise UsageError(
                f"dilations = {self.dilations} must be whole numbers from 1, or [0] for no"
                " branches."
            )
        if (
            self.learning_rate <= 0
            or self.weight_decay < 0
            or self.noise < 0
            or not 0 < self.validation < 1
        ):
            raise UsageError(
                "learning_rate must be positive, weight_decay and noise not negative, validation in"
                " 0..1."
            )
        if not 0 <= self.dropout < 1:
            raise UsageError(
                f"dropout = {self.dropout} must be a share from 0 (none) to less than 1."
            )
        if self.dropout and self.backbone != "compact":
            raise UsageError(
                f"dropout = {self.dropout} is for the compact network: {self.backbone} keeps what"
                " it has."
            )
        for name in self.partners:
            make_baseline(name)  # refuses a name that it does not know
        if not 0 <= self.beta <= 1:
            raise UsageError(f"beta = {self.beta} must lie between 0 (no distillation) and 1.")
        if self.joining == "correction":
            self._require_correctable()
        if self.pretrain < 0:
            raise UsageError(
                f"pretrain = {self.pretrain} must be a number of steps, or 0 for no pretraining."
            )
        if not 0 < self.view <= 1:
            raise UsageError(
                f"view = {self.view} must be a share of the window's side, more than 0 and at"
                " most 1."
            )
        if self.epochs < 1 or self.batch < 2:
            raise UsageError(
                f"epochs = {self.epochs} must be at least 1 and batch = {self.batch} at least 2."
            )

    def _require_correctable(self) -> None:
        for name, what in (
            ("balance", "smote"),
            ("calibration", "temperature"),
            ("calibration", "isotonic"),
        ):
            if getattr(self, name) == what:
                raise UsageError(
                    f'joining = "correction" cannot be had with {name} = "{what}": use "mean", or'
                    " another."
                )
        if not self.partners:
            raise UsageError(
                'joining = "correction" needs partners to correct, such as partners = ["extra'
                ' trees"].'
            )

    def fresh(self) -> Training:
        """Return the same training from random weights."""
        return replace(self, pretrain=0, weights="", weights_sha256="")


PRESETS = {
    # Ahead of the network alone and of the extra trees alone in the mean over six surveys, not on
    # each: docs/skill.md.
    "compact": Training(view=0.5, partners=("extra trees", "fuzzy overlay")),
    "mfaf": Training(),
    # The network as a correction to the extra trees' log odds; see docs/skill.md for what it gains.
    "tree-initialised": Training(view=0.5, partners=("extra trees",), joining="correction"),
    "paper": Training(
        backbone="resnet18",
        dilations=PAPER_DILATIONS,
        epochs=220,
        least_steps=0,
        optimiser="sgd",
        learning_rate=0.02,
        weight_decay=1e-4,
        schedule="step",
        balance="smote",
    ),
}


def training_options(preset: str = "compact", **changes: object) -> Training:
    """Return a preset with some options changed; an unknown name is refused with the nearest one.

    >>> training_options("paper", epochs=10).backbone
    'resnet18'
    """
    if preset not in PRESETS:
        raise UsageError(
            f'preset "{preset}" is unknown.{nearest_name(preset, PRESETS)} Known:'
            f" {', '.join(PRESETS)}."
        )
    known = {field.name for field in fields(Training)}
    for name in changes:
        if name not in known:
            raise UsageError(f'training has no option "{name}".{nearest_name(name, known)}')
    for name in ("dilations", "partners"):
        if isinstance(changes.get(name), list):
            changes[name] = tuple(changes[name])  # type: ignore[arg-type]
        elif not isinstance(changes.get(name, ()), (tuple, type(None))):
            raise UsageError(f"{name} = {changes[name]!r} must be a list.")
    return replace(PRESETS[preset], **changes)  # type: ignore[arg-type]
