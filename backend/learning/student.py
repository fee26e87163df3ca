"""A model under fine-tuning: what of it learns, and how it sees pictures and answers on them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass, field
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from backend.learning.decoding import decoder_of, places_of
from backend.learning.devices import fast_in_bf16
from backend.learning.examples import Example
from backend.learning.gate import Answering, Answers
from backend.learning.low_rank import LowRank
from backend.learning.prompting import Decode
from backend.learning.training import optimizer_for
from backend.segmentation.engines import Embedding
from backend.segmentation.model import SegmentationModel
from backend.segmentation.preprocess import Frame, canvas_of
from backend.segmentation.repvit import RepViT
from backend.segmentation.windows import Closer, Window

DECODER, ENCODER = "mask_decoder.", "image_encoder."

ENCODER_HASTE = 5.0
"""How much faster than the decoder the encoder's changes learn: they begin at nothing."""

MOST_KEPT = 128
"""Pictures whose early features are kept while it learns, 1.5 MiB each."""

State = Mapping[str, Tensor]
"""Weights by their names in a SegmentationModel: those that were learned."""


@dataclass(frozen=True, slots=True)
class Student:
    """A copy of a model whose mask decoder learns, without the head that predicts IoUs, since masks are scored by
    stability; and EdgeSAM's encoder too, by low-rank changes. MobileSAM's would take a CPU too long.

    early: what the encoder's early stages see in a picture, by its key, where they learn nothing.
    """

    model: SegmentationModel
    decode: Decode
    encoder: LowRank | None
    early: dict[str, Tensor] = field(default_factory=dict)

    @property
    def learning(self) -> nn.ModuleDict:
        """What learns."""
        parts: dict[str, nn.Module] = {"decoder": self.model.mask_decoder}
        return nn.ModuleDict(parts | ({"encoder": self.encoder} if self.encoder else {}))

    def optimizer(self) -> torch.optim.AdamW:
        """Over what learns."""
        encoder = [(self.encoder, ENCODER_HASTE)] if self.encoder else []
        return optimizer_for([(self.model.mask_decoder, 1.0), *encoder])

    def places(self, example: Example, again: bool = True) -> Tensor:
        """A picture's embedding as it is seen now, float32 1 x 4096 x 256; gradients reach the encoder's changes.

        again: whether this very picture will be asked for once more; of others nothing is kept.
        """
        device = next(self.model.parameters()).device
        if self.encoder is None:
            return torch.tensor(example.features, device=device)[None].float()
        early = self.early.get(example.key) if again else None
        if early is None:
            assert isinstance(self.model.image_encoder, RepViT)
            with torch.no_grad(), in_bf16(device):
                early = self.model.image_encoder.early(_canvas(example.pixels, example.frame, device)).half()
            if again and len(self.early) < MOST_KEPT:
                self.early[example.key] = early
        with in_bf16(device):
            return places_of(self.encoder(early.float().contiguous(memory_format=torch.channels_last))).float()

    def answers(self) -> Answers:
        """How it answers now."""

        @torch.no_grad()
        def answers(example: Example) -> Answering:
            seen = _embedding(self.places(example), example.frame)
            return Answering(self.decode, seen, _betters_boxes(self.model))

        return answers

    def state(self) -> State:
        """What was learned, on the CPU."""
        learned = {DECODER + name: value for name, value in self.model.mask_decoder.state_dict().items()}
        if self.encoder:
            learned |= {ENCODER + name: value for name, value in self.encoder.changed().items()}
        return {name: value.detach().clone().cpu() for name, value in learned.items()}


def student_of(model: SegmentationModel, generator: Generator) -> Student:
    """A student that begins as the model."""
    own = copy.deepcopy(model).requires_grad_(False)
    own.mask_decoder.requires_grad_(True)
    own.mask_decoder.iou_prediction_head.requires_grad_(False)
    encoder = LowRank(own.image_encoder, generator) if isinstance(own.image_encoder, RepViT) else None
    return Student(own, decoder_of(own), encoder)


def with_state(model: SegmentationModel, learned: State) -> SegmentationModel:
    """A copy of the model with what was learned."""
    changed = copy.deepcopy(model)
    changed.load_state_dict(learned, strict=False)
    return changed.requires_grad_(False)


def answers_of(model: SegmentationModel, learned: State, closely: bool = False) -> Answers:
    """How the model answers with what was learned, if anything; a picture is seen once where the encoder learned too.

    closely: what is small is looked at in windows too (backend/segmentation/windows.py), as it is for those who are
    served; each takes an encode.
    """
    changed = with_state(model, learned) if learned else model
    decode, sees_anew = decoder_of(changed), any(name.startswith(ENCODER) for name in learned)
    twice, seen = _betters_boxes(model), dict[str, Embedding]()

    def answers(example: Example) -> Answering:
        closer = _closer(changed, example) if closely else None
        if not sees_anew:
            return Answering(decode, example.embedding, twice, closer)
        if example.key not in seen:
            seen[example.key] = _seen_by(changed, example.pixels, example.frame)
        return Answering(decode, seen[example.key], twice, closer)

    return answers


def _betters_boxes(model: SegmentationModel) -> bool:
    """As WeightsFile.betters_boxes, of the file that the model is from."""
    return isinstance(model.image_encoder, RepViT)


def _closer(model: SegmentationModel, example: Example) -> Closer:
    """Windows of a picture, each encoded once."""
    scale = example.frame.scaled[0] / example.frame.width

    @cache
    def closer(window: Window) -> Embedding:
        left, top, right, bottom = (round(scale * side) for side in astuple(window))
        return _seen_by(model, example.pixels[top:bottom, left:right], window.frame)

    return closer


@torch.no_grad()
def _seen_by(model: SegmentationModel, pixels: NDArray[np.uint8], frame: Frame) -> Embedding:
    device = next(model.parameters()).device
    with in_bf16(device):
        return _embedding(places_of(model.image_encoder(_canvas(pixels, frame, device))), frame)


def in_bf16(device: torch.device) -> AbstractContextManager[None]:
    """Within, products are in bfloat16, where that is fast."""
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_in_bf16(device))


def _canvas(pixels: NDArray[np.uint8], frame: Frame, device: torch.device) -> Tensor:
    canvas = torch.from_numpy(canvas_of(pixels, frame)).to(device)
    return canvas.contiguous(memory_format=torch.channels_last)


def _embedding(places: Tensor, frame: Frame) -> Embedding:
    return Embedding(places[0].half().cpu().numpy(), frame)
