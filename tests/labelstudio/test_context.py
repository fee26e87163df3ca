"""Contexts: what is a prompt, what belongs together, and where it lies."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labelstudio.context import MOST_CLICKS, MOST_OBJECTS, Click, asks_of, prompt_of
from backend.labelstudio.interface import interface_of
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.prompts import Prompt

INTERFACE = interface_of('<View><Image name="image" value="$image"/><Image name="other" value="$other"/></View>')


def item(kind, value, **beside):
    return {"type": kind, "to_name": "image", "from_name": "control", "image_rotation": 0, "value": value, **beside}


def point(x, y, positive=True, label="Dog", **beside):
    said = {} if positive is None else {"is_positive": positive}
    return item("keypointlabels", {"x": x, "y": y, "width": 0.2, "keypointlabels": [label]}, **said, **beside)


def box(x, y, width, height, label="Dog", rotation=0, **beside):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": [label]}
    return item("rectanglelabels", value, **beside)


def asked(*items, task=None):
    return asks_of({"result": list(items)}, task or {}, INTERFACE)


def prompts(*items, size=(200, 100), task=None):
    return [prompt_of(ask, *size) for ask in asked(*items, task=task)]


def test_percent_become_float_pixels():
    assert prompts(point(33.3, 50)) == [Prompt(((66.6, 50.0),), (1,))]


def test_points_of_one_label_are_one_object_in_order():
    assert prompts(point(10, 10), point(20, 20, False), point(30, 30)) == [
        Prompt(((20.0, 10.0), (40.0, 20.0), (60.0, 30.0)), (1, 0, 1))
    ]


def test_another_label_another_picture_and_another_place_in_a_list_are_other_objects_the_newest_last():
    asks = asked(
        point(1, 1), point(2, 2, label="Cat"), point(3, 3, to_name="other"), point(4, 4, item_index=1), point(5, 5)
    )
    assert [(ask.labels, ask.to_name, ask.item_index, len(ask.clicks)) for ask in asks] == [
        (("Cat",), "image", None, 1),
        (("Dog",), "other", None, 1),
        (("Dog",), "image", 1, 1),
        (("Dog",), "image", None, 2),
    ]


def test_every_box_is_an_object():
    assert prompts(box(0, 0, 10, 10), box(50, 50, 20, 20)) == [
        Prompt(box=(0.0, 0.0, 20.0, 10.0)),
        Prompt(box=(100.0, 50.0, 140.0, 70.0)),
    ]


def test_clicks_refine_the_newest_box_of_their_label():
    first, second = prompts(box(0, 0, 10, 10), point(52, 52, False), box(50, 50, 20, 20))
    assert first == Prompt(box=(0.0, 0.0, 20.0, 10.0))
    assert second == Prompt(((104.0, 52.0),), (0,), (100.0, 50.0, 140.0, 70.0))


def test_only_negative_clicks_ask_for_nothing():
    assert prompts(point(10, 10, False), point(20, 20, False)) == []
    assert prompts() == []
    assert asks_of({"result": None}, {}, INTERFACE) == []


def test_a_missing_is_positive_is_never_negative():
    assert prompts(point(10, 10, None)) == [Prompt(((20.0, 10.0),), (1,))]
    assert prompts(point(10, 10, None), point(20, 20, None)) == [Prompt(((20.0, 10.0), (40.0, 20.0)), (1, 1))]


def test_where_some_say_it_only_those_are_todays_prompt():
    assert prompts(point(10, 10, None), point(20, 20), point(30, 30, False)) == [
        Prompt(((40.0, 20.0), (60.0, 30.0)), (1, 0))
    ]
    assert prompts(point(10, 10, None), point(20, 20, False)) == []


def test_a_second_click_at_the_same_place_takes_the_first_one_back():
    assert prompts(point(10, 10), point(20, 20, False), point(20, 20, True)) == [
        Prompt(((20.0, 10.0), (40.0, 20.0)), (1, 1))
    ]
    assert prompts(point(10, 10, False), point(20, 20), point(10, 10)) == [  # and is the newest
        Prompt(((40.0, 20.0), (20.0, 10.0)), (1, 1))
    ]


@pytest.mark.parametrize(("said", "positive"), [(1, True), (0, False), (True, True), (False, False), (None, None)])
def test_is_positive_in_numbers(said, positive):
    [ask] = asked(point(10, 10), point(20, 20, None, is_positive=said))
    assert ask.clicks == (Click(10, 10, True), Click(20, 20, positive))[: 1 + (positive is not None)]


@pytest.mark.parametrize("last", [True, False])
def test_submitted_regions_that_come_along_are_no_prompts_but_for_the_newest(last):
    task = {"annotations": [{"result": [{"id": "old", "type": "rectanglelabels"}]}]}
    old, new = box(0, 0, 10, 10, id="old"), box(50, 50, 20, 20, id="new")
    found = prompts(*([new, old] if last else [old, new]), task=task)
    assert len(found) == (2 if last else 1)
    assert found[0].box == (100.0, 50.0, 140.0, 70.0)


@pytest.mark.parametrize(
    "task",
    [{"annotations": None}, {"annotations": [None, {"result": None}, {"result": [None, {"id": 5}, {"id": []}]}]}],
)
def test_annotations_of_any_kind_do_no_harm(task):
    assert len(prompts(box(0, 0, 10, 10, id="a"), box(5, 5, 10, 10, id="b"), task=task)) == 2


def test_the_twin_of_a_labels_tag_counts_once_and_gives_the_label():
    for_both = {"x": 10, "y": 10, "width": 5, "height": 5}
    [ask] = asked(item("rectangle", for_both, id="a"), item("labels", {**for_both, "labels": ["Dog"]}, id="a"))
    assert ask.labels == ("Dog",)
    [ask] = asked(
        item("labels", {"x": 1, "y": 1, "labels": ["Dog"]}, id="a"), item("keypoint", {"x": 1, "y": 1}, id="a")
    )
    assert ask.labels == ("Dog",)
    [ask] = asked(item("keypoint", {"x": 1, "y": 1}))
    assert ask.labels == ()


@pytest.mark.parametrize(
    "other",
    [
        item("brushlabels", {"format": "rle", "rle": [0, 1], "brushlabels": ["Dog"]}, id="z"),
        item("polygonlabels", {"points": [[1, 1], [2, 2]], "polygonlabels": ["Dog"]}),
        item("ellipselabels", {"x": 1, "y": 1, "radiusX": 2, "radiusY": 2}),
        item("labels", {"format": "rle", "rle": [0], "labels": ["Dog"]}, id="z"),
        item("choices", {"choices": ["a"]}, to_name="text"),
        {"type": "relation", "from_id": "a", "to_id": "b"},
        {"type": None},
        {},
    ],
)
def test_other_regions_are_no_prompts_and_do_no_harm(other):
    assert prompts(other, point(10, 10), other) == [Prompt(((20.0, 10.0),), (1,))]
    assert prompts(other) == []


def test_what_lies_outside_the_picture_is_moved_to_its_edge():
    assert prompts(point(101, -1)) == [Prompt(((200.0, 0.0),), (1,))]
    assert prompts(box(-10, 90, 50, 50)) == [Prompt(box=(0.0, 90.0, 80.0, 100.0))]


@pytest.mark.parametrize("outside", [box(120, 120, 5, 5), box(-10, 20, 10, 10), box(20, 110, 10, -10)])
def test_a_box_that_lies_outside_of_the_picture_is_refused(outside):
    with pytest.raises(Unanswerable, match=r"a box at .* lies outside of the picture") as caught:
        prompts(outside)
    assert caught.value.link == "context"


def test_a_box_drawn_backwards_is_turned_round():
    assert prompts(box(50, 50, -20, -20)) == [Prompt(box=(60.0, 30.0, 100.0, 50.0))]


def test_a_turned_box_becomes_the_box_around_its_corners():
    [prompt] = prompts(box(50, 50, 10, 10, rotation=90))  # 20 x 10 pixels at (100, 50), turned clockwise: to the left
    assert prompt.box == pytest.approx((90, 50, 100, 70))
    [prompt] = prompts(box(50, 50, 10, 20, rotation=45))  # 20 x 20 pixels
    half = 20 / math.sqrt(2)
    assert prompt.box == pytest.approx((100 - half, 50, 100 + half, 50 + 2 * half))


def test_the_view_turned_does_not_turn_the_prompt():
    [ask] = asked(point(10, 20, image_rotation=90))
    assert ask.image_rotation == 90
    [ask] = asked(point(10, 20, image_rotation=None))
    assert ask.image_rotation == 0
    assert prompt_of(ask, 200, 100) == Prompt(((20.0, 20.0),), (1,))


BROKEN = [
    ("x", point(None, 1)),
    ("x", {**point(1, 1), "value": {"y": 1}}),
    ("y", point(1, math.nan)),
    ("x", point(math.inf, 1)),
    ("x", point("33", 1)),
    ("x", point(True, 1)),
    ("x", point(10**400, 1)),
    ("width", box(1, 1, None, 1)),
    ("rotation", box(1, 1, 1, 1, rotation="turned")),
    ("value", {**point(1, 1), "value": None}),
    ("value", {**point(1, 1), "value": [1]}),
    ("is_positive", point(1, 1, "no")),
    ("is_positive", point(1, 1, 2)),
    ("to_name", point(1, 1, to_name="elsewhere")),
    ("to_name", point(1, 1, to_name=None)),
    ("to_name", point(1, 1, to_name=5)),
    ("item_index", point(1, 1, item_index=-1)),
    ("item_index", point(1, 1, item_index="1")),
    ("item_index", point(1, 1, item_index=True)),
    ("image_rotation", point(1, 1, image_rotation="turned")),
    ("id", point(1, 1, id=5)),
    ("keypointlabels", point(1, 1, label=5)),
    ("keypointlabels", {**point(1, 1), "value": {"x": 1, "y": 1, "keypointlabels": "Dog"}}),
]


def test_more_clicks_than_a_person_makes_are_refused():
    [ask] = asked(*(point(n / 4, 1) for n in range(MOST_CLICKS)))
    assert len(ask.clicks) == MOST_CLICKS
    with pytest.raises(Unanswerable, match="201 clicks for one object are more than the 200") as caught:
        asked(*(point(n / 4, 1) for n in range(MOST_CLICKS + 1)))
    assert caught.value.link == "context"
    assert len(asked(*(point(n / 4, 1, label=label) for n in range(150) for label in ("Dog", "Cat")))) == 2


def test_more_boxes_than_a_person_draws_are_refused():
    assert len(asked(*(box(n / 4, 1, 5, 5) for n in range(MOST_OBJECTS)))) == MOST_OBJECTS
    with pytest.raises(Unanswerable, match="201 objects in one request are more than the 200") as caught:
        asked(*(box(n / 4, 1, 5, 5) for n in range(MOST_OBJECTS + 1)))
    assert caught.value.link == "context"


@pytest.mark.parametrize(("name", "broken"), BROKEN)
def test_values_that_cannot_be_read_are_refused_by_name(name, broken):
    with pytest.raises(Unanswerable, match=f"^{name} of a region in the context is .*: it must be ") as caught:
        asked(broken, point(1, 1))
    assert caught.value.link == "context"


@pytest.mark.parametrize("context", [{"result": {}}, {"result": "all"}, {"result": [5]}, [1], "context"])
def test_a_context_of_another_shape_is_refused(context):
    with pytest.raises(Unanswerable):
        asks_of(context, {}, INTERFACE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
values = ["x", "y", "width", "height", "rotation", "keypointlabels", "rectanglelabels", "labels"]
kinds = st.sampled_from(["keypointlabels", "rectanglelabels", "keypoint", "rectangle", "labels", "brush"])


@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": kinds | json_values},
            optional={
                "to_name": st.just("image") | json_values,
                "id": st.sampled_from(["a", "b"]) | json_values,
                "is_positive": st.booleans() | json_values,
                "item_index": st.integers(0, 3) | json_values,
                "image_rotation": st.just(0) | json_values,
                "value": st.dictionaries(st.sampled_from(values), st.floats(-200, 200) | json_values) | json_values,
            },
        )
        | json_values,
        max_size=5,
    )
    | json_values,
    json_values,
)
def test_any_context_is_read_or_refused(result, annotations):
    asks = []
    with suppress(Unanswerable):
        asks = asks_of({"result": result}, {"annotations": annotations}, INTERFACE)
    for ask in asks:
        prompt = prompt_of(ask, 640, 480)
        for x, y in [*prompt.points, *((prompt.box[:2], prompt.box[2:]) if prompt.box else ())]:
            assert 0 <= x <= 640
            assert 0 <= y <= 480


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 9000), st.integers(1, 9000))
def test_nothing_is_rounded(x, y, width, height):
    [prompt] = [prompt_of(ask, width, height) for ask in asked(json.loads(json.dumps(point(x, y))))]
    assert prompt.points[0] == (x * width / 100, y * height / 100)
