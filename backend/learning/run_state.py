"""What a run keeps in its folder: everything needed to go on, the weights so far, and a log that plots.

RUN/state.pt        step, time, weights, averaged weights, optimizer: replaced atomically
RUN/edgesam.safetensors   the averaged weights in their shipped form
RUN/log.csv         a line every half minute
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.learning.masks import DataError
from backend.learning.networks import save_weights
from backend.segmentation.model import SegmentationModel

STATE, WEIGHTS, LOG = "state.pt", "edgesam.safetensors", "log.csv"


@dataclass(slots=True)
class Progress:
    """How far a run has got. step counts within its stage; seen (canvases) and seconds over all stages."""

    stage: str
    step: int = 0
    seen: float = 0.0
    seconds: float = 0.0


def save(
    folder: Path,
    progress: Progress,
    model: SegmentationModel,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Writes state and weights. A run cut off meanwhile leaves the old ones whole."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "progress": asdict(progress),
        "weights": model.state_dict(),
        "average": average,
        "optimizer": optimizer.state_dict(),
    }
    part = folder / "state.part"
    torch.save(state, part)
    part.replace(folder / STATE)
    save_weights(average or model.state_dict(), folder / WEIGHTS)


def resume(
    folder: Path, stage: str, model: SegmentationModel, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]]:
    """Takes up what `folder` holds; a new stage begins at its own step 0, from the averaged weights of the one before.

    Raises DataError where there is nothing to go on from.
    """
    file = folder / STATE
    if not file.is_file():
        raise DataError(f"{file} is not there: a run that never saved cannot be resumed; start it without --resume")
    device = next(model.parameters()).device
    state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    progress = Progress(**state["progress"])
    if progress.stage != stage:
        model.load_state_dict(state["average"])
        return Progress(stage, 0, progress.seen, progress.seconds), state["average"]
    model.load_state_dict(state["weights"])
    optimizer.load_state_dict(state["optimizer"])
    return progress, state["average"]


def log(folder: Path, progress: Progress, figures: dict[str, float]) -> None:
    """Adds a line to the log; a stage's own figures go into the last column as name=value."""
    file = folder / LOG
    folder.mkdir(parents=True, exist_ok=True)
    fresh = not file.is_file()
    with file.open("a", newline="") as handle:
        writer = csv.writer(handle)
        if fresh:
            writer.writerow(["stage", "step", "seen", "minutes", "figures"])
        named = " ".join(f"{name}={value:.5g}" for name, value in figures.items())
        writer.writerow([progress.stage, progress.step, f"{progress.seen:.0f}", f"{progress.seconds / 60:.2f}", named])


def read_log(file: Path) -> list[tuple[str, float, dict[str, float]]]:
    """The lines of a log: stage, minutes, figures. Raises DataError where it is none, and OSError."""
    try:
        with file.open(newline="") as handle:
            return [
                (row["stage"], float(row["minutes"]), {name: float(value) for name, value in _pairs(row["figures"])})
                for row in csv.DictReader(handle)
            ]
    except (KeyError, ValueError, TypeError):
        raise DataError(f"{file} is no log of a run of `distill`") from None


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (part.partition("=") for part in text.split())]
