"""The backend is asked directly."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from backend.connecting.findings import AmissError
from backend.connecting.service import own_address, service_at
from backend.labelstudio.client import release_at
from backend.labelstudio.unanswerable import Unanswerable
from backend.settings import Settings


class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"model_class": "EdgeSAMBackend", "versions": ["v1"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing is printed."""


@pytest.fixture
def port():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_proxy_is_passed_by(port, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    settings = Settings(port=port)
    _, service = service_at(own_address(settings), settings)
    assert service.versions == ("v1",)


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_a_name_that_no_server_can_have(host, tmp_path):
    with pytest.raises(AmissError, match="cannot be reached"):
        service_at(f"http://{host}", Settings(model_dir=tmp_path))
    with pytest.raises(Unanswerable, match=r"is not an address|cannot be reached"):
        release_at(f"http://{host}", 1)
