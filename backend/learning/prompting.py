"""The loop of prompts: simulated annotators ask, the decoder answers, the loss says how wrong it was.

Objects start with a box or with a click; then clicks into the error, each with the decoder's last logits beside it,
as `backend.segmentation.predictor` replays them. A box is asked again before any click, its first answer beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.autograd import backward

from backend.learning.annotators import Prompts, corrected, first_prompts
from backend.learning.canvases import COVERED, HALF
from backend.learning.losses import mask_loss
from backend.segmentation.engines import PADDING
from backend.segmentation.model import SINGLE_MASK
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE

LEARNED_SHARES = (0.4, 0.35, 0.25)
"""How often an object is learned from in the first, second and third round. The second answers a box in the product."""
SEVERAL_SHARE = 0.25
"""Weight of the best of masks 1 to 3 at a first click: they stay usable, while mask 0 is what answers."""
SURE, STABLE, LEAST_CELLS, MOST_OF_CANVAS, REPEATED = 0.8, 0.85, 24, 0.7, 0.7
"""Of a teacher's mask: its predicted IoU and its IoU across thresholds at least, its area, and the IoU with a better
one from which it counts as the same."""

SINGLE = slice(SINGLE_MASK, SINGLE_MASK + 1)
"""The mask that answers, still as one of several."""

Decode = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Objects:
    """What is asked for.

    coverage: uint8 N x 256 x 256, how much of each cell an object covers. owner: int64 N, which embedding shows it.
    weight: float32 N, how much its loss counts.
    """

    coverage: Tensor
    owner: Tensor
    weight: Tensor

    @property
    def truth(self) -> Tensor:
        """The masks, bool N x 256 x 256."""
        return self.coverage > HALF

    def of(self, rows: Tensor) -> Objects:
        """Some of them."""
        return Objects(self.coverage[rows], self.owner[rows], self.weight[rows])


@dataclass(frozen=True, slots=True)
class _Asked:
    """Objects under way. before: N x 1 x 256 x 256, their logits of the round before. learned: N, in which round."""

    objects: Objects
    prompts: Prompts
    before: Tensor
    learned: Tensor

    def of(self, rows: Tensor) -> _Asked:
        return _Asked(self.objects.of(rows), self.prompts.of(rows), self.before[rows], self.learned[rows])


def learned_rounds(number: int, generator: Generator) -> Tensor:
    """The round in which each of so many objects is learned from, the first most often: int64 N."""
    shares = torch.tensor(LEARNED_SHARES, device=generator.device)
    return torch.multinomial(shares, number, True, generator=generator)


def prompt_rounds(
    decode: Decode,
    places: Tensor,
    objects: Objects,
    learned: Tensor,
    box_share: float | Tensor,
    generator: Generator,
) -> dict[str, float]:
    """Asks for all objects (at least one) in up to three rounds, and adds the gradients of the weighted sum of losses.

    places: B x 4096 x 256, on which gradients arrive too where it wants them. learned: int64 N, the round in which each
    object is learned from: those before it cost a forward pass only, and more pictures are seen in the same time.
    box_share: how often it starts with a box, for all or for each object. Each round is differentiated at once, so
    that its graph is all that is held.

    Figures: loss, the mean over the objects; first_iou, the mean of those that were learned from in the first round,
    if any were.
    """
    number, device = len(objects.coverage), places.device
    asked = _Asked(objects, first_prompts(objects.truth, box_share, generator), _no_masks(number, device), learned)
    learned_from: list[_Learned] = []
    for boxed in (True, False):  # apart: they are asked in prompts of other shapes
        rows = (asked.prompts.boxed == boxed).nonzero()[:, 0]
        learned_from += _rounds(decode, places, asked.of(rows), generator)
    figures = {"loss": torch.cat([one.loss for one in learned_from]).mean().item()}
    if first := [one.ious for one in learned_from if one.turn == 0]:
        figures["first_iou"] = torch.cat(first).mean().item()
    return figures


@dataclass(frozen=True, slots=True)
class _Learned:
    """Objects that were learned from in one round: the loss and the IoU of each."""

    turn: int
    loss: Tensor
    ious: Tensor


def _rounds(decode: Decode, places: Tensor, asked: _Asked, generator: Generator) -> Iterator[_Learned]:
    """As prompt_rounds, for objects that all began alike, if any."""
    for turn in range(len(LEARNED_SHARES)):
        now = (asked.learned == turn).nonzero()[:, 0]
        if len(now):
            yield _learn(decode, places, asked.of(now), turn)
        later = (asked.learned > turn).nonzero()[:, 0]
        if not len(later):
            break
        asked = _ask_on(decode, places.detach(), asked.of(later), generator, turn)


def _learn(decode: Decode, places: Tensor, asked: _Asked, turn: int) -> _Learned:
    """Adds the gradients of one round."""
    objects, truth, first = asked.objects, asked.objects.truth, turn == 0
    logits = answered(decode, places.index_select(0, objects.owner), asked.prompts, None if first else asked.before)
    loss = _round_loss(logits, objects.coverage.float() / COVERED, truth.float(), asked.prompts.boxed, first)
    backward((loss * objects.weight).sum())
    masks = logits.detach()[:, SINGLE_MASK] > 0
    return _Learned(turn, loss.detach(), (truth & masks).sum((1, 2)) / (truth | masks).sum((1, 2)))


def _round_loss(logits: Tensor, soft: Tensor, hard: Tensor, boxed: Tensor, first: bool) -> Tensor:
    """Of each object. At a first click the best of the three further masks learns a little too."""
    loss = mask_loss(logits[:, SINGLE_MASK], soft, hard)
    if not first:
        return loss
    clicked = (~boxed).nonzero()[:, 0]
    several = mask_loss(
        logits[clicked, 1:], *(truth[clicked, None].expand(-1, 3, -1, -1) for truth in (soft, hard))
    ).amin(1)
    return loss.index_add(0, clicked, SEVERAL_SHARE * several)


@torch.no_grad()
def _ask_on(decode: Decode, places: Tensor, asked: _Asked, generator: Generator, turn: int) -> _Asked:
    """The same objects, all boxed or all clicked, after an answer and the click that corrects it. The first answer to a
    box is shown again before any click."""
    objects, first = asked.objects, turn == 0
    logits = answered(decode, places.index_select(0, objects.owner), asked.prompts, None if first else asked.before)
    asked = replace(asked, before=logits[:, SINGLE])
    if first and asked.prompts.boxed[0]:
        return asked
    return replace(asked, prompts=corrected(asked.prompts, objects.truth, asked.before[:, 0] > 0, generator))


def answered(decode: Decode, places: Tensor, prompts: Prompts, before: Tensor | None) -> Tensor:
    """Logits N x 4 x 256 x 256, float32. places: N x 4096 x 256. before: N x 1 x 256 x 256, logits of the round before,
    None in the first."""
    has_before = torch.tensor([float(before is not None)], device=places.device)
    if before is None:
        before = _no_masks(len(prompts.labels), places.device)
    logits, _ = decode(places, prompts.coordinates, prompts.labels, before, has_before)
    return logits.float()


def _no_masks(number: int, device: torch.device) -> Tensor:
    return torch.zeros(number, 1, LOW_RES_SIDE, LOW_RES_SIDE, device=device)


@torch.no_grad()
def teachers_objects(
    decode: Decode, places: Tensor, extents: Tensor, most: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """What the teacher sees under random points of P pictures: coverage uint8 N x 256 x 256, and the owners, N of P.

    places: P x 4096 x 256. extents: P x 2, height and width on the canvas. Only masks that it is sure of, that barely
    move with their threshold, and that do not repeat each other; at most `most` of each picture.
    """
    pictures, asked, device = len(places), 2 * most, places.device
    points = torch.rand(pictures, asked, 2, device=device, generator=generator) * extents.flip(1)[:, None]
    coordinates = torch.stack([points, torch.zeros_like(points)], 2).flatten(0, 1)
    labels = torch.tensor([[1, PADDING]], device=device).expand(len(coordinates), -1)
    owner = torch.arange(pictures, device=device).repeat_interleave(asked)
    none = _no_masks(len(owner), device)
    logits, scores = decode(places[owner], coordinates, labels, none, torch.zeros(1, device=device))
    rows, best = torch.arange(len(owner), device=device), 1 + scores[:, 1:].argmax(1)
    logits, scores = logits[rows, best].float(), scores[rows, best].float()
    logits = logits.masked_fill(_off_picture(extents[owner]), -torch.inf)
    masks = logits > 0
    scores = scores.masked_fill(~_good(logits, scores), -1.0)
    kept = _distinct(masks.view(pictures, asked, -1), scores.view(pictures, asked), most)
    return masks[kept].to(torch.uint8) * COVERED, owner[kept]


def _off_picture(extents: Tensor) -> Tensor:
    """The cells beside a picture: bool N x 256 x 256."""
    height, width = extents.add(CELL - 1).div(CELL, rounding_mode="floor").unbind(1)
    cells = torch.arange(LOW_RES_SIDE, device=extents.device)
    return (cells[:, None] >= height[:, None, None]) | (cells >= width[:, None, None])


def _good(logits: Tensor, scores: Tensor) -> Tensor:
    """Which masks may teach: bool N."""
    areas = (logits > 0).sum((1, 2))
    stable = (logits > 1).sum((1, 2)) / (logits > -1).sum((1, 2)).clamp(min=1)
    some = (areas > LEAST_CELLS) & (areas < MOST_OF_CANVAS * LOW_RES_SIDE**2)
    return (scores > SURE) & (stable > STABLE) & some


def _distinct(masks: Tensor, scores: Tensor, most: int) -> Tensor:
    """The numbers, counted over all pictures, of the best masks of each that do not repeat a better one.

    masks: bool P x M x cells. scores: P x M, below 0 where a mask is not good.
    """
    flat = masks.float()
    shared, areas = flat @ flat.transpose(1, 2), flat.sum(2)
    ious = (shared / (areas[:, :, None] + areas[:, None] - shared).clamp(min=1)).cpu().numpy()
    kept: list[int] = []
    for picture, (same, order) in enumerate(zip(ious, scores.cpu().numpy(), strict=True)):
        kept += [picture * len(order) + number for number in _best(same, order, most)]
    return torch.tensor(kept, dtype=torch.long, device=masks.device)


def _best(ious: NDArray[np.float32], scores: NDArray[np.float32], most: int) -> list[int]:
    best: list[int] = []
    for number in np.argsort(-scores).tolist():
        if scores[number] >= 0 and all(ious[number, other] < REPEATED for other in best):
            best.append(number)
        if len(best) == most:
            break
    return best
