"""How many cores this process may use, and giving way to others."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

AUTOGROUP = Path("/proc/self/autogroup")
LEAST = 19


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Cores that this process may use: its affinity, and the quota of its container (cgroup 2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        allowed, period = quota.read_text().split()
        return max(1, min(cores, round(int(allowed) / int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return cores


def give_way() -> None:
    """The least priority, for a process that has not imported torch yet.

    Where Linux groups processes by session, niceness counts inside of one only: a session of our own gives way as a
    whole. That of a person's terminal stays as it is, since it would not come back.
    """
    os.nice(LEAST)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # no such file: processes are not grouped
            AUTOGROUP.write_text(str(LEAST))
    os.environ["OMP_NUM_THREADS"] = str(max(1, usable_cores() - 1))  # clicks keep a core
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
