"""Distillation: a student learns EdgeSAM's two stages from a teacher, and from true masks.

A run lives in a folder; cut off at any moment, it goes on from there (see run_state). The same seed starts the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from backend.learning import run_state
from backend.learning.devices import Place, place_for
from backend.learning.encoder_stage import KeptEmbeddings, encoder_step
from backend.learning.loader import Batch, Canvases, Sources, batches
from backend.learning.masks import DataError
from backend.learning.networks import model_of, new_student
from backend.learning.prompt_stage import prompt_step
from backend.learning.run_state import Progress
from backend.learning.speeds import speeds
from backend.learning.training import Run, Schedule, Step, optimizer_for, train
from backend.segmentation.model import SegmentationModel
from backend.segmentation.weights import WeightsFile

Stage = Literal["encoder", "prompts"]

RATES: dict[Stage, float] = {"encoder": 3e-3, "prompts": 2e-4}
CLIPS: dict[Stage, float] = {"encoder": 1.0, "prompts": 0.5}
MOSAICS: dict[Stage, float] = {"encoder": 0.5, "prompts": 0.3}
"""Share of canvases that are mosaics."""
DECODER_SHARE = 0.5
"""Of the learning rate: the decoder begins as the teacher's, nearer to its end than the encoder."""


@dataclass(frozen=True, slots=True)
class Distillation:
    """What one call of the command does.

    start: weights to begin from instead of a random encoder; its batch norms then keep their statistics.
    keep: a folder for the teacher's embeddings (stage 1), with one in it for each process. objects: most objects to
    prompt for on one canvas (stage 2).
    cooldown: the last share of the minutes, in which the rate falls to zero. measure: first say how fast loader,
    teacher and student are.
    """

    stage: Stage
    out: Path
    teacher: WeightsFile
    sources: Sources
    minutes: float
    device: str = "auto"
    resume: bool = False
    start: WeightsFile | None = None
    keep: Path | None = None
    batch: int = 2
    workers: int = 1
    rate: float | None = None
    cooldown: float = 0.0
    objects: int = 8
    seed: int = 0
    measure: bool = False


def distill(wanted: Distillation, say: Callable[[str], None]) -> Progress:
    """Runs one stage for its minutes; how far it has got. Raises DataError and WeightsError that say what is wrong."""
    place = place_for(wanted.device)
    torch.manual_seed(wanted.seed)
    teacher = model_of(wanted.teacher, place.device)
    student = model_of(wanted.start, place.device) if wanted.start else new_student(teacher).to(place.device)
    run = _run(wanted, place, student)
    seed = (wanted.seed, run.progress.step, place.rank)
    random = np.random.default_rng(seed)
    canvases = Canvases(wanted.sources, seed, wanted.objects)
    if place.leads:
        say(f"{wanted.stage}: step {run.progress.step}, {place.device}, bf16 {place.bf16}, {place.world} process(es)")
    ahead = batches(canvases, wanted.batch, wanted.workers, place.device)
    if wanted.measure:
        told = speeds(student, teacher, ahead, place)
        say("canvases a second: " + ", ".join(f"{name} {value:.1f}" for name, value in told.items()))
    schedule = Schedule(
        wanted.minutes, wanted.rate or RATES[wanted.stage], cooldown=wanted.cooldown, clip=CLIPS[wanted.stage]
    )
    train(run, schedule, _step(wanted, place, student, teacher, ahead, random), say)
    return run.progress


def _run(wanted: Distillation, place: Place, student: SegmentationModel) -> Run:
    """What is trained in this stage, from where the folder's run left off."""
    student.image_encoder.requires_grad_(True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    student.prompt_encoder.requires_grad_(False)
    student.mask_decoder.requires_grad_(wanted.stage == "prompts")
    student.mask_decoder.iou_prediction_head.requires_grad_(False)  # masks are scored by stability
    encoder, decoder = (student.image_encoder, 1.0), (student.mask_decoder, DECODER_SHARE)
    optimizer = optimizer_for([encoder, decoder] if wanted.stage == "prompts" else [encoder])
    progress, average = Progress(wanted.stage), dict[str, Tensor]()
    if wanted.resume:
        progress, average = run_state.resume(wanted.out, wanted.stage, student, optimizer)
    elif place.leads and (wanted.out / run_state.STATE).exists():
        raise DataError(f"{wanted.out} holds a run already: go on with --resume, or name another folder")
    return Run(wanted.out, place, student, optimizer, progress, average)


def _step(
    wanted: Distillation,
    place: Place,
    student: SegmentationModel,
    teacher: SegmentationModel,
    ahead: Iterator[Batch],
    random: np.random.Generator,
) -> Step:
    if wanted.stage == "prompts":
        generator = torch.Generator(place.device).manual_seed(int(random.integers(2**63)))
        return prompt_step(student, teacher, ahead, place, generator, wanted.objects)
    kept = KeptEmbeddings(wanted.keep / str(place.rank), wanted.batch, random) if wanted.keep else None
    return encoder_step(student, teacher, ahead, place, kept, learn_norms=wanted.start is None)
