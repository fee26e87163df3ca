"""The two fits behind what is proposed (backend/segmentation/proposals.py): places of pictures, and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.learning.examples import Example
from backend.learning.finetune import low_res_labels
from backend.learning.softmax import fitted
from backend.segmentation.engines import Embedding, Engine, Floats
from backend.segmentation.predictor import encode
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE
from backend.segmentation.proposals import GRID, SMALLEST, Candidate, Linear, places_of

MOST_PLACES = 1500
"""Of each picture that are fitted to: more take time and memory, and say little more."""
WHOLE, PART = 0.7, 0.4
"""IoU from which a mask is a whole object, and below which it is none; between them it is partly one."""
STEADY_PLACES, STEADY_MASKS = 1e-3, 1e-2
"""How much large weights cost in the fits of places and of masks."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture. example: by the base. labels: int16, the low-res cells that it covers. kinds: the number of each of
    its objects' kind. engine, embedding: what answers on it."""

    example: Example
    labels: NDArray[np.int16]
    kinds: NDArray[np.intp]
    engine: Engine
    embedding: Embedding

    @property
    def areas(self) -> NDArray[np.intp]:
        """Of each object, in cells."""
        return np.bincount(self.labels.ravel(), minlength=len(self.kinds) + 1)[1:]


def seen_by(engine: Engine, example: Example, kinds: Sequence[int]) -> Seen:
    """kinds: the number of each of its objects' kind; those of another kind than are known are -1, and left out."""
    width, height = (-(-side // CELL) for side in example.frame.scaled)
    new = np.concatenate([[0], np.where(np.array(kinds, np.intp) < 0, 0, np.cumsum(np.array(kinds, np.intp) >= 0))])
    labels = new.astype(np.int16)[low_res_labels(example)[:height, :width]]
    answering, embedding = engine.for_picture(example.embedding), example.embedding
    if answering.identity != engine.identity:
        embedding = encode(answering, example.pixels, example.frame)
    return Seen(example, labels, np.array([kind for kind in kinds if kind >= 0], np.intp), answering, embedding)


def sizes_of(one: Seen) -> list[tuple[float, float]]:
    """See Usual: of each object that is not tiny."""
    sizes: list[tuple[float, float]] = []
    for number in np.flatnonzero(one.areas >= SMALLEST) + 1:
        cells = one.labels == number
        high, wide = (np.ptp(np.flatnonzero(cells.any(axis=axis))) + 1 for axis in (1, 0))
        sizes.append((float(np.log(np.count_nonzero(cells))), float(np.log(wide / high))))
    return sizes


def overlaps(one: Seen, candidate: Candidate) -> NDArray[np.float64]:
    """IoU with each object."""
    both = np.bincount(one.labels[candidate.cells], minlength=len(one.kinds) + 1)[1:]
    return np.asarray(both / np.maximum(1, one.areas + np.count_nonzero(candidate.cells) - both), np.float64)


def fitted_places(few: Sequence[Seen], kinds: int) -> Linear:
    """What places show. Nothing counts as much as all kinds together, and each kind as much as the others."""
    random = np.random.default_rng(0)
    values, targets = [], []
    for one in few:
        shown = _shown(one, kinds)
        own = places_of(one.example.embedding)
        taken = random.permutation(shown.shape[0] * shown.shape[1])[:MOST_PLACES]
        values.append(own.reshape(-1, own.shape[-1])[taken])
        targets.append(shown.reshape(-1, kinds + 1)[taken])
    wanted = np.concatenate(targets)
    most = wanted.argmax(axis=1)
    counts = np.bincount(most, minlength=kinds + 1)
    present = max(1, np.count_nonzero(counts[1:]))
    shares = np.where(counts, np.array([0.5, *[0.5 / present] * kinds]) / np.maximum(1, counts), 0)
    return fitted(np.concatenate(values), wanted, shares[most].astype(np.float32), STEADY_PLACES)


def _shown(one: Seen, kinds: int) -> Floats:
    """How much of each place nothing and each kind cover, rows x columns x 1 + kinds."""
    kind_of = np.concatenate([[0], one.kinds + 1])
    layers = (kind_of[one.labels][..., None] == np.arange(1, kinds + 1)).astype(np.float32)
    whole = np.zeros((LOW_RES_SIDE, LOW_RES_SIDE, kinds), np.float32)
    whole[: layers.shape[0], : layers.shape[1]] = layers
    rows, columns = places_of(one.example.embedding).shape[:2]
    covered = cv2.resize(whole, (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(GRID, GRID, kinds)[:rows, :columns]
    return np.concatenate([1 - covered.sum(axis=-1, keepdims=True), covered], axis=-1)


def fitted_masks(few: Sequence[Seen], found: Sequence[Sequence[Candidate | None]]) -> Linear | None:
    """Which candidates are whole objects; None where there are no candidates. found: those of each picture."""
    pairs = [(one, candidate) for one, own in zip(few, found, strict=True) for candidate in own if candidate]
    if not pairs:
        return None
    best = np.array([overlaps(one, candidate).max(initial=0) for one, candidate in pairs], np.float32)
    whole = ((best - PART) / (WHOLE - PART)).clip(0, 1)
    traits = np.stack([candidate.traits for _, candidate in pairs])
    each = np.full(len(pairs), 1 / len(pairs), np.float32)
    both = fitted(traits, np.stack([1 - whole, whole], axis=1), each, STEADY_MASKS)
    return Linear(both.weight[1:] - both.weight[:1], both.bias[1:] - both.bias[:1])
