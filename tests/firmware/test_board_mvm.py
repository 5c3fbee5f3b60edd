"""Batches at the level of pins: codes, passes, flags, order, and clocks per MVM."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rmhil.bench import board_map as rm
from tests.firmware.board import FIRMWARE, Board, Floats, Matrix, Sample, adc_codes, build, codes_around, opened

sys.path.insert(0, str(FIRMWARE / "regmap"))
import board_params

CHIPS = board_params.load_chips(FIRMWARE / "models" / "chips.toml")
ALLOWANCE = 1.02
"""Clocks per MVM over the analytic limit that the sequencer may take."""


def random_matrix(board: Board, scale: float = 0.02) -> Matrix:
    matrix = Matrix(np.random.default_rng(5).normal(0, scale, (128, 128)), board.rest_code)
    board.set_array(matrix)
    return matrix


def random_offsets(board: Board, vectors: int, seed: int = 6) -> np.ndarray:
    limit = board.limit_codes
    return np.random.default_rng(seed).integers(-limit, limit + 1, (vectors, 64))


@pytest.mark.parametrize(("bl_bank", "sl_bank"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_batch_gives_the_rounded_product_of_its_banks(board: Board, bl_bank: int, sl_bank: int) -> None:
    board.arm()
    matrix = random_matrix(board)
    board.route_mvm(bl_bank, sl_bank)
    offsets = random_offsets(board, 4)
    results = board.mvm(codes_around(board.rest_code, offsets))
    block = matrix.weights[64 * bl_bank : 64 * bl_bank + 64, 64 * sl_bank : 64 * sl_bank + 64]
    np.testing.assert_array_equal(adc_codes(results), np.rint(offsets @ block))
    assert not np.any(results >> 14 & 1)


def test_lines_outside_the_masks_are_neither_driven_nor_on(board: Board) -> None:
    board.arm()
    matrix = random_matrix(board)
    board.route_mvm(0, 1, bl_mask=0b1011, sl_mask=1 << 9 | 1 << 63)
    board.mvm(codes_around(board.rest_code, random_offsets(board, 1)))
    sample = matrix.samples[-1]
    assert np.flatnonzero(sample.bl_source == rm.Source.CONVERTER).tolist() == [0, 1, 3]
    assert np.count_nonzero(sample.bl_source == rm.Source.GROUND) == 125
    assert np.flatnonzero(sample.wl_source == rm.GateSource.RAIL).tolist() == [64 + 9, 127]
    assert np.flatnonzero(sample.sl_source == rm.Source.CONVERTER).tolist() == [64 + 9, 127]


def test_steps_without_a_sensed_line_are_left_out(board: Board) -> None:
    board.arm()
    random_matrix(board)
    adcs = board.field("CHANNELS.ADC")
    board.route_mvm(0, 0, sl_mask=1 << 0 | 1 << 63)
    board.mvm(codes_around(board.rest_code, random_offsets(board, 3)))
    assert board.read("CONVERSIONS_TOTAL") == 3 * (1 if adcs == 64 else 2)


def test_an_end_code_is_flagged_and_counted(board: Board) -> None:
    inputs = np.zeros(64)
    inputs[[3, 4, 5, 6, 7]] = [8190.4, 8190.6, -8191.4, -8192.0, 1e6]
    board.arm()
    board.set_array(lambda sample: inputs[sample.tia])
    board.route_mvm(0, 0)
    results = board.mvm(codes_around(board.rest_code, np.zeros((1, 64), int)))[0]
    assert adc_codes(results)[3:8].tolist() == [8190, 8191, -8191, -8192, 8191]
    assert (results >> 15)[3:8].tolist() == [0, 1, 0, 1, 1]
    assert board.read("OVER_RANGE_TOTAL") == 3


def test_both_banks_may_be_in_flight(board: Board) -> None:
    board.arm()
    matrix = random_matrix(board)
    board.route_mvm(0, 0)
    batches = [random_offsets(board, 3, seed) for seed in (1, 2)]
    for bank, offsets in enumerate(batches):
        board.load(codes_around(board.rest_code, offsets), bank)
        board.queue(rm.Opcode.MVM, 3 | bank << 16, tag=100 + bank)
        board.ring()
    board.wait_for(lambda: bool(board.field("STATUS.IDLE")))
    for bank, offsets in enumerate(batches):
        np.testing.assert_array_equal(adc_codes(board.results(3, bank)), np.rint(offsets @ matrix.weights[:64, :64]))
    assert board.field("LAST_TAG.TAG") == 101


def test_an_input_beyond_the_limit_is_refused_before_it_is_driven(board: Board) -> None:
    board.arm()
    matrix = random_matrix(board)
    board.route_mvm(0, 0)
    offsets = np.zeros((3, 64), int)
    offsets[1, 63] = board.limit_codes
    offsets[2, 63] = board.limit_codes + 1
    board.mvm(codes_around(board.rest_code, offsets))
    assert board.state is rm.State.FAULT
    assert (board.field("STATUS.CAUSE"), board.field("STATUS.ERROR")) == (rm.Cause.COMMAND, rm.Error.INPUT)
    assert board.field("VECTORS_DONE.COUNT") == 2
    highest = max(int(np.abs(sample.dac_level - board.rest_code).max()) for sample in matrix.samples)
    assert highest == board.limit_codes
    np.testing.assert_array_equal(adc_codes(board.results(2)), np.rint(offsets[:2] @ matrix.weights[:64, :64]))


def test_the_dacs_rest_after_a_batch(board: Board) -> None:
    board.arm()
    board.route_mvm(0, 0)
    board.mvm(codes_around(board.rest_code, random_offsets(board, 1)))
    assert board.outputs().dacs_off_rest == 0


def sample_times(board: Board, vectors: int) -> list[int]:
    times: list[int] = []

    def array(sample: Sample) -> Floats:
        times.append(sample.time_ns)
        return np.zeros(sample.tia.size)

    board.set_array(array)
    board.mvm(codes_around(board.rest_code, random_offsets(board, vectors)))
    return times


def test_clocks_per_mvm_stay_within_two_percent_of_the_analytic_limit(board: Board) -> None:
    name = "adc64" if board.field("CHANNELS.ADC") == 64 else "adc8"
    description = board_params.load_board(FIRMWARE / "boards" / f"{name}.toml")
    limit = board_params.analytic_clocks(description, CHIPS)
    board.arm()
    board.route_mvm(0, 0)
    vectors = 64 if name == "adc64" else 16
    offsets = random_offsets(board, vectors)
    board.load(codes_around(board.rest_code, offsets))
    board.queue(rm.Opcode.MVM, vectors)
    begin = board.time_ns
    board.write("IRQ_STATUS", 0xF)
    board.write("IRQ_ENABLE", 1 << rm.FIELDS["IRQ_STATUS.EMPTY"].low)
    board.ring()
    board.step_until_irq(vectors * 20_000)
    clocks = (board.time_ns - begin) / 1e9 * board.read("CLOCK_HZ")
    assert board.field("VECTORS_DONE.COUNT") == vectors
    assert limit * vectors < clocks <= ALLOWANCE * limit * vectors


def test_conversions_follow_one_another_without_a_gap(board: Board) -> None:
    board.arm()
    board.route_mvm(0, 0)
    times = sample_times(board, 4)
    assert set(np.diff(times)) == {CHIPS["ads8324"]["cycle_ns"]}


@pytest.mark.parametrize("seed", range(1, 9))
def test_nothing_is_driven_at_power_on_whatever_the_chips_contain(seed: int) -> None:
    with opened(build("adc64"), seed) as board:
        board.step(1000)
        assert (board.outputs().outputs_enabled, board.outputs().lines_driven) == (False, 0)
        board.arm()
        assert board.outputs().outputs_enabled
        assert (board.outputs().lines_driven, board.outputs().dacs_off_rest) == (0, 0)
        assert board.violations() == []


def test_a_wave_dump_holds_the_pins_between_start_and_stop(tmp_path: Path) -> None:
    with opened(build("adc64", name="adc64-trace", TRACE=1, QUICK=1)) as board:
        board.arm()
        board.trace(tmp_path / "board.vcd")
        board.route_mvm(0, 0)
        board.trace_stop()
        board.step(1000)
    text = (tmp_path / "board.vcd").read_text()
    assert all(pin in text for pin in ("dac_sclk", "adc_dclock", "sr_rclk", "wl_gate"))
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert 200_000 < times[0] < times[-1] < times[0] + 60_000  # ns: arming takes 270 us, a route change 35 us


def test_a_library_without_waves_says_so(board_64: Board, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no trace"):
        board_64.trace(tmp_path / "board.vcd")
