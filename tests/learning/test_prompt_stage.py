from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.learning import prompt_stage
from backend.learning.canvases import COVERED, Canvas
from backend.learning.devices import Place
from backend.learning.loader import Batch, collated
from backend.learning.networks import model_of
from backend.learning.prompt_stage import BOX_SHARE, EMBEDDING_WEIGHT, prompt_step
from backend.learning.prompting import Objects
from backend.segmentation.model import SegmentationModel
from backend.segmentation.weights import WeightsFile

CPU = Place(torch.device("cpu"))


def canvas(objects: int, photograph: bool = False) -> Canvas:
    """Black, with squares as objects."""
    coverage = np.zeros((objects, 256, 256), np.uint8)
    for number in range(objects):
        coverage[number, 50:90, 20 * number : 20 * number + 40] = COVERED
    return Canvas(np.zeros((1024, 1024, 3), np.uint8), (1024, 1024), coverage, photograph)


def again_and_again(canvases: list[Canvas]) -> Iterator[Batch]:
    while True:
        yield collated(canvases)


@pytest.fixture
def teacher(random_weights: WeightsFile) -> SegmentationModel:
    return model_of(random_weights, CPU.device)


@pytest.fixture
def student(random_weights: WeightsFile) -> SegmentationModel:
    model = model_of(random_weights, CPU.device)
    model.image_encoder.requires_grad_(True)
    model.mask_decoder.requires_grad_(True)
    return model


def test_canvases_count_the_same_and_photographs_begin_with_boxes(
    student: SegmentationModel, teacher: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Objects, Tensor, Tensor]] = []

    def remembered(
        _decode: object, places: Tensor, objects: Objects, _learned: Tensor, box_share: Tensor, _: object
    ) -> dict[str, float]:
        asked.append((objects, box_share, places))
        return {}

    def two_each(_decode: object, places: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        return torch.full((2, 256, 256), COVERED, dtype=torch.uint8), torch.zeros(2, dtype=torch.long)

    monkeypatch.setattr(prompt_stage, "prompt_rounds", remembered)
    monkeypatch.setattr(prompt_stage, "teachers_objects", two_each)
    drawn = again_and_again([canvas(3), canvas(0, photograph=True), canvas(1)])
    seen, _ = prompt_step(student, teacher, drawn, CPU, torch.Generator(), 2)()
    ((objects, box_share, places),) = asked
    assert seen == 3
    assert len(places) == 3
    assert objects.owner.tolist() == [0, 0, 0, 2, 1, 1]
    assert objects.weight.tolist() == pytest.approx([1 / 9] * 3 + [1 / 3] + [1 / 6] * 2)
    assert box_share.tolist() == [BOX_SHARE] * 4 + [1.0] * 2
    assert (objects.coverage[4:] == COVERED).all()


def test_the_encoder_learns_from_photographs_by_the_teachers_embedding(
    student: SegmentationModel, teacher: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A random teacher sees no objects: all that moves the encoder is how far its embedding is from the teacher's."""
    photographs = again_and_again([canvas(0, photograph=True)] * 2)
    step = prompt_step(student, teacher, photographs, CPU, torch.Generator(), 2)
    _, figures = step()
    assert figures["unexplained"] == pytest.approx(0.0, abs=1e-3)
    with torch.no_grad():
        for value in student.image_encoder.neck[3].parameters():
            value.zero_()  # the last norm: an embedding of zeros explains nothing
    _, figures = step()
    assert figures == {"unexplained": pytest.approx(1.0)}
    first = student.image_encoder.neck[3].bias.grad.clone()
    student.zero_grad()
    monkeypatch.setattr(prompt_stage, "EMBEDDING_WEIGHT", 2 * EMBEDDING_WEIGHT)
    step()
    torch.testing.assert_close(student.image_encoder.neck[3].bias.grad, 2 * first, rtol=1e-2, atol=1e-5)
    assert all(value.grad is None for value in student.mask_decoder.parameters())


def test_true_masks_need_no_teacher(student: SegmentationModel, monkeypatch: pytest.MonkeyPatch) -> None:
    _, figures = prompt_step(student, student, again_and_again([canvas(2)]), CPU, torch.Generator(), 2)()
    assert figures.keys() - {"first_iou"} == {"loss"}
    assert student.image_encoder.neck[3].bias.grad is not None
