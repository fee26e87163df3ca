"""Cores that may be used."""

from __future__ import annotations

import os
import subprocess
import sys
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


@pytest.mark.parametrize("own_session", [True, False])
def test_a_process_gives_way_but_not_the_session_of_a_terminal(tmp_path: Path, own_session: bool) -> None:
    group = tmp_path / "autogroup"
    code = (
        "import os, pathlib; from backend import cores; "
        f"cores.AUTOGROUP = pathlib.Path({str(group)!r}); cores.give_way(); print(os.nice(0))"
    )
    started = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, start_new_session=own_session
    )
    assert int(started.stdout) == 19
    assert group.exists() is own_session
