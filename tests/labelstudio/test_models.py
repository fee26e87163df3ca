"""Connected backends as Label Studio's API writes them."""

import httpx
import pytest

from backend.labelstudio.models import Connecting, Model, models_in, refusal_in
from backend.labelstudio.unanswerable import Unanswerable

TOLD = {"id": 4, "url": "http://a", "is_interactive": True, "readable_state": "Connected", "model_version": "v1"}


def test_models_are_read():
    error = {"id": 5, "is_interactive": False, "readable_state": "Error", "error_message": "why", "model_version": None}
    assert models_in([TOLD, TOLD | error]) == [
        Model(4, "http://a", True, "Connected", "", "v1"),
        Model(5, "http://a", False, "Error", "why", ""),
    ]


@pytest.mark.parametrize("answer", [{"detail": "no"}, [{}], [None], None, [TOLD | {"id": "x"}]])
def test_what_is_no_list_of_models_is_refused(answer):
    with pytest.raises(Unanswerable, match="no list of models"):
        models_in(answer)


def test_a_password_is_sent_and_not_shown():
    wanted = Connecting("http://a", "user", "pass-the-word")
    assert "pass-the-word" not in repr(wanted)
    assert wanted.body(7) == {
        "project": 7,
        "url": "http://a",
        "is_interactive": True,
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": "user",
        "basic_auth_pass": "pass-the-word",
    }
    assert "auth_method" not in Connecting("http://a", None, None).body(7)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(400, json={"detail": "d", "validation_errors": {"a": ["<b>one</b>", "two"]}}), "one two"),
        (httpx.Response(403, json={"detail": "d"}), "d"),
        (httpx.Response(500, json={}), ""),
        (httpx.Response(500, json=["d"]), ""),
        (httpx.Response(502, html="<html>"), ""),
    ],
)
def test_the_words_of_a_refusal(answer, words):
    assert refusal_in(answer) == words


@pytest.mark.parametrize(
    ("errors", "words"),
    [({"url": 5}, ""), ({"url": "no such host"}, "no such host"), ({"a": {"b": ["one", {"c": "two"}]}}, "one two")],
)
def test_refusals_of_any_shape(errors, words):
    assert refusal_in(httpx.Response(400, json={"validation_errors": errors})) == words


def test_a_refusal_that_quotes_a_whole_mask_is_cut():
    assert len(refusal_in(httpx.Response(400, json={"detail": "x" * 1_000_000}))) == 400
