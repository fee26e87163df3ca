"""Which part of a picture shows an object well."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from backend.segmentation.preprocess import CELL, LOW_RES_SIDE, Frame
from backend.segmentation.prompts import Prompt
from backend.segmentation.windows import LOOKS, Window, on_window, window_for


@given(
    st.integers(8, 9000),
    st.integers(8, 9000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0.1, 0.99),
    st.sampled_from(LOOKS),
)
def test_an_object_lies_in_its_window(
    width: int, height: int, across: float, down: float, share: float, look: tuple[float, float]
) -> None:
    longest, (limit, length) = max(width, height), look
    least = max((smaller for smaller, _ in LOOKS if smaller < limit), default=0.0)
    side = min((least + share * (limit - least)) * longest, width, height)
    assume(side > 1.01 * least * longest)  # else a smaller window shows it
    left, top = across * (width - side), down * (height - side)
    window = window_for((left, top, left + side, top + side), Prompt(box=(0, 0, 1, 1)), Frame(width, height))
    assert window is not None
    assert 0 <= window.left < window.right <= width
    assert 0 <= window.top < window.bottom <= height
    frame = window.frame
    assert (frame.width, frame.height) == (min(width, int(length * longest)), min(height, int(length * longest)))
    # An object of the limit that lies an eighth beside the middle touches the border: steps may be a tenth longer.
    margin = (length * longest - side) / 2 - 1.1 * longest / 8 - 2
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


def test_what_is_larger_has_a_larger_window_and_what_is_large_has_none() -> None:
    asked, picture = Prompt(box=(0, 0, 1, 1)), Frame(1000, 600)
    assert window_for((100, 100, 349, 150), asked, picture) == Window(0, 0, 500, 500)
    assert window_for((100, 100, 350, 150), asked, picture) == Window(0, 0, 750, 600)
    assert window_for((100, 100, 150, 350), asked, picture) == Window(0, 0, 750, 600)
    assert window_for((100, 100, 599, 150), asked, picture) == Window(0, 0, 750, 600)
    assert window_for((100, 100, 600, 150), asked, picture) is None


@pytest.mark.parametrize("size", [(640, 480), (999, 1500), (4000, 3000)])
def test_the_pictures_logits_lie_on_a_window_where_their_pixels_lie(size: tuple[int, int]) -> None:
    picture, window = Frame(*size), Window(size[0] // 4, 0, size[0] // 4 + max(size) // 2, min(max(size) // 2, size[1]))
    across = np.arange(LOW_RES_SIDE, dtype=np.float32)
    ramps = np.stack(np.meshgrid(across, 3 * across))  # so each cell's value says where it lies
    moved = [on_window(ramp, picture, window) for ramp in ramps]
    for column, row in [(10, 10), (70, 100), (200, 50)]:
        middle = np.array([column + 0.5, row + 0.5]) * CELL * window.frame.width / window.frame.scaled[0]
        x, y = picture.to_canvas((middle[0] + window.left, middle[1] + window.top))
        assert moved[0][row, column] == pytest.approx(x / CELL - 0.5, abs=0.05)
        assert moved[1][row, column] == pytest.approx(3 * (y / CELL - 0.5), abs=0.15)


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
