"""How sure a mask is, and which parts of it are kept."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.segmentation.engines import Floats

STABILITY_OFFSET = 1.0


def stability_score(logits: Floats) -> float:
    """How little a mask changes when its threshold moves: IoU of logits > 1 and logits > -1, from 0 to 1.

    `calculate_stability_score` of segment_anything/utils/amg.py, but an empty mask scores 0 where that divides 0 by 0.
    """
    inner = np.count_nonzero(logits > STABILITY_OFFSET)
    outer = np.count_nonzero(logits > -STABILITY_OFFSET)
    return inner / outer if outer else 0.0


def without_specks(logits: Floats, smallest_share: float, clicks: NDArray[np.intp]) -> Floats:
    """Low-res logits H x W with every part of the mask below `smallest_share` of it switched off.

    A part that holds one of `clicks` (K x 2 columns and rows of the low-res grid) stays whatever its size.
    Working at low resolution makes this cost the same for every image.
    """
    count, parts, figures, _ = cv2.connectedComponentsWithStats((logits > 0).astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and at most one part
        return logits
    areas = figures[:, cv2.CC_STAT_AREA]
    drop = areas < smallest_share * areas[1:].sum()
    drop[0] = False
    drop[parts[clicks[:, 1], clicks[:, 0]]] = False
    return np.where(drop[parts], -np.abs(logits), logits).astype(np.float32)
