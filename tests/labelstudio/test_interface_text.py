"""Interfaces to paste: what is printed is what is answered."""

import re
from pathlib import Path

import pytest

from backend.labelstudio.interface import interface_of
from backend.labelstudio.interface_text import Kind, interface_text
from backend.labelstudio.outputs import output_for

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_readmes_interface_is_the_one_that_is_printed():
    assert interface_text(["Cat", "Dog"], Kind.BRUSH) in README


@pytest.mark.parametrize("holding", Kind)
def test_every_label_of_every_prompt_has_something_that_holds_its_mask(holding):
    labels = ["Cat", 'A "big" dog', "Käse & Brot", "<tag>", "five"]
    interface = interface_of(interface_text(labels, holding))
    click, box, mask = interface.controls
    assert (click.tag, click.smart, box.tag, box.smart) == ("keypointlabels", True, "rectanglelabels", True)
    assert click.labels == box.labels == mask.labels == tuple(labels)
    for label in labels:
        output = output_for(interface, "image", [label])
        assert (output.name, output.kind, output.labels) == ("mask", holding, (label,))
    assert interface.address_of("image", None, {"data": {"image": "/a.jpg"}}) == "/a.jpg"


def test_keys_are_told_apart_while_there_are_enough():
    assert re.findall(r'hotkey="(\d)"', interface_text(["a", "b", "c"], Kind.POLYGON)) == list("123456789")
    assert "hotkey" not in interface_text(["a", "b", "c", "d"], Kind.POLYGON)


def test_there_may_be_more_labels_than_colours():
    labels = [f"label {number}" for number in range(25)]
    assert interface_of(interface_text(labels, Kind.BRUSH)).controls[2].labels == tuple(labels)
