"""Labelling configurations: which brush answers, and where the picture's address is."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from backend.labelstudio.interface import Brush, interface_of
from backend.labelstudio.unanswerable import Unanswerable

IMAGE = '<Image name="image" value="$image"/>'


def interface(*tags):
    return interface_of(f"<View>{''.join(tags)}</View>")


def brush(name="brush", to="image", *labels):
    inside = "".join(f'<Label value="{label}"/>' for label in labels)
    return f'<BrushLabels name="{name}" toName="{to}">{inside}</BrushLabels>'


def test_the_brush_of_the_prompts_image_answers():
    two = interface(IMAGE, brush("a", "image", "Dog"), '<Image name="other" value="$b"/>', brush("b", "other", "Dog"))
    assert two.brush_for("image", ["Dog"]) == Brush("brushlabels", "a", None, ("Dog",))
    assert two.brush_for("other", ["Dog"]) == Brush("brushlabels", "b", None, ("Dog",))


def test_of_several_brushes_the_one_that_knows_the_label_answers():
    two = interface(IMAGE, brush("a", "image", "Dog"), brush("b", "image", "Cat"))
    assert two.brush_for("image", ["Cat"]).name == "b"


def test_a_brush_for_several_images():
    assert interface(IMAGE, brush("a", "one, image", "Dog")).brush_for("image", ["Dog"]).name == "a"


def test_names_of_tags_and_attributes_come_in_any_case():
    given_ = interface(
        '<image NAME="image" Value="$image"/><brushlabels name="b" toname="image"><label VALUE="Dog"/></brushlabels>'
    )
    assert given_.brush_for("image", ["Dog"]) == Brush("brushlabels", "b", None, ("Dog",))
    assert given_.address_of("image", None, {"data": {"image": "/a.jpg"}}) == "/a.jpg"


def test_a_label_inside_a_view_and_an_alias():
    nested = interface(
        IMAGE, '<BrushLabels name="b" toName="image"><View><Label value="A dog" alias="dog"/></View></BrushLabels>'
    )
    assert nested.brush_for("image", ["dog"]).labels == ("dog",)


@pytest.mark.parametrize(
    "tag",
    [
        '<BrushLabels name="b" toName="image" value="$labels"/>',
        '<BrushLabels name="b" toName="image"><Label value="$one"/></BrushLabels>',
    ],
)
def test_labels_from_the_tasks_data_are_taken_as_they_come(tag):
    assert interface(IMAGE, tag).brush_for("image", ["Anything"]).labels == ("Anything",)


def test_a_brush_with_labels_beside_it():
    both = interface(
        IMAGE, '<Labels name="l" toName="image"><Label value="Dog"/></Labels><Brush name="b" toName="image"/>'
    )
    assert both.brush_for("image", ["Dog"]) == Brush("brush", "b", "l", ("Dog",))
    assert interface(IMAGE, '<Brush name="b" toName="image"/>').brush_for("image", ["Dog"]) == Brush(
        "brush", "b", None, ()
    )


def test_a_label_that_the_brush_does_not_know_is_left_out_and_logged():
    with capture_logs() as logs:
        answering = interface(IMAGE, brush("b", "image", "Dog", "Cat")).brush_for("image", ['Big "car"'])
    assert answering == Brush("brushlabels", "b", None, ())
    [line] = logs
    assert line["add"] == "<Label value='Big \"car\"'/>"
    assert line["inside"] == '<BrushLabels name="b" toName="image">'


def test_an_unknown_label_does_not_become_the_only_one():
    assert interface(IMAGE, brush("b", "image", "Dog")).brush_for("image", ["Cat"]).labels == ()


def test_the_same_text_is_read_once():
    assert interface(IMAGE) is interface(IMAGE)


def test_a_prompt_without_a_label_gets_the_brushs_only_one():
    assert interface(IMAGE, brush("b", "image", "Dog")).brush_for("image", []).labels == ("Dog",)
    assert interface(IMAGE, brush("b", "image", "Dog", "Cat")).brush_for("image", []).labels == ()


def test_no_brush_says_what_to_add():
    with pytest.raises(
        Unanswerable, match=r'add <BrushLabels name="brush" toName="image" smart="false">.*"Dog"'
    ) as caught:
        interface(IMAGE, brush("b", "elsewhere", "Dog")).brush_for("image", ["Dog"])
    assert caught.value.link == "labelling configuration"


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
        interface_of(text).brush_for("image", ["Dog"])


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
