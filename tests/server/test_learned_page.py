"""The page for people about what was learned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from backend.accepted import jobs
from backend.accepted.database import FILE
from backend.accepted.versions import choose, proposer_file
from backend.segmentation.proposer_files import write_proposer
from backend.server.app import create_app
from backend.settings import read_settings
from tests.labelstudio.test_answering_proposals import proposer
from tests.server.learned import PROJECT, learned
from tests.server.standins import IdleRunner, loaded, never_loaded
from tests.server.test_doors import basic

REFRESHED = '<meta http-equiv="refresh"'


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[TestClient]:
    """A service with a password, which is given."""
    settings = read_settings(model_dir=tmp_path, basic_auth_user="anna", basic_auth_pass="geheim")
    with TestClient(create_app(settings, loaded, IdleRunner), headers=basic("anna:geheim")) as client:
        yield client


def shown(client: TestClient) -> str:
    answer = client.get("/learning")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def cells(page: str, of: str) -> list[str]:
    """The text of the table row that holds `of`."""
    [row] = [row for row in page.split("<tr") if of in row]
    return [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.split(r"<td[^>]*>|</table", row)[1:]]


def test_nothing_learned_yet(client: TestClient) -> None:
    page = shown(client)
    assert "Nothing yet." in page
    assert REFRESHED not in page


def test_versions_with_figures_and_which_one_serves(client: TestClient, tmp_path: Path) -> None:
    first, second = learned(tmp_path, 1), learned(tmp_path, 2, serves=False, promoted=False)
    page = shown(client)
    assert "Project 27<" in page
    figures = "61.0 / 41.0 / 51.0 / 56.0 -&gt; 71.0 / 62.0 / 66.0 / 69.0"
    for version, better, serves in ((first, "yes", "yes"), (second, "", "")):
        name, made, *values = cells(page, version.name)
        assert (name, made, values[0]) == (version.name, f"2026-11-22 13:0{version.number}", figures)
        assert values[2:4] == [better, serves]
    assert cells(page, ">base")[5] == ""
    choose(tmp_path, PROJECT, None)
    assert cells(shown(client), ">base")[5] == "yes"


def test_a_version_of_other_weights_does_not_serve(client: TestClient, tmp_path: Path) -> None:
    version = learned(tmp_path, base="c168a5b0")
    write_proposer(proposer(), version.name, "9 of 10 proposals are right", proposer_file(tmp_path, PROJECT))
    page = shown(client)
    assert "no: it was learned from other weights" in cells(page, version.name)[-1]
    assert "It proposes" not in page


def test_a_job_says_how_far_it_is_and_the_page_asks_anew_until_it_ends(client: TestClient, tmp_path: Path) -> None:
    number = jobs.enqueue(tmp_path, PROJECT, "Start Training").number
    assert REFRESHED in shown(client)
    jobs.claim(tmp_path)
    jobs.tell(tmp_path, number, "learning: 2.1 of 8.0 minutes & <more>")
    page = shown(client)
    assert REFRESHED in page
    assert 'class="running">running' in page
    assert "learning: 2.1 of 8.0 minutes &amp; &lt;more&gt;" in page
    jobs.fail(tmp_path, number, "3 masks on 1 pictures are too few")
    page = shown(client)
    assert REFRESHED not in page
    assert 'class="failed">failed' in page
    assert "are too few" not in page, "it may name a picture"
    assert "the log says why" in page


def test_why_a_job_failed_is_told_to_who_has_the_password(opened: TestClient, tmp_path: Path) -> None:
    jobs.fail(tmp_path, jobs.enqueue(tmp_path, PROJECT, "because").number, "a picture of somebody cannot be had")
    assert "a picture of somebody cannot be had" in shown(opened)


def test_projects_at_work_come_first(client: TestClient, tmp_path: Path) -> None:
    jobs.enqueue(tmp_path, PROJECT, "because")
    learned(tmp_path, project="31.1795354900")
    page = shown(client)
    assert page.index("Project 27<") < page.index("Project 31<")


def test_a_version_whose_file_is_gone_does_not_serve(client: TestClient, tmp_path: Path) -> None:
    version = learned(tmp_path)
    version.file.unlink()
    page = shown(client)
    assert cells(page, version.name)[-1] == "no: its file is gone"
    assert cells(page, ">base")[5] == "yes"


def test_while_the_weights_load_it_is_shown_as_well(tmp_path: Path) -> None:
    version = learned(tmp_path)
    with TestClient(create_app(read_settings(model_dir=tmp_path), never_loaded, IdleRunner)) as client:
        assert cells(shown(client), version.name)[-1] == "yes"


def test_what_is_proposed_is_told_unless_it_is_turned_off(client: TestClient, tmp_path: Path) -> None:
    version = learned(tmp_path)
    write_proposer(proposer(), version.name, "9 of 10 proposals are right", proposer_file(tmp_path, PROJECT))
    assert "It proposes: 9 of 10 proposals are right" in shown(client)
    settings = read_settings(model_dir=tmp_path, edgesam_proposals=False)
    with TestClient(create_app(settings, loaded, IdleRunner)) as without:
        assert "It proposes" not in shown(without)


def test_a_report_is_read_behind_the_password_and_linked_there(opened: TestClient, tmp_path: Path) -> None:
    version = learned(tmp_path)
    [link] = re.findall(r'<a href="([^"]*)"', shown(opened))
    answer = opened.get(f"/{link}")
    assert (answer.status_code, answer.text) == (200, f"<h1>the report of {version.name}</h1>")


def test_without_a_password_no_pictures_are_shown(client: TestClient, tmp_path: Path) -> None:
    version = learned(tmp_path)
    assert "<a " not in shown(client)
    answer = client.get(f"/learning/{PROJECT}/{version.number}")
    assert answer.status_code == 403
    assert "BASIC_AUTH_USER" in answer.json()["error"]


@pytest.mark.parametrize(
    "path", [f"/learning/{PROJECT}/2", f"/learning/{PROJECT}/x", "/learning/28.1/1", "/learning/..%2f..%2fetc/1"]
)
def test_a_report_that_is_not_there_is_told(opened: TestClient, tmp_path: Path, path: str) -> None:
    learned(tmp_path)
    assert opened.get(path).status_code == 404


def test_a_report_whose_file_is_gone_is_told(opened: TestClient, tmp_path: Path) -> None:
    learned(tmp_path).file.with_suffix(".html").unlink()
    assert opened.get(f"/learning/{PROJECT}/1").status_code == 404


def test_what_a_password_changes_is_told(client: TestClient, opened: TestClient, tmp_path: Path) -> None:
    heard, unheard = "When enough regions were accepted", "chosen in the project's settings"
    assert (heard in shown(client), unheard in shown(client)) == (True, True)
    assert (heard in shown(opened), unheard in shown(opened)) == (False, False)


def test_a_database_that_cannot_be_read_is_told(opened: TestClient, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    for path in ("/learning", f"/learning/{PROJECT}/1"):
        answer = opened.get(path)
        assert answer.status_code == 503
        assert FILE in answer.json()["error"]
