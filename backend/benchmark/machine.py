"""The machine, who else uses it, and the memory that a process and its children take. Reads Linux's /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from backend.cores import usable_cores

PROC = Path("/proc")
BUSY_LOAD = 0.5
"""Load of a core above which figures are doubtful."""


@dataclass(frozen=True, slots=True)
class Machine:
    """cores: those that this process may use. load: average number of running processes in the last minute."""

    cpu: str
    cores: int
    load: float
    all_cores: int

    @property
    def busy(self) -> bool:
        """Whether others compute so much that the figures are doubtful."""
        return self.load > BUSY_LOAD * self.all_cores


@dataclass(frozen=True, slots=True)
class Memory:
    """Of some processes, in MiB. resident: now, shared pages counted once (PSS). peak: the sum of their VmHWM."""

    resident: float
    peak: float


def this_machine() -> Machine:
    """What it is, and how busy it is now."""
    lines = (PROC / "cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return Machine(names[0] if names else os.uname().machine, usable_cores(), os.getloadavg()[0], os.cpu_count() or 1)


def memory_of(process: int) -> Memory:
    """Memory of a process and all that it started."""
    family = _family(process)
    resident = sum(_kibibytes(PROC / str(one) / "smaps_rollup", "Pss:") for one in family)
    peak = sum(_kibibytes(PROC / str(one) / "status", "VmHWM:") for one in family)
    return Memory(resident / 1024, peak / 1024)


def _family(process: int) -> list[int]:
    """A process, its children, their children."""
    parents: dict[int, int] = {}
    for folder in PROC.glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text().rpartition(")")[2]
        except OSError:  # it ended meanwhile
            continue
        parents[int(folder.name)] = int(after_name.split()[1])
    family = [process]
    for member in family:  # grows while it is walked
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _kibibytes(file: Path, name: str) -> int:
    [value] = [line.split()[1] for line in file.read_text().splitlines() if line.startswith(name)]
    return int(value)
