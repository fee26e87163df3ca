"""What a version is, on one page: how it learned, the decision, masks before and after. One file, for any browser."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from backend.learning.clicks import Click, Region, first_click, iou, tight_box
from backend.learning.evaluate import as_prompt
from backend.learning.examples import Example
from backend.learning.gate import NAMES, TITLES, Answers, Figures, TorchDecoder, Verdict
from backend.segmentation.predictor import decode

COLOURS = {"box": "#555", "click1": "#d33", "click2": "#e90", "click3": "#28c"}
TILE = 280
MOST_CASES = 8
WIDTH, HEIGHT, EDGE = 640, 240, 40
"""Of the drawing of the curve, in pixels."""

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.2rem .9rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}figure{display:inline-block;margin:0 1rem 1rem 0}
figcaption{font-size:.85rem;color:#555}.yes{color:#176b2c}.no{color:#a11}img{vertical-align:top}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One object of a validation picture, asked for with one click.

    pixels: RGB uint8 H x W x 3. truth, before, after: bool H x W.
    """

    pixels: NDArray[np.uint8]
    truth: Region
    before: Region
    after: Region
    click: Click


def case_of(example: Example, pixels: NDArray[np.uint8], old: Answers, new: Answers) -> Case:
    """The picture's largest object. pixels: of the picture, at any size; shown at that of its label map."""
    number = 1 + int(np.bincount(example.labels.ravel(), minlength=2)[1:].argmax())
    truth = example.labels == number
    click = first_click(truth)
    seen = (answers(example) for answers in (old, new))
    before, after = (
        decode(TorchDecoder(one.decode, one.twice), one.embedding, [as_prompt([click])])[0].pixels for one in seen
    )
    fitting = cv2.resize(pixels, truth.shape[::-1], interpolation=cv2.INTER_AREA)
    return Case(np.asarray(fitting, np.uint8), truth, before, after, click)


def version_report(
    path: Path,
    name: str,
    before: str,
    curve: Sequence[Mapping[str, float]],
    verdict: Verdict,
    cases: Sequence[Case] = (),
) -> None:
    """Writes the page. name: of the version; before: of what it is compared with. curve: rows with minutes and figures.

    cases: those that changed most are shown.
    """
    changed = sorted(cases, key=lambda case: -abs(iou(case.truth, case.after) - iou(case.truth, case.before)))
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(name)}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(name)}</h1>",
        f"<p class={'yes' if verdict.promoted else 'no'}>{html.escape(verdict.reason)}.</p>",
        f"<p>Compared with {html.escape(before)}. Mean IoU in percent, on pictures that nothing was learned from. "
        "On pictures that do not look like the project's the base goes on answering.</p>",
        _table(verdict),
        "<h2>While it learned</h2><p>On some of the project's validation pictures.</p>",
        _drawn(curve),
        "<h2>One click, before and after</h2>" if cases else "",
        "<p>Green: what the mask misses. Red: what it should not have. Both: what is right. The cross is the click.</p>"
        if cases
        else "",
        *map(_shown, changed[:MOST_CASES]),
        "</html>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".html.part")
    part.write_text("\n".join(filter(None, parts)), encoding="utf-8")
    part.replace(path)


def _table(verdict: Verdict) -> str:
    head = "".join(f"<th>{TITLES[name]}" for name in NAMES)
    rows = (
        ("the project, before", verdict.project_before, None),
        ("the project, after", verdict.project_after, verdict.project_before),
        ("in general, before", verdict.general_before, None),
        ("in general, after", verdict.general_after, verdict.general_before),
    )
    lines = [f"<tr><td>{title}{_cells(figures, known)}" for title, figures, known in rows if figures]
    return f"<table><tr><th>{head}{''.join(lines)}</table>"


def _cells(figures: Figures, known: Figures | None) -> str:
    return "".join(
        f"<td>{figures[name]:.1f}" + (f" ({figures[name] - known[name]:+.1f})" if known else "") for name in NAMES
    )


def _drawn(curve: Sequence[Mapping[str, float]]) -> str:
    """The curve as SVG: minutes to the right, percent upwards."""
    if not curve:
        return "<p>It was stopped before the first look."
    values = [row[name] for row in curve for name in NAMES]
    low, high = 5 * (min(values) // 5), 5 * (max(values) // 5 + 1)
    end = max(row["minutes"] for row in curve) or 1.0

    def place(minutes: float, value: float) -> str:
        across, up = minutes / end * (WIDTH - 3 * EDGE), (value - low) / (high - low) * (HEIGHT - 2 * EDGE)
        return f"{EDGE + across:.1f},{HEIGHT - EDGE - up:.1f}"

    lines, lowest = [], 0.0
    for name in sorted(NAMES, key=lambda name: -curve[-1][name]):
        places = [place(row["minutes"], row[name]) for row in curve]
        x, y = map(float, places[-1].split(","))
        lowest = max(y + 4, lowest + 14)  # names of lines that end together stand below each other
        lines.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        lines.append(f'<text x="{x + 6}" y="{lowest:.1f}" fill="{COLOURS[name]}">{TITLES[name]}</text>')
    for value in (low, high):
        x, y = map(float, place(0, value).split(","))
        lines.append(f'<line x1="{x}" y1="{y}" x2="{WIDTH - 2 * EDGE}" y2="{y}" stroke="#ccc"/>')
        lines.append(f'<text x="4" y="{y + 4}">{value:.0f} %</text>')
    lines.append(f'<text x="{WIDTH - 3 * EDGE}" y="{HEIGHT - 12}">{end:.1f} minutes</text>')
    return f'<svg width="{WIDTH}" height="{HEIGHT}" font-size="12">{"".join(lines)}</svg>'


def _shown(case: Case) -> str:
    images = "".join(f'<img alt="" src="{_painted(case, mask)}"> ' for mask in (case.before, case.after))
    before, after = (100 * iou(case.truth, mask) for mask in (case.before, case.after))
    return f"<figure>{images}<figcaption>IoU {before:.0f} % before, {after:.0f} % after</figcaption></figure>"


def _painted(case: Case, mask: Region) -> str:
    """The part of the picture around object and mask, as a data address."""
    painted = case.pixels.astype(np.float32)
    for region, colour in ((case.truth, (40, 200, 80)), (mask, (240, 60, 60))):
        painted[region] = 0.6 * painted[region] + 0.4 * np.array(colour, np.float32)
    left, top, right, bottom = tight_box(case.truth)
    reach = max(right - left, bottom - top)
    window = (max(0, left - reach), max(0, top - reach), right + reach, bottom + reach)
    width, height = min(window[2], mask.shape[1]) - window[0], min(window[3], mask.shape[0]) - window[1]
    scale = TILE / max(width, height)
    image = Image.fromarray(painted.astype(np.uint8)).crop((*window[:2], window[0] + width, window[1] + height))
    image = image.resize((max(1, round(width * scale)), max(1, round(height * scale))))
    x, y = ((case.click.x + 0.5 - window[0]) * scale, (case.click.y + 0.5 - window[1]) * scale)
    for arm in ((7, 0), (0, 7)):
        ImageDraw.Draw(image).line((x - arm[0], y - arm[1], x + arm[0], y + arm[1]), fill="yellow", width=2)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
