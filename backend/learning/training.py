"""The loop that every stage runs in: rate, steps, averages, log, saves, and an end on time or on SIGTERM."""

from __future__ import annotations

import math
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor, nn

from backend.learning import run_state
from backend.learning.devices import Place, agreed_to_stop, share_gradients
from backend.learning.networks import averaged
from backend.learning.run_state import Progress
from backend.segmentation.model import SegmentationModel

AVERAGE_DECAY = 0.998
WEIGHT_DECAY = 0.01


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long, and how fast. cooldown: the last share of the minutes, in which the rate falls to zero."""

    minutes: float
    rate: float
    warmup_steps: int = 100
    cooldown: float = 0.0
    clip: float = 1.0
    save_every: float = 180.0
    log_every: float = 30.0

    def rate_at(self, step: int, elapsed: float) -> float:
        """The learning rate at this step of the stage, so many seconds after this call of the command began."""
        rate = self.rate * min(1.0, (step + 1) / self.warmup_steps)
        left = max(0.0, 1 - elapsed / (60 * self.minutes))
        if left < self.cooldown:
            rate *= 0.5 * (1 - math.cos(math.pi * left / self.cooldown))
        return rate


@dataclass(slots=True)
class Run:
    """One stage under way: what a step changes, and where it is kept."""

    folder: Path
    place: Place
    model: SegmentationModel
    optimizer: torch.optim.Optimizer
    progress: Progress
    average: dict[str, Tensor] = field(default_factory=dict)

    def save(self) -> None:
        if self.place.leads:
            run_state.save(self.folder, self.progress, self.model, self.average, self.optimizer)


Step = Callable[[], tuple[float, dict[str, float]]]
"""Makes the gradients of one batch; says how many canvases it saw, and figures to log."""


def optimizer_for(groups: list[tuple[nn.Module, float]]) -> torch.optim.AdamW:
    """AdamW over modules, each with its share of the learning rate; norms and biases do not decay."""
    made = []
    for module, share in groups:
        parameters = [one for one in module.parameters() if one.requires_grad]
        for chosen, decay in ((_matrices(parameters), WEIGHT_DECAY), (_vectors(parameters), 0.0)):
            made.append({"params": chosen, "weight_decay": decay, "share": share})
    return torch.optim.AdamW(made, fused=True)


def train(run: Run, schedule: Schedule, step: Step, say: Callable[[str], None]) -> None:
    """Steps until the minutes are over or the process is asked to stop; then saves."""
    started = saved = logged = time.monotonic()
    before, seen_at_log = run.progress.seconds, run.progress.seen
    heard: dict[str, list[float]] = defaultdict(list)
    with told_to_stop() as asked:
        while True:
            elapsed = time.monotonic() - started
            if agreed_to_stop(run.place, asked() or elapsed > 60 * schedule.minutes):
                break
            rate = schedule.rate_at(run.progress.step, elapsed)
            seen, figures = _one_step(run, rate, schedule.clip, step, say)
            run.progress.step += 1
            run.progress.seen += seen * run.place.world
            run.progress.seconds = before + time.monotonic() - started
            for name, value in figures.items():
                heard[name].append(value)
            now = time.monotonic()
            if now - logged > schedule.log_every:
                speed = (run.progress.seen - seen_at_log) / (now - logged)
                means = {name: sum(values) / len(values) for name, values in heard.items()}
                _report(run, means | {"rate": rate, "per_second": speed}, 60 * schedule.minutes - (now - started), say)
                heard.clear()
                logged, seen_at_log = now, run.progress.seen
            if now - saved > schedule.save_every:
                run.save()
                saved = now
    run.save()


def _one_step(
    run: Run, rate: float, clip: float, step: Step, say: Callable[[str], None]
) -> tuple[float, dict[str, float]]:
    """A gradient that is not finite moves nothing: it would make all weights so."""
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["share"]
    run.optimizer.zero_grad(set_to_none=True)
    seen, figures = step()
    parameters = [one for group in run.optimizer.param_groups for one in group["params"]]
    share_gradients(run.place, parameters)
    norm = nn.utils.clip_grad_norm_(parameters, clip)
    number = run.progress.step
    if torch.isfinite(norm):
        run.optimizer.step()
    elif run.place.leads:
        say(f"{run.progress.stage} step {number}: the gradient is not finite, the step is left out")
    averaged(run.average, run.model, min(AVERAGE_DECAY, (1 + number) / (10 + number)))
    return seen, figures


def _report(run: Run, figures: dict[str, float], left: float, say: Callable[[str], None]) -> None:
    if not run.place.leads:
        return
    run_state.log(run.folder, run.progress, figures)
    named = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    say(f"{run.progress.stage} step {run.progress.step}  {named}  {max(0.0, left) / 60:.0f} min left")


@contextmanager
def told_to_stop() -> Iterator[Callable[[], bool]]:
    """Within, SIGTERM and SIGINT do not end the process: the function given says whether one came."""
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _matrices(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    return [one for one in parameters if one.ndim > 1]


def _vectors(parameters: list[nn.Parameter]) -> list[nn.Parameter]:
    return [one for one in parameters if one.ndim <= 1]
