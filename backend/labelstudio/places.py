"""So many requests are worked on at once. Who waits longest goes first, and some places are kept for who hurries."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    patient: bool
    called: threading.Event = field(default_factory=threading.Event)


class Places:
    """A semaphore in whose line nobody jumps: the one of `threading` may give a place back to who just left it.

    Those who are patient, for they ask for many masks or nobody waits for them, have half of the places at most: a
    click finds one.
    """

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._free = number
        self._free_for_patient = max(1, number // 2)
        self._waiting: list[_Waiting] = []
        self._here = threading.local()
        """patient: whether this thread is, while it has a place."""

    @property
    def free(self) -> int:
        """How many may come without waiting, unless they are patient."""
        with self._lock:
            return self._free

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        with self._lock:
            return len(self._waiting)

    @contextmanager
    def taken(self, patient: bool = False) -> Iterator[None]:
        """Waits for a place, and has it within."""
        self._take(patient)
        self._here.patient = patient
        try:
            yield
        finally:
            self._leave(patient)

    @contextmanager
    def left(self) -> Iterator[None]:
        """Within, the caller's place is another's."""
        patient = self._here.patient
        self._leave(patient)
        try:
            yield
        finally:
            self._take(patient)

    def step_back(self) -> None:
        """Who has a place goes to the end of the line, if there is one."""
        if self.waiting:
            with self.left():
                pass

    def _take(self, patient: bool) -> None:
        with self._lock:
            waiting = _Waiting(patient)
            self._waiting.append(waiting)
            self._call()
        waiting.called.wait()

    def _leave(self, patient: bool) -> None:
        with self._lock:
            self._free += 1
            self._free_for_patient += patient
            self._call()

    def _call(self) -> None:
        """Places go from hand to hand: nobody who comes later finds one that somebody waits for."""
        for one in list(self._waiting):
            if self._free and (self._free_for_patient or not one.patient):
                self._free -= 1
                self._free_for_patient -= one.patient
                self._waiting.remove(one)
                one.called.set()
