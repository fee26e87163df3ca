"""Pixels to an embedding, prompts to masks. Stateless: all that is known comes with the call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backend.segmentation.engines import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PADDING, Embedding, Engine, Floats
from backend.segmentation.postprocess import extent_of, mask_at_full_size
from backend.segmentation.preprocess import CELL, Frame, canvas_of
from backend.segmentation.prompts import POSITIVE, Box, Prompt
from backend.segmentation.selection import stability_score, without_specks
from backend.segmentation.windows import Closer, window_for

SURE = 0.95
"""Clicks are not looked at more closely where their mask has this score: nothing is won there."""
AS_SURE = 0.05
"""Their closer look counts where its score is not this much lower: seen closely, a click on a large thing may mean a
part of it. A box says how large its object is, so what is small in it is always looked at closely."""


MOST_ROUNDS = 24
"""So the time of an answer does not grow with every click for ever."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One object: bool height x width of the original image, and how sure the model is, from 0 to 1."""

    pixels: NDArray[np.bool_]
    score: float


def encode(engine: Engine, pixels: NDArray[np.uint8], frame: Frame) -> Embedding:
    """RGB uint8 H x W x 3 -> its embedding. frame: of the image, which may have been decoded smaller than it is."""
    return Embedding(engine.encode(canvas_of(pixels, frame)), frame)


def decode(engine: Engine, embedding: Embedding, prompts: Sequence[Prompt], closer: Closer | None = None) -> list[Mask]:
    """One mask per prompt, in order, all their parts kept; see masks_of."""
    masks = dict(masks_of(engine, embedding, prompts, closer=closer))
    return [masks[place] for place in range(len(prompts))]


def masks_of(
    engine: Engine,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    smallest_share: float = 0.0,
    closer: Closer | None = None,
) -> Iterator[tuple[int, Mask]]:
    """The place of each prompt and its mask, one after the other: together the masks of a large picture fill a memory.

    Prompts of one shape share a batch; none is padded, so none changes another.

    smallest_share: parts of a mask below this share of its area are left out, unless a click is in them.
    closer: what is small in a box, or was clicked more than once, is looked at in a window of the picture (windows.py),
    where that can be had.
    """
    engine, frame = engine.for_picture(embedding), embedding.frame
    look_closer = partial(_looked_at_closely, engine, frame, smallest_share, closer)
    batches: dict[tuple[bool, tuple[int, ...]], list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        if prompt.box and (near := look_closer(prompt, prompt.box)):
            yield place, near
        else:
            batches[prompt.box is not None, tuple(rounds_of(prompt, engine.twice))].append(place)
    for places in batches.values():
        logits = low_res_logits(engine, embedding, [prompts[place] for place in places])
        for place, one in zip(places, logits, strict=True):
            prompt = prompts[place]
            whole = _finished(one, frame, prompt, smallest_share)
            # A first click is answered at once; who clicks again wants it better, and may wait for a window.
            unsure = prompt.box is None and len(prompt.points) > 1 and whole.score < SURE
            near = look_closer(prompt, extent_of(one, frame)) if unsure else None
            yield place, near if near and near.score > whole.score - AS_SURE else whole


def _looked_at_closely(
    engine: Engine, frame: Frame, smallest_share: float, closer: Closer | None, prompt: Prompt, extent: Box | None
) -> Mask | None:
    """The mask of a small object as its window shows it. None where it is not small, or has no window."""
    window = window_for(extent, prompt, frame) if closer and extent else None
    embedding = closer(window) if closer and window else None
    if window is None or embedding is None:
        return None
    moved = window.prompt(prompt)
    (logits,) = low_res_logits(engine, embedding, [moved])
    seen = _finished(logits, embedding.frame, moved, smallest_share)
    pixels = np.zeros((frame.height, frame.width), np.bool_)
    pixels[window.rows, window.columns] = seen.pixels
    return Mask(pixels, seen.score)


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


def _finished(logits: Floats, frame: Frame, prompt: Prompt, smallest_share: float) -> Mask:
    """The mask at the image's size, cleaned, with its score. Only what lies on the image counts."""
    width, height = (-(-side // CELL) for side in frame.scaled)
    seen = logits.copy()
    if smallest_share:
        clicks = [frame.to_canvas(point) for point, label in zip(prompt.points, prompt.labels, strict=True) if label]
        cells = (np.array(clicks).reshape(-1, 2) / CELL).astype(np.intp).clip(0, (width - 1, height - 1))
        seen[:height, :width] = without_specks(seen[:height, :width], smallest_share, cells)
    return Mask(mask_at_full_size(seen, frame), stability_score(seen[:height, :width]))
