from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

from backend.benchmark.figures import Report
from backend.benchmark.machine import Memory
from backend.benchmark.shown import crowds_table, draw, lines_of, waits_table
from tests.benchmark.test_figures import COLD, CROWD, MACHINE, OPENED

REPORT = Report(MACHINE, "v-1", "engine-f32", "MobileSAM", 3, (COLD, OPENED), (CROWD,), (2.0, 1.0, 9.0), Memory(90, 99))


def words(table: Table) -> list[list[str]]:
    console = Console(width=120, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    return [[word.strip() for word in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def test_a_row_for_each_wait() -> None:
    assert words(waits_table(REPORT.waits)) == [
        ["1080p", "cold", "200.0", "1000.0", "5.00"],
        ["1080p", "opened", "20.0", "", ""],
    ]


def test_a_row_for_each_crowd() -> None:
    assert words(crowds_table(REPORT.crowds)) == [["2", "51.0", "96.0", "101.0", "50.5"]]


def test_what_stands_below() -> None:
    assert list(lines_of(REPORT)) == [
        "backend: v-1, engine engine-f32",
        "peer: MobileSAM",
        "start to the first /ready, caches warm: 2.00 s",
        "memory: 90 MiB, at most 99 MiB",
    ]
    elsewhere = replace(REPORT, peer=None, starts=(), memory=None)
    assert list(lines_of(elsewhere))[1:] == [
        "peer: none",
        "start and memory: not measured, the backend was not started here",
    ]


def test_the_picture(tmp_path: Path) -> None:
    picture = tmp_path / "waits.png"
    draw(REPORT, picture)
    with Image.open(picture) as opened:
        assert opened.size == (990, 440)
