"""Teacher and student as training uses them, and what moves between them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import torch
from safetensors.torch import save
from torch import Tensor, nn

from backend.segmentation.checkpoints import read_state_dict
from backend.segmentation.model import SegmentationModel, build_model, load_model
from backend.segmentation.preprocess import MEAN, SIDE, STD
from backend.segmentation.repvit import Upsample
from backend.segmentation.weights import WeightsFile

ENCODER: Literal["repvit_m1"] = "repvit_m1"
UPSAMPLE: Upsample = "bilinear"
METADATA = {"format": "pt", "encoder": ENCODER, "upsample": UPSAMPLE}

EMBEDDING_STRIDE = 16


def model_of(weights: WeightsFile, device: torch.device) -> SegmentationModel:
    """The model of a file, with gradients off. Raises WeightsError where the file does not fit."""
    kind = cast(Literal["repvit_m1", "tinyvit"], weights.kind)
    model = load_model(read_state_dict(weights.path), kind, cast(Upsample, weights.upsample))
    return model.to(device)


def new_student(teacher: SegmentationModel) -> SegmentationModel:
    """A random encoder with the teacher's prompt encoder, mask decoder and last norms of the neck.

    Random norms would be ten times too loud, and take hours to quieten.
    """
    student = build_model(ENCODER, UPSAMPLE)
    student.prompt_encoder.load_state_dict(teacher.prompt_encoder.state_dict())
    student.mask_decoder.load_state_dict(teacher.mask_decoder.state_dict())
    for number in (1, 2, 3):
        _neck(student)[number].load_state_dict(_neck(teacher)[number].state_dict())
    return student


def normalised(pixels: Tensor, extents: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """uint8 B x 3 x S x S and the pictures' height and width on them -> the encoder's input, zero off the picture,
    and which cells of the embedding lie on it: B x 1 x S/16 x S/16 of 0 and 1."""
    mean, std = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (MEAN, STD))
    extents = extents.to(device, non_blocking=True)
    places = torch.arange(pixels.shape[-1], device=device)
    inside = (places[None, :, None] < extents[:, :1, None]) & (places[None, None, :] < extents[:, 1:, None])
    canvas = (pixels.to(device, non_blocking=True).float() - mean) / std * inside[:, None]
    cells = inside[:, None, ::EMBEDDING_STRIDE, ::EMBEDDING_STRIDE].float()
    return canvas.contiguous(memory_format=torch.channels_last), cells


def averaged(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Moves `average` (a state dict in float32) towards the model's weights; whole numbers are copied."""
    state = model.state_dict()
    moving = [name for name, value in state.items() if name in average and value.is_floating_point()]
    if moving:  # all at once: one by one, starting a kernel for each takes a GPU longer than the step of a decoder
        torch._foreach_lerp_([average[name] for name in moving], [state[name] for name in moving], 1 - decay)
    average.update({name: value.clone() for name, value in state.items() if name not in moving})


def save_weights(state: dict[str, Tensor], path: Path) -> None:
    """The shipped form: fp16 safetensors with the published names, that say which encoder they hold. Atomic."""
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous().cpu() for name, value in state.items()
    }
    part = path.with_suffix(".part")
    part.write_bytes(save(half, METADATA))  # save_file makes a file that nobody else may read
    part.replace(path)


def share_of_canvas(pixels: Tensor) -> float:
    """How many whole canvases a batch B x 3 x S x S is worth."""
    return float(len(pixels) * pixels.shape[-1] * pixels.shape[-2]) / SIDE**2


def _neck(model: SegmentationModel) -> nn.Sequential:
    neck = model.image_encoder.neck
    assert isinstance(neck, nn.Sequential)
    return neck
