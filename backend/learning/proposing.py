"""Accepted masks -> what finds more objects of their kinds (backend/segmentation/proposals.py), if that is good enough.

What judges is what the fits have not seen: each picture's candidates come from a fit to the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from backend.learning.examples import Example
from backend.learning.proposer_fits import Seen, fitted_masks, fitted_places, overlaps, seen_by, sizes_of
from backend.segmentation.engines import Engine
from backend.segmentation.familiar import Familiar
from backend.segmentation.prompts import Point
from backend.segmentation.proposals import (
    MOST_KINDS,
    SMALLEST,
    Candidate,
    Linear,
    Proposer,
    Scored,
    Usual,
    candidates,
    clicks_on,
    proposed,
    scored,
    shares_of,
    walked,
)

FEWEST_PICTURES, FEWEST_OBJECTS = 4, 16
MOST_PICTURES = 48
"""That are learned from: more take minutes and memory, and say little more."""
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
HELPED_SHARE = 0.5
"""And so many of the pictures with objects must have a right one: a few easy pictures say nothing of the others."""

Kinds = tuple[str | None, ...]
Picture = tuple[Example, Kinds]
"""As the base sees it, with the label of each of its objects; without objects it shows what is none."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How many proposals there are, how many of them are right, and how many objects there were to find. pictures: how
    many have objects; helped: how many of these a right proposal."""

    made: int
    right: int
    objects: int
    pictures: int
    helped: int

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def missing(self) -> str | None:
        """What it would take for them to be served, in half a sentence; None where they are good enough."""
        if self.right < (right := RIGHT_SHARE * (self.made + DOUBT)):
            return f"{math.ceil(right)} should be right"
        if self.right < (found := FOUND_SHARE * self.objects):
            return f"{math.ceil(found)} should be found"
        if self.helped < (helped := HELPED_SHARE * self.pictures):
            return f"on {math.ceil(helped)} of {self.pictures} pictures one should be right, on {self.helped} one is"
        return None

    @property
    def told(self) -> str:
        """In half a sentence."""
        return f"{self.right} of {self.made} proposals are right, {self.right} of {self.objects} objects found"


NOTHING = Figures(0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Learned:
    """proposer: None where it is not good enough."""

    proposer: Proposer | None
    figures: Figures

    @property
    def told(self) -> str:
        """In half a sentence."""
        if self.proposer:
            return self.figures.told
        return f"nothing is proposed: {self.figures.told}; {self.figures.missing or 'no fit tells them apart'}"


@dataclass(frozen=True, slots=True)
class _Looked:
    """A picture, where clicks on it would go by a fit to other pictures, and what each of them gives. fold: of the
    pictures that the fit did not see."""

    seen: Seen
    fold: int
    clicks: list[Point]
    found: list[Candidate | None]


def learned_proposals(engine: Engine, pictures: Sequence[Picture], familiar: Familiar) -> Learned | None:
    """Fits and judges; None where there are too few pictures or masks.

    engine: what answers the project from now on. pictures: neighbours are alike, perhaps of one film. familiar: which
    pictures are like them.
    """
    finite = [one for one in pictures if np.isfinite(one[0].features).all()]
    few, bare = [one for one in finite if one[1]], [one for one in finite if not one[1]]
    few = few[: MOST_PICTURES - min(len(bare), MOST_PICTURES // FOLDS)]
    bare = bare[: MOST_PICTURES - len(few)]
    counted = Counter(kind for _, own in few for kind in own).most_common(MOST_KINDS)
    kinds = tuple(kind for kind, _ in counted)
    folds = _folds([example.key for example, _ in few]) + [place % FOLDS for place in range(len(bare))]
    seen = [_seen(engine, picture, kinds) for picture in few + bare]
    sizes = [size for one in seen for size in sizes_of(one)]
    if len({one.example.key for one in seen if one.kinds.size}) < FEWEST_PICTURES or len(sizes) < FEWEST_OBJECTS:
        return None
    usual = Usual(*(float(value) for value in np.median(np.array(sizes), axis=0)))
    looked = list(_looked(seen, folds, len(kinds), usual))
    by_least = _judged(looked)
    least = next((least for least, figures in by_least.items() if not figures.missing), None)
    masks = fitted_masks([one.seen for one in looked], [one.found for one in looked])
    if least is None or masks is None:
        return Learned(None, by_least[LEAST[0]])
    return Learned(Proposer(kinds, fitted_places(seen, len(kinds)), masks, usual, least, familiar), by_least[least])


def judged_elsewhere(proposer: Proposer, engine: Engine, pictures: Iterable[Picture]) -> Figures:
    """On pictures that were not learned from."""
    figures = NOTHING
    for picture in pictures:
        one = _seen(engine, picture, proposer.kinds)
        figures += _told(one, proposed(proposer, one.example.embedding, one.engine, one.embedding))
    return figures


def _seen(engine: Engine, picture: Picture, kinds: Kinds) -> Seen:
    example, own = picture
    return seen_by(engine, example, [kinds.index(kind) if kind in kinds else -1 for kind in own])


def _folds(keys: Sequence[str]) -> list[int]:
    """Neighbours, and copies of one picture, are in the same fold: they would know each other."""
    different = list(dict.fromkeys(keys))
    return [different.index(key) * FOLDS // len(different) for key in keys]


def _looked(seen: Sequence[Seen], folds: Sequence[int], kinds: int, usual: Usual) -> Iterable[_Looked]:
    for fold in sorted(set(folds)):
        others = [one for one, own in zip(seen, folds, strict=True) if own != fold]
        places = fitted_places(others, kinds)
        for one, own in zip(seen, folds, strict=True):
            if own == fold:
                shares = shares_of(places, one.example.embedding)
                clicks = clicks_on(shares, one.embedding.frame)
                yield _Looked(one, fold, clicks, candidates(clicks, shares, usual, one.engine, one.embedding))


def _judged(looked: Sequence[_Looked]) -> dict[float, Figures]:
    """For each of LEAST, where each picture's masks are scored by a fit to those of other folds."""
    figures = dict.fromkeys(LEAST, NOTHING)
    for fold in {one.fold for one in looked}:
        others = [one for one in looked if one.fold != fold]
        masks = fitted_masks([one.seen for one in others], [one.found for one in others])
        for one in looked:
            if one.fold == fold:
                for least in LEAST:
                    figures[least] += _told(one.seen, _walked(one, masks, least) if masks else [])
    return figures


def _walked(one: _Looked, masks: Linear, least: float) -> list[Scored]:
    """What would be proposed on it."""
    by_click = dict(zip(one.clicks, scored(masks, one.found), strict=True))
    return walked(one.clicks, one.seen.embedding.frame, lambda few: [by_click[click] for click in few], least)


def _told(one: Seen, made: Sequence[Scored]) -> Figures:
    """Right is each object, of those that are not tiny, that a proposal of its kind gives."""
    known: set[int] = set()
    for candidate, _ in made:
        shared = np.where(one.areas >= SMALLEST, overlaps(one, candidate), 0)
        best = int(shared.argmax()) if shared.size else -1
        if best >= 0 and shared[best] >= RIGHT and one.kinds[best] == candidate.kind:
            known.add(best)
    objects = len(sizes_of(one))
    return Figures(len(made), len(known), objects, int(objects > 0), int(len(known) > 0))
