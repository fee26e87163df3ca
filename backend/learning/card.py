"""The model card that goes with shipped weights, written from what the run and the measurements say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backend.learning.masks import DataError
from backend.learning.run_state import read_log
from backend.segmentation.checkpoints import sha256_of

Figures = dict[str, dict[str, float]]

SHOWN = (("box", "box"), ("click1", "1 click"), ("click2", "2 clicks"), ("click3", "3 clicks"))


@dataclass(frozen=True, slots=True)
class Story:
    """What a card tells beside its figures.

    logs: of the runs that made the weights, in order. photographs: .jsonl lists beside the shards (repo and licence
    of each). masks: text about the true masks and their licences. notes: what else a user must know.
    """

    weights: Path
    teacher: str
    logs: tuple[Path, ...]
    photographs: tuple[Path, ...] = ()
    masks: str = ""
    notes: str = ""


def model_card(story: Story, ours: dict[str, Figures], peer: dict[str, Figures]) -> str:
    """Markdown. ours, peer: reports of `evaluate` over the same objects; the peer is what ours is measured against.

    Raises DataError where the two reports were not made of the same objects.
    """
    _same_objects(ours, peer)
    size = story.weights.stat().st_size
    sections = [
        "# edgesam: EdgeSAM's weights, trained by this project",
        f"`{story.weights.name}`, {size:,} bytes, SHA-256 `{sha256_of(story.weights)}`. RepViT-M1 with the fused neck "
        "(bilinear), SAM's prompt encoder and mask decoder, fp16, named as in the published checkpoints. Apache-2.0.",
        f"## How it was made\n\nTeacher: {story.teacher}.\n\n{_recipe(story.logs)}",
        f"## What it learned from\n\n{_photographs(story.photographs)}\n\n{story.masks}".rstrip(),
        f"## How good it is\n\nmIoU in percent, and in brackets the distance to the teacher on the same objects.\n\n"
        f"{_table(ours, peer)}",
        story.notes,
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _same_objects(ours: dict[str, Figures], peer: dict[str, Figures]) -> None:
    for source, figures in ours["sources"].items():
        other = peer["sources"].get(source, {}).get("objects")
        if other != figures["objects"]:
            raise DataError(
                f"the reports differ at {source}: {figures['objects']} objects here, {other or 'none'} there; "
                "evaluate both with the same --images and --objects"
            )


def _recipe(logs: Iterable[Path]) -> str:
    lines = []
    for log in logs:
        rows = read_log(log)
        for stage in dict.fromkeys(row[0] for row in rows):
            minutes = [row[1] for row in rows if row[0] == stage]
            figures = next(row[2] for row in reversed(rows) if row[0] == stage)
            told = ", ".join(
                f"{name} {figures[name]:.3g}" for name in ("unexplained", "loss", "first_iou") if name in figures
            )
            lines.append(f"- stage `{stage}`: {minutes[-1] - minutes[0]:.0f} minutes; at the end {told}")
    return "\n".join(lines)


def _photographs(lists: Iterable[Path]) -> str:
    rows = [json.loads(line) for file in lists for line in file.read_text().splitlines() if line]
    licences = Counter(str(row.get("licence", "none stated")) for row in rows)
    told = "; ".join(f"{licence}: {count}" for licence, count in licences.most_common())
    return (
        f"{len(rows)} photographs of {len({row.get('repo') for row in rows})} repositories. Licences as found: {told}."
    )


def _table(ours: dict[str, Figures], peer: dict[str, Figures]) -> str:
    lines = ["| | objects | " + " | ".join(title for _, title in SHOWN) + " |", "|---|---|" + "---|" * len(SHOWN)]
    for part in ("averages", "sources"):
        for name, figures in ours[part].items():
            other = peer[part][name]
            cells = [f"{100 * figures[key]:.1f} ({100 * (figures[key] - other[key]):+.1f})" for key, _ in SHOWN]
            lines.append(f"| {name} | {figures.get('objects', '')} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
