"""Outlines: a pixel belongs where its centre lies inside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labelstudio.shapes import ellipse, polygon, rectangle

SIZE = WIDTH, HEIGHT = 80, 50
Y, X = (places + 0.5 for places in np.mgrid[:HEIGHT, :WIDTH])
percents = st.floats(-20, 120)


def test_a_box_of_whole_pixels_is_these_pixels():
    mask = rectangle(10, 20, 25, 40, 0, SIZE)
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask[10:30, 8:28].all()
    assert mask.sum() == 20 * 20


@given(percents, percents, st.floats(0, 100), st.floats(0, 100), st.floats(-360, 360))
def test_a_turned_box_holds_the_centres_inside(x, y, across, down, rotation):
    mask = rectangle(x, y, across, down, rotation, SIZE)
    right, below = X - x * WIDTH / 100, Y - y * HEIGHT / 100
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    along, aside = right * cos + below * sin, below * cos - right * sin
    far, deep = across * WIDTH / 100, down * HEIGHT / 100
    clear = 1e-6
    inside = (along > clear) & (along < far - clear) & (aside > clear) & (aside < deep - clear)
    outside = (along < -clear) | (along > far + clear) | (aside < -clear) | (aside > deep + clear)
    assert mask[inside].all()
    assert not mask[outside].any()


def test_a_quarter_turn_goes_clockwise_about_the_corner():
    mask = rectangle(50, 20, 25, 20, 90, SIZE)  # 20 x 10 pixels at 40, 10
    assert mask[10:30, 30:40].all()
    assert mask.sum() == 20 * 10


@pytest.mark.parametrize("rotation", [0, 30, 90, 200])
def test_an_ellipse(rotation):
    mask = ellipse(40, 60, 30, 12, rotation, SIZE)
    right, below = X - 32, Y - 30
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    along, aside = right * cos + below * sin, below * cos - right * sin
    true = (along / 24) ** 2 + (aside / 6) ** 2 < 1
    assert (mask & true).sum() / (mask | true).sum() > 0.99


def test_what_lies_outside_the_picture_is_cut():
    assert polygon([(-50, -50), (150, -50), (150, 150), (-50, 150)], *SIZE).all()
    assert polygon([(-50, -50), (50, -50), (50, 150), (-50, 150)], *SIZE).sum() == 40 * HEIGHT
    assert not polygon([(110, 10), (120, 10), (115, 30)], *SIZE).any()


def test_a_hole_that_an_outline_goes_around_twice_is_no_part():
    outer, inner = [(0, 0), (100, 0), (100, 100), (0, 100)], [(25, 20), (75, 20), (75, 80), (25, 80)]
    mask = polygon([*outer, outer[0], *inner, inner[0]], *SIZE)
    assert not mask[10:40, 20:60].any()
    assert mask.sum() == WIDTH * HEIGHT - 40 * 30


@given(st.lists(st.tuples(percents, percents), min_size=3, max_size=9))
def test_an_outline_and_its_reverse_hold_the_same(corners):
    assert (polygon(corners, *SIZE) ^ polygon(corners[::-1], *SIZE)).sum() <= 2
