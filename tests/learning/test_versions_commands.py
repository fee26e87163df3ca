"""`versions` shows what was learned; `rollback` lets another version serve."""

import sqlite3
from dataclasses import replace

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from backend.__main__ import app
from backend.accepted import jobs
from backend.accepted.database import FILE
from backend.accepted.versions import Version, choose, current, proposer_file, record, versions_of
from backend.labelstudio.connections import recall, remember
from backend.segmentation.proposer_files import write_proposer
from tests.labelstudio.test_answering_proposals import proposer

KEY = "27.1795354711"
runner = CliRunner()


def figures(mean):
    return {"box": mean + 10, "click1": mean - 10, "click2": mean - 5, "click3": mean}


@pytest.fixture(autouse=True)
def learned(tmp_path, monkeypatch):
    """Three versions of project 27, the second not promoted, the third serving; one of an older project 27. The first
    served when the second and third were made."""
    monkeypatch.setenv("MODEL_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("EDGESAM_WEIGHTS", "/no/file")  # whose hash nobody knows
    for key, number, promoted in ((KEY, 1, True), (KEY, 2, False), (KEY, 3, True), ("27.5", 1, True)):
        name = f"edgesam-c168a5b0-p27-v{number}"
        metrics = {
            "project_before": figures(60.0),
            "project_after": figures(70.0 + number),
            "general_before": figures(80.0),
            "general_after": figures(79.0),
            "compared_with": "edgesam-c168a5b0" if number == 1 else "edgesam-c168a5b0-p27-v1",
        }
        made = f"2026-11-26T01:0{number}:00+00:00"
        (tmp_path / name).touch()
        record(tmp_path, Version(key, number, name, tmp_path / name, "0" * 64, "c168a5b0", promoted, metrics, made, 1))
    choose(tmp_path, KEY, "edgesam-c168a5b0-p27-v3")
    return tmp_path


def called(*words):
    done = runner.invoke(app, list(words))
    return done.exit_code, done.output


def rows(output):
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│")]


def test_versions_of_a_project():
    code, output = called("versions", "--project", "27")
    assert code == 0
    newest, second, _, base = rows(output)
    assert newest == [
        "27",
        "edgesam-c168a5b0-p27-v3",
        "2026-11-26 01:03",
        "70.0 / 50.0 / 55.0 / 60.0 -> 83.0 / 63.0 / 68.0 / 73.0",
        "90.0 / 70.0 / 75.0 / 80.0 -> 89.0 / 69.0 / 74.0 / 79.0",
        "yes",
        "yes",
    ]
    assert second[-2:] == ["", ""]
    assert base[1] == "base"
    assert base[-1] == ""


def test_what_a_project_proposes_is_told(learned):
    assert "proposes" not in called("versions", "--project", "27")[1]
    write_proposer(proposer(), "edgesam-c168a5b0-p27-v3", "9 of 10 proposals are right", proposer_file(learned, KEY))
    told = "project 27 proposes: 9 of 10 proposals are right (with edgesam-c168a5b0-p27-v3)"
    assert told in called("versions", "--project", "27")[1].splitlines()
    assert told in called("versions")[1].splitlines()
    proposer_file(learned, KEY).write_bytes(b"half a file")
    assert "proposes" not in called("versions")[1]


def test_a_version_whose_file_is_gone_does_not_serve(learned):
    (learned / "edgesam-c168a5b0-p27-v3").unlink()
    newest, *_, base = rows(called("versions", "--project", "27")[1])
    assert (newest[-1], base[-1]) == ("no: its file is gone", "yes")


@pytest.mark.parametrize(
    ("weights", "serves", "base"),
    [
        ("edgesam", "no: it was learned from other weights than those that answer now", "yes"),
        ("mobile_sam", "no: it was learned from other weights than those that answer now", "yes"),  # not downloaded
        ("/no/file", "yes", ""),
    ],
)
def test_a_version_of_other_weights_does_not_serve(weights, serves, base, monkeypatch):
    monkeypatch.setenv("EDGESAM_WEIGHTS", weights)
    monkeypatch.setenv("COLUMNS", "260")
    newest, *_, last = rows(called("versions", "--project", "27")[1])
    assert (newest[-1], last[-1]) == (serves, base)


def test_what_is_chosen_and_proposed_with_other_weights_is_told_apart(learned, monkeypatch):
    version = "edgesam-c168a5b0-p27-v3"
    write_proposer(proposer(), version, "9 of 10 proposals are right", proposer_file(learned, KEY))
    assert called("rollback", "--project", "27", "--to", version)[1] == f"project 27: {version} serves now\n"
    assert "proposes" in called("versions")[1]
    monkeypatch.setenv("EDGESAM_WEIGHTS", "edgesam")
    code, output = called("rollback", "--project", "27", "--to", version)
    assert (code, "is chosen, but does not serve: it was learned from other weights" in output) == (0, True)
    assert "proposes" not in called("versions")[1]
    write_proposer(proposer(), "edgesam-c168a5b0", "9 of 10 proposals are right", proposer_file(learned, KEY))
    assert "proposes" not in called("versions")[1]


def test_what_the_last_job_said_is_told(learned):
    assert "job" not in called("versions", "--project", "27")[1]
    for told in ("it was better", "3 masks on 1 pictures are too few"):
        number = jobs.enqueue(learned, KEY, "because").number
        jobs.finish(learned, number, told)
    lines = called("versions", "--project", "27")[1].splitlines()
    assert lines[-1] == "project 27, job 2: done, 3 masks on 1 pictures are too few"
    jobs.enqueue(learned, KEY, "because")
    assert called("versions", "--project", "27")[1].splitlines()[-1] == "project 27, job 3: queued"


def test_the_name_that_rollback_wants_is_whole_however_narrow_the_terminal_is(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "edgesam-c168a5b0-p27-v2" in called("versions", "--project", "27")[1]


def test_an_empty_name_is_no_version(learned):
    assert called("rollback", "--project", "27", "--to", "")[0] == 1
    assert current(learned, KEY).number == 3


def test_versions_of_all_projects():
    code, output = called("versions")
    assert code == 0
    assert [row[-1] for row in rows(output)] == ["yes", "", "", "", "", "yes"]


def test_nothing_learned_yet_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_DIR", str(tmp_path / "empty"))
    code, output = called("versions")
    assert code == 0
    assert output.startswith("nothing was learned yet (MODEL_DIR=")


def test_rolling_back_goes_to_what_served_before_and_then_to_the_base(learned):
    assert called("rollback", "--project", "27") == (0, "project 27: edgesam-c168a5b0-p27-v1 serves now\n")
    assert current(learned, KEY).number == 1
    assert called("rollback", "--project", "27") == (0, "project 27: base serves now\n")
    assert current(learned, KEY) is None
    assert called("rollback", "--project", "27") == (0, "project 27: base serves now\n")


def test_forgetting_a_project_asks_first(learned):
    remember(learned, KEY, "http://127.0.0.1:8080", "0" * 40)
    remember(learned, "27", "http://127.0.0.1:8080", "0" * 40)
    asked = runner.invoke(app, ["forget", "--project", KEY], input="n\n")
    assert (asked.exit_code, len(versions_of(learned, KEY))) == (1, 3)
    assert f"project {KEY} of http://127.0.0.1:8080" in asked.output
    code, output = called("forget", "--project", KEY, "--yes")
    assert (code, output) == (0, f"project {KEY} of http://127.0.0.1:8080 is forgotten\n")
    assert versions_of(learned, KEY) == []
    assert versions_of(learned, "27.5"), "of another Label Studio"
    assert recall(learned, "27"), "of whichever"
    assert called("forget", "--project", "27", "--yes")[0] == 0
    assert recall(learned, "27") is None
    assert called("forget", "--project", "27", "--yes") == (1, "nothing is kept of a project 27\n")


def test_of_two_projects_of_one_number_none_is_forgotten_by_it(learned):
    code, output = called("forget", "--project", "27", "--yes")
    assert code == 1
    assert f"{KEY} (made 2026-11-22)" in output
    assert versions_of(learned, KEY)


def test_a_project_that_only_connected_can_be_forgotten(learned):
    remember(learned, "8.1795354711", "http://127.0.0.1:8080", "0" * 40)
    assert called("forget", "--project", "8", "--yes")[0] == 0
    assert recall(learned, "8.1795354711") is None


def test_a_project_that_a_job_learns_from_is_not_forgotten(learned):
    jobs.enqueue(learned, KEY, "because")
    jobs.claim(learned)
    with FileLock(learned / jobs.LOCK):
        code, output = called("forget", "--project", KEY, "--yes")
    assert code == 1
    assert "learns from it now" in output
    assert versions_of(learned, KEY)


def test_what_was_thrown_out_does_not_come_back_by_rolling_back(learned):
    [first] = [one for one in versions_of(learned, KEY) if one.number == 1]
    metrics = {"compared_with": first.name}
    for number in (4, 5):  # the fourth was rolled back before the fifth was made
        name = f"edgesam-c168a5b0-p27-v{number}"
        record(learned, replace(first, number=number, name=name, metrics=metrics, made=f"2026-11-26T01:0{number}:00"))
    choose(learned, KEY, "edgesam-c168a5b0-p27-v5")
    assert called("rollback", "--project", "27") == (0, f"project 27: {first.name} serves now\n")


@pytest.mark.parametrize(("to", "number"), [("edgesam-c168a5b0-p27-v2", 2), ("base", None)])
def test_rolling_back_to_a_version_that_is_named(learned, to, number):
    assert called("rollback", "--project", "27", "--to", to)[0] == 0
    serving = current(learned, KEY)
    assert (serving and serving.number) == number


def test_a_version_whose_file_is_gone_is_not_chosen(learned):
    (learned / "edgesam-c168a5b0-p27-v1").unlink()
    code, output = called("rollback", "--project", "27")
    assert code == 1
    assert "the file of edgesam-c168a5b0-p27-v1 is gone" in output
    assert current(learned, KEY).number == 3
    assert called("rollback", "--project", "27", "--to", "base")[0] == 0


def test_what_is_not_there_is_told(learned):
    code, output = called("rollback", "--project", "27", "--to", "v9")
    assert code == 1
    assert "project 27 has no version 'v9': give one of edgesam-c168a5b0-p27-v3, " in output
    assert current(learned, KEY).number == 3
    code, output = called("rollback", "--project", "28")
    assert code == 1
    assert "nothing was learned for a project 28" in output


@pytest.mark.parametrize("words", [["versions"], ["rollback", "--project", "27"]])
def test_a_database_of_a_newer_release_is_told(learned, words):
    with sqlite3.connect(learned / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    code, output = called(*words)
    assert code == 1
    assert "was written by a newer release" in output
