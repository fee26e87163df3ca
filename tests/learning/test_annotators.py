from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from backend.learning.annotators import (
    MOST_DEPTH,
    MOST_HASTE,
    Prompts,
    corrected,
    depths,
    drawn_boxes,
    eroded_depths,
    first_prompts,
    tight_boxes,
)
from backend.learning.clicks import BORDER_JITTER, DEEP_ENOUGH, depth_of, tight_box
from backend.segmentation.engines import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PADDING
from backend.segmentation.preprocess import CELL, LOW_RES_SIDE


def blobs(number: int, seed: int = 0) -> Tensor:
    """Objects with holes and corners, some at the border: discs less a smaller disc, and a bar."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:LOW_RES_SIDE, :LOW_RES_SIDE]
    made = []
    for _ in range(number):
        x, y, side = (*random.integers(0, LOW_RES_SIDE, 2), random.integers(8, 45))
        disc = (columns - x) ** 2 + (rows - y) ** 2 < side**2
        hole = (columns - x - side / 2) ** 2 + (rows - y) ** 2 < (side / 4) ** 2
        made.append((disc & ~hole) | ((abs(rows - y) < 3) & (abs(columns - x) < 2 * side)))
    return torch.from_numpy(np.stack(made))


def random_from(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def cells_of(coordinates: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of points, which lie in the middle of their cells."""
    cells = coordinates / CELL - 0.5
    assert torch.equal(cells, cells.round())
    return cells[..., 1].long(), cells[..., 0].long()


def test_on_a_cpu_depth_is_that_of_the_annotator_who_measures() -> None:
    regions = torch.cat(
        [blobs(6), torch.zeros(1, 256, 256, dtype=torch.bool), torch.ones(1, 256, 256, dtype=torch.bool)]
    )
    wanted = np.stack([depth_of(region) for region in regions.numpy()])
    np.testing.assert_allclose(depths(regions).numpy(), wanted, rtol=1e-6)


def test_erosion_is_nearly_as_deep_up_to_its_limit() -> None:
    regions = torch.cat([blobs(6), torch.ones(1, 256, 256, dtype=torch.bool)])
    exact, eroded = depths(regions), eroded_depths(regions)
    assert torch.equal(exact > 0, eroded > 0)
    near = (exact > 0) & (exact < 0.85 * MOST_DEPTH)
    share = eroded[near] / exact[near]
    assert share.min() >= 0.85
    assert share.max() <= 1.42  # one cell from a corner
    assert share[exact[near] > 6].max() <= 1.15  # a diamond would be 1.41 everywhere on a slope
    assert eroded.max() == MOST_DEPTH


def test_erosion_of_what_is_small_ends_early_with_the_same_depths() -> None:
    small = torch.zeros(1, 256, 256, dtype=torch.bool)
    small[0, 100:109, 50:59] = True
    both = torch.cat([small, torch.ones(1, 256, 256, dtype=torch.bool)])  # here the erosion goes on to its limit
    assert torch.equal(eroded_depths(small)[0], eroded_depths(both)[0])
    assert eroded_depths(small).max() == 5


def test_first_clicks_fall_well_inside_and_often_into_the_middle() -> None:
    truth = blobs(40)
    prompts = first_prompts(truth, 0.0, random_from(0))
    rows, columns = cells_of(prompts.coordinates[:, 0])
    depth = depths(truth)
    reached = depth[torch.arange(40), rows, columns] / depth.amax((1, 2))
    assert truth[torch.arange(40), rows, columns].all()
    assert reached.min() >= DEEP_ENOUGH
    assert 0.15 < (reached == 1).float().mean() < 0.6  # three in ten on purpose
    assert prompts.labels.tolist() == [[1, PADDING]] * 40
    assert not prompts.coordinates[:, 1].any()
    assert not prompts.boxed.any()


def test_clicks_on_one_object_go_to_many_places() -> None:
    prompts = first_prompts(blobs(1).expand(60, -1, -1), 0.0, random_from(0))
    assert len({tuple(place) for place in prompts.coordinates[:, 0].tolist()}) > 20


def test_boxes_come_as_often_as_wanted_of_all_or_of_each() -> None:
    truth = blobs(40)
    some = first_prompts(truth, 0.5, random_from(0))
    assert 8 < some.boxed.sum() < 32
    assert some.labels[some.boxed].tolist() == [[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * int(some.boxed.sum())
    assert some.labels[~some.boxed].tolist() == [[1, PADDING]] * int((~some.boxed).sum())
    each = first_prompts(truth, (torch.arange(40) < 30).float(), random_from(0))
    assert each.boxed.tolist() == [True] * 30 + [False] * 10


def test_boxes_are_tight_and_drawn_ones_are_off_by_their_jitter() -> None:
    truth = blobs(3)
    assert tight_boxes(truth).tolist() == [list(map(float, tight_box(one))) for one in truth.numpy()]
    many = truth.repeat_interleave(200, 0)
    tight, drawn = tight_boxes(many), drawn_boxes(many, random_from(0)) / CELL
    sides = (tight[:, 2:] - tight[:, :2]).repeat(1, 2)
    assert drawn.min() >= 0
    assert drawn.max() <= LOW_RES_SIDE
    inside = (tight > 0.1 * sides) & (tight < LOW_RES_SIDE - 0.1 * sides)  # no border of the canvas cuts these
    miss = ((drawn - tight) / sides)[inside]
    assert miss.abs().max() <= 2 * BORDER_JITTER + 1e-5
    assert miss.std().item() == pytest.approx(BORDER_JITTER * MOST_HASTE / 3**0.5, rel=0.15)
    assert abs(miss.mean().item()) < 0.2 * BORDER_JITTER
    with_care = (((drawn - tight) / sides).abs() < 0.4 * BORDER_JITTER).all(1).float().mean().item()
    assert 0.1 < with_care < 0.4  # 0.02 if all were as hasty


def clicked_once(truth: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Prompts]:
    """Row, column and prompts after one correction."""
    prompts = corrected(first_prompts(truth, 0.5, random_from(0)), truth, masks, random_from(1))
    rows, columns = cells_of(prompts.coordinates[:, -1])
    return rows, columns, prompts


def test_corrections_go_into_the_deeper_error_with_the_right_sign() -> None:
    truth = torch.zeros(2, 256, 256, dtype=torch.bool)
    truth[:, 50:150, 50:150] = True
    masks = truth.clone()
    masks[0, 50:90, 50:150] = False  # much is missed, and little spills over
    masks[0, 150:160, 50:150] = True
    masks[1, 50:60, 50:150] = False  # the other way round
    masks[1, 150:190, 50:150] = True
    rows, columns, prompts = clicked_once(truth, masks)
    assert prompts.labels[:, -1].tolist() == [1, 0]
    assert prompts.labels.shape == (2, 3)
    assert prompts.coordinates.shape == (2, 3, 2)
    errors = torch.stack([truth[0] & ~masks[0], masks[1] & ~truth[1]])
    depth = depths(errors)
    assert (depth[torch.arange(2), rows, columns] >= DEEP_ENOUGH * depth.amax((1, 2))).all()


def test_many_corrections_fall_into_errors() -> None:
    truth = blobs(30, seed=1)
    masks = truth.roll((5, -9), (1, 2))
    rows, columns, prompts = clicked_once(truth, masks)
    each = torch.arange(30)
    assert (truth ^ masks)[each, rows, columns].all()
    assert torch.equal(truth[each, rows, columns], prompts.labels[:, -1] == 1)
    assert {0, 1} == set(prompts.labels[:, -1].tolist())


def test_where_nothing_is_wrong_the_object_is_clicked_again() -> None:
    truth = blobs(10)
    rows, columns, prompts = clicked_once(truth, truth)
    assert truth[torch.arange(10), rows, columns].all()
    assert prompts.labels[:, -1].tolist() == [1] * 10
