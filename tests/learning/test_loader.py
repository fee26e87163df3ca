from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

from backend.learning.loader import Canvases, Sources, batches


def test_what_ends_the_run_does_not_end_the_processes_that_draw_for_it(photos: Path):
    drawn = batches(Canvases(Sources(photos), (0,)), 1, workers=1, pin=False)
    next(drawn)
    (drawer,) = multiprocessing.active_children()

    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(drawer.pid, number)

    for _ in range(8):  # more than were drawn ahead
        assert next(drawn).pixels.shape == (1, 3, 1024, 1024)
