"""One at a time, and those that somebody waits for before those that nobody does. Who waits longest goes first."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Turn:
    """A place in the line. urgent: somebody waits for it; may become so later, by `Turns.lift`."""

    urgent: bool


class Turns:
    """The encoder uses all cores by itself: two at once would make both wait, a click behind a prefetch for nothing."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Turn] = []
        self._taken = False

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        with self._changed:
            return len(self._waiting)

    @contextmanager
    def taken(self, turn: Turn) -> Iterator[None]:
        """Waits until it is this one's turn, and gives it to the next afterwards."""
        with self._changed:
            self._waiting.append(turn)
            try:
                self._changed.wait_for(lambda: not self._taken and self._next() is turn)
                self._taken = True
            finally:
                self._waiting.remove(turn)
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def lift(self, turn: Turn) -> None:
        """From now on somebody waits for this one."""
        with self._changed:
            turn.urgent = True
            self._changed.notify_all()

    def _next(self) -> Turn:
        return next((turn for turn in self._waiting if turn.urgent), self._waiting[0])
