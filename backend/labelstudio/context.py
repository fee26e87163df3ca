"""The regions of a request -> asks: what an annotator wants masked, and where each answer goes.

Coordinates come in percent of the picture (0 to 100; x right, y down, its EXIF orientation applied) and become float
pixels here, in `prompt_of`, once. What Label Studio 1.23 sends, and when, decided each rule; the tests name the cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from backend.labelstudio.interface import Interface
from backend.labelstudio.unanswerable import Unanswerable
from backend.segmentation.prompts import NEGATIVE, POSITIVE, Prompt

POINTS = ("keypoint", "keypointlabels")
BOXES = ("rectangle", "rectanglelabels")

MOST_CLICKS = 200
"""On one object: each costs memory and time, and a brush is quicker long before."""

MOST_OBJECTS = 200
"""In one request: so many boxes take two cores seven seconds, on 50 megapixels fifteen."""


@dataclass(frozen=True, slots=True)
class Click:
    """A point in percent; positive is None where the region does not say."""

    x: float
    y: float
    positive: bool | None


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box in percent of the picture, turned clockwise by `rotation` degrees about its corner x, y."""

    x: float
    y: float
    width: float
    height: float
    rotation: float


@dataclass(frozen=True, slots=True)
class Ask:
    """One object to mask: clicks in the order in which they were made, a box, or both.

    sure: from 0 to 1, where nobody asked, how sure it is that an object is there; None where somebody did.
    """

    to_name: str
    item_index: int | None
    labels: tuple[str, ...]
    image_rotation: float
    clicks: tuple[Click, ...] = ()
    box: Rectangle | None = None
    sure: float | None = None


@dataclass(frozen=True, slots=True)
class _Region:
    """A prompt as it came: an ask of one click or one box."""

    id: str | None
    ask: Ask

    @property
    def group(self) -> tuple[str, int | None, tuple[str, ...]]:
        return self.ask.to_name, self.ask.item_index, self.ask.labels


def asks_of(context: Mapping[str, Any], task: Mapping[str, Any], interface: Interface) -> list[Ask]:
    """What the context asks for, the newest last; an empty list where it asks for nothing.

    Points of one label on one picture are one object, every box is an object of its own, and clicks that come with
    boxes of their label refine the newest of these. Regions that the task's annotations already hold are what Label
    Studio sends along, not prompts, unless one is the newest. Raises Unanswerable for values that cannot be read.
    """
    regions = _regions(context, interface)
    submitted = _submitted(task)
    regions = [one for one in regions[:-1] if one.id is None or one.id not in submitted] + regions[-1:]
    groups: dict[tuple[str, int | None, tuple[str, ...]], list[Ask]] = {}
    for region in regions:  # a group stands where its newest region stands
        groups[region.group] = [*groups.pop(region.group, []), region.ask]
    asks = [ask for group in groups.values() for ask in _objects(group)]
    if len(asks) > MOST_OBJECTS:
        raise Unanswerable(
            "context", f"{len(asks)} objects in one request are more than the {MOST_OBJECTS} that are allowed"
        )
    return asks


def _objects(group: Sequence[Ask]) -> list[Ask]:
    boxes = [ask for ask in group if ask.box]
    clicks = _counting([click for ask in group for click in ask.clicks])
    if len(clicks) > MOST_CLICKS:
        raise Unanswerable(
            "context",
            f"{len(clicks)} clicks for one object are more than the {MOST_CLICKS} that are allowed: accept its region, "
            "and brush the rest",
        )
    if boxes:
        return [*boxes[:-1], replace(boxes[-1], clicks=clicks)]
    return [replace(group[-1], clicks=clicks)] if any(click.positive for click in clicks) else []


def _counting(clicks: Sequence[Click]) -> tuple[Click, ...]:
    """The clicks that are today's prompt, each positive or negative.

    A click restored from a draft does not say which it was: it counts only where none says, and then as positive.
    A second click at the very same place takes the first one back.
    """
    said = [click for click in clicks if click.positive is not None]
    at: dict[tuple[float, float], Click] = {}
    for click in said or [replace(click, positive=True) for click in clicks]:
        at.pop((click.x, click.y), None)
        at[click.x, click.y] = click
    return tuple(at.values())


def prompt_of(ask: Ask, width: int, height: int) -> Prompt:
    """The ask in pixels of a picture of `width` x `height`; what lies outside the picture is moved to its edge.

    A turned box becomes the upright box around its four corners. Raises Unanswerable for one that lies outside wholly.
    """
    points = tuple((_pixels(click.x, width), _pixels(click.y, height)) for click in ask.clicks)
    labels = tuple(POSITIVE if click.positive else NEGATIVE for click in ask.clicks)
    if ask.box is None:
        return Prompt(points, labels)
    left, top = ask.box.x * width / 100, ask.box.y * height / 100
    across, down = ask.box.width * width / 100, ask.box.height * height / 100
    cos, sin = math.cos(math.radians(ask.box.rotation)), math.sin(math.radians(ask.box.rotation))
    corners = [(0.0, 0.0), (across, 0.0), (across, down), (0.0, down)]
    xs, ys = [left + x * cos - y * sin for x, y in corners], [top + x * sin + y * cos for x, y in corners]
    if max(xs) <= 0 or max(ys) <= 0 or min(xs) >= width or min(ys) >= height:
        raise Unanswerable("context", f"a box at {ask.box.x:g} %, {ask.box.y:g} % lies outside of the picture")
    return Prompt(points, labels, (max(min(xs), 0.0), max(min(ys), 0.0), min(max(xs), width), min(max(ys), height)))


def _pixels(percent: float, side: int) -> float:
    return min(max(percent, 0.0), 100.0) * side / 100


def _regions(context: Mapping[str, Any], interface: Interface) -> list[_Region]:
    """Points and boxes in the order in which they came. Regions of other kinds are no prompts and are left out.

    `<Labels>` makes two items of one region, alike but for the type: "keypoint" or "rectangle", and "labels". They
    count once; the latter says the label.
    """
    items = _items(context)
    twins = {item["id"]: item for item in items if item.get("type") == "labels" and isinstance(item.get("id"), str)}
    regions = []
    for item in items:
        if item.get("type") not in POINTS + BOXES:
            continue
        value = item.get("value")
        if not isinstance(value, Mapping):
            _refuse("value", value, "an object with x and y")
        twin = twins.get(item["id"]) if isinstance(item.get("id"), str) else None
        labels = _labels(item["type"], value) or (_labels("labels", _mapping(twin.get("value"))) if twin else ())
        regions.append(_region(item, value, labels, interface))
    return regions


def _region(
    item: Mapping[str, Any], value: Mapping[str, Any], labels: tuple[str, ...], interface: Interface
) -> _Region:
    to_name = interface.image_of(_text(item, "to_name"), _text(item, "from_name"))
    if to_name is None:
        names = [image.name for image in interface.images]
        _refuse("to_name", item.get("to_name"), f"the name of an <Image> of the labelling configuration: {names}")
    index = item.get("item_index")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
        _refuse("item_index", index, "the number of a picture in the list, from 0")
    turned = _number(item, "image_rotation", 0)
    ask = Ask(to_name, index, labels, turned)
    if item["type"] in POINTS:
        click = Click(_number(value, "x"), _number(value, "y"), _positive(item.get("is_positive")))
        ask = replace(ask, clicks=(click,))
    else:
        x, y, width, height = (_number(value, name) for name in ("x", "y", "width", "height"))
        ask = replace(ask, box=Rectangle(x, y, width, height, _number(value, "rotation", 0)))
    return _Region(_text(item, "id"), ask)


def _items(context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if not isinstance(context, Mapping):
        _refuse("context", context, "an object with the list result")
    items = context.get("result")
    if items is None:
        return []
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise Unanswerable(
            "context", f"result in the context is {repr(items)[:80]}: it must be a list of regions, each an object"
        )
    return items


def _submitted(task: Mapping[str, Any]) -> set[str]:
    """The ids of all regions that the task's annotations hold. Whatever else these are, they do no harm."""
    annotations = task.get("annotations")
    results = [_mapping(one).get("result") for one in annotations] if isinstance(annotations, list) else []
    regions = [_mapping(region) for result in results if isinstance(result, list) for region in result]
    return {region["id"] for region in regions if isinstance(region.get("id"), str)}


def _labels(kind: str, value: Mapping[str, Any]) -> tuple[str, ...]:
    """The region's labels: under its type's name; a prompt that was never stored has them under "labels" too."""
    found = value.get(kind) or value.get("labels") or []
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        _refuse(kind, found, "a list of label names")
    return tuple(found)


def _positive(value: Any) -> bool | None:
    if value is None:
        return None
    if not isinstance(value, bool | int) or value not in (0, 1):
        _refuse("is_positive", value, "true, false, or nothing, which counts as true")
    return bool(value)


def _number(values: Mapping[str, Any], name: str, default: float | None = None) -> float:
    value = values.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        _refuse(name, value, "a number between -1e9 and 1e9")
    return value


def _text(item: Mapping[str, Any], name: str) -> str | None:
    value = item.get(name)
    if value is not None and not isinstance(value, str):
        _refuse(name, value, "a text")
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _refuse(name: str, value: Any, wanted: str) -> NoReturn:
    raise Unanswerable("context", f"{name} of a region in the context is {repr(value)[:80]}: it must be {wanted}")
