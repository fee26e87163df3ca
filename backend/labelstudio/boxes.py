"""Boxes that lie on a task already, imported or drawn: what "Retrieve Predictions" makes masks of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.labelstudio.context import BOXES
from backend.labelstudio.interface import HOLDERS

MASKS = {kind for kinds in HOLDERS for kind in kinds} - {"rectangle"}


def boxes_on(task: Mapping[str, Any], drawn: bool = True) -> list[Mapping[str, Any]]:
    """The items of boxes, and of their labels, of the newest annotation that has boxes and no mask; where there is
    none, of the newest such prediction: people's boxes before a detector's. An empty list where nobody has such.

    drawn: whether annotations count.
    """
    for result in _results(task, ("annotations", "predictions") if drawn else ("predictions",)):
        items = [item for item in result if isinstance(item, Mapping)]
        if any(str(item.get("type")).removesuffix("labels") in MASKS for item in items):
            continue
        boxes = {str(item.get("id")) for item in items if item.get("type") in BOXES}
        if boxes:
            return [item for item in items if item.get("type") in (*BOXES, "labels") and str(item.get("id")) in boxes]
    return []


def _results(task: Mapping[str, Any], whose: Sequence[str]) -> Iterator[list[Any]]:
    """The results of annotations that were not skipped, and of predictions, the newest first."""
    for name in whose:
        found = task.get(name)
        ones = [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []
        for one in sorted(ones, key=lambda one: str(one.get("created_at")), reverse=True):
            result = one.get("result")
            if isinstance(result, list) and not one.get("was_cancelled"):
                yield result
