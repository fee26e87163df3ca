"""The verbs that go through a project: what they print, and how they end."""

import pytest
from typer.testing import CliRunner

from backend import cores
from backend.__main__ import app
from backend.labelstudio import configured
from backend.labelstudio.unanswerable import Unanswerable
from backend.projects import precompute, prelabel
from backend.projects.whole_project import Done, Work
from tests.labelstudio.standins import DiscEngine

MADE, LEFT, FAILED = Done(1, made=True), Done(2, made=False), Done(3, made=False, failure="its picture is gone")


@pytest.fixture
def given_way():
    """Filled when a verb gives way to others."""
    return []


@pytest.fixture
def called(monkeypatch, tmp_path, given_way):
    """called(verb, tasks done, their number, VARIABLE=value) -> exit status, output."""
    monkeypatch.setattr(cores, "give_way", lambda: given_way.append(True))  # it would hold for all tests to come
    monkeypatch.setattr(configured, "weights_of", lambda _: None)
    monkeypatch.setattr(configured, "engine_of", lambda _settings, _weights: DiscEngine())

    def call(verb, done, tasks=3, **variables):
        module = {"precompute": precompute, "prelabel": prelabel}[verb]
        monkeypatch.setattr(module, verb, lambda _segmenter, _project: Work(tasks, iter(done)))
        told = CliRunner().invoke(app, [verb, "--project", "7"], env={"MODEL_DIR": str(tmp_path), **variables})
        return told.exit_code, told.output

    return call


def test_what_was_made_left_and_failed_is_counted(called, given_way):
    code, output = called("prelabel", [MADE, LEFT, LEFT])
    assert code == 0
    assert given_way
    assert output.splitlines()[-1] == "1 tasks got masks, 2 had them or have nothing to mask, 0 tasks failed"


@pytest.mark.parametrize("verb", ["precompute", "prelabel"])
def test_a_task_that_failed_is_named_and_counts_at_the_end(called, verb):
    code, output = called(verb, [MADE, FAILED])
    assert code == 1
    assert "task 3: its picture is gone" in output
    assert output.splitlines()[-1].endswith("1 tasks failed")


def test_a_cache_that_is_too_small_is_told_before(called):
    assert "1100 tasks need more than EDGESAM_DISK_CACHE_MB=2048" in called("precompute", [], 1100)[1]
    assert "need more" not in called("precompute", [], 1000)[1]
    assert "need more" not in called("precompute", [], 1100, EDGESAM_DISK_CACHE_MB="3000")[1]


@pytest.mark.parametrize(
    ("error", "told"), [(Unanswerable("x", "it is gone"), "it is gone"), (KeyboardInterrupt, "stopped")]
)
def test_what_ends_it_is_one_sentence(called, error, told):
    def broken():
        yield MADE
        raise error

    code, output = called("prelabel", broken())
    assert code == 1
    assert told in output
    assert "Traceback" not in output
