"""Regions and predictions as Label Studio wants them."""

import numpy as np

from backend.labelstudio import rle
from backend.labelstudio.context import Ask, Click
from backend.labelstudio.outputs import Output
from backend.labelstudio.regions import prediction_of, results_of, thing_of
from backend.segmentation.predictor import Mask

ASK = Ask("image", None, ("Dog",), 90)
BRUSH = Output("brushlabels", "brush", None, ("Dog",))
PIXELS = np.zeros((30, 40), bool)
PIXELS[5:20, 10:30] = True
MASK = Mask(PIXELS, 0.75)


def test_a_region_is_complete():
    [region] = results_of(ASK, BRUSH, MASK)
    assert len(region.pop("id")) >= 10
    assert region == {
        "from_name": "brush",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": 40,
        "original_height": 30,
        "image_rotation": 90,
        "score": 0.75,
        "value": {"format": "rle", "rle": rle.encode(PIXELS), "brushlabels": ["Dog"]},
    }


def test_the_place_in_a_list_is_told_where_there_is_one():
    [region] = results_of(Ask("image", 0, (), 0), BRUSH, MASK)
    assert region["item_index"] == 0


def test_without_a_label_the_region_has_none():
    [region] = results_of(ASK, Output("brushlabels", "brush", None, ()), MASK)
    assert region["value"].keys() == {"format", "rle"}


def test_a_polygon_is_a_region_for_each_part():
    two = PIXELS.copy()
    two[25:28, 2:6] = True
    large, small = results_of(ASK, Output("polygonlabels", "outline", None, ("Dog",)), Mask(two, 0.75))
    assert large["id"] != small["id"]
    assert thing_of(small["id"]) == thing_of(large["id"]) == large["id"]
    assert thing_of("0123456789abcdefp1x") == "0123456789abcdefp1x"
    for region in (large, small):
        assert region["type"] == "polygonlabels"
        assert region["value"]["polygonlabels"] == ["Dog"]
    assert max(x for x, _ in large["value"]["points"]) == 75
    assert max(x for x, _ in small["value"]["points"]) == 15


def test_what_an_alt_click_took_away_stays_away_however_small():
    pixels = np.ones((300, 400), bool)
    pixels[100:110, 200:210] = False
    clicks = (Click(25, 50, positive=True), Click(51.2, 35, positive=False))
    for given, inside in (((), 0), (clicks[1:], 1)):
        ask = Ask("image", None, ("Dog",), 0, clicks=(*clicks[:1], *given))
        [region] = results_of(ask, Output("polygonlabels", "outline", None, ("Dog",)), Mask(pixels, 0.75))
        corners = [(x, y) for x, y in region["value"]["points"] if 0 < x < 100 and 0 < y < 100]
        assert bool(corners) == inside


def test_labels_beside_a_polygon_are_items_of_their_own():
    outline, label = results_of(ASK, Output("polygon", "outline", "labels", ("Dog",)), MASK)
    assert outline["id"] == label["id"]
    assert (outline["from_name"], outline["type"]) == ("outline", "polygon")
    assert (label["from_name"], label["type"]) == ("labels", "labels")
    assert outline["value"].keys() == {"points", "closed"}
    assert label["value"] == {**outline["value"], "labels": ["Dog"]}


def test_an_empty_mask_is_no_region():
    assert results_of(ASK, BRUSH, Mask(np.zeros((30, 40), bool), 0.0)) == []


def test_ids_are_new_every_time_and_fit_for_an_address():
    ids = [results_of(ASK, BRUSH, MASK)[0]["id"] for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(one.isalnum() for one in ids)


def test_the_predictions_score_is_the_mean():
    assert prediction_of([{"score": 0.5}, {"score": 1.0}], "v") == {
        "result": [{"score": 0.5}, {"score": 1.0}],
        "score": 0.75,
        "model_version": "v",
    }
    assert prediction_of([], "v") == {"result": [], "score": 0.0, "model_version": "v"}
