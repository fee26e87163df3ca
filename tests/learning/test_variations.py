from __future__ import annotations

import numpy as np

from backend.learning.canvases import Picture
from backend.learning.variations import varied


def half_white(width: int, height: int) -> Picture:
    """White where object 1 is, on the left half; black elsewhere."""
    labels = np.zeros((height, width), np.uint16)
    labels[:, : width // 2] = 1
    return Picture(np.repeat(labels[..., None].astype(np.uint8) * 255, 3, 2), labels)


def test_changes_keep_masks_on_their_objects() -> None:
    random = np.random.default_rng(0)
    mirrored = 0
    for _ in range(40):
        changed = varied(random, half_white(60, 40))
        assert changed.size == (60, 40)
        labels = changed.labels
        assert labels is not None
        assert set(np.unique(labels)) == {0, 1}
        mirrored += int(np.count_nonzero(labels[:, 30:]) > np.count_nonzero(labels[:, :30]))
        grey = changed.image.mean(2)
        assert grey[labels == 1].mean() > 2 * grey[labels == 0].mean()
    assert 6 < mirrored < 34


def test_now_and_then_a_picture_is_turned_and_stretched_about_its_middle() -> None:
    random = np.random.default_rng(1)
    plain = half_white(200, 100).labels
    assert plain is not None
    turned = 0
    for _ in range(60):
        labels = varied(random, half_white(200, 100)).labels
        assert labels is not None
        if np.array_equal(labels, plain) or np.array_equal(labels, plain[:, ::-1]):
            continue
        turned += 1
        assert len(set(labels[45:55, 85:115].ravel())) == 2  # the border still passes through the middle
        columns = labels.any(1).nonzero()[0]
        assert len(columns) > 70
    assert 6 < turned < 28


def test_colours_change_in_most_pictures_and_a_photograph_has_no_labels() -> None:
    image = np.random.default_rng(2).integers(60, 200, (40, 60, 3), dtype=np.uint8)
    random = np.random.default_rng(0)
    seen = [varied(random, Picture(image)) for _ in range(40)]
    assert all(picture.labels is None for picture in seen)
    kept = [np.array_equal(one.image, image) or np.array_equal(one.image, image[:, ::-1]) for one in seen]
    assert 2 < sum(kept) < 20
    brightness = [one.image.mean() / image.mean() for one in seen]
    assert min(brightness) < 0.85
    assert max(brightness) > 1.1
    spread = [float(np.ptp(one.image.astype(int), axis=2).mean()) for one in seen]
    assert min(spread) < 0.3 * max(spread)  # from nearly grey to richer
    assert len({round(float(one.image[..., 0].mean() / one.image[..., 2].mean()), 2) for one in seen}) > 4  # light


def test_the_picture_given_stays_as_it_was() -> None:
    picture = half_white(60, 40)
    picture.image.flags.writeable = False
    random = np.random.default_rng(0)
    for _ in range(20):
        assert varied(random, picture).image.flags.c_contiguous
