from __future__ import annotations

import json

import pytest

from backend.benchmark.figures import Crowd, Report, Wait
from backend.benchmark.machine import Machine, Memory

MACHINE = Machine("A CPU", 2, 0.1, 2)
COLD = Wait("1080p", "cold", (0.3, 0.1, 0.2), (1.0, 5.0, 0.8))
OPENED = Wait("1080p", "opened", (0.02,), ())
CROWD = Crowd(2, tuple(number / 1000 for number in range(1, 102)), 2.0)


def test_ratios_are_those_of_medians() -> None:
    assert COLD.backend_ms == pytest.approx(200)
    assert COLD.peer_ms == pytest.approx(1000)
    assert COLD.times_faster == pytest.approx(5)
    assert (OPENED.peer_ms, OPENED.times_faster) == (None, None)


def test_a_crowd_has_percentiles() -> None:
    told = CROWD.p50_ms, CROWD.p95_ms, CROWD.slowest_ms, CROWD.clicks_per_second
    assert told == pytest.approx((51, 96, 101, 50.5))


def test_the_report_as_json() -> None:
    report = Report(MACHINE, "v", "e", "p", 3, (COLD, OPENED), (CROWD,), (2.0, 1.0, 9.0), Memory(100, 200))
    told = json.loads(json.dumps(report.as_json()))
    assert told["waits"]["1080p cold"] == pytest.approx({"backend_ms": 200, "peer_ms": 1000, "times_faster": 5})
    assert told["annotators"]["2"]["p95_ms"] == pytest.approx(96)
    assert (told["start_s"], told["resident_mib"], told["peak_mib"]) == (2, 100, 200)
    assert told["seconds"]["waits"][0]["peer"] == [1.0, 5.0, 0.8]
    nothing = Report(MACHINE, "v", "e", None, 3, (OPENED,), ()).as_json()
    assert (nothing["start_s"], nothing["resident_mib"], nothing["peak_mib"]) == (None, None, None)
