"""Pictures of spots, and an engine that gives the whole spot of a click: what there is to find is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.segmentation.engines import FEATURES, Embedding, Engine, Features, Floats
from backend.segmentation.familiar import Familiar
from backend.segmentation.preprocess import Frame

FRAME = Frame(640, 480)
ROWS, COLUMNS = 48, 64
"""Of the places that such a picture covers."""
RADIUS = 3.5
"""Of a spot, in places of 10 pixels."""
NUMBER = 200
"""The channel that says which spot a place shows; that of a spot's kind is the kind's number."""


class Everywhere(Familiar):
    """All pictures look like the project's."""

    def holds(self, embedding: Embedding) -> bool:
        return True


EVERYWHERE = Everywhere(np.zeros((2, 512), np.float32), np.ones((3, 512), np.float32))

Spots = list[tuple[int, int, int]]
"""Row and column of each spot's middle place, and its kind."""


def numbers_of(spots: Spots) -> NDArray[np.int16]:
    """Which spot each place shows, 64 x 64; 0 is none."""
    rows, columns = np.mgrid[:64, :64]
    numbers = np.zeros((64, 64), np.int16)
    for number, (row, column, _) in enumerate(spots, start=1):
        numbers[np.hypot(rows - row, columns - column) <= RADIUS] = number
    return numbers


def seen(spots: Spots, frame: Frame = FRAME, seed: int = 0) -> Embedding:
    """The picture's embedding: channels 0 and 1 say where a spot of that kind is; most others are noise."""
    features = np.random.default_rng(seed).normal(0, 0.3, (64, 64, 256))
    numbers = numbers_of(spots)
    for number, (_, _, kind) in enumerate(spots, start=1):
        features[numbers == number, kind] += 3
    features[..., NUMBER] = numbers
    return Embedding(features.reshape(FEATURES).astype(np.float16), frame)


class SpotEngine(Engine):
    """A click on a spot gives the spot, another one a square that is none."""

    identity = "spots-torch"
    version = "spots-1"
    twice = False

    def __init__(self) -> None:
        self.asked: list[Embedding] = []

    def for_picture(self, _embedding: Embedding) -> Engine:
        return self

    def encode(self, canvas: Floats) -> Features:
        return seen([]).features

    def decode(self, embedding, coordinates, labels, low_res) -> Floats:  # type: ignore[no-untyped-def]
        self.asked.append(embedding)
        numbers = embedding.features.reshape(64, 64, -1)[..., NUMBER]
        logits = np.full((len(labels), 256, 256), -8, np.float32)
        for one, (x, y) in zip(logits, coordinates[:, 0], strict=True):
            row, column = int(y // 16), int(x // 16)
            if number := numbers[row, column]:
                one[np.kron(numbers == number, np.ones((4, 4), bool))] = 8
            else:
                one[4 * row : 4 * row + 40, 4 * column : 4 * column + 40] = 8
        return logits
