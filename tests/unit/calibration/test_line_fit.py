from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from calibration import fit_lines
from rmhil import Crossbar
from rmhil.errors import ConfigError, NotProgrammedError, ShapeError
from rmhil.wiring import Wiring
from sim_backend.backend import SimBackend, open_backend

TRUE = Wiring(bl_channels=32, sl_channels=32, bl_routing_resistance=180.0, sl_routing_resistance=90.0)


def programmed(backend: SimBackend) -> Crossbar:
    crossbar = Crossbar(backend)
    crossbar.program(np.random.default_rng(5).uniform(20e-6, 80e-6, crossbar.shape), tolerance=2e-6)
    return crossbar


def test_the_true_routing_is_found_though_the_wiring_says_something_else() -> None:
    off = ("mux-spread", "stuck-cells")
    with open_backend(n_bl=32, n_sl=32, seed=3, wiring=TRUE, off=off) as backend:
        assumed = TRUE.model_copy(update={"bl_routing_resistance": 125.0, "sl_routing_resistance": 125.0})
        backend._spec = replace(backend.spec, wiring=assumed)
        fit = fit_lines(programmed(backend))
    assert fit.bl_routing_resistance == pytest.approx(180.0, abs=5 * fit.bl_error)
    assert fit.sl_routing_resistance == pytest.approx(90.0, abs=5 * fit.sl_error)
    assert fit.bl_error < 10.0
    assert fit.sl_error < 10.0
    assert fit.residual < fit.nominal_residual


def test_a_fit_gives_no_pulse() -> None:
    with open_backend(n_bl=8, n_sl=8, seed=3) as backend:
        crossbar = programmed(backend)
        before = crossbar.ledger.counts.pulses
        fit_lines(crossbar)
        assert crossbar.ledger.counts.pulses == before


def test_a_virgin_array_is_refused() -> None:
    with (
        open_backend(n_bl=8, n_sl=8, seed=3, off=("read-noise",)) as backend,
        pytest.raises(NotProgrammedError, match="form the array first"),
    ):
        fit_lines(Crossbar(backend))


@pytest.mark.parametrize(("n_bl", "n_sl"), [(1, 1), (1, 2), (2, 1), (1, 8), (8, 1)])
def test_an_array_too_small_to_tell_its_resistances_is_refused_with_its_size(n_bl: int, n_sl: int) -> None:
    with (
        open_backend(n_bl=n_bl, n_sl=n_sl, seed=3, off=("stuck-cells",)) as backend,
        pytest.raises(ConfigError, match=f"array of {n_bl} x {n_sl} cells says too little"),
    ):
        fit_lines(programmed(backend))


def test_a_fit_whose_error_is_larger_than_the_resistances_is_refused() -> None:
    """Four equal cells of 10 uS hardly load a line: the fit gives an error of some thousand ohm."""
    with open_backend(n_bl=2, n_sl=2, seed=3, off=("stuck-cells",)) as backend:
        crossbar = Crossbar(backend)
        crossbar.program(np.full((2, 2), 10e-6))
        with pytest.raises(ConfigError, match="2 x 2 cells says too little of its lines: a standard error of"):
            fit_lines(crossbar)


def test_a_part_of_an_array_is_refused() -> None:
    with open_backend(n_bl=8, n_sl=8, seed=3) as backend, pytest.raises(ShapeError, match="one whole array"):
        fit_lines(Crossbar(backend).region(bl=range(4)))
