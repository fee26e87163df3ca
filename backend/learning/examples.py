"""What fine-tuning learns from: pictures and their base's embeddings, with the masks that belong on them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from backend.learning.masks import Sample
from backend.segmentation.engines import Embedding, Engine, Features
from backend.segmentation.predictor import encode
from backend.segmentation.preprocess import SIDE, Frame

VALIDATION_SHARE, LEAST_JUDGES = 0.25, 5
"""How many pictures judge by chance, and one in how many at least."""


@dataclass(frozen=True, slots=True)
class Example:
    """One picture.

    key: its name for ever, the hash of its bytes. features: the embedding. frame: how the label
    map lies on the canvas. labels: int16 height x width of the frame, 0 where nothing is, else 1 to n. weights: how
    much each of the n objects counts. jpeg: the picture as it lies on the canvas: see jpeg_of.
    """

    key: str
    features: Features
    frame: Frame
    labels: NDArray[np.int16]
    weights: tuple[float, ...]
    jpeg: bytes

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """RGB uint8 H x W x 3, in its size on the canvas."""
        return np.asarray(Image.open(io.BytesIO(self.jpeg)))

    @property
    def embedding(self) -> Embedding:
        return Embedding(self.features, self.frame)


def jpeg_of(pixels: NDArray[np.uint8], frame: Frame) -> bytes:
    """RGB uint8 H x W x 3 -> a file of it in its size on the canvas: a tenth of the memory."""
    file = io.BytesIO()
    Image.fromarray(pixels).resize(frame.scaled, Image.Resampling.BILINEAR).save(file, "JPEG", quality=95)
    return file.getvalue()


def example_of(engine: Engine, sample: Sample) -> Example:
    """A picture of a file with all its masks. A label map larger than the canvas is scaled down to it."""
    pixels, labels = sample.pixels(), sample.labels()
    frame = Frame.of(pixels)
    if max(labels.shape) > SIDE:
        labels = np.asarray(cv2.resize(labels, frame.scaled, interpolation=cv2.INTER_NEAREST_EXACT), np.int32)
    numbers = [number for number in sample.objects if (labels == number).any()]
    ordered = np.zeros(labels.shape, np.int16)
    for new, number in enumerate(numbers, start=1):
        ordered[labels == number] = new
    return Example(
        hashlib.sha256(sample.image.read_bytes()).hexdigest(),
        encode(engine, pixels, frame).features,
        Frame(labels.shape[1], labels.shape[0]),
        ordered,
        (1.0,) * len(numbers),
        jpeg_of(pixels, frame),
    )


def split(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Pictures to learn from, and about a quarter to judge by. A picture stays on its side while the project grows, in
    whatever tasks it is.

    Two or more pictures give at least one of each, and a fifth judge at least: chance may leave fewer. Those that
    change sides then are the nearest to the other side.
    """
    ordered = sorted(examples, key=lambda example: _place(example.key))
    keys = list(dict.fromkeys(example.key for example in ordered))
    border = sum(_place(key) < VALIDATION_SHARE for key in keys)
    if len(keys) >= 2:
        border = min(max(border, len(keys) // LEAST_JUDGES, 1), len(keys) - 1)
    judging = sum(example.key in keys[:border] for example in ordered)
    return ordered[judging:], ordered[:judging]


def _place(key: str) -> float:
    """Where the picture's name falls between 0 and 1."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
