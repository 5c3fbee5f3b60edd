"""A bench: board and analyser together, owned by one process, looked at before it is used, and left safe.

The board is the daemon on memory, the analyser the emulator with one cell: what is promised here is about the stack,
not about an array.
"""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rmhil.backend import Cells, Operation, Pulses, Read
from rmhil.bench.backend import BenchBackend, open_backend
from rmhil.bench.backend_errors import CellInDoubtError, OutputsNotSafeError, StepFailedError
from rmhil.bench.boards import BOARDS
from rmhil.bench.config import BenchConfig, bench_config, load_bench_config
from rmhil.bench.config_text import config_text
from rmhil.bench.lights import Finding, Light
from rmhil.bench.link_errors import BoardNotFoundError
from rmhil.bench.ownership import BenchHeldError
from rmhil.bench.preflight import preflight
from rmhil.cli.app import app
from rmhil.errors import BackendUnavailableError, ConfigError
from sim_backend.b1500a import Emulator, Fault, FaultKind, emulate
from sim_backend.b1500a.errors import UNDEFINED_COMMAND
from tests.daemons import Daemon, build_daemon, running
from tests.integration.test_board import MEMORY

CELL = Cells.of(0, 3, 4)


@dataclass
class Bench:
    """Board, analyser, and the configuration that describes them."""

    daemon: Daemon
    emulator: Emulator
    tables: dict[str, dict[str, Any]]

    def config(self, **changes: dict[str, Any]) -> BenchConfig:
        return bench_config({name: table | changes.get(name, {}) for name, table in self.tables.items()})

    def file(self, folder: Path, **changes: dict[str, Any]) -> Path:
        path = folder / "bench.toml"
        path.write_text(config_text(self.config(**changes)))
        return path

    @property
    def outputs_off(self) -> bool:
        return not any(one.closed or one.value for one in self.emulator.outputs().values())


@pytest.fixture(scope="module")
def command() -> list[str]:
    return build_daemon("host")


@pytest.fixture
def bench(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setitem(BOARDS, "memory", MEMORY)
    with running(command, "--tcp", "127.0.0.1:0") as daemon, emulate("cell", seed=7) as emulator:
        tables: dict[str, dict[str, Any]] = {
            "analyser": {"resource": emulator.resource, "patience_s": 1.0, "channels": {"inhibit": 4}},
            "board": {"url": daemon.urls["tcp"], "description": "memory"},
            "array": {"chip": "die-7", "preset": "taox180", "n_bl": 6, "n_sl": 5, "read_voltage_v": 0.2},
            "wiring": {"virtual_ground": MEMORY.virtual_ground},
            "lock": {"file": str(tmp_path / "lock")},
        }
        yield Bench(daemon, emulator, tables)


@pytest.fixture
def backend(bench: Bench) -> Iterator[BenchBackend]:
    with open_backend(bench.config()) as opened:
        yield opened
    assert bench.outputs_off


def set_pulse() -> Pulses:
    return Pulses.of(1, Operation.SET, 2.0, 1e-3, 2.0, 1e-3)


def reset_pulse() -> Pulses:
    return Pulses.of(1, Operation.RESET, 2.2, 1e-3, 5.0, 1e-3)


def asked_for_errors(bench: Bench) -> int:
    return sum(entry.payload.startswith(b"ERRX?") for entry in bench.emulator.wire_log())


# Steps


def test_a_step_is_one_message_and_a_cell_is_joined_once(backend: BenchBackend, bench: Bench) -> None:
    read = Read.default(backend.spec)
    backend.apply(CELL, set_pulse(), read)
    sent, requests = bench.emulator.ask(lambda engine: engine.log.received), backend.instruments.board.link_counters()
    for _ in range(5):
        backend.apply(CELL, set_pulse(), read)
        backend.apply(CELL, reset_pulse(), read)
    assert bench.emulator.ask(lambda engine: engine.log.received) - sent == 10
    looks = backend.instruments.board.link_counters().requests - requests.requests
    assert looks == 10, "one look a step at whether the cell is still joined"
    assert len(backend.step_times) == 11
    assert (backend.step_times.routing > 0).sum() == 1
    assert (backend.step_times.steps_apart > 5e-3).all(), "a pulse period of the analyser at least"


def test_the_analyser_is_asked_once_a_cell_what_it_has_refused(bench: Bench) -> None:
    with open_backend(bench.config()) as backend:
        read = Read.default(backend.spec)
        backend.apply(CELL, None, read)
        before = asked_for_errors(bench)
        for bl in (0, 1):
            for _ in range(3):
                backend.apply(Cells.of(0, bl, 0), set_pulse(), read)
    assert asked_for_errors(bench) - before == 3, "after each of three cells"


def test_what_the_analyser_refused_at_a_cell_is_told_before_another_one_is_joined(
    bench: Bench, backend: BenchBackend
) -> None:
    read, other = Read.default(backend.spec), Cells.of(0, 2, 2)
    backend.apply(CELL, set_pulse(), read)
    bench.emulator.inject(Fault(kind=FaultKind.ERROR_BURST, count=1, code=UNDEFINED_COMMAND))
    backend.apply(CELL, set_pulse(), read)
    with pytest.raises(StepFailedError, match=r"no pulse was sent; cell \(0, 3, 4\) is in doubt.* error 100") as caught:
        backend.apply(other, set_pulse(), read)
    assert (caught.value.cell, caught.value.pulse_sent) == ((0, 2, 2), False)
    assert bench.outputs_off
    assert backend.apply(other, None, read).status[0] == 0, "the bench goes on"


def test_what_the_analyser_refused_at_the_last_cell_is_told_once_all_is_off(bench: Bench) -> None:
    backend = open_backend(bench.config())
    read = Read.default(backend.spec)
    backend.apply(CELL, set_pulse(), read)
    bench.emulator.inject(Fault(kind=FaultKind.ERROR_BURST, count=1, code=UNDEFINED_COMMAND))
    backend.apply(CELL, set_pulse(), read)
    with pytest.raises(CellInDoubtError, match=r"cell \(0, 3, 4\) is in doubt, verify it anew"):
        backend.close()
    assert bench.outputs_off


def test_other_bit_lines_follow_a_reset_and_float_otherwise(backend: BenchBackend, bench: Bench) -> None:
    read = Read.default(backend.spec)
    backend.apply(CELL, reset_pulse(), read)
    stored = [entry.payload.decode() for entry in bench.emulator.wire_log() if entry.direction == ">"]
    pulsed = [text for text in stored if text.startswith("MCPNX") and ",4," in text]
    assert len(pulsed) == 1, "in the program with the source line, not in that with the bit line"
    backend.apply(CELL, set_pulse(), read)
    force = bench.emulator.ask(lambda engine: engine.instrument.smu(4).force)
    assert (force.kind, force.value) == ("I", 0.0)


def test_a_step_whose_answer_is_lost_says_that_the_pulse_may_have_been_given(
    bench: Bench, backend: BenchBackend
) -> None:
    read = Read.default(backend.spec)
    backend.apply(CELL, None, read)
    bench.emulator.inject(Fault(kind=FaultKind.TIME_OUT))
    with pytest.raises(StepFailedError, match="SET of 2 V: the pulse may have been given") as caught:
        backend.apply(CELL, set_pulse(), read)
    assert caught.value.pulse_sent is None
    assert caught.value.cell == (0, 3, 4)
    assert bench.outputs_off
    assert backend.apply(CELL, None, read).status[0] == 0, "the bench goes on"


def test_all_lines_are_open_before_an_analyser_that_is_silent_is_asked_again(
    bench: Bench, backend: BenchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, board, heard = Read.default(backend.spec), backend.instruments.board, list[int]()
    backend.apply(CELL, None, read)
    open_lines = board.safe

    def noting() -> None:
        heard.append(bench.emulator.ask(lambda engine: engine.log.received))
        open_lines()

    monkeypatch.setattr(board, "safe", noting)
    before = bench.emulator.ask(lambda engine: engine.log.received)
    bench.emulator.inject(Fault(kind=FaultKind.TIME_OUT))
    with pytest.raises(StepFailedError):
        backend.apply(CELL, set_pulse(), read)
    assert heard[0] == before + 1, "the step, and nothing after it"


def test_without_a_board_no_pulse_is_sent_and_the_error_says_so(bench: Bench, tmp_path: Path) -> None:
    backend = open_backend(bench.config(board={"link_timeout_s": 0.2}))
    read = Read.default(backend.spec)
    backend.apply(CELL, set_pulse(), read)
    pulses = len([one for one in bench.emulator.wire_log() if b"DO " in one.payload])
    bench.daemon.kill()
    with pytest.raises(BackendUnavailableError) as caught:
        backend.apply(Cells.of(0, 4, 4), set_pulse(), read)
    assert caught.value.pulse_sent is False
    assert len([one for one in bench.emulator.wire_log() if b"DO " in one.payload]) == pulses
    assert bench.outputs_off, "the analyser is made safe although the board is gone"
    with pytest.raises(OutputsNotSafeError, match="board"):
        backend.close()
    backend.close()


def test_an_exception_between_two_steps_leaves_everything_off(bench: Bench) -> None:
    def work() -> None:
        with open_backend(bench.config()) as backend:
            backend.apply(CELL, set_pulse(), Read.default(backend.spec))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        work()
    assert bench.outputs_off


def test_a_reading_while_the_board_has_let_go_is_refused(backend: BenchBackend) -> None:
    read = Read.default(backend.spec)
    backend.apply(CELL, None, read)
    backend.instruments.board.disarm()  # as its watchdog does
    with pytest.raises(StepFailedError, match="the board has let go of the cell"):
        backend.apply(CELL, set_pulse(), read)
    backend.apply(CELL, None, read)


# Ownership


def test_a_second_process_is_refused_with_the_owners_name(bench: Bench, backend: BenchBackend, tmp_path: Path) -> None:
    code = "import sys; from rmhil.bench.config import *; from rmhil.bench.boards import BOARDS\n"
    code += "from tests.integration.test_board import MEMORY; BOARDS['memory'] = MEMORY\n"
    code += "from rmhil.bench.ownership import BenchLock\nBenchLock.of(load_bench_config(sys.argv[1])).take()"
    arguments = [sys.executable, "-c", code, str(bench.file(tmp_path))]
    second = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert f"process {os.getpid()} of {getpass.getuser()} on " in second.stderr
    assert "BenchHeldError" in second.stderr
    assert "delete" in second.stderr


def test_a_second_bench_in_this_process_is_refused(bench: Bench, backend: BenchBackend) -> None:
    with pytest.raises(BenchHeldError, match="owns this bench since"):
        open_backend(bench.config())


def test_a_lock_that_a_killed_process_left_is_taken_over(bench: Bench, tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock = Path(bench.tables["lock"]["file"])
    lock.write_text(f'{{"pid": {ended.pid}, "host": "{os.uname().nodename}", "time": "t", "user": "u"}}')
    with open_backend(bench.config()):
        assert f'"pid": {os.getpid()}' in lock.read_text()
    assert not lock.exists()


def test_a_bench_that_does_not_open_is_not_owned(bench: Bench) -> None:
    with pytest.raises(BoardNotFoundError):
        open_backend(bench.config(board={"url": "socket://127.0.0.1:1"}))
    assert not Path(bench.tables["lock"]["file"]).exists()
    assert bench.outputs_off


def test_a_bench_takes_no_options_and_needs_a_file() -> None:
    with pytest.raises(ConfigError, match="rmhil bench init"):
        open_backend()
    with pytest.raises(ConfigError, match="unknown option seed"):
        open_backend(config="bench.toml", seed=7)


# Preflight


def lights(path: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in preflight(path)}


def test_a_bench_that_is_right_has_no_red_light(bench: Bench, tmp_path: Path) -> None:
    found = lights(bench.file(tmp_path))
    assert {finding.light for finding in found.values()} <= {Light.GREEN, Light.AMBER}
    assert "0 of 6 BLs" in found["lines"].text, "the cell is virgin: readings cannot tell"
    assert found["lines"].light is Light.AMBER
    assert bench.outputs_off
    assert not Path(bench.tables["lock"]["file"]).exists()


def test_lines_are_known_once_a_cell_on_them_conducts(bench: Bench, tmp_path: Path) -> None:
    with open_backend(bench.config()) as backend:
        read = Read.default(backend.spec)
        backend.apply(CELL, Pulses.of(1, Operation.FORM, 4.5, 1e-3, 1.5, 1e-3), read)
    found = lights(bench.file(tmp_path))
    assert found["lines"].light is Light.GREEN
    assert "6 of 6 BLs and 5 of 5 SLs" in found["lines"].text


WRONG: dict[str, tuple[dict[str, dict[str, Any]], str, str]] = {
    "resource": ({"analyser": {"resource": "TCPIP0::127.0.0.1::1::SOCKET"}}, "analyser link", "not found"),
    "module": ({"analyser": {"channels": {"bl": 5}}}, "modules", "channel 5 of the wiring is no SMU"),
    "daemon": ({"board": {"url": "socket://127.0.0.1:1"}}, "board link", "no board found"),
    "overlay": (
        {"board": {"description": "adc64"}, "wiring": {"virtual_ground": 1.5}},
        "map and description",
        "not made from description adc64: description hash",
    ),
}
"""What is wrong, the light that is red for it, and what it says."""


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_red_says_what_to_do_and_what_stands_on_it_is_passed_over(
    bench: Bench, tmp_path: Path, what: str
) -> None:
    changes, check, text = WRONG[what]
    found = lights(bench.file(tmp_path, **changes))
    assert found[check].light is Light.RED
    assert text in found[check].text
    assert found[check].remedy
    assert found["cells"].light is Light.SKIPPED
    assert [name for name, one in found.items() if one.light is Light.RED] == [check]
    assert bench.outputs_off


def test_a_wrong_size_is_red_in_the_configuration(bench: Bench, tmp_path: Path) -> None:
    path = bench.file(tmp_path)
    path.write_text(path.read_text().replace("n_bl = 6", "n_bl = 200"))
    found = lights(path)
    assert found["configuration"].light is Light.RED
    assert "array.n_bl = 200, allowed 1 to 128 lines" in found["configuration"].text
    assert {one.light for name, one in found.items() if name != "configuration"} == {Light.SKIPPED}


def test_a_held_bench_is_red_with_its_owner(bench: Bench, backend: BenchBackend, tmp_path: Path) -> None:
    found = lights(bench.file(tmp_path))
    assert found["owner"].light is Light.RED
    assert getpass.getuser() in found["owner"].text


def test_errors_that_somebody_left_are_amber(bench: Bench, tmp_path: Path) -> None:
    """Over a plain socket, that is; the device clear of other links forgets them."""
    bench.emulator.ask(lambda engine: engine.instrument.errors.add(UNDEFINED_COMMAND))
    found = lights(bench.file(tmp_path, analyser={"resource": bench.emulator.resources["SOCKET"]}))
    assert found["error queue"].light is Light.AMBER
    assert "100" in found["error queue"].text


# The command


def test_the_command_shows_every_light_and_its_exit_code_says_whether_one_is_red(bench: Bench, tmp_path: Path) -> None:
    path = bench.file(tmp_path)
    good = CliRunner().invoke(app, ["bench", "check", "--config", str(path)])
    assert good.exit_code == 0, good.output
    assert "green" in good.output
    bad = CliRunner().invoke(app, ["bench", "check", "--config", str(tmp_path / "none.toml"), "--json"])
    assert bad.exit_code == 2
    assert '"ready": false' in bad.output


def test_init_writes_a_file_that_is_read_and_overwrites_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    arguments = ["bench", "init", str(path), "--no-ask", "--resource", "GPIB0::17::INSTR", "--chip", "die-7"]
    made = CliRunner().invoke(app, [*arguments, "--inhibit", "0", "--description", "adc8"])
    assert made.exit_code == 0, made.output
    config = load_bench_config(path)
    assert (config.array.chip, config.analyser.channels.inhibit, config.wiring.adc_count) == ("die-7", None, 8)
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 2
    assert "not overwritten" in again.output


def test_init_gives_no_chip_a_name_that_another_may_have(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    refused = CliRunner().invoke(app, ["bench", "init", str(path), "--no-ask"])
    assert refused.exit_code == 2
    assert "--chip is missing" in refused.output
    assert not path.exists()


def test_init_that_is_not_answered_is_an_interrupt_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    assert CliRunner().invoke(app, ["bench", "init", str(path)], input="GPIB0::5::INSTR\n").exit_code == 130
    assert not path.exists()


def test_init_asks_for_what_is_not_given(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    answers = "GPIB0::5::INSTR\n@ivi\n1\n2\n3\n4\n/dev/ttyUSB0\nadc64\ndie-9\n"
    made = CliRunner().invoke(app, ["bench", "init", str(path)], input=answers)
    assert made.exit_code == 0, made.output
    config = load_bench_config(path)
    assert (config.analyser.resource, config.board.url, config.array.chip) == (
        "GPIB0::5::INSTR",
        "/dev/ttyUSB0",
        "die-9",
    )
