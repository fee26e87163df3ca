from __future__ import annotations

from dataclasses import replace

import httpx
import numpy as np

from backend.benchmark.studio import Studio


def test_a_task_has_an_image_that_is_served(studio: Studio) -> None:
    task = studio.task((64, 48))
    answer = httpx.get(task.address)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == task.photograph.path.read_bytes()
    assert httpx.get(task.address.replace("/data/upload/1/", "/")).status_code == 404
    assert httpx.get(task.address + "x").status_code == 404


def test_tasks_are_never_the_same(studio: Studio) -> None:
    other = replace(studio, chance=np.random.default_rng(1))
    tasks = [one.task((64, 48)) for one in (studio, studio, other)]
    assert len({task.number for task in tasks}) == len({task.address for task in tasks}) == 3


def test_where_label_studio_is_known_addresses_are_paths(studio: Studio) -> None:
    assert replace(studio, prefix="").task((64, 48)).address.startswith("/data/upload/1/")
