from __future__ import annotations

import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.learning.canvases import HALF, Canvas, whole
from backend.learning.loader import PIECES, Batch, Canvases, Sources, batches, collated, joined, opened
from backend.learning.masks import samples_of

CPU = torch.device("cpu")

DRAWN_IN_SPITE_OF_SIGNALS = """
import os, signal, sys
import torch
from pathlib import Path
from backend.learning.loader import Canvases, Sources, batches
from backend.learning.training import told_to_stop

drawn = batches(Canvases(Sources(Path(sys.argv[1])), (0,), 1), 1, workers=1, device=torch.device("cpu"))
next(drawn)
with told_to_stop() as asked:
    os.killpg(0, signal.SIGINT)
    os.killpg(0, signal.SIGTERM)
    print(asked(), sum(len(next(drawn).pixels) for _ in range(8)))  # more than were drawn ahead
"""


def test_what_ends_the_run_does_not_end_the_processes_that_draw_for_it(photos: Path):
    """In a process of its own: one that has run other tests, with all their threads, had better not be forked."""
    command = [sys.executable, "-c", DRAWN_IN_SPITE_OF_SIGNALS, str(photos)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, start_new_session=True)
    assert (ended.returncode, ended.stdout) == (0, "True 8\n"), ended.stderr


def canvas(shade: int, objects: int, photograph: bool = False) -> Canvas:
    """One shade all over; its objects cover their cells by 100 and more."""
    coverage = np.full((objects, 256, 256), 100 + shade, np.uint8)
    return Canvas(np.full((1024, 1024, 3), shade, np.uint8), (1024, 900 + shade), coverage, photograph)


def assert_equal(one: Batch, other: Batch) -> None:
    for name in ("pixels", "extents", "coverage", "owner", "photographs"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_a_batch_knows_whose_objects_are_whose_in_pieces_too() -> None:
    canvases = [canvas(1, 2), canvas(2, 0, photograph=True), canvas(3, 1), canvas(4, 3)]
    batch = collated(canvases)
    assert batch.pixels.shape == (4, 3, 1024, 1024)
    assert batch.extents[:, 1].tolist() == [901, 902, 903, 904]
    assert batch.owner.tolist() == [0, 0, 2, 3, 3, 3]
    assert (batch.coverage[:, 0, 0] - 100).tolist() == [1, 1, 3, 4, 4, 4]
    assert batch.photographs.tolist() == [False, True, False, False]
    assert_equal(joined([collated(canvases[:2]), collated(canvases[2:3]), collated(canvases[3:])]), batch)


@pytest.mark.parametrize("size", [1, 2, 3, PIECES, 6])
def test_batches_have_their_size_whatever_the_pieces(photos: Path, size: int) -> None:
    drawn = Canvases(Sources(photos), (0,), 2)
    batch = next(batches(drawn, size, 0, CPU))
    assert_equal(batch, collated(list(islice(drawn, size))))


def test_true_canvases_and_photographs_come_as_often_as_wanted(photos: Path, masks: Path) -> None:
    drawn = list(islice(Canvases(Sources(photos, (masks,), true_share=0.75, mosaic_share=0.0), (0,), 2), 40))
    assert 20 < sum(not one.photograph for one in drawn) < 38
    assert all(len(one.coverage) == 0 for one in drawn if one.photograph)
    assert all(0 <= len(one.coverage) <= 2 for one in drawn)
    assert sum(len(one.coverage) for one in drawn) > 20


def test_what_is_no_mosaic_is_now_and_then_a_part(masks: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts are shown like pictures, so they are counted where they are cut."""
    cut = []
    monkeypatch.setattr("backend.learning.loader.part", lambda random, picture: cut.append(1) or picture)
    list(islice(Canvases(Sources(photos, mosaic_share=0.0), (0,), 2), 70))
    assert 10 < len(cut) < 32
    cut.clear()
    list(islice(Canvases(Sources(photos, mosaic_share=1.0), (0,), 2), 10))
    assert not cut


def test_true_masks_are_opened_with_their_picture(masks: Path) -> None:
    sample = samples_of(masks / "discs")[0]
    canvas = whole(np.random.default_rng(0), opened(sample), 8)
    assert canvas.extent == (768, 1024)
    labels = sample.labels()
    seen = sorted(int(np.count_nonzero(covered > HALF)) for covered in canvas.coverage)
    assert seen == pytest.approx(sorted(np.count_nonzero(labels == one) * 1.6**2 for one in (1, 2)), rel=0.03)
