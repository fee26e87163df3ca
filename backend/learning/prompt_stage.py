"""Stage 2: encoder and decoder learn from prompts, with true masks and with the teacher's.

The prompt encoder stays as it is. Batch norms keep the statistics of stage 1. On photographs the embedding goes on
being compared with the teacher's, and only boxes start the prompting: what a person means by one click, only true
masks can tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.autograd import backward

from backend.learning.canvases import objects_on
from backend.learning.decoding import decoder_of, places_of
from backend.learning.devices import Place
from backend.learning.loader import Batch
from backend.learning.losses import unexplained
from backend.learning.networks import normalised
from backend.learning.prompting import prompt_rounds, teachers_objects
from backend.learning.training import Step
from backend.segmentation.model import SegmentationModel

EMBEDDING_WEIGHT = 2.0
BOX_SHARE = 0.5


def prompt_step(
    student: SegmentationModel,
    teacher: SegmentationModel,
    batches: Iterator[Batch],
    place: Place,
    random: np.random.Generator,
    most_objects: int,
) -> Step:
    """One batch: encode all its pictures once, prompt each for up to `most_objects`, then one backward pass."""
    student.image_encoder.eval()  # small batches of pictures would spoil the norms' statistics
    decoder, teachers_decoder = decoder_of(student), decoder_of(teacher)

    def step() -> tuple[float, dict[str, float]]:
        batch = next(batches)
        canvas, inside = normalised(batch.pixels, batch.extents, place.device)
        with place.autocast():
            made = student.image_encoder(canvas).float()
        leaf = made.detach().requires_grad_()
        photos = [number for number, labels in enumerate(batch.labels) if not labels.any()]
        explained: list[float] = []
        target = _teachers_embedding(teacher, canvas[photos], place) if photos else leaf[:0]
        if photos:
            loss = unexplained(leaf[photos], target, inside[photos])
            backward(EMBEDDING_WEIGHT * len(photos) / len(canvas) * loss)
            explained.append(loss.item())
        losses: list[float] = []
        agreements: list[float] = []

        def learn(loss: Tensor) -> None:
            losses.append(loss.item())
            backward(loss / len(canvas))

        for number in range(len(canvas)):
            photo = number in photos
            if photo:
                extent = int(batch.extents[number, 0]), int(batch.extents[number, 1])
                seen = target[photos.index(number)][None]
                truth = teachers_objects(teachers_decoder, places_of(seen), extent, random, most_objects)
            else:
                truth = objects_on(batch.labels[number].numpy(), random, most_objects)
            if len(truth):
                share = 1.0 if photo else BOX_SHARE
                places = places_of(leaf[number : number + 1])
                agreements += prompt_rounds(decoder, places, truth, random, share, learn)[:1]
        if leaf.grad is not None:
            backward(made, leaf.grad)
        figures = {"loss": losses, "first_iou": agreements, "unexplained": explained}
        return float(len(canvas)), {name: float(np.mean(values)) for name, values in figures.items() if values}

    return step


@torch.no_grad()
def _teachers_embedding(teacher: SegmentationModel, canvas: Tensor, place: Place) -> Tensor:
    with place.autocast():
        embedding: Tensor = teacher.image_encoder(canvas)
    return embedding.float()
