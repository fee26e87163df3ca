"""Which part of a picture shows a small object well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.segmentation.preprocess import Frame
from backend.segmentation.prompts import Prompt
from backend.segmentation.windows import SMALL, Window, window_for


@given(st.integers(8, 9000), st.integers(8, 9000), st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 0.99))
def test_a_small_object_lies_well_inside_a_window_of_half_the_side(
    width: int, height: int, across: float, down: float, share: float
) -> None:
    longest = max(width, height)
    side = min(share * SMALL * longest, width, height)
    left, top = across * (width - side), down * (height - side)
    window = window_for((left, top, left + side, top + side), Prompt(box=(0, 0, 1, 1)), Frame(width, height))
    assert window is not None
    assert 0 <= window.left < window.right <= width
    assert 0 <= window.top < window.bottom <= height
    assert (window.frame.width, window.frame.height) == (min(width, longest // 2), min(height, longest // 2))
    margin = 0.06 * longest - 2  # what is left of a half when an object of a tenth is an eighth beside the middle
    assert left - window.left >= min(margin, left)
    assert top - window.top >= min(margin, top)
    assert window.right - left - side >= min(margin, width - left - side) - 1e-6
    assert window.bottom - top - side >= min(margin, height - top - side) - 1e-6


def test_neighbours_share_a_window() -> None:
    asked = Prompt(box=(0, 0, 1, 1))
    windows = {window_for((x, 300, x + 20, 320), asked, Frame(1000, 750)) for x in range(0, 980, 10)}
    assert windows == {Window(left, 0, left + 500, 500) for left in (0, 250, 500)}


ODD = [(1001, 1001, 9), (1025, 1025, 9), (4001, 3003, 6), (451, 300, 6)]


@pytest.mark.parametrize(("width", "height", "number"), ODD)
def test_an_odd_pixel_makes_no_window_of_its_own(width: int, height: int, number: int) -> None:
    asked, places = Prompt(box=(0, 0, 1, 1)), range(100)
    extents = [(x * width / 100, y * height / 100) for x in places for y in places]
    windows = {window_for((x, y, x, y), asked, Frame(width, height)) for x, y in extents}
    assert len(windows) == number
    assert max(window.right for window in windows) == width
    assert max(window.bottom for window in windows) == height


def test_what_the_whole_picture_shows_well_has_none() -> None:
    asked = Prompt(box=(0, 0, 1, 1))
    assert window_for((100, 100, 199, 150), asked, Frame(1000, 600)) is not None
    assert window_for((100, 100, 200, 150), asked, Frame(1000, 600)) is None
    assert window_for((100, 100, 150, 200), asked, Frame(1000, 600)) is None


def test_a_click_outside_speaks_against_it() -> None:
    extent = (100.0, 100.0, 120.0, 120.0)
    inside, outside = (110.0, 110.0), (900.0, 110.0)
    assert window_for(extent, Prompt((inside,), (1,)), Frame(1000, 600)) == Window(0, 0, 500, 500)
    assert window_for(extent, Prompt((inside, outside), (1, 0)), Frame(1000, 600)) is None


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 3), (2, 9000)])
def test_pictures_of_a_few_pixels_do_no_harm(size: tuple[int, int]) -> None:
    window = window_for((0, 0, 0.1, 0.1), Prompt(((0.05, 0.05),), (1,)), Frame(*size))
    assert window is None or (window.right > window.left and window.bottom > window.top)


def test_prompts_move_with_it() -> None:
    window = Window(250, 100, 750, 600)
    asked = Prompt(((300.5, 120.25),), (1,), (260.0, 110.0, 310.0, 170.0))
    assert window.prompt(asked) == Prompt(((50.5, 20.25),), (1,), (10.0, 10.0, 60.0, 70.0))
    assert window.prompt(Prompt(((300.5, 120.25),), (0,))) == Prompt(((50.5, 20.25),), (0,))
    assert (window.rows, window.columns) == (slice(100, 600), slice(250, 750))
