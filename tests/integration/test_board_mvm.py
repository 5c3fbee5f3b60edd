"""`Board.mvm` through link, daemon, RTL and chip models equals the simulator's MVM of the same array, to the ADC code.

The twin's array and the simulator's come from one file. The chip has rested, so that it does not drift while the board
converts, which takes longer than the simulator's call.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import rmhil
from rmhil.backend import Cells, Lines, Operation, Pulses, Read
from rmhil.bench import BOARDS, Board, Products
from sim_backend.backend import SimBackend
from sim_backend.twin import StartedTwin, start_twin
from tests.firmware.board import require_tool

SEED = 7
NOISE_OFF = ("read-noise", "telegraph", "adc-noise")
VECTORS = 80
"""1: with 128 source lines, 10,240 outputs."""

REST = 1e7
"""s. In the 0.1 s that the slower board takes, cells then drift by less than 1e-8, or 1e-4 of a code."""

TIA_RESISTANCE = 12_000.0
"""ohm: ten times the usual, so that inputs of one sign leave the range of some converters."""

WAYS = [("adc64", "tcp"), ("adc8", "pty")]
OTHER_WAYS = [("adc64", "pty"), ("adc8", "tcp")]
Floats = NDArray[np.float64]


def options(topology: str, off: tuple[str, ...] = NOISE_OFF) -> dict[str, Any]:
    """The array, for twin and simulator alike."""
    wiring = {"adc_count": BOARDS[topology].adc_count, "tia_resistance": TIA_RESISTANCE}
    return {"seed": SEED, "off": off, "wiring": wiring}


def programmed_chip(path: Path, topology: str) -> None:
    """Form and set every cell, to conductances of all sizes, and let the chip rest."""
    with simulated(topology) as sim:
        cells = Cells.from_mask(np.ones(sim.spec.shape, dtype=np.bool_))
        gates = np.random.default_rng(3).uniform(0.9, 2.4, len(cells))
        read = Read.default(sim.spec)
        sim.apply(cells, Pulses.of(len(cells), Operation.FORM, 3.8, 1e-3, 1.4, 1e-3), read)
        sim.apply(cells, Pulses.of(len(cells), Operation.SET, 1.6, 1e-3, gates, 1e-3), read)
        sim.wait(REST)
        sim.save_state(path)


def simulated(
    topology: str, off: tuple[str, ...] = NOISE_OFF, state: Path | None = None, dtype: str = "float64"
) -> SimBackend:
    backend = rmhil.open_backend("sim", dtype=dtype, state=state, **options(topology, off))
    assert isinstance(backend, SimBackend)
    return backend


@dataclass
class Pair:
    """The twin, and the simulator of the same array."""

    topology: str
    state: Path
    twin: StartedTwin

    def sim(self, off: tuple[str, ...] = NOISE_OFF, dtype: str = "float64") -> SimBackend:
        return simulated(self.topology, off, self.state, dtype)

    @contextmanager
    def board(self) -> Iterator[Board]:
        """The twin's board, armed."""
        with Board(self.twin.board_url, BOARDS[self.topology], self.twin.wiring) as board:
            board.arm()
            yield board


@contextmanager
def started(way: tuple[str, str], folder: Path) -> Iterator[Pair]:
    require_tool("verilator")
    topology, line = way
    state = folder / "chip"
    programmed_chip(state, topology)
    with start_twin(topology=topology, board=line, state=state, tied=True, **options(topology)) as twin:
        assert twin.board_url.startswith("socket://") == (line == "tcp")
        yield Pair(topology, state, twin)
        assert twin.records().violations == ()


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with started(request.param, tmp_path_factory.mktemp("twin")) as pair:
        yield pair


def inputs(batch: int, lines: int = 128, seed: int = 1) -> Floats:
    """V, of both signs and, in a quarter of the vectors, of one."""
    volts = np.random.default_rng(seed).uniform(-0.2, 0.2, (batch, lines))
    volts[::4] = np.abs(volts[::4])
    return volts


def of_sim(sim: SimBackend, volts: Floats, bl: Lines = None, sl: Lines = None) -> Products:
    """What the simulator gives, as the board tells it."""
    result = sim.mvm(torch.from_numpy(volts)[None], bl=bl, sl=sl)
    currents = result.currents[0].numpy()
    codes = np.rint(currents / np.float64(sim.spec.wiring.adc_lsb)).astype(np.int32)
    return Products(codes, currents, result.over_range[0].numpy())


def assert_same(board: Products, sim: Products) -> None:
    np.testing.assert_array_equal(board.codes, sim.codes)
    np.testing.assert_array_equal(board.currents, sim.currents)


def check_equality(pair: Pair) -> None:
    volts = inputs(VECTORS)
    with pair.sim() as sim, pair.board() as there:
        board, expected = there.mvm(volts), of_sim(sim, volts)
    assert board.codes.size >= 10_000
    assert np.ptp(expected.codes) > 10_000  # most of the converters' range is seen
    assert_same(board, expected)


def test_every_code_and_every_current_is_the_simulators(pair: Pair) -> None:
    check_equality(pair)


@pytest.mark.long
@pytest.mark.parametrize("way", OTHER_WAYS, ids="-".join)
def test_every_code_is_the_simulators_on_the_other_ways_too(way: tuple[str, str], tmp_path: Path) -> None:
    with started(way, tmp_path) as other:
        check_equality(other)


def test_what_leaves_the_converters_range_is_flagged_as_in_the_simulator(pair: Pair) -> None:
    volts = np.abs(inputs(8, seed=4))
    with pair.sim() as sim, pair.board() as there:
        board, expected = there.mvm(volts), of_sim(sim, volts)
    assert 0 < np.count_nonzero(expected.over_range) < expected.over_range.size
    assert_same(board, expected)
    np.testing.assert_array_equal(board.over_range, expected.over_range)


@pytest.mark.parametrize(
    ("bl", "sl"),
    [(None, [0, 5, 63, 64, 127]), ([3, 64, 65, 127], None), ([17], [90]), (range(64, 128), range(64))],
)
def test_the_same_holds_for_some_of_the_lines(pair: Pair, bl: Lines, sl: Lines) -> None:
    volts = inputs(5, 128 if bl is None else len(bl), seed=2)
    with pair.sim() as sim, pair.board() as board:
        assert_same(board.mvm(volts, bl=bl, sl=sl), of_sim(sim, volts, bl, sl))


def test_a_simulator_in_single_precision_is_one_code_off_at_most_and_rarely(pair: Pair) -> None:
    volts = inputs(VECTORS // 2, seed=5).astype(np.float32)
    with pair.sim(dtype="float32") as sim, pair.board() as board:
        codes = board.mvm(volts).codes
        result = sim.mvm(torch.from_numpy(volts)[None])
        differences = codes - np.rint(result.currents[0].numpy() / sim.spec.wiring.adc_lsb)
    assert np.abs(differences).max() <= 1
    assert np.count_nonzero(differences) < 0.005 * differences.size


def test_noise_has_the_simulators_mean_and_spread(pair: Pair) -> None:
    repeats, bank = 100, range(64)
    volts = np.repeat(inputs(2, 64, seed=6), repeats, axis=0)
    pair.twin.renew(state=pair.state, **options(pair.topology, off=()))
    try:
        with pair.sim(off=()) as sim, pair.board() as board:
            of_sim(sim, volts, bank, bank)  # both began with the same noise
            there = board.mvm(volts, bl=bank, sl=bank).currents.reshape(2, repeats, 64)
            here = of_sim(sim, volts, bank, bank).currents.reshape(2, repeats, 64)
    finally:
        pair.twin.renew(state=pair.state, **options(pair.topology))
    spread = here.std(axis=1)
    distance = (there.mean(axis=1) - here.mean(axis=1)) / (spread * np.sqrt(2 / repeats))
    # Distances of 128 means are normal with a deviation of 1, known to 6 %; both pooled spreads are known to 0.6 %.
    assert np.abs(distance).max() < 4.5
    assert distance.std() == pytest.approx(1.0, abs=0.25)
    assert there.std(axis=1).mean() == pytest.approx(spread.mean(), rel=0.03)
