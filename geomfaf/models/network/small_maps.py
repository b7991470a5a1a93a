"""Convolutions of maps of 2 x 2 cells as one product of matrices.

The published networks end in such maps at windows of 16 and of 64 cells. There, 20 of the 36
products of a 3x3 convolution are with the padding, and oneDNN computes them (PyTorch 2.14). A
product of matrices leaves them out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

QUARTERS = tuple(
    (slice(1 - row, 3 - row), slice(1 - column, 3 - column)) for row in (0, 1) for column in (0, 1)
)
"""The 2 x 2 weights of a 3x3 kernel that lie on the map when the kernel stands on its first,
second, ... cell.
"""


class SmallMapConv2d(nn.Conv2d):
    """A 3x3 convolution, padded by one, that knows the shortcut for maps of 2 x 2 cells.

    Weights, their names and, within rounding, results are those of `torch.nn.Conv2d`.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the convolved map, (batch, channels, y, x)."""
        if input.shape[2:] != (2, 2) or input.device.type != "cpu":
            return super().forward(input)
        if torch.is_autocast_enabled("cpu"):
            input = input.to(torch.get_autocast_dtype("cpu"))
        return _Product.apply(input, self.weight)


def with_small_maps(net: nn.Module) -> nn.Module:
    """Return ``net`` with its plain 3x3 convolutions in their quick form; the weights stay the same
    objects.

    >>> net = with_small_maps(nn.Sequential(nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 1)))
    >>> [type(layer).__name__ for layer in net]
    ['SmallMapConv2d', 'Conv2d']
    """
    like = {
        "kernel_size": (3, 3),
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
        "bias": None,
    }
    for parent in list(net.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Conv2d and all(
                getattr(layer, key) == value for key, value in like.items()
            ):
                # On "meta" no random numbers are drawn: those of a seed go where they would without
                # us.
                quick = SmallMapConv2d(
                    layer.in_channels, layer.out_channels, 3, padding=1, bias=False, device="meta"
                )
                quick.weight = layer.weight
                setattr(parent, name, quick)
    return net


class _Product(torch.autograd.Function):
    """y = x W', x and y with the channels of the four cells in a row, W the kernel's quarters below
    each other.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        kernel = weight.permute(0, 2, 3, 1)
        outputs, _, _, inputs = kernel.shape
        quarters = torch.empty(4, outputs, 2, 2, inputs, dtype=x.dtype)
        for quarter, (rows, columns) in zip(quarters, QUARTERS, strict=True):
            quarter.copy_(kernel[:, rows, columns])
        matrix = quarters.view(4 * outputs, 4 * inputs)
        cells = _cells_in_a_row(x)
        ctx.save_for_backward(cells, matrix, weight)
        return _map_of(functional.linear(cells, matrix))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cells, matrix, weight = ctx.saved_tensors
        gradient = _cells_in_a_row(gradients[0])
        by_quarter = (gradient.T @ cells).view(4, weight.shape[0], 2, 2, weight.shape[1])
        of_kernel = torch.zeros_like(weight.permute(0, 2, 3, 1))
        for quarter, (rows, columns) in zip(by_quarter, QUARTERS, strict=True):
            of_kernel[:, rows, columns] += quarter
        return _map_of(gradient @ matrix), of_kernel.permute(0, 3, 1, 2)


def _cells_in_a_row(maps: torch.Tensor) -> torch.Tensor:
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1)


def _map_of(rows: torch.Tensor) -> torch.Tensor:
    return rows.view(len(rows), 2, 2, rows.shape[1] // 4).permute(0, 3, 1, 2)
