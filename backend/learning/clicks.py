"""The simulated annotator: where a person clicks and how they draw a box. One for evaluation and for training.

The usual protocol of click-based segmentation (arXiv 1603.04042): the first click goes to the pixel of the object
that is farthest from its border, each further click to the pixel of the error that is farthest from its region's
border. Masks are bool H x W; pixels are (x, y), counted from the top left.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Region = NDArray[np.bool_]

BORDER_JITTER = 0.05
"""How far a person misses an edge of a box: standard deviation, as a share of the box's side."""

DEEP_ENOUGH = 0.5
"""A hand that is not exact still clicks at least this share of the greatest depth away from the border."""


@dataclass(frozen=True, slots=True)
class Click:
    """One click on a pixel; positive says "this belongs to the object"."""

    x: int
    y: int
    positive: bool


def depth_of(region: Region) -> NDArray[np.float32]:
    """How far each pixel is from the nearest pixel outside; beyond the image's border all is outside."""
    padded = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1].astype(np.float32)


def deepest_pixel(region: Region) -> tuple[int, int, float]:
    """x, y of the pixel farthest from the region's border, the first in reading order, and its depth.

    Raises ValueError where the region is empty.
    """
    left, top, right, bottom = tight_box(region)
    depth = depth_of(region[top:bottom, left:right])
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x) + left, int(y) + top, float(depth[y, x])


def deep_pixel(region: Region, random: np.random.Generator) -> tuple[int, int]:
    """x, y of a random pixel well inside the region: as far from its border as a hand that is not exact clicks."""
    left, top, right, bottom = tight_box(region)
    depth = depth_of(region[top:bottom, left:right])
    ys, xs = np.nonzero(depth >= DEEP_ENOUGH * depth.max())
    chosen = random.integers(len(xs))
    return int(xs[chosen]) + left, int(ys[chosen]) + top


def first_click(truth: Region, random: np.random.Generator | None = None) -> Click:
    """The annotator's first click on an object; exact without `random`."""
    x, y = deep_pixel(truth, random) if random else deepest_pixel(truth)[:2]
    return Click(x, y, True)


def next_click(truth: Region, mask: Region, random: np.random.Generator | None = None) -> Click | None:
    """The next click on a wrong mask, or None where nothing is wrong.

    It goes into the deeper of what was missed (positive) and what spilled over (negative); missed first when equal.
    """
    missed, spilled = truth & ~mask, mask & ~truth
    depths = [deepest_pixel(region)[2] if region.any() else 0.0 for region in (missed, spilled)]
    if not any(depths):
        return None
    positive = depths[0] >= depths[1]
    region = missed if positive else spilled
    x, y = deep_pixel(region, random) if random else deepest_pixel(region)[:2]
    return Click(x, y, positive)


def tight_box(truth: Region) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the object in pixels, edges included: right and bottom are exclusive.

    Raises ValueError where the object is empty.
    """
    columns, rows = np.flatnonzero(truth.any(0)), np.flatnonzero(truth.any(1))
    if not len(columns):
        raise ValueError("an empty region has neither a box nor a pixel to click")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def drawn_box(truth: Region, random: np.random.Generator) -> tuple[float, float, float, float]:
    """The tight box as a person draws it: each edge a little off, still within the image, never turned round."""
    left, top, right, bottom = tight_box(truth)
    height, width = truth.shape
    miss = random.normal(0, BORDER_JITTER, 4).clip(-2 * BORDER_JITTER, 2 * BORDER_JITTER)
    side = np.array([right - left, bottom - top] * 2)
    drawn = (np.array([left, top, right, bottom]) + miss * side).clip(0, [width, height, width, height])
    return float(drawn[0]), float(drawn[1]), float(drawn[2]), float(drawn[3])


def iou(first: Region, second: Region) -> float:
    """Intersection over union, from 0 to 1; two empty regions agree wholly."""
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0
