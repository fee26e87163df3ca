"""Fine-tuning: the mask decoder learns what a project's annotators accept; the encoder, and with it every kept
embedding, stays as it is.

The same loop of prompts as in distillation teaches and the same simulated annotator judges. Meanwhile the decoder is to
answer as its base does on those general pictures that it is going to be asked about, so that it does not forget them.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.autograd import backward

from backend.learning.annotators import corrected, first_prompts
from backend.learning.canvases import COVERED
from backend.learning.decoding import decoder_of
from backend.learning.examples import Example
from backend.learning.gate import everywhere, judged, overall
from backend.learning.masks import DataError
from backend.learning.networks import averaged
from backend.learning.prompting import SINGLE, Decode, Objects, answered, learned_rounds, prompt_rounds
from backend.learning.training import optimizer_for
from backend.segmentation.model import SegmentationModel
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE, SIDE

RATE, WARMUP = 2e-4, 20
"""Learning rate, and steps until it is reached."""
CLIP = 1.0
AVERAGE_DECAY = 0.98
OBJECTS = 3
"""Objects to a step, each of a picture drawn anew: many small steps learn more in the same minutes than few large."""
GENERAL_OBJECTS, GENERAL_WEIGHT = 3, 2.0
"""Objects of general pictures to a step, on which the decoder is kept where it was, and how much that counts."""
BOX_SHARE = 0.4
CHECKS = 6
"""How often the averaged decoder is judged; the best one counts."""
PATIENCE = 3
"""Checks in a row without a better one that end it."""
CHECKED_PICTURES, CHECKED_OBJECTS = 16, 2
SMALLEST = 12
"""Objects below so many cells of the low-res grid are not prompted for."""

Masks = NDArray[np.bool_]
Curve = list[dict[str, float]]
State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The mask decoder's state that was best on the validation pictures, and how it got there: one row a check, with
    minutes, steps, loss, box, click1, click2 and click3 (mean IoU in percent)."""

    decoder: State
    curve: Curve


def finetune(
    model: SegmentationModel,
    training: Sequence[Example],
    validation: Sequence[Example],
    general: Sequence[Example],
    minutes: float,
    say: Callable[[str], None],
    seed: int = 0,
) -> Tuned:
    """Trains a copy of the model's mask decoder for at most so many minutes, its checks included.

    validation: pictures to choose the best state by. general: pictures whose answers are to stay as they are, if any.
    Raises DataError where no mask is large enough to be asked for.
    """
    training, general = (
        [one for one in side if _shares(one, low_res_labels(one)).any()] for side in (training, general)
    )
    if not training:
        raise DataError(f"no mask is larger than {SMALLEST * CELL**2} pixels of a picture scaled to {SIDE}: too small")
    run = _begun(model, seed)
    checked = sorted(validation, key=lambda example: example.key)[:CHECKED_PICTURES]
    started = time.monotonic()
    while True:
        elapsed = (time.monotonic() - started) / 60
        share = elapsed / minutes
        if share >= len(run.curve) / CHECKS or share >= 1:
            _check(run, checked, elapsed)
            say("  ".join(f"{name} {value:.4g}" for name, value in run.curve[-1].items()))
            if run.without_gain == PATIENCE or share >= 1:
                return Tuned(run.best, run.curve)
        for group in run.optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (run.steps + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * share))
        _step(run, training, general)


@dataclass(slots=True)
class _Run:
    """A fine-tuning under way. random: chance of what is drawn; generator: of where annotators click, on the device.
    best: the averaged decoder that was judged best, with its figure."""

    student: SegmentationModel
    base: Decode
    decode: Decode
    optimizer: torch.optim.Optimizer
    random: np.random.Generator
    generator: Generator
    best: State
    best_figure: float = -math.inf
    without_gain: int = 0
    steps: int = 0
    average: State = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    curve: Curve = field(default_factory=list)


def _begun(model: SegmentationModel, seed: int) -> _Run:
    student = copy.deepcopy(model).requires_grad_(False)
    student.mask_decoder.requires_grad_(True)
    student.mask_decoder.iou_prediction_head.requires_grad_(False)  # masks are scored by stability
    optimizer = optimizer_for([(student.mask_decoder, 1.0)])
    random, generator = np.random.default_rng(seed), Generator(next(model.parameters()).device).manual_seed(seed)
    return _Run(student, decoder_of(model), decoder_of(student), optimizer, random, generator, _state(student))


def _check(run: _Run, checked: Sequence[Example], minutes: float) -> None:
    """Judge the averaged decoder, and remember it if it is the best so far."""
    learning = _state(run.student)
    if run.average:
        run.student.mask_decoder.load_state_dict(run.average)
    figures = judged(everywhere(run.decode), checked, CHECKED_OBJECTS)
    loss = float(np.mean(run.losses)) if run.losses else math.nan
    run.curve.append({"minutes": minutes, "steps": float(run.steps), "loss": loss, **figures})
    run.losses.clear()
    run.without_gain += 1
    if overall(figures) > run.best_figure:
        run.best, run.best_figure, run.without_gain = _state(run.student), overall(figures), 0
    run.student.mask_decoder.load_state_dict(learning)


def _step(run: _Run, training: Sequence[Example], general: Sequence[Example]) -> None:
    run.optimizer.zero_grad(set_to_none=True)
    run.losses.append(_learn(run, *_on_device(run, drawn(training, run.random, OBJECTS))))
    if general:
        _stay(run, *_on_device(run, drawn(general, run.random, GENERAL_OBJECTS)))
    torch.nn.utils.clip_grad_norm_(run.student.mask_decoder.parameters(), CLIP)
    run.optimizer.step()
    run.steps += 1
    averaged(run.average, run.student.mask_decoder, min(AVERAGE_DECAY, (1 + run.steps) / (10 + run.steps)))


def _on_device(run: _Run, drawn: tuple[Tensor, Masks]) -> tuple[Tensor, Tensor]:
    """Embeddings and masks, where the decoder is."""
    embeddings, truth = drawn
    return embeddings.to(run.generator.device), torch.from_numpy(truth).to(run.generator.device)


def _learn(run: _Run, embeddings: Tensor, truth: Tensor) -> float:
    """The gradients of answering as annotators want it; the loss."""
    number = len(truth)
    owner = torch.arange(number, device=truth.device)
    objects = Objects(truth.to(torch.uint8) * COVERED, owner, torch.full_like(owner, 1 / number, dtype=torch.float32))
    # Together, all boxed or all clicked: each call of the decoder costs, for however few objects.
    learned, boxed = learned_rounds(1, run.generator).expand(number), float(run.random.random() < BOX_SHARE)
    return prompt_rounds(run.decode, embeddings, objects, learned, boxed, run.generator)["loss"]


def _stay(run: _Run, embeddings: Tensor, truth: Tensor) -> None:
    """The gradients of answering as the base does, to a first prompt or to one correction."""
    prompts, before = first_prompts(truth, BOX_SHARE, run.generator), None
    with torch.no_grad():
        wanted = answered(run.base, embeddings, prompts, before)[:, SINGLE]
        if run.random.random() < 0.5:
            prompts, before = corrected(prompts, truth, wanted[:, 0] > 0, run.generator), wanted
            wanted = answered(run.base, embeddings, prompts, before)[:, SINGLE]
    made = answered(run.decode, embeddings, prompts, before)[:, SINGLE]
    backward(GENERAL_WEIGHT * _apart(made[:, 0], wanted[:, 0]).mean())


def _apart(made: Tensor, wanted: Tensor) -> Tensor:
    """How far answers are from those wanted, both logits N x 256 x 256: N figures, least where they are the same."""
    ours, theirs = made.sigmoid(), wanted.sigmoid()
    crossed = F.binary_cross_entropy_with_logits(made, theirs, reduction="none").mean((-2, -1))
    shared = (ours * theirs).sum((-2, -1)) / (ours**2 + theirs**2).sum((-2, -1)).clamp(min=1)
    return 5 * crossed + 5 * (1 - 2 * shared)


def drawn(examples: Sequence[Example], random: np.random.Generator, number: int) -> tuple[Tensor, Masks]:
    """One object of each of so many pictures: its embedding, N x 4096 x 256, and mask, N x 256 x 256.

    A picture may come twice; those with many objects come more often, but not as often as they have objects.
    """
    shares = np.sqrt([len(example.weights) for example in examples])
    chosen = [examples[place] for place in random.choice(len(examples), number, p=shares / shares.sum())]
    embeddings = torch.stack([torch.tensor(example.features) for example in chosen])
    return embeddings, np.stack([chosen_object(example, random) for example in chosen])


def chosen_object(example: Example, random: np.random.Generator) -> NDArray[np.bool_]:
    """One object of a picture that has any to be asked for, those that count more the more often: bool 256 x 256."""
    cells = low_res_labels(example)
    shares = _shares(example, cells)
    return np.asarray(cells == 1 + random.choice(len(shares), p=shares / shares.sum()), np.bool_)


def _shares(example: Example, cells: NDArray[np.int16]) -> NDArray[np.float64]:
    """How much each object counts; 0 where it is too small to be asked for."""
    areas = np.bincount(cells.ravel(), minlength=len(example.weights) + 1)[1:]
    return np.where(areas >= SMALLEST, example.weights, 0.0)


def low_res_labels(example: Example) -> NDArray[np.int16]:
    """The label map as it lies on the low-res grid, int16 256 x 256: a cell is what lies under its centre."""
    width, height = (-(-side // CELL) for side in example.frame.scaled)
    cells = np.zeros((LOW_RES_SIDE, LOW_RES_SIDE), np.int16)
    cells[:height, :width] = cv2.resize(example.labels, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return cells


def _state(student: SegmentationModel) -> State:
    return {name: value.detach().clone().cpu() for name, value in student.mask_decoder.state_dict().items()}
