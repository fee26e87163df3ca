"""The versions of each project, and which one answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.accepted.versions import (
    COMPARED_WITH,
    Version,
    choices,
    choose,
    counts,
    current,
    follow,
    next_number,
    prune,
    record,
    serving,
    succeed,
    versions_of,
)

P, Q = "27.1795354711", "28.1800000000"


def version(folder: Path, number: int, project: str = P) -> Version:
    name = f"edgesam-c168a5b0-p{project.partition('.')[0]}-v{number}"
    file = folder / "versions" / project / f"{name}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    return Version(
        project, number, name, file, "0" * 64, "c168a5b0", True, {"box": 80.5}, f"2026-11-22T13:38:{number:02}", 1
    )


def test_a_version_answers_when_it_is_chosen_and_its_own_project_only(tmp_path: Path) -> None:
    assert next_number(tmp_path, P) == 1
    first, second, other = version(tmp_path, 1), version(tmp_path, 2), version(tmp_path, 1, Q)
    for one in (first, second, other):
        record(tmp_path, one)
    assert next_number(tmp_path, P) == 3
    assert current(tmp_path, P) is None
    choose(tmp_path, P, second.name)
    assert (current(tmp_path, P), current(tmp_path, Q)) == (second, None)
    assert serving(tmp_path) == [second]
    choose(tmp_path, P, first.name)
    assert current(tmp_path, P) == first
    choose(tmp_path, P, None)
    assert current(tmp_path, P) is None
    assert versions_of(tmp_path, P) == [second, first]
    assert versions_of(tmp_path)[0] == second


def test_a_name_that_the_project_does_not_have_changes_nothing(tmp_path: Path) -> None:
    mine, other = version(tmp_path, 1), version(tmp_path, 2, Q)
    record(tmp_path, mine)
    record(tmp_path, other)
    choose(tmp_path, P, mine.name)
    with pytest.raises(KeyError, match=other.name):
        choose(tmp_path, P, other.name)
    assert current(tmp_path, P) == mine


def test_old_versions_go_with_all_their_files_but_never_the_one_that_answers(tmp_path: Path) -> None:
    kept = [version(tmp_path, number) for number in (1, 2, 3, 4, 10)]
    for one in kept:
        record(tmp_path, one)
        one.file.with_suffix(".html").write_text("report")
        one.file.with_suffix(".openvino").mkdir()
    choose(tmp_path, P, kept[0].name)
    prune(tmp_path, P, keep=2)
    assert [one.number for one in versions_of(tmp_path, P)] == [10, 4, 1]
    assert current(tmp_path, P) == kept[0]
    left = {path.name.partition(".")[0] for path in kept[0].file.parent.iterdir()}
    assert left == {kept[0].name, kept[3].name, kept[4].name}, "v1's own files, and not v10's for v1"
    assert kept[4].file.exists()
    assert [one.file.with_suffix(".openvino").is_dir() for one in (kept[0], kept[3], kept[4])] == [True, False, False]
    assert next_number(tmp_path, P) == 11


def test_what_the_one_that_answers_took_the_place_of_is_kept_too(tmp_path: Path) -> None:
    first = version(tmp_path, 1)
    others = [replace(version(tmp_path, number), metrics={COMPARED_WITH: first.name}) for number in range(2, 6)]
    for one in (first, *others):
        record(tmp_path, one)
    choose(tmp_path, P, others[-1].name)
    prune(tmp_path, P, keep=2)
    assert [one.number for one in versions_of(tmp_path, P)] == [5, 4, 1]


def test_a_new_version_answers_unless_somebody_chose_meanwhile(tmp_path: Path) -> None:
    first, second, third = (version(tmp_path, number) for number in (1, 2, 3))
    for one in (first, second, third):
        record(tmp_path, one)
    assert succeed(tmp_path, first, choices(tmp_path, P))
    assert current(tmp_path, P) == first
    counted = choices(tmp_path, P)
    assert succeed(tmp_path, second, counted)
    choose(tmp_path, P, second.name)  # by a person, while the third is made; it serves already
    assert not succeed(tmp_path, third, counted)
    assert current(tmp_path, P) == second
    counted = choices(tmp_path, P)
    for _ in range(2):
        choose(tmp_path, P, None)
    assert not succeed(tmp_path, third, counted)
    assert current(tmp_path, P) is None
    counted = choices(tmp_path, P)
    assert not follow(tmp_path, P, "no version of ours", "base")
    assert choices(tmp_path, P) == counted, "a name that is none is no choice"
    assert follow(tmp_path, P, first.name, "base")
    assert not succeed(tmp_path, third, counted)


def test_a_moved_folder_still_has_its_versions(tmp_path: Path) -> None:
    record(tmp_path / "before", version(tmp_path / "before", 1))
    (tmp_path / "before").rename(tmp_path / "after")
    assert versions_of(tmp_path / "after", P)[0].file.read_bytes() == b"weights"


def test_what_label_studio_names_anew_answers_and_what_it_goes_on_naming_changes_nothing(tmp_path: Path) -> None:
    first, second = version(tmp_path, 1), version(tmp_path, 2)
    record(tmp_path, first)
    record(tmp_path, second)
    assert follow(tmp_path, P, first.name, "base")
    assert current(tmp_path, P) == first
    choose(tmp_path, P, second.name)
    assert not follow(tmp_path, P, first.name, "base"), "it said so before the second was chosen"
    assert current(tmp_path, P) == second
    assert not follow(tmp_path, P, "another model's", "base")
    assert current(tmp_path, P) == second
    assert follow(tmp_path, P, "base", "base")
    assert current(tmp_path, P) is None
    assert not follow(tmp_path, Q, first.name, "base"), "no version of that project"


def test_versions_are_counted(tmp_path: Path) -> None:
    assert counts(tmp_path) == {True: 0, False: 0}
    record(tmp_path, version(tmp_path, 1))
    record(tmp_path, replace(version(tmp_path, 2), promoted=False))
    record(tmp_path, version(tmp_path, 1, Q))
    assert counts(tmp_path) == {True: 2, False: 1}
