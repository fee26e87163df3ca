from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from backend.benchmark.machine import Machine, memory_of, this_machine


def test_this_machine() -> None:
    machine = this_machine()
    assert machine.cpu
    assert 1 <= machine.cores <= machine.all_cores
    assert machine.load >= 0


def test_busy_is_half_a_process_to_a_core() -> None:
    machine = Machine("A CPU", 2, 2.1, 4)
    assert machine.busy
    assert not replace(machine, load=1.9).busy


def test_memory_counts_children_and_remembers_the_peak() -> None:
    child = "a = b'x' * (64 << 20); del a; b = b'x' * (16 << 20); print(flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdout.readline()
        memory = memory_of(process.pid)
        process.stdin.close()
    assert 16 < memory.resident < 64 < memory.peak
