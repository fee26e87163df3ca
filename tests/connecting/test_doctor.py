"""`doctor` finds what keeps a click from being answered."""

import httpx
import pytest

from tests.connecting.standins import BACKEND, BRUSH, CLICK, IMAGE, PASSWORD, STUDIO, USER, config

HERE = ["settings", "MODEL_DIR", "weights", "backend", "model", "Label Studio", "token"]
IN_PROJECT = ["project", "interface", "connection", "interactive", "picture"]


@pytest.fixture
def examined(called, studio):
    """What doctor tells of project 7, to which the backend is connected."""
    studio.connect()
    return lambda *words, **variables: called("doctor", "--project", "7", *words, **variables)


def test_all_is_well(examined, studio, tmp_path):
    told = examined()
    assert (told.code, told.only("✓")) == (0, HERE + IN_PROJECT)
    assert told.lines["Label Studio"][1] == f"1.23.2 answers at {STUDIO}"
    assert told.lines["connection"][1] == f"Label Studio reaches this backend at {BACKEND}"
    assert told.lines["picture"][1].endswith("/data/upload/7/cat.jpg, 80 x 60 pixels")
    assert "All is well" in told.output
    assert (studio.changes, list(tmp_path.iterdir())) == ([], [])


def test_without_a_project_only_this_machine_and_the_token_are_looked_at(called):
    told = called("doctor")
    assert (told.code, list(told.lines)) == (0, HERE)
    assert "--project" in told.output


@pytest.mark.parametrize(
    ("variables", "line", "words", "skipped"),
    [
        ({"THREADS": "many"}, "settings", "THREADS=many: should be a valid integer", HERE[1:] + IN_PROJECT),
        ({"MODEL_DIR": "/proc"}, "MODEL_DIR", "/proc is not writable", []),
        ({"EDGESAM_WEIGHTS": "mobile_sam"}, "weights", "python -m backend weights fetch mobile_sam", []),
        ({"EDGESAM_WEIGHTS": "gone.pth"}, "weights", "no weights 'gone.pth'", []),
        ({"PORT": "9091"}, "backend", "http://127.0.0.1:9091/health cannot", ["model", "connection", "interactive"]),
        ({"LABEL_STUDIO_URL": ""}, "Label Studio", "LABEL_STUDIO_URL is not set", ["token", *IN_PROJECT]),
        ({"LABEL_STUDIO_URL": "http://other"}, "Label Studio", "is it running?", ["token", *IN_PROJECT]),
        ({"LABEL_STUDIO_URL": BACKEND}, "Label Studio", "without a version", ["token", *IN_PROJECT]),
        ({"LABEL_STUDIO_API_KEY": ""}, "token", "LABEL_STUDIO_API_KEY is not set", IN_PROJECT),
        ({"LABEL_STUDIO_API_KEY": "0bad" * 10}, "token", "answered 401 to the legacy token", IN_PROJECT),
    ],
)
def test_a_wrong_setting_is_told_and_what_needs_it_is_skipped(examined, network, variables, line, words, skipped):
    network.route().mock(side_effect=httpx.ConnectError("refused"))
    told = examined(**variables)
    assert (told.code, told.only("✗"), told.only("-")) == (1, [line], skipped)
    assert words in told.lines[line][1]
    assert all(told.lines[one][1] == f'skipped: first put "{line}" right' for one in skipped)
    assert "All is well" not in told.output


def test_a_folder_that_cannot_be_made(examined, monkeypatch, tmp_path):
    monkeypatch.setattr("backend.connecting.machine.os.access", lambda path, _: path != tmp_path)
    assert (
        f"since {tmp_path} is not writable" in examined(MODEL_DIR=str(tmp_path / "new" / "one")).lines["MODEL_DIR"][1]
    )


def test_a_folder_that_is_made_later(examined, tmp_path):
    assert examined(MODEL_DIR=str(tmp_path / "new")).code == 0
    assert not (tmp_path / "new").exists()


def test_a_project_that_is_not_there(called):
    told = called("doctor", "--project", "8")
    assert (told.code, told.only("✗"), told.only("-")) == (1, ["project"], IN_PROJECT[1:])
    assert "answered 404" in told.lines["project"][1]


@pytest.mark.parametrize(
    ("health", "words"), [({"model_class": "Other"}, "something else than this backend"), ([], "without JSON")]
)
def test_somebody_else_at_the_backends_address(examined, served, health, words):
    served.health = health
    told = examined()
    assert (told.code, told.only("✗")) == (1, ["backend"])
    assert words in told.lines["backend"][1]


def test_a_password(examined, served):
    served.password = PASSWORD
    assert "asks for a password" in examined().lines["backend"][1]
    wrong = examined(BASIC_AUTH_USER=USER, BASIC_AUTH_PASS="another-one")
    assert "refuses the password that is set here" in wrong.lines["backend"][1]
    assert examined(BASIC_AUTH_USER=USER, BASIC_AUTH_PASS=PASSWORD).code == 0


@pytest.mark.parametrize(
    ("status", "words"),
    [("LOADING", "the weights are: clicks wait"), ("FAILED", "could not be loaded: the weights are")],
)
def test_a_model_that_is_not_loaded(examined, served, status, words):
    served.ready = httpx.Response(503, json={"status": status, "reason": "the weights are"})
    told = examined()
    assert (told.code, told.only("✗"), told.only("-")) == (1, ["model"], [])
    assert words in told.lines["model"][1]


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([CLICK, BRUSH], 'add <Image name="image" value="$image"/>'),
        ([BRUSH, IMAGE], 'add <KeyPointLabels name="click" toName="image" smart="true"><Label value="Cat"/>'),
        ([CLICK.replace("true", "false"), BRUSH, IMAGE], "add <KeyPointLabels"),
        ([CLICK.replace('"image"', '"other"'), BRUSH, IMAGE], "add <KeyPointLabels"),
        ([CLICK, IMAGE], 'add <BrushLabels name="brush" toName="image" smart="false"><Label value="Cat"/>'),
        ([CLICK, BRUSH.replace('"image"', '"other"'), IMAGE], "add <BrushLabels"),
        (["<", IMAGE], "not XML"),
    ],
)
def test_an_interface_whose_clicks_get_no_mask(examined, studio, tags, words):
    studio.config = config(*tags)
    told = examined()
    assert told.code == 1
    assert "interface" in told.only("✗")
    assert words in told.lines["interface"][1]
    assert told.lines["interface"][1].endswith(" (project, Settings, Labeling Interface, Code)")


@pytest.mark.parametrize("kind", ["Bitmask", "Polygon", "Ellipse", "Rectangle"])
def test_a_mask_may_be_held_by_something_else(examined, studio, kind):
    studio.config = config(CLICK, BRUSH.replace("Brush", kind), IMAGE)
    assert examined().code == 0


def test_labels_that_masks_would_come_without_are_told(examined, studio):
    studio.config = config(CLICK.replace("Cat", "Dog"), BRUSH, IMAGE)
    told = examined()
    assert (told.code, told.only("✗")) == (1, ["interface"])
    wanted = (
        'masks of Dog come without a label; add <Label value="Dog"/> inside <BrushLabels name="mask" toName="image">'
    )
    assert wanted in told.lines["interface"][1]


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ({"readable_state": "Disconnected"}, "connection", 'calls it "Disconnected"'),
        ({"readable_state": "Error", "error_message": "500 for /setup"}, "connection", "it says: 500 for /setup"),
        ({"is_interactive": False}, "interactive", "Interactive preannotations is off"),
        ({"url": "http://other:9090", "model_version": "another"}, "connection", "but only http://other:9090"),
    ],
)
def test_a_connection_that_is_not_well(examined, studio, more, line, words):
    studio.models = []
    studio.connect(**more)
    told = examined()
    assert (told.code, told.only("✗")) == (1, [line])
    assert words in told.lines[line][1]
    assert "python -m backend connect --project 7" in told.lines[line][1]


def test_passwords_in_addresses_are_not_told(examined, studio, network):
    network.route().mock(side_effect=httpx.ConnectError("refused"))
    studio.models[0]["url"] = f"http://{USER}:{PASSWORD}@backend:9090"
    assert " at http://backend:9090 (known by" in examined().lines["connection"][1]
    told = examined(LABEL_STUDIO_URL=f"http://{USER}:{PASSWORD}@other")
    assert "http://other/api/version/ cannot be reached" in told.lines["Label Studio"][1]


def test_nothing_is_connected(called):
    told = called("doctor", "--project", "7")
    assert (told.code, told.only("✗"), told.only("-")) == (1, ["connection"], ["interactive"])
    assert "nor is any other model" in told.lines["connection"][1]


def test_the_page_asks_the_first_interactive_model(examined, studio):
    studio.models = []
    studio.connect("http://off", is_interactive=False, model_version="another")
    studio.connect()
    assert examined().code == 0
    studio.models[0]["is_interactive"] = True
    told = examined()
    assert (told.code, told.only("✗")) == (1, ["interactive"])
    assert "that is http://off" in told.lines["interactive"][1]


def test_label_studio_may_reach_it_at_another_address(examined, studio):
    studio.models = []
    studio.connect("http://backend:9090/")
    mark, words = examined().lines["connection"]
    assert mark == "✓"
    assert words.startswith("Label Studio reaches this backend at http://backend:9090/ (known by its version; if that")


def test_it_may_be_connected_at_two_addresses(examined, studio):
    studio.models[0]["is_interactive"] = False
    studio.connect("http://backend:9090")
    told = examined()
    assert told.code == 0
    assert told.lines["connection"][1].startswith("Label Studio reaches this backend at http://backend:9090 ")


def test_pictures_that_do_not_come(examined, studio):
    studio.picture = httpx.Response(404)
    assert "cat.jpg answered 404" in examined().lines["picture"][1]
    studio.picture = httpx.Response(200, content=b"no picture")
    assert examined().only("✗") == ["picture"]
    studio.tasks = [{"id": 3, "data": {"photo": "/a.jpg"}}]
    assert "shows $image, but" in examined().lines["picture"][1]
    studio.tasks = []
    assert examined().lines["picture"] == ("✓", "the project has no tasks yet, so none was fetched")


def test_another_address_of_the_backend(examined, network, served):
    network.route(url__startswith="http://there:9090").mock(side_effect=served)
    assert examined("--backend", "http://there:9090").lines["backend"][1] == "answers at http://there:9090"
