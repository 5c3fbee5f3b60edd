"""Programming a list of cells from whatever state they are in: form, erase, write."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Floats, Ints, Operation, Status
from rmhil.program_report import Outcome, ProgramReport
from rmhil.region import Scalar
from rmhil.units import Siemens
from rmhil.write_verify.cell_run import CellRun, Chosen, climb, drive
from rmhil.write_verify.policy import AnyPolicy, Mask, PerCell
from rmhil.write_verify.ramps import ERASING, FORMING, formed_threshold

FORM_PULSES = 24
"""1: FORM pulses allowed for each cell; the ramp then ends at the default limit of 4.5 V."""

ERASE_PULSES = 8
"""1: RESET pulses allowed for each cell before a rewrite; what they leave is written from there."""


def form_cells(run: CellRun, max_pulses: int = FORM_PULSES) -> None:
    """Read all cells of a run and form the virgin ones; the outcome says which conduct at the end."""
    for chosen in run.chunks():
        run.take_reading(chosen)
        run.finish(_form(run, chosen, max_pulses), Outcome.CONVERGED)


def program_cells(run: CellRun, policy: AnyPolicy, state: PerCell, max_pulses: int, rewrite: bool) -> None:
    """Read all cells of a run, form the virgin ones, erase all if they are to be rewritten, and write.

    Cells that the policy wants to see again after its pause are read once all others are done.

    Args:
        run: nothing has been driven yet.
        policy: judges the cells and chooses the pulses.
        state: of the policy at its start, for all cells of the run.
        max_pulses: SET and RESET pulses allowed for each cell, erasing apart.
        rewrite: whether every cell is erased first.
    """
    limit = np.full(len(run.cells), max_pulses, dtype=np.int64)
    waiting = []
    for chosen in run.chunks():
        run.take_reading(chosen)
        chosen = _form(run, chosen, FORM_PULSES)
        if rewrite:
            _erase(run, chosen)
            limit[chosen] += run.writes(chosen)
        waiting.append(drive(run, chosen, policy, state[chosen], state, limit))
        _tell_compliance(run, chosen)
    while any(len(chosen) for chosen, _ in waiting):
        run.wait(policy.pause)
        waiting = [_resume(run, chosen, policy, rested, state, limit) for chosen, rested in waiting if len(chosen)]


def _resume(
    run: CellRun, chosen: Chosen, policy: AnyPolicy, state: PerCell, fresh: PerCell, limit: Ints
) -> tuple[Chosen, PerCell]:
    """Read some cells that have rested, and drive those on that are not at their targets any more."""
    run.take_reading(chosen)
    resting = drive(run, chosen, policy, state, fresh, limit)
    _tell_compliance(run, chosen)
    return resting


def _form(run: CellRun, chosen: Chosen, max_pulses: int) -> Chosen:
    """Form the virgin ones of some cells; returns those that conduct."""
    threshold = formed_threshold(run.spec)

    def formed(cells: Chosen) -> Mask:
        return np.asarray((run.conductance[cells] >= threshold) | (run.status[cells] != Status.NORMAL))

    climb(run, chosen, FORMING, formed, max_pulses)
    conducts = formed(chosen)
    run.finish(chosen[~conducts], Outcome.FORM_FAILED)
    return chosen[conducts]


def _erase(run: CellRun, chosen: Chosen) -> None:
    """RESET every one of some cells at least once, until it is below the window."""

    def erased(cells: Chosen) -> Mask:
        low = run.conductance[cells] <= run.spec.conductance_min
        return np.asarray(low & (run.pulses[Operation.RESET, cells] > 0))

    climb(run, chosen, ERASING, erased, ERASE_PULSES)


def _tell_compliance(run: CellRun, chosen: Chosen) -> None:
    """A cell that was given up without a valid reading is neither stuck nor merely late."""
    given_up = np.isin(run.outcome[chosen], (Outcome.STUCK, Outcome.OUT_OF_PULSES))
    run.finish(chosen[given_up & (run.status[chosen] != Status.NORMAL)], Outcome.COMPLIANCE)


def report_of(
    run: CellRun, named: NDArray[np.bool_], target: Floats, tolerance: Siemens, policy: str, shape: tuple[int, ...]
) -> ProgramReport:
    """The record of a run as maps.

    Args:
        run: finished, or cut short.
        named: the cells of the run, in a map of all cells.
        target: S, a map.
        tolerance: S.
        policy: its name.
        shape: of the maps in the report.
    """

    def spread(values: NDArray[Scalar], empty: float) -> NDArray[Scalar]:
        full: NDArray[Scalar] = np.full(named.shape, empty, dtype=values.dtype)
        full[named] = values
        return full.reshape(shape)

    return ProgramReport(
        target=target.reshape(shape),
        tolerance=tolerance,
        achieved=spread(run.conductance, np.nan),
        believed=spread(run.believed, np.nan),
        pulses={kind: spread(run.pulses[code], 0) for code, kind in enumerate(("form", "set", "reset"))},
        reads=spread(run.reads, 0),
        outcome=spread(run.outcome, Outcome.LEFT_ALONE),
        maybe_pulsed=spread(run.maybe_pulsed, False),
        policy=policy,
        provenance=run.spec.provenance,
        seconds=run.seconds,
    )
