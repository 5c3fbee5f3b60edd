"""The passes of an MVM through a board: while it multiplies some vectors, the next ones are on their way."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rmhil.backend import Pass
from rmhil.bench.board_codes import Inputs, Sums
from rmhil.bench.board_commands import route_mvm
from rmhil.bench.board_errors import ConverterSilentError
from rmhil.bench.board_session import BoardSession
from rmhil.bench.link_pending import PendingReport, PendingVectors
from rmhil.bench.safety import signals_held

PART: Final = 2048
"""1: vectors of one request. Changing the route in between costs 35 us, 0.1 % of what they take with 64 ADCs."""

_UNDER_WAY: Final = 2
"""1: requests that the daemon has: the board works on one, the next one waits there."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Vectors of one pass on their way, and the change of route before them."""

    one: Pass
    vectors: slice
    route: PendingReport | None
    results: PendingVectors


def multiply(session: BoardSession, passes: Sequence[Pass], inputs: Inputs, sums: Sums, batch: int) -> None:
    """Run all passes on so many vectors, part by part.

    Raises:
        ConverterSilentError: an ADC did not answer.
        BoardLinkError: the board stopped, or no answer. In both cases requests may be under way.
    """
    under_way: deque[_Job] = deque()
    for start in range(0, batch, PART):
        for one in passes:
            under_way.append(_submit(session, one, slice(start, min(start + PART, batch)), inputs))
            if len(under_way) == _UNDER_WAY:
                _collect(session, under_way.popleft(), sums)
    while under_way:
        _collect(session, under_way.popleft(), sums)


def _submit(session: BoardSession, one: Pass, vectors: slice, inputs: Inputs) -> _Job:
    route, codes = route_mvm(one), inputs.of_pass(one, vectors)
    with signals_held():
        changed = None
        if route != session.route:
            changed = session.link.submit_commands([route])
            session.route, session.gate = route, False
        return _Job(one, vectors, changed, session.link.submit_vectors(codes))


def _collect(session: BoardSession, job: _Job, sums: Sums) -> None:
    session.wait(job.results)
    if job.route is not None:
        session.note(job.route.result())
    silent = sums.add(job.one, job.vectors, job.results.result())
    if silent:
        raise ConverterSilentError(silent)
