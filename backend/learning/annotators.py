"""Many simulated annotators at once: what clicks.py does for one object that is measured, for all objects of a step.

Everything is a tensor on the device of the masks, and chance comes from a generator there. Masks are bool
N x 256 x 256, cells of the low-res grid; prompts are on the canvas, as a decoder takes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Generator, Tensor

from backend.learning.clicks import BORDER_JITTER, DEEP_ENOUGH, depth_of, tight_box
from backend.segmentation.engines import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PADDING
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE

MOST_DEPTH = 48
"""Erosion goes no deeper: all cells of an object that are deeper count as equally deep."""
STEPS_BETWEEN_LOOKS = 8
"""After so many steps of erosion it is asked whether anything is left: asking makes a GPU wait."""
MOST_HASTE = 1.5
"""People miss the edges of a box by nothing up to so many times BORDER_JITTER: exact boxes are learned from too."""
INEXACT_SHARE = 0.7
"""First clicks that go somewhere well inside; the others go to the deepest cell."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What N objects were asked for with.

    coordinates: float32 N x T x 2, x and y on the canvas. labels: int64 N x T, SAM's. boxed: bool N, which began with
    a box.
    """

    coordinates: Tensor
    labels: Tensor
    boxed: Tensor

    def of(self, rows: Tensor) -> Prompts:
        """Those of some objects."""
        return Prompts(self.coordinates[rows], self.labels[rows], self.boxed[rows])


def first_prompts(truth: Tensor, box_share: float | Tensor, generator: Generator) -> Prompts:
    """A drawn box or a click for each object, none of them empty. box_share: how often a box, of all or of each (N)."""
    device, number = truth.device, len(truth)
    boxed = torch.rand(number, device=device, generator=generator) < box_share
    inexact = torch.rand(number, device=device, generator=generator) < INEXACT_SHARE
    clicked = _chosen(depths(truth), torch.where(inexact, DEEP_ENOUGH, 1.0), generator)
    clicks = torch.stack([clicked, torch.zeros_like(clicked)], 1)
    boxes = drawn_boxes(truth, generator).view(number, 2, 2)
    labels = torch.tensor([[1, PADDING], [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]], device=device)
    return Prompts(torch.where(boxed[:, None, None], boxes, clicks), labels[boxed.long()], boxed)


def corrected(prompts: Prompts, truth: Tensor, masks: Tensor, generator: Generator) -> Prompts:
    """The prompts with one click more, into the deeper of what was missed (positive) and what spilled over (negative).

    Where nothing is wrong it is one more click on the object.
    """
    missed, spilled = truth & ~masks, masks & ~truth
    into_missed, into_spilled = depths(torch.cat([missed, spilled])).view(2, *truth.shape)
    deepest, spill = (depth.flatten(1).amax(1) for depth in (into_missed, into_spilled))
    positive = deepest >= spill
    depth = torch.where(positive[:, None, None], into_missed, into_spilled)
    nothing_wrong = (deepest == 0) & (spill == 0)
    depth = torch.where(nothing_wrong[:, None, None], truth.to(depth.dtype), depth)
    click = _chosen(depth, torch.full_like(deepest, DEEP_ENOUGH), generator)
    return Prompts(
        torch.cat([prompts.coordinates, click[:, None]], 1),
        torch.cat([prompts.labels, positive.long()[:, None]], 1),
        prompts.boxed,
    )


def depths(regions: Tensor) -> Tensor:
    """How many cells deep each cell lies in its region, 0 outside: float N x 256 x 256.

    Exact on a CPU, one region after the other. That would cost a GPU as much as the network, which waits meanwhile:
    elsewhere all are eroded at once.
    """
    if regions.device.type != "cpu":
        return eroded_depths(regions)
    found = np.zeros(regions.shape, np.float32)
    for region, depth in zip(regions.numpy(), found, strict=True):
        if region.any():
            left, top, right, bottom = tight_box(region)
            depth[top:bottom, left:right] = depth_of(region[top:bottom, left:right])
    return torch.from_numpy(found)


def eroded_depths(regions: Tensor) -> Tensor:
    """How often a region can be eroded until a cell is gone, at most MOST_DEPTH times.

    A cross and a square take turns: together they are an octagon, which is near to a circle.
    """
    left = F.pad(regions.to(torch.bfloat16), (1, 1, 1, 1))[:, None]  # beyond the border all is outside
    depth = left.clone()
    for step in range(1, MOST_DEPTH):
        left = _eroded_by_cross(left) if step % 2 else -F.max_pool2d(-left, 3, 1, 1)
        depth += left
        if step % STEPS_BETWEEN_LOOKS == 0 and not left.any():
            break
    return depth[:, 0, 1:-1, 1:-1].float()


def _eroded_by_cross(regions: Tensor) -> Tensor:
    upright = F.max_pool2d(-regions, (3, 1), 1, (1, 0))
    return -torch.maximum(upright, F.max_pool2d(-regions, (1, 3), 1, (0, 1)))


def _chosen(depth: Tensor, share: Tensor, generator: Generator) -> Tensor:
    """The middle of a random cell among those at least `share` (N) of the greatest depth: N x 2, on the canvas."""
    flat = depth.flatten(1)
    allowed = (flat >= share[:, None] * flat.amax(1, keepdim=True)) & (flat > 0)
    chance = torch.rand(flat.shape, device=flat.device, generator=generator) + 0.001  # never 0, which is not allowed
    place = (chance * allowed).argmax(1)
    return (torch.stack([place % LOW_RES_SIDE, place // LOW_RES_SIDE], 1) + 0.5) * CELL


def drawn_boxes(truth: Tensor, generator: Generator) -> Tensor:
    """The tight boxes as people draw them, some with more care than others: each edge a little off, still within the
    grid. N x 4, on the canvas."""
    tight = tight_boxes(truth)
    sides = (tight[:, 2:] - tight[:, :2]).repeat(1, 2)
    haste = torch.rand(len(tight), 1, device=tight.device, generator=generator) * MOST_HASTE
    miss = torch.randn(tight.shape, device=tight.device, generator=generator) * BORDER_JITTER * haste
    return (tight + miss.clamp(-2 * BORDER_JITTER, 2 * BORDER_JITTER) * sides).clamp(0, LOW_RES_SIDE) * CELL


def tight_boxes(truth: Tensor) -> Tensor:
    """Left, top, right, bottom of each object in cells, edges included: float32 N x 4. None may be empty."""
    (left, right), (top, bottom) = _ends(truth.any(1)), _ends(truth.any(2))
    return torch.stack([left, top, right, bottom], 1)


def _ends(taken: Tensor) -> tuple[Tensor, Tensor]:
    """The first place taken in each row of N x 256, and the one behind the last."""
    places = torch.arange(LOW_RES_SIDE, device=taken.device, dtype=torch.float32)
    first = torch.where(taken, places, LOW_RES_SIDE).amin(1)
    return first, torch.where(taken, places, -1.0).amax(1) + 1
