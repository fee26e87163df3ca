"""Cores that may be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backend.cores import usable_cores


@pytest.mark.parametrize(
    ("written", "cores"), [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None), ("nonsense", None)]
)
def test_the_quota_of_a_container_counts(tmp_path: Path, written: str, cores: int | None) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(written)
    assert usable_cores(quota) == (cores or len(os.sched_getaffinity(0)))
    assert usable_cores(tmp_path / "none") == len(os.sched_getaffinity(0))


def test_where_a_system_knows_no_affinity_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path / "none") == os.cpu_count()
