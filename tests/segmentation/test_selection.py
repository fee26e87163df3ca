import numpy as np
import pytest

from backend.segmentation.selection import stability_score, without_specks

NO_CLICKS = np.zeros((0, 2), np.intp)


def logits_with(*parts: tuple[slice, slice]) -> np.ndarray:
    logits = np.full((64, 64), -5.0, np.float32)
    for part in parts:
        logits[part] = 5.0
    return logits


def test_stability_is_the_iou_of_a_tighter_and_a_looser_threshold() -> None:
    logits = np.array([[2.0, 0.5], [-0.5, -2.0]], np.float32)
    assert stability_score(logits) == pytest.approx(1 / 3)


def test_an_empty_mask_is_worth_nothing() -> None:
    assert stability_score(np.full((4, 4), -9.0, np.float32)) == 0.0


def test_specks_go_and_the_object_stays() -> None:
    cleaned = without_specks(logits_with(np.s_[5:45, 5:45], np.s_[60:62, 60:62]), 0.01, NO_CLICKS) > 0
    assert cleaned[5:45, 5:45].all()
    assert cleaned.sum() == 40 * 40


def test_large_parts_stay() -> None:
    logits = logits_with(np.s_[5:25, 5:45], np.s_[30:45, 5:45])
    np.testing.assert_array_equal(without_specks(logits, 0.05, NO_CLICKS), logits)


def test_a_part_that_was_clicked_stays_whatever_its_size() -> None:
    logits = logits_with(np.s_[5:45, 5:45], np.s_[60:62, 60:63])
    cleaned = without_specks(logits, 0.01, np.array([[62, 60]])) > 0
    assert cleaned.sum() == 40 * 40 + 6


def test_an_empty_mask_stays_empty() -> None:
    assert not (without_specks(logits_with(), 0.5, NO_CLICKS) > 0).any()
