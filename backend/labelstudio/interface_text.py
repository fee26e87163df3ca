"""A labelling interface to paste into Label Studio: labels -> its XML."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from xml.sax.saxutils import quoteattr


class Kind(StrEnum):
    """Kinds of regions that hold masks."""

    BRUSH = "brush"
    BITMASK = "bitmask"
    POLYGON = "polygon"
    ELLIPSE = "ellipse"
    RECTANGLE = "rectangle"


COLOURS = ("#3182bd", "#e6550d", "#31a354", "#756bb1", "#d6a700", "#c51b8a", "#00918f", "#8c510a", "#636363", "#b2182b")
KEYS = 9
"""The digits 1 to 9 choose labels; Label Studio finds keys of its own where there are not enough for all."""


def interface_text(labels: Sequence[str], kind: Kind) -> str:
    """A labelling interface in which clicks and boxes of these labels become masks of this kind. Its image comes from
    the field "image" of a task's data."""
    smart, passive = 'smart="true" smartOnly="true"', 'smart="false"'
    controls = (
        ("KeyPointLabels", "click", smart),
        ("RectangleLabels", "box", smart),
        (f"{kind.capitalize()}Labels", "mask", passive),
    )
    lines = ["<View>"]
    for number, (tag, name, attributes) in enumerate(controls):
        lines.append(f'  <{tag} name="{name}" toName="image" {attributes}>')
        lines += [f"    {_label(labels, place, number)}" for place in range(len(labels))]
        lines.append(f"  </{tag}>")
    lines += ['  <Image name="image" value="$image" zoom="true" zoomControl="true"/>', "</View>"]
    return "\n".join(lines)


def _label(labels: Sequence[str], place: int, control: int) -> str:
    key = control * len(labels) + place + 1
    hotkey = f' hotkey="{key}"' if 3 * len(labels) <= KEYS else ""
    return f'<Label value={quoteattr(labels[place])} background="{COLOURS[place % len(COLOURS)]}"{hotkey}/>'
