"""Which regions of an annotation are masks, and which pixels they hold; regions as Label Studio stores them."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from structlog.testing import capture_logs

from backend.labelstudio import rle
from backend.labelstudio.accepted_masks import masks_of
from backend.labelstudio.interface import interface_of
from tests.labelstudio.standins import data_uri

RECORDINGS = Path(__file__).parent.parent / "recordings"
WIDTH, HEIGHT = 40, 30
CONFIG = """<View><Image name="image" value="$image"/><Image name="other" value="$other"/>
<BrushLabels name="brush" toName="image"><Label value="Cell"/></BrushLabels>
<RectangleLabels name="box" toName="image" smart="true"><Label value="Cell"/></RectangleLabels>
<RectangleLabels name="drawn" toName="image" smart="false"><Label value="Window"/></RectangleLabels>
<RectangleLabels name="silent" toName="image"><Label value="Window"/></RectangleLabels></View>"""
INTERFACE = interface_of(CONFIG)
CELL = np.zeros((HEIGHT, WIDTH), bool)
CELL[5:20, 10:30] = True
BOX = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0}


def region(kind, value, from_name="brush", **more):
    return {
        "id": "r1",
        "type": kind,
        "from_name": from_name,
        "to_name": "image",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "origin": "manual",
        "value": value,
    } | more


def brush(**more):
    return region("brushlabels", {"format": "rle", "rle": rle.encode(CELL), "brushlabels": ["Cell"]}, **more)


def only(result):
    [[mask]] = masks_of(result, INTERFACE).values()
    return mask


def whole(mask):
    pixels = np.zeros(mask.size[::-1], bool)
    pixels[mask.window] = mask.pixels
    return pixels


def recorded(case):
    [one] = json.loads((RECORDINGS / f"{case}.json").read_text())["afterwards"]["serialized_after_the_tick"]
    return one


def test_a_brush_is_decoded_exactly():
    mask = only([brush()])
    assert (whole(mask) == CELL).all()
    assert mask.pixels.shape == (15, 20)
    assert (mask.label, mask.by_person) == ("Cell", True)


@pytest.mark.parametrize(
    ("said", "by_person"),
    [
        ({"origin": "manual"}, True),
        ({"origin": "manual", "score": 0.9}, False),  # an accepted suggestion
        ({"origin": None, "score": 0.9}, False),  # "Create annotations from predictions"
        ({"origin": None}, True),
        ({"origin": "prediction"}, False),
        ({"origin": "prediction-changed", "score": 0.9}, True),
    ],
)
def test_who_made_it(said, by_person):
    assert only([brush(**said)]).by_person is by_person


def test_a_brush_without_labels_gets_its_label_from_its_twin():
    shape = {"format": "rle", "rle": rle.encode(CELL)}
    twins = [region("brush", shape), region("labels", {**shape, "labels": ["Cell"]}, from_name="labels")]
    assert only(twins).label == "Cell"


@pytest.mark.parametrize(
    ("case", "share"),
    [
        ("30-answer-polygon", 2 * np.sqrt(2) * 0.09 * 0.12),
        ("30-answer-ellipse", np.pi * 0.08 * 0.11),
        ("30-answer-bitmask", 0.030493913857677902),
    ],
)
def test_what_the_page_stored(case, share):
    mask = only([recorded(case)])
    assert mask.size == (800, 534)
    assert whole(mask).mean() == pytest.approx(share, rel=0.01)
    assert whole(mask)[int(0.7006 * 534), int(0.3304 * 800)]
    assert (mask.label, mask.by_person) == ("Object", False)


def test_the_turn_of_the_view_does_not_turn_the_mask():
    turned = region("ellipselabels", {"x": 25, "y": 50, "radiusX": 10, "radiusY": 30, "rotation": 0}, image_rotation=90)
    height, width = only([turned]).pixels.shape
    assert height > width


def test_prompts_are_no_masks():
    point = {"x": 1, "y": 1, "width": 0.2, "keypointlabels": ["Cell"]}
    prompts = [
        region("keypointlabels", point, "point"),
        region("rectanglelabels", BOX, "box"),
        region("rectanglelabels", BOX, "silent"),
    ]
    assert masks_of(prompts, INTERFACE) == {}


def test_a_drawn_rectangle_counts_where_nothing_of_a_mask_lies_beside_it():
    drawn = region("rectanglelabels", {**BOX, "rectanglelabels": ["Window"]}, "drawn")
    mask = only([drawn])
    assert (mask.label, mask.pixels.sum()) == ("Window", 20 * 15)
    assert (whole(only([drawn, brush()])) == CELL).all()


def test_polygons_of_one_answer_are_one_mask():
    def part(number, left, top):
        corners = [[left, top], [left + 20, top], [left + 20, top + 20], [left, top + 20]]
        return region("polygonlabels", {"points": corners, "polygonlabels": ["Cell"]}, id=number, score=0.9)

    first, second, other = part("0123456789abcdef", 10, 10), part("0123456789abcdefp1", 60, 60), part("x", 10, 60)
    separate = masks_of([first, other], INTERFACE)["image", None]
    assert len(separate) == 2
    together, alone = masks_of([first, other, second], INTERFACE)["image", None]
    assert whole(together).sum() == whole(separate[0]).sum() * 2
    assert (whole(alone) == whole(separate[1])).all()
    edited = {**second, "score": None}
    [mask] = masks_of([first, edited], INTERFACE)["image", None]
    assert mask.by_person


def test_a_rectangle_that_stands_for_a_mask_is_none():
    boxes_only = interface_of(
        '<View><Image name="image" value="$image"/><KeyPointLabels name="point" toName="image" smart="true"/>'
        '<RectangleLabels name="drawn" toName="image" smart="false"/></View>'
    )
    assert masks_of([region("rectanglelabels", BOX, "drawn")], boxes_only) == {}


def test_pictures_are_told_apart():
    result = [brush(), brush(to_name="other"), brush(item_index=2), brush(item_index=2)]
    found = masks_of(result, INTERFACE)
    assert {picture: len(masks) for picture, masks in found.items()} == {
        ("image", None): 1,
        ("other", None): 1,
        ("image", 2): 2,
    }


def png(size, colour=255, mode="L"):
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, "PNG")
    return {"imageDataURL": data_uri(file.getvalue(), "image/png")}


def test_a_bitmask_without_transparency_is_what_is_not_black():
    assert whole(only([region("bitmask", png((WIDTH, HEIGHT)))])).all()
    assert masks_of([region("bitmask", png((WIDTH, HEIGHT), 0))], INTERFACE) == {}


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (region("brushlabels", {"rle": rle.encode(CELL)[:20]}), "ends in the middle"),
        (region("brushlabels", {"rle": rle.encode(CELL)}, original_width=41), "does not fit 41 x 30"),
        (region("brushlabels", {"rle": [1, 300]}), "its brush cannot be read"),
        (region("brushlabels", {"rle": "abc"}), "its RLE is 'abc': it must be a list"),
        (region("brushlabels", {"rle": 10**15}), "its RLE is '1000000000000000': it must be a list"),
        (region("brushlabels", {}), "ends in the middle"),
        (region("brushlabels", None), "it has no value"),
        (region("brushlabels", {}, original_width=10**9), "not a size that is taken"),
        (region("brushlabels", {}, to_name="nobody"), "'nobody' is no <Image>"),
        (region("polygonlabels", {"points": [[1, 2], [3, 4]]}), "fewer than three points"),
        (region("polygonlabels", {"points": [[1, 2], [3, 4], [5, 6]], "closed": False}), "not closed"),
        (region("polygonlabels", {"points": [[1, 2], [3], [5, 6]]}), "its polygon cannot be read"),
        (region("ellipselabels", {"x": 1, "y": 2, "radiusX": "a", "radiusY": 2}), "'a' is not a number"),
        (region("ellipselabels", {"x": 1, "y": float("nan"), "radiusX": 1, "radiusY": 2}), "'nan' is not a number"),
        (region("bitmask", {"imageDataURL": "http://elsewhere/a.png"}), "begins with 'http://elsewhere/a.png'"),
        (region("bitmask", {"imageDataURL": "data:image/png;base64,AAAA"}), "no PNG that can be read"),
        (region("bitmask", png((5, 5))), r"its bitmask is \(5, 5\), not \(40, 30\)"),
    ],
)
def test_what_cannot_be_read_is_left_out_and_told(broken, why):
    with capture_logs() as logs:
        found = masks_of([broken, brush()], INTERFACE)
    assert sum(map(len, found.values())) == 1
    [line] = logs
    assert line["region"] == "r1"
    assert re.search(why, line["why"])


def test_whatever_else_lies_in_a_result_does_no_harm():
    assert masks_of([None, 3, "text", {}, {"type": "choices", "value": {}}, {"type": None}], INTERFACE) == {}
