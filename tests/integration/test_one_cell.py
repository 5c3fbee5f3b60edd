"""One cell on the emulated analyser, through the driver: everything above the seam runs on it as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from rmhil_examples.bench_cell.command import NUMBERS, bench_cell, measure_cell
from rmhil_examples.bench_cell.experiments import EXPERIMENTS, Extent
from typer.testing import CliRunner

from rmhil.backend import Biases, Cells, Operation, Pulses, Read, Status
from rmhil.bench import AnalyserClosedError, InterlockError
from rmhil.bench.one_cell import OneCell
from rmhil.bench.ownership import BenchHeldError, BenchLock, default_lock
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError
from sim_backend.b1500a import Emulator, Fault, FaultKind, emulate

CELL = Cells.of(0, 0, 0)
KOHM: float = 20e3


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with emulate("cell", seed=7) as opened:
        yield opened


@pytest.fixture
def cell(emulator: Emulator) -> Iterator[OneCell]:
    with OneCell.open(emulator.resource, patience=1.0) as opened:
        Crossbar(opened).form()
        yield opened
    assert not any(one.closed or one.value for one in emulator.outputs().values())


@pytest.fixture
def resistor() -> Iterator[OneCell]:
    """A resistor of 50 uS in the place of the cell."""
    with emulate(f"{KOHM}") as emulated, OneCell.open(emulated.resource, patience=1.0) as opened:
        yield opened


def set_pulse(gate: float = 2.0, amplitude: float = 2.0) -> Pulses:
    return Pulses.of(1, Operation.SET, amplitude, 1e-3, gate, 1e-3)


def reset_pulse() -> Pulses:
    return Pulses.of(1, Operation.RESET, 2.4, 1e-3, 5.0, 1e-3)


def test_a_pulse_and_its_reading_are_one_message(cell: OneCell, emulator: Emulator) -> None:
    read = Read.default(cell.spec)
    cell.apply(CELL, reset_pulse(), read)
    before = emulator.ask(lambda engine: engine.log.received)
    for _ in range(5):
        cell.apply(CELL, set_pulse(), read)
        cell.apply(CELL, reset_pulse(), read)
    assert emulator.ask(lambda engine: engine.log.received) - before == 10


def test_set_raises_and_reset_lowers_the_conductance(cell: OneCell) -> None:
    read = Read.default(cell.spec)
    low = cell.apply(CELL, reset_pulse(), read)
    high = cell.apply(CELL, set_pulse(gate=2.5), read)
    assert low.conductance[0] < 10e-6 < 40e-6 < high.conductance[0]
    assert high.time[0] > low.time[0]
    assert high.pulse_current[0] > 0.0 > low.pulse_current[0]


@pytest.mark.parametrize("policy", ["incremental", "adaptive"])
def test_write_verify_reaches_a_target(cell: OneCell, policy: str) -> None:
    report = Crossbar(cell).program(np.array([[45e-6]]), 2e-6, policy)
    assert report.converged_fraction() == 1.0
    assert report.achieved[0, 0] == pytest.approx(45e-6, abs=2e-6)


def test_a_sweep_shows_set_and_reset(cell: OneCell) -> None:
    cell.apply(CELL, reset_pulse(), Read.default(cell.spec))
    up, down = np.linspace(0.1, 1.6, 16), np.linspace(0.1, 2.4, 24)
    bl = np.concatenate([up, up[-2::-1], np.zeros(24)])
    sl = np.concatenate([np.zeros(31), down])
    wl = np.repeat([2.0, 5.0], [31, 24])
    trace = cell.sweep(CELL, Biases.of(bl, sl, wl, dwell=1e-3, compliance=1e-3))
    conductance = trace.current / (bl - sl)
    assert conductance[29] > 4 * conductance[1]  # the way back of the SET, at the same 0.2 V
    assert trace.current[31:].max() < 0.0
    assert conductance[-1] < 0.5 * conductance[33]
    assert np.all(np.diff(trace.time) > 0.0)


def test_a_resistor_reads_as_what_it_is(resistor: OneCell) -> None:
    readings = resistor.apply(CELL, None, Read.default(resistor.spec, averages=4))
    assert readings.conductance[0] == pytest.approx(1.0 / KOHM, rel=0.01)
    assert readings.status[0] == Status.NORMAL
    trace = resistor.sweep(CELL, Biases.of([0.5, 1.0, 0.0], [0.0, 0.0, 1.0], 2.0, 1e-3, 1e-3))
    assert trace.current == pytest.approx(np.array([0.5, 1.0, -1.0]) / KOHM, rel=0.01)
    currents = resistor.mvm(torch.tensor([[[0.1], [-0.2]]]))
    assert currents.currents[0, :, 0].tolist() == pytest.approx([0.1 / KOHM, -0.2 / KOHM], rel=0.02)
    assert not currents.over_range.any()


def test_a_limited_reading_says_so(resistor: OneCell) -> None:
    pulses = Pulses.of(1, Operation.SET, 2.0, 1e-3, 2.0, 50e-6)
    assert resistor.apply(CELL, pulses, Read.default(resistor.spec)).pulse_status[0] == Status.COMPLIANCE


def test_what_is_outside_the_limits_is_refused_before_a_byte_is_sent(resistor: OneCell) -> None:
    before = resistor.analyser.traffic
    read = Read.default(resistor.spec)
    with pytest.raises(OutOfRangeError):
        resistor.apply(CELL, set_pulse(amplitude=3.5), read)
    with pytest.raises(OutOfRangeError):
        resistor.apply(CELL, None, Read(voltage=0.5, gate_voltage=2.0))
    with pytest.raises(OutOfRangeError):
        resistor.apply(Cells.of(0, 1, 0), None, read)
    with pytest.raises(ShapeError):
        resistor.sweep(Cells.of([0, 0], [0, 0], [0, 0]), Biases.of([0.1], [0.0], [2.0], 1e-3, 1e-3))
    assert resistor.analyser.traffic == before


def test_a_channel_cannot_be_two_lines() -> None:
    with pytest.raises(ConfigError, match="channel of its own"):
        OneCell.open("GPIB0::17::INSTR", bl=1, sl=1)


def test_after_a_fault_outputs_are_switched_on_again_for_the_next_pulse(cell: OneCell, emulator: Emulator) -> None:
    read = Read.default(cell.spec)
    cell.apply(CELL, reset_pulse(), read)
    emulator.inject(Fault(kind=FaultKind.INTERLOCK))
    with pytest.raises(InterlockError, match="0 V and opened"):
        cell.apply(CELL, set_pulse(), read)
    assert cell.apply(CELL, set_pulse(), read).conductance[0] > 20e-6


def test_safe_may_be_called_at_any_time_and_close_ends_it(emulator: Emulator) -> None:
    cell = OneCell.open(emulator.resource, patience=1.0)
    cell.safe()
    cell.close()
    cell.safe()
    with pytest.raises(AnalyserClosedError):
        cell.apply(CELL, None, Read.default(cell.spec))


@pytest.mark.parametrize("arguments", [[], ["GPIB0::17::INSTR", "--emulate"]])
def test_the_example_wants_an_instrument_or_the_emulator(arguments: list[str]) -> None:
    app = typer.Typer()
    app.command()(bench_cell)
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, ConfigError)


def test_the_example_keeps_out_of_a_bench_that_somebody_works_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    app = typer.Typer()
    app.command()(bench_cell)
    lock = BenchLock(default_lock("TCPIP0::nobody::INSTR"), "TCPIP0::nobody::INSTR")
    lock.take()
    try:
        done = CliRunner().invoke(app, ["TCPIP0::Nobody::INSTR"])
    finally:
        lock.release()
    assert isinstance(done.exception, BenchHeldError)


def test_the_example_keeps_pictures_data_and_numbers(tmp_path: Path) -> None:
    extent = Extent(sweeps=1, levels=5, repeats=2, cycles=4, retention=10.0)
    with emulate("cell", seed=3) as emulator, OneCell.open(emulator.resource) as cell:
        numbers = measure_cell(cell, extent, tmp_path, shown=False)
        assert emulator.ask(lambda engine: len(engine.instrument.errors)) == 0
    found = numbers["measurements"]
    assert found["sweeps"]["smallest_lrs_over_largest_hrs"] > 3.0
    assert found["levels"]["rising_steps"] == 4
    assert found["write-verify"]["adaptive"]["largest_error_siemens"] < 1.5e-6
    assert found["retention"]["smallest_step_between_levels_siemens"] > 10e-6
    assert json.loads((tmp_path / NUMBERS).read_text())["messages"] == numbers["messages"]
    assert {path.stem for path in tmp_path.glob("*.png")} == set(EXPERIMENTS)
    assert (tmp_path / "sweeps.csv").exists()
