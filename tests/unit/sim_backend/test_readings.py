"""Traps of random-telegraph noise go their own way in time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rmhil.backend import Read
from sim_backend import NON_IDEALITIES, SimBackend, SimConfig
from sim_backend.presets import TAOX_180
from sim_backend.readings import ReadingNoise
from sim_backend.rng import Stream, keys, uniform
from tests.arrays import all_cells, fill

OpenSim = Callable[..., SimBackend]
TRAPS = 20_000


def noise(dwell: tuple[float, float], read_time: float = 1e-3) -> ReadingNoise:
    return ReadingNoise(TAOX_180.model_copy(update={"telegraph_dwell": dwell}), SimConfig(), 0.0, read_time)


def traps() -> torch.Tensor:
    ids = torch.arange(TRAPS)
    return keys(5, ids, ids, ids)


def up(of: ReadingNoise, time: float, averages: int = 1) -> torch.Tensor:
    return of.traps_up(traps(), torch.full((TRAPS,), time, dtype=torch.float64), averages)


def test_a_trap_is_up_half_of_the_time() -> None:
    share = float(up(noise((1e-3, 1e2)), 12.3).mean())
    assert share == pytest.approx(0.5, abs=4 * 0.5 / TRAPS**0.5)


@pytest.mark.parametrize(("lag", "expected"), [(0.0, 1.0), (0.1, 0.8), (0.25, 0.5), (0.5, 0.0), (3.0, 0.0)])
def test_a_trap_forgets_its_state_within_half_its_dwell_time(lag: float, expected: float) -> None:
    """In units of the mean dwell time: the autocorrelation of slots of half that length."""
    of = noise((1.0, 1.0 + 1e-12))
    first, later = (up(of, 7.0 + shift).numpy() for shift in (0.0, lag))
    assert np.corrcoef(first, later)[0, 1] == pytest.approx(expected, abs=5 / TRAPS**0.5)


def test_a_trap_stays_in_a_level_for_its_dwell_time_on_average() -> None:
    of = noise((1.0, 1.0 + 1e-12))
    one, time = traps()[:1].expand(200_000), torch.arange(200_000, dtype=torch.float64) * 0.05
    state = of.traps_up(one, time)
    changes = int((state[1:] != state[:-1]).sum())
    assert 200_000 * 0.05 / changes == pytest.approx(1.0, rel=4 / changes**0.5)


def test_dwell_times_are_spread_evenly_over_the_decades() -> None:
    """A trap of mean dwell time d has changed after half of that with a chance of one half."""
    of = noise((1e-3, 1e2))
    changed = float((up(of, 50.0) != up(of, 50.0 + 0.316)).to(torch.float64).mean())
    decades = (uniform(traps(), Stream.TELEGRAPH_DWELL) * 5 - 3).numpy()
    expected = 0.5 * np.minimum(1.0, 0.316 / (0.5 * 10**decades)).mean()
    assert changed == pytest.approx(expected, abs=4 * 0.5 / TRAPS**0.5)


def test_averages_quieten_fast_traps_and_not_slow_ones() -> None:
    fast, slow = noise((1e-3, 1e-3 + 1e-15)), noise((1e3, 1e3 + 1e-9))
    assert float(up(fast, 3.0, averages=100).std()) == pytest.approx(0.05, rel=0.05)
    assert float(up(slow, 3.0, averages=100).std()) > 0.49


def test_slow_traps_stay_put_between_two_readings_and_move_in_the_end(open_sim: OpenSim) -> None:
    others = tuple(name for name in NON_IDEALITIES if name != "telegraph")
    slow = {"name": "slow", "telegraph_share": 1.0, "telegraph_dwell": [1e3, 1e4]}
    chip = open_sim(off=others, preset=slow)
    fill(chip)
    cells, one = all_cells(chip), Read.default(chip.spec)
    first, second = (chip.apply(cells, None, one).conductance for _ in range(2))
    assert np.mean(np.abs(second / first - 1) > 1e-6) < 0.01
    chip.wait(1e5)
    later = chip.apply(cells, None, one).conductance
    assert np.mean(np.abs(later / first - 1) > 1e-6) == pytest.approx(0.5, abs=0.15)
