"""The twin: board and analyser in front of one array, against the simulator with the same array."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rmhil.backend import Cells, Floats, Operation, Pulses, Read
from rmhil.errors import BackendUnavailableError, ConfigError, OutOfRangeError, UnknownNameError
from sim_backend.backend import SimBackend, open_backend
from sim_backend.presets import PERIPHERY
from sim_backend.twin import attach_twin, running_twins, start_twin
from sim_backend.twin.protocol import REQUEST_MAX, Address
from tests.arrays import fill
from tests.twins import board_of, fresh_twin, one_cell_of, require_twin, step

QUIET = ("read-noise", "telegraph", "retention", "adc-noise")
"""Everything that differs from one time to the next."""

READING_STEP = 1e-10
"""A: step of the analyser's six digits on a range of 100 uA."""


def filled(tmp_path: Path, **options: object) -> tuple[SimBackend, Path]:
    """A simulated chip with a conductance of its own in every cell, and the file of its state."""
    sim = open_backend(dtype="float64", **options)
    fill(sim)
    sim.save_state(tmp_path / "chip.npz")
    return sim, tmp_path / "chip.npz"


def sim_codes(sim: SimBackend, volts: Floats) -> Floats:
    currents = sim.mvm(torch.from_numpy(volts).to(sim.dtype)[None]).currents[0]
    return np.rint(currents.double().numpy() / sim.spec.wiring.adc_lsb)


@pytest.mark.parametrize(("topology", "way"), [("adc64", "tcp"), ("adc8", "tcp"), ("adc64", "pty")])
def test_products_at_the_pins_are_the_simulators_to_the_code(topology: str, way: str, tmp_path: Path) -> None:
    sim, state = filled(tmp_path, seed=7, off=QUIET, wiring={"adc_count": int(topology[3:])})
    twin = fresh_twin(topology, way, seed=7, off=QUIET, state=state)
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, (80, 128))
    with board_of(twin) as board:
        board.arm()
        products = board.mvm(volts)
    assert products.codes.size >= 10_000
    assert np.ptp(products.codes) > 1000
    np.testing.assert_array_equal(products.codes, sim_codes(sim, volts))
    assert not products.over_range.any()
    assert twin.records().violations == ()
    assert twin.records().outputs_off


def test_some_lines_alone_and_those_of_a_smaller_chip_are_the_simulators(tmp_path: Path) -> None:
    """A chip whose banks use 8 and 6 of the 64 channels, bonded to the first lines of each bank of the board."""
    wiring = {"bl_channels": 8, "sl_channels": 6}
    sim, state = filled(tmp_path, seed=3, n_bl=13, n_sl=11, off=QUIET, wiring=wiring)
    twin = fresh_twin(seed=3, n_bl=13, n_sl=11, off=QUIET, wiring=wiring, state=state)
    volts = np.random.default_rng(2).uniform(-0.2, 0.2, (9, 4))
    bl, sl = np.array([0, 6, 8, 12]), np.array([1, 5, 6])
    on_board = [number // channels * 64 + number % channels for number, channels in ((bl, 8), (sl, 6))]
    with board_of(twin) as board:
        board.arm()
        codes = board.mvm(volts, *on_board).codes
    expected = sim.mvm(torch.from_numpy(volts)[None], bl, sl).currents[0].numpy() / sim.spec.wiring.adc_lsb
    np.testing.assert_array_equal(codes, np.rint(expected))


def test_single_precision_differs_by_one_code_now_and_then(tmp_path: Path) -> None:
    _, state = filled(tmp_path, seed=7, off=QUIET)
    twin = fresh_twin(seed=7, off=QUIET, state=state)
    volts = np.random.default_rng(3).uniform(-0.05, 0.05, (40, 128))
    single = open_backend(state=state, off=QUIET, dtype="float32")
    with board_of(twin) as board:
        board.arm()
        difference = np.abs(board.mvm(volts.astype(np.float32)).codes - sim_codes(single, volts))
    assert difference.max() <= 4  # of the sums of the 4 passes
    assert np.mean(difference > 0) < 0.005


def test_noise_of_products_is_the_simulators_in_distribution(tmp_path: Path) -> None:
    sim, state = filled(tmp_path, seed=7)
    twin = fresh_twin(seed=7, state=state)
    volts = np.repeat(np.random.default_rng(4).uniform(-0.1, 0.1, (1, 64)), 500, axis=0)
    lines = np.arange(64)
    with board_of(twin) as board:
        board.arm()
        there = board.mvm(volts, lines, lines).codes.astype(float)
    here = sim.mvm(torch.from_numpy(volts)[None], lines, lines).currents[0].numpy() / sim.spec.wiring.adc_lsb
    spread = here.std(axis=0)
    error = np.hypot(spread, there.std(axis=0)) / np.sqrt(len(volts))
    assert np.abs((there.mean(axis=0) - here.mean(axis=0)) / error).max() < 4.5
    assert np.mean(there.var(axis=0) / here.var(axis=0)) == pytest.approx(1.0, abs=0.05)


def test_cells_that_are_not_ohmic_multiply_as_the_simulators(tmp_path: Path) -> None:
    sim, state = filled(tmp_path, seed=5, n_bl=16, n_sl=12, off=QUIET, nonlinear=True)
    twin = fresh_twin(seed=5, n_bl=16, n_sl=12, off=QUIET, nonlinear=True, state=state)
    volts = np.random.default_rng(5).uniform(-0.2, 0.2, (12, 16))
    with board_of(twin) as board:
        board.arm()
        codes = board.mvm(volts, np.arange(16), np.arange(12)).codes
    np.testing.assert_array_equal(codes, sim_codes(sim, volts))


def test_drift_goes_on_by_the_arrays_clock(tmp_path: Path) -> None:
    """Hours on the analyser's clock lower what the board multiplies by, as they do in the simulator."""
    chip = {"seed": 7, "off": [name for name in QUIET if name != "retention"]}
    sim, state = filled(tmp_path, **chip)
    twin = fresh_twin(**chip, state=state)
    volts, lines = np.full((1, 64), 0.2), np.arange(64)
    codes = []
    with one_cell_of(twin) as cell, board_of(twin) as board:
        board.arm()
        for hours in (0, 10):
            cell.wait(hours * 3600.0)
            sim.wait(hours * 3600.0)
            here = sim.mvm(torch.from_numpy(volts)[None], lines, lines).currents[0].numpy() / sim.spec.wiring.adc_lsb
            codes.append((board.mvm(volts, lines, lines).codes, np.rint(here)))
    for there, expected in codes:
        np.testing.assert_allclose(there, expected, atol=1)
    assert (codes[1][0] - codes[0][0]).mean() < -0.5


PULSES = (
    (None, 0.0, 0.0),
    (Operation.FORM, 4.5, 1.5),
    (Operation.SET, 1.8, 2.5),
    (Operation.RESET, 1.4, 5.0),
    (None, 0.0, 0.0),
    (None, 0.0, 0.0),
    (Operation.SET, 1.7, 2.0),
    (Operation.RESET, 1.8, 5.0),
    (Operation.RESET, 2.1, 5.0),
    (Operation.SET, 1.9, 3.0),
)


def test_pulses_through_the_analyser_change_cells_as_in_the_simulator() -> None:
    """With all spread from cell to cell and from pulse to pulse: the draws are the same ones."""
    sim, twin = open_backend(seed=7, cells_at_once=1, off=QUIET), fresh_twin(seed=7, off=QUIET)
    places = ((0, 0), (5, 99), (127, 64), (0, 0))
    with one_cell_of(twin) as cell, board_of(twin) as board:
        board.arm()
        for bl, sl in places:
            board.route_cell(bl, sl, gate=True)
            for operation, amplitude, gate in PULSES:
                pulses = None if operation is None else Pulses.of(1, operation, amplitude, 1e-3, gate, 1e-3)
                expected = sim.apply(Cells.of(0, bl, sl), pulses, Read.default(sim.spec))
                found = step(cell, operation, amplitude, gate)
                np.testing.assert_allclose(found.current, expected.current, atol=READING_STEP)
                np.testing.assert_allclose(found.pulse_current, expected.pulse_current, rtol=1e-5)
    np.testing.assert_array_equal(twin.true_conductance(), sim.true_conductance[0])
    given = sum(operation is not None for operation, _, _ in PULSES)
    assert twin.pulse_counts()[0, 0] == 2 * given
    assert twin.pulse_counts().sum() == twin.records().pulses == given * len(places)
    record = twin.pulses()[2]
    assert (record.bl, record.sl, record.voltage, record.gate_voltage) == (0, 0, -1.4, 5.0)
    assert record.seconds == pytest.approx(1e-3)


def test_noise_of_verify_readings_is_drawn_as_in_the_simulator() -> None:
    """That of the cell. The simulator adds that of its instrument; the analyser's converters are ideal here."""
    off = ("telegraph", "retention")
    sim, twin = (
        open_backend(seed=2, n_bl=4, n_sl=4, off=off),
        fresh_twin(n_bl=4, n_sl=4, seed=2, off=off, analyser_ideal=True),
    )
    with one_cell_of(twin) as cell, board_of(twin) as board:
        board.arm()
        board.route_cell(1, 1, gate=True)
        for operation, amplitude, gate in PULSES[1:4]:
            pulses = Pulses.of(1, operation, amplitude, 1e-3, gate, 1e-3)
            expected = sim.apply(Cells.of(0, 1, 1), pulses, Read.default(sim.spec)).current
            assert abs(step(cell, operation, amplitude, gate).current - expected) < 4 * PERIPHERY.smu_noise
    np.testing.assert_array_equal(twin.true_conductance(), sim.true_conductance[0])


def test_a_closed_gate_and_no_selection_are_open_circuits() -> None:
    twin = fresh_twin(seed=1, n_bl=4, n_sl=4, off=QUIET)
    with one_cell_of(twin) as cell, board_of(twin) as board:
        assert step(cell, Operation.FORM, 4.5, 1.5).current == 0.0
        board.arm()
        board.route_cell(2, 3)
        assert step(cell, Operation.FORM, 4.5, 1.5).current == 0.0
        board.gate(True)
        assert step(cell, None).current[0] > 0.0
        board.route_cell(9, 3, gate=True)  # a line of the board that no line of this chip is bonded to
        assert step(cell, Operation.FORM, 4.5, 1.5).current == 0.0
    assert twin.pulse_counts().sum() == 0


@pytest.mark.parametrize(("held_at", "survives"), [(2.2, True), (0.0, False)])
def test_the_inhibit_line_protects_cells_of_the_same_word_line(held_at: float, survives: bool) -> None:
    """During a RESET their bit lines must be at the RESET voltage, or they are reset as well."""
    twin = fresh_twin(seed=4, n_bl=6, n_sl=3, off=QUIET)
    with one_cell_of(twin) as cell, board_of(twin) as board:
        board.arm()
        for bl in range(6):
            board.route_cell(bl, 1, gate=True)
            step(cell, Operation.FORM, 4.5, 1.5)
            step(cell, Operation.SET, 2.0, 3.0)
        before = twin.true_conductance()
        board.route_cell(2, 1, Operation.RESET, gate=True)
        inhibit = twin.channels["inhibit"]
        cell.analyser.switch_on(inhibit)
        cell.analyser.force_voltage(inhibit, held_at, 1e-3)
        step(cell, Operation.RESET, 2.2, 5.0)
    after, others = twin.true_conductance(), [0, 1, 3, 4, 5]
    assert after[2, 1] < 0.5 * before[2, 1]
    if survives:
        np.testing.assert_array_equal(after[others, 1], before[others, 1])
    else:
        assert np.all(after[others, 1] < 0.7 * before[others, 1])
    np.testing.assert_array_equal(after[:, [0, 2]], before[:, [0, 2]])


def test_a_gate_pulse_of_the_board_is_a_pulse_where_the_analyser_holds_a_voltage() -> None:
    twin = fresh_twin(seed=4, n_bl=4, n_sl=4, off=QUIET)
    with one_cell_of(twin) as cell, board_of(twin) as board:
        board.arm()
        board.route_cell(1, 2, gate=True)
        step(cell, Operation.FORM, 4.5, 1.5)
        board.gate(False)
        given = twin.records().pulses
        for line, volts in (("wl", 2.5), ("bl", 1.8)):
            cell.analyser.force_voltage(twin.channels[line], volts, 1e-3)
        assert twin.records().pulses == given
        width = board.pulse(0.3e-3)
        (record,) = twin.pulses(since=given)
        cell.analyser.zero()
    assert record.seconds == pytest.approx(width, rel=1e-9)
    assert (record.voltage, record.gate_voltage) == (1.8, 2.5)


def test_a_saved_array_goes_on_in_a_twin_and_in_the_simulator(tmp_path: Path) -> None:
    twin = fresh_twin(seed=6, n_bl=8, n_sl=8)
    volts = np.random.default_rng(6).uniform(-0.2, 0.2, (20, 8))
    lines = np.arange(8)
    with one_cell_of(twin) as cell, board_of(twin) as board:
        board.arm()
        board.route_cell(3, 4, gate=True)
        step(cell, Operation.FORM, 4.5, 1.5)
        twin.save_state(tmp_path / "chip.npz")
        clock, conductance = twin.records().clock, twin.true_conductance()
        board.release()
        before = board.mvm(volts, lines, lines).codes
    fresh_twin(state=tmp_path / "chip.npz")
    with board_of(twin) as board:
        board.arm()
        np.testing.assert_array_equal(board.mvm(volts, lines, lines).codes, before)
    sim = open_backend(state=tmp_path / "chip.npz")
    assert sim.clock == clock
    np.testing.assert_array_equal(sim.true_conductance[0], conductance)


def test_a_state_of_another_chip_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    _, state = filled(tmp_path, seed=6, n_bl=4, n_sl=4)
    twin = fresh_twin(seed=7, n_bl=4, n_sl=4)
    before = twin.true_conductance()
    with pytest.raises(ConfigError, match="seed"):
        twin.load_state(state)
    np.testing.assert_array_equal(twin.true_conductance(), before)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"preset": "nonsense"}, UnknownNameError, "taox180"),
        ({"n_bl": 129}, OutOfRangeError, "128"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"wiring": {"dac_span": 5.0}}, ConfigError, "dac_span"),
    ],
)
def test_a_chip_that_cannot_be_is_refused_and_the_one_before_stays(
    options: dict[str, object], error: type[Exception], says: str
) -> None:
    twin = fresh_twin(seed=9, n_bl=4, n_sl=4)
    with pytest.raises(error, match=says):
        twin.renew(**options)
    assert twin.identity.startswith("taox180, seed=9")
    with board_of(twin) as board:
        board.arm()


HOST = """
import sys
import numpy as np
from rmhil.backend import Operation
from sim_backend.twin import attach_twin
from tests.twins import board_of, one_cell_of, step
twin = attach_twin(sys.argv[1])
board = board_of(twin)
with one_cell_of(twin) as cell:
    board.arm()
    board.route_cell(0, 0, gate=True)
    step(cell, Operation.FORM, 4.5, 1.5)
    cell.analyser.force_voltage(1, 1.0, 1e-3)
    print("driving", flush=True)
    if sys.argv[2] == "batch":
        board.mvm(np.full((20_000, 128), 0.1))
    sys.stdin.read()
"""

LINK_LOSS = 1.0
"""s: the link timeout that a host asks for; a closed connection is noticed at once."""


@pytest.mark.parametrize("busy", ["batch", "bias"])
def test_a_host_that_is_killed_leaves_the_boards_outputs_off_and_the_twin_goes_on(busy: str) -> None:
    twin = fresh_twin(seed=1)
    with subprocess.Popen([sys.executable, "-c", HOST, twin.url, busy], stdin=-1, stdout=-1) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"driving\n"
        time.sleep(0.2)  # in the middle of its batch
        host.kill()
        wait_until(lambda: twin.records().board.off, LINK_LOSS)
    board = twin.records().board
    assert (board.outputs_enabled, board.gate, board.lines_driven, board.dacs_off_rest) == (False, False, 0, 0)
    assert twin.records().violations == ()
    with one_cell_of(twin) as cell, board_of(twin) as again:  # the analyser, still driven, is switched off as well
        again.arm()
        again.route_cell(0, 0, gate=True)
        assert step(cell, None).current[0] > 1e-7
    assert twin.records().outputs_off
    assert twin.pulse_counts().sum() == 2, "the FORM pulse and the bias of 1 V; a start-up gives none"


def test_a_board_whose_cable_is_pulled_switches_off_and_is_found_again() -> None:
    twin = fresh_twin(seed=1, n_bl=4, n_sl=4)
    with board_of(twin) as board:
        board.arm()
        board.route_cell(1, 1, gate=True)
        assert not twin.records().board.off
        twin.drop_board()
        wait_until(lambda: twin.records().board.off, LINK_LOSS)
        with pytest.raises(BackendUnavailableError):
            board.gate(True)
    with board_of(twin) as board:
        board.arm()


STARTER = """
import sys
from sim_backend.twin import start_twin
twin = start_twin(tied=sys.argv[1] == "tied", n_bl=4, n_sl=4)
print(twin.url, flush=True)
sys.stdin.read()
"""


def test_a_twin_outlives_whoever_started_it_unless_it_is_tied() -> None:
    fresh_twin(n_bl=4, n_sl=4)  # or it might have to be built first
    command = [sys.executable, "-c", STARTER]
    with (
        subprocess.Popen([*command, "tied"], stdin=-1, stdout=-1, text=True) as tied,
        subprocess.Popen([*command, "free"], stdin=-1, stdout=-1, text=True) as free,
    ):
        urls = [starter.stdout.readline().strip() for starter in (tied, free) if starter.stdout is not None]
        processes = [next(one.process for one in running_twins() if one.url == url) for url in urls]
        with attach_twin(urls[1]) as twin:
            for starter in (tied, free):
                starter.kill()
                starter.wait()
            wait_until(lambda: has_ended(processes[0]))
            assert twin.records().outputs_off
            twin.stop()
    wait_until(lambda: has_ended(processes[1]))
    assert not set(urls) & {one.url for one in running_twins()}


def wait_until(holds: Callable[[], bool], within: float = 10.0) -> None:
    until = time.monotonic() + within
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def has_ended(process: int) -> bool:
    """Also where nobody has asked how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def raw_answer(address: Address, line: bytes) -> bytes:
    with socket.create_connection((address.host, address.port), 10.0) as connection:
        connection.sendall(line)
        return connection.makefile("rb").readline()


def test_the_control_connection_needs_the_token_and_bounds_what_it_takes() -> None:
    twin = fresh_twin(n_bl=4, n_sl=4)
    address = Address.parse(twin.url)
    assert raw_answer(address, b'{"token": "guess", "do": "stop", "with": {}}\n') == b""
    assert raw_answer(address, b"x" * REQUEST_MAX + b"\n") == b""
    unknown = json.dumps({"token": address.token, "do": "__class__", "with": {}}).encode() + b"\n"
    assert b"unknown request" in raw_answer(address, unknown)
    assert twin.records().outputs_off
    with pytest.raises(ConfigError, match="twin://"):
        attach_twin("socket://127.0.0.1:1")
    with pytest.raises(BackendUnavailableError, match="no twin answers"):
        attach_twin("twin://127.0.0.1:1/token")


@pytest.mark.long
def test_a_wave_dump_holds_the_pins_between_start_and_stop(tmp_path: Path) -> None:
    """Long, for a library with waves is built first."""
    with start_twin(waves=True, n_bl=4, n_sl=4) as twin, board_of(twin) as board:
        twin.start_waves(tmp_path / "board.vcd")
        board.arm()
        twin.stop_waves()
    text = (tmp_path / "board.vcd").read_text()
    assert all(pin in text for pin in ("dac_sclk", "sr_rclk", "wl_gate"))


def test_a_twin_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_twin()
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'Traceback' >&2; echo 'ImportError: libtorch: no such file' >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(BackendUnavailableError, match="before it served anything: ImportError: libtorch"):
        start_twin()
