"""The curve of a run, drawn from its log."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from backend.learning.run_state import read_log

PANELS = (
    ("unexplained", "share of the teacher's embedding left unexplained"),
    ("loss", "mask loss: 5 BCE + 5 Dice"),
    ("first_iou", "IoU after the first prompt"),
)
SMOOTHED = 9
"""Lines of the log that one point of the curve is the mean of."""


def draw_curve(logs: list[Path], picture: Path) -> None:
    """Draws the figures of one log, or of several one after the other, over the minutes. Needs matplotlib."""
    from matplotlib.figure import Figure

    series = _series(logs)
    shown = [(name, title) for name, title in PANELS if any(key[0] == name for key in series)]
    figure = Figure(figsize=(8, 3 * max(1, len(shown))), layout="constrained")
    for number, (name, title) in enumerate(shown, 1):
        axes = figure.add_subplot(len(shown), 1, number)
        for (figure_name, stage), points in series.items():
            if figure_name == name:
                minutes, values = zip(*points, strict=True)
                axes.plot(minutes, values, alpha=0.25)
                axes.plot(minutes, _smooth(list(values)), color=axes.lines[-1].get_color(), label=stage)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("minutes of training")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(picture, dpi=100)


def _series(logs: list[Path]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Points (minutes, value) by figure and stage; each log begins where the one before it ended."""
    series: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    before = 0.0
    for log in logs:
        lines = read_log(log)
        for stage, minutes, figures in lines:
            for name, value in figures.items():
                series[name, stage].append((before + minutes, value))
        before += lines[-1][1] if lines else 0.0
    return series


def _smooth(values: list[float]) -> list[float]:
    return [sum(near) / len(near) for near in (values[max(0, n - SMOOTHED + 1) : n + 1] for n in range(len(values)))]
