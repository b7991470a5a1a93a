"""MFAF: multi-scale features, channel and spatial attention, a shared classifier and a vote.

Gao, Wang, Zhang and Wang (2023), Sustainability 15(13):10269, doi 10.3390/su151310269; numbers in
brackets are the equations of that paper. Where it is silent, the choice is said beside the code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from .backbones import make_backbone
from .options import PAPER_DILATIONS


def scaled_dilations(size: int) -> tuple[int, ...]:
    """Return the paper's dilation rates scaled to a window, the largest at most a fifth of it.

    In a window of 16 cells a rate of 24 would see nothing but padding.

    >>> scaled_dilations(128), scaled_dilations(16)
    ((1, 6, 12, 18, 24), (1, 1, 2, 2, 3))
    """
    widest = PAPER_DILATIONS[-1]
    largest = min(widest, max(1, size // 5))
    return tuple(max(1, round(rate * largest / widest)) for rate in PAPER_DILATIONS)


class ChannelAttention(nn.Module):
    """Mc = sigmoid(MLP(AvgPool(F)) + MLP(MaxPool(F))) with one shared two-layer bottleneck
    MLP (7).
    """

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(2, channels // reduction)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the weights, (batch, channels)."""
        # Seven times faster than amax, whose gradient searches the map again for cells that equal
        # the largest.
        largest = functional.adaptive_max_pool2d(x, 1).flatten(1)
        mean = x.mean(dim=(2, 3))
        return torch.sigmoid(self.mlp(mean) + self.mlp(largest))


class SpatialAttention(nn.Module):
    """Ms = sigmoid(conv7x7([AvgPool_c(F); MaxPool_c(F)])) (8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the weights, (batch, 1, y, x)."""
        mean = x.mean(dim=1, keepdim=True)
        largest = x.amax(dim=1, keepdim=True)
        pooled = torch.cat([mean, largest], dim=1)
        return torch.sigmoid(self.conv(pooled))


class Branch(nn.Module):
    """One scale: F_i = conv3x3(x; M_i, alpha_i), reweighted by its channel attention.

    The convolution is grouped by channel, so that an attention weight belongs to exactly one
    factor.
    """

    def __init__(self, channels: int, dilation: int, *, attention: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels,
            channels,
            3,
            padding=dilation,
            dilation=dilation,
            groups=channels,
        )
        # Starting at the identity, a branch begins with the factor itself and learns what to add at
        # its scale.
        nn.init.dirac_(self.conv.weight, groups=channels)
        with torch.no_grad():
            self.conv.weight.add_(torch.randn_like(self.conv.weight) * 0.1)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.attention = ChannelAttention(channels) if attention else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the branch's features, shaped like ``x``."""
        features = self.filtered(x)
        if self.attention is None:
            return features
        return features * self.attention(features)[:, :, None, None].to(features.dtype)

    def filtered(self, x: torch.Tensor) -> torch.Tensor:
        """Return F_i, convolved in float32 even where the rest of the network computes in less.

        It is a hundredth of the work, and oneDNN's weight gradient of a grouped dilated convolution
        in bfloat16 reads past the end of its input on processors with AVX512 (PyTorch 2.14), which
        ends the process now and then. What follows only moves F_i through the memory, twice as fast
        where it is rounded at once.
        """
        kind = x.device.type
        computed = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        with torch.autocast(kind, enabled=False):
            return self.conv(x.float()).to(computed)


class MFAF(nn.Module):
    """The multi-scale attention network.

    Parameters
    ----------
    channels : int
        Input channels (encoded bands).
    size : int
        Cells along a window; sets the first strides of a backbone made for photographs.
    backbone : {"compact", "resnet18", "shufflenet_v2", "googlenet", "mobilenet_v2", "mnasnet"}
        See :mod:`geomfaf.models.network.backbones`.
    dilations : sequence of int
        One branch each; scaled to the window when omitted. A single ``0`` leaves out the branches:
        the plain backbone. So does a single ``1`` without channel attention: a convolution of each
        band alone, before the backbone's first convolution of all bands, is no other scale and adds
        nothing that the second could not learn.
    channel_attention, spatial_attention : bool
        Off for the paper's ablation.
    shared : bool
        One backbone for all branches (they are folded into the batch), else one each.

    Examples
    --------
    >>> model = MFAF(10, 16)
    >>> model(torch.zeros(4, 10, 16, 16)).shape
    torch.Size([5, 4, 2])
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        backbone: str = "compact",
        dilations: Sequence[int] | None = None,
        channel_attention: bool = True,
        spatial_attention: bool = True,
        shared: bool = True,
    ) -> None:
        super().__init__()
        rates = scaled_dilations(size) if dilations is None else tuple(dilations)
        plain = rates == (0,) or (rates == (1,) and not channel_attention)
        # The order in which the parts are made decides which random numbers each of them gets.
        self.branches = nn.ModuleList()
        if plain:
            self.branches.append(nn.Identity())
        else:
            for rate in rates:
                self.branches.append(Branch(channels, rate, attention=channel_attention))
        self.backbones = nn.ModuleList()
        for _ in range(1 if shared else len(rates)):
            self.backbones.append(make_backbone(backbone, channels, size))
        self.spatial = SpatialAttention() if spatial_attention else None
        # What the published classifier drops of the pooled features in training.
        share: float = self.backbones[0].dropout  # type: ignore[assignment]
        self.dropout = nn.Dropout(share) if share else nn.Identity()
        self.classifier = nn.Linear(self.backbones[0].features, 2)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of every branch, (branches, batch, 2); class 1 is "ore"."""
        logits = self.classifier(self.dropout(self.pooled(x)))
        return logits.view(len(self.branches), len(x), 2)

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the classifier looks at: each branch's mean features, (branches * batch,
        features).
        """
        return self.maps([branch(x) for branch in self.branches]).mean(dim=(2, 3))

    def maps(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the feature maps of what each branch gave, one branch after the other, (batches,
        features, y, x).
        """
        if len(self.backbones) == 1:
            # All branches in one batch: a backbone of few channels is bound by its calls.
            maps = self.backbones[0](torch.cat(list(features)))
        else:
            own = zip(self.backbones, features, strict=True)
            maps = torch.cat([backbone(part) for backbone, part in own])
        if self.spatial is None:
            return maps
        return maps * self.spatial(maps)

    def factor_weights(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean channel-attention weight of every branch and channel, (branches,
        channels).
        """
        rows = []
        for branch in self.branches:
            if isinstance(branch, Branch) and branch.attention is not None:
                weights = branch.attention(branch.filtered(x))
                rows.append(weights.mean(dim=0))
        return torch.stack(rows) if rows else torch.ones(0, x.shape[1])


def distillation_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    *,
    beta: float = 0.4,
    temperature: float = 3.0,
) -> torch.Tensor:
    """Return (1 - beta) * mean cross-entropy + beta * T^2 * mean KL(teacher || branch).

    The paper sums the branches' losses and adds a self-distillation term with coefficient beta (9);
    means instead of sums leave the learning rate's meaning alone when branches are added. The
    teacher here is the detached mean of the branches' logits, softened by the temperature T (Hinton
    et al. 2015).

    Parameters
    ----------
    logits : Tensor
        (branches, batch, 2).
    labels : Tensor
        (batch,) int64.
    """
    count = len(logits)
    ce = functional.cross_entropy(logits.flatten(0, 1), labels.repeat(count))
    # A single branch is its own teacher: there is nothing to distil.
    if beta == 0 or count == 1:
        return ce
    # What all branches say together teaches each of them; no gradient flows through the teacher.
    teacher = functional.log_softmax(logits.detach().mean(dim=0) / temperature, dim=1)
    students = functional.log_softmax(logits / temperature, dim=2)
    divergence = functional.kl_div(
        students, teacher.expand_as(students), reduction="sum", log_target=True
    )
    return (1 - beta) * ce + beta * temperature**2 * divergence / (count * len(labels))


def branch_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """Return P(ore) of every branch, (branches, batch) (10); the mean is the score, P > 0.5 a vote
    (11).
    """
    return functional.softmax(logits.float(), dim=2)[:, :, 1]
