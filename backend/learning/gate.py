"""Old against new: a version is promoted only where it is better on its project and no worse in general."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import numpy as np
import torch
from numpy.typing import NDArray

from backend.learning.clicks import Region, iou, tight_box
from backend.learning.evaluate import clicked
from backend.learning.examples import Example
from backend.learning.masks import DataError, spread
from backend.learning.prompting import Decode
from backend.segmentation.engines import Embedding, Features, Floats
from backend.segmentation.familiar import Familiar
from backend.segmentation.model import SINGLE_MASK
from backend.segmentation.predictor import decode
from backend.segmentation.preprocess import LOW_RES_SIDE
from backend.segmentation.prompts import Prompt
from backend.segmentation.windows import Closer

Figures = dict[str, float]
"""Mean IoU in percent: box, click1, click2, click3."""


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers on a picture: a decoder, on an embedding of it. twice: as Engine.twice. closer: of the picture's
    windows, where they are looked at."""

    decode: Decode
    embedding: Embedding
    twice: bool
    closer: Closer | None = None


Answers = Callable[[Example], Answering]
"""What answers on each picture."""

TITLES = {"box": "box", "click1": "1 click", "click2": "2 clicks", "click3": "3 clicks"}
"""What is measured, for people."""
NAMES = tuple(TITLES)
JUDGED = ("box", "click1", "click3")
LEAST_GAIN = 0.5
"""Points that a version must win on its project, as the mean of box, one and three clicks: less is noise."""
MOST_LOSS = 0.5
"""Points that it may lose in general."""
OBJECTS = 128
"""That are judged, spread over the pictures: where these are few, more of each. Few objects are a matter of luck."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version is promoted, why in one sentence, and the figures on validation pictures and in general."""

    promoted: bool
    reason: str
    project_before: Figures
    project_after: Figures
    general_before: Figures
    general_after: Figures


@dataclass(frozen=True, slots=True)
class TorchDecoder:
    """A decoder under training as an engine that only decodes, one picture: the predictor asks it as it asks those in
    the product. twice: as Engine.twice. Each click replays those before it, so answers are remembered, as long as it
    lives; embeddings must live as long."""

    answer: Decode
    twice: bool
    identity: str = "training"
    version: str = "training"
    known: dict[tuple[int, bytes, bytes, bytes], Floats] = field(default_factory=dict)

    def for_picture(self, _embedding: Embedding) -> TorchDecoder:
        """This one."""
        return self

    def encode(self, _canvas: Floats) -> Features:
        raise NotImplementedError("embeddings are known")

    def decode(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> Floats:
        """As Engine.decode."""
        last_seen = b"" if low_res is None else low_res.tobytes()
        asked = id(embedding.features), coordinates.tobytes(), labels.tobytes(), last_seen
        if asked not in self.known:
            before = np.zeros((len(labels), LOW_RES_SIDE, LOW_RES_SIDE), np.float32) if low_res is None else low_res
            image, places, named, last = map(
                torch.tensor, (embedding.features[None], coordinates, labels, before[:, None])
            )
            with torch.inference_mode():
                logits, _ = self.answer(image, places, named, last, torch.tensor([float(low_res is not None)]))
            self.known[asked] = logits[:, SINGLE_MASK].float().cpu().numpy()
        return self.known[asked]


def where_familiar(familiar: Familiar, learned: Answers, base: Answers) -> Answers:
    """As a version answers (backend/segmentation/familiar.py)."""
    return lambda example: learned(example) if familiar.holds(example.embedding) else base(example)


def judged(answers: Answers, examples: Sequence[Example], objects: int = OBJECTS) -> Figures:
    """Boxes and clicks on about so many objects, as many of each picture, at the label map's size; means over
    pictures. Raises DataError where they show none."""
    each = math.ceil(objects / len(examples))
    by_picture = [_means(rows) for example in examples if (rows := _objects_figures(answers, example, each))]
    if not by_picture:
        raise DataError(f"none of the {len(examples)} pictures that are to judge shows an object")
    return {name: round(100 * value, 2) for name, value in _means(by_picture).items()}


def _objects_figures(answers: Answers, example: Example, each: int) -> list[Figures]:
    answering = answers(example)
    engine = TorchDecoder(answering.decode, answering.twice)

    def ask(prompt: Prompt) -> Region:
        return decode(engine, answering.embedding, [prompt], closer=answering.closer)[0].pixels

    rows: list[Figures] = []
    for number in spread(tuple(range(1, len(example.weights) + 1)), each):
        truth = example.labels == number
        if truth.any():
            trail = clicked(ask, truth, 3)
            trail += trail[-1:] * (3 - len(trail))
            rows.append(dict(zip(NAMES, [iou(truth, ask(Prompt(box=tight_box(truth)))), *trail], strict=True)))
    return rows


def _means(rows: Sequence[Figures]) -> Figures:
    return {name: fmean(row[name] for row in rows) for name in NAMES}


def overall(figures: Figures) -> float:
    """The mean of what a version is judged by."""
    return fmean(figures[name] for name in JUDGED)


def compared(
    old: Answers,
    new: Answers,
    base: Answers,
    validation: Sequence[Example],
    general: Sequence[Example],
) -> Verdict:
    """The verdict on a new version: on the project against the one that serves, in general against the base.

    So what versions lose in general does not add up. validation, general: pictures that it was not trained on.
    """
    project_before, project_after = judged(old, validation), judged(new, validation)
    general_before, general_after = judged(base, general), judged(new, general)
    gain = overall(project_after) - overall(project_before)
    loss = overall(general_before) - overall(general_after)
    pictures = f"{len(validation)} pictures" if len(validation) > 1 else "one picture"
    told = f"{gain:+z.1f} points on {pictures} of the project, {-loss:+z.1f} in general"
    if gain < LEAST_GAIN:
        reason = f"not promoted: {told}; a gain below {LEAST_GAIN} may be noise"
    elif loss > MOST_LOSS:
        reason = f"not promoted: {told}; more than {MOST_LOSS} lost in general"
    else:
        reason = f"promoted: {told}"
    return Verdict(reason.startswith("promoted"), reason, project_before, project_after, general_before, general_after)
