"""Addresses as they stand in tasks."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.labelstudio.addresses import data_of, local_file, scheme_of, shown, web_address
from backend.labelstudio.unanswerable import Unanswerable

STUDIO = "https://studio.example:8443"


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("/data/upload/1/57bc37df-dog.jpg", STUDIO + "/data/upload/1/57bc37df-dog.jpg"),
        ("/data/local-files/?d=photos/dog.jpg", STUDIO + "/data/local-files/?d=photos/dog.jpg"),
        ("upload/1/dog.jpg", STUDIO + "/data/upload/1/dog.jpg"),
        ("/upload/1/dog.jpg", STUDIO + "/data/upload/1/dog.jpg"),
        ("static/dog.jpg", STUDIO + "/static/dog.jpg"),
        ("/tasks/7/resolve/?fileuri=czM6Ly9i", STUDIO + "/tasks/7/resolve/?fileuri=czM6Ly9i"),
        ("http://elsewhere/dog.jpg", "http://elsewhere/dog.jpg"),
        ("HTTPS://elsewhere/dog.jpg", "HTTPS://elsewhere/dog.jpg"),
        ("//elsewhere/dog.jpg", "https://elsewhere/dog.jpg"),
    ],
)
def test_where_an_address_is_asked_for(address, asked):
    assert web_address(address, {"id": 7}, STUDIO) == asked


@pytest.mark.parametrize("address", ["s3://bucket/a/dög.jpg", "gs://bucket/dog.jpg", "azure-blob://container/dog.jpg"])
def test_what_lies_in_a_cloud_is_asked_of_label_studio(address):
    asked = web_address(address, {"id": 7}, STUDIO)
    start = f"{STUDIO}/tasks/7/resolve/?fileuri="
    assert asked.startswith(start)
    assert base64.urlsafe_b64decode(asked.removeprefix(start)).decode() == address


@pytest.mark.parametrize("task", [{}, {"id": "7/../8"}, {"id": True}])
def test_a_cloud_address_needs_the_tasks_id(task):
    with pytest.raises(Unanswerable, match="needs its task's id"):
        web_address("s3://bucket/dog.jpg", task, STUDIO)


def test_a_label_studio_below_a_path():
    assert web_address("/data/upload/1/a.jpg", {}, "http://host/studio") == "http://host/studio/data/upload/1/a.jpg"
    assert (
        web_address("/studio/data/upload/1/a.jpg", {}, "http://host/studio") == "http://host/studio/data/upload/1/a.jpg"
    )
    assert web_address("/studios/a.jpg", {}, "http://host/studio") == "http://host/studio/studios/a.jpg"


@pytest.mark.parametrize("address", ["/data/upload/1/dog.jpg", "dog.jpg", "s3://bucket/dog.jpg"])
def test_without_label_studios_address_the_message_says_what_to_set(address):
    with pytest.raises(Unanswerable, match="set LABEL_STUDIO_URL") as caught:
        web_address(address, {"id": 7}, None)
    assert caught.value.link == "label studio"


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://host/a.jpg", "javascript:alert(1)", "C:/photos/a.jpg"]
)
def test_other_kinds_of_addresses_are_refused(address):
    with pytest.raises(Unanswerable, match="of a kind that cannot be fetched"):
        web_address(address, {"id": 7}, STUDIO)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://user:secret@host/a.jpg", "https://host/a.jpg"),
        ("https://host/a.jpg?X-Amz-Signature=secret", "https://host/a.jpg?…"),
        ("//user:secret@host/a.jpg?secret", "//host/a.jpg?…"),
        ("/data/local-files/?d=photos/dog.jpg", "/data/local-files/?d=photos/dog.jpg"),
        ("data:image/png;base64," + "A" * 500, "data:image/png;base64," + "A" * 78 + "…"),
    ],
)
def test_messages_show_no_secrets(address, told):
    assert shown(address) == told


@given(st.text())
def test_any_address_is_read_or_refused(address):
    shown(address)
    scheme_of(address)
    try:
        asked = web_address(address, {"id": 7}, STUDIO)
    except Unanswerable:
        return
    assert scheme_of(asked) in ("http", "https")


@pytest.mark.parametrize(
    "address",
    [
        "data:image/png;base64,aGVsbG8=",
        "data:;base64,aGVsbG8=",
        "data:image/png;name=a.png;base64,aGVs%0AbG8%3D",
        "data:image/png;base64,aGVs\n bG8=",
        "data:text/plain,hello",
        "DATA:,h%65llo",
    ],
)
def test_data_addresses(address):
    assert data_of(address, 5) == b"hello"


def test_data_addresses_for_paths_are_read_too():
    data = bytes(range(256))
    assert data_of("data:;base64," + base64.urlsafe_b64encode(data).decode(), 256) == data


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("data:image/png;base64", "without a comma"),
        ("data:image/png;base64,a", "not base64"),
        ("data:image/png;base64,aGVsbG8", "not base64"),
        ("data:image/png;base64,äöü=", "not base64"),
        ("data:,hello!", "more than the 5 bytes"),
        ("data:," + "a" * 100, "more than the 5 bytes"),
    ],
)
def test_broken_and_large_data_addresses_are_refused(address, why):
    with pytest.raises(Unanswerable, match=why):
        data_of(address, 5)


@given(st.text().map("data:;base64,".__add__) | st.text().map("data:".__add__))
def test_any_data_address_is_read_or_refused(address):
    try:
        data = data_of(address, 50)
    except Unanswerable:
        return
    assert len(data) <= 50


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "photos").mkdir(parents=True)
    (tmp_path / "root" / "photos" / "a dog.jpg").write_bytes(b"dog")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "root" / "inner").symlink_to(tmp_path / "root" / "photos")
    return tmp_path / "root"


@pytest.mark.parametrize(
    "named", ["photos/a%20dog.jpg", "/photos/a+dog.jpg", "inner/a%20dog.jpg", "photos/../photos/a dog.jpg"]
)
def test_a_local_file_below_the_root(root, named):
    found = local_file("/data/local-files/?d=" + named, root)
    assert found
    assert found.read_bytes() == b"dog"


@pytest.mark.parametrize("named", ["link", "../secret", "photos/../../secret", "%2e%2e/secret"])
def test_a_file_outside_the_root_is_refused(root, named):
    with pytest.raises(Unanswerable, match="outside the folder of local files"):
        local_file("/data/local-files/?d=" + named, root)


@pytest.mark.parametrize(
    "address",
    [
        "/data/local-files/?d=none.jpg",
        "/data/local-files/?d=photos",
        "/data/local-files/?d=",
        "/data/local-files/",
        "/data/local-files/?d=a%00b",
        "/data/local-files/?d=" + "a" * 5000,
        "/data/upload/1/a.jpg?d=photos/a dog.jpg",
        "http://host/data/local-files/?d=photos/a dog.jpg",
    ],
)
def test_what_is_no_local_file_that_is_there(root, address):
    assert local_file(address, root) is None
