"""Labelling configurations: which tags hold masks, and where the picture's address is."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labelstudio.interface import interface_of
from backend.labelstudio.unanswerable import Unanswerable

IMAGE = '<Image name="image" value="$image"/>'


def interface(*tags):
    return interface_of(f"<View>{''.join(tags)}</View>")


def tags(*written):
    return interface(IMAGE, *(f'<{tag} name="n{number}" toName="image"/>' for number, tag in enumerate(written)))


@pytest.mark.parametrize(
    ("written", "holding"),
    [
        (
            ["PolygonLabels", "Bitmask", "BitmaskLabels", "Brush"],
            ["brush", "bitmasklabels", "bitmask", "polygonlabels"],
        ),
        (["EllipseLabels", "Polygon", "KeyPointLabels"], ["polygon"]),
        (['RectangleLabels smart="false"', "Ellipse"], ["ellipse"]),
        (['RectangleLabels smart="false"', 'Rectangle smart="true"'], ["rectanglelabels"]),
        (["RectangleLabels", "KeyPoint", "VectorLabels", "Labels"], []),
    ],
)
def test_what_holds_a_mask_most_exactly_comes_first_and_alone(written, holding):
    assert [control.tag for control in tags(*written).holders_on("image")] == holding


def test_what_is_on_another_image_holds_nothing_here():
    assert tags("Polygon").holders_on("other") == []


def test_the_same_text_is_read_once():
    assert interface(IMAGE) is interface(IMAGE)


@pytest.mark.parametrize(
    "text",
    ["", "<View>", "no xml", '<!DOCTYPE v [<!ENTITY a "b">]><View>&a;</View>', None, "<View>\x00</View>"],
)
def test_what_is_no_xml_is_refused(text):
    with pytest.raises(Unanswerable, match="not XML"):
        interface_of(text)


@given(st.text() | st.text("<>/ ='\"&;$aImgeBrushLabl").map(lambda text: f"<View>{text}</View>"))
def test_any_text_is_read_or_refused(text):
    with suppress(Unanswerable):
        interface_of(text).holders_on("image")


@pytest.mark.parametrize(
    ("value", "index", "data", "address"),
    [
        ("$image", None, {"image": "/a.jpg"}, "/a.jpg"),
        ("$image", None, {"image": " /a.jpg\n"}, "/a.jpg"),
        ("$image", 1, {"image": ["/a.jpg", "/b.jpg"]}, "/b.jpg"),
        ("$image", None, {"image": ["/a.jpg", "/b.jpg"]}, "/a.jpg"),
        ("$image.url", None, {"image": {"url": "/a.jpg"}}, "/a.jpg"),
        ("$image[1].url", None, {"image": [{}, {"url": "/b.jpg"}]}, "/b.jpg"),
        ("$image.url", None, {"image.url": "/a.jpg"}, "/a.jpg"),
        ("https://host/$name.png", None, {"name.png": "a.png"}, "https://host/a.png"),
        ("https://host/$name", None, {"name": "a.png"}, "https://host/a.png"),
        ("https://host/fixed.png", None, {}, "https://host/fixed.png"),
    ],
)
def test_the_address_comes_from_the_tasks_data(value, index, data, address):
    assert interface(f'<Image name="image" value="{value}"/>').address_of("image", index, {"data": data}) == address


def test_a_value_list():
    listed = interface('<Image name="image" valueList="$images"/>')
    assert listed.address_of("image", 1, {"data": {"images": ["/a.jpg", "/b.jpg"]}}) == "/b.jpg"


@pytest.mark.parametrize(
    "data", [{}, {"image": 5}, {"image": ""}, {"image": None}, {"image": ["/a.jpg"]}, None, "text"]
)
def test_data_without_an_address_is_refused(data):
    with pytest.raises(
        Unanswerable, match=r"shows \$image, item 3, but the task's data has no address there"
    ) as caught:
        interface(IMAGE).address_of("image", 3, {"data": data})
    assert caught.value.link == "task"


def test_a_region_that_names_no_image_lies_on_the_only_one_or_on_its_controls():
    one = interface(IMAGE)
    assert one.image_of("image", None) == "image"
    assert one.image_of(None, None) == "image"
    assert one.image_of("elsewhere", None) is None
    two = interface(IMAGE, '<Image name="b" value="$b"/>', '<KeyPointLabels name="k" toName="b"/>')
    assert two.image_of(None, None) is None
    assert two.image_of(None, "k") == "b"
