"""Fine-tuning: the mask decoder learns what a project's annotators accept, and the encoder to see its pictures.

The same loop of prompts as in distillation teaches and the same simulated annotator judges. Meanwhile the student is to
answer as its base does on those general pictures that it is going to be asked about, so that it does not forget them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
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
from backend.learning.gate import TITLES, judged, overall
from backend.learning.masks import DataError
from backend.learning.networks import averaged
from backend.learning.prompting import SINGLE, Decode, Objects, answered, learned_rounds, prompt_rounds
from backend.learning.student import State, Student, student_of
from backend.learning.views import another_view
from backend.segmentation.model import SegmentationModel
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE, SIDE

RATE, WARMUP = 2e-4, 20
"""Learning rate of the decoder, and steps until it is reached."""
CLIP = 1.0
AVERAGE_DECAY = 0.98
OBJECTS = 4
"""Objects to a step, all of one picture, since seeing a picture costs more than asking: many small steps learn more in
the same minutes than few large ones."""
GENERAL_WEIGHT = 2.0
"""How much it counts that the student stays as it was on a general picture, in each step."""
BOX_SHARE = 0.4
VARIED_SHARE = 0.75
"""How often a picture is seen anew instead of as it is, where the encoder learns."""
CHECKS = 6
"""How often the average of what learns is judged."""
NOISE = 1.0
"""Points that an earlier average must be better than the last one, to count instead: so few objects judge that chance
would often choose one that has learned for two of eight minutes."""
CHECKED_PICTURES, CHECKED_OBJECTS = 16, 24
SMALLEST = 12
"""Objects below so many cells of the low-res grid are not prompted for."""

Masks = NDArray[np.bool_]
Curve = list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The last weights, or earlier ones that were clearly better on the validation pictures, and how it got there: one
    row a check, with minutes, steps, loss, box, click1, click2 and click3 (mean IoU in percent)."""

    learned: State
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
    """Trains a copy of the model for at most so many minutes, its checks included.

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
            _check(run, checked, elapsed, last=share >= 1)
            say(_told(run.curve[-1], minutes))
            if share >= 1:
                return Tuned(run.chosen, run.curve)
        rate = RATE * min(1.0, (run.steps + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * share))
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        _step(run, training, general)


def _told(row: Mapping[str, float], minutes: float) -> str:
    """A row of the curve for people."""
    figures = ", ".join(f"{title} {row[name]:.1f}" for name, title in TITLES.items())
    return f"learning: {row['minutes']:.1f} of {minutes:.1f} minutes, {row['steps']:.0f} steps; {figures}"


@dataclass(slots=True)
class _Run:
    """A fine-tuning under way. random: chance of what is drawn; generator: of where annotators click, on the device.
    average: of what learns; chosen: the average that counts so far, with its figure."""

    student: Student
    base: Decode
    optimizer: torch.optim.Optimizer
    random: np.random.Generator
    generator: Generator
    chosen: State
    chosen_figure: float = -math.inf
    steps: int = 0
    average: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    curve: Curve = field(default_factory=list)


def _begun(model: SegmentationModel, seed: int) -> _Run:
    random, generator = np.random.default_rng(seed), Generator(next(model.parameters()).device).manual_seed(seed)
    student = student_of(model, generator)
    return _Run(student, decoder_of(model), student.optimizer(), random, generator, student.state())


def _check(run: _Run, checked: Sequence[Example], minutes: float, last: bool) -> None:
    """Judge the average, and remember it if it is the best so far; the last one unless it is clearly worse."""
    learning = {name: value.clone() for name, value in run.student.learning.state_dict().items()}
    if run.average:
        run.student.learning.load_state_dict(run.average)
    figures = judged(run.student.answers(), checked, CHECKED_OBJECTS)
    loss = {"loss": float(np.mean(run.losses))} if run.losses else {}
    run.curve.append({"minutes": minutes, "steps": float(run.steps), **loss, **figures})
    run.losses.clear()
    if overall(figures) > run.chosen_figure - (NOISE if last else 0.0):
        run.chosen, run.chosen_figure = run.student.state(), overall(figures)
    run.student.learning.load_state_dict(learning)


def _step(run: _Run, training: Sequence[Example], general: Sequence[Example]) -> None:
    run.optimizer.zero_grad(set_to_none=True)
    run.losses.append(_learn(run, drawn(training, run.random)))
    if general:
        _stay(run, drawn(general, run.random))
    learning = run.student.learning
    torch.nn.utils.clip_grad_norm_(learning.parameters(), CLIP)
    run.optimizer.step()
    run.steps += 1
    averaged(run.average, learning, min(AVERAGE_DECAY, (1 + run.steps) / (10 + run.steps)))


def _learn(run: _Run, example: Example) -> float:
    """The gradients of answering on a picture as annotators want it; the loss."""
    view = _view(run, example)
    truth = _truth(run, view)
    number = len(truth)
    owner = torch.zeros(number, dtype=torch.int64, device=truth.device)
    objects = Objects(truth.to(torch.uint8) * COVERED, owner, torch.full_like(owner, 1 / number, dtype=torch.float32))
    # Together, all boxed or all clicked: each call of the decoder costs, for however few objects.
    learned, boxed = learned_rounds(1, run.generator).expand(number), float(run.random.random() < BOX_SHARE)
    places = run.student.places(view, again=view is example)
    seen = places.detach().requires_grad_(places.requires_grad)
    loss = prompt_rounds(run.student.decode, seen, objects, learned, boxed, run.generator)["loss"]
    if seen.grad is not None:
        backward(places, seen.grad)
    return loss


def _view(run: _Run, example: Example) -> Example:
    """The picture seen anew, mostly; as it is where an encoder that does not learn has seen it so, and where nothing is
    left to ask for."""
    if run.student.encoder is None or run.random.random() >= VARIED_SHARE:
        return example
    view = another_view(run.random, example)
    return view if _shares(view, low_res_labels(view)).any() else example


def _stay(run: _Run, example: Example) -> None:
    """The gradients of answering on a picture as the base does, to a first prompt or to one correction."""
    truth = _truth(run, example)
    prompts, before = first_prompts(truth, BOX_SHARE, run.generator), None
    own = torch.tensor(example.features, device=truth.device).float().expand(len(truth), -1, -1)
    with torch.no_grad():
        wanted = answered(run.base, own, prompts, before)[:, SINGLE]
        if run.random.random() < 0.5:
            prompts, before = corrected(prompts, truth, wanted[:, 0] > 0, run.generator), wanted
            wanted = answered(run.base, own, prompts, before)[:, SINGLE]
    places = run.student.places(example).expand(len(truth), -1, -1)
    made = answered(run.student.decode, places, prompts, before)[:, SINGLE]
    backward(GENERAL_WEIGHT * _apart(made[:, 0], wanted[:, 0]).mean())


def _truth(run: _Run, example: Example) -> Tensor:
    """Objects of a picture, bool N x 256 x 256, where the student is."""
    return torch.from_numpy(chosen_objects(example, run.random, OBJECTS)).to(run.generator.device)


def _apart(made: Tensor, wanted: Tensor) -> Tensor:
    """How far answers are from those wanted, both logits N x 256 x 256: N figures, least where they are the same."""
    ours, theirs = made.sigmoid(), wanted.sigmoid()
    crossed = F.binary_cross_entropy_with_logits(made, theirs, reduction="none").mean((-2, -1))
    shared = (ours * theirs).sum((-2, -1)) / (ours**2 + theirs**2).sum((-2, -1)).clamp(min=1)
    return 5 * crossed + 5 * (1 - 2 * shared)


def drawn(examples: Sequence[Example], random: np.random.Generator) -> Example:
    """One of them. Those with many objects come more often, but not as often as they have objects."""
    shares = np.sqrt([len(example.weights) for example in examples])
    return examples[random.choice(len(examples), p=shares / shares.sum())]


def chosen_objects(example: Example, random: np.random.Generator, most: int) -> Masks:
    """Some of a picture's objects, at least one and each once, those that count more the more often: N x 256 x 256."""
    cells = low_res_labels(example)
    shares = _shares(example, cells)
    number = min(most, np.count_nonzero(shares))
    chosen = random.choice(len(shares), number, replace=False, p=shares / shares.sum())
    return np.stack([cells == 1 + one for one in chosen])


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
