"""A pulse that may not have been given teaches a policy nothing: its cell begins anew from its reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.backend import Cells, Operation, Pulses, Read, Readings, Status
from rmhil.program_report import Outcome, ProgramReport
from rmhil.write_verify import Incremental
from tests.held_array import HeldArray, HeldBackend

TARGET = np.array([[45e-6, 20e-6]])


class Doubtful(HeldBackend):
    """One of its SET pulses is not given, and nobody knows."""

    def __init__(self, array: HeldArray, doubtful: int) -> None:
        super().__init__(array)
        self._left = doubtful
        self.asked: list[float] = []

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        if pulses is None or pulses.operation[0] != Operation.SET:
            return super().apply(cells, pulses, read)
        self.asked.append(float(pulses.gate_voltage[0]))
        self._left -= 1
        if self._left:
            return super().apply(cells, pulses, read)
        readings = super().apply(cells, None, read)
        return replace(readings, pulse_status=np.full(len(cells), Status.UNCERTAIN, dtype=np.int64))


def program(doubtful: int, policy: str) -> tuple[ProgramReport, list[float]]:
    backend = Doubtful(HeldArray(1, 2), doubtful)
    return Crossbar(backend).program(TARGET, tolerance=1e-6, policy=policy), backend.asked


def test_a_ramp_begins_again_after_a_pulse_in_doubt() -> None:
    _, asked = program(doubtful=4, policy="incremental")
    start, step = Incremental().gate_start, Incremental().gate_step
    np.testing.assert_allclose(asked[:6], start + step * np.array([0, 1, 2, 3, 0, 1]))


@pytest.mark.parametrize("policy", ["incremental", "adaptive"])
def test_the_cell_in_doubt_converges_and_the_report_names_it(policy: str) -> None:
    report, asked = program(doubtful=1, policy=policy)
    assert np.all(report.outcome == Outcome.CONVERGED)
    assert report.maybe_pulsed.tolist() == [[True, False]]
    assert int(report.pulses["set"].sum()) == len(asked)


@pytest.mark.parametrize("policy", ["incremental", "adaptive"])
def test_the_other_cells_go_on_as_if_nothing_had_happened(policy: str) -> None:
    disturbed, undisturbed = program(1, policy)[0], program(0, policy)[0]
    for kind, counts in undisturbed.pulses.items():
        assert disturbed.pulses[kind][0, 1] == counts[0, 1]
    assert disturbed.achieved[0, 1] == undisturbed.achieved[0, 1]
