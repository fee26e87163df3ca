"""A Label Studio with one project, and a backend, that tests can look into and break."""

import base64
import json

import httpx

from tests.labelstudio.standins import picture

STUDIO, BACKEND = "http://studio:8080", "http://127.0.0.1:9090"
TOKEN, USER, PASSWORD = "f00d" * 10, "annotators", "pass-the-word"
VERSION = "edgesam-b7eba15d"
IMAGE = '<Image name="image" value="$image"/>'
CLICK = '<KeyPointLabels name="click" toName="image" smart="true"><Label value="Cat"/></KeyPointLabels>'
BRUSH = '<BrushLabels name="mask" toName="image" smart="false"><Label value="Cat"/></BrushLabels>'


def config(*tags):
    return f"<View>{''.join(tags)}</View>"


class Studio:
    """Label Studio: project 7, what is connected to it, and all changes that were asked for.

    refusal: what it answers to those instead.
    """

    def __init__(self):
        self.config = config(CLICK, BRUSH, IMAGE)
        self.tasks = [{"id": 3, "data": {"image": "/data/upload/7/cat.jpg"}}]
        self.picture = httpx.Response(200, content=picture(80, 60), headers={"content-type": "image/jpeg"})
        self.release = httpx.Response(200, json={"release": "1.23.2"})
        self.models, self.changes, self.refusal = [], [], None

    def connect(self, url=BACKEND, **more):
        """Adds a model as it is when all is well, but for `more`."""
        number = len(self.models) + 1
        model = {"id": number, "url": url, "is_interactive": True, "readable_state": "Connected"}
        self.models.append(model | {"error_message": None, "model_version": VERSION} | more)

    def __call__(self, request):
        path = request.url.path
        if path == "/api/version/":
            return self.release
        if request.headers.get("authorization") != f"Token {TOKEN}":
            return httpx.Response(401)
        if path.startswith("/api/ml") and request.method != "GET":
            return self._changed(request)
        match path:
            case "/api/current-user/whoami":
                return httpx.Response(200, json={"email": "ada@example.com"})
            case "/api/projects/7/":
                about = {"label_config": self.config, "task_number": len(self.tasks)}
                return httpx.Response(200, json=about | {"created_at": "2026-11-22T13:38:31Z"})
            case "/api/ml" if request.url.params["project"] == "7":
                return httpx.Response(200, json=self.models)
            case "/api/tasks/":
                return httpx.Response(200, json={"tasks": self.tasks})
            case "/data/upload/7/cat.jpg":
                return self.picture
        return httpx.Response(404, json={"detail": "Not found."})

    def _changed(self, request):
        wanted = json.loads(request.content)
        self.changes.append((request.method, request.url.path, wanted))
        if self.refusal:
            return self.refusal
        kept = {"is_interactive": wanted["is_interactive"], "readable_state": "Connected"}
        if request.method == "POST":
            self.connect(wanted["url"], **kept)
        else:
            self.models[int(request.url.path.rpartition("/")[2]) - 1] |= kept
        return httpx.Response(200, json={})


class Backend:
    """The backend's own answers; only to those who know the password, where it has one."""

    def __init__(self):
        self.password, self.down, self.asked = None, False, 0
        self.health = {"status": "UP", "model_class": "EdgeSAMBackend"}
        self.ready = httpx.Response(200, json={"status": "READY", "model_version": VERSION, "engine": "openvino"})

    def __call__(self, request):
        self.asked += 1
        if self.down:
            raise httpx.ConnectError("Connection refused")
        known = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        path = request.url.path
        if self.password and path != "/ready" and request.headers.get("authorization") != f"Basic {known}":
            return httpx.Response(401, json={"error": "password"})
        if path == "/ready":
            return self.ready
        return httpx.Response(200, json=self.health if path == "/health" else {"versions": [VERSION]})
