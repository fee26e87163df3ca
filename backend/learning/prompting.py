"""The loop of prompts: the simulated annotator asks, the decoder answers, the loss says how wrong it was.

Half the objects start with a box, half with a click; then clicks into the error, each with the decoder's last
logits beside it, exactly as `backend.segmentation.predictor` replays them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.learning.clicks import Click, drawn_box, first_click, iou, next_click
from backend.learning.losses import mask_loss
from backend.segmentation.engines import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PADDING
from backend.segmentation.model import SINGLE_MASK
from backend.segmentation.preprocess import LOW_RES_SIDE, SIDE

CELL = SIDE // LOW_RES_SIDE
ROUNDS = 3
SEVERAL_SHARE = 0.25
"""Weight of the best of masks 1 to 3 at a first click: they stay usable, while mask 0 is what answers."""

Decode = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
Masks = NDArray[np.bool_]


@dataclass(slots=True)
class Asking:
    """Where the prompting of one object has got to, in cells of the low-res grid."""

    box: tuple[float, float, float, float] | None
    clicks: list[Click]

    def tokens(self) -> tuple[list[tuple[float, float]], list[int]]:
        """Coordinates on the canvas and labels; with a box or without, n rounds make as many tokens."""
        places = [((click.x + 0.5) * CELL, (click.y + 0.5) * CELL) for click in self.clicks]
        labels = [int(click.positive) for click in self.clicks]
        if self.box is None:
            return [*places, (0.0, 0.0)], [*labels, PADDING]
        left, top, right, bottom = (edge * CELL for edge in self.box)
        return [*places, (left, top), (right, bottom)], [*labels, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]


def begun(truth: Masks, random: np.random.Generator, box_share: float) -> list[Asking]:
    """The first prompt for each object of N x 256 x 256."""
    return [
        Asking(drawn_box(one, random), [])
        if random.random() < box_share
        else Asking(None, [first_click(one, random if random.random() < 0.7 else None)])
        for one in truth
    ]


def prompt_rounds(
    decode: Decode,
    embedding: Tensor,
    truth: Masks,
    random: np.random.Generator,
    box_share: float,
    learn: Callable[[Tensor], None],
) -> list[float]:
    """Asks for all objects of one picture, in up to ROUNDS rounds; the mean IoU after each round.

    embedding: (1 or N) x 4096 x 256. truth: N x 256 x 256. learn: gets the loss of one round, to differentiate at once,
    so that the graph of one round is all that is held. One round of the three is learned from, the first most often:
    the rounds before it cost a forward pass only, and more pictures are seen in the same time.
    """
    target = torch.from_numpy(truth).to(embedding.device, torch.float32)
    asking = begun(truth, random, box_share)
    learned = int(random.choice(ROUNDS, p=(0.5, 0.25, 0.25)))
    before = torch.zeros(len(truth), 1, LOW_RES_SIDE, LOW_RES_SIDE, device=embedding.device)
    agreement: list[float] = []
    for number in range(learned + 1):
        with torch.set_grad_enabled(number == learned):
            logits = answered(decode, embedding, asking, before, number > 0)
        masks = (logits[:, SINGLE_MASK] > 0).cpu().numpy()
        agreement.append(float(np.mean([iou(one, mask) for one, mask in zip(truth, masks, strict=True)])))
        if number == learned:
            learn(_round_loss(logits, target, asking, first=number == 0))
            break
        before = logits[:, SINGLE_MASK : SINGLE_MASK + 1].detach()
        for one, mask, asked in zip(truth, masks, asking, strict=True):
            asked.clicks.append(next_click(one, mask, random) or first_click(one, random))
    return agreement


def answered(decode: Decode, embedding: Tensor, asking: list[Asking], before: Tensor, has_before: bool) -> Tensor:
    """Logits N x 4 x 256 x 256 of what was asked so far; before: N x 1 x 256 x 256, logits of the round before."""
    tokens = [asked.tokens() for asked in asking]
    device = embedding.device
    logits, _ = decode(
        embedding,
        torch.tensor([places for places, _ in tokens], dtype=torch.float32, device=device),
        torch.tensor([labels for _, labels in tokens], device=device),
        before,
        torch.tensor([float(has_before)], device=device),
    )
    return logits.float()


def _round_loss(logits: Tensor, target: Tensor, asking: list[Asking], first: bool) -> Tensor:
    """Mean over the objects. At a first click the best of the three further masks learns a little too."""
    loss = mask_loss(logits[:, SINGLE_MASK], target).mean()
    by_click = [number for number, asked in enumerate(asking) if asked.box is None]
    if first and by_click:
        several = mask_loss(logits[by_click, 1:], target[by_click, None].expand(-1, 3, -1, -1))
        loss = loss + SEVERAL_SHARE * several.min(1).values.sum() / len(asking)
    return loss


@torch.no_grad()
def teachers_objects(
    decode: Decode, embedding: Tensor, extent: tuple[int, int], random: np.random.Generator, most: int
) -> Masks:
    """What the teacher sees under random points of a picture (height, width on the canvas): bool N x 256 x 256.

    Only masks that it is sure of, that barely move with their threshold, and that do not repeat each other.
    """
    height, width = extent
    asked = 2 * most
    places = np.stack([random.uniform(0, width, asked), random.uniform(0, height, asked)], 1)
    places = np.stack([places, np.zeros_like(places)], 1)  # the padding that SAM wants behind clicks
    device = embedding.device
    logits, scores = decode(
        embedding,
        torch.tensor(places, dtype=torch.float32, device=device),
        torch.tensor([[1, PADDING]] * asked, device=device),
        torch.zeros(asked, 1, LOW_RES_SIDE, LOW_RES_SIDE, device=device),
        torch.zeros(1, device=device),
    )
    best = 1 + scores[:, 1:].argmax(1)
    rows = torch.arange(asked, device=device)
    logits, scores = logits[rows, best].float(), scores[rows, best].float()
    logits[:, -(-height // CELL) :] = -torch.inf
    logits[:, :, -(-width // CELL) :] = -torch.inf
    areas = (logits > 0).sum((1, 2))
    stable = (logits > 1).sum((1, 2)) / (logits > -1).sum((1, 2)).clamp(min=1)
    good = (scores > 0.8) & (stable > 0.85) & (areas > 24) & (areas < 0.7 * LOW_RES_SIDE**2)
    order = scores.masked_fill(~good, -1).argsort(descending=True)[: int(good.sum())]
    return _distinct((logits[order] > 0).cpu().numpy())[:most]


def _distinct(masks: Masks) -> Masks:
    """Without those that repeat an earlier one."""
    kept: list[int] = []
    for number, mask in enumerate(masks):
        if all(iou(mask, masks[other]) < 0.7 for other in kept):
            kept.append(number)
    return masks[kept]
