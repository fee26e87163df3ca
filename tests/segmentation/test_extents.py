"""Boxes and ellipses of masks, in pixels."""

import math

import numpy as np
import pytest

from backend.segmentation.extents import box_of, ellipse_of


def test_the_box_is_around_the_outermost_pixels():
    mask = np.zeros((40, 50), bool)
    mask[5, 7], mask[30, 45] = True, True
    assert box_of(mask) == (7, 5, 46, 31)


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_an_ellipse_is_found_again(degrees):
    ys, xs = np.mgrid[:300, :400] + 0.5
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along, across = (xs - 220) * cos + (ys - 130) * sin, (ys - 130) * cos - (xs - 220) * sin
    found = ellipse_of((along / 100) ** 2 + (across / 40) ** 2 < 1)
    assert found.centre == pytest.approx((220, 130), abs=0.5)
    assert found.radii == pytest.approx((100, 40), rel=0.02)
    assert math.cos(math.radians(2 * (found.rotation - degrees))) > 0.999


def test_the_ellipse_of_a_line_of_pixels_has_a_width():
    mask = np.zeros((20, 20), bool)
    mask[4, 3:13] = True
    found = ellipse_of(mask)
    assert found.centre == (8, 4.5)
    along, across = found.radii
    assert math.pi * along * across == pytest.approx(10)
    assert along / across == pytest.approx(10)
