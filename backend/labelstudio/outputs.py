"""Which control tag of a labelling configuration holds the mask that answers a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

import structlog

from backend.labelstudio.interface import LINK, Control, Interface
from backend.labelstudio.unanswerable import Unanswerable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Output:
    """What a mask becomes: a region of the tag that owns it, labelled by that one or by another.

    type: of the region, the tag's name: "brushlabels", "polygon", and so on.
    labelled_by: the <Labels> that gives a tag without labels of its own (<Brush>) its label, or None.
    labels: what the region is to be called: empty where nothing fits.
    """

    type: str
    name: str
    labelled_by: str | None
    labels: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.type.removesuffix("labels")


def output_for(interface: Interface, to_name: str, labels: Sequence[str]) -> Output:
    """Who answers a prompt of these labels on this image. Raises Unanswerable where nothing there holds a mask.

    Of several tags the first that knows the labels answers, brushes before bitmasks before polygons. A label that none
    knows is left out, with a line in the log: the page then shows a region without a label, for the annotator to give
    it one; a made-up label would be stored, and a refused mask would be lost work.
    """
    holders = interface.holders_on(to_name)
    if not holders:
        raise Unanswerable(LINK, nothing_holds(to_name, labels))
    choices = _choices(interface, to_name)
    for holder, labeller in choices:
        if labels and labeller.knows(labels):
            return _output(holder, labeller, labels)
    if not choices:  # a <Brush> alone has no labels to give
        return _output(holders[0], None, ())
    holder, labeller = choices[0]
    if not labels and labeller.labels is not None and len(labeller.labels) == 1:
        return _output(holder, labeller, labeller.labels)
    for label in labels:
        if not labeller.knows([label]):
            log.warning(
                "No control knows the prompt's label: the mask is sent without one",
                label=label,
                add=f"<Label value={quoteattr(label)}/>",
                inside=_opened(labeller, to_name),
            )
    return _output(holder, labeller, ())


def unknown_labels(interface: Interface, to_name: str, labels: Sequence[str]) -> str | None:
    """What is to be added where masks of some of these labels would come without one, or None."""
    choices = _choices(interface, to_name)
    unknown = [label for label in labels if choices and not any(by.knows([label]) for _, by in choices)]
    if not unknown:
        return None
    inside = "".join(f"<Label value={quoteattr(label)}/>" for label in unknown)
    return f"masks of {', '.join(unknown)} come without a label; add {inside} inside {_opened(choices[0][1], to_name)}"


def _choices(interface: Interface, to_name: str) -> list[tuple[Control, Control]]:
    """What may hold a mask on this image, and what gives it its label, the preferred ones first."""
    labelling = [control for control in interface.controls_on(to_name) if control.tag == "labels"]
    holders = interface.holders_on(to_name)
    return [(one, by) for one in holders for by in (labelling if one.tag == one.kind else [one])]


def _output(holder: Control, labeller: Control | None, labels: Sequence[str]) -> Output:
    by = labeller.name if labeller and labeller is not holder and labels else None
    return Output(holder.tag, holder.name, by, tuple(labels))


def _opened(control: Control, to_name: str) -> str:
    """The beginning of its tag, named as Label Studio's documentation writes it, such as BrushLabels."""
    tag = "Labels" if control.tag == "labels" else f"{control.kind.capitalize()}Labels"
    return f"<{tag} name={quoteattr(control.name)} toName={quoteattr(to_name)}>"


def nothing_holds(to_name: str, labels: Sequence[str]) -> str:
    """That masks have nowhere to go on this image, and the XML that would hold them."""
    inside = "".join(f"<Label value={quoteattr(label)}/>" for label in labels or ["Object"])
    return (
        f"no brush, bitmask, polygon or ellipse belongs to the image {to_name!r}, so a mask has nowhere to go; add "
        f'<BrushLabels name="brush" toName={quoteattr(to_name)} smart="false">{inside}</BrushLabels>, or PolygonLabels '
        "in its place"
    )
