"""Requests on their way over a link, and what they will have come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rmhil.bench.link_errors import BoardDroppedError
from rmhil.bench.link_window import Request
from rmhil.bench.messages import Report

if TYPE_CHECKING:
    from rmhil.bench.link import Link


class Pending:
    """Requests on their way."""

    def __init__(self, link: Link, requests: list[Request]) -> None:
        self._link, self._requests = link, requests

    def wait(self, stop: Callable[[], bool]) -> bool:
        """Wait until all have come to an end, or until `stop` holds, which is asked some fifty times a second.

        Returns:
            Whether they have come to an end; `result` then returns or raises at once.
        """
        return self._link.wait(self._requests, stop)


class PendingReport(Pending):
    """Commands on their way; `Link.submit_commands` makes it."""

    def result(self) -> Report:
        """What the board says when they are done.

        Raises:
            BoardLinkError: as `Link.run_commands`.
        """
        self._link.settle(self._requests)
        (request,) = self._requests
        report = Report.unpack(request.answer or b"")
        if report is None:
            raise BoardDroppedError(request.sent, "the answer has another length than a report")
        return report


class PendingVectors(Pending):
    """A batch on its way; `Link.submit_vectors` makes it. The vectors must stay as they are until `result` returns."""

    def __init__(self, link: Link, requests: list[Request], shape: tuple[int, int]) -> None:
        super().__init__(link, requests)
        self._shape = shape

    def result(self) -> NDArray[np.uint16]:
        """The results, in the order of the vectors: uint16, shape (vectors, words of a result).

        Raises:
            BoardLinkError: a part of the batch was not carried out; all of it has come to an end.
        """
        self._link.settle(self._requests)
        results = np.empty(self._shape, dtype=np.uint16)
        at = 0
        for request in self._requests:
            part = np.frombuffer(request.answer or b"", dtype="<u2").reshape(-1, self._shape[1])
            results[at : at + len(part)] = part
            at += len(part)
        return results
