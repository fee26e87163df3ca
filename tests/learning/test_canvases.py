from __future__ import annotations

import numpy as np
from PIL import Image

from backend.learning.canvases import Picture, mosaic, objects_on, varied, whole


def half_true(width: int, height: int) -> Picture:
    """White where object 1 is, on the left half; black elsewhere."""
    labels = np.zeros((height, width), np.uint8)
    labels[:, : width // 2] = 1
    return Picture(Image.fromarray(np.repeat(labels[..., None] * 255, 3, 2)), Image.fromarray(labels))


def test_a_whole_picture_lies_as_at_inference() -> None:
    canvas = whole(half_true(200, 100))
    assert canvas.extent == (512, 1024)
    assert not canvas.pixels[512:].any()
    assert not canvas.labels[128:].any()
    assert (canvas.labels[:128, :128] == 1).all()
    assert not canvas.labels[:128, 128:].any()


def test_a_mosaic_shows_objects_of_four_pictures_under_numbers_of_their_own() -> None:
    random = np.random.default_rng(3)
    canvas = mosaic(random, (half_true(300, 200), half_true(200, 300), half_true(900, 900), half_true(40, 50)))
    assert canvas.extent == (1024, 1024)
    assert canvas.labels.max() >= 3
    white = canvas.pixels[2::4, 2::4].min(2) > 200
    assert np.mean(white == (canvas.labels > 0)) > 0.98


def test_changes_keep_masks_on_their_objects() -> None:
    random = np.random.default_rng(0)
    mirrored = 0
    for _ in range(20):
        changed = varied(random, half_true(60, 40))
        assert changed.labels is not None
        labels = np.asarray(changed.labels)
        mirrored += labels[0, -1] == 1
        grey = np.asarray(changed.image.convert("L")).astype(float)
        assert grey[labels == 1].mean() > grey[labels == 0].mean()
    assert 3 < mirrored < 17


def test_objects_are_drawn_at_random_and_specks_are_not() -> None:
    labels = np.zeros((256, 256), np.int16)
    for number in range(1, 6):
        labels[20 * number : 20 * number + 10, :10] = number
    labels[200, 200] = 6
    random = np.random.default_rng(0)
    drawn = [objects_on(labels, random, 3) for _ in range(10)]
    assert {one.shape for one in drawn} == {(3, 256, 256)}
    assert {int(labels[mask].max()) for one in drawn for mask in one} == {1, 2, 3, 4, 5}
    assert objects_on(np.zeros((256, 256), np.int16), random, 3).shape == (0, 256, 256)
