"""Layers that both encoders share, and the merging of batch norms into convolutions for inference."""

from __future__ import annotations

import copy
from typing import Protocol, TypeVar, runtime_checkable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

EMBEDDING_CHANNELS = 256


@runtime_checkable
class Mergeable(Protocol):
    """A layer that is one plain convolution once it no longer learns."""

    def merged(self) -> nn.Conv2d: ...


class ConvNorm(nn.Sequential):
    """A convolution without bias, then batch norm: `c` and `bn` in the published state dicts."""

    c: nn.Conv2d
    bn: nn.BatchNorm2d

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.add_module("c", nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False))
        self.add_module("bn", nn.BatchNorm2d(outputs))
        nn.init.constant_(self.bn.weight, scale)

    def forward(self, x: Tensor) -> Tensor:
        """While the norm's statistics stand still it is part of the convolution: training takes half as long."""
        if self.bn.training:
            normed: Tensor = self.bn(self.c(x))
            return normed
        weight, bias = self.folded(self.c.weight.dtype)
        return F.conv2d(x, weight, bias, self.c.stride, self.c.padding, groups=self.c.groups)

    def folded(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that this is where the norm no longer measures."""
        mean, variance = self.bn.running_mean, self.bn.running_var
        assert mean is not None
        assert variance is not None
        factor = self.bn.weight.to(dtype) / (variance.to(dtype) + self.bn.eps).sqrt()
        weight = self.c.weight.to(dtype) * factor[:, None, None, None]
        return weight, self.bn.bias.to(dtype) - mean.to(dtype) * factor

    def merged(self) -> nn.Conv2d:
        return conv_like(self.c, *self.folded(torch.float64))


class LayerNorm2d(nn.Module):
    """Normalises each pixel over its channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, 1e-6)
        return normed.permute(0, 3, 1, 2)


def neck(inputs: int) -> nn.Sequential:
    """SAM's neck: features of any width -> the embedding's 256 channels, normalised."""
    return nn.Sequential(
        nn.Conv2d(inputs, EMBEDDING_CHANNELS, 1, bias=False),
        LayerNorm2d(EMBEDDING_CHANNELS),
        nn.Conv2d(EMBEDDING_CHANNELS, EMBEDDING_CHANNELS, 3, padding=1, bias=False),
        LayerNorm2d(EMBEDDING_CHANNELS),
    )


def conv_like(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with the shape of `conv` (padding: half its kernel) with this weight and bias, in its precision."""
    made = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (conv.kernel_size[0], conv.kernel_size[1]),
        (conv.stride[0], conv.stride[1]),
        conv.kernel_size[0] // 2,
        groups=conv.groups,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    made.load_state_dict({"weight": weight, "bias": bias})
    return made


Part = TypeVar("Part", bound=nn.Module)


def reparameterised(module: Part) -> Part:
    """A copy for inference: each layer that can be one convolution is one. Outputs stay the same, but for rounding."""
    made = copy.deepcopy(module).eval().requires_grad_(False)
    _merge_children(made)
    return made


def _merge_children(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, Mergeable):
            setattr(module, name, child.merged().requires_grad_(False))
        else:
            _merge_children(child)
