import math

import pytest

from backend.segmentation.prompts import Prompt


def test_clicks_and_a_box_make_a_prompt() -> None:
    prompt = Prompt(((1.5, 2.5),), (1,), (0.0, 0.0, 3.0, 4.0))
    assert prompt.points == ((1.5, 2.5),)
    assert prompt.box == (0.0, 0.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("points", "labels", "box", "said"),
    [
        ((), (), None, "empty prompt"),
        (((1.0, 1.0),), (), None, "1 points but 0 labels"),
        (((1.0, 1.0),), (2,), None, "labels [2] are unknown"),
        (((math.nan, 1.0),), (1,), None, "finite"),
        ((), (), (0.0, 0.0, math.inf, 1.0), "finite"),
        ((), (), (5.0, 0.0, 1.0, 1.0), "turned round"),
    ],
)
def test_what_cannot_be_meant_is_refused(points: tuple, labels: tuple, box: tuple | None, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("[", r"\[").replace("]", r"\]")):
        Prompt(points, labels, box)
