"""A report for people: tables for the terminal, and a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from rich.table import Table

from backend.benchmark.figures import Crowd, Report, Wait

OURS, OURS_PALE, THEIRS = "tab:blue", "lightsteelblue", "tab:orange"


def waits_table(waits: Sequence[Wait]) -> Table:
    """How long one annotator waits: medians, and how many times faster than the peer."""
    table = Table("image", "click", "backend ms", "peer ms", "times faster", title="Waiting for a mask")
    for wait in waits:
        table.add_row(
            wait.size, wait.kind, f"{wait.backend_ms:.1f}", _number(wait.peer_ms, 1), _number(wait.times_faster, 2)
        )
    return table


def crowds_table(crowds: Sequence[Crowd]) -> Table:
    """How long each of several annotators waits."""
    table = Table("annotators", "p50 ms", "p95 ms", "slowest ms", "clicks/s", title="Several annotators, warm, 1080p")
    for crowd in crowds:
        figures = crowd.p50_ms, crowd.p95_ms, crowd.slowest_ms, crowd.clicks_per_second
        table.add_row(str(crowd.annotators), *(f"{figure:.1f}" for figure in figures))
    return table


def lines_of(report: Report) -> Iterator[str]:
    """What stands above and below the tables."""
    yield f"backend: {report.version}, engine {report.engine}"
    yield f"peer: {report.peer or 'none'}"
    if report.starts:
        yield f"start to the first /ready, caches warm: {median(report.starts):.2f} s"
    else:
        yield "start and memory: not measured, the backend was not started here"
    if report.memory:
        yield f"memory: {report.memory.resident:.0f} MiB, at most {report.memory.peak:.0f} MiB"


def draw(report: Report, picture: Path) -> None:
    """Bars of the waits, and of the annotators. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    waits, crowds = figure.subplots(1, 2, width_ratios=(3, 2))
    places = range(len(report.waits))
    waits.bar([place - 0.2 for place in places], [one.backend_ms for one in report.waits], 0.4, color=OURS)
    with_peer = [(place + 0.2, one.peer_ms) for place, one in enumerate(report.waits) if one.peer_ms is not None]
    waits.bar([place for place, _ in with_peer], [height for _, height in with_peer], 0.4, color=THEIRS)
    for place, one in enumerate(report.waits):
        if one.times_faster is not None:
            waits.annotate(f"{one.times_faster:.1f}x", (place - 0.2, one.backend_ms), ha="center", va="bottom")
    waits.set_xticks(list(places), [f"{one.size}\n{one.kind}" for one in report.waits], fontsize=7)
    waits.set_yscale("log")
    waits.set_ylabel("median wait, ms")
    waits.set_title("EdgeSAM through HTTP (blue), MobileSAM without (orange)", fontsize=9)
    names = [str(crowd.annotators) for crowd in report.crowds]
    crowds.bar(names, [crowd.p95_ms for crowd in report.crowds], color=OURS_PALE, label="p95")
    crowds.bar(names, [crowd.p50_ms for crowd in report.crowds], color=OURS, label="p50")
    crowds.set_title("annotators at once, warm, 1080p", fontsize=9)
    crowds.set_ylabel("wait, ms")
    crowds.legend()
    figure.savefig(picture, dpi=110)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
