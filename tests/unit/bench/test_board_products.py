"""Products of vectors through a board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rmhil.bench.backend import ChipBench
from rmhil.bench.board import Board
from rmhil.bench.board_errors import BoardRouteError
from rmhil.bench.board_map import Opcode, Route
from rmhil.bench.board_products import PART
from rmhil.bench.config import bench_config
from rmhil.bench.instruments import Instruments
from rmhil.bench.messages import Command
from rmhil.bench.ownership import BenchLock
from rmhil.errors import ConfigError, NotFiniteError, OutOfRangeError, ShapeError
from rmhil.wiring import Wiring
from tests.unit.bench.board_link import BoardLink, arguments
from tests.unit.bench.scripted import OFF, opened


def test_passes_run_in_the_order_of_the_seam(board: Board, link: BoardLink) -> None:
    board.mvm(np.zeros((3, 128)))
    routes = [arguments(sent) for sent in link.sent if isinstance(sent, Command)]
    assert [(route.get("BL_BANK", 0), route.get("SL_BANK", 0)) for route in routes] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [sent for sent in link.sent if isinstance(sent, int)] == [3, 3, 3, 3]


def test_only_the_lines_that_are_named_are_joined(board: Board, link: BoardLink) -> None:
    result = board.mvm(np.zeros((1, 3)), bl=[0, 40, 63], sl=[66, 127])
    (route,) = (arguments(sent) for sent in link.sent if isinstance(sent, Command))
    masks = {"BL_MASK_LOW": 1, "BL_MASK_HIGH": 1 << 31 | 1 << 8, "SL_MASK_LOW": 1 << 2, "SL_MASK_HIGH": 1 << 31}
    assert route == {"SL_BANK": 1} | masks
    assert result.codes.shape == (1, 2)


def test_a_route_that_stands_is_not_changed(board: Board, link: BoardLink) -> None:
    for _ in range(3):
        board.mvm(np.zeros((1, 64)), bl=range(64), sl=range(64))
    assert sum(isinstance(sent, Command) for sent in link.sent) == 1
    board.disarm()
    board.arm()
    board.mvm(np.zeros((1, 64)), bl=range(64), sl=range(64))
    assert sum(isinstance(sent, Command) for sent in link.sent) == 2


def test_codes_of_the_passes_are_summed_and_become_amperes(board: Board) -> None:
    wiring = Wiring()
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, (5, 128))
    result = board.mvm(volts)
    each = np.rint(volts / wiring.dac_lsb).astype(int)
    both = each[:, :64] + each[:, 64:]  # the link's board gives what is driven on the line of the same number
    np.testing.assert_array_equal(result.codes, np.hstack([both, both]))
    np.testing.assert_array_equal(result.currents, result.codes * wiring.adc_lsb)
    assert not result.over_range.any()


def test_a_large_batch_goes_in_parts_of_which_two_are_under_way(board: Board, link: BoardLink) -> None:
    volts = np.linspace(-0.2, 0.2, 64 * (2 * PART + 5)).reshape(-1, 64)
    result = board.mvm(volts, bl=range(64), sl=range(64))
    assert [sent for sent in link.sent if isinstance(sent, int)] == [PART, PART, 5]
    assert link.most_under_way == 2
    np.testing.assert_array_equal(result.codes, np.rint(volts / Wiring().dac_lsb))


@pytest.mark.parametrize(("batch", "lines"), [(0, 128), (3, 0)])
def test_nothing_to_drive_drives_nothing(board: Board, link: BoardLink, batch: int, lines: int) -> None:
    result = board.mvm(np.zeros((batch, lines)), bl=range(lines))
    assert result.currents.shape == (batch, 128)
    assert not result.currents.any()
    assert link.sent == []


@pytest.mark.parametrize(
    ("volts", "error", "message"),
    [
        (np.full((1, 128), 0.2001), OutOfRangeError, "bl_voltages = 0.2001 V"),
        (np.full((1, 128), -0.3), OutOfRangeError, "bl_voltages = -0.3 V"),
        (np.full((1, 128), np.nan), NotFiniteError, "128 value"),
        (np.zeros(128), ShapeError, r"\(batch, 128 driven BLs\)"),
        (np.zeros((1, 127)), ShapeError, r"\(batch, 128 driven BLs\)"),
        (np.zeros((1, 128), dtype=np.int64), ShapeError, "float64 or float32, not int64"),
    ],
)
def test_vectors_that_cannot_be_driven_are_refused_before_a_byte_is_sent(
    board: Board, link: BoardLink, volts: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        board.mvm(volts)
    assert link.sent == []


def test_lines_that_are_not_there_are_refused(board: Board, link: BoardLink) -> None:
    with pytest.raises(OutOfRangeError, match="sl line = 128"):
        board.mvm(np.zeros((1, 128)), sl=[128])
    with pytest.raises(OutOfRangeError, match="smallest step between sl lines"):
        board.mvm(np.zeros((1, 128)), sl=[3, 2])
    with pytest.raises(ConfigError, match="whole numbers"):
        board.mvm(np.zeros((1, 1)), bl=[0.5])  # type: ignore[list-item]
    assert link.sent == []


def test_a_cell_on_the_analyser_keeps_the_converters_away(board: Board, link: BoardLink) -> None:
    board.route_cell(5, 9)
    link.sent.clear()
    with pytest.raises(BoardRouteError, match=r"release\(\)"):
        board.mvm(np.zeros((1, 128)))
    assert link.sent == []
    board.release()
    board.mvm(np.zeros((1, 128)))
    assert link.route is Route.MVM


def test_a_bench_leaves_the_lines_joined_between_two_products(board: Board, link: BoardLink, tmp_path: Path) -> None:
    tables = {"analyser": {"resource": "A"}, "board": {"url": "B"}, "array": {"chip": "c", "preset": "taox180"}}
    config = bench_config(tables | {"lock": {"file": tmp_path / "lock"}})
    lock = BenchLock.of(config)
    lock.take()
    analyser, _ = opened(OFF)
    with ChipBench(config, Instruments(config, lock, analyser, board)) as bench:
        for _ in range(2):
            bench.mvm(torch.zeros(1, 3, 64, dtype=torch.float64), bl=range(64), sl=range(64))
        assert [sent.opcode for sent in link.sent if isinstance(sent, Command)] == [Opcode.ROUTE_MVM]
