"""`connect` connects a project once, with interactive preannotations on, or says why it cannot."""

import httpx
import pytest

from tests.connecting.standins import BACKEND, BRUSH, CLICK, IMAGE, PASSWORD, STUDIO, USER, config

WANTED = {"project": 7, "url": BACKEND, "is_interactive": True}


@pytest.fixture
def connected(called):
    return lambda *words, **variables: called("connect", "--project", "7", *words, **variables)


def test_twice_is_once(connected, studio):
    told = connected()
    assert (told.code, told.only("✗") + told.only("-")) == (0, [])
    assert studio.changes == [("POST", "/api/ml", WANTED | {"title": "EdgeSAM"})]
    assert told.lines["connection"][1] == f"{BACKEND} is connected now, with Interactive preannotations on"
    assert told.output.splitlines()[-1] == f"Click here, with Auto-Annotation on: {STUDIO}/projects/7/data"
    again = connected("--backend", f"{BACKEND}/")
    assert (again.code, again.lines["connection"][1]) == (0, f"{BACKEND} was connected already")
    assert len(studio.changes) == 1


def test_what_label_studio_reaches_at_another_address_is_connected(connected, studio):
    """By hand, from a container for example: a second connection would stand behind it, and nobody would ask it."""
    studio.connect("http://backend:9090", is_interactive=False)
    told = connected()
    assert (told.code, len(studio.models)) == (0, 1)
    assert studio.changes == [("PATCH", "/api/ml/1", WANTED | {"url": "http://backend:9090"})]
    assert told.lines["connection"][1].startswith("http://backend:9090 was connected already (known by its version")
    told = connected("--backend", "http://elsewhere:9090")
    assert [model["url"] for model in studio.models] == ["http://backend:9090", "http://elsewhere:9090"]


@pytest.mark.parametrize("address", [f"http://{USER}:{PASSWORD}@h:99999", f"{USER}:{PASSWORD}@h:9090"])
def test_a_password_in_an_address_that_is_none_is_not_told(connected, address):
    told = connected("--backend", address)
    assert told.code == 2
    assert USER not in told.output


def test_what_is_off_is_switched_on(connected, studio):
    studio.connect("http://other", is_interactive=False)
    studio.connect(is_interactive=False)
    told = connected()
    assert (told.code, studio.changes) == (0, [("PATCH", "/api/ml/2", WANTED)])
    assert "Interactive preannotations was off, and is on now" in told.lines["connection"][1]


def test_an_address_with_a_last_slash_is_the_same(connected, studio):
    studio.connect(f"{BACKEND}/", is_interactive=False)
    told = connected()
    assert (told.code, studio.changes) == (0, [("PATCH", "/api/ml/1", WANTED)])


def test_the_password_goes_along_also_where_it_was_another_one_before(connected, studio, served):
    served.password = PASSWORD
    studio.connect(readable_state="Disconnected")
    told = connected(BASIC_AUTH_USER=USER, BASIC_AUTH_PASS=PASSWORD)
    password = {"auth_method": "BASIC_AUTH", "basic_auth_user": USER, "basic_auth_pass": PASSWORD}
    assert (told.code, studio.changes) == (0, [("PATCH", "/api/ml/1", WANTED | password)])


def test_an_interface_that_lacks_something_is_told_and_connected_all_the_same(connected, studio):
    studio.config = config(CLICK, IMAGE)
    told = connected()
    assert (told.code, told.only("✗"), len(studio.models)) == (0, ["interface"], 1)
    assert BRUSH.replace("mask", "brush") in told.lines["interface"][1]
    assert "It is connected; put right what has a cross" in told.output


def test_another_model_that_the_page_asks_is_told(connected, studio):
    studio.connect("http://other", model_version="another")
    told = connected()
    assert (told.code, told.only("✗"), len(studio.models)) == (1, ["interactive"], 2)
    assert "that is http://other" in told.lines["interactive"][1]


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (
            403,
            {"detail": "The provided URL was not allowed. URLs must not resolve to local or private network addresses"},
            "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false",
        ),
        (403, {"detail": "URL resolves to a reserved network address (block: 127.0.0.0/8)"}, "ML_BLOCK_LOCAL_IP=false"),
        (500, {"detail": "Can't resolve hostname backend"}, "answered 500: Can't resolve hostname backend; is http"),
        (
            400,
            {
                "validation_errors": {
                    "non_field_errors": ["Able to connect, but authentication parameters were incorrect"]
                }
            },
            "refuses the password: set BASIC_AUTH_USER",
        ),
        (
            400,
            {"detail": "Validation error", "validation_errors": {"url": ['Not up. <a href="a">More</a>']}},
            "answered 400: Not up. More; is http",
        ),
        (404, {}, "answered 404 to the token"),
    ],
)
def test_a_refusal_of_label_studio_is_passed_on(connected, studio, status, answer, words):
    studio.refusal = httpx.Response(status, json=answer)
    told = connected()
    assert (told.code, told.only("✗"), told.only("-")) == (1, ["connection"], ["interactive"])
    assert words in told.lines["connection"][1]
    assert "Click here" not in told.output


def test_a_backend_that_does_not_answer_is_not_connected(connected, studio, served):
    served.down = True
    told = connected()
    assert (told.code, told.only("✗"), told.only("-")) == (1, ["backend"], ["connection", "interactive"])
    assert studio.changes == []


def test_an_address_that_only_label_studio_reaches(connected, studio, served):
    told = connected("--backend", "http://backend:9090")
    assert (told.code, studio.changes[0][2]["url"], served.asked) == (0, "http://backend:9090", 0)


@pytest.mark.parametrize(
    ("variables", "code", "line"),
    [({"LABEL_STUDIO_URL": ""}, 1, "Label Studio"), ({"LABEL_STUDIO_API_KEY": "0bad" * 10}, 1, "token")],
)
def test_what_must_be_so_before(connected, studio, variables, code, line):
    told = connected(**variables)
    assert (told.code, told.only("✗"), studio.changes) == (code, [line], [])


@pytest.mark.parametrize("verb", ["connect", "doctor"])
@pytest.mark.parametrize("address", ["127.0.0.1:9090", "http://", "http://a b", "http://there:99999", "http://there:p"])
def test_what_is_no_address_is_wrong_use(called, studio, served, verb, address):
    assert called(verb, "--project", "7", "--backend", address).code == 2
    assert (studio.changes, served.asked) == ([], 0)


def test_an_address_without_a_scheme_is_told_what_to_write(connected):
    assert "write http:// or https://" in " ".join(connected("--backend", "127.0.0.1:9090").output.split())


def test_wrong_use(connected, studio):
    wrong = connected(THREADS="many")
    assert (wrong.code, wrong.output.startswith("THREADS=many")) == (2, True)
    assert studio.changes == []
