"""Every choice of a training, with the reason where it is chosen, and the presets; without torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

from ...errors import UsageError
from ...settings.check import require_settings

PAPER_DILATIONS = (1, 6, 12, 18, 24)

NOISE_VARIANCE = 0.01
"""Variance of the paper's Gaussian noise, on standardised bands."""


@dataclass(frozen=True)
class Training:
    """Every choice of the training; the defaults are those that did best on small real surveys."""

    # "plain": the backbone alone, without branches, attention and distillation
    network: str = "mfaf"
    # 34,000 weights: with 20 to 200 deposits ResNet18's 11 million overfit
    backbone: str = "compact"
    # scaled to the window, see mfaf.scaled_dilations
    dilations: tuple[int, ...] | None = None
    channel_attention: bool = True
    spatial_attention: bool = True
    # one backbone for all branches
    shared: bool = True
    # self-distillation, the paper's best (Table 5)
    beta: float = 0.4
    # usual for distillation; the paper is silent
    temperature: float = 3.0
    # once through the windows: on six surveys 100 steps lost skill on held-out ground against 40
    epochs: int = 1
    # with few windows an epoch is two or three steps: this many in all at least
    least_steps: int = 40
    batch: int = 32
    # steadier than SGD on a hundred windows
    optimiser: str = "adamw"
    # with forty steps: 1e-3 learned the few deposits by heart, see docs/skill.md
    learning_rate: float = 5e-4
    # SGD only, the paper's
    momentum: float = 0.2
    weight_decay: float = 0.02
    # "step": times 0.6 every 30 epochs, the paper's
    schedule: str = "onecycle"
    # share of the window's side, around its centre, that the network looks at
    view: float = 1.0
    # half of each batch is ore; "smote" or "none" by name
    balance: str = "sampler"
    flips: bool = True
    noise: float = NOISE_VARIANCE
    # share of the training windows held back when patience > 0
    validation: float = 0.2
    # bfloat16 where the device multiplies it, see devices.computing_type; or "float32"
    precision: str = "auto"
    # epochs without a better validation loss before stopping; 0 trains to the end
    patience: int = 0
    # steps of reconstruction of hidden cells before the training, on the fold's own ground
    pretrain: int = 0
    # simple models whose log odds are averaged with the network's: see models/ensemble.py
    ensemble: tuple[str, ...] = ()
    # file or folder of starting weights, see starting_weights.py
    weights: str = field(default="", repr=False)
    # their hash: filled in at the training; any other weights are refused
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        del values["weights_sha256"]
        require_settings("train", values)
        # No branches at all, or a rate for each: a branch of rate 0 would be neither.
        rates = self.dilations
        if rates is not None and rates != (0,) and min(rates, default=0) < 1:
            raise UsageError(
                f"dilations = {list(rates)} must be whole numbers from 1, or [0] for no branches."
            )

    def fresh(self) -> Training:
        """Return the same training from random weights."""
        return replace(self, pretrain=0, weights="", weights_sha256="")

    def network_alone(self) -> Training:
        """Return the same training without the simple models of its ensemble."""
        return replace(self, ensemble=())


PRESETS = {
    # In the mean over areas at least as good as any part of it, not on each: docs/skill.md.
    "compact": Training(view=0.5, ensemble=("extra trees", "ridge logistic regression")),
    "mfaf": Training(),
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

    Parameters
    ----------
    preset : {"compact", "mfaf", "paper"}
        What the others are changed from.
    changes : keywords
        Options of :class:`geomfaf.models.network.options.Training`.

    Returns
    -------
    Training
        Frozen.

    Raises
    ------
    UsageError
        For an unknown preset or option, with the nearest one, or a value that is not allowed.

    Examples
    --------
    >>> training_options("paper", epochs=10).backbone
    'resnet18'
    """
    require_settings("", {"preset": preset})
    require_settings("train", changes)
    known = {option.name for option in fields(Training)}
    for name, value in changes.items():
        if name not in known:
            raise UsageError(f'{name} = "{value}" is no choice of the network: give it by itself.')
        if isinstance(value, list):
            changes[name] = tuple(value)
    return replace(PRESETS[preset], **changes)  # type: ignore[arg-type]
