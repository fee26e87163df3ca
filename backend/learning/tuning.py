"""From examples to a verdict: split, fine-tune, compare. The same for a job of the service and for files."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from backend.learning.devices import place_for
from backend.learning.examples import Example, example_of, split
from backend.learning.finetune import Curve, finetune
from backend.learning.gate import (
    MOST_LOSS,
    Answers,
    Verdict,
    compared,
    judged,
    overall,
    where_familiar,
)
from backend.learning.masks import samples_of
from backend.learning.student import State, answers_of
from backend.segmentation.engines import Embedding, Engine
from backend.segmentation.familiar import Familiar, familiar_with
from backend.segmentation.model import SegmentationModel
from backend.segmentation.predictor import encode
from backend.segmentation.preprocess import Frame

Learned = tuple[State, Familiar]
"""A version: what it learned, and on which pictures it answers."""

GENERAL = Path(__file__).resolve().parents[2] / "model_assets" / "general"
"""Pictures of everyday things, with masks, that come with the project: what must not be forgotten."""
EVERYDAY = GENERAL.parent / "everyday"
"""More of them, without masks: what does not look like a project."""

MOST_JUDGED = 32
"""Validation pictures that the verdict looks at."""

BEARABLE_LOSS = 0.5 * MOST_LOSS
"""Points that may be lost on all general pictures: the gate looks at half of them."""

SHARES = (1.0, 0.7, 0.5, 0.35, 0.2)
"""How far to go towards what was learned, tried in this order."""

SHARE_OF_TRAINING = 0.8
"""Of the minutes; the rest is for the verdict."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """learned: what is to serve. familiar: on which pictures it answers; on others the base does.

    curve: see finetune.Tuned. judged: the validation pictures.
    """

    learned: State
    familiar: Familiar
    curve: Curve
    verdict: Verdict
    judged: list[Example]


def tuned(
    model: SegmentationModel,
    engine: Engine,
    examples: Sequence[Example],
    minutes: float,
    say: Callable[[str], None],
    serving: Learned | None = None,
) -> Outcome:
    """Fine-tunes `model` on two or more pictures, and compares; on a GPU where there is one.

    engine: encodes the general pictures. serving: the version that answers the project now, if it is one. Learning
    begins with `model`, the base, each time, and with all examples: what one version forgot the next one need not. Half
    of the general pictures steady the training, where the version will answer on them; the other half judge it, and
    both say how far to go towards what was learned. Raises ValueError for fewer examples.
    """
    if (pictures := len({example.key for example in examples})) < 2:
        raise ValueError(f"{pictures} pictures with masks: two are the least, one to learn from and one to judge by")
    model = copy.deepcopy(model).to(place_for("auto").device)
    training, validation = split(examples)
    general = [example_of(engine, sample) for sample in samples_of(GENERAL)]
    familiar = familiar_with([example.embedding for example in training], everyday_pictures(engine))
    near = [example for example in general if familiar.holds(example.embedding)]
    steadying = [example for example in general[::2] if familiar.holds(example.embedding)]
    found = finetune(model, training, validation, steadying, SHARE_OF_TRAINING * minutes, say)
    learned, share = _bearable(model, found.learned, near, BEARABLE_LOSS * len(general) / max(len(near), 1))
    say(f"{share:.0%} of what was learned, since {len(near)} of {len(general)} general pictures look alike")
    say(f"comparing on {len(validation[:MOST_JUDGED])} pictures of the project and {len(general[1::2])} general ones")
    verdict = compared(
        version_answers(model, serving),
        version_answers(model, (learned, familiar)),
        version_answers(model, None),
        validation[:MOST_JUDGED],
        general[1::2],
    )
    return Outcome(learned, familiar, found.curve, verdict, validation)


def version_answers(model: SegmentationModel, version: Learned | None) -> Answers:
    """How a version of this base answers those who are served, or the base itself."""
    base = answers_of(model, {}, closely=True)
    if version is None:
        return base
    learned, familiar = version
    return where_familiar(familiar, answers_of(model, learned, closely=True), base)


def everyday_pictures(engine: Engine) -> list[Embedding]:
    """What does not look like a project, as this engine's encoder sees it."""
    pictures = (np.asarray(Image.open(file)) for file in sorted(EVERYDAY.glob("*.jpg")))
    return [encode(engine, pixels, Frame.of(pixels)) for pixels in pictures]


def _bearable(
    model: SegmentationModel, learned: State, near: Sequence[Example], most_loss: float
) -> tuple[State, float]:
    """The weights on the straight way from the model's own to those learned that go as far as possible without
    losing more points than that, and how far that is. Half of the way keeps most of what was learned (arXiv
    2109.01903).

    near: the general pictures on which it would answer; where there are none, nothing can be lost.
    """
    if not near:
        return learned, 1.0
    own = {name: value.cpu() for name, value in model.state_dict().items()}
    before = overall(judged(answers_of(model, {}), near))
    for share in SHARES:
        mixed = {name: torch.lerp(own[name], value, share) for name, value in learned.items()}
        if before - overall(judged(answers_of(model, mixed), near)) <= most_loss:
            break
    return mixed, share
