from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.backend import Operation, Read, Status
from rmhil.errors import BackendUnavailableError
from rmhil.journal import CellEvent, Fate, Kind, cell_history
from rmhil.ledger import Ledger
from rmhil.recording import recording
from rmhil.store import Run
from tests.held_array import HeldArray, HeldBackend

TARGET = np.array([[20e-6, 65e-6], [33e-6, np.nan]])


@pytest.fixture(params=[None, 1])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> HeldArray:
    return HeldArray(2, 2, cells_at_once=request.param, name=f"held in {tmp_path}")


def program(array: HeldArray, root: Path, target: np.ndarray = TARGET) -> Path:
    backend = HeldBackend(array)
    with (
        Run.create(root, command="test", backend_spec=backend.spec) as run,
        recording(run, backend, "program", {}, Ledger()) as (recorded, _),
    ):
        Crossbar(recorded).program(target)
    return run.path


def pulses(events: list[CellEvent]) -> list[tuple[object, ...]]:
    return [(event.operation, event.amplitude, event.gate_voltage) for event in events if event.kind is Kind.PULSE]


def test_a_cells_history_is_every_pulse_and_reading_of_it_over_all_runs(array: HeldArray, tmp_path: Path) -> None:
    runs = [program(array, tmp_path / "first"), program(array, tmp_path / "second", TARGET[::-1])]
    for bl, sl in ((0, 0), (0, 1), (1, 0), (1, 1)):
        given = [
            (Operation(one.operation), one.amplitude, one.gate_voltage)
            for one in array.given
            if (one.bl, one.sl) == (bl, sl)
        ]
        events = cell_history(runs, 0, bl, sl)
        assert pulses(events) == given
        assert events[-1].conductance == array.conductance[0, bl, sl]
        assert {event.job for event in events} == {"program"}
        assert [event.clock for event in events] == sorted(event.clock for event in events if event.clock is not None)


def test_another_cell_has_no_part_in_it(array: HeldArray, tmp_path: Path) -> None:
    assert cell_history([program(array, tmp_path)], 0, 1, 1) == []


def test_what_may_have_been_applied_is_in_it_without_a_reading(array: HeldArray, tmp_path: Path) -> None:
    backend = HeldBackend(array)
    run = Run.create(tmp_path, command="test", backend_spec=backend.spec)
    given, measure = array.given, array.measure

    def lost(cells: object, read: Read) -> object:
        if len(given) >= 4:
            raise BackendUnavailableError("no answer")
        return measure(cells, read)  # type: ignore[arg-type]

    array.measure = lost  # type: ignore[method-assign, assignment]
    with (
        pytest.raises(BackendUnavailableError),
        run,
        recording(run, backend, "program", {}, Ledger()) as (recorded, _),
    ):
        Crossbar(recorded).program(TARGET)
    last = cell_history([run.path], 0, given[-1].bl, given[-1].sl)[-1]
    assert (last.fate, last.operation, last.conductance, last.status) == (Fate.MAYBE, Operation.FORM, None, None)
    assert last.amplitude == given[-1].amplitude


def test_readings_come_with_their_status(array: HeldArray, tmp_path: Path) -> None:
    events = cell_history([program(array, tmp_path)], 0, 0, 0)
    assert {event.status for event in events} == {Status.NORMAL}
    assert {event.fate for event in events} == {Fate.DONE}
