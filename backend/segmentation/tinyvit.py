"""MobileSAM's encoder: TinyViT at stride 16 (arXiv 2306.14289, arXiv 2207.10666). For inference only.

Names of parameters are those of mobile_sam.pt, whose image classifier (`norm_head`, `head`) no mask needs.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from backend.segmentation.layers import ConvNorm, neck

STAGES = ((128, 2, 4, 7, 128), (160, 6, 5, 14, 64), (320, 2, 10, 7, 64))
"""Channels, blocks, heads, side of a window, side of the grid of features, of the stages with attention."""

CONVOLUTIONAL_CHANNELS, CONVOLUTIONAL_BLOCKS = 64, 2


class TinyViT(nn.Module):
    """Canvas B x 3 x 1024 x 1024 -> embedding B x 256 x 64 x 64."""

    def __init__(self) -> None:
        super().__init__()
        first = CONVOLUTIONAL_CHANNELS
        self.patch_embed = PatchEmbedding(first)
        inverted = [InvertedBottleneck(first) for _ in range(CONVOLUTIONAL_BLOCKS)]
        layers = [Stage(inverted, PatchMerging(first, STAGES[0][0], stride=2))]
        for number, (channels, blocks, heads, window, side) in enumerate(STAGES):
            attending = [AttentionBlock(channels, heads, window) for _ in range(blocks)]
            following = STAGES[number + 1] if number + 1 < len(STAGES) else None
            merging = PatchMerging(channels, following[0], side // following[4]) if following else None
            layers.append(Stage(attending, merging))
        self.layers = nn.ModuleList(layers)
        self.neck = neck(STAGES[-1][0])

    def forward(self, canvas: Tensor) -> Tensor:
        x = self.patch_embed(canvas)
        for layer in self.layers:
            x = layer(x)
        embedding: Tensor = self.neck(x)
        return embedding


class Stage(nn.Module):
    """Blocks of one width, then the way to the next."""

    def __init__(self, blocks: Iterable[nn.Module], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        if self.downsample is not None:
            x = self.downsample(x)
        return x


class PatchEmbedding(nn.Module):
    """Pixels -> features at stride 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.seq = nn.Sequential(ConvNorm(3, half, 3, stride=2), nn.GELU(), ConvNorm(half, channels, 3, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.seq(x)
        return embedded


class InvertedBottleneck(nn.Module):
    """1x1 to four times the width, 3x3 depthwise, 1x1 back, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = 4 * channels
        self.conv1 = ConvNorm(channels, inner)
        self.conv2 = ConvNorm(inner, inner, 3, groups=inner)
        self.conv3 = ConvNorm(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x + self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x))))))


class PatchMerging(nn.Module):
    """Other channels, and 1/stride of the size."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride=stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.conv3(F.gelu(self.conv2(F.gelu(self.conv1(x)))))
        return merged


class AttentionBlock(nn.Module):
    """Attention within windows, a 3x3 depthwise convolution across them, and a perceptron for each pixel."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attn = Attention(channels, heads, window)
        self.local_conv = ConvNorm(channels, channels, 3, groups=channels)
        self.mlp = Perceptron(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + attend_by_window(self.attn, x.permute(0, 2, 3, 1), self.window).permute(0, 3, 1, 2)
        x = self.local_conv(x)
        mixed: Tensor = x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return mixed


def attend_by_window(attention: nn.Module, x: Tensor, side: int) -> Tensor:
    """Attention on each side x side window of B x H x W x C. Zeros fill the last windows, and are attended to."""
    batch, height, width, channels = x.shape
    rows, columns = -(-height // side), -(-width // side)
    x = F.pad(x, (0, 0, 0, columns * side - width, 0, rows * side - height))
    x = x.reshape(batch, rows, side, columns, side, channels).transpose(2, 3)
    x = attention(x.reshape(-1, side * side, channels))
    x = x.reshape(batch, rows, columns, side, side, channels).transpose(2, 3)
    return x.reshape(batch, rows * side, columns * side, channels)[:, :height, :width]


class Attention(nn.Module):
    """Attention of B x (side * side) x C, with a learned bias for each distance in rows and columns."""

    distances: Tensor

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, side * side))
        self.register_buffer("distances", _distances(side), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, channels = x.shape
        each = self.qkv(self.norm(x)).view(batch, tokens, self.heads, 3, channels // self.heads)
        query, key, value = each.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, self.distances]
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        attended: Tensor = self.proj(seen.transpose(1, 2).reshape(batch, tokens, channels))
        return attended


def _distances(side: int) -> Tensor:
    """For each pair of a window's pixels the number of its bias: |rows apart| * side + |columns apart|."""
    place = torch.arange(side * side)
    row, column = place // side, place % side
    return (row[:, None] - row).abs() * side + (column[:, None] - column).abs()


class Perceptron(nn.Module):
    """Two layers on the last dimension, normalised first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.fc2(F.gelu(self.fc1(self.norm(x))))
        return made
