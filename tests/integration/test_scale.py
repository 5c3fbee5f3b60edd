"""Networks of many arrays: one backend, one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rmhil import Crossbar, nn
from sim_backend import SimBackend, open_backend

ARRAYS, LINES = 200, 16
WIDTH = 160
"""Inputs and outputs of a layer that fills the arrays: 10 x 20 of them."""

LINES_BYTES = 2.0
"""A cell: lines of all arrays are drawn at the first read, 2 kB an array with its channels, and some room to work."""

QUIET = ("read-noise", "telegraph", "adc-noise")
"""Without these, an MVM gives the same currents every time."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Linear, Any, SimBackend]:
    """A layer over 200 arrays whose state is mapped to files, converted in one call."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(WIDTH, WIDTH, bias=False)
    folder = tmp_path_factory.mktemp("cells")
    backend = open_backend(n_arrays=ARRAYS, n_bl=LINES, n_sl=LINES, seed=2, storage=folder, off=QUIET)
    return layer, nn.convert(layer, [Crossbar(backend)], tolerance=2e-6), backend


def test_a_wide_layer_is_programmed_and_computes_in_one_call(wide: tuple[torch.nn.Linear, Any, SimBackend]) -> None:
    layer, chip, _ = wide
    (report,) = chip.report
    assert {site.array for site in chip.placement.sites} == set(range(ARRAYS))
    assert report.working_converged_fraction() > 0.99
    x = torch.randn(20, WIDTH)
    calls = chip.ledger.counts.mvms
    with torch.no_grad():
        error = (chip(x) - layer(x)).std() / layer(x).std()
    assert error < 0.1
    assert chip.ledger.counts.mvms - calls == 20 * ARRAYS


def test_a_batch_over_all_arrays_is_what_each_of_them_gives(wide: tuple[torch.nn.Linear, Any, SimBackend]) -> None:
    backend = wide[2]
    volts = torch.rand(ARRAYS, 5, LINES, generator=torch.Generator().manual_seed(1)) * 0.2
    together = backend.mvm(volts).currents
    for array in range(0, ARRAYS, 7):
        alone = backend.mvm(volts[array : array + 1], arrays=[array]).currents
        torch.testing.assert_close(alone[0], together[array], rtol=0.0, atol=backend.spec.wiring.adc_lsb * 1.01)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs the kernel's count of pages")
def test_a_hundred_million_weights_open_without_taking_memory() -> None:
    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = pages()
    with open_backend(n_arrays=12_413, n_bl=128, n_sl=128) as backend:
        crossbar = Crossbar(backend)
        one = crossbar.region(arrays=[12_000], bl=range(4), sl=range(4))
        one.form()
        assert np.isfinite(one.conductance).all()
        bytes_a_cell = (pages() - before) * 4096 / backend.spec.n_cells
    assert bytes_a_cell < LINES_BYTES
