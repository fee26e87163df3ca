"""Who goes first."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from backend.segmentation.turns import Turn, Turns


class Line:
    """Turns, with threads that stand in line one after the other behind one that holds its turn."""

    def __init__(self) -> None:
        self.turns, self.order, self.leave = Turns(), list[str](), threading.Event()
        self.pool = ThreadPoolExecutor(8)
        self.ended: list[Future[None]] = []
        held = threading.Event()

        def hold() -> None:
            with self.turns.taken(Turn(urgent=False)):
                held.set()
                self.leave.wait(60)

        self.ended.append(self.pool.submit(hold))
        held.wait(60)

    def joins(self, name: str, urgent: bool) -> Turn:
        turn, before = Turn(urgent), self.turns.waiting

        def go() -> None:
            with self.turns.taken(turn):
                self.order.append(name)

        self.ended.append(self.pool.submit(go))
        while self.turns.waiting == before:
            pass
        return turn

    def goes(self) -> list[str]:
        self.leave.set()
        for one in self.ended:
            one.result(60)
        self.pool.shutdown()
        assert self.turns.waiting == 0
        return self.order


def test_who_waits_longest_goes_first() -> None:
    line = Line()
    for name in "abc":
        line.joins(name, urgent=True)
    assert line.goes() == ["a", "b", "c"]


def test_clicks_go_before_prefetches() -> None:
    line = Line()
    line.joins("prefetch", urgent=False)
    line.joins("click", urgent=True)
    line.joins("second prefetch", urgent=False)
    line.joins("second click", urgent=True)
    assert line.goes() == ["click", "second click", "prefetch", "second prefetch"]


def test_a_prefetch_that_somebody_waits_for_is_lifted() -> None:
    line = Line()
    line.joins("prefetch", urgent=False)
    wanted = line.joins("wanted", urgent=False)
    line.joins("click", urgent=True)
    line.turns.lift(wanted)
    assert line.goes() == ["wanted", "click", "prefetch"]


def test_a_failure_gives_the_turn_to_the_next() -> None:
    turns = Turns()
    with pytest.raises(OSError, match="broken"), turns.taken(Turn(urgent=True)):
        raise OSError("broken")
    with turns.taken(Turn(urgent=False)):
        assert turns.waiting == 0
