"""Boxes that lie on a task already, imported or drawn: what "Retrieve Predictions" makes masks of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backend.labelstudio.context import BOXES
from backend.labelstudio.interface import HOLDERS

MASKS = {kind for kinds in HOLDERS for kind in kinds} - {"rectangle"}


def boxes_on(task: Mapping[str, Any], drawn: bool = True) -> list[list[Mapping[str, Any]]]:
    """Each box, as an item and those of its labels, of the newest annotation that has boxes and no mask; where there is
    none, of the newest such prediction: people's boxes before a detector's. An empty list where nobody has such.

    drawn: whether annotations count.
    """
    for result in _results(task, ("annotations", "predictions") if drawn else ("predictions",)):
        items = [item for item in result if isinstance(item, Mapping)]
        boxes = [item for item in items if item.get("type") in BOXES]
        if boxes and not any(str(item.get("type")).removesuffix("labels") in MASKS for item in items):
            labels = defaultdict(list)
            for item in items:
                if item.get("type") == "labels":
                    labels[str(item.get("id"))].append(item)
            # Detectors' ids may be numbers, or missing; each box is read alone.
            return [[{**item, "id": "box"} for item in (box, *labels[str(box.get("id"))])] for box in boxes]
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
