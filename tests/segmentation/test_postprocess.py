import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.segmentation.postprocess import extent_of, mask_at_full_size
from backend.segmentation.preprocess import SIDE, Frame

SIZES = [(640, 480), (1920, 1080), (1024, 1024), (333, 1500), (1501, 997), (1, 700), (1, 1700), (40, 30), (3001, 2003)]


def as_in_segment_anything(low_res: np.ndarray, frame: Frame) -> np.ndarray:
    """The oracle, Sam.postprocess_masks: two bilinear steps of torch, without aligned corners."""
    width, height = frame.scaled
    canvas = torch.nn.functional.interpolate(torch.from_numpy(low_res)[None, None], (SIDE, SIDE), mode="bilinear")
    return torch.nn.functional.interpolate(canvas[..., :height, :width], (frame.height, frame.width), mode="bilinear")[
        0, 0
    ].numpy()


def logits_of(cells: np.ndarray) -> np.ndarray:
    return cv2.resize(cells.astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)


@settings(max_examples=40)
@given(st.data())
def test_masks_grow_as_in_segment_anything(data: st.DataObject) -> None:
    """Wherever a mask lies, the pixels that are computed give what the whole image would."""
    width, height = data.draw(st.sampled_from(SIZES))
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


@pytest.mark.parametrize("size", [(640, 480), (4000, 3000), (100, 900)])
def test_an_extent_is_that_of_the_mask_to_a_cell(size: tuple[int, int]) -> None:
    frame = Frame(*size)
    low_res = np.full((256, 256), -9.0, np.float32)
    low_res[10:17, 5:9] = 9
    extent = extent_of(low_res, frame)
    assert extent is not None
    ys, xs = np.nonzero(mask_at_full_size(low_res, frame))
    cell = 4 / frame.scale
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == pytest.approx(extent, abs=1.5 * cell)
    assert extent == pytest.approx((5 * cell, 10 * cell, 9 * cell, 17 * cell))


def test_what_lies_beside_the_image_has_no_extent() -> None:
    low_res = np.full((256, 256), -9.0, np.float32)
    low_res[250:] = 9
    assert extent_of(low_res, Frame(1000, 500)) is None
    assert extent_of(low_res, Frame(500, 500)) is not None
