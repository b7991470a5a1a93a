"""Feature extractors: a compact network, and the five published networks adapted to n bands and
small windows.

The published ones are torchvision's, made for photographs of 224 pixels: they halve the map five
times (total stride 32). **The rule for strides**: windows from 64 cells keep all five halvings;
smaller ones leave out the first two, so that a window of 16 cells still ends in a map of 2 x 2 and
never in nothing. Weights and their number do not depend on the window, only the strides do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ...errors import require_known

SMALL_WINDOW = 64
"""Below this size the first two halvings of a network made for photographs are left out."""

PUBLISHED_DROPOUT = 0.2
"""Before the classifier of GoogLeNet, MobileNetV2 and MnasNet, as published; ResNet18 and
ShuffleNetV2 have none.
"""


class Compact(nn.Module):
    """Average-pool stem and three 3x3 convolutions (24, 48, 48): about 40,000 weights.

    Chosen for surveys with tens of deposits, where ResNet18 overfits.
    """

    features = 48
    dropout = 0.0

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        # Large windows are pooled harder first, so that the last map keeps about 4 x 4 cells.
        stem = max(1, size // 8)
        self.net = nn.Sequential(
            nn.AvgPool2d(stem) if stem > 1 else nn.Identity(),
            *_conv(channels, 24),
            *_conv(24, 48),
            nn.MaxPool2d(2),
            *_conv(48, 48),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, (batch, 48, y, x)."""
        return self.net(x)


class Published(nn.Module):
    """One of torchvision's networks up to its last feature map.

    Parameters
    ----------
    net : Module
        Its layers without pooling and classifier.
    features : int
        Channels of the last feature map.
    dropout : float
        Share of the pooled features that the published classifier drops.
    """

    def __init__(self, net: nn.Module, features: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = net
        self.features = features
        self.dropout = dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map, (batch, features, y, x)."""
        return self.net(x)


def resnet18(channels: int, size: int) -> Published:
    """Return ResNet18 (He et al. 2016)."""
    from torchvision.models import resnet18 as published

    net = published(weights=None)
    net.conv1 = _first(net.conv1, channels, size)
    if size < SMALL_WINDOW:
        net.maxpool = nn.Identity()
    first, norm, relu, pool, *stages = list(net.children())[:-2]
    # The largest of a cell's neighbours and zero is the same in either order, and pooled maps are a
    # quarter as large.
    return Published(nn.Sequential(first, norm, pool, relu, *stages), 512)


def shufflenet_v2(channels: int, size: int) -> Published:
    """Return ShuffleNetV2 x1.0 (Ma et al. 2018)."""
    from torchvision.models import shufflenet_v2_x1_0 as published

    net = published(weights=None)
    net.conv1[0] = _first(net.conv1[0], channels, size)
    if size < SMALL_WINDOW:
        net.maxpool = nn.Identity()
    return Published(nn.Sequential(*list(net.children())[:-1]), 1024)


def googlenet(channels: int, size: int) -> Published:
    """Return GoogLeNet (Szegedy et al. 2015) without its auxiliary classifiers."""
    from torchvision.models import googlenet as published

    net = published(
        weights=None,
        aux_logits=False,
        transform_input=False,
        init_weights=True,
    )
    net.conv1.conv = _first(net.conv1.conv, channels, size)
    if size < SMALL_WINDOW:
        net.maxpool1 = nn.Identity()
    # The auxiliary classifiers that were left out stand as None among the children.
    layers = [layer for layer in net.children() if layer is not None][:-3]
    return Published(nn.Sequential(*layers), 1024, PUBLISHED_DROPOUT)


def mobilenet_v2(channels: int, size: int) -> Published:
    """Return MobileNetV2 (Sandler et al. 2018)."""
    from torchvision.models import mobilenet_v2 as published

    net = published(weights=None).features
    net[0][0] = _first(net[0][0], channels, size)
    if size < SMALL_WINDOW:
        net[2].conv[1][0].stride = (1, 1)
    return Published(net, 1280, PUBLISHED_DROPOUT)


def mnasnet(channels: int, size: int) -> Published:
    """Return MnasNet 1.0 (Tan et al. 2019)."""
    from torchvision.models import mnasnet1_0 as published

    net = published(weights=None).layers
    net[0] = _first(net[0], channels, size)
    if size < SMALL_WINDOW:
        net[8][0].layers[3].stride = (1, 1)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            # Published is 0.0003, an average over thousands of steps; after our few hundred it
            # would still be noise.
            layer.momentum = 0.1
    return Published(net, 1280, PUBLISHED_DROPOUT)


BACKBONES: dict[str, Callable[[int, int], nn.Module]] = {
    "compact": Compact,
    "resnet18": resnet18,
    "shufflenet_v2": shufflenet_v2,
    "googlenet": googlenet,
    "mobilenet_v2": mobilenet_v2,
    "mnasnet": mnasnet,
}
"""Name -> what makes it from channels and window size."""

_PUBLISHED_ORDER = {
    "resnet18": "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4",
    "shufflenet_v2": "conv1 maxpool stage2 stage3 stage4 conv5",
    "googlenet": (
        "conv1 maxpool1 conv2 conv3 maxpool2 inception3a inception3b maxpool3 inception4a"
        " inception4b inception4c inception4d inception4e maxpool4 inception5a inception5b"
    ),
}
_PUBLISHED_LAYERS = {"mobilenet_v2": "features", "mnasnet": "layers"}


def own_name(backbone: str, published: str) -> str | None:
    """Return what a weight of torchvision's network is called in ours; None for its classifiers.

    >>> own_name("resnet18", "layer1.0.conv1.weight"), own_name("mnasnet", "layers.0.weight")
    ('net.4.0.conv1.weight', 'net.0.weight')
    >>> own_name("resnet18", "fc.weight")
    """
    head, _, rest = published.partition(".")
    if backbone in _PUBLISHED_LAYERS:
        return f"net.{rest}" if head == _PUBLISHED_LAYERS[backbone] else None
    order = _PUBLISHED_ORDER[backbone].split()
    return f"net.{order.index(head)}.{rest}" if head in order else None


def make_backbone(name: str, channels: int, size: int) -> nn.Module:
    """Return a new backbone for windows of ``channels`` x ``size`` x ``size``.

    Its ``features`` is the number of channels of the map it returns, its ``dropout`` what the
    published classifier drops of the pooled map.

    >>> make_backbone("mobilenet_v2", 10, 16)(torch.zeros(1, 10, 16, 16)).shape
    torch.Size([1, 1280, 2, 2])
    """
    require_known(name, BACKBONES, "backbone")
    return BACKBONES[name](channels, size)


def _first(conv: nn.Conv2d, channels: int, size: int) -> nn.Conv2d:
    """Return the first convolution for n bands, with stride 1 for small windows."""
    stride = 1 if size < SMALL_WINDOW else conv.stride
    kernel = conv.kernel_size[0]
    padding = conv.padding[0]
    new = nn.Conv2d(
        channels,
        conv.out_channels,
        kernel,
        stride=stride,  # type: ignore[arg-type]
        padding=padding,
        bias=False,
    )
    # He et al. 2015, as the published networks with batch normalisation begin.
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
