from __future__ import annotations

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend.learning import finetune as finetuning
from backend.learning.examples import Example, jpeg_of
from backend.learning.finetune import chosen_objects, drawn, finetune, low_res_labels
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
    pixels = (labels[..., None] * np.array([90, 60, 30])).astype(np.uint8)
    jpeg, weights = jpeg_of(pixels, Frame(160, 120)), weights or (1.0,) * objects
    return Example(str(seed), features.astype(np.float16), Frame(160, 120), labels, weights, jpeg)


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
    came = [np.array_equal(*chosen_objects(example, random, 1), first) for _ in range(300)]
    assert 0.7 < np.mean(came) < 0.9


def test_objects_too_small_for_the_grid_are_left_out() -> None:
    example = picture(0)
    example.labels[example.labels == 1] = 0
    example.labels[0, :3] = 1
    random = np.random.default_rng(0)
    for _ in range(20):
        assert np.array_equal(*chosen_objects(example, random, 4), low_res_labels(example) == 2)


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


def test_a_step_asks_for_some_of_a_pictures_objects_each_once() -> None:
    example, random = picture(0, objects=6), np.random.default_rng(0)
    cells = low_res_labels(example)
    for _ in range(10):
        masks = chosen_objects(example, random, 4)
        assert masks.shape == (4, 256, 256)
        assert len({cells[mask].max() for mask in masks}) == 4
        assert all(len(set(cells[mask])) == 1 for mask in masks)
    assert len(chosen_objects(picture(0, objects=2), random, 4)) == 2


def test_a_picture_is_mostly_seen_anew_where_the_encoder_learns(
    model: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, example = finetuning._begun(model, 0), picture(1)
    assert 0 < sum(finetuning._view(run, example) is example for _ in range(16)) < 10
    run.student = replace(run.student, encoder=None)
    assert all(finetuning._view(run, example) is example for _ in range(16))
    run.student = finetuning._begun(model, 0).student
    monkeypatch.setattr(finetuning, "another_view", lambda _, one: replace(one, weights=(0.0, 0.0)))
    assert all(finetuning._view(run, example) is example for _ in range(16))  # nothing is left to ask for


def test_pictures_of_many_objects_come_more_often() -> None:
    examples, random = [picture(0, objects=1), picture(1, objects=9)], np.random.default_rng(0)
    came = [drawn(examples, random).key for _ in range(400)]
    assert 0.65 < came.count("1") / 400 < 0.85


def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetuning, "CHECKS", 1)
    monkeypatch.setattr(finetuning, "OBJECTS", 2)
    monkeypatch.setattr(finetuning, "time", SimpleNamespace(monotonic=count().__next__))  # a second a look at the clock


def test_the_decoder_and_the_encoder_learn_and_the_model_given_stays(
    model: SegmentationModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_steps(monkeypatch)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    told: list[str] = []
    found = finetune(model, [picture(1), picture(2)], [picture(3, objects=1)], [picture(4)], 0.1, told.append)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    changed = {name for name, value in found.learned.items() if not value.equal(before[name])}
    assert not any("iou_prediction_head" in name for name in changed)
    steps = [row["steps"] for row in found.curve]
    assert steps[0] == 0
    assert steps[-1] > 1
    assert {"minutes", "loss", "box", "click1", "click2", "click3"} <= found.curve[-1].keys()
    assert len(told) == len(found.curve)


@pytest.mark.parametrize(
    ("figure", "last", "chosen"), [(60.1, False, 1), (59.5, False, 0), (59.5, True, 1), (58.0, True, 0)]
)
def test_the_last_average_counts_unless_an_earlier_one_is_clearly_better(
    model: SegmentationModel, monkeypatch: pytest.MonkeyPatch, figure: float, last: bool, chosen: int
) -> None:
    run = finetuning._begun(model, 0)
    figures = iter([60.0, figure])
    monkeypatch.setattr(finetuning, "judged", lambda *_: dict.fromkeys(finetuning.TITLES, next(figures)))
    tokens = run.student.model.mask_decoder.mask_tokens.weight
    for number in range(2):
        tokens.data.fill_(number)
        finetuning._check(run, [], 0.0, last and number == 1)
    assert (run.chosen["mask_decoder.mask_tokens.weight"] == chosen).all()


def test_a_step_changes_what_learns_and_nothing_else(model: SegmentationModel, monkeypatch: pytest.MonkeyPatch) -> None:
    few_steps(monkeypatch)
    run = finetuning._begun(model, 0)
    before = run.student.state()
    for group in run.optimizer.param_groups:
        group["lr"] = 1e-2 * group["share"]
    for _ in range(2):
        finetuning._step(run, [picture(1)], [picture(4)])
    after = run.student.state()
    changed = {name for name, value in after.items() if not value.equal(before[name])}
    assert {"image_encoder.fuse_stage2.weight", "image_encoder.neck.2.weight"} <= changed
    assert "mask_decoder.mask_tokens.weight" in changed
    assert not any(name.startswith("image_encoder.features.0.") for name in after)
    own = dict(run.student.model.image_encoder.named_parameters())
    assert all(value.equal(own[name]) for name, value in model.image_encoder.named_parameters())
