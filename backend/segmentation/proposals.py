"""Objects of the kinds that a project has accepted, found without a click.

Two linear fits know the project (backend/learning/proposing.py makes them): one says which places of a picture's
embedding show an object, and of which kind; clicks go there, and the other one says which of the masks that answer are
whole objects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from backend.segmentation.engines import Embedding, Engine, Floats
from backend.segmentation.familiar import Familiar
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE, Frame
from backend.segmentation.prompts import POSITIVE, Point, Prompt
from backend.segmentation.replay import low_res_logits
from backend.segmentation.selection import stability_score

GRID, STRIDE = 64, 16
"""Places to a side of the embedding, and canvas pixels to a place."""
MOST_CLICKS, CLICKS_AT_ONCE = 64, 8
LEAST_SHARE = 0.4
"""How sure the first fit must be of an object where a click goes."""
SMALLEST = 12
"""Masks below so many cells of the low-res grid are no candidates."""
RING = 9
"""How far what lies around a mask is looked at: a square of so many cells, centred on its edge."""
SETTLED = 0.8
"""How sure a mask must be, and sure enough to be proposed, for other clicks on it to be left out."""
SAME = 0.5
"""Of two masks of which the smaller lies in the other by this share only the better one is proposed."""

PLACE_VALUES, TRAITS = 512, 15
MOST_KINDS = 100
"""OpenCV resizes no more than 512 channels."""

Cells = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Linear:
    """weight: K x N, bias: K."""

    weight: Floats
    bias: Floats

    def __call__(self, values: Floats) -> Floats:
        """M x N -> M x K."""
        return values @ self.weight.T + self.bias


@dataclass(frozen=True, slots=True)
class Usual:
    """What the project's masks are like: the medians of the logarithms of their cells, and of width by height."""

    area: float
    aspect: float


@dataclass(frozen=True, eq=False)
class Proposer:
    """What a project's masks say of their kinds.

    kinds: the label of each, or None where masks have none. places: 512 values (`places_of`) -> nothing, then each
    kind. masks: a candidate's traits (`traits_of`) -> how sure it is a whole object, as a logit. least: how sure a
    proposal must be, from 0 to 1. familiar: on which pictures it proposes.
    """

    kinds: tuple[str | None, ...]
    places: Linear
    masks: Linear
    usual: Usual
    least: float
    familiar: Familiar


@dataclass(frozen=True, slots=True)
class Proposal:
    """A click that gives a whole object: where, in pixels of the image; its kind; how sure that is, from 0 to 1."""

    click: Point
    kind: str | None
    score: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a click gave. cells: the mask, bool, on the low-res cells that the picture covers. kind: its number."""

    click: Point
    cells: Cells
    kind: int
    traits: Floats


Scored = tuple[Candidate, float]
"""A candidate, and how sure it is a whole object, from 0 to 1."""


def proposals(
    proposer: Proposer, seen: Embedding, engine: Engine, embedding: Embedding, more: Callable[[], bool] = lambda: True
) -> list[Proposal]:
    """The surest first. seen: the picture by the base's encoder, which the proposer knows. engine: answers on it, with
    its own embedding of it. more: asked before every few clicks, whether they are still wanted."""
    found = proposed(proposer, seen, engine, embedding, more)
    return [Proposal(one.click, proposer.kinds[one.kind], score) for one, score in found]


def proposed(
    proposer: Proposer, seen: Embedding, engine: Engine, embedding: Embedding, more: Callable[[], bool] = lambda: True
) -> list[Scored]:
    """As `proposals`, with their masks."""
    if not proposer.familiar.holds(seen):
        return []
    shares = shares_of(proposer.places, seen)

    def look(clicks: Sequence[Point]) -> list[Scored | None] | None:
        if not more():
            return None
        return scored(proposer.masks, candidates(clicks, shares, proposer.usual, engine, embedding))

    return walked(clicks_on(shares, embedding.frame), embedding.frame, look, proposer.least)


def walked(
    clicks: Sequence[Point],
    frame: Frame,
    look: Callable[[Sequence[Point]], list[Scored | None] | None],
    least: float,
) -> list[Scored]:
    """What is proposed of the candidates of these clicks, which are looked at a few at a time, in order; the surest
    first. What is settled gets no more clicks: most pictures need few. look: None where no more are wanted."""
    left, found = list(clicks), list[Scored]()
    settled = np.zeros((LOW_RES_SIDE, LOW_RES_SIDE), np.bool_)
    while left and (looked := look(left[:CLICKS_AT_ONCE])) is not None:
        for one in looked:
            if one is not None:
                found.append(one)
                if one[1] >= max(SETTLED, least):
                    rows, columns = one[0].cells.shape
                    settled[:rows, :columns] |= one[0].cells
        left = [click for click in left[CLICKS_AT_ONCE:] if not settled[_cell_of(click, frame)]]
    return [found[place] for place in chosen(found, least)]


def _cell_of(click: Point, frame: Frame) -> tuple[int, int]:
    """Row and column of the low-res cell under a click."""
    x, y = frame.to_canvas(click)
    return min(int(y / CELL), LOW_RES_SIDE - 1), min(int(x / CELL), LOW_RES_SIDE - 1)


def scored(masks: Linear, found: Sequence[Candidate | None]) -> list[Scored | None]:
    """Each candidate with how sure it is a whole object, from 0 to 1."""
    scores = [0.0 if one is None else float(masks(one.traits[None])[0, 0]) for one in found]
    return [
        None if one is None else (one, float(1 / (1 + np.exp(-logit))))
        for one, logit in zip(found, scores, strict=True)
    ]


def chosen(found: Sequence[Scored], least: float) -> list[int]:
    """Places of the candidates to propose, the surest first: of those that share their cells only the surest."""
    kept: list[int] = []
    for place in sorted(range(len(found)), key=lambda place: -found[place][1]):
        one, score = found[place]
        if score >= least and all(_shared(one.cells, found[other][0].cells) < SAME for other in kept):
            kept.append(place)
    return kept


def _shared(one: Cells, other: Cells) -> float:
    return np.count_nonzero(one & other) / min(np.count_nonzero(one), np.count_nonzero(other))


def places_of(embedding: Embedding) -> Floats:
    """What the places that a picture covers show, rows x columns x 512: channels, and their means over 3 x 3 places."""
    columns, rows = (-(-side // STRIDE) for side in embedding.frame.scaled)
    grid = embedding.features.reshape(GRID, GRID, -1)[:rows, :columns].astype(np.float32)
    around = cv2.blur(grid.reshape(rows, columns, -1), (3, 3), borderType=cv2.BORDER_REPLICATE)
    return np.concatenate([grid, around.reshape(grid.shape)], axis=-1)


def shares_of(places: Linear, seen: Embedding) -> Floats:
    """How much of each place nothing and each kind are, rows x columns x 1 + kinds; they add up to 1."""
    values = places_of(seen)
    logits = places(values.reshape(-1, values.shape[-1]))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray((powers / powers.sum(axis=1, keepdims=True)).reshape(*values.shape[:2], -1), np.float32)


def clicks_on(shares: Floats, frame: Frame) -> list[Point]:
    """Where objects are, the surest first. shares: see `shares_of`."""
    across, down = (
        STRIDE * side / scaled for side, scaled in zip((frame.width, frame.height), frame.scaled, strict=True)
    )
    return [
        (min((column + 0.5) * across, float(frame.width)), min((row + 0.5) * down, float(frame.height)))
        for row, column in _where(1 - shares[..., 0])
    ]


def candidates(
    clicks: Sequence[Point], shares: Floats, usual: Usual, engine: Engine, embedding: Embedding
) -> list[Candidate | None]:
    """The mask of each click; None where it is tiny."""
    width, height = (-(-side // CELL) for side in embedding.frame.scaled)
    fine = _on_cells(shares)[:height, :width]
    found: list[Candidate | None] = []
    for begin in range(0, len(clicks), CLICKS_AT_ONCE):
        few = clicks[begin : begin + CLICKS_AT_ONCE]
        logits = low_res_logits(engine, embedding, [Prompt(points=(click,), labels=(POSITIVE,)) for click in few])
        for click, one in zip(few, logits[:, :height, :width], strict=True):
            cells = one > 0
            if np.count_nonzero(cells) < SMALLEST:
                found.append(None)
                continue
            kind = int(fine[cells][:, 1:].sum(axis=0).argmax())
            found.append(Candidate(click, cells, kind, traits_of(one, 1 - fine[..., 0], usual)))
    return found


def _where(objects: Floats) -> list[tuple[int, int]]:
    """Rows and columns of the places to click at: the surest first, none beside another."""
    left = cv2.GaussianBlur(objects, (3, 3), 0, borderType=cv2.BORDER_REPLICATE).reshape(objects.shape)
    found: list[tuple[int, int]] = []
    while len(found) < MOST_CLICKS:
        row, column = divmod(int(left.argmax()), left.shape[1])
        if left[row, column] < LEAST_SHARE:
            break
        found.append((row, column))
        left[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
    return found


def _on_cells(shares: Floats) -> Floats:
    """From places to the low-res cells under them."""
    rows, columns = shares.shape[:2]
    ratio = LOW_RES_SIDE // GRID
    return np.asarray(cv2.resize(shares, (ratio * columns, ratio * rows), interpolation=cv2.INTER_LINEAR), np.float32)


def traits_of(logits: Floats, objects: Floats, usual: Usual) -> Floats:
    """What tells a whole object from a part, from several, and from nothing; 15 numbers.

    logits, objects: of a mask, and how sure each cell shows any kind; both on the low-res cells that the picture
    covers.
    """
    cells = logits > 0
    mask = cells.astype(np.uint8)
    area = np.count_nonzero(cells)
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    around = (cv2.dilate(mask, np.ones((RING, RING), np.uint8)) > 0) & ~cells
    within, beside = objects[cells], objects[around]
    sure_around = float(beside.mean()) if len(beside) else 0.0
    _, _, parts, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.contourArea(cv2.convexHull(np.concatenate(outlines)))
    larger, longer = np.log(area) - usual.area, np.log(wide / high) - usual.aspect
    edges = (rows[0] == 0, columns[0] == 0, rows[-1] == cells.shape[0] - 1, columns[-1] == cells.shape[1] - 1)
    return np.array(
        [
            within.mean(),
            sure_around,
            within.mean() - sure_around,
            np.quantile(within, 0.1),
            larger,
            larger**2,
            abs(larger),
            longer,
            longer**2,
            stability_score(logits),
            np.abs(logits[cells]).mean(),
            min(1.5, area / max(1.0, hull)),
            area / (wide * high),
            parts[1:, cv2.CC_STAT_AREA].max() / area,
            sum(edges),
        ],
        np.float32,
    )
