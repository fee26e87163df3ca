"""Pixels to an embedding, prompts to masks. Stateless: all that is known comes with the call."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from backend.segmentation.engines import Embedding, Engine, Floats
from backend.segmentation.postprocess import extent_of, mask_at_full_size
from backend.segmentation.preprocess import CELL, Frame, canvas_of
from backend.segmentation.prompts import Box, Prompt
from backend.segmentation.replay import low_res_logits, rounds_of
from backend.segmentation.selection import stability_score, without_specks
from backend.segmentation.windows import Closer, Window, on_window, size_in, window_for

TINY = 0.05
"""What is shorter in a box than this share of the picture's longest side is answered from its window alone. What is
longer gets the mean of the window's logits and the whole picture's."""
SMALL = 0.1
"""What was clicked is looked at more closely where it is shorter than this share."""
SURE = 0.95
"""It is not where its mask has this score: nothing is won there."""
AS_SURE = 0.05
"""And the closer look counts where its score is not this much lower: seen closely, a click on a large thing may mean a
part of it. A box says how large its object is."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One object: bool height x width of the original image, and how sure the model is, from 0 to 1."""

    pixels: NDArray[np.bool_]
    score: float


def encode(engine: Engine, pixels: NDArray[np.uint8], frame: Frame) -> Embedding:
    """RGB uint8 H x W x 3 -> its embedding. frame: of the image, which may have been decoded smaller than it is."""
    return Embedding(engine.encode(canvas_of(pixels, frame)), frame)


def seen(engine: Engine, pixels: NDArray[np.uint8], frame: Frame) -> tuple[Engine, Embedding]:
    """The engine that answers on a picture, and the picture's embedding by that one's encoder. As `encode`."""
    embedding = encode(engine, pixels, frame)
    answering = engine.for_picture(embedding)
    return answering, embedding if answering.identity == engine.identity else encode(answering, pixels, frame)


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
    closer: what is in a box below half of the picture's side, and what is small and was clicked more than once, is
    looked at in a window of the picture too (windows.py), where that can be had.
    """
    engine, frame = engine.for_picture(embedding), embedding.frame
    look = partial(_closer_look, engine, frame, closer)
    batches: dict[tuple[bool, tuple[int, ...]], list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        tiny = prompt.box is not None and size_in(frame, prompt.box) < TINY
        if tiny and (near := look(prompt, prompt.box)):
            yield place, near.mask(frame, smallest_share)
        else:
            batches[prompt.box is not None, tuple(rounds_of(prompt, engine.twice))].append(place)
    for places in batches.values():
        logits = low_res_logits(engine, embedding, [prompts[place] for place in places])
        for place, one in zip(places, logits, strict=True):
            answered = _boxed if prompts[place].box else _clicked
            yield place, answered(one, prompts[place], frame, look, smallest_share)


@dataclass(frozen=True, slots=True)
class _Near:
    """What a window answers: the prompt as it lies there, and its logits 256 x 256."""

    window: Window
    prompt: Prompt
    logits: Floats

    def mask(self, frame: Frame, smallest_share: float) -> Mask:
        """On the whole picture, of this frame."""
        seen = _finished(self.logits, self.window.frame, self.prompt, smallest_share)
        pixels = np.zeros((frame.height, frame.width), np.bool_)
        pixels[self.window.rows, self.window.columns] = seen.pixels
        return Mask(pixels, seen.score)


Look = Callable[[Prompt, Box | None], _Near | None]
"""A closer look at a prompt's object of this extent; None where there is no window for it, or it cannot be had."""


def _closer_look(
    engine: Engine, frame: Frame, closer: Closer | None, prompt: Prompt, extent: Box | None
) -> _Near | None:
    window = window_for(extent, prompt, frame) if closer and extent else None
    embedding = closer(window) if closer and window else None
    if window is None or embedding is None:
        return None
    moved = window.prompt(prompt)
    (logits,) = low_res_logits(engine, embedding, [moved])
    return _Near(window, moved, logits)


def _boxed(logits: Floats, prompt: Prompt, frame: Frame, look: Look, smallest_share: float) -> Mask:
    near = look(prompt, prompt.box)
    if near is None:
        return _finished(logits, frame, prompt, smallest_share)
    both = np.asarray((near.logits + on_window(logits, frame, near.window)) / 2, np.float32)
    return replace(near, logits=both).mask(frame, smallest_share)


def _clicked(logits: Floats, prompt: Prompt, frame: Frame, look: Look, smallest_share: float) -> Mask:
    """A first click is answered at once; who clicks again wants it better, and may wait for a window."""
    whole = _finished(logits, frame, prompt, smallest_share)
    extent = extent_of(logits, frame)
    if len(prompt.points) == 1 or whole.score >= SURE or extent is None or size_in(frame, extent) >= SMALL:
        return whole
    near = look(prompt, extent)
    seen = near and near.mask(frame, smallest_share)
    return seen if seen and seen.score > whole.score - AS_SURE else whole


def _finished(logits: Floats, frame: Frame, prompt: Prompt, smallest_share: float) -> Mask:
    """The mask at the image's size, cleaned, with its score. Only what lies on the image counts."""
    width, height = (-(-side // CELL) for side in frame.scaled)
    seen = logits.copy()
    if smallest_share:
        clicks = [frame.to_canvas(point) for point, label in zip(prompt.points, prompt.labels, strict=True) if label]
        cells = (np.array(clicks).reshape(-1, 2) / CELL).astype(np.intp).clip(0, (width - 1, height - 1))
        seen[:height, :width] = without_specks(seen[:height, :width], smallest_share, cells)
    return Mask(mask_at_full_size(seen, frame), stability_score(seen[:height, :width]))
