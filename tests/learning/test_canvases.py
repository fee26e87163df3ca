from __future__ import annotations

import numpy as np
import pytest

from backend.learning.canvases import COVERED, HALF, Picture, mosaic, part, whole


def half_true(width: int, height: int) -> Picture:
    """White where object 1 is, on the left half; black elsewhere."""
    labels = np.zeros((height, width), np.uint16)
    labels[:, : width // 2] = 1
    return Picture(np.repeat(labels[..., None].astype(np.uint8) * 255, 3, 2), labels)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_whole_picture_lies_as_at_inference() -> None:
    canvas = whole(chance(), half_true(200, 100), 3)
    assert canvas.extent == (512, 1024)
    assert not canvas.pixels[512:].any()
    assert canvas.coverage.shape == (1, 256, 256)
    (covered,) = canvas.coverage
    assert not covered[128:].any()
    assert (covered[:128, :127] == COVERED).all()
    assert not covered[:128, 129:].any()
    assert not canvas.photograph


def test_coverage_says_how_much_of_a_cell_an_object_covers() -> None:
    labels = np.zeros((1024, 1024), np.uint16)
    labels[:, :402] = 7  # half of the hundred and first column of cells
    (covered,) = whole(chance(), Picture(np.zeros((1024, 1024, 3), np.uint8), labels), 3).coverage
    assert (covered[:, :100] == COVERED).all()
    assert (abs(covered[:, 100].astype(int) - HALF) <= 1).all()
    assert not covered[:, 101:].any()


def test_a_photograph_has_no_objects() -> None:
    photograph = Picture(half_true(200, 100).image)
    for canvas in (whole(chance(), photograph, 3), mosaic(chance(), (photograph,) * 4, 3)):
        assert canvas.photograph
        assert canvas.coverage.shape == (0, 256, 256)


def test_a_mosaic_shows_objects_of_four_pictures_one_by_one() -> None:
    four = half_true(300, 200), half_true(200, 300), half_true(900, 900), half_true(40, 50)
    canvas = mosaic(chance(3), four, 12)
    assert canvas.extent == (1024, 1024)
    assert len(canvas.coverage) >= 3
    masks = canvas.coverage > HALF
    assert masks.sum(0).max() == 1
    white = canvas.pixels[2::4, 2::4].min(2) > 200
    assert np.mean(white == masks.any(0)) > 0.98
    assert not canvas.photograph


def test_a_mosaic_keeps_to_the_most_objects_that_are_wanted() -> None:
    assert len(mosaic(chance(3), (half_true(40, 50),) * 4, 2).coverage) <= 2


def test_a_part_is_smaller_with_its_objects_where_they_were() -> None:
    random, picture = chance(), half_true(200, 100)
    parts = [part(random, picture) for _ in range(40)]
    assert len({shown.size for shown in parts}) > 20
    for shown in parts:
        assert shown.labels is not None
        width, height = shown.size
        assert shown.labels.shape == (height, width)
        assert 0.4 * 200 - 1 <= width <= 0.9 * 200
        assert width / height == pytest.approx(2, rel=0.05)
        assert np.array_equal(shown.image[..., 0] > 0, shown.labels == 1)
    assert len({int(np.count_nonzero(shown.labels[0])) / shown.size[0] for shown in parts}) > 10


def test_a_tiny_picture_is_shown_whole() -> None:
    assert part(chance(), half_true(20, 30)).size == (20, 30)


def test_objects_are_drawn_at_random_and_specks_are_not() -> None:
    labels = np.zeros((256, 256), np.uint16)
    for number in range(1, 6):
        labels[20 * number : 20 * number + 10, :10] = number
    labels[200, 200] = 6
    picture = Picture(np.zeros((256, 256, 3), np.uint8), labels)
    random = chance()
    drawn = [whole(random, picture, 3).coverage for _ in range(10)]
    assert {one.shape for one in drawn} == {(3, 256, 256)}
    assert {int(labels[mask == COVERED].max()) for one in drawn for mask in one} == {1, 2, 3, 4, 5}
    nothing = Picture(picture.image, np.zeros((256, 256), np.uint16))
    assert whole(random, nothing, 3).coverage.shape == (0, 256, 256)


def test_what_is_too_thin_for_a_cell_is_no_object() -> None:
    labels = np.zeros((1024, 1024), np.uint16)
    labels[:, 401] = 1  # area enough for 64 cells, a quarter of 256
    canvas = whole(chance(), Picture(np.zeros((1024, 1024, 3), np.uint8), labels), 3)
    assert canvas.coverage.shape == (0, 256, 256)
