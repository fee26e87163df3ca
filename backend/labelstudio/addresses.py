"""An address as it stands in a task -> where to ask for it. Label Studio passes addresses as they are in the data."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes, urlsplit

from backend.labelstudio.unanswerable import Unanswerable

CLOUD = ("s3", "gs", "azure-blob")
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
SERVER = re.compile(r"(?P<scheme>(?:[A-Za-z][A-Za-z0-9+.-]*:)?//)(?:[^/?#]*@)?")


def shown(address: str) -> str:
    """The address for messages and logs: short, without a password, without the (perhaps signed) query of a server."""
    if found := SERVER.match(address):
        where, _, query = address[found.end() :].partition("?")
        address = found["scheme"] + where + ("?…" if query else "")
    return address if len(address) <= 200 else address[:100] + "…"


def scheme_of(address: str) -> str:
    """The address's scheme in small letters; an empty text for a path."""
    found = SCHEME.match(address)
    return found[1].lower() if found else ""


def web_address(address: str, task: Mapping[str, Any], label_studio: str | None) -> str:
    """The http(s) address to fetch for an address in a task; `label_studio` is Label Studio's, without a last slash.

    What lies in a cloud storage is asked of Label Studio, which has its keys. Raises Unanswerable where the address is
    of an unknown kind, or belongs to Label Studio and nobody said where that is.
    """
    scheme = scheme_of(address)
    if scheme in ("http", "https"):
        return address
    if scheme and scheme not in CLOUD:
        raise Unanswerable(
            "image",
            f"{shown(address)} is of a kind that cannot be fetched: use http(s), data:, a path of Label Studio, or "
            + ", ".join(f"{cloud}://" for cloud in CLOUD),
        )
    if label_studio is None:
        raise Unanswerable(
            "label studio",
            f"{shown(address)} lies in Label Studio, whose address is not known: set LABEL_STUDIO_URL (and "
            "LABEL_STUDIO_API_KEY) to Label Studio's address as this service reaches it, then connect the model again",
        )
    if scheme:
        uri = base64.urlsafe_b64encode(address.encode()).decode()
        task_id = task.get("id")
        if isinstance(task_id, bool) or not isinstance(task_id, int):
            raise Unanswerable(
                "image", f"{shown(address)} needs its task's id to be asked of Label Studio: {task_id!r}"
            )
        return f"{label_studio}/tasks/{task_id}/resolve/?fileuri={uri}"
    if address.startswith("//"):
        return f"{scheme_of(label_studio)}:{address}"
    path = "/" + address.lstrip("/")
    if path.startswith("/upload/"):  # how exports write uploads
        path = "/data" + path
    prefix = urlsplit(label_studio).path
    return label_studio + (path.removeprefix(prefix) if prefix and path.startswith(prefix + "/") else path)


def data_of(address: str, max_bytes: int) -> bytes:
    """The bytes of a data: address. Raises Unanswerable where it is broken or holds more than `max_bytes`."""
    head, comma, body = address.partition(",")
    if not comma:
        raise Unanswerable("image", f"{shown(address)} is a data: address without a comma, so without data")
    if len(body) > 4 * max_bytes:
        raise Unanswerable("image", f"{shown(address)} holds more than the {max_bytes} bytes that are allowed")
    data = unquote_to_bytes(body)
    if head.lower().rstrip().endswith(";base64"):
        try:
            data = base64.b64decode(b"".join(data.split()).translate(bytes.maketrans(b"-_", b"+/")), validate=True)
        except binascii.Error as error:
            raise Unanswerable("image", f"{shown(address)} is not base64 ({error})") from None
    if len(data) > max_bytes:
        raise Unanswerable("image", f"{shown(address)} holds more than the {max_bytes} bytes that are allowed")
    return data


def names_local_file(address: str) -> bool:
    """Whether this is how Label Studio writes a file of a local storage, there or not."""
    return address.partition("?")[0].rstrip("/") == "/data/local-files"


def local_file(address: str, root: Path) -> Path | None:
    """The file below `root` that a /data/local-files/?d=... address names; None where it names none that is there.

    Symbolic links are followed first. Raises Unanswerable where the file lies outside `root`.
    """
    if not names_local_file(address):
        return None
    query = address.partition("?")[2]
    named = parse_qs(query).get("d", [""])[-1].lstrip("/")
    try:
        path = (root / named).resolve()
        inside = path.is_relative_to(root.resolve())
        found = path.is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte
        return None
    if not inside:
        raise Unanswerable("image", f"{shown(address)} lies outside the folder of local files {root}")
    return path if found else None
