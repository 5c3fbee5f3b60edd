"""The journal of a job, held against what the cells of a twin say that they were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from rmhil.backend import Floats, Operation, Status
from rmhil.journal import Fate, Kind, Transaction
from rmhil.store import Run
from rmhil.units import Siemens
from rmhil.wear import WearFile, chip_file_of
from sim_backend.twin import PulseRecord

_DIGITS: Final = 1e-5
"""1: relative; voltages go to the analyser with six digits or more."""


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the pulses of a job.

    Attributes:
        given: pulses that cells had.
        unsure: pulses of which the journal says that they may have been applied.
        unsure_given: how many of these were.
    """

    given: int
    unsure: int
    unsure_given: int


def account(run: Run, given: Sequence[PulseRecord]) -> Account:
    """Hold a journal that has come to its end against what the cells were given: each in order, each once.

    Raises:
        AssertionError: they do not fit.
    """
    told = [one for one in run.journal.transactions() if one.kind is Kind.PULSE and one.fate is not Fate.REFUSED]
    assert {one.fate for one in told} <= {Fate.DONE}, "a resumed job leaves no pulse open"
    _check_order(told, given)
    certain = sum(not is_unsure(one) for one in told)
    _check_wear(run, told)
    return Account(len(given), sum(map(is_unsure, told)), len(given) - certain)


def is_unsure(one: Transaction) -> bool:
    """Whether the journal says that a pulse may have been applied."""
    return one.readings is None or bool(one.readings.pulse_status[0] == Status.UNCERTAIN)


def _check_order(told: Sequence[Transaction], given: Sequence[PulseRecord]) -> None:
    """Every pulse with a result was given, once and in its turn; one without was given or not; no other was given.

    `reached` holds how many of the given ones may have been told of so far.
    """
    reached = {0}
    for one in told:
        following = {place + 1 for place in reached if place < len(given) and _same(one, given[place])}
        following |= reached if is_unsure(one) else set()
        assert following, f"on record and not given, or given twice: {one}; the cells say {_around(given, reached)}"
        reached = following
    assert len(given) in reached, f"given and not on record: {given[max(reached) :]}"


def _around(given: Sequence[PulseRecord], reached: set[int]) -> Sequence[PulseRecord]:
    return given[max(min(reached) - 1, 0) : max(reached) + 2]


def _same(told: Transaction, given: PulseRecord) -> bool:
    pulses = told.pulses
    assert pulses is not None
    sign = -1.0 if pulses.operation[0] == Operation.RESET else 1.0
    return (int(told.cells.bl[0]), int(told.cells.sl[0])) == (given.bl, given.sl) and np.allclose(
        (sign * pulses.amplitude[0], pulses.gate_voltage[0], pulses.width[0]),
        (given.voltage, given.gate_voltage, given.seconds),
        rtol=_DIGITS, atol=0.0,
    )  # fmt: skip


def _check_wear(run: Run, told: Sequence[Transaction]) -> None:
    """The chip file counts every pulse of the job, those that may have been applied too; the chip has had no other."""
    expected: dict[tuple[int, int], list[int]] = {}
    for one in told:
        assert one.pulses is not None
        counts = expected.setdefault((int(one.cells.bl[0]), int(one.cells.sl[0])), [0, 0, 0, 0])
        counts[int(one.pulses.operation[0])] += 1
        counts[3] += is_unsure(one)
    with WearFile.open(chip_file_of(run)) as chip:
        wear = chip.counts()
    columns = (wear.cells.bl, wear.cells.sl, wear.form, wear.set, wear.reset, wear.maybe)
    found = {(bl, sl): list(counts) for bl, sl, *counts in zip(*(part.tolist() for part in columns), strict=True)}
    assert found == expected


def without_reason(run: Run, target: Floats, tolerance: Siemens) -> list[Transaction]:
    """SET and RESET pulses of cells that had been read within their tolerance just before."""
    last: dict[tuple[int, int], float] = {}
    found = []
    for one in run.journal.transactions():
        cell = int(one.cells.bl[0]), int(one.cells.sl[0])
        writes = one.pulses is not None and one.pulses.operation[0] != Operation.FORM
        if writes and abs(last.get(cell, np.inf) - target[cell]) <= tolerance:
            found.append(one)
        if one.readings is not None:
            last[cell] = float(one.readings.conductance[0])
    return found
