"""Every /predict that was recorded from a real Label Studio, and what it must be answered."""

import copy
import math

import numpy as np
import pytest

from backend.labelstudio import rle
from backend.labelstudio.answering import answer
from tests.labelstudio.standins import DiscEngine, data_uri, picture, segmenter_of
from tests.recordings import predictions, recordings

CASES = {name: predictions(recording)[-1] for name, recording in recordings(predictions)}
CLICKS = {name: body for name, body in CASES.items() if body["params"]["context"]}
PLAIN = {name: body for name, body in CASES.items() if not body["params"]["context"]}
TWO_MASKS = {"08-second-box-same-label", "08c-plain-box-then-smart-box"}
NO_MASK = {"06-only-negative"}
BRUSH_AND_LABELS = {"20-keypoint-plus-labels", "21-rectangle-plus-labels"}


def answered(body, engine=None):
    body = copy.deepcopy(body)
    for task in body["tasks"]:
        for name, value in task["data"].items():
            if str(value).startswith("data:"):  # cut in the recording
                task["data"][name] = data_uri(picture())
    segmenter = segmenter_of(engine)
    return answer(segmenter, body["tasks"], body["label_config"], body["params"]["context"])


def mask_of(region):
    return rle.decode(region["value"]["rle"], region["original_width"], region["original_height"])


def at(mask, x, y):
    height, width = mask.shape
    return bool(mask[int(min(y * height / 100, height - 1)), int(min(x * width / 100, width - 1))])


def prompts(body):
    return [item for item in body["params"]["context"]["result"] if item["type"] != "labels"]


def points(body, positive):
    """Where the recording's clicks are, but for those taken back by a later one at the same place."""
    said = [item for item in prompts(body) if "height" not in item["value"]]
    if any("is_positive" in item for item in said):
        said = [item for item in said if "is_positive" in item]
    last = {(item["value"]["x"], item["value"]["y"]): item.get("is_positive", True) for item in said}
    return [place for place, kind in last.items() if kind is positive]


def test_there_are_recordings():
    assert len(recordings()) == 84
    assert len(CLICKS) > 40
    assert len(PLAIN) >= 7


@pytest.mark.parametrize("name", PLAIN)
def test_without_a_context_an_empty_list_per_task(name):
    assert answered(PLAIN[name]) == [[] for _ in PLAIN[name]["tasks"]]


@pytest.mark.parametrize("name", CLICKS.keys() - NO_MASK)
def test_a_prompt_gets_its_masks(name):
    body = CLICKS[name]
    [prediction] = answered(body)
    brushes = [region for region in prediction["result"] if region["type"] in ("brush", "brushlabels")]
    assert len(brushes) == (2 if name in TWO_MASKS else 1)
    assert prediction["model_version"] == "disc-v1"
    assert prediction["score"] == pytest.approx(np.mean([region["score"] for region in brushes]))
    last = prompts(body)[-1]
    for region in brushes:
        assert region["to_name"] == last["to_name"]
        assert (region["original_width"], region["original_height"]) == (
            last["original_width"],
            last["original_height"],
        )
        assert region["image_rotation"] == last["image_rotation"]
        assert region.get("item_index", "none") == last.get("item_index", "none")
        assert len(region["id"]) >= 10
        assert 0 <= region["score"] <= 1
        assert math.isfinite(region["score"])
        assert not {"readonly", "origin"} & region.keys()
        assert region["value"]["format"] == "rle"
        assert 0 < mask_of(region).mean() < 0.98


@pytest.mark.parametrize("name", [name for name in CLICKS if points(CLICKS[name], True)])
def test_the_mask_holds_the_positive_points_and_not_the_negative_ones(name):
    [prediction] = answered(CLICKS[name])
    mask = mask_of(prediction["result"][-1] if name not in BRUSH_AND_LABELS else prediction["result"][0])
    assert [at(mask, *place) for place in points(CLICKS[name], True)] == [True] * len(points(CLICKS[name], True))
    assert not any(at(mask, *place) for place in points(CLICKS[name], False))


@pytest.mark.parametrize("name", CLICKS)
def test_every_answer_names_controls_of_its_configuration(name):
    body = CLICKS[name]
    [prediction] = answered(body)
    for region in prediction["result"]:
        assert f'name="{region["from_name"]}" toName="{region["to_name"]}"' in body["label_config"]


@pytest.mark.parametrize("name", [name for name in CLICKS if "BrushLabels" in CLICKS[name]["label_config"]])
def test_the_mask_carries_the_label_of_the_last_prompt(name):
    [prediction] = answered(CLICKS[name])
    value = prompts(CLICKS[name])[-1]["value"]
    label = value.get("keypointlabels") or value["rectanglelabels"]
    for region in prediction["result"]:
        assert region["value"]["brushlabels"] == label
        assert region["type"] == "brushlabels"


def test_only_a_negative_click_gets_an_empty_result():
    assert answered(CASES["06-only-negative"]) == [{"result": [], "score": 0.0, "model_version": "disc-v1"}]


@pytest.mark.parametrize("name", [name for name in CLICKS if "rotation" in prompts(CLICKS[name])[-1]["value"]])
def test_the_newest_box_is_the_last_mask(name):
    value = prompts(CLICKS[name])[-1]["value"]
    [prediction] = answered(CLICKS[name])
    mask = mask_of([region for region in prediction["result"] if region["type"] != "labels"][-1])
    turned = math.radians(value["rotation"])
    for across, down in ((0.5, 0.5), (0.1, 0.1), (0.9, 0.9), (0.1, 0.9), (0.9, 0.1)):
        x, y = across * value["width"] * 8, down * value["height"] * 5.34
        px = value["x"] + (x * math.cos(turned) - y * math.sin(turned)) / 8
        py = value["y"] + (x * math.sin(turned) + y * math.cos(turned)) / 5.34
        if 0 <= px < 100 and 0 <= py < 100:
            assert at(mask, px, py)
    if not value["rotation"]:
        size = value["width"] * value["height"] / 1e4
        assert mask.mean() == pytest.approx(size, rel=0.05)


@pytest.mark.parametrize("name", sorted(TWO_MASKS))
def test_boxes_are_masked_one_by_one(name):
    [prediction] = answered(CASES[name])
    for region, item in zip(prediction["result"], prompts(CASES[name]), strict=True):
        expected = item["value"]["width"] * item["value"]["height"] / 1e4
        assert mask_of(region).mean() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("name", sorted(BRUSH_AND_LABELS))
def test_labels_and_brush_get_two_items_of_one_id(name):
    [prediction] = answered(CASES[name])
    brush, labels = prediction["result"]
    assert (brush["type"], brush["from_name"]) == ("brush", "brush")
    assert (labels["type"], labels["from_name"], labels["value"]["labels"]) == ("labels", "labels", ["Object"])
    assert brush["id"] == labels["id"]


def test_a_brush_without_labels_answers_without_a_label():
    [prediction] = answered(CASES["22-brush-without-labels"])
    [region] = prediction["result"]
    assert (region["type"], region["from_name"], region["value"].keys()) == ("brush", "brush", {"format", "rle"})


@pytest.mark.parametrize("name", ["23b-two-images-second", "24b-image-list-second-picture"])
def test_the_second_picture_is_the_one_that_is_masked(name):
    engine = DiscEngine()
    first = DiscEngine()
    [prediction] = answered(CASES[name], engine)
    answered(CASES["03-click"], first)
    assert (prediction["result"][0]["original_width"], prediction["result"][0]["original_height"]) == (900, 600)
    assert engine.encoded == 1
    assert engine.colours != first.colours


def test_the_second_image_is_answered_by_its_own_brush():
    [prediction] = answered(CASES["23b-two-images-second"])
    assert (prediction["result"][0]["from_name"], prediction["result"][0]["to_name"]) == ("brush2", "image2")


def test_a_point_back_from_a_draft_is_not_todays_prompt():
    [prediction] = answered(CASES["19-prompt-left-in-a-draft"])
    assert not at(mask_of(prediction["result"][0]), 33.04, 70.06)


def test_ids_are_new_every_time():
    ids = {region["id"] for _ in range(2) for body in CLICKS.values() for p in answered(body) for region in p["result"]}
    assert len(ids) == 2 * (len(CLICKS) - len(NO_MASK) + len(TWO_MASKS))
