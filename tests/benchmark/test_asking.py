from __future__ import annotations

import pytest

from backend.benchmark.asking import click, connected, open_task, ready
from backend.benchmark.errors import BenchmarkError
from backend.benchmark.studio import Studio, Task
from tests.benchmark.standins import answering, listening


def test_a_click_is_answered_with_a_mask(backend: str, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    task = studio.task((64, 48))
    with connected(backend) as client:
        client.event_hooks["response"].append(lambda answer: (answer.read(), answers.append(answer.json())))
        assert click(client, task, (32.0, 24.0)) > 0
        assert open_task(client, task) > 0
    clicked, opened = (answer["results"] for answer in answers)
    [region] = clicked[0]["result"]
    assert (region["type"], region["original_width"], region["original_height"]) == ("brushlabels", 64, 48)
    assert opened == [[]]


def test_what_the_backend_refuses_is_told_in_one_line(backend: str, task: Task) -> None:
    with connected(backend) as client, pytest.raises(BenchmarkError) as caught:
        click(client, task, (1.0, 1.0))
    assert str(caught.value).startswith(f"{backend}/predict answered 502: ")
    assert "LABEL_STUDIO_URL" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"results": []}'])
def test_an_answer_that_is_none_does_not_count(task: Task, body: bytes) -> None:
    with (
        listening(answering(200, body), "off") as address,
        connected(address) as client,
        pytest.raises(BenchmarkError, match="did not answer for one task"),
    ):
        click(client, task, (1.0, 1.0))


def test_nobody_there(task: Task) -> None:
    with listening(answering(200, b""), "off") as address:
        pass
    with connected(address.replace("//", "//user:secret@")) as client:
        assert ready(client) is None
        with pytest.raises(BenchmarkError, match=r"/predict does not answer: .*Connection refused") as caught:
            click(client, task, (1.0, 1.0))
    assert "secret" not in str(caught.value)


def test_ready_tells_version_and_engine(backend: str) -> None:
    with connected(backend) as client:
        assert ready(client) == {"status": "READY", "model_version": "standin-01234567", "engine": "standin"}


@pytest.mark.parametrize("address", ["http://host:port", "127.0.0.1:9090"])
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(BenchmarkError, match=r"no address|http://"), connected(address) as client:
        ready(client)
