"""Low-rank changes of an encoder (arXiv 2106.09685): how to see a project's pictures, in a few of its weights."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from backend.segmentation.repvit import RepViT

RANK = 8


class LowRank(nn.Module):
    """The late stages of an encoder, with `up @ down` added to the weights of their convolutions over channels. Only
    that learns, and only that is its state; the encoder stays as it is. It begins as the encoder does: `up` is zero.

    The early stages see edges and colours, which are the same everywhere, and cost as much to learn as all others.
    """

    def __init__(self, encoder: RepViT, generator: Generator) -> None:
        super().__init__()
        self._late = (_Late(encoder),)  # no submodule: its weights are not ours
        early = {id(layer) for block in list(encoder.features)[: encoder.first_late] for layer in block.modules()}
        self._names = [
            f"{name}.weight"
            for name, layer in encoder.named_modules()
            if isinstance(layer, nn.Conv2d) and layer.groups == 1 and id(layer) not in early
        ]
        weights: list[Tensor] = [encoder.get_parameter(name) for name in self._names]
        self.down = nn.ParameterList(_random(one[0].numel(), generator) for one in weights)
        self.up = nn.ParameterList(torch.zeros(len(one), RANK, device=one.device) for one in weights)

    def changed(self) -> dict[str, Tensor]:
        """The weights that are not the encoder's own, by their names in it."""
        (late,) = self._late
        changes = {name: up @ down for name, up, down in zip(self._names, self.up, self.down, strict=True)}
        own: dict[str, Tensor] = {name: late.encoder.get_parameter(name) for name in changes}
        return {name: own[name] + change.view_as(own[name]) for name, change in changes.items()}

    def forward(self, early: Tensor) -> Tensor:
        """As RepViT.late."""
        (late,) = self._late
        weights = {f"encoder.{name}": value for name, value in self.changed().items()}
        embedding: Tensor = functional_call(late, weights, early)
        return embedding


class _Late(nn.Module):
    def __init__(self, encoder: RepViT) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, early: Tensor) -> Tensor:
        return self.encoder.late(early)


def _random(inputs: int, generator: Generator) -> Tensor:
    return torch.randn(RANK, inputs, generator=generator, device=generator.device) / math.sqrt(inputs)
