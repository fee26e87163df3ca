"""A project's pictures as they are learned from: each time as another camera might have seen them, or a part of them.

Forty pictures are learned by heart within minutes; what is learned from their variations holds for other pictures.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.learning.canvases import Labels, Picture, part
from backend.learning.examples import Example, jpeg_of
from backend.learning.variations import varied
from backend.segmentation.preprocess import Frame

PART_SHARE = 0.3
"""How often a part is shown, as a picture of its own: larger, as the windows are in which boxes are looked at again."""
LEAST_SEEN = 0.5
"""What is cut to less of its area is no object any more."""


def another_view(random: np.random.Generator, example: Example) -> Example:
    """The picture seen anew. Its masks are where they belong then, and those cut away have a weight of 0; its features
    are still those of the picture as it is."""
    whole = cv2.resize(example.labels, example.frame.scaled, interpolation=cv2.INTER_NEAREST_EXACT).astype(np.uint16)
    seen = varied(random, Picture(example.pixels, whole))
    if random.random() < PART_SHARE:
        seen = part(random, seen)
    assert seen.labels is not None
    frame, number = Frame(*seen.size), len(example.weights)
    left = _areas(seen.labels, number) >= LEAST_SEEN * _areas(whole, number)
    return replace(
        example,
        frame=frame,
        labels=seen.labels.astype(np.int16),
        weights=tuple(np.where(left, example.weights, 0.0).tolist()),
        jpeg=jpeg_of(seen.image, frame),
    )


def _areas(labels: Labels, number: int) -> NDArray[np.intp]:
    return np.bincount(labels.ravel(), minlength=number + 1)[1:]
