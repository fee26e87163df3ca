from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.learning import run_state
from backend.learning.devices import Place
from backend.learning.distill import Distillation, _run
from backend.learning.encoder_stage import KeptEmbeddings, encoder_step
from backend.learning.loader import Batch, Canvases, Sources, batches, collated
from backend.learning.losses import unexplained
from backend.learning.masks import DataError
from backend.learning.networks import averaged, model_of, new_student, normalised
from backend.learning.prompt_stage import prompt_step
from backend.learning.run_state import Progress
from backend.learning.training import Run, Schedule, Step, optimizer_for, train
from backend.segmentation.model import SegmentationModel
from backend.segmentation.weights import WeightsFile

CPU = Place(torch.device("cpu"))
FAST = Schedule(minutes=10, rate=2e-3, warmup_steps=1, log_every=0.0)
SMALL = 128


def small_batches(photos: Path) -> Iterator[Batch]:
    """Corners of two canvases, the same again and again: the encoder takes any size, and small ones are fast."""
    drawn = Canvases(Sources(photos, mosaic_share=1.0), (0,), 1)
    batch = collated([canvas for canvas, _ in zip(drawn, range(2), strict=False)])
    corner = replace(batch, pixels=batch.pixels[..., :SMALL, :SMALL], extents=batch.extents.clamp(max=SMALL))
    while True:
        yield corner


def stopping_after(step: Step, steps: int) -> Step:
    """The same step; after so many, the process is told to end, as a machine does that is taken away."""
    made = 0

    def counted() -> tuple[float, dict[str, float]]:
        nonlocal made
        made += 1
        if made == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return step()

    return counted


def new_run(folder: Path, teacher: SegmentationModel) -> Run:
    torch.manual_seed(0)
    student = new_student(teacher)
    student.prompt_encoder.requires_grad_(False)
    optimizer = optimizer_for([(student.image_encoder, 1.0)])
    return Run(folder, CPU, student, optimizer, Progress("encoder"))


def trained(run: Run, teacher: SegmentationModel, photos: Path, steps: int) -> None:
    step = encoder_step(run.model, teacher, small_batches(photos), CPU, None, learn_norms=True)
    train(run, FAST, stopping_after(step, steps), lambda line: None)


def distance(model: SegmentationModel, teacher: SegmentationModel, photos: Path) -> float:
    batch = next(small_batches(photos))
    canvas, inside = normalised(batch.pixels, batch.extents, CPU.device)
    model.image_encoder.train()
    with torch.no_grad():
        return unexplained(model.image_encoder(canvas), teacher.image_encoder(canvas), inside).item()


@pytest.fixture
def teacher(random_weights: WeightsFile) -> SegmentationModel:
    return model_of(random_weights, CPU.device)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_few_steps_lower_the_loss(tmp_path: Path, photos: Path, teacher: SegmentationModel) -> None:
    run = new_run(tmp_path, teacher)
    before = distance(run.model, teacher, photos)
    trained(run, teacher, photos, 10)
    assert distance(run.model, teacher, photos) < 0.7 * before


def test_sigterm_saves_and_a_resumed_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path, photos: Path, teacher: SegmentationModel
) -> None:
    whole, first = new_run(tmp_path / "whole", teacher), new_run(tmp_path / "cut", teacher)
    trained(whole, teacher, photos, 4)
    trained(first, teacher, photos, 2)
    second = new_run(tmp_path / "cut", teacher)
    for value in second.model.parameters():
        value.data.zero_()  # nothing but the saved state may matter
    second.progress, second.average = run_state.resume(second.folder, "encoder", second.model, second.optimizer)
    assert second.progress.step == 2
    assert equal(first.model.state_dict(), second.model.state_dict())
    trained(second, teacher, photos, 2)
    assert second.progress.step == 4
    assert equal(whole.model.state_dict(), second.model.state_dict())
    assert equal(whole.average, second.average)
    minutes = [minutes for _, minutes, _ in run_state.read_log(second.folder / run_state.LOG)]
    assert len(minutes) == 4
    assert minutes == sorted(minutes)


def test_a_new_stage_begins_with_the_averaged_weights(tmp_path: Path, photos: Path, teacher: SegmentationModel) -> None:
    run = new_run(tmp_path, teacher)
    trained(run, teacher, photos, 2)
    following = new_run(tmp_path, teacher)
    progress, _ = run_state.resume(tmp_path, "prompts", following.model, following.optimizer)
    assert progress.step == 0
    assert progress.seen == run.progress.seen > 0
    assert equal(run.average, following.model.state_dict())


def test_nothing_to_resume_is_said_plainly(tmp_path: Path, teacher: SegmentationModel) -> None:
    run = new_run(tmp_path, teacher)
    with pytest.raises(DataError, match="without --resume"):
        run_state.resume(tmp_path, "encoder", run.model, run.optimizer)


def test_the_same_seed_draws_the_same_and_another_draws_others(photos: Path, masks: Path) -> None:
    def first(seed: int) -> Batch:
        return next(batches(Canvases(Sources(photos, (masks,), true_share=0.5), (seed,), 2), 2, 0, CPU.device))

    assert torch.equal(first(1).pixels, first(1).pixels)
    assert torch.equal(first(1).coverage, first(1).coverage)
    assert not torch.equal(first(1).pixels, first(2).pixels)


def test_kept_embeddings_are_those_of_the_part_that_is_shown(tmp_path: Path) -> None:
    kept = KeptEmbeddings(tmp_path, 1, np.random.default_rng(0))
    shade = torch.arange(64).repeat_interleave(16).repeat(1024, 1)  # grows by one with each cell to the right
    pixels = shade.expand(1, 3, -1, -1).to(torch.uint8)
    embedding = torch.arange(64).float().expand(1, 256, 64, 64)
    none = (
        torch.zeros(0, 256, 256, dtype=torch.uint8),
        torch.zeros(0, dtype=torch.long),
        torch.ones(1, dtype=torch.bool),
    )
    batch = Batch(pixels, torch.tensor([[1024, 1024]]), *none)
    kept.add(batch, embedding)
    shown, extents, targets = kept.draw(4, 512)
    assert shown.shape == (4, 3, 512, 512)
    assert extents.tolist() == [[512, 512]] * 4
    seen = shown[:, :, 8::16, 8::16].float().mean(1)
    assert (seen - targets[:, 0]).abs().max() <= 2  # JPEG


def test_prompts_move_encoder_and_decoder_and_nothing_else(
    photos: Path, masks: Path, teacher: SegmentationModel, random_weights: WeightsFile
) -> None:
    student = model_of(random_weights, CPU.device)
    student.image_encoder.requires_grad_(True)
    student.mask_decoder.requires_grad_(True)
    sources = Sources(photos, (masks,), true_share=1.0, mosaic_share=0.0)
    mixed = batches(Canvases(sources, (0,), 2), 1, 0, CPU.device)
    norms = {name: value.clone() for name, value in student.image_encoder.named_buffers()}
    seen, figures = prompt_step(student, teacher, mixed, CPU, torch.Generator().manual_seed(0), 2)()
    assert seen == 1
    assert figures["loss"] > 0
    moved = {name for name, value in student.named_parameters() if value.grad is not None and value.grad.any()}
    assert any(name.startswith("image_encoder.features.0") for name in moved)
    assert any(name.startswith("mask_decoder.output_upscaling") for name in moved)
    assert not any(name.startswith("prompt_encoder") for name in moved)
    assert equal(norms, dict(student.image_encoder.named_buffers()))


def one_weight(folder: Path) -> Run:
    """A run of the smallest model: what the loop does to it shows in one number."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    return Run(folder, CPU, model, optimizer_for([(model, 1.0)]), Progress("prompts"))  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_moves_nothing_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    monkeypatch.setattr(Run, "save", lambda run: None)
    run = one_weight(tmp_path)
    weight = run.model.weight
    found: list[float] = []

    def step() -> tuple[float, dict[str, float]]:
        found.append(weight.item())
        weight.grad = torch.full_like(weight, wrong if len(found) == 2 else 1.0)
        return 1.0, {}

    said: list[str] = []
    train(run, replace(FAST, log_every=1e9), stopping_after(step, 4), said.append)
    assert found[0] > found[1] == found[2] > found[3]
    assert run.average["weight"].isfinite().all()
    assert said == ["prompts step 1: the gradient is not finite, the step is left out"]
    assert run.progress.step == 4


def test_averages_move_towards_the_weights_and_whole_numbers_are_copied() -> None:
    model = torch.nn.BatchNorm1d(2)
    average: dict[str, Tensor] = {}
    averaged(average, model, 0.9)
    assert equal(average, model.state_dict())
    with torch.no_grad():
        model.weight += 1
        model.running_mean += 2
        model.num_batches_tracked += 5
    assert average["weight"].tolist() == [1, 1]  # a copy
    averaged(average, model, 0.9)
    assert average["weight"].tolist() == pytest.approx([1.1, 1.1])
    assert average["running_mean"].tolist() == pytest.approx([0.2, 0.2])
    assert average["num_batches_tracked"] == 5


def test_the_decoder_learns_at_half_the_encoders_rate(tmp_path: Path, random_weights: WeightsFile) -> None:
    wanted = Distillation("prompts", tmp_path, random_weights, Sources(tmp_path), 1.0)
    student = model_of(random_weights, CPU.device)
    shares: dict[int, float] = {
        id(one): group["share"]
        for group in _run(wanted, CPU, student).optimizer.param_groups
        for one in group["params"]
    }
    assert {shares[id(one)] for one in student.image_encoder.parameters()} == {1.0}
    learning = [one for one in student.mask_decoder.parameters() if one.requires_grad]
    assert {shares[id(one)] for one in learning} == {0.5}
    assert len(shares) == len(learning) + len(list(student.image_encoder.parameters()))


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    schedule = Schedule(minutes=10, rate=1.0, warmup_steps=10, cooldown=0.5)
    assert schedule.rate_at(0, 0) == pytest.approx(0.1)
    assert schedule.rate_at(50, 100) == 1.0
    assert schedule.rate_at(90, 450) == pytest.approx(0.5)
    assert schedule.rate_at(99, 600) == pytest.approx(0.0)
