"""Outlines of masks, in pixels: filled again they are the mask."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from backend.segmentation.outlines import MOST_CORNERS, polygons_of


def canvas(height, width):
    ys, xs = np.mgrid[:height, :width] + 0.5
    return ys, xs


def disc(height, width, x, y, radius):
    ys, xs = canvas(height, width)
    return np.hypot(xs - x, ys - y) < radius


def filled(corners, shape):
    """bool: whose centres lie inside. Even-odd, as the page fills."""
    ys, xs = canvas(*shape)
    inside = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 <= ys) != (y1 <= ys)) & (xs < x0 + (ys - y0) * (x1 - x0) / (y1 - y0))
    return inside


def all_filled(mask):
    inside = np.zeros(mask.shape, bool)
    for corners in polygons_of(mask):
        inside |= filled(corners, mask.shape)
    return inside


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_square_is_its_pixels_edges():
    mask = np.zeros((300, 300), bool)
    mask[40:240, 60:260] = True
    [corners] = polygons_of(mask)
    outline = shapely.Polygon(corners)
    assert outline.bounds == (60, 40, 260, 240)
    assert outline.area == pytest.approx(200 * 200, rel=0.01)
    assert len(corners) <= 8


def test_a_mask_at_the_pictures_edges_reaches_them():
    [corners] = polygons_of(np.ones((200, 300), bool))
    assert shapely.Polygon(corners).bounds == (0, 0, 300, 200)


def test_a_round_thing_has_few_corners_and_keeps_its_area():
    mask = disc(500, 500, 250, 240, 200)
    [corners] = polygons_of(mask)
    assert 12 < len(corners) < 60
    assert iou(filled(corners, mask.shape), mask) > 0.985


def test_larger_things_have_no_more_corners():
    small, large = (polygons_of(disc(side, side, side / 2, side / 2, side * 0.4))[0] for side in (300, 900))
    assert len(large) < 1.5 * len(small)


@pytest.mark.parametrize("side", [900, 3000, 5001])
def test_large_masks_lie_where_they_did(side):
    mask = disc(side, side, side / 2 + 30, side / 2 - 20, side * 0.45)
    [corners] = polygons_of(mask)
    assert shapely.Polygon(corners).centroid.coords[0] == pytest.approx((side / 2 + 30, side / 2 - 20), abs=side / 4000)
    assert shapely.Polygon(corners).area == pytest.approx(mask.sum(), rel=0.01)


@pytest.mark.parametrize(("height", "width"), [(2056, 7939), (6000, 4400)])
def test_no_corner_of_a_large_mask_lies_outside(height, width):
    [corners] = polygons_of(np.ones((height, width), bool))
    assert shapely.box(0, 0, width, height).covers(shapely.Polygon(corners))
    assert shapely.Polygon(corners).area > 0.99 * height * width


def test_what_is_thin_and_long_is_not_lost():
    ys, xs = np.mgrid[:3000, :4000]
    line = abs(ys - 0.7 * xs) < 2
    [corners] = polygons_of(line)
    assert shapely.Polygon(corners).area == pytest.approx(line.sum(), rel=0.1)


@pytest.mark.parametrize("side", [1, 2, 4, 8, 16, 32])
def test_small_things_keep_their_area(side):
    square = np.zeros((60, 60), bool)
    square[5 : 5 + side, 9 : 9 + side] = True
    assert iou(all_filled(square), square) == 1
    if side >= 8:
        small = disc(60, 60, 30, 30, side / 2)
        assert iou(all_filled(small), small) > 0.9
        assert sum(shapely.Polygon(one).area for one in polygons_of(small)) == pytest.approx(small.sum(), rel=0.08)


def test_parts_come_the_largest_first():
    mask = disc(200, 400, 80, 100, 20) | disc(200, 400, 300, 100, 60)
    large, small = polygons_of(mask)
    assert shapely.Polygon(large).area > shapely.Polygon(small).area
    assert iou(all_filled(mask), mask) > 0.97


def test_holes_stay_open():
    mask = disc(400, 400, 200, 200, 180)
    for x, y, radius in ((130, 200, 40), (260, 150, 50), (230, 290, 30)):
        mask &= ~disc(400, 400, x, y, radius)
    [corners] = polygons_of(mask)
    inside = filled(corners, mask.shape)
    assert iou(inside, mask) > 0.97
    assert not inside[200, 130]
    assert not inside[150, 260]
    assert not inside[290, 230]


def test_the_way_to_a_hole_crosses_no_other():
    mask = np.ones((500, 600), bool)
    mask[200:300, 30:60] = mask[240:260, 90:300] = False  # the first lies between the left edge and the second
    [corners] = polygons_of(mask)
    for hole in (shapely.box(30, 200, 60, 300), shapely.box(90, 240, 300, 260)):
        assert not shapely.LinearRing(corners).intersects(hole.buffer(-4))


def test_two_holes_reached_from_the_same_corner():
    """A triangle's tip is nearest to both; a line that comes back must not cut the other one off."""
    ys, xs = canvas(300, 300)
    mask = np.ones((300, 300), bool)
    mask[:200] &= ~(abs(xs - 150) < 100 * (1 - ys / 200))[:200]
    for x in (110, 190):
        mask &= ~((abs(xs - x) < 25) & (ys > 215) & (ys < 260))
    assert iou(all_filled(mask), mask) > 0.98


def test_a_net_keeps_its_holes():
    ys, xs = canvas(1200, 1200)
    net = (xs % 100 < 20) | (ys % 100 < 20)
    assert iou(all_filled(net), net) > 0.94


def test_scraps_are_left_out_unless_somebody_means_them():
    mask = disc(300, 300, 150, 150, 100)
    mask[10:13, 10:13] = True
    assert len(polygons_of(mask)) == 1
    assert len(polygons_of(mask, [(11.5, 11.5)])) == 2
    assert len(polygons_of(mask[:40])) == 1, "there it is all that there is"


def test_a_hole_that_somebody_means_stays_open():
    mask = disc(300, 300, 150, 150, 120)
    mask[100:104, 100:104] = False
    assert filled(polygons_of(mask)[0], mask.shape)[101, 101]
    assert not filled(polygons_of(mask, [(102, 102)])[0], mask.shape)[101, 101]


def test_pinholes_are_filled():
    mask = disc(300, 300, 150, 150, 120)
    mask[150, 150] = False
    [corners] = polygons_of(mask)
    assert filled(corners, mask.shape)[150, 150]


def star(thorns, height):
    ys, xs = canvas(900, 900)
    angle = np.arctan2(ys - 450, xs - 450)
    return np.hypot(xs - 450, ys - 450) < 350 + height * np.sin(thorns * angle)


def test_a_rough_outline_gets_coarser_strokes():
    rough = star(200, 8)
    [corners] = polygons_of(rough)
    assert len(corners) <= MOST_CORNERS
    assert iou(filled(corners, rough.shape), rough) > 0.95


def test_what_is_made_of_corners_keeps_them():
    thorny = star(300, 80)
    [corners] = polygons_of(thorny)
    assert iou(filled(corners, thorny.shape), thorny) > 0.8


def test_nothing_has_no_outline():
    assert polygons_of(np.zeros((20, 30), bool)) == []


@given(arrays(np.bool_, st.tuples(st.integers(1, 24), st.integers(1, 24))))
def test_any_mask_has_outlines_of_at_least_three_corners_inside_the_picture(mask):
    height, width = mask.shape
    outlines = polygons_of(mask)
    assert bool(outlines) == mask.any()
    for corners in outlines:
        assert len(corners) >= 3
        xs, ys = zip(*corners, strict=True)
        assert min(xs) >= 0
        assert min(ys) >= 0
        assert max(xs) <= width
        assert max(ys) <= height
