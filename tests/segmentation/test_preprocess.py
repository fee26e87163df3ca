import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.segmentation.preprocess import MEAN, SIDE, STD, Frame, canvas_of, mask_at_full_size

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


def as_in_segment_anything(low_res: np.ndarray, frame: Frame) -> np.ndarray:
    """The oracle, Sam.postprocess_masks: two bilinear steps of torch, without aligned corners."""
    width, height = frame.scaled
    canvas = torch.nn.functional.interpolate(torch.from_numpy(low_res)[None, None], (SIDE, SIDE), mode="bilinear")
    return torch.nn.functional.interpolate(canvas[..., :height, :width], (frame.height, frame.width), mode="bilinear")[
        0, 0
    ].numpy()


def logits_of(cells: np.ndarray) -> np.ndarray:
    return cv2.resize(cells.astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_masks_grow_as_in_segment_anything(data: st.DataObject) -> None:
    """Wherever a mask lies, the window that is computed gives what the whole image would."""
    width, height = data.draw(
        st.sampled_from([(640, 480), (1920, 1080), (1024, 1024), (333, 1500), (1501, 997), (1, 700), (40, 30)])
    )
    cells = np.full((32, 32), -6.0)
    x, y, w, h = (data.draw(st.integers(0, 31)) for _ in range(4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**31)))
    cells[y : y + h + 1, x : x + w + 1] = rng.normal(0, 4, cells[y : y + h + 1, x : x + w + 1].shape)
    low_res, frame = logits_of(cells), Frame(width, height)
    wanted = as_in_segment_anything(low_res, frame)
    made = mask_at_full_size(low_res, frame)
    assert made.shape == (height, width)
    differing = made != (wanted > 0)
    assert not (differing & (np.abs(wanted) > 1e-3)).any()


def test_an_empty_mask_grows_empty() -> None:
    assert not mask_at_full_size(np.full((256, 256), -1.0, np.float32), Frame(300, 200)).any()
