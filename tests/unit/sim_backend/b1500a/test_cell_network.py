"""The cell behind the instrument is the simulator's own."""

from __future__ import annotations

import numpy as np
import pytest

from rmhil.backend import Cells, Operation, Pulses, Read
from sim_backend import open_backend
from sim_backend.b1500a import Source, Terminals
from sim_backend.b1500a.dut.cell import CellNetwork
from tests.unit.sim_backend.b1500a.desk import Desk

QUIET = ("device-spread", "cycle-spread", "read-noise", "telegraph", "retention", "wear", "stuck-cells")
WIDTH = 1e-3


def volts(value: float, limit: float = 1e-3) -> Source:
    return Source(kind="V", value=value, limit=limit)


def biased(bl: float, sl: float, wl: float, limit: float = 1e-3) -> dict[int, Source]:
    return {1: volts(bl, limit), 2: volts(sl, 0.01), 3: volts(wl)}


def pulsed(cell: CellNetwork, bl: float, sl: float, wl: float, seconds: float = WIDTH, limit: float = 1e-3) -> float:
    """Conductance (S) after a pulse."""
    cell.elapse(biased(bl, sl, wl, limit), seconds)
    cell.elapse(biased(0.0, 0.0, wl), 1e-3)
    return cell.solve(biased(0.2, 0.0, 5.0), 1e-3)[1].current / 0.2


@pytest.fixture
def cell() -> CellNetwork:
    return CellNetwork.single(Terminals(), seed=5, off=QUIET)


def test_pulses_do_what_the_simulator_does(cell: CellNetwork) -> None:
    with open_backend(n_bl=1, n_sl=1, seed=5, off=("lines", "leakage", *QUIET)) as backend:
        one = Cells.of(0, 0, 0)
        read = Read(voltage=0.2, gate_voltage=5.0)
        steps = [
            (Operation.FORM, 4.0, 1.2),
            (Operation.RESET, 2.0, 5.0),
            (Operation.SET, 2.0, 1.8),
            (Operation.RESET, 1.5, 5.0),
            (Operation.SET, 2.0, 2.6),
        ]
        for operation, amplitude, gate in steps:
            pulses = Pulses.of(1, operation, amplitude, WIDTH, gate, 1e-3)
            expected = backend.apply(one, pulses, read).conductance[0]
            bl, sl = (0.0, amplitude) if operation == Operation.RESET else (amplitude, 0.0)
            assert pulsed(cell, bl, sl, gate) == pytest.approx(expected, rel=1e-4)


def test_compliance_of_the_instrument_limits_a_set(cell: CellNetwork) -> None:
    pulsed(cell, 4.0, 0.0, 1.2)
    pulsed(cell, 0.0, 2.2, 5.0)
    limited = pulsed(cell, 2.0, 0.0, 5.0, limit=30e-6)
    assert limited == pytest.approx(30e-6 / 0.9, rel=0.02)
    assert pulsed(cell, 2.0, 0.0, 2.6) > limited


def test_several_waits_at_one_bias_are_one_pulse() -> None:
    """Otherwise a long bias would draw the luck of many pulses."""
    whole, parts = (CellNetwork.single(Terminals(), seed=9) for _ in range(2))
    for one in (whole, parts):
        pulsed(one, 4.0, 0.0, 1.2)
        pulsed(one, 0.0, 2.2, 5.0)
    whole.elapse(biased(1.1, 0.0, 2.0), 4e-3)
    for _ in range(4):
        parts.elapse(biased(1.1, 0.0, 2.0), 1e-3)
    for one in (whole, parts):
        one.elapse(biased(0.0, 0.0, 2.0), 1e-3)
    first, second = (one.solve(biased(0.2, 0.0, 5.0), 1.0)[1].current for one in (whole, parts))
    assert second == pytest.approx(first, rel=1e-3)


def test_reading_leaves_a_cell_alone(cell: CellNetwork) -> None:
    pulsed(cell, 4.0, 0.0, 1.2)
    before = cell.chip.conductance.item()
    for _ in range(20):
        cell.elapse(biased(0.2, 0.0, 5.0), 10e-3)
        cell.solve(biased(0.2, 0.0, 5.0), 1e-3)
    cell.release()
    assert cell.chip.conductance.item() == pytest.approx(before, rel=1e-6)


def test_an_open_gate_lets_nothing_through(cell: CellNetwork) -> None:
    pulsed(cell, 4.0, 0.0, 1.2)
    found = cell.solve({1: volts(0.2), 2: volts(0.0)}, 1e-3)
    assert found[1].current == 0.0


def test_the_gate_counts_from_the_lower_terminal(cell: CellNetwork) -> None:
    pulsed(cell, 4.0, 0.0, 1.2)
    near_ground = cell.solve(biased(0.2, 0.0, 2.0), 1e-3)[1].current
    lifted = cell.solve(biased(1.2, 1.0, 3.0), 1e-3)[1].current
    assert lifted == pytest.approx(near_ground, rel=1e-9)


def test_other_cells_of_an_array_stay_as_they_are() -> None:
    with open_backend(n_bl=4, n_sl=4, seed=2) as backend:
        network = CellNetwork(backend._chip, Terminals(), (0, 1, 2))
        before = backend.true_conductance
        pulsed(network, 4.0, 0.0, 1.5)
        network.route(None)
        changed = np.flatnonzero(backend.true_conductance != before)
        assert changed.tolist() == [np.ravel_multi_index((0, 1, 2), before.shape)]
        assert network.solve(biased(1.0, 0.0, 5.0), 1e-3)[1].current == 0.0


def test_time_passes_for_the_chip_as_well(cell: CellNetwork) -> None:
    cell.elapse({}, 2.5)
    cell.elapse(biased(0.0, 0.0, 0.0), 1.5)
    assert cell.chip.clock == pytest.approx(4.0)


def test_staircases_draw_a_hysteresis_loop() -> None:
    """Through FLEX: SET by a sweep of the BL at the gate's level, RESET by one of the SL."""
    desk = Desk("cell", seed=5)
    desk.send("CM 0", "CN 1,2,3", "FMT 1,1", "WT 0,0.001", "DV 1,0,0,0.01", "DV 2,0,0,0.01")

    def sweep(line: int, other: int, stop: float, gate: float) -> tuple[list[float], list[float]]:
        desk.send(f"DV {other},0,0,0.01", f"DV 3,0,{gate},0.001", f"WV {line},3,0,0,{stop},31,0.001", f"MM 2,{line}")
        values = desk.values("XE")
        return values[1::2], values[0::2]

    sweep(1, 2, 4.0, 1.2)
    sweep(1, 2, 2.0, 2.0)
    for _ in range(3):
        volts, reset = sweep(2, 1, 2.2, 5.0)
        low = volts.index(pytest.approx(0.2, abs=0.05))
        assert reset[low] > 3 * reset[-1 - low]
        volts, found = sweep(1, 2, 2.0, 2.0)
        low = volts.index(pytest.approx(0.4, abs=0.05))
        assert found[-1 - low] > 3 * found[low]
        assert max(found) == pytest.approx(40e-6 * 0.9, rel=0.25)
