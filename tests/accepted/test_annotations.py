"""What annotators accepted: kept by number, the newest word counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.accepted import annotations
from backend.accepted.annotations import (
    Annotation,
    accept,
    accepted,
    forget,
    forget_tasks,
    new_regions,
    projects,
    regions,
    replace_all,
)
from backend.accepted.jobs import enqueue

P, Q = "27.1795354711", "27.1800000000"


def region(name: str | None, x: float = 1.0, kind: str = "brushlabels") -> dict[str, Any]:
    return {"id": name, "type": kind, "value": {"x": x}}


def annotation(number: int, *result: dict[str, Any], second: int = 0, project: str = P, task: int = 5) -> Annotation:
    return Annotation(project, number, task, {"image": "a.jpg"}, list(result), f"2026-11-22T13:38:{second:02}.5Z")


def test_what_is_accepted_comes_back_as_it_was(tmp_path: Path) -> None:
    one, other = annotation(7, region("a"), region("b")), annotation(3, project=Q)
    accept(tmp_path, [one, other])
    assert list(accepted(tmp_path, P)) == [one]
    assert list(accepted(tmp_path, Q)) == [other]
    assert projects(tmp_path) == [Q, P]
    assert regions(tmp_path) == 2


def test_nothing_is_known_where_nothing_was_written(tmp_path: Path) -> None:
    nowhere = tmp_path / "none"
    assert (list(accepted(nowhere, P)), new_regions(nowhere, P), projects(nowhere), regions(nowhere)) == ([], 0, [], 0)
    assert not nowhere.exists()


def test_a_newer_word_replaces_and_an_older_one_does_not(tmp_path: Path) -> None:
    accept(tmp_path, [annotation(7, region("a", 2), second=2)])
    accept(tmp_path, [annotation(7, region("a", 1), second=1)])
    assert next(accepted(tmp_path, P)).result == [region("a", 2)]
    whole_second = Annotation(P, 7, 5, {}, [region("a", 3)], "2026-11-22T13:38:03Z")  # sorts behind 03.5Z as a text
    accept(tmp_path, [whole_second])
    accept(tmp_path, [annotation(7, region("a", 4), second=3)])
    assert next(accepted(tmp_path, P)).result == [region("a", 4)]


def test_what_was_deleted_is_forgotten(tmp_path: Path) -> None:
    accept(tmp_path, [annotation(1, task=5), annotation(2, task=6), annotation(3, task=7), annotation(1, project=Q)])
    forget(tmp_path, P, [1, 99])
    forget_tasks(tmp_path, P, [6])
    assert [one.number for one in accepted(tmp_path, P)] == [3]
    assert [one.number for one in accepted(tmp_path, Q)] == [1]


def test_new_regions_are_those_accepted_or_changed_since_a_job_was_queued(tmp_path: Path) -> None:
    accept(tmp_path, [annotation(1, region("a"), region("b")), annotation(2, region("c")), annotation(3, project=Q)])
    assert (new_regions(tmp_path, P), new_regions(tmp_path, Q)) == (3, 0)
    enqueue(tmp_path, P, "20 new regions")
    assert new_regions(tmp_path, P) == 0
    accept(tmp_path, [annotation(1, region("a"), region("b", 9), second=1)])
    assert new_regions(tmp_path, P) == 1
    accept(tmp_path, [annotation(1, region("a"), region("b", 10), second=2)])
    accept(tmp_path, [annotation(1, region("a"), region("b", 11), second=3)])
    assert new_regions(tmp_path, P) == 2, "never more than there are"


def test_items_of_one_id_are_one_region_and_a_relation_is_none(tmp_path: Path) -> None:
    pair = region("a", kind="brush"), region("a", kind="labels")
    accept(tmp_path, [annotation(1, *pair, region(None), region(None, 2), region(None, kind="relation"))])
    assert new_regions(tmp_path, P) == 3


def test_what_the_api_says_is_the_truth(tmp_path: Path) -> None:
    accept(tmp_path, [annotation(1), annotation(2, region("a", 2), second=5), annotation(1, project=Q)])
    enqueue(tmp_path, P, "asked for")
    replace_all(tmp_path, P, [annotation(2, region("a", 1), second=1), annotation(3, region("b"))])
    assert list(accepted(tmp_path, P)) == [annotation(2, region("a", 2), second=5), annotation(3, region("b"))]
    assert new_regions(tmp_path, P) == 0, "the job that asked learns from them"
    assert len(list(accepted(tmp_path, Q))) == 1


def test_those_changed_last_come_first_and_those_deleted_meanwhile_not_at_all(tmp_path: Path) -> None:
    accept(tmp_path, [annotation(1, second=2), annotation(2, second=3), annotation(3, second=1)])
    found = accepted(tmp_path, P)
    assert next(found).number == 2
    forget(tmp_path, P, [1])
    assert [one.number for one in found] == [3]


def test_what_webhooks_bring_and_take_while_the_api_is_asked_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotations, "AT_ONCE", 1)
    accept(tmp_path, [annotation(1), annotation(2), annotation(3)])

    def answers() -> Iterator[Annotation]:
        yield annotation(1)
        accept(tmp_path, [annotation(4, region("a"))])
        forget(tmp_path, P, [2])
        yield annotation(2)

    replace_all(tmp_path, P, answers())
    assert {one.number for one in accepted(tmp_path, P)} == {1, 4}
    assert new_regions(tmp_path, P) == 1


def test_data_of_a_task_that_changed_counts_though_the_annotation_did_not(tmp_path: Path) -> None:
    accept(tmp_path, [annotation(1, region("a"))])
    moved = replace(annotation(1, region("a")), data={"image": "b.jpg"})
    replace_all(tmp_path, P, [moved])
    assert list(accepted(tmp_path, P)) == [moved]
    assert new_regions(tmp_path, P) == 1


def test_all_of_a_call_counts_or_nothing(tmp_path: Path) -> None:
    broken = Annotation(P, 2, 5, {}, [], "yesterday")
    with pytest.raises(ValueError, match="yesterday"):
        accept(tmp_path, [annotation(1), broken])
    with pytest.raises(ValueError, match="yesterday"):
        replace_all(tmp_path, P, [annotation(1), broken])
    assert list(accepted(tmp_path, P)) == []
