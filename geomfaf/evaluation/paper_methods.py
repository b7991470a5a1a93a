"""Which networks stand in the paper's Tables 3 to 6, what each changes in the training, and the
figures that were published for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

METRICS = ("accuracy", "auc", "recall", "f1")
PROTOCOLS = ("spatial", "paper")

Figures = tuple[float, float, float, float]
"""The paper's figures in percent, in the order of :data:`METRICS`."""

UNPUBLISHED: Figures = (math.nan, math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Method:
    """One row of a table: its name, what it changes in the training, and the paper's figures in
    percent.
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    published: Figures = UNPUBLISHED


def _plain(name: str, backbone: str, published: Figures) -> Method:
    """Return a backbone by itself, with one head."""
    return Method(name, {"network": "plain", "backbone": backbone}, published)


def _mfaf(name: str, backbone: str, published: Figures, **changes: Any) -> Method:
    """Return a backbone with MFAF's branches, attention and self-distillation."""
    return Method(name, {"network": "mfaf", "backbone": backbone, **changes}, published)


RESNET18 = _plain("ResNet18", "resnet18", (64.84, 63.13, 32.05, 59.41))
MFAF_RESNET18 = _mfaf("ResNet18*", "resnet18", (72.66, 73.46, 42.66, 63.76))
MFAF_SHUFFLENET = _mfaf("ShuffleNetV2*", "shufflenet_v2", (67.23, 65.42, 37.32, 63.72))

COMPARISON = (
    RESNET18,
    MFAF_RESNET18,
    _plain("ShuffleNetV2", "shufflenet_v2", (62.37, 61.43, 18.43, 53.98)),
    MFAF_SHUFFLENET,
    _plain("GoogLeNet", "googlenet", (62.38, 61.45, 20.14, 56.33)),
    _plain("MobileNetV2", "mobilenet_v2", (64.23, 64.13, 16.23, 58.36)),
    _plain("MnasNet", "mnasnet", (68.79, 67.23, 17.69, 60.86)),
)

# R-CA and R-SA are the paper's names for the network without one of its two attentions.
NO_CHANNELS = {"channel_attention": False}
NO_PLACES = {"spatial_attention": False}
ATTENTION = (
    MFAF_RESNET18,
    _mfaf("R-CA-ResNet18*", "resnet18", (69.54, 64.89, 33.98, 58.64), **NO_CHANNELS),
    _mfaf("R-SA-ResNet18*", "resnet18", (71.13, 71.68, 39.46, 61.34), **NO_PLACES),
    MFAF_SHUFFLENET,
    _mfaf("R-CA-ShuffleNetV2*", "shufflenet_v2", (63.42, 63.24, 35.51, 60.99), **NO_CHANNELS),
    _mfaf("R-SA-ShuffleNetV2*", "shufflenet_v2", (64.48, 63.96, 35.12, 62.04), **NO_PLACES),
)

# The paper's beta of 0 is the network without branches; ours with branches stands beside it.
DISTILLATION = (
    replace(RESNET18, name="0, the plain network"),
    _mfaf("0, branches kept", "resnet18", UNPUBLISHED, beta=0.0),
    _mfaf("0.1", "resnet18", (71.21, 70.22, 39.12, 60.34), beta=0.1),
    _mfaf("0.4", "resnet18", (72.66, 73.46, 42.66, 63.71), beta=0.4),
    _mfaf("0.6", "resnet18", (71.45, 70.32, 38.49, 60.19), beta=0.6),
    _mfaf("0.7", "resnet18", (68.44, 65.54, 37.55, 58.84), beta=0.7),
    _mfaf("0.8", "resnet18", (64.96, 63.27, 32.64, 60.34), beta=0.8),
)


def _dilated(rates: tuple[int, ...], published: Figures) -> Method:
    """Return MFAF on ResNet18 with these dilation rates, which are its name too."""
    name = ", ".join(map(str, rates))
    return _mfaf(name, "resnet18", published, dilations=rates)


DILATIONS = (
    _dilated((1, 2, 4, 8, 10), (63.45, 62.02, 32.79, 50.43)),
    _dilated((1, 4, 8, 12, 16), (67.34, 66.22, 38.28, 61.14)),
    _dilated((1, 6, 12, 18, 24), (72.66, 73.46, 42.66, 63.71)),
    _dilated((1, 8, 16, 24, 32), (70.22, 68.86, 31.46, 55.65)),
    _mfaf("scaled to the window", "resnet18", UNPUBLISHED, dilations=None),
)

TABLES: dict[str, tuple[str, tuple[Method, ...]]] = {
    "table3": ("Table 3: networks alone and, with *, under MFAF", COMPARISON),
    "table4": (
        "Table 4: without channel attention (R-CA) and without spatial attention (R-SA)",
        ATTENTION,
    ),
    "table5": ("Table 5: coefficient beta of the self-distillation (ResNet18)", DISTILLATION),
    "table6": ("Table 6: dilation rates (ResNet18)", DILATIONS),
    "figure7": ("The comparison of Table 3 as a figure", COMPARISON),
}
