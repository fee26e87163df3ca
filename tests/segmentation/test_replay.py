"""The rounds in which a prompt is shown to the decoder; what these do to masks is seen in test_predictor.py."""

import pytest

from backend.segmentation.prompts import Prompt
from backend.segmentation.replay import rounds_of


@pytest.mark.parametrize(
    ("prompt", "rounds"),
    [
        (Prompt(((1.0, 1.0),), (1,)), [1]),
        (Prompt(((1.0, 1.0), (2.0, 2.0)), (0, 1)), [2]),
        (Prompt(((1.0, 1.0), (2.0, 2.0)), (0, 0)), [2]),
        (Prompt(box=(0.0, 0.0, 1.0, 1.0)), [0, 0]),
        (Prompt(((1.0, 1.0), (2.0, 2.0)), (0, 1), (0.0, 0.0, 3.0, 3.0)), [0, 0, 1, 2]),
    ],
)
def test_a_replay_begins_where_there_is_something_to_find(prompt: Prompt, rounds: list[int]) -> None:
    assert rounds_of(prompt, twice=True) == rounds


def test_who_does_not_better_boxes_answers_them_once() -> None:
    assert rounds_of(Prompt(((1.0, 1.0),), (1,), (0.0, 0.0, 3.0, 3.0)), twice=False) == [0, 1]


def test_of_many_clicks_the_last_are_replayed() -> None:
    many = tuple((float(n), 1.0) for n in range(100))
    assert rounds_of(Prompt(many, (1,) * 100), twice=True) == list(range(77, 101))
    assert rounds_of(Prompt(many, (1,) * 100, (0.0, 0.0, 100.0, 3.0)), twice=True) == list(range(77, 101))
    assert rounds_of(Prompt(many[:24], (1,) * 24), twice=True) == list(range(1, 25))
