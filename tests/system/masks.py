"""Masks as others read them: Label Studio's own decoder, and true shapes drawn by hand on the demo's photographs."""

import numpy as np
from label_studio_sdk.converter.brush import decode_rle

# Ellipses: centre x and y, in percent of each side; half axes along x and y, in percent of the width.
HELMET = (76.0, 88.0, 21.0, 21.0)  # astronaut.jpg
EYE = (37.8, 38.6, 7.6, 6.5)  # cat.jpg, the left one


def mask_of(region):
    """The region's mask, bool height x width; it must be exactly as large as the picture says it is."""
    width, height = region["original_width"], region["original_height"]
    values = decode_rle(region["value"]["rle"])
    assert len(values) == width * height * 4
    return np.reshape(values, (height, width, 4))[:, :, 3] > 127


def ellipse(size, centre_x, centre_y, half_x, half_y):
    """An ellipse as a mask, bool height x width; what lies outside the picture is cut."""
    width, height = size
    y, x = np.mgrid[:height, :width] + 0.5
    across = (x - centre_x * width / 100) / (half_x * width / 100)
    down = (y - centre_y * height / 100) / (half_y * width / 100)
    return across**2 + down**2 <= 1


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def holds(mask, x, y):
    """Whether the pixel at this place, in percent, belongs to the mask."""
    height, width = mask.shape
    return bool(mask[int(y * height / 100), int(x * width / 100)])
