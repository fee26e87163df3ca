"""Accepted masks -> what finds more objects of their kinds (backend/segmentation/proposals.py), if that is good enough.

What judges is what the fits have not seen: each picture's candidates come from a fit to the others.
"""

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
from backend.segmentation.proposals import (
    GRID,
    SMALLEST,
    Candidate,
    Linear,
    Proposer,
    Usual,
    candidates,
    chosen,
    clicks_on,
    places_of,
    proposed,
    shares_of,
    sure,
)

FEWEST_PICTURES, FEWEST_OBJECTS = 4, 16
MOST_PICTURES, MOST_PLACES = 48, 1500
"""Pictures, and places of each, that are fitted to: more take minutes and memory, and say little more."""
FOLDS = 4
RIGHT = 0.5
"""IoU from which a proposal is right."""
LEAST = (0.5, 0.6, 0.7, 0.8, 0.9)
"""How sure a proposal must be: the first of these with which enough of them are right."""
RIGHT_SHARE, FOUND_SHARE = 0.75, 0.2
"""Of the proposals so many must be right, and of the objects so many be found: to correct and to delete more than that
is no less work than to click."""
DOUBT = 2
"""As if so many more had been wrong: few that are right may be luck."""
STEADY_PLACES, STEADY_MASKS = 1e-3, 1e-2
"""How much large weights cost in the fits of places and of masks."""

Kinds = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """How many proposals there are, how many of them are right, and how many objects there were to find."""

    made: int
    right: int
    objects: int

    @property
    def enough(self) -> bool:
        return self.right >= RIGHT_SHARE * (self.made + DOUBT) and self.right >= FOUND_SHARE * self.objects

    @property
    def told(self) -> str:
        """In half a sentence."""
        return f"{self.right} of {self.made} proposals are right, {self.right} of {self.objects} objects found"


@dataclass(frozen=True, slots=True)
class Learned:
    """proposer: None where it is not good enough."""

    proposer: Proposer | None
    figures: Figures

    @property
    def told(self) -> str:
        """In half a sentence."""
        return self.figures.told if self.proposer else f"nothing is proposed: {self.figures.told}"


@dataclass(frozen=True, eq=False)
class _Seen:
    """A picture. example: by the base. labels: int16, the low-res cells that it covers. kinds: the number of each of
    its objects' kind. engine, embedding: what answers on it."""

    example: Example
    labels: NDArray[np.int16]
    kinds: NDArray[np.intp]
    engine: Engine
    embedding: Embedding


def learned_proposals(engine: Engine, examples: Sequence[tuple[Example, Kinds]]) -> Learned | None:
    """Fits and judges; None where there are too few pictures or masks.

    engine: what answers the project from now on. examples: pictures as its base sees them, each with the kinds of its
    objects, the most telling first.
    """
    kinds = tuple(sorted({kind for _, own in examples for kind in own}, key=lambda kind: kind or ""))
    few = [_seen(engine, example, [kinds.index(kind) for kind in own]) for example, own in examples[:MOST_PICTURES]]
    keys = list(dict.fromkeys(one.example.key for one in few))
    sizes = [size for one in few for size in _sizes(one)]
    if len(keys) < FEWEST_PICTURES or len(sizes) < FEWEST_OBJECTS:
        return None
    usual = Usual(*(float(value) for value in np.median(np.array(sizes), axis=0)))
    found: list[list[Candidate]] = [[] for _ in few]
    fold_of = [keys.index(one.example.key) % FOLDS for one in few]
    for fold in range(FOLDS):
        places = _fitted_places([one for one, own in zip(few, fold_of, strict=True) if own != fold], len(kinds))
        for place, one in enumerate(few):
            if fold_of[place] == fold:
                found[place] = _candidates(places, usual, one)
    by_least = {least: _judged(few, found, fold_of, least) for least in LEAST}
    least = next((least for least, figures in by_least.items() if figures.enough), None)
    if least is None:
        return Learned(None, by_least[LEAST[0]])
    places, masks = _fitted_places(few, len(kinds)), _fitted_masks(few, found)
    return Learned(Proposer(kinds, places, masks, usual, least), by_least[least])


def judged_elsewhere(proposer: Proposer, engine: Engine, examples: Sequence[tuple[Example, Kinds]]) -> Figures:
    """On pictures that were not learned from."""
    made, right, objects = 0, 0, 0
    for example, own in examples:
        one = _seen(engine, example, [proposer.kinds.index(kind) for kind in own])
        kept = [candidate for candidate, _ in proposed(proposer, example.embedding, one.engine, one.embedding)]
        made, right, objects = made + len(kept), right + _right(one, kept), objects + len(_sizes(one))
    return Figures(made, right, objects)


def _seen(engine: Engine, example: Example, kinds: Sequence[int]) -> _Seen:
    width, height = (-(-side // CELL) for side in example.frame.scaled)
    labels = low_res_labels(example)[:height, :width]
    answering = engine.for_picture(example.embedding)
    embedding = example.embedding
    if answering.identity != engine.identity:
        embedding = encode(answering, example.pixels, example.frame)
    return _Seen(example, labels, np.array(kinds, np.intp), answering, embedding)


def _sizes(one: _Seen) -> list[tuple[float, float]]:
    """See Usual: of each object that is not tiny."""
    sizes: list[tuple[float, float]] = []
    for number in range(1, len(one.kinds) + 1):
        cells = one.labels == number
        if np.count_nonzero(cells) >= SMALLEST:
            high, wide = (np.ptp(np.flatnonzero(cells.any(axis=axis))) + 1 for axis in (1, 0))
            sizes.append((float(np.log(np.count_nonzero(cells))), float(np.log(wide / high))))
    return sizes


def _candidates(places: Linear, usual: Usual, one: _Seen) -> list[Candidate]:
    shares = shares_of(places, one.example.embedding)
    return candidates(clicks_on(shares, one.embedding.frame), shares, usual, one.engine, one.embedding)


def _judged(
    few: Sequence[_Seen], found: Sequence[Sequence[Candidate]], fold_of: Sequence[int], least: float
) -> Figures:
    """The figures where each picture's masks are judged by a fit to those of other folds."""
    made, right, objects = 0, 0, 0
    for fold in range(FOLDS):
        others = [place for place in range(len(few)) if fold_of[place] != fold and found[place]]
        masks = _fitted_masks([few[place] for place in others], [found[place] for place in others]) if others else None
        for place, one in enumerate(few):
            if fold_of[place] == fold:
                own = found[place]
                kept = [own[number] for number in chosen(own, sure(masks, own), least)] if masks else []
                made, right, objects = made + len(kept), right + _right(one, kept), objects + len(_sizes(one))
    return Figures(made, right, objects)


def _right(one: _Seen, kept: Sequence[Candidate]) -> int:
    """How many of them are objects, each of another one and of its kind."""
    known: set[int] = set()
    for candidate in kept:
        overlaps = _overlaps(one, candidate)
        best = int(overlaps.argmax())
        if overlaps[best] >= RIGHT and one.kinds[best] == candidate.kind:
            known.add(best)
    return len(known)


def _overlaps(one: _Seen, candidate: Candidate) -> NDArray[np.float64]:
    """IoU with each object."""
    number = len(one.kinds) + 1
    both = np.bincount(one.labels[candidate.cells], minlength=number)[1:]
    areas = np.bincount(one.labels.ravel(), minlength=number)[1:]
    return np.asarray(both / np.maximum(1, areas + np.count_nonzero(candidate.cells) - both), np.float64)


def _fitted_places(few: Sequence[_Seen], kinds: int) -> Linear:
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
    shares = np.where(counts, np.array([0.5, *[0.5 / kinds] * kinds]) / np.maximum(1, counts), 0)
    return fitted(np.concatenate(values), wanted, shares[most].astype(np.float32), STEADY_PLACES)


def _shown(one: _Seen, kinds: int) -> Floats:
    """How much of each place nothing and each kind cover, rows x columns x 1 + kinds."""
    kind_of = np.concatenate([[0], one.kinds + 1])
    layers = (kind_of[one.labels][..., None] == np.arange(1, kinds + 1)).astype(np.float32)
    whole = np.zeros((LOW_RES_SIDE, LOW_RES_SIDE, kinds), np.float32)
    whole[: layers.shape[0], : layers.shape[1]] = layers
    rows, columns = places_of(one.example.embedding).shape[:2]
    covered = cv2.resize(whole, (GRID, GRID), interpolation=cv2.INTER_AREA).reshape(GRID, GRID, kinds)[:rows, :columns]
    return np.concatenate([1 - covered.sum(axis=-1, keepdims=True), covered], axis=-1)


def _fitted_masks(few: Sequence[_Seen], found: Sequence[Sequence[Candidate]]) -> Linear:
    """Which candidates are whole objects: one is from an IoU of 0.7, and none below 0.4."""
    pairs = [(one, candidate) for one, own in zip(few, found, strict=True) for candidate in own]
    whole = np.array([(_overlaps(one, candidate).max() - 0.4) / 0.3 for one, candidate in pairs], np.float32).clip(0, 1)
    traits = np.stack([candidate.traits for _, candidate in pairs])
    both = fitted(
        traits, np.stack([1 - whole, whole], axis=1), np.full(len(pairs), 1 / len(pairs), np.float32), STEADY_MASKS
    )
    return Linear(both.weight[1:] - both.weight[:1], both.bias[1:] - both.bias[:1])
