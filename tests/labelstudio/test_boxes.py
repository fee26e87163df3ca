"""Which boxes of a task become masks when predictions are retrieved."""

from hypothesis import given
from hypothesis import strategies as st

from backend.labelstudio.boxes import boxes_on


def item(number, kind="rectanglelabels"):
    return {"id": f"r{number}", "type": kind, "value": {"x": number}}


def box(number, kind="rectanglelabels"):
    return {**item(number, kind), "id": "box"}


def result(*items, at="2026-11-27T10:00:00Z", **beside):
    return {"result": list(items), "created_at": at, **beside}


def test_a_detectors_boxes():
    assert boxes_on({"annotations": [], "predictions": [result(item(1), item(2))]}) == [[box(1)], [box(2)]]


def test_peoples_boxes_come_before_a_detectors():
    task = {"annotations": [result(item(1))], "predictions": [result(item(2), at="2026-11-28T10:00:00Z")]}
    assert boxes_on(task) == [[box(1)]]
    assert boxes_on(task, drawn=False) == [[box(2)]]


def test_the_newest_counts():
    old, new = result(item(1)), result(item(2), at="2026-11-27T10:00:01Z")
    assert boxes_on({"annotations": [new, old]}) == boxes_on({"annotations": [old, new]}) == [[box(2)]]


def test_where_masks_are_boxes_are_none_of_ours():
    for kind in ("brushlabels", "polygon", "bitmasklabels", "ellipse"):
        masked = result(item(1), item(3, kind))
        assert boxes_on({"annotations": [masked]}) == []
        assert boxes_on({"annotations": [masked], "predictions": [result(item(2))]}) == [[box(2)]]


def test_what_was_skipped_does_not_count():
    assert boxes_on({"annotations": [result(item(1), was_cancelled=True)]}) == []


def test_labels_of_boxes_come_along_and_other_regions_do_not():
    drawn, its_label = item(1, "rectangle"), item(1, "labels")
    others = [item(2, "keypointlabels"), item(3, "labels"), item(4, "choices")]
    assert boxes_on({"predictions": [result(drawn, its_label, *others)]}) == [[box(1, "rectangle"), box(1, "labels")]]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["result", "type", "id", "created_at"]), inner),
)


@given(st.dictionaries(st.sampled_from(["annotations", "predictions"]), ANYTHING))
def test_whatever_a_task_holds_does_no_harm(task):
    assert isinstance(boxes_on(task), list)
