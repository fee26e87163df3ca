"""From examples to a verdict: split, fine-tune, compare. The same for a job of the service and for files."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from backend.learning.decoding import decoder_of
from backend.learning.devices import cpu_has_bf16
from backend.learning.examples import Example, example_of, split
from backend.learning.finetune import Curve, finetune
from backend.learning.gate import MOST_LOSS, Verdict, compared, judged, overall
from backend.learning.masks import samples_of
from backend.segmentation.engines import Engine
from backend.segmentation.model import SegmentationModel

State = dict[str, Tensor]

GENERAL = Path(__file__).resolve().parents[2] / "model_assets" / "general"
"""Pictures of everyday things that come with the project: what must not be forgotten."""

MOST_JUDGED = 32
"""Validation pictures that the verdict looks at."""

SHARES = (1.0, 0.7, 0.5, 0.35, 0.2)
"""How far to go towards what was learned, tried in this order."""

SHARE_OF_TRAINING = 0.8
"""Of the minutes; the rest is for the verdict."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """decoder: the tuned mask decoder's state. curve: see finetune.Tuned. judged: the validation pictures."""

    decoder: State
    curve: Curve
    verdict: Verdict
    judged: list[Example]


def tuned(
    model: SegmentationModel,
    engine: Engine,
    examples: Sequence[Example],
    minutes: float,
    say: Callable[[str], None],
    serving: SegmentationModel | None = None,
) -> Outcome:
    """Fine-tunes `model`'s mask decoder on two or more examples, and compares. engine: encodes the general pictures.

    serving: what answers the project now, where that is not `model`, the base. Learning begins with the base each time,
    and with all examples: what one version forgot the next one need not. Half of the general pictures steady the
    training, the other half judge it. Raises ValueError for fewer examples.
    """
    if len(examples) < 2:
        raise ValueError(
            f"{len(examples)} pictures with masks: two are the least, one to learn from and one to judge by"
        )
    training, validation = split(examples)
    general = [example_of(engine, sample) for sample in samples_of(GENERAL)]
    learned = finetune(model, training, validation, general[::2], SHARE_OF_TRAINING * minutes, say)
    say("as much of it as the general pictures allow")
    decoder = _bearable(model, learned.decoder, general[::2])
    bf16 = cpu_has_bf16()
    base, new = decoder_of(model, bf16), decoder_of(with_decoder(model, decoder), bf16)
    old = decoder_of(serving, bf16) if serving else base
    verdict = compared(old, new, base, validation[:MOST_JUDGED], general[1::2])
    say(verdict.reason)
    return Outcome(decoder, learned.curve, verdict, validation)


def _bearable(model: SegmentationModel, learned: State, general: Sequence[Example]) -> State:
    """The decoder on the straight way from the model's own to the learned one that goes as far as possible without
    losing what the gate forbids. Half of the way keeps most of what was learned (arXiv 2109.01903)."""
    bf16 = cpu_has_bf16()
    own = model.mask_decoder.state_dict()
    before = overall(judged(decoder_of(model, bf16), general))
    for share in SHARES:
        mixed = {name: torch.lerp(own[name], value, share) for name, value in learned.items()}
        if before - overall(judged(decoder_of(with_decoder(model, mixed), bf16), general)) <= MOST_LOSS:
            break
    return mixed


def with_decoder(model: SegmentationModel, decoder: State) -> SegmentationModel:
    """A copy of the model with another mask decoder."""
    changed = copy.deepcopy(model)
    changed.mask_decoder.load_state_dict(decoder)
    return changed.requires_grad_(False)
