"""Promises of reading, verifying and sweeping, and of what is known of cells, on small simulated chips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rmhil import Crossbar, Ledger
from rmhil.backend import Biases, Cells, Pulses, Read, Readings
from rmhil.crossbar import ProgramInterruptedError
from rmhil.errors import BackendUnavailableError, OutOfRangeError, OverRangeError
from sim_backend import SimBackend
from tests.arrays import random_target
from tests.recording import Recording

Opener = Callable[..., SimBackend]


def test_read_agrees_with_the_true_map_within_its_noise(open_sim: Opener) -> None:
    backend = open_sim()
    crossbar = Crossbar(backend)
    crossbar.program(random_target((16, 12)))
    # averaged reads: what is left is the spread between the channels of the multiplexers, some 0.1 % of the cell
    error = crossbar.read(averages=16) / backend.true_conductance[0] - 1.0
    assert np.abs(np.median(error)) < 0.003


def test_the_known_map_follows_reads_and_is_shared_with_regions(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    assert np.isnan(crossbar.conductance).all()
    part = crossbar.region(bl=slice(2, 5), sl=[0, 3])
    reading = part.read()
    np.testing.assert_array_equal(crossbar.conductance[2:5][:, [0, 3]], reading)
    assert np.isnan(crossbar.conductance).sum() == 16 * 12 - 6


def test_all_crossbars_of_a_backend_share_what_is_known_of_its_cells(open_sim: Opener) -> None:
    backend = open_sim(ideal=True, dtype="float64")
    one, two = Crossbar(backend), Crossbar(backend, ledger=Ledger())
    one.program(np.full((16, 12), 40e-6), tolerance=1e-11)
    before = one.matrix()
    two.region(bl=[3], sl=[5]).program([[20e-6]], tolerance=1e-11)
    assert one.conductance[3, 5] == pytest.approx(20e-6, abs=1e-11)
    assert np.argwhere(~np.isclose(one.matrix(), before, rtol=1e-3)).tolist() == [[3, 5]]
    assert np.isnan(Crossbar(open_sim(ideal=True, dtype="float64")).conductance).all()


def test_every_call_that_pulses_cells_of_a_source_line_is_counted_once(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(n_arrays=2))
    part = crossbar.region(bl=slice(2, 5), sl=[1, 4], arrays=[1])
    crossbar.read()
    part.verify(np.full((3, 2), 40e-6))
    assert (crossbar.writes, crossbar.line_writes().sum()) == (0, 0)
    part.program(np.full((3, 2), 40e-6))
    part.sweep(0, 1, Biases.of([0.0, 0.1], 0.0, 3.0, 1e-3, 1e-3))
    assert part.line_writes().tolist() == [[1, 2]]
    assert crossbar.line_writes(sl=[1, 3, 4], arrays=[1]).tolist() == [[1, 0, 2]]
    assert crossbar.line_writes(arrays=[0]).sum() == 0
    assert part.counted_in(Ledger()).writes == crossbar.writes == 2


def test_a_write_that_broke_off_is_counted_and_makes_its_cell_unknown(
    open_sim: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = open_sim(n_bl=4, n_sl=3)
    crossbar = Crossbar(backend)
    crossbar.read()

    def lost(*args: object) -> None:
        raise BackendUnavailableError("no answer")

    with pytest.raises(OutOfRangeError):
        crossbar.sweep(1, 2, Biases.of([9.0], 0.0, 3.0, 1e-3, 1e-3))
    assert crossbar.writes == 0
    monkeypatch.setattr(backend, "sweep", lost)
    with pytest.raises(BackendUnavailableError):
        crossbar.sweep(1, 2, Biases.of([0.0, 0.1], 0.0, 3.0, 1e-3, 1e-3))
    assert np.argwhere(np.isnan(crossbar.conductance)).tolist() == [[1, 2]]
    assert crossbar.line_writes().tolist() == [[0, 0, 1]]
    broken = Crossbar(Recording(backend, fail_at=2))  # the first `apply` reads, the second one pulses
    with pytest.raises(ProgramInterruptedError):
        broken.program(np.full((4, 3), 40e-6))
    assert broken.line_writes().tolist() == [[1, 1, 1]]


def test_a_region_programs_only_its_own_cells(open_sim: Opener) -> None:
    backend = open_sim()
    before = backend.true_conductance[0]
    part = Crossbar(backend).region(bl=[1, 4], sl=slice(2, 4))
    report = part.program(np.full((2, 2), 40e-6))
    assert report.achieved.shape == part.shape == (2, 2)
    changed = np.argwhere(backend.true_conductance[0] != before).tolist()
    assert changed == [[1, 2], [1, 3], [4, 2], [4, 3]]


def test_several_arrays_are_one_map_with_a_leading_axis(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim(n_arrays=3), arrays=[0, 2])
    assert crossbar.shape == (2, 16, 12)
    report = crossbar.program(random_target((2, 16, 12)))
    assert report.achieved.shape == (2, 16, 12)
    assert report.converged_fraction() > 0.98


def test_verify_reads_only_and_says_how_far_off(open_sim: Opener) -> None:
    backend = Recording(open_sim())
    crossbar = Crossbar(backend)
    target = random_target((16, 12))
    target[0, 0] = np.nan
    crossbar.program(target)
    pulses = crossbar.ledger.counts.pulses
    report = crossbar.verify(target, tolerance=2e-6)
    assert crossbar.ledger.counts.pulses == pulses
    assert np.isnan(report.achieved[0, 0])
    assert report.converged_fraction() > 0.97


def test_a_reading_at_compliance_raises_or_is_carried_as_nan(open_sim: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = open_sim(n_bl=2, n_sl=2)
    apply = backend.apply

    def limited(cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        readings = apply(cells, pulses, read)
        readings.status[0] = 1
        return readings

    monkeypatch.setattr(backend, "apply", limited)
    crossbar = Crossbar(backend)
    with pytest.raises(OverRangeError, match="1 of 4 verify reads"):
        crossbar.read()
    assert np.isnan(crossbar.read(on_status="carry")).tolist() == [[True, False], [False, False]]
    assert np.isnan(crossbar.conductance[0, 0])


def test_a_sweep_makes_its_cell_unknown(open_sim: Opener) -> None:
    crossbar = Crossbar(open_sim())
    crossbar.read()
    trace = crossbar.region(bl=slice(4, None)).sweep(1, 2, Biases.of([0.0, 0.1, 0.2], 0.0, 3.0, 1e-3, 1e-3))
    assert len(trace.current) == 3
    assert np.argwhere(np.isnan(crossbar.conductance)).tolist() == [[5, 2]]
    assert crossbar.ledger.counts.sweep_steps == 3
