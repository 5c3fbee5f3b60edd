"""Arming, stopping, refusals, cells and pulses: read from the chips' models, not from the RTL."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from rmhil.bench import board_map as rm
from sim_backend.twin.build import libraries
from tests.firmware.board import OFF_CLOCKS, REST_CLOCKS, Board, BusError, build, codes_around, opened

CLOCKS_PER_MS = 100_000


def start_batch(board: Board, vectors: int = 8) -> None:
    """An armed board in the middle of a batch."""
    board.arm()
    board.route_mvm(0, 0)
    offsets = np.full((vectors, 64), board.limit_codes)
    board.load(codes_around(board.rest_code, offsets))
    board.queue(rm.Opcode.MVM, vectors)
    board.ring()
    board.step(5_000)
    assert board.outputs().lines_driven > 0
    assert board.outputs().dacs_off_rest == 64


def assert_off(board: Board) -> None:
    outputs = board.outputs()
    assert (outputs.outputs_enabled, outputs.gate, outputs.lines_driven) == (False, False, 0)


def test_abort_opens_every_line_at_once_and_rests_the_dacs(board: Board) -> None:
    start_batch(board)
    board.control(abort=1)
    board.step(OFF_CLOCKS)
    assert_off(board)
    board.step(REST_CLOCKS)
    assert board.outputs().dacs_off_rest == 0
    assert (board.state, board.field("STATUS.CAUSE")) == (rm.State.FAULT, rm.Cause.ABORT)


def test_the_watchdog_drops_everything_when_kicks_stop(board: Board) -> None:
    board.write("WATCHDOG_MS", 1)
    board.control(arm=1)
    begin = board.time_ns
    board.wait_for(lambda: board.state is rm.State.READY)
    board.step(60_000)
    board.kick()
    board.step(90_000)
    assert board.outputs().outputs_enabled  # the kick came in time
    board.step(10_000 + OFF_CLOCKS + REST_CLOCKS)
    assert_off(board)
    assert board.outputs().dacs_off_rest == 0
    assert (board.state, board.field("STATUS.CAUSE")) == (rm.State.FAULT, rm.Cause.WATCHDOG)
    assert board.time_ns - begin > 1_000_000


def test_the_watchdog_trips_in_the_middle_of_a_batch_within_its_time(board_64: Board) -> None:
    board = board_64
    board.write("WATCHDOG_MS", 1)
    start_batch(board, vectors=256)
    board.kick()
    board.step(CLOCKS_PER_MS - 10)
    assert board.outputs().outputs_enabled
    board.step(10 + OFF_CLOCKS + 10)
    assert_off(board)
    board.step(REST_CLOCKS)
    assert board.outputs().dacs_off_rest == 0


def test_a_wrong_kick_does_nothing(board_64: Board) -> None:
    board = board_64
    board.write("WATCHDOG_MS", 1)
    board.arm()
    for _ in range(11):
        board.write("WATCHDOG_KICK", rm.WATCHDOG_KICK_KEY ^ 1)
        board.step(10_000)
    assert board.field("STATUS.CAUSE") == rm.Cause.WATCHDOG


def test_control_without_its_key_does_nothing(board_64: Board) -> None:
    board_64.write("CONTROL", 1)
    board_64.step(100)
    assert board_64.state is rm.State.DISARMED


def test_disarm_leaves_the_fault_and_arming_works_again(board: Board) -> None:
    start_batch(board)
    board.control(abort=1)
    board.step(REST_CLOCKS)
    board.control(arm=1)
    board.step(100)
    assert board.state is rm.State.FAULT  # ARM alone does not leave it
    board.control(disarm=1)
    board.step(10)
    assert (board.state, board.field("STATUS.CAUSE")) == (rm.State.DISARMED, rm.Cause.NONE)
    board.arm()
    board.route_mvm(0, 0)
    assert board.outputs().lines_driven == 64 + 64 + 64


def test_the_daemon_disarms_a_board_that_was_aborted_while_its_dacs_were_being_reset(board_64: Board) -> None:
    found = libraries("adc64")
    daemon = ctypes.CDLL(str(found.daemon))
    daemon.hal_rtl_use(ctypes.c_void_p(board_64._sim))
    assert daemon.hal_open(bytes(found.board))
    board_64.control(arm=1)
    board_64.step(5_000)
    daemon.rm_board_abort()
    assert board_64.state is rm.State.STOPPING
    daemon.rm_board_safe()
    assert board_64.state is rm.State.DISARMED
    daemon.hal_close()


def test_waiting_commands_do_not_run_after_a_fault(board_64: Board) -> None:
    board = board_64
    board.arm()
    board.route_cell(1, 2)
    board.queue(rm.Opcode.WAIT, 1_000)
    board.queue(rm.Opcode.PULSE, 1_000)
    board.ring()
    board.step(500)
    board.control(abort=1)
    board.step(5_000)
    board.control(disarm=1)
    board.arm()
    board.step(5_000)
    assert board.read("PULSES_TOTAL") == 0
    assert board.field("STATUS.IDLE") == 1


def test_a_pulse_lasts_exactly_as_long_as_said_and_is_counted(board_64: Board) -> None:
    board = board_64
    board.arm()
    board.route_cell(5, 77)
    board.queue(rm.Opcode.PULSE, 1234)
    board.ring()
    while not board.outputs().gate:
        board.step(1)
    begin = board.time_ns
    while board.outputs().gate:
        board.step(1)
    assert board.time_ns - begin == 12_340
    assert board.read("PULSES_TOTAL") == 1


def test_a_cell_is_joined_to_the_analyser_and_others_as_said(board_64: Board) -> None:
    board = board_64
    board.arm()
    for others, expected in ((0, 3), (1, 127 + 127 + 3)):
        board.route_cell(127, 64, others, others)
        board.run(rm.Opcode.GATE, 1)
        assert board.outputs().lines_driven == expected  # one BL, SL and WL, and the inhibited ones
        board.run(rm.Opcode.GATE, 0)
        assert not board.outputs().gate


MVM_ROUTE, CELL_ROUTE, NO_ROUTE = "mvm", "cell", "off"


@pytest.mark.parametrize(
    ("route", "opcode", "words", "error"),
    [
        (NO_ROUTE, 0x55, (), rm.Error.OPCODE),
        (NO_ROUTE, rm.Opcode.DAC_FRAME, (0, 0xFF), rm.Error.STATE),
        (NO_ROUTE, rm.Opcode.MVM, (1,), rm.Error.ROUTE),
        (CELL_ROUTE, rm.Opcode.MVM, (1,), rm.Error.ROUTE),
        (MVM_ROUTE, rm.Opcode.MVM, (0,), rm.Error.ARGUMENT),
        (MVM_ROUTE, rm.Opcode.MVM, (rm.VECTORS_MAX + 1,), rm.Error.ARGUMENT),
        (MVM_ROUTE, rm.Opcode.PULSE, (1000,), rm.Error.ROUTE),
        (MVM_ROUTE, rm.Opcode.GATE, (1,), rm.Error.ROUTE),
        (CELL_ROUTE, rm.Opcode.PULSE, (71,), rm.Error.ARGUMENT),
        (CELL_ROUTE, rm.Opcode.PULSE, (rm.PULSE_CLOCKS_MAX + 1,), rm.Error.ARGUMENT),
        (NO_ROUTE, rm.Opcode.ROUTE_CELL, (128,), rm.Error.ARGUMENT),
        (NO_ROUTE, rm.Opcode.ROUTE_CELL, (128 << 16,), rm.Error.ARGUMENT),
        (NO_ROUTE, rm.Opcode.ROUTE_MVM, (2, 1, 0, 1, 0), rm.Error.ARGUMENT),
        (NO_ROUTE, rm.Opcode.ROUTE_MVM, (0, 1, 0, 0, 0), rm.Error.ARGUMENT),
    ],
)
def test_a_command_that_cannot_run_is_refused_and_stops_the_board(
    board_64: Board, route: str, opcode: int, words: tuple[int, ...], error: rm.Error
) -> None:
    board = board_64
    board.arm()
    if route == MVM_ROUTE:
        board.route_mvm(0, 0)
    if route == CELL_ROUTE:
        board.route_cell(0, 0)
    board.run(opcode, *words)
    board.step(REST_CLOCKS)
    assert (board.state, board.field("STATUS.ERROR")) == (rm.State.FAULT, error)
    assert board.field("COMMAND_TAIL.SLOT") == (0 if route == NO_ROUTE else 1)
    assert_off(board)


@pytest.mark.parametrize("opcode", [rm.Opcode.ROUTE_MVM, rm.Opcode.MVM, rm.Opcode.PULSE, rm.Opcode.GATE])
def test_a_disarmed_board_drives_nothing(board_64: Board, opcode: rm.Opcode) -> None:
    board_64.run(opcode, 1000, 1, 1, 1, 1)
    board_64.step(REST_CLOCKS)
    assert board_64.field("STATUS.ERROR") == rm.Error.STATE
    assert_off(board_64)


def test_dacs_answer_with_their_identity_on_every_lane(board_64: Board) -> None:
    read_id, nothing, slow = 0x810000, 0x000000, 1 << 24
    for lane in range(8):
        board_64.run(rm.Opcode.DAC_FRAME, read_id | slow, 0xFF)
        board_64.run(rm.Opcode.DAC_FRAME, nothing | slow, 0xFF | lane << 8)
        assert board_64.field("DAC_ANSWER.FRAME") == 0x810880


def test_bus_errors_do_nothing(board_64: Board) -> None:
    board = board_64
    for address in (rm.REGISTERS["MAGIC"], 0x3FC, rm.WINDOWS["results"][0], 0x30000):
        with pytest.raises(BusError):
            board.write_address(address, 1)
    for address in (0x3FC, rm.WINDOWS["commands"][0], rm.WINDOWS["inputs"][0], 0x30000, 2):
        with pytest.raises(BusError):
            board.read_address(address)


def test_the_board_says_what_it_is(board: Board) -> None:
    assert board.read("MAGIC") == rm.MAGIC
    assert board.read("MAP_HASH") == rm.MAP_HASH
    assert (board.field("LINES.N_BL"), board.field("LINES.N_SL")) == (128, 128)
    assert (board.field("CHANNELS.DAC"), board.field("CHANNELS.TIA")) == (64, 64)


def test_the_clock_counter_is_read_whole(board_64: Board) -> None:
    low, high = board_64.read("CLOCKS_LOW"), board_64.read("CLOCKS_HIGH")
    board_64.step(1000)
    assert board_64.read("CLOCKS_LOW") - low > 1000
    assert high == 0


@pytest.mark.parametrize("name", ["adc64", "adc8"])
def test_reset_turns_everything_off_and_cuts_no_more_than_a_conversion_short(name: str) -> None:
    with opened(build(name)) as board:
        start_batch(board)
        board.reset()
        assert_off(board)
        assert board.state is rm.State.DISARMED
        board.arm()
        assert board.violations() == ["ADC_CS_EARLY"]
