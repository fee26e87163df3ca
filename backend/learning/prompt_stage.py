"""Stage 2: encoder and decoder learn from prompts, with true masks and with the teacher's.

The prompt encoder stays as it is. Batch norms keep the statistics of stage 1. On photographs the embedding goes on
being compared with the teacher's, and only boxes start the prompting: what a person means by one click, only true
masks can tell.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.autograd import backward

from backend.learning.decoding import decoder_of, places_of
from backend.learning.devices import Place, tuned
from backend.learning.loader import Batch
from backend.learning.losses import unexplained
from backend.learning.networks import normalised
from backend.learning.prompting import Objects, learned_rounds, prompt_rounds, teachers_objects
from backend.learning.training import Step
from backend.segmentation.model import SegmentationModel

EMBEDDING_WEIGHT = 2.0
BOX_SHARE = 0.5


def prompt_step(
    student: SegmentationModel,
    teacher: SegmentationModel,
    batches: Iterator[Batch],
    place: Place,
    generator: Generator,
    most_objects: int,
) -> Step:
    """One batch: encode all its canvases once, prompt for all objects on them, then one backward pass.

    Each canvas counts the same, however many objects it shows. most_objects: of the teacher's on one photograph.
    """
    student.image_encoder.eval()  # small batches of pictures would spoil the norms' statistics
    decoder, teachers_decoder = decoder_of(student), decoder_of(teacher)

    def step() -> tuple[float, dict[str, float]]:
        batch = next(batches)
        canvas, inside = normalised(batch.pixels, batch.extents, place.device)
        with tuned(), place.autocast():
            made = student.image_encoder(canvas)
        leaf = made.detach().float().requires_grad_()
        figures: dict[str, float] = {}
        coverage, owner = batch.coverage, batch.owner
        photos = batch.photographs.nonzero()[:, 0]
        if len(photos):
            target = _teachers_embedding(teacher, canvas[photos], place)
            loss = unexplained(leaf[photos], target, inside[photos])
            backward(EMBEDDING_WEIGHT * len(photos) / len(canvas) * loss)
            figures["unexplained"] = loss.item()
            seen, whose = teachers_objects(
                teachers_decoder, places_of(target), batch.extents[photos], most_objects, generator
            )
            coverage, owner = torch.cat([coverage, seen]), torch.cat([owner, photos[whose]])
        if len(owner):
            weight = 1 / owner.bincount(minlength=len(canvas))[owner] / len(canvas)
            box_share = torch.where(batch.photographs[owner], 1.0, BOX_SHARE)
            objects, learned = Objects(coverage, owner, weight), learned_rounds(len(owner), generator)
            figures |= prompt_rounds(decoder, places_of(leaf), objects, learned, box_share, generator)
        if leaf.grad is not None:
            with tuned():
                backward(made, leaf.grad.to(made.dtype))
        return float(len(canvas)), figures

    return step


@torch.no_grad()
def _teachers_embedding(teacher: SegmentationModel, canvas: Tensor, place: Place) -> Tensor:
    with place.autocast():
        embedding: Tensor = teacher.image_encoder(canvas)
    return embedding.float()
