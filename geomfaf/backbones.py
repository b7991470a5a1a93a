"""Feature extractors: a compact network, and torchvision's networks adapted to n bands and small windows."""

from __future__ import annotations

import torch
from torch import nn

from .errors import UsageError, nearest_name

SMALL_WINDOW = 64
"""Below this size the first convolution of a network made for photographs keeps stride 1 and its pooling goes:
with their total stride of 32 a window of 16 cells would shrink to nothing."""


class Compact(nn.Module):
    """Average-pool stem and three 3x3 convolutions (24, 48, 48): about 40,000 weights.

    Chosen for surveys with tens of deposits, where ResNet18 overfits.
    """

    features = 48

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        # Large windows are pooled harder first, so that the last map keeps about 4 x 4 cells.
        stem = max(1, size // 8)
        self.net = nn.Sequential(
            nn.AvgPool2d(stem),
            *_conv(channels, 24),
            *_conv(24, 48),
            nn.MaxPool2d(2),
            *_conv(48, 48),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, (batch, 48, y, x)."""
        return self.net(x)


class ResNet18(nn.Module):
    """torchvision's ResNet18 up to its last feature map."""

    features = 512

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        from torchvision.models import resnet18

        net = resnet18(weights=None)
        small = size < SMALL_WINDOW
        net.conv1 = nn.Conv2d(channels, 64, 7, stride=1 if small else 2, padding=3, bias=False)
        if small:
            net.maxpool = nn.Identity()
        self.net = nn.Sequential(*list(net.children())[:-2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, (batch, 512, y, x)."""
        return self.net(x)


class ShuffleNetV2(nn.Module):
    """torchvision's ShuffleNetV2 x1.0 up to its last feature map."""

    features = 1024

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        from torchvision.models import shufflenet_v2_x1_0

        net = shufflenet_v2_x1_0(weights=None)
        small = size < SMALL_WINDOW
        net.conv1[0] = nn.Conv2d(channels, 24, 3, stride=1 if small else 2, padding=1, bias=False)
        if small:
            net.maxpool = nn.Identity()
        self.net = nn.Sequential(*list(net.children())[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, (batch, 1024, y, x)."""
        return self.net(x)


BACKBONES: dict[str, type[nn.Module]] = {"compact": Compact, "resnet18": ResNet18, "shufflenet_v2": ShuffleNetV2}


def make_backbone(name: str, channels: int, size: int) -> nn.Module:
    """Return a new backbone for windows of ``channels`` x ``size`` x ``size``."""
    if name not in BACKBONES:
        raise UsageError(
            f'backbone "{name}" is unknown.{nearest_name(name, BACKBONES)} Known are {", ".join(BACKBONES)}.'
        )
    return BACKBONES[name](channels, size)


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
