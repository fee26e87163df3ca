"""The whole benchmark: what is started, what is measured on it, in which order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from backend.benchmark import peer as peers
from backend.benchmark import service as services
from backend.benchmark.asking import connected, ready
from backend.benchmark.errors import BenchmarkError
from backend.benchmark.figures import Report
from backend.benchmark.machine import Machine, memory_of
from backend.benchmark.measure import CROWDS, crowd_of, waits_of
from backend.benchmark.photographs import originals
from backend.benchmark.studio import Studio, serving
from backend.labelstudio.configured import weights_of
from backend.segmentation.weights import find_weights
from backend.settings import Settings

STARTS = 3
"""Starts with warm caches that are timed."""

PEER = "MobileSAM in eager torch, float32, without HTTP"
WITHOUT_RLE = "; without its last step, brush RLE: Label Studio's SDK (label-studio-sdk) is not installed"

Tell = Callable[[str], None]


def benchmark(
    settings: Settings, machine: Machine, backend: str | None, with_peer: bool, rounds: int, tell: Tell
) -> Report:
    """Measures the backend at this address, or one that is started for it. tell: what is being done.

    Raises BenchmarkError, and WeightsError where weights cannot be had.
    """
    paths = originals()
    mobile_sam = find_weights("mobile_sam", settings.model_dir) if with_peer else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgesam-benchmark-")))
        photographs = folder / "photographs"
        photographs.mkdir()
        label_studio = stack.enter_context(serving(photographs))
        starts: list[float] = []
        service = None
        if backend is None:
            environment = services.environment_of(weights_of(settings), folder / "models", label_studio)
            service = stack.enter_context(_started(environment, folder / "log", starts, tell))
        address = backend or (service.address if service else "")
        model = told_by(address)
        peer = None
        if mobile_sam:
            tell("starting the peer")
            peer = stack.enter_context(peers.started(mobile_sam))
        # A backend that runs already may know another Label Studio: it gets whole addresses.
        studio = Studio(paths, photographs, label_studio if backend else "", np.random.default_rng())
        waits = waits_of(address, studio, peer, rounds, tell)
        crowds = []
        for count in CROWDS:
            tell(f"{count} annotators")
            crowds.append(crowd_of(address, studio, count))
        return Report(
            machine=machine,
            version=str(model.get("model_version", "not told")),
            engine=str(model.get("engine", "not told")),
            peer=PEER + ("" if peers.encodes_rle() else WITHOUT_RLE) if peer else None,
            rounds=rounds,
            waits=tuple(waits),
            crowds=tuple(crowds),
            starts=tuple(starts),
            memory=memory_of(service.process) if service else None,
        )


def told_by(address: str) -> dict[str, Any]:
    """What a running backend's /ready tells. Raises BenchmarkError where it is not ready."""
    with connected(address) as client:
        told = ready(client)
    if told is None:
        raise BenchmarkError(f"{address} is not ready: start the backend and wait until its /ready answers 200")
    return told


@contextmanager
def _started(environment: dict[str, str], log: Path, starts: list[float], tell: Tell) -> Iterator[services.Service]:
    """The service, ready; it was started and stopped before, so that its caches are warm. `starts` gets the seconds."""
    tell("starting the service for the first time, which makes what it caches")
    with services.started(environment, log):
        pass
    tell("starting the service")
    for _ in range(STARTS - 1):
        with services.started(environment, log) as service:
            starts.append(service.start)
    with services.started(environment, log) as service:
        starts.append(service.start)
        yield service
