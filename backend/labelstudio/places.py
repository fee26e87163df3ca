"""So many requests are worked on at once; who waits longest goes first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """A semaphore in whose line nobody jumps: the one of `threading` may give a place back to who just left it."""

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._free = number
        self._waiting: deque[threading.Event] = deque()

    @property
    def free(self) -> int:
        """How many may come without waiting."""
        with self._lock:
            return self._free

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        with self._lock:
            return len(self._waiting)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Waits for a place, and has it within."""
        self._take()
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def left(self) -> Iterator[None]:
        """Within, the caller's place is another's."""
        self._leave()
        try:
            yield
        finally:
            self._take()

    def step_back(self) -> None:
        """Who has a place goes to the end of the line, if there is one."""
        if self.waiting:
            with self.left():
                pass

    def _take(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            called = threading.Event()
            self._waiting.append(called)
        called.wait()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # the place goes from hand to hand and is never free
            else:
                self._free += 1
