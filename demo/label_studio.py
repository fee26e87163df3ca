"""Starts a real Label Studio and talks to its API as a person with a personal access token does."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.services import LOOPBACK, DemoError, Service, running, wait_healthy

# What of our own environment Label Studio may see; its settings are ours alone.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
API_SECONDS = 120.0


@dataclass(frozen=True)
class Account:
    """The first user, made when Label Studio starts for the first time."""

    email: str
    password: str


@contextmanager
def label_studio(executable: Path, folder: Path, port: int, account: Account, log: Path) -> Iterator[Service]:
    """A Label Studio on loopback that keeps its data in `folder`; yields when it answers."""
    address = f"http://{LOOPBACK}:{port}"
    command: list[str | Path] = [executable, "start", "--no-browser", "--internal-host", LOOPBACK, "--port", str(port)]
    with running("Label Studio", command, environment(folder, address, account), address, log) as service:
        wait_healthy(service)
        yield service


def environment(folder: Path, address: str, account: Account) -> dict[str, str]:
    """Label Studio's variables: a backend and webhooks on loopback are allowed, nothing leaves the machine."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder.resolve()),
        "LABEL_STUDIO_HOST": address,
        "LABEL_STUDIO_USERNAME": account.email,
        "LABEL_STUDIO_PASSWORD": account.password,
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LOG_LEVEL": "WARNING",
        "PYTHONUNBUFFERED": "1",
    }


def new_token(address: str, account: Account) -> str:
    """Makes the account's personal access token. Label Studio shows it once: keep it. Raises DemoError."""
    with httpx.Client(base_url=address, timeout=API_SECONDS) as session:
        session.get("/user/login/").raise_for_status()
        form = {"email": account.email, "password": account.password, "csrfmiddlewaretoken": _csrf(session)}
        answer = session.post("/user/login/", data=form)
        if answer.status_code != httpx.codes.FOUND:
            raise DemoError(f"{address} does not let {account.email} in: was the password changed?")
        answer = session.post("/api/token/", headers={"X-CSRFToken": _csrf(session), "Referer": address})
        if answer.status_code == httpx.codes.CONFLICT:
            raise DemoError(f"{account.email} has a personal access token already, and its text is lost")
        return str(answer.raise_for_status().json()["token"])


def _csrf(session: httpx.Client) -> str:
    return session.cookies["csrftoken"]


class PersonalToken(httpx.Auth):
    """Signs requests: a personal access token buys an access token, which lives for five minutes."""

    requires_response_body = True

    def __init__(self, address: str, token: str) -> None:
        self._address, self._token, self._access = address, token, ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._access:
            request.headers["Authorization"] = f"Bearer {self._access}"
            answer = yield request
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                return
        bought = yield httpx.Request("POST", f"{self._address}/api/token/refresh/", json={"refresh": self._token})
        if bought.is_success:
            self._access = bought.json()["access"]
            request.headers["Authorization"] = f"Bearer {self._access}"
        yield request


def client(address: str, token: str) -> httpx.Client:
    """Label Studio's API, for `call`."""
    return httpx.Client(base_url=address, auth=PersonalToken(address, token), timeout=API_SECONDS)


def call(studio: httpx.Client, method: str, path: str, **request: Any) -> Any:
    """One call of Label Studio's API and its JSON (None without a body). Raises DemoError that quotes a refusal."""
    try:
        answer = studio.request(method, path, **request)
    except httpx.TransportError as error:
        raise DemoError(f"{method} {studio.base_url}{path}: {type(error).__name__} {error}") from None
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise DemoError(f"{method} {answer.url}: the demo's token is gone. To start afresh, delete the folder .demo")
    if answer.is_error:
        raise DemoError(f"{method} {answer.url} was answered with {answer.status_code}: {answer.text[:500]}")
    return answer.json() if answer.content else None
