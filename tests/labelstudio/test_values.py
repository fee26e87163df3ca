"""Masks as values of regions: what is written is read back by what reads accepted regions."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from backend.labelstudio.accepted_masks import masks_of
from backend.labelstudio.interface import interface_of
from backend.labelstudio.values import values_of

WIDTH, HEIGHT = 90, 60
INTERFACE = interface_of('<View><Image name="image" value="$image"/></View>')


def disc(x, y, radius_x, radius_y):
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return ((xs - x) / radius_x) ** 2 + ((ys - y) / radius_y) ** 2 < 1


RING = disc(40, 30, 30, 25) & ~disc(45, 28, 10, 8)


def read(kind, value):
    region = {"type": kind, "to_name": "image", "original_width": WIDTH, "original_height": HEIGHT, "value": value}
    [[mask]] = masks_of([region], INTERFACE).values()
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[mask.window] = mask.pixels
    return pixels


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("kind", ["brush", "bitmask"])
def test_a_brush_and_a_bitmask_keep_every_pixel(kind):
    [value] = values_of(kind, RING)
    assert (read(kind, value) == RING).all()


def test_a_bitmask_is_transparent_where_the_mask_is_not():
    [value] = values_of("bitmask", RING)
    head, _, data = value["imageDataURL"].partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
    assert ((alpha == 255) == RING).all()
    assert ((alpha == 0) == ~RING).all()


def test_a_polygon_keeps_the_hole():
    [value] = values_of("polygon", RING)
    assert value["closed"] is True
    assert iou(read("polygon", value), RING) > 0.97


def test_a_polygon_for_each_part():
    left, right = disc(20, 30, 15, 20), disc(70, 30, 10, 20)
    larger, smaller = values_of("polygon", left | right)
    assert iou(read("polygon", larger), left) > 0.97
    assert iou(read("polygon", smaller), right) > 0.97


def test_an_ellipse_lies_about_the_mask():
    oval = disc(50, 20, 30, 12)
    [value] = values_of("ellipse", oval)
    assert value["rotation"] == pytest.approx(0, abs=0.5) or value["rotation"] == pytest.approx(180, abs=0.5)
    assert (value["x"], value["y"]) == pytest.approx((50 / 0.9, 20 / 0.6), abs=0.1)
    assert (value["radiusX"], value["radiusY"]) == pytest.approx((30 / 0.9, 12 / 0.6), abs=0.5)
    assert iou(read("ellipse", value), oval) > 0.97


def test_a_turned_ellipse():
    ys, xs = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    along, across = (xs - 40 + ys - 30) / 2**0.5, (ys - 30 - xs + 40) / 2**0.5
    slanted = (along / 25) ** 2 + (across / 8) ** 2 < 1
    [value] = values_of("ellipse", slanted)
    assert value["rotation"] == pytest.approx(45, abs=1)
    assert iou(read("ellipse", value), slanted) > 0.95


def test_a_rectangle_is_the_box_around_the_mask():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[12:30, 9:45] = disc(27, 21, 18, 9)[12:30, 9:45]
    [value] = values_of("rectangle", mask)
    assert value == {"x": 10, "y": 20, "width": 40, "height": 30, "rotation": 0}
