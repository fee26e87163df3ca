"""The rounds: who is asked what, in which order. Requests to the backend and to the peer alternate."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import numpy as np

from backend.benchmark.asking import click, connected, open_task
from backend.benchmark.figures import Crowd, Wait
from backend.benchmark.peer import Peer
from backend.benchmark.photographs import SIZES
from backend.benchmark.studio import Studio, Task

WARM_CLICKS = 3
"""Clicks on an image after its first one."""
OPENED_BEFORE = 1.0
"""Seconds from opening a task to the first click."""
CROWDS = (1, 4, 8)
CROWD_SIZE = "1080p"
CLICKS_OF_ONE = 10
"""Clicks of each annotator of a crowd."""


def waits_of(address: str, studio: Studio, peer: Peer | None, rounds: int, tell: Callable[[str], None]) -> list[Wait]:
    """Cold, warm and opened clicks at each size. address: of the backend. tell: what is measured now."""
    waits = []
    with connected(address) as backend:
        for size in SIZES:
            tell(f"{size}: cold and warm clicks")
            waits += _cold_and_warm(backend, studio, peer, size, rounds)
            tell(f"{size}: clicks on a task that was opened before")
            waits.append(_opened(backend, studio, size, rounds))
    return waits


def crowd_of(address: str, studio: Studio, count: int) -> Crowd:
    """So many annotators at once, each with a connection and an image of their own, all of it warm."""
    with ExitStack() as connections, ThreadPoolExecutor(count) as threads:
        seats = [connections.enter_context(connected(address)) for _ in range(count)]
        tasks = [studio.task(SIZES[CROWD_SIZE]) for _ in seats]
        for backend, task in zip(seats, tasks, strict=True):
            click(backend, task, studio.point(task))
        points = [[studio.point(task) for _ in range(CLICKS_OF_ONE)] for task in tasks]

        def annotate(number: int) -> list[float]:
            return [click(seats[number], tasks[number], point) for point in points[number]]

        started = time.perf_counter()
        waits = list(threads.map(annotate, range(count)))
        elapsed = time.perf_counter() - started
    return Crowd(count, tuple(np.concatenate(waits).tolist()), elapsed)


def _cold_and_warm(backend: httpx.Client, studio: Studio, peer: Peer | None, size: str, rounds: int) -> list[Wait]:
    """One round more than asked for: the first warms both up and does not count."""
    counted: dict[str, tuple[list[float], list[float]]] = {"cold": ([], []), "warm": ([], [])}
    for number in range(rounds + 1):
        task = studio.task(SIZES[size])
        for turn in range(1 + WARM_CLICKS):
            ours, theirs = _both(backend, studio, peer, task)
            if number:
                waits = counted["warm" if turn else "cold"]
                waits[0].append(ours)
                waits[1].extend(theirs)
    return [Wait(size, kind, tuple(ours), tuple(theirs)) for kind, (ours, theirs) in counted.items()]


def _both(backend: httpx.Client, studio: Studio, peer: Peer | None, task: Task) -> tuple[float, list[float]]:
    point = studio.point(task)
    return click(backend, task, point), [peer(task.photograph, point)] if peer else []


def _opened(backend: httpx.Client, studio: Studio, size: str, rounds: int) -> Wait:
    """The peer has no such thing: its first click is cold whenever the task was opened."""
    waits = []
    for _ in range(rounds):
        task = studio.task(SIZES[size])
        open_task(backend, task)
        time.sleep(OPENED_BEFORE)
        waits.append(click(backend, task, studio.point(task)))
    return Wait(size, "opened", tuple(waits), ())
