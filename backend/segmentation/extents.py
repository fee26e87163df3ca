"""A mask -> an upright box and an ellipse around it, in pixels of the image.

x right, y down; a pixel's corners are whole numbers, its centre is at +0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.segmentation.prompts import Box

Mask = NDArray[np.bool_]
Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ellipse:
    """centre, and radii along its own axes: the first axis is turned clockwise from x to the right by `rotation`
    degrees."""

    centre: Corner
    radii: tuple[float, float]
    rotation: float


def box_of(mask: Mask) -> Box:
    """Left, top, right, bottom of a mask that is not empty: the edges of its outermost pixels."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def ellipse_of(mask: Mask) -> Ellipse:
    """The ellipse of the area, centre and direction of a mask that is not empty (its first and second moments)."""
    left, top, right, bottom = (int(side) for side in box_of(mask))
    moments = cv2.moments(mask[top:bottom, left:right].view(np.uint8), binaryImage=True)
    area = moments["m00"]
    xx, xy, yy = (moments[name] / area for name in ("mu20", "mu11", "mu02"))
    # A pixel is a square, not a point: a line of pixels is as wide as one.
    variances, axes = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]) + np.eye(2) / 12)
    across, along = np.sqrt(variances * area / (math.pi * math.sqrt(variances.prod())))
    centre = left + moments["m10"] / area + 0.5, top + moments["m01"] / area + 0.5
    x, y = axes[:, 1]
    return Ellipse(centre, (float(along), float(across)), math.degrees(math.atan2(y, x)) % 180)
