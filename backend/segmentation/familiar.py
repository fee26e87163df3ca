"""On which pictures a version answers: on those that look like what it learned from.

On all others its base does, so that what the version has forgotten of them does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.segmentation.checkpoints import FAMILIAR, opened_safetensors
from backend.segmentation.engines import Embedding, Engine, Features, Floats
from backend.segmentation.preprocess import SIDE

OWN, OTHERS = f"{FAMILIAR}own", f"{FAMILIAR}others"
GRID, STRIDE = 64, 4
"""Places to a side of the embedding, and every which of them is looked at."""
CLEARLY, REACH = 0.1, 1.5
"""From -1, an everyday picture, to 1, one that was learned from: what a picture's likeness must exceed. And how far it
may be from the nearest of those that were learned from, in medians of how far two of these are apart
(docs/learning.md)."""
STEADY = 0.1
"""How much of the mean square of a look is added in the fit: there are fewer pictures than numbers to a look."""


@dataclass(frozen=True, eq=False)
class Familiar:
    """What pictures look like (`look_of`), N x 512 each: own, those that were learned from; others, everyday ones."""

    own: Floats
    others: Floats

    def holds(self, embedding: Embedding) -> bool:
        """Whether a picture is clearly more like those that were learned from than like others, and like enough."""
        look = look_of(embedding)
        middle, direction = self._fitted
        return bool((look - middle) @ direction > CLEARLY) and _nearest(look, self.own) <= self.reach

    @cached_property
    def _fitted(self) -> tuple[Floats, Floats]:
        """The middle between both sides, and what a look's difference from it is multiplied by to give its likeness.

        Ridge regression, each side weighing half: it finds what tells the sides apart among 512 numbers of which most
        say nothing. The nearest picture alone would hold fewer of the project's and more others (docs/learning.md).
        """
        known = np.concatenate([self.own, self.others]).astype(np.float64)
        number = [len(self.own), len(self.others)]
        weight = np.repeat([0.5 / number[0], 0.5 / number[1]], number)
        middle = weight @ known
        apart = known - middle
        products = apart @ apart.T
        steadied = products + np.diag(STEADY * np.trace(products) / (weight * len(known) ** 2))
        direction = apart.T @ np.linalg.solve(steadied, np.repeat([1.0, -1.0], number))
        return middle.astype(np.float32), direction.astype(np.float32)

    @cached_property
    def reach(self) -> float:
        """How far a picture may be from the nearest of those that were learned from.

        Each counts with all others, not with its nearest: that may be the same picture in another task, or the next one
        of a film. Of one picture nobody knows how far.
        """
        apart = np.concatenate([np.linalg.norm(self.own[:index] - one, axis=1) for index, one in enumerate(self.own)])
        apart = apart[apart > 0]
        return REACH * float(np.median(apart)) if len(apart) else math.inf


def familiar_with(own: Sequence[Embedding], others: Sequence[Embedding]) -> Familiar:
    """Of one picture or more on each side."""
    return Familiar(np.stack([look_of(one) for one in own]), np.stack([look_of(one) for one in others]))


def look_of(embedding: Embedding) -> Floats:
    """Mean and deviation of each channel over one in 16 of the places that the picture covers: 512 numbers.

    They tell a technical field from everyday photographs nearly always (docs/learning.md).
    """
    width, height = (-(-side * GRID // SIDE) for side in embedding.frame.scaled)
    places = embedding.features.reshape(GRID, GRID, -1)[:height:STRIDE, :width:STRIDE].astype(np.float32)
    return np.concatenate([places.mean((0, 1)), places.std((0, 1))])


def _nearest(look: Floats, known: Floats) -> float:
    return float(np.linalg.norm(known - look, axis=1).min())


def familiar_in(path: Path) -> Familiar | None:
    """What a file of weights that was fine-tuned is familiar with; None where it was not. Raises WeightsError."""
    if path.suffix != ".safetensors":
        return None
    with opened_safetensors(path) as file:
        if OWN not in file.keys():  # noqa: SIM118 - not a dict
            return None
        return Familiar(file.get_tensor(OWN), file.get_tensor(OTHERS))


@dataclass(frozen=True, eq=False)
class VersionEngine:
    """An engine (see engines.Engine) of a version: what was learned beside its base, whose encoder tells pictures
    apart. Where learned has an encoder of its own, it wants embeddings of that."""

    base: Engine
    learned: Engine
    familiar: Familiar

    @property
    def identity(self) -> str:
        return self.base.identity

    @property
    def version(self) -> str:
        return self.learned.version

    @property
    def twice(self) -> bool:
        return self.base.twice

    def for_picture(self, embedding: Embedding) -> Engine:
        """That one which knows pictures like this one."""
        return self.learned if self.familiar.holds(embedding) else self.base

    def encode(self, canvas: Floats) -> Features:
        """As the base's."""
        return self.base.encode(canvas)

    def decode(
        self, embedding: Embedding, coordinates: Floats, labels: NDArray[np.int64], low_res: Floats | None
    ) -> Floats:
        """As the engine for this picture does, if it is content with the base's embedding."""
        return self.for_picture(embedding).decode(embedding, coordinates, labels, low_res)
