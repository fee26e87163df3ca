"""What a request gets that cannot be served: which link is broken, what was wrong, what to do."""

from __future__ import annotations


class Unanswerable(Exception):  # noqa: N818  it says what the request is, as the log line and the answer do
    """link: which part is broken: "labelling configuration", "context", "image", "label studio" or "weights".

    The message says what was wrong, with the value, and what to do. The page shows nothing of it: it is for the log and
    for whoever calls the API.
    """

    def __init__(self, link: str, message: str) -> None:
        super().__init__(message)
        self.link = link


class Unavailable(Unanswerable):
    """A server gave no answer, or has a fault of its own: it said nothing about what it was asked for."""

    def __init__(self, message: str, link: str = "image") -> None:
        super().__init__(link, message)


def is_no_word(status: int) -> bool:
    """Whether a status says nothing about what was asked for: the server, or one before it, is busy or has a fault."""
    return status >= 500 or status in (408, 429)
