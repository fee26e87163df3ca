"""The README tells what is so."""

import re
from pathlib import Path

import pytest

from backend.labelstudio.interface import interface_of
from backend.labelstudio.outputs import output_for
from backend.segmentation.weights import REGISTRY
from backend.settings import Settings, table
from demo.project import INTERFACE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_its_settings_are_the_settings():
    section = README.partition("## Settings")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows
    assert set(rows) <= set(table().splitlines())


def test_every_setting_that_it_names_exists():
    for page in (README, (ROOT / "docs" / "troubleshooting.md").read_text()):
        named = set(re.findall(r"\b(?:EDGESAM|BASIC_AUTH|LABEL_STUDIO)_[A-Z_]*[A-Z]\b", page))
        others = {"LABEL_STUDIO_PORT", "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"}
        assert named - others <= {name.upper() for name in Settings.model_fields}


def test_all_weights_are_told():
    section = README.partition("## Weights")[2].partition("\n## ")[0]
    assert set(REGISTRY) <= set(re.findall(r"`(\w+)`", section))


def anchors(page):
    """What GitHub makes of its headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name
)
def test_every_link_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([\w-]*)\)", page.read_text()):
        if not target.startswith("http"):
            place = page.parent / target if target else page
            assert place.exists(), target
            assert not anchor or anchor in anchors(place), f"{target}#{anchor}"


@pytest.mark.parametrize("config", [re.findall(r"```xml\n(.*?)```", README, re.DOTALL)[0], INTERFACE.read_text()])
def test_its_labelling_interface_works(config):
    """What every smart click and box of its labels asks for has something to go to."""
    interface = interface_of(config)
    labels = set(re.findall(r'<Label value="(\w+)"', config))
    smart = [control for control in interface.controls if control.tag in ("keypointlabels", "rectanglelabels")]
    assert len(smart) == 2
    for control in smart:
        assert set(control.labels) == labels
        for label in labels:
            assert output_for(interface, "image", [label]).labels == (label,)
