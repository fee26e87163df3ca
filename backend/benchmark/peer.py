"""The peer: what Label Studio's own MobileSAM example does for a click, without HTTP. Runs in a process of its own.

It reads the file with OpenCV, encodes it unless it is the image of the click before, predicts one mask in eager torch
and float32, brings it to the image's size, makes brush RLE of it with Label Studio's SDK, and JSON.
"""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backend.benchmark.errors import BenchmarkError
from backend.benchmark.photographs import Photograph
from backend.segmentation.prompts import Point
from backend.segmentation.weights import WeightsFile

if TYPE_CHECKING:
    from backend.benchmark.mobilesam import MobileSAM

Peer = Callable[[Photograph, Point], float]
"""Seconds of a click on a photograph, in pixels."""


def encodes_rle() -> bool:
    """Whether the peer can do its last step: Label Studio's SDK is a dependency of development only."""
    return importlib.util.find_spec("label_studio_sdk") is not None


@contextmanager
def started(weights: WeightsFile) -> Iterator[Peer]:
    """Starts the process, loads MobileSAM's weights there, and yields what asks it for clicks."""
    own = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, own, initializer=_load, initargs=(weights,)) as process:

        def click(photograph: Photograph, point: Point) -> float:
            try:
                return process.submit(_click, photograph.path, point).result()
            except BrokenProcessPool as error:
                raise BenchmarkError(f"the peer's process ended: {error}; --no-peer measures without it") from None

        yield click


_loaded: list[MobileSAM] = []
"""The model of this process, if it is the peer's."""


def _load(weights: WeightsFile) -> None:
    from backend.benchmark.mobilesam import MobileSAM

    _loaded.append(MobileSAM.of(weights))


def _click(path: Path, point: Point) -> float:
    [model] = _loaded
    started = time.perf_counter()
    json.dumps(model.prediction(path, point))
    return time.perf_counter() - started
