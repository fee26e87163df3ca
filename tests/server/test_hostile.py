"""Bodies that nobody should send. The service answers each as JSON, and goes on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from tests.server.standins import CONFIG, body, click, picture

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
quick = hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
PICTURE = picture()


def assert_answered(client: TestClient, path: str, content: bytes) -> int:
    answer = client.post(path, content=content)
    assert answer.status_code in {200, 201, 400, 413, 422, 502}, answer.text
    answered = answer.json()
    assert isinstance(answered, dict)
    assert answer.status_code < 300 or (answered["error"] and answered["link"])
    return answer.status_code


@quick
@given(st.sampled_from(["/predict", "/setup", "/webhook"]), st.binary(max_size=60))
def test_any_bytes(client: TestClient, path: str, content: bytes) -> None:
    assert_answered(client, path, content)


@quick
@given(st.sampled_from(["/predict", "/setup", "/webhook"]), anything)
def test_any_json(client: TestClient, path: str, content: Any) -> None:
    assert_answered(client, path, json.dumps(content).encode())


@quick
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "project": anything,
            "hostname": anything,
            "access_token": anything,
            "schema": anything,
            "extra_params": anything,
        },
    )
)
def test_any_setup(client: TestClient, content: Any) -> None:
    assert_answered(client, "/setup", json.dumps(content).encode())


@quick
@given(
    st.lists(st.dictionaries(st.sampled_from(["id", "data", "annotations"]), anything) | anything, max_size=3),
    st.sampled_from([CONFIG, "", "<View/>", "<View>", "<!DOCTYPE x []><View/>"]) | st.text(max_size=30),
    anything,
)
def test_any_parts_in_the_right_places(client: TestClient, tasks: Any, config: str, context: Any) -> None:
    content = {"tasks": tasks, "label_config": config, "params": {"context": context}}
    assert_answered(client, "/predict", json.dumps(content).encode())


@quick
@given(st.data())
def test_a_good_click_with_one_thing_replaced(client: TestClient, data: st.DataObject) -> None:
    content = body(PICTURE, click())
    replace_one(content, data)
    assert_answered(client, "/predict", json.dumps(content).encode())


@quick
@given(st.data())
def test_good_boxes_of_a_detector_with_one_thing_replaced(client: TestClient, data: st.DataObject) -> None:
    value = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["Thing"]}
    box = {"id": "box", "type": "rectanglelabels", "from_name": "found", "to_name": "image", "value": value}
    content = body(PICTURE, None)
    content["tasks"][0]["predictions"] = [{"result": [box], "created_at": "2026-11-27T10:00:00Z"}]
    replace_one(content, data)
    assert_answered(client, "/predict", json.dumps(content).encode())


def replace_one(content: Any, data: st.DataObject) -> None:
    """Anything in the place of one part of the body, anywhere."""
    at = content
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        inner = at[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            at[key] = data.draw(anything)
            break
        at = inner


def test_deep_json_is_refused(client: TestClient) -> None:
    assert assert_answered(client, "/predict", b"[" * 100_000 + b"]" * 100_000) == 400
    assert assert_answered(client, "/predict", b'{"tasks":' * 5_000 + b"1" + b"}" * 5_000) == 400


def test_a_labelling_configuration_that_would_blow_up_is_refused(client: TestClient) -> None:
    bomb = '<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><View>&b;</View>'
    content = body(PICTURE, click()) | {"label_config": bomb}
    assert assert_answered(client, "/predict", json.dumps(content).encode()) == 422
