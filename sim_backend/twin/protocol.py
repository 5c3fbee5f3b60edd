"""What travels on a twin's control connection: one JSON object a line, each way.

A request is `{"token": .., "do": name, "with": {..}}`, its answer `{"done": ..}` or `{"failed": error, "message": ..}`.
The token is in the URL that the twin hands out; without it nothing is done, since any program of this machine
can connect to a port. Lines have a limit, so that nobody can make the other side hold more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from rmhil import errors
from rmhil.errors import BackendUnavailableError, ConfigError, RmhilError

REQUEST_MAX: Final = 1 << 16
ANSWER_MAX: Final = 1 << 25
"""Bytes of a line, its end included. The largest answer is a map of all cells, or a long record of pulses."""

SCHEME: Final = "twin://"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a twin's control connection is, and what opens it.

    Attributes:
        host, port: it listens there.
        token: the secret that every request carries.
    """

    host: str
    port: int
    token: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Take a URL apart.

        Raises:
            ConfigError: it is not that of a twin.
        """
        place, _, token = url.removeprefix(SCHEME).partition("/")
        host, _, port = place.rpartition(":")
        if not (url.startswith(SCHEME) and host and port.isdigit() and token):
            raise ConfigError(f"{url!r} is not the URL of a twin; it looks like {SCHEME}127.0.0.1:PORT/TOKEN")
        return cls(host, int(port), token)

    def __str__(self) -> str:
        return f"{SCHEME}{self.host}:{self.port}/{self.token}"


def packed(content: dict[str, Any]) -> bytes:
    """A line."""
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def unpacked(line: bytes, limit: int) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValueError: it is longer than the limit, is not complete, or holds something else.
    """
    if len(line) > limit or not line.endswith(b"\n"):
        raise ValueError(f"{len(line)} bytes are not a line of at most {limit}")
    content = json.loads(line)
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content


def failure(error: RmhilError) -> dict[str, Any]:
    """An answer that says what was wrong."""
    known = next(one for one in type(error).__mro__ if getattr(errors, one.__name__, None) is one)
    return {"failed": known.__name__, "message": str(error)}


def raised(answer: dict[str, Any]) -> RmhilError:
    """The error of such an answer, of the class it had."""
    kind = getattr(errors, str(answer.get("failed")), None)
    if not (isinstance(kind, type) and issubclass(kind, RmhilError)):
        kind = BackendUnavailableError
    error = kind.__new__(kind)
    error.args = (str(answer.get("message")),)
    return error
