from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend.learning import finetune as finetuning
from backend.learning.examples import Example
from backend.learning.finetune import OBJECTS, chosen_object, drawn, finetune, low_res_labels
from backend.learning.masks import DataError
from backend.segmentation.model import SegmentationModel, build_model
from backend.segmentation.preprocess import Frame


def picture(seed: int, objects: int = 2, weights: tuple[float, ...] | None = None) -> Example:
    """160 x 120 pixels with discs side by side."""
    rows, columns = np.mgrid[:120, :160]
    labels = np.zeros((120, 160), np.int16)
    width = 160 / objects
    for number in range(objects):
        middle = (number + 0.5) * width, 60 + 5 * (seed % 3)
        labels[(columns - middle[0]) ** 2 + (rows - middle[1]) ** 2 < (0.4 * width) ** 2] = number + 1
    features = np.random.default_rng(seed).normal(size=(4096, 256))
    return Example(str(seed), features.astype(np.float16), Frame(160, 120), labels, weights or (1.0,) * objects)


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    torch.manual_seed(0)
    return build_model("repvit_m1").eval().requires_grad_(False)


def test_labels_lie_on_the_grid_as_the_picture_lies_on_the_canvas() -> None:
    cells = low_res_labels(picture(0))
    assert cells.shape == (256, 256)
    assert not cells[192:].any()
    assert cells[96, 64] == 1
    assert cells[96, 192] == 2
    assert np.count_nonzero(cells == 1) == pytest.approx(np.count_nonzero(picture(0).labels == 1) * 1.6**2, rel=0.03)


def test_objects_that_count_more_come_more_often() -> None:
    random, example = np.random.default_rng(0), picture(0, weights=(1.0, 0.25))
    first = low_res_labels(example) == 1
    came = [np.array_equal(chosen_object(example, random), first) for _ in range(300)]
    assert 0.7 < np.mean(came) < 0.9


def test_objects_too_small_for_the_grid_are_left_out() -> None:
    example = picture(0)
    example.labels[example.labels == 1] = 0
    example.labels[0, :3] = 1
    random = np.random.default_rng(0)
    for _ in range(20):
        assert np.array_equal(chosen_object(example, random), low_res_labels(example) == 2)


def test_answers_are_least_apart_where_they_are_the_same() -> None:
    torch.manual_seed(0)
    wanted = torch.randn(2, 16, 16)
    made = wanted.clone().requires_grad_()
    finetuning._apart(made, wanted).sum().backward()
    assert made.grad is not None
    assert made.grad.abs().max() < 1e-6
    assert (finetuning._apart(wanted + 1, wanted) > finetuning._apart(wanted, wanted)).all()


def test_masks_that_are_all_too_small_are_said_plainly(model: SegmentationModel) -> None:
    speck = picture(0)
    speck.labels[:] = 0
    speck.labels[0, :2] = 1
    with pytest.raises(DataError, match="too small"):
        finetune(model, [speck], [picture(1)], [], 1.0, lambda _: None)


def test_a_step_sees_several_pictures_each_object_with_its_own_embedding() -> None:
    examples = [picture(seed, objects=1 + seed) for seed in range(4)]
    embeddings, truth = drawn(examples, np.random.default_rng(0), OBJECTS)
    assert embeddings.shape == (OBJECTS, 4096, 256)
    assert truth.shape == (OBJECTS, 256, 256)
    by_embedding = {example.features.tobytes(): example for example in examples}
    seen = [by_embedding[embedding.numpy().tobytes()] for embedding in embeddings]
    assert len({example.key for example in seen}) > 1
    for example, mask in zip(seen, truth, strict=True):
        assert len(set(low_res_labels(example)[mask])) == 1
    few, _ = drawn(examples[:1], np.random.default_rng(0), OBJECTS)
    assert len(few) == OBJECTS  # one picture of one object comes again and again


def test_only_the_mask_decoder_learns_and_the_model_given_stays(
    model: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "CHECKS", 1)
    monkeypatch.setattr(finetuning, "OBJECTS", 2)
    monkeypatch.setattr(finetuning, "GENERAL_OBJECTS", 1)
    monkeypatch.setattr(finetuning, "time", SimpleNamespace(monotonic=count().__next__))  # a second a look at the clock
    before = {name: value.clone() for name, value in model.state_dict().items()}
    told: list[str] = []
    learned = finetune(model, [picture(1), picture(2)], [picture(3, objects=1)], [picture(4)], 0.15, told.append)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert learned.decoder.keys() == model.mask_decoder.state_dict().keys()
    for name, value in learned.decoder.items():
        if "iou_prediction_head" in name:
            assert value.equal(before[f"mask_decoder.{name}"])
    steps = [row["steps"] for row in learned.curve]
    assert steps[0] == 0
    assert steps[-1] > 1
    assert {"minutes", "loss", "box", "click1", "click2", "click3"} <= learned.curve[-1].keys()
    assert len(told) == len(learned.curve)
