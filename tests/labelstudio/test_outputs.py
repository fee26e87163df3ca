"""Which control tag holds the mask that answers a prompt."""

import pytest
from structlog.testing import capture_logs

from backend.labelstudio.interface import interface_of
from backend.labelstudio.outputs import Output, output_for
from backend.labelstudio.unanswerable import Unanswerable

IMAGE = '<Image name="image" value="$image"/>'


def interface(*tags):
    return interface_of(f"<View>{''.join(tags)}</View>")


def brush(name="brush", to="image", *labels):
    inside = "".join(f'<Label value="{label}"/>' for label in labels)
    return f'<BrushLabels name="{name}" toName="{to}">{inside}</BrushLabels>'


def test_the_brush_of_the_prompts_image_answers():
    two = interface(IMAGE, brush("a", "image", "Dog"), '<Image name="other" value="$b"/>', brush("b", "other", "Dog"))
    assert output_for(two, "image", ["Dog"]) == Output("brushlabels", "a", None, ("Dog",))
    assert output_for(two, "other", ["Dog"]) == Output("brushlabels", "b", None, ("Dog",))


def test_of_several_brushes_the_one_that_knows_the_label_answers():
    two = interface(IMAGE, brush("a", "image", "Dog"), brush("b", "image", "Cat"))
    assert output_for(two, "image", ["Cat"]).name == "b"


def test_a_brush_for_several_images():
    assert output_for(interface(IMAGE, brush("a", "one, image", "Dog")), "image", ["Dog"]).name == "a"


def test_names_of_tags_and_attributes_come_in_any_case():
    given_ = interface(
        '<image NAME="image" Value="$image"/><brushlabels name="b" toname="image"><label VALUE="Dog"/></brushlabels>'
    )
    assert output_for(given_, "image", ["Dog"]) == Output("brushlabels", "b", None, ("Dog",))
    assert given_.address_of("image", None, {"data": {"image": "/a.jpg"}}) == "/a.jpg"


def test_a_label_inside_a_view_and_an_alias():
    nested = interface(
        IMAGE, '<BrushLabels name="b" toName="image"><View><Label value="A dog" alias="dog"/></View></BrushLabels>'
    )
    assert output_for(nested, "image", ["dog"]).labels == ("dog",)


@pytest.mark.parametrize(
    "tag",
    [
        '<BrushLabels name="b" toName="image" value="$labels"/>',
        '<BrushLabels name="b" toName="image"><Label value="$one"/></BrushLabels>',
    ],
)
def test_labels_from_the_tasks_data_are_taken_as_they_come(tag):
    assert output_for(interface(IMAGE, tag), "image", ["Anything"]).labels == ("Anything",)


def test_a_brush_with_labels_beside_it():
    both = interface(
        IMAGE, '<Labels name="l" toName="image"><Label value="Dog"/></Labels><Brush name="b" toName="image"/>'
    )
    assert output_for(both, "image", ["Dog"]) == Output("brush", "b", "l", ("Dog",))
    assert output_for(interface(IMAGE, '<Brush name="b" toName="image"/>'), "image", ["Dog"]) == Output(
        "brush", "b", None, ()
    )


def test_a_label_that_the_brush_does_not_know_is_left_out_and_logged():
    with capture_logs() as logs:
        answering = output_for(interface(IMAGE, brush("b", "image", "Dog", "Cat")), "image", ['Big "car"'])
    assert answering == Output("brushlabels", "b", None, ())
    [line] = logs
    assert line["add"] == "<Label value='Big \"car\"'/>"
    assert line["inside"] == '<BrushLabels name="b" toName="image">'


@pytest.mark.parametrize(
    ("kind", "tag"),
    [
        ("brush", "BrushLabels"),
        ("bitmask", "BitmaskLabels"),
        ("polygon", "PolygonLabels"),
        ("ellipse", "EllipseLabels"),
        ("rectangle", "RectangleLabels"),
    ],
)
def test_each_kind_of_tag_holds_masks(kind, tag):
    labelled = interface(IMAGE, f'<{tag} name="n" toName="image" smart="false"><Label value="Dog"/></{tag}>')
    answering = output_for(labelled, "image", ["Dog"])
    assert answering == Output(tag.lower(), "n", None, ("Dog",))
    assert answering.kind == kind
    with capture_logs() as logs:
        output_for(labelled, "image", ["Cat"])
    assert logs[0]["inside"].startswith(f"<{tag} ")
    plain = interface(
        IMAGE,
        f'<{kind.capitalize()} name="n" toName="image" smart="false"/>',
        '<Labels name="l" toName="image"><Label value="Dog"/></Labels>',
    )
    assert output_for(plain, "image", ["Dog"]) == Output(kind, "n", "l", ("Dog",))


def test_a_polygon_answers_where_it_knows_the_label_and_no_brush_does():
    both = interface(
        IMAGE,
        '<PolygonLabels name="p" toName="image"><Label value="Dog"/><Label value="Cat"/></PolygonLabels>',
        brush("b", "image", "Dog"),
    )
    assert output_for(both, "image", ["Cat"]).name == "p"
    assert output_for(both, "image", ["Dog"]).name == "b"


def test_an_unknown_label_does_not_become_the_only_one():
    assert output_for(interface(IMAGE, brush("b", "image", "Dog")), "image", ["Cat"]).labels == ()


def test_a_prompt_without_a_label_gets_the_brushs_only_one():
    assert output_for(interface(IMAGE, brush("b", "image", "Dog")), "image", []).labels == ("Dog",)
    assert output_for(interface(IMAGE, brush("b", "image", "Dog", "Cat")), "image", []).labels == ()


def test_no_brush_says_what_to_add():
    with pytest.raises(
        Unanswerable, match=r'add <BrushLabels name="brush" toName="image" smart="false">.*"Dog"'
    ) as caught:
        output_for(interface(IMAGE, brush("b", "elsewhere", "Dog")), "image", ["Dog"])
    assert caught.value.link == "labelling configuration"
