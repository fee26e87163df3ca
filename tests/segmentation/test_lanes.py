"""Who decodes on which cores, and when."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from backend.segmentation.lanes import Lane, Lanes


def test_alone_a_decode_has_all_cores_however_little_it_needs() -> None:
    lanes = Lanes()
    for half_will_do in (True, False, True):
        with lanes.taken(half_will_do) as lane:
            assert lane is Lane.ALL


def test_a_second_one_goes_beside_the_first() -> None:
    lanes = Lanes()
    with lanes.taken(half_will_do=True), lanes.taken(half_will_do=True) as second:
        assert second is Lane.HALF


class Line:
    """Lanes that are both taken, and decodes that wait for one."""

    def __init__(self) -> None:
        self.lanes, self.order, self.pool = Lanes(), list[tuple[str, Lane]](), ThreadPoolExecutor(8)
        self.held = {lane: ExitStack() for lane in (Lane.ALL, Lane.HALF)}
        for lane, held in self.held.items():
            assert held.enter_context(self.lanes.taken(half_will_do=True)) is lane

    def joins(self, name: str, half_will_do: bool) -> Future[None]:
        before = len(self.lanes._line)

        def go() -> None:
            with self.lanes.taken(half_will_do) as lane:
                self.order.append((name, lane))

        ended = self.pool.submit(go)
        while len(self.lanes._line) == before:
            pass
        return ended


@pytest.mark.parametrize("ending", [Lane.ALL, Lane.HALF])
def test_who_waits_longest_gets_what_becomes_free(ending: Lane) -> None:
    line = Line()
    ended = [line.joins(name, half_will_do=True) for name in "abc"]
    line.held[ending].close()
    for one in ended:
        one.result(60)
    assert line.order == [("a", ending), ("b", ending), ("c", ending)]


def test_who_needs_all_cores_lets_others_by_beside_and_keeps_its_place() -> None:
    line = Line()
    ended = [line.joins("all", half_will_do=False), line.joins("b", half_will_do=True)]
    line.held[Lane.HALF].close()
    ended[1].result(60)
    late = line.joins("late", half_will_do=False)
    line.held[Lane.ALL].close()
    for one in (*ended, late):
        one.result(60)
    assert line.order == [("b", Lane.HALF), ("all", Lane.ALL), ("late", Lane.ALL)]


def test_a_decode_that_fails_gives_its_lane_back() -> None:
    lanes = Lanes()
    with pytest.raises(ZeroDivisionError), lanes.taken(half_will_do=True):
        raise ZeroDivisionError
    with lanes.taken(half_will_do=False) as lane:
        assert lane is Lane.ALL
