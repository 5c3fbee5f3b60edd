"""The control connection of a twin, on the side of its process."""

from __future__ import annotations

import hmac
import json
import secrets
import socketserver
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from loguru import logger

from rmhil.errors import ConfigError, RmhilError
from sim_backend.twin.protocol import REQUEST_MAX, Address, failure, packed, unpacked
from sim_backend.twin.settings import LOOPBACK

Action = Callable[..., Any]

_TOKEN_BYTES: Final = 16

_STRANGER: Final = 10.0
"""s that a connection may be silent before its first request."""


class Control:
    """Answers requests in threads of its own; one of them at a time is carried out.

    Args:
        actions: what may be asked for, by name; they take keywords and give what JSON takes.
        port: 0 takes a free one.

    Raises:
        ConfigError: the port is in use.
    """

    def __init__(self, actions: Mapping[str, Action], port: int) -> None:
        self._actions = dict(actions)
        self._token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._door = threading.Lock()
        control = self

        class Handler(socketserver.StreamRequestHandler):
            """One connection."""

            timeout = _STRANGER

            def handle(self) -> None:
                control._serve(self)

        try:
            self._server = _Server((LOOPBACK, port), Handler)
        except OSError as error:
            raise ConfigError(f"control port {port} of {LOOPBACK}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)

    @property
    def address(self) -> Address:
        """Where it listens, and its token."""
        return Address(LOOPBACK, self._server.server_address[1], self._token)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, connection: socketserver.StreamRequestHandler) -> None:
        try:
            while line := connection.rfile.readline(REQUEST_MAX + 1):
                request = unpacked(line, REQUEST_MAX)
                if not hmac.compare_digest(str(request.get("token")).encode(), self._token.encode()):
                    logger.warning("a control connection without the token was closed")
                    return
                connection.connection.settimeout(None)
                connection.wfile.write(packed(self._answer(request)))
        except (OSError, ValueError) as error:
            logger.warning("a control connection was closed: {}", error)

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name, given = str(request.get("do")), request.get("with", {})
        try:
            if name not in self._actions or not isinstance(given, dict):
                raise ConfigError(f"unknown request {json.dumps(name)}; known: {', '.join(sorted(self._actions))}")
            with self._door:
                return {"done": self._actions[name](**given)}
        except RmhilError as error:
            return failure(error)
        except Exception as error:  # the twin goes on, whoever asks gets to know
            logger.opt(exception=error).error("request {} failed", name)
            return {"failed": "BackendUnavailableError", "message": f"{name}: {type(error).__name__}: {error}"}


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
