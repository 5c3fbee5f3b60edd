"""Answering from the journal what a resumed job has done already.

A job is deterministic in its readings: what it asks for next follows from what it has read. So it is resumed by running
it again, with the journal in the place of the array for as long as the journal lasts. Policy, counters and report
are then where they were, with nothing kept of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Final

import numpy as np

from rmhil.backend import Cells, Operation, Pulses, Read
from rmhil.errors import ResumeError
from rmhil.journal.entries import Fate, Kind, Transaction

_SAME: Final = 1e-9
"""1: relative difference of two voltages that were meant to be the same, computed by another machine."""


class Replay:
    """What a job did, in order, to be asked for again.

    Args:
        transactions: of the job, oldest first.
    """

    def __init__(self, transactions: Iterable[Transaction]) -> None:
        self._following = iter(transactions)
        self._next = self._advance()

    @property
    def is_over(self) -> bool:
        """Whether everything was answered, so that the array is to be driven from now on."""
        return self._next is None

    def next(self, cells: Cells, pulses: Pulses | None, read: Read) -> Transaction | None:
        """What became of the next thing that the job asks for: None where it was not done yet.

        A transaction without readings may have been applied: its cells are to be read before anything else.

        Raises:
            ResumeError: the job asks for something else than it did; nothing was driven.
        """
        done = self._next
        if done is None:
            return None
        if not (_same_cells(done.cells, cells) and _same_pulses(done.pulses, pulses) and done.read == read):
            raise ResumeError(
                f"the job goes another way than its journal: there, transaction {done.id} is "
                f"{_said(done.cells, done.pulses)}; now it asks for {_said(cells, pulses)}. Program "
                "the target anew on the same array: cells are read first, and those in tolerance are not pulsed"
            )
        self._next = self._advance()
        return done

    def _advance(self) -> Transaction | None:
        """The next one that was not refused: a refused one drove nothing, and ended the job's attempt."""
        for done in self._following:
            if done.kind is Kind.SWEEP:
                raise ResumeError(f"transaction {done.id} is a sweep: a job with sweeps cannot be resumed")
            if done.fate is not Fate.REFUSED:
                return done
        return None


def _same_cells(one: Cells, other: Cells) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.index, other.index, strict=True))


def _same_pulses(one: Pulses | None, other: Pulses | None) -> bool:
    if one is None or other is None:
        return one is other
    names = (field.name for field in fields(Pulses))
    return all(np.allclose(getattr(one, name), getattr(other, name), rtol=_SAME, atol=0.0) for name in names)


def _said(cells: Cells, pulses: Pulses | None) -> str:
    """The first cell of a transaction, and what is done with it."""
    first = f"({cells.array[0]}, {cells.bl[0]}, {cells.sl[0]})" if len(cells) else "none"
    if pulses is None:
        return f"a read of {len(cells)} cells from {first}"
    volts = f"{pulses.amplitude[0]:.6g} V, gate {pulses.gate_voltage[0]:.6g} V"
    return f"{Operation(pulses.operation[0]).name} at {volts} on {len(cells)} cells from {first}"
