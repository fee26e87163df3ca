"""EdgeSAM's encoder: RepViT-M1 with the fused neck (arXiv 2312.06660, arXiv 2307.09283).

Names of parameters are those of the published checkpoints.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from backend.segmentation.layers import EMBEDDING_CHANNELS, ConvNorm, conv_like, neck

Upsample = Literal["bicubic", "bilinear"]
"""How the neck doubles the last stage. The authors' torch code uses bicubic, their exports bilinear."""

STAGES = (
    (48, (True, False, False)),
    (96, (True, False, False)),
    (192, (True, False) * 7 + (False,)),
    (384, (True, False)),
)
"""Channels, and for each block of stride 1 whether it squeezes. Strides are 4, 8, 16, 32."""


class RepViT(nn.Module):
    """Canvas B x 3 x 1024 x 1024 -> embedding B x 256 x 64 x 64."""

    def __init__(self, upsample: Upsample) -> None:
        super().__init__()
        width = STAGES[0][0]
        blocks: list[nn.Module] = [stem(width)]
        for channels, squeezes in STAGES:
            if channels != width:
                blocks.append(downsampling_block(width, channels))
            if channels == STAGES[-2][0]:
                self.first_late = len(blocks)
            blocks.extend(block(channels, squeeze) for squeeze in squeezes)
            width = channels
            if channels == STAGES[-2][0]:
                self._last_of_middle = len(blocks) - 1
        self.features = nn.ModuleList(blocks)
        self.fuse_stage2 = nn.Conv2d(STAGES[-2][0], EMBEDDING_CHANNELS, 1, bias=False)
        self.fuse_stage3 = Doubled(STAGES[-1][0], EMBEDDING_CHANNELS, upsample)
        self.neck = neck(EMBEDDING_CHANNELS)

    def forward(self, canvas: Tensor) -> Tensor:
        return self.late(self.early(canvas))

    def early(self, canvas: Tensor) -> Tensor:
        """The stages of stride 4 and 8, and the way to the next: B x 192 x 64 x 64."""
        x = canvas
        for layer in list(self.features)[: self.first_late]:
            x = layer(x)
        return x

    def late(self, early: Tensor) -> Tensor:
        """What comes after `early`: most of the weights."""
        x = middle = early
        for index, layer in enumerate(self.features):
            if index >= self.first_late:
                x = layer(x)
            if index == self._last_of_middle:
                middle = x
        embedding: Tensor = self.neck(self.fuse_stage2(middle) + self.fuse_stage3(x))
        return embedding


class Doubled(nn.Module):
    """A 1x1 convolution, then twice the size. `op_list.0` is its name in the published checkpoints."""

    def __init__(self, inputs: int, outputs: int, upsample: Upsample) -> None:
        super().__init__()
        self.op_list = nn.ModuleList([nn.Conv2d(inputs, outputs, 1, bias=False)])
        self.upsample = upsample

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.op_list[0](x), scale_factor=2.0, mode=self.upsample, align_corners=False)


class Block(nn.Module):
    """Mixes neighbouring pixels, then channels."""

    def __init__(self, token_mixer: nn.Module, channels: int) -> None:
        super().__init__()
        self.token_mixer = token_mixer
        inner = 2 * channels
        self.channel_mixer = Residual(
            nn.Sequential(ConvNorm(channels, inner), nn.GELU(), ConvNorm(inner, channels, scale=0.0))
        )

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.channel_mixer(self.token_mixer(x))
        return mixed


def stem(channels: int) -> nn.Sequential:
    """Pixels -> features at stride 4."""
    half = channels // 2
    return nn.Sequential(ConvNorm(3, half, 3, stride=2), nn.GELU(), ConvNorm(half, channels, 3, stride=2))


def block(channels: int, squeeze: bool) -> Block:
    gate = SqueezeExcite(channels) if squeeze else nn.Identity()
    return Block(nn.Sequential(DepthwiseMixer(channels), gate), channels)


def downsampling_block(inputs: int, outputs: int) -> Block:
    halved = ConvNorm(inputs, inputs, 3, stride=2, groups=inputs)
    return Block(nn.Sequential(halved, nn.Identity(), ConvNorm(inputs, outputs)), outputs)


class DepthwiseMixer(nn.Module):
    """A 3x3 and a 1x1 depthwise convolution and the input itself, added: one 3x3 convolution once trained."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, channels, 3, groups=channels)
        self.conv1 = ConvNorm(channels, channels, 1, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.conv.bn.training:
            mixed: Tensor = self.conv(x) + self.conv1(x) + x
            return mixed
        weight, bias = self.folded(self.conv.c.weight.dtype)
        return F.conv2d(x, weight, bias, padding=1, groups=len(weight))

    def folded(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that this is where the norms no longer measure."""
        wide, wide_bias = self.conv.folded(dtype)
        narrow, narrow_bias = self.conv1.folded(dtype)
        return wide + F.pad(narrow + 1, (1, 1, 1, 1)), wide_bias + narrow_bias

    def merged(self) -> nn.Conv2d:
        return conv_like(self.conv.c, *self.folded(torch.float64))


class SqueezeExcite(nn.Module):
    """Each channel times a gate between 0 and 1 that sees the mean of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, (channels // 4 + 4) // 8 * 8)  # a quarter, to the nearest multiple of 8
        self.fc1, self.fc2 = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Residual(nn.Module):
    """The input plus what `m` makes of it."""

    def __init__(self, m: nn.Module) -> None:
        super().__init__()
        self.m = m

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = x + self.m(x)
        return added
