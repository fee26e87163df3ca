from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.learning import views as views_module
from backend.learning.examples import Example, jpeg_of
from backend.learning.finetune import low_res_labels
from backend.learning.views import another_view
from backend.segmentation.preprocess import Frame

FRAME = Frame(160, 120)
FEATURES = np.zeros((4096, 256), np.float16)


def two_squares() -> Example:
    """Object 1, white, at the upper left; object 2, grey, at the lower right. Labels are smaller than a canvas."""
    labels = np.zeros((120, 160), np.int16)
    labels[8:58, 8:58], labels[62:112, 102:152] = 1, 2
    pixels = np.array([[0] * 3, [250] * 3, [120] * 3], np.uint8)[labels]
    return Example("k", FEATURES, FRAME, labels, (1.0, 0.25), jpeg_of(pixels, FRAME))


@pytest.fixture(scope="module")
def views() -> list[Example]:
    random = np.random.default_rng(0)
    return [another_view(random, two_squares()) for _ in range(60)]


def test_masks_stay_on_their_objects(views: list[Example]) -> None:
    for view in views:
        size = view.frame.width, view.frame.height
        assert view.labels.shape == size[::-1]
        grey = cv2.resize(view.pixels, size, interpolation=cv2.INTER_AREA).mean(2)
        background, *objects = (
            grey[view.labels == number].mean() for number in range(3) if (view.labels == number).any()
        )
        assert all(brightness > background + 30 for brightness in objects)
        if all(view.weights):
            assert objects[0] > 1.4 * objects[1]


def test_a_pixel_of_a_view_is_what_lies_under_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_module, "varied", lambda _, picture: picture)
    monkeypatch.setattr(views_module, "PART_SHARE", 0.0)
    frame = Frame(300, 300)
    labels = np.random.default_rng(0).integers(0, 2, (300, 300)).astype(np.int16)
    picture = jpeg_of(np.zeros((300, 300, 3), np.uint8), frame)
    view = another_view(np.random.default_rng(0), Example("k", FEATURES, frame, labels, (1.0,), picture))
    under = ((np.arange(1024) + 0.5) * 300 / 1024).astype(int)
    assert np.array_equal(view.labels, labels[np.ix_(under, under)])


def test_a_view_is_seldom_the_picture_itself(views: list[Example]) -> None:
    assert sum(view.jpeg == two_squares().jpeg for view in views) < 22


def test_what_is_cut_away_counts_no_more_and_what_is_left_as_before(views: list[Example]) -> None:
    whole = 50 * 50 * 6.4**2
    cut_away = 0
    for view in views:
        for number, weight in enumerate((1.0, 0.25), start=1):
            assert view.weights[number - 1] in (0, weight)
            if view.weights[number - 1] == 0:
                cut_away += 1
                assert np.count_nonzero(view.labels == number) < 0.5 * whole
    assert 3 < cut_away < 40


def test_parts_are_larger(views: list[Example]) -> None:
    areas = [np.count_nonzero(low_res_labels(view) == 1) for view in views if view.weights[0]]
    whole = np.count_nonzero(low_res_labels(two_squares()) == 1)
    assert max(areas) > 1.5 * whole
    assert np.median(areas) == pytest.approx(whole, rel=0.3)
