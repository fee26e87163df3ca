"""A labelling configuration -> which picture a region lies on, and which control tags there hold masks.

Label Studio reads tag and attribute names in any case, and so do we.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import quoteattr

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from backend.labelstudio.unanswerable import Unanswerable

LINK = "labelling configuration"
HOLDERS = (("brush", "bitmask", "polygon"), ("ellipse",), ("rectangle",))
"""Kinds of regions that hold a mask exactly, about, or as a box around it; in each group the preferred ones first. Of
each kind there is a tag with labels of its own ("brushlabels") and one without ("brush")."""
KINDS = ("keypoint", *(kind for kinds in HOLDERS for kind in kinds))
VARIABLE = re.compile(r"\$(\w[\w.\[\]]*)")


@dataclass(frozen=True, slots=True)
class Image:
    """An <Image>: `value` is the text of its value or valueList attribute, such as "$image"."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Control:
    """A tag that makes or labels regions. labels: the names it offers; None where they come from the task's data.

    smart: whether its regions may be prompts; only smart="false" says that they are not.
    """

    tag: str
    name: str
    to_names: tuple[str, ...]
    labels: tuple[str, ...] | None
    smart: bool

    @property
    def kind(self) -> str:
        """Of its regions, such as "brush" for <BrushLabels> and <Brush>."""
        return self.tag.removesuffix("labels")

    def knows(self, labels: Sequence[str]) -> bool:
        return self.labels is None or all(label in self.labels for label in labels)


@dataclass(frozen=True, slots=True)
class Interface:
    """A labelling configuration, read."""

    images: tuple[Image, ...]
    controls: tuple[Control, ...]

    def image_of(self, to_name: str | None, from_name: str | None) -> str | None:
        """The name of the image that a region lies on; where the region does not say, what its control or the
        configuration leaves as the only choice. None where that is no image, or several."""
        names = [image.name for image in self.images]
        if to_name in names:
            return to_name
        for control in self.controls:
            if control.name == from_name and to_name is None:
                names = [name for name in names if name in control.to_names]
        return names[0] if to_name is None and len(names) == 1 else None

    def address_of(self, to_name: str, item_index: int | None, task: Mapping[str, Any]) -> str:
        """The address of the picture that the task's data gives to this image; in a list the one at `item_index`.

        Raises Unanswerable where the data has none.
        """
        value, data = next(image.value for image in self.images if image.name == to_name), task.get("data")
        found = _shown(value, task)
        if isinstance(found, Sequence) and not isinstance(found, str):
            index = item_index or 0
            found = found[index] if index < len(found) else None
        if not isinstance(found, str) or not found.strip():
            asked = value if item_index is None else f"{value}, item {item_index}"
            known = ", ".join(sorted(data)) if isinstance(data, Mapping) and data else "nothing"
            raise Unanswerable(
                "task",
                f"<Image name={quoteattr(to_name)}> shows {asked}, but the task's data has no address there, only "
                f"{repr(found)[:80]} (its fields: {known}): give the task that field, or change the tag's value",
            )
        return found.strip()

    def pictures_in(self, task: Mapping[str, Any]) -> list[tuple[str, int | None, str]]:
        """All pictures of a task that have something to hold a mask: the image, the number in its list, the address."""
        pictures: list[tuple[str, int | None, str]] = []
        for image in self.images:
            if self.holders_on(image.name):
                found = _shown(image.value, task)
                listed = isinstance(found, Sequence) and not isinstance(found, str)
                for index in range(len(found)) if listed else [None]:
                    with suppress(Unanswerable):
                        pictures.append((image.name, index, self.address_of(image.name, index, task)))
        return pictures

    def addresses_in(self, task: Mapping[str, Any]) -> list[str]:
        """The addresses of the pictures that the page shows first and that have something to hold a mask."""
        return [address for _, index, address in self.pictures_in(task) if not index]

    def holders_on(self, to_name: str) -> list[Control]:
        """The controls that hold masks on this image, of the most exact kinds that there are, the preferred ones first.

        A rectangle is one only where it says smart="false": else it is a prompt.
        """
        for kinds in HOLDERS:
            tags = [tag for kind in kinds for tag in (f"{kind}labels", kind)]
            found = [control for tag in tags for control in self.controls_on(to_name) if control.tag == tag]
            if found := [control for control in found if control.kind != "rectangle" or not control.smart]:
                return found
        return []

    def controls_on(self, to_name: str) -> list[Control]:
        return [control for control in self.controls if to_name in control.to_names]


@lru_cache(maxsize=256)
def interface_of(label_config: str) -> Interface:
    """The configuration's XML, read; the same text is read once. Raises Unanswerable where it is not XML."""
    try:
        root = fromstring(label_config)
    except (ParseError, DefusedXmlException, ValueError, TypeError) as error:
        raise Unanswerable(
            LINK, f"the labelling configuration is not XML that can be read ({error}): {str(label_config)[:200]!r}"
        ) from None
    images, controls = [], []
    for tag, attributes, element in _tags(root):
        if not (name := attributes.get("name")):
            continue
        if tag == "image":
            images.append(Image(name, attributes.get("valuelist") or attributes.get("value", "")))
        elif tag == "labels" or tag.removesuffix("labels") in KINDS:
            to_names = tuple(part.strip() for part in attributes.get("toname", "").split(","))
            smart = attributes.get("smart", "").lower() != "false"
            controls.append(Control(tag, name, to_names, _labels(attributes, element), smart))
    return Interface(tuple(images), tuple(controls))


def _tags(root: Element) -> Iterator[tuple[str, dict[str, str], Element]]:
    for element in root.iter():
        if isinstance(element.tag, str):
            yield element.tag.lower(), {name.lower(): value for name, value in element.attrib.items()}, element


def _labels(attributes: Mapping[str, str], element: Element) -> tuple[str, ...] | None:
    """Names as regions carry them: a label's alias, or else its value."""
    if attributes.get("value", "").startswith("$"):
        return None
    inside = [attributes for tag, attributes, _ in _tags(element) if tag == "label"]
    names = [label.get("alias") or label.get("value", "") for label in inside]
    return None if any(name.startswith("$") for name in names) else tuple(names)


def _shown(value: str, task: Mapping[str, Any]) -> Any:
    """What an image of this value shows of a task: an address, or a list of such."""
    data = task.get("data")
    return _filled(value, data if isinstance(data, Mapping) else {})


def _filled(value: str, data: Mapping[str, Any]) -> Any:
    """`value` with its variables taken from the task's data: a lone "$name" gives whatever lies there."""
    if whole := VARIABLE.fullmatch(value.strip()):
        return _at(whole[1], data)
    return VARIABLE.sub(lambda found: str(_at(found[1], data) or ""), value)


def _at(path: str, data: Any) -> Any:
    """What lies at "name", "name.field" or "name[2].field"; None where nothing does."""
    if isinstance(data, Mapping) and path in data:
        return data[path]
    for step in re.findall(r"\w+", path):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, Sequence) and not isinstance(data, str) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data
