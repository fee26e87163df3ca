from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backend.learning.clicks import (
    BORDER_JITTER,
    Click,
    Region,
    deep_pixel,
    deepest_pixel,
    drawn_box,
    first_click,
    iou,
    next_click,
    tight_box,
)

regions = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
filled = regions.filter(np.any)


def brute_depth(region: Region) -> np.ndarray:
    """The definition itself: the distance to the nearest pixel that is not in the region."""
    height, width = region.shape
    outside = [
        (y, x)
        for y in range(-1, height + 1)
        for x in range(-1, width + 1)
        if not (0 <= y < height and 0 <= x < width and region[y, x])
    ]
    depth = np.zeros(region.shape)
    for y, x in zip(*np.nonzero(region), strict=True):
        depth[y, x] = min(np.hypot(y - other_y, x - other_x) for other_y, other_x in outside)
    return depth


@given(filled)
def test_the_deepest_pixel_is_farthest_from_the_border(region: Region) -> None:
    depth = brute_depth(region)
    x, y, found = deepest_pixel(region)
    assert (y, x) == np.unravel_index(depth.argmax(), depth.shape)
    assert found == pytest.approx(depth.max(), abs=1e-4)


@given(filled, st.integers(0, 9))
def test_a_hand_that_is_not_exact_clicks_well_inside(region: Region, seed: int) -> None:
    x, y = deep_pixel(region, np.random.default_rng(seed))
    depth = brute_depth(region)
    assert depth[y, x] >= 0.5 * depth.max() - 1e-4


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda s: st.tuples(arrays(bool, s), arrays(bool, s))))
def test_the_next_click_goes_into_the_deepest_error(pair: tuple[Region, Region]) -> None:
    truth, mask = pair
    click = next_click(truth, mask)
    missed, spilled = brute_depth(truth & ~mask), brute_depth(mask & ~truth)
    if not (truth ^ mask).any():
        assert click is None
        return
    assert click is not None
    assert click.positive == (missed.max() >= spilled.max())
    error = missed if click.positive else spilled
    assert error[click.y, click.x] == pytest.approx(error.max(), abs=1e-4)


def test_the_first_click_is_in_the_middle() -> None:
    truth = np.zeros((20, 30), bool)
    truth[4:15, 6:17] = True
    assert first_click(truth) == Click(11, 9, True)


def test_a_tight_box_holds_its_edges() -> None:
    truth = np.zeros((20, 30), bool)
    truth[4:15, 6:17] = True
    assert tight_box(truth) == (6, 4, 17, 15)


def test_an_empty_object_has_no_box() -> None:
    with pytest.raises(ValueError, match="empty"):
        tight_box(np.zeros((3, 3), bool))


def test_a_drawn_box_is_near_the_object_and_within_the_image() -> None:
    truth = np.zeros((100, 100), bool)
    truth[0:50, 40:100] = True
    random = np.random.default_rng(0)
    boxes = np.array([drawn_box(truth, random) for _ in range(200)])
    assert boxes.min() >= 0
    assert boxes.max() <= 100
    assert np.abs(boxes - [40, 0, 100, 50]).max() <= 2 * BORDER_JITTER * 60 + 1e-9
    assert boxes.std(0).max() > 1


def test_iou_counts_pixels() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    one[:2], other[1:3] = True, True
    assert iou(one, other) == pytest.approx(4 / 12)
    assert iou(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 1.0
