"""Promises of identity, repeatability and the end of a backend's life."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rmhil.backend import Backend, Biases, Cells, Floats, Operation, Pulses, Read, StateSaving
from rmhil.errors import BackendClosedError, ConfigError, ShapeError
from tests.arrays import all_cells, fill, pulse, read
from tests.contract.conftest import ORDERLESS, Filled


def fingerprint(backend: Backend) -> str:
    """A digest of what a chip does when it is filled, swept and used."""
    digest = hashlib.sha256(fill(backend).tobytes())
    digest.update(backend.sweep(Cells.of(0, 0, 0), Biases.of([0.5, 1.0, 1.5], 0.0, 2.0, 1e-3, 1e-3)).current.tobytes())
    given = torch.full((backend.spec.n_arrays, 4, backend.spec.n_bl), 0.1, dtype=backend.dtype, device=backend.device)
    digest.update(backend.mvm(given).currents.cpu().numpy().tobytes())
    return digest.hexdigest()


def test_provenance_names_the_target(backend: Backend, target: str) -> None:
    assert backend.spec.provenance.startswith("zc706" if target == "bench" else target)


def test_provenance_of_a_simulated_chip_names_its_seed(backend: Backend, reopen: Callable[..., Backend]) -> None:
    assert "seed=7" in backend.spec.provenance
    assert "seed=8" in reopen(seed=8).spec.provenance


def test_the_window_lies_within_what_pulses_reach(filled: Filled) -> None:
    backend, cells = filled.backend, all_cells(filled.backend)[:20]
    high = pulse(backend, Operation.SET, 2.0, 4.0, cells).conductance
    for _ in range(3):
        low = pulse(backend, Operation.RESET, 2.6, 5.0, cells).conductance
    assert np.median(high) > backend.spec.conductance_max
    assert np.median(low) < backend.spec.conductance_min


def test_the_same_seed_gives_the_same_results(backend: Backend, reopen: Callable[..., Backend]) -> None:
    assert fingerprint(backend) == fingerprint(reopen())


def test_another_seed_is_another_chip(backend: Backend, reopen: Callable[..., Backend]) -> None:
    assert fingerprint(backend) != fingerprint(reopen(seed=8))


def test_two_processes_give_the_same_results(backend: Backend, simulated: str) -> None:
    code = (
        "import rmhil\n"
        "from tests.contract.conftest import SIMULATED\n"
        "from tests.contract.test_life import fingerprint\n"
        f"with rmhil.open_backend({simulated!r}, **SIMULATED[{simulated!r}]) as backend: print(fingerprint(backend))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert other.stdout.strip() == fingerprint(backend)


def test_the_order_of_cells_does_not_matter(simulated: str, reopen: Callable[..., Backend]) -> None:
    """But for what goes on between two pulses of a cell: that takes as long as the cells between them."""
    backend, other = reopen(**ORDERLESS[simulated]), reopen(**ORDERLESS[simulated])
    cells = all_cells(backend)[:40]
    for one in (backend, other):
        pulse(one, Operation.FORM, one.spec.limits.form_voltage, 1.5, cells)
    shuffled = np.random.default_rng(1).permutation(len(cells))
    gates = np.linspace(1.0, 3.0, len(cells))
    forwards = pulse(backend, Operation.SET, 1.8, gates, cells)
    mixed = pulse(other, Operation.SET, 1.8, gates[shuffled], cells[shuffled])
    np.testing.assert_array_equal(mixed.conductance, forwards.conductance[shuffled])
    np.testing.assert_array_equal(mixed.pulse_current, forwards.pulse_current[shuffled])


def test_one_cell_at_a_time_gives_what_all_at_once_does(simulated: str, reopen: Callable[..., Backend]) -> None:
    backend, other = reopen(**ORDERLESS[simulated]), reopen(**ORDERLESS[simulated], cells_at_once=1)
    assert other.spec.cells_at_once == 1
    cells = all_cells(backend)[:40]
    with pytest.raises(ShapeError, match="at most 1 cell"):
        other.apply(cells, None, Read.default(other.spec))
    together = [pulse(backend, *how, cells=cells) for how in ((Operation.FORM, 4.5, 1.5), (Operation.SET, 1.8, 2.5))]
    for number in range(len(cells)):
        one = cells[np.array([number])]
        alone = [pulse(other, *how, cells=one) for how in ((Operation.FORM, 4.5, 1.5), (Operation.SET, 1.8, 2.5))]
        for whole, single in zip(together, alone, strict=True):
            np.testing.assert_array_equal(single.conductance, whole.conductance[[number]])


def test_safe_is_idempotent_and_allowed_at_any_time(filled: Filled) -> None:
    backend, before = filled
    cells = all_cells(backend)[:20]
    backend.safe()
    backend.safe()
    after = read(backend, cells, averages=16).conductance
    np.testing.assert_allclose(after, before[cells.index], rtol=0.05, atol=1e-8)
    backend.close()
    backend.safe()


def test_close_is_idempotent(backend: Backend) -> None:
    backend.close()
    backend.close()


def test_a_closed_backend_refuses_everything_else(backend: Backend) -> None:
    cell, spec = Cells.of(0, 0, 0), backend.spec
    backend.close()
    volts = torch.zeros((spec.n_arrays, 1, spec.n_bl), dtype=backend.dtype, device=backend.device)
    with pytest.raises(BackendClosedError):
        backend.apply(cell, None, Read.default(spec))
    with pytest.raises(BackendClosedError):
        backend.apply(cell, Pulses.of(1, Operation.SET, 1.0, 1e-3, 2.0, 1e-3), Read.default(spec))
    with pytest.raises(BackendClosedError):
        backend.sweep(cell, Biases.of([0.1], 0.0, 1.0, 1e-3, 1e-3))
    with pytest.raises(BackendClosedError):
        backend.mvm(volts)
    with pytest.raises(BackendClosedError):
        backend.wait(1.0)


def test_a_closed_backend_saves_no_state(backend: Backend, simulated: str, tmp_path: Path) -> None:
    assert isinstance(backend, StateSaving)
    backend.close()
    with pytest.raises(BackendClosedError):
        backend.save_state(tmp_path / "chip.npz")
    assert list(tmp_path.iterdir()) == []


def test_leaving_the_context_closes_even_on_an_error(backend: Backend) -> None:
    with pytest.raises(RuntimeError, match="in the middle"), backend:
        raise RuntimeError("in the middle")
    with pytest.raises(BackendClosedError):
        backend.wait(1.0)


def test_settings_that_do_not_exist_are_refused(reopen: Callable[..., Backend]) -> None:
    with pytest.raises(ConfigError, match="no_such_setting"):
        reopen(no_such_setting=1)


def test_a_saved_chip_goes_on_where_it_stopped(
    simulated: str,
    reopen: Callable[..., Backend],
    filled_before: Callable[[str], tuple[Path, Floats]],
    tmp_path: Path,
) -> None:
    """Its clock too; that of an instrument, which time stamps come from, begins anew."""
    state, _ = filled_before(simulated)
    backend = reopen(state=state, **ORDERLESS[simulated])
    assert isinstance(backend, StateSaving)
    cells = all_cells(backend)[:20]
    pulse(backend, Operation.RESET, 2.0, 5.0, cells)
    path = tmp_path / "chip.npz"
    backend.save_state(path)
    again = reopen(state=path, **ORDERLESS[simulated])
    given = torch.full((backend.spec.n_arrays, 4, backend.spec.n_bl), 0.1, dtype=backend.dtype, device=backend.device)
    torch.testing.assert_close(again.mvm(given).currents, backend.mvm(given).currents, rtol=0, atol=0)
    first, second = (pulse(one, Operation.SET, 1.8, 3.0, cells) for one in (backend, again))
    np.testing.assert_array_equal(first.conductance, second.conductance)
    np.testing.assert_allclose(np.diff(first.time), np.diff(second.time), rtol=1e-9)
