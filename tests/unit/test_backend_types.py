from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import ArraySpec, Biases, Cells, Limits, Operation, Pulses, line_numbers
from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.wiring import Wiring

lines_of_128 = st.sets(st.integers(0, 127), min_size=1).map(sorted)


def spec_with(**wiring: int) -> ArraySpec:
    return ArraySpec(
        provenance="test",
        n_arrays=1,
        n_bl=128,
        n_sl=128,
        conductance_min=10e-6,
        conductance_max=80e-6,
        wiring=Wiring(**wiring),
    )


@given(bl=lines_of_128, sl=lines_of_128, bl_channels=st.integers(1, 128), sl_channels=st.integers(1, 128))
def test_passes_cover_every_pair_of_lines_exactly_once(
    bl: list[int], sl: list[int], bl_channels: int, sl_channels: int
) -> None:
    seen = [
        (row, column)
        for one in spec_with(bl_channels=bl_channels, sl_channels=sl_channels).passes(bl, sl)
        for row in one.bl
        for column in one.sl
    ]
    assert len(seen) == len(set(seen))
    assert set(seen) == {(row, column) for row in bl for column in sl}


@given(bl=lines_of_128, sl=lines_of_128)
def test_no_pass_asks_for_more_lines_than_there_are_channels(bl: list[int], sl: list[int]) -> None:
    for one in spec_with(bl_channels=64, sl_channels=64).passes(bl, sl):
        assert 1 <= len(one.bl) <= 64
        assert 1 <= len(one.sl) <= 64
        assert len(set(one.bl % 64)) == len(one.bl), "two lines of one pass share a channel"


def test_the_default_board_takes_four_passes_for_the_whole_array() -> None:
    assert len(spec_with().passes()) == 4


def test_no_lines_take_no_pass() -> None:
    assert spec_with().passes(bl=[]) == []


@pytest.mark.parametrize("lines", [[128], [-1], [3, 3], [4, 2]])
def test_line_numbers_outside_repeated_or_unordered_are_refused(lines: list[int]) -> None:
    with pytest.raises(OutOfRangeError, match="bl line"):
        line_numbers("bl", lines, 128)


NOT_WHOLE = [[0.9, 1.7], np.array([False, True]), ["1"], [None], [[0], [1, 2]], [1j]]


@pytest.mark.parametrize("lines", NOT_WHOLE)
def test_line_numbers_that_are_not_whole_are_refused(lines: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="bl lines: whole numbers are needed"):
        line_numbers("bl", lines, 128)


@pytest.mark.parametrize("lines", [[0, 2], (0, 2), range(0, 3, 2), np.array([0, 2], np.uint8), np.array([0, 2])])
def test_line_numbers_of_any_integer_type_are_taken(lines: Any) -> None:  # noqa: ANN401
    numbers = line_numbers("bl", lines, 3)
    assert (numbers.tolist(), numbers.dtype) == ([0, 2], np.int64)


@pytest.mark.parametrize("part", ["array", "bl", "sl"])
@pytest.mark.parametrize("index", [0.7, True, *NOT_WHOLE])
def test_cells_whose_numbers_are_not_whole_are_refused(part: str, index: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match=f"cells.{part}: whole numbers are needed"):
        Cells.of(**({"array": 0, "bl": 0, "sl": 0} | {part: index}))


@pytest.mark.parametrize("operation", [1.9, 1.0, True, [1.0, 2.0], "SET"])
def test_an_operation_that_is_no_code_is_refused(operation: Any) -> None:  # noqa: ANN401
    with pytest.raises(ConfigError, match="operation: whole numbers are needed"):
        Pulses.of(2, operation, 1.5, 1e-3, 2.0, 1e-3)


def test_cells_from_a_mask_point_back_at_it() -> None:
    mask = np.random.default_rng(3).random((2, 5, 7)) < 0.3
    rebuilt = np.zeros_like(mask)
    rebuilt[Cells.from_mask(mask).index] = True
    np.testing.assert_array_equal(rebuilt, mask)


def test_one_value_of_a_pulse_serves_every_cell() -> None:
    pulses = Pulses.of(3, Operation.SET, 1.5, 1e-3, [1.0, 1.5, 2.0], 1e-3)
    assert len(pulses) == 3
    assert set(pulses.amplitude) == {1.5}
    np.testing.assert_array_equal(pulses[1:].gate_voltage, [1.5, 2.0])


def test_biases_broadcast_to_one_list_of_steps() -> None:
    biases = Biases.of(bl=[0.0, 0.5, 1.0], sl=0.0, wl=2.0, dwell=1e-3, compliance=1e-3)
    assert len(biases) == 3
    assert set(biases.wl) == {2.0}


def test_each_operation_has_its_own_amplitude_limit() -> None:
    limits = Limits(set_voltage=1.0, reset_voltage=2.0, form_voltage=3.0)
    assert [limits.amplitude(operation) for operation in (Operation.SET, Operation.RESET, Operation.FORM)] == [1, 2, 3]


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec_with().n_bl = 4  # type: ignore[misc]


def test_default_converters_have_the_steps_of_their_data_sheets() -> None:
    wiring = Wiring()
    assert wiring.dac_lsb == pytest.approx(38.1e-6, rel=0.01)
    assert wiring.adc_lsb * wiring.tia_resistance == pytest.approx(153e-6, rel=0.01)
    assert wiring.adc_current_range == pytest.approx(1.04e-3, rel=0.01)


def test_an_unknown_wiring_key_is_refused() -> None:
    with pytest.raises(ValueError, match="bl_chanels"):
        Wiring(bl_chanels=64)  # type: ignore[call-arg]
