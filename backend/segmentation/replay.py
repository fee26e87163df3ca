"""A prompt to logits: its rounds, each with the decoder's last answer beside the next click."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.segmentation.engines import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PADDING, Embedding, Engine, Floats
from backend.segmentation.preprocess import Frame
from backend.segmentation.prompts import POSITIVE, Prompt

MOST_ROUNDS = 24
"""So the time of an answer does not grow with every click for ever."""


def rounds_of(prompt: Prompt, twice: bool) -> list[int]:
    """How many clicks the decoder sees in each round of the replay: it was trained to see its own last answer.

    A box comes first, alone, or `twice`: engines say which. Clicks follow one by one. Without a box the first round
    needs a positive click. Of more than MOST_ROUNDS the last ones are replayed, and the first of these sees all clicks
    before it at once.
    """
    if prompt.box:
        rounds = [0] * twice + list(range(len(prompt.points) + 1))
    else:
        first = prompt.labels.index(POSITIVE) + 1 if POSITIVE in prompt.labels else len(prompt.labels)
        rounds = list(range(first, len(prompt.points) + 1))
    return rounds[-MOST_ROUNDS:]


def low_res_logits(engine: Engine, embedding: Embedding, prompts: Sequence[Prompt]) -> Floats:
    """Logits B x 256 x 256 of prompts of one shape: the replay, round by round, each with the logits of the last."""
    logits: Floats | None = None
    for clicks in rounds_of(prompts[0], engine.twice):
        tokens = [_tokens(prompt, clicks, embedding.frame) for prompt in prompts]
        coordinates = np.array([coordinate for coordinate, _ in tokens], np.float32)
        labels = np.array([label for _, label in tokens], np.int64)
        logits = engine.decode(embedding, coordinates, labels, logits)
    assert logits is not None, "a prompt has at least one round"
    return logits


def _tokens(prompt: Prompt, clicks: int, frame: Frame) -> tuple[list[tuple[float, float]], list[int]]:
    """Coordinates on the canvas and labels as SAM's prompt encoder orders them: clicks, then the box or the padding."""
    points = [frame.to_canvas(point) for point in prompt.points[:clicks]]
    labels = list(prompt.labels[:clicks])
    if prompt.box is None:
        return [*points, (0.0, 0.0)], [*labels, PADDING]
    corners = [frame.to_canvas(prompt.box[:2]), frame.to_canvas(prompt.box[2:])]
    return [*points, *corners], [*labels, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
