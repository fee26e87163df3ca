"""One decode on all cores, and beside it another on half of them. Who waits longest goes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto


class Lane(Enum):
    """Which cores a decode gets."""

    ALL = auto()
    HALF = auto()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    half_will_do: bool
    lane: Future[Lane] = field(default_factory=Future)


class Lanes:
    """Alone, a decode is done soonest on all cores. Of several, two side by side are done sooner than one after the
    other, since small things are not worth a second core (docs/benchmark.md)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free = [Lane.HALF, Lane.ALL]
        self._line: list[_Waiting] = []

    @contextmanager
    def taken(self, half_will_do: bool) -> Iterator[Lane]:
        """Waits for a lane, the one of all cores where both are free, and has it within."""
        lane = self._take(half_will_do)
        try:
            yield lane
        finally:
            self._leave(lane)

    def _take(self, half_will_do: bool) -> Lane:
        with self._lock:
            if Lane.ALL in self._free or (half_will_do and self._free):
                lane = Lane.ALL if Lane.ALL in self._free else Lane.HALF
                self._free.remove(lane)
                return lane
            waiting = _Waiting(half_will_do)
            self._line.append(waiting)
        return waiting.lane.result()

    def _leave(self, lane: Lane) -> None:
        with self._lock:
            following = next((one for one in self._line if lane is Lane.ALL or one.half_will_do), None)
            if following:
                self._line.remove(following)
                following.lane.set_result(lane)  # from hand to hand: nobody who comes now is faster
            else:
                self._free.append(lane)
