"""In Label Studio's own page: a click, an Alt-click and a box become masks that can be submitted.

PICTURES=docs/pictures .venv/bin/python -m pytest tests/system/test_page.py   also takes the README's screenshots.
"""

import pytest

from tests.system.masks import HELMET, ellipse, holds, iou, mask_of
from tests.system.page import accept, choose, click, drag, open_task, submit, suggested

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


@pytest.fixture
def opened(page, studio, project):
    """opened(photograph) -> its size, with the task open for labelling."""
    return lambda photograph: open_task(page, studio.address, project.id, project.tasks[photograph])


def test_a_click_and_an_alt_click(page, opened, picture):
    size = opened("cat.jpg")
    choose(page, "k", "2")
    asked, answer = click(page, 50, 40)
    assert [region["is_positive"] for region in asked] == [True]
    assert not answer.get("errors")
    suggested(page)
    picture("click")
    choose(page, "k", "2")
    asked, answer = click(page, 25, 85, alt=True)
    assert [region["is_positive"] for region in asked] == [True, False]
    suggested(page)
    picture("alt-click")
    accept(page)
    [cat] = submit(page)["result"]
    assert cat["value"]["brushlabels"] == ["Animal"]
    mask = mask_of(cat)
    assert mask.shape == size[::-1]
    assert holds(mask, 50, 40)
    assert holds(mask, 38, 38), "the cat's eye"
    assert not holds(mask, 25, 85)


def test_a_box_and_then_a_click(page, opened, picture):
    size = opened("astronaut.jpg")
    choose(page, "r", "6")
    asked, _ = drag(page, 53, 66, 46, 33.5)
    assert [region["type"] for region in asked] == ["rectanglelabels"]
    suggested(page)
    picture("box")
    accept(page)
    choose(page, "k", "1")
    click(page, 25, 62)
    accept(page)
    regions = submit(page)["result"]
    assert [region["value"]["brushlabels"] for region in regions] == [["Thing"], ["Person"]]
    helmet, person = map(mask_of, regions)
    assert iou(helmet, ellipse(size, *HELMET)) > 0.75
    assert holds(person, 25, 62)
