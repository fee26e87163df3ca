"""The decoder as training runs it: three times as fast as SAM's own modules, with the same weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from backend.learning.devices import fast_in_bf16
from backend.learning.prompting import Decode
from backend.segmentation.model import SegmentationModel
from backend.segmentation.slots import SlottedDecoder

ALL_MASKS = 4
EXACT = "gaussian_matrix"
"""Turns coordinates into angles: in bfloat16 a click would miss by several pixels."""


def decoder_of(model: SegmentationModel) -> Decode:
    """The model's decoder, as `backend.segmentation.model.Decoder` answers, but for embeddings as `places_of` has them;
    gradients reach the model's own weights. It answers where the model is, wherever the prompt is.

    Where that is fast, all of it is in bfloat16, but for the weights themselves and where a click is: three times as
    fast as autocast, which goes back to float32 at every norm.
    """
    whole = SlottedDecoder(model, ALL_MASKS)
    device = whole.positions.device
    narrow = fast_in_bf16(device)

    def decode(
        places: Tensor, coordinates: Tensor, labels: Tensor, low_res: Tensor, has_low_res: Tensor
    ) -> tuple[Tensor, Tensor]:
        made: tuple[Tensor, Tensor]
        prompt = [tensor.to(device) for tensor in (places, coordinates, labels, low_res, has_low_res)]
        if narrow:
            weights = dict([*whole.named_parameters(), *whole.named_buffers()])
            halved = {name: _halved(value) for name, value in weights.items() if EXACT not in name}
            places, coordinates, labels, low_res, has_low_res = prompt
            asked = _halved(places), coordinates, labels, _halved(low_res), _halved(has_low_res)
            made = functional_call(whole, halved, asked, tie_weights=False)  # modules are shared: once is enough
        else:
            made = whole(*prompt)
        return made

    return decode


def places_of(embedding: Tensor) -> Tensor:
    """N x 256 x 64 x 64 -> N x 4096 x 256, as engines keep it."""
    return embedding.flatten(2).transpose(1, 2)


def _halved(value: Tensor) -> Tensor:
    return value.to(torch.bfloat16) if value.is_floating_point() else value
