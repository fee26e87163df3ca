import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.segmentation.preprocess import MEAN, SIDE, STD, Frame, canvas_of

sides = st.integers(1, 5000)


@given(sides, sides)
def test_the_longest_side_fills_the_canvas_and_corners_meet(width: int, height: int) -> None:
    frame = Frame(width, height)
    assert max(frame.scaled) == SIDE
    assert min(frame.scaled) >= 1
    assert frame.to_canvas((float(width), float(height))) == pytest.approx(frame.scaled)
    assert frame.to_canvas((0.0, 0.0)) == (0.0, 0.0)


def test_coordinates_are_not_rounded() -> None:
    assert Frame(1000, 500).to_canvas((10.25, 3.125)) == pytest.approx((10.25 * 1.024, 3.125 * 1.024))


def test_pixels_are_normalised_and_the_rest_of_the_canvas_is_zero() -> None:
    pixels = np.full((300, 400, 3), (10, 100, 200), np.uint8)
    canvas = canvas_of(pixels, Frame.of(pixels))
    assert canvas.shape == (1, 3, SIDE, SIDE)
    assert canvas.dtype == np.float32
    np.testing.assert_allclose(canvas[0, :, :768, :].mean((1, 2)), ((10, 100, 200) - MEAN) / STD, rtol=1e-4)
    assert not canvas[0, :, 768:, :].any()


def test_an_image_of_the_canvas_size_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    restored = canvas_of(pixels, Frame.of(pixels))[0].transpose(1, 2, 0) * STD + MEAN
    np.testing.assert_allclose(restored, pixels, atol=1e-3)
