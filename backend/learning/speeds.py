"""How fast the parts of a run are, so that the slowest can be put right before hours are spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch

from backend.learning.devices import Place, tuned
from backend.learning.loader import Batch
from backend.learning.networks import normalised
from backend.segmentation.model import SegmentationModel

TIMES = 3


def speeds(
    student: SegmentationModel, teacher: SegmentationModel, batches: Iterator[Batch], place: Place
) -> dict[str, float]:
    """Canvases a second on this device: `loader` (which has its own processes), `teacher`, and `student` (forward and
    backward). What is slowest limits stage 1; stage 2 adds the decoder, once an object and round."""
    batch = next(batches)
    canvas, _ = normalised(batch.pixels, batch.extents, place.device)

    def look() -> None:
        with torch.no_grad(), place.autocast():
            teacher.image_encoder(canvas)

    def learn() -> None:
        with tuned():
            with place.autocast():
                made = student.image_encoder(canvas)
            torch.autograd.backward(made.float().square().mean())
        student.zero_grad(set_to_none=True)

    parts: dict[str, Callable[[], object]] = {"loader": lambda: next(batches), "teacher": look, "student": learn}
    return {name: len(canvas) / _seconds(part, place) for name, part in parts.items()}


def _seconds(part: Callable[[], object], place: Place) -> float:
    """Of one call, after one that warms up."""
    part()
    _wait(place)
    started = time.monotonic()
    for _ in range(TIMES):
        part()
    _wait(place)
    return (time.monotonic() - started) / TIMES


def _wait(place: Place) -> None:
    if place.device.type == "cuda":
        torch.cuda.synchronize(place.device)
