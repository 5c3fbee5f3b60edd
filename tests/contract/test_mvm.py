"""Promises of `mvm`."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from rmhil.backend import Backend, Cells, Floats, Ints, Lines, Operation
from rmhil.errors import ConfigError, NotFiniteError, OutOfRangeError, RmhilError, ShapeError
from rmhil.line_model import measured_matrix
from tests.arrays import pulse, read
from tests.contract.conftest import Filled

MAP_TOLERANCE = 0.04
"""1, relative to the largest current: channel-to-channel spread of the multiplexers and read noise of the
map; the nominal wiring knows neither."""


def volts(backend: Backend, n_bl: int, batch: int = 3, arrays: int | None = None, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (backend.spec.n_arrays if arrays is None else arrays, batch, n_bl)
    drawn = (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * backend.spec.limits.read_voltage
    return drawn.to(device=backend.device, dtype=backend.dtype)


def currents(backend: Backend, volts: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> Floats:
    """Averaged over repeats, with the offset at zero input removed."""
    batch = volts.shape[1]
    repeats = 12
    stack = torch.cat([volts, torch.zeros_like(volts)], dim=1).repeat(1, repeats, 1)
    result = backend.mvm(stack, bl, sl, arrays)
    assert not result.over_range.any()
    mean = result.currents.reshape(volts.shape[0], repeats, 2, batch, -1).double().mean(dim=1)
    return np.asarray((mean[:, 0] - mean[:, 1]).cpu().numpy())


def noise(backend: Backend) -> float:
    """A: four standard deviations of an averaged current: three codes, which is the converters' noise and more."""
    passes = len(backend.spec.passes([0], None))
    return 3 * passes * backend.spec.wiring.adc_lsb


def test_currents_have_one_element_a_sensed_line_and_vector(backend: Backend) -> None:
    result = backend.mvm(volts(backend, backend.spec.n_bl, batch=3))
    assert result.currents.shape == (backend.spec.n_arrays, 3, backend.spec.n_sl)
    assert result.over_range.shape == result.currents.shape
    assert result.over_range.dtype == torch.bool
    assert result.currents.dtype == backend.dtype
    assert result.currents.device == backend.device


def test_an_empty_batch_is_allowed(backend: Backend) -> None:
    assert backend.mvm(volts(backend, backend.spec.n_bl, batch=0)).currents.shape[1] == 0


def test_mvm_multiplies_by_the_measured_map(filled: Filled) -> None:
    backend, conductance = filled
    given = volts(backend, backend.spec.n_bl)
    expected = np.stack(
        [v @ measured_matrix(backend.spec, g) for v, g in zip(given.cpu().double().numpy(), conductance, strict=True)]
    )
    found = currents(backend, given)
    assert np.abs(found - expected).max() < MAP_TOLERANCE * np.abs(expected).max() + noise(backend)


def test_mvm_is_linear_in_the_voltages(filled: Filled) -> None:
    backend = filled.backend
    first, second = volts(backend, backend.spec.n_bl, seed=1) / 2, volts(backend, backend.spec.n_bl, seed=2) / 2
    together = currents(backend, first + second)
    apart = currents(backend, first) + currents(backend, second)
    np.testing.assert_allclose(together, apart, atol=2 * noise(backend), rtol=2e-3)
    np.testing.assert_allclose(currents(backend, -first), -currents(backend, first), atol=2 * noise(backend), rtol=2e-3)


def test_lines_that_are_not_named_are_at_virtual_ground(filled: Filled) -> None:
    backend = filled.backend
    bl: Ints = np.array([1, 4, backend.spec.n_bl - 1])
    some = volts(backend, 3)
    padded = torch.zeros((*some.shape[:2], backend.spec.n_bl), dtype=some.dtype, device=some.device)
    padded[..., torch.from_numpy(bl)] = some
    np.testing.assert_allclose(
        currents(backend, some, bl=bl), currents(backend, padded), atol=2 * noise(backend), rtol=2e-3
    )


def test_partial_sums_add_up_to_the_whole(filled: Filled) -> None:
    backend = filled.backend
    n_bl = backend.spec.n_bl
    given = volts(backend, n_bl)
    parts = [range(0, 4), range(4, 5), range(5, n_bl)]
    summed = sum(currents(backend, given[..., list(bl)].contiguous(), bl=list(bl)) for bl in parts)
    np.testing.assert_allclose(summed, currents(backend, given), atol=4 * noise(backend), rtol=2e-3)


def test_only_the_named_lines_are_sensed(filled: Filled) -> None:
    backend, conductance = filled
    given, sl = volts(backend, backend.spec.n_bl), [0, 3, backend.spec.n_sl - 1]
    found = currents(backend, given, sl=sl)
    assert found.shape[-1] == 3
    expected = np.stack(
        [
            v @ measured_matrix(backend.spec, g, sl=sl)
            for v, g in zip(given.cpu().double().numpy(), conductance, strict=True)
        ]
    )
    assert np.abs(found - expected).max() < MAP_TOLERANCE * np.abs(expected).max() + noise(backend)


def test_only_the_named_arrays_compute(filled: Filled) -> None:
    backend = filled.backend
    last = backend.spec.n_arrays - 1
    given = volts(backend, backend.spec.n_bl)
    np.testing.assert_allclose(
        currents(backend, given[last:], arrays=[last])[0],
        currents(backend, given)[last],
        atol=2 * noise(backend),
        rtol=2e-3,
    )


def test_mvm_sees_the_pulses_given_since(filled: Filled) -> None:
    backend = filled.backend
    given = torch.full_like(volts(backend, backend.spec.n_bl, batch=1), backend.spec.read_voltage)
    before = currents(backend, given)
    pulse(backend, Operation.RESET, 2.2, 5.0)
    after = currents(backend, given)
    assert np.median(after) < 0.7 * np.median(before)
    assert after.min() > 0.0


def test_mvm_takes_time_for_every_vector_and_pass(backend: Backend) -> None:
    def seconds(batch: int, sl: Lines) -> float:
        start = read(backend, Cells.of(0, 0, 0)).time[0]
        backend.mvm(volts(backend, backend.spec.n_bl, batch=batch), sl=sl)
        return float(read(backend, Cells.of(0, 0, 0)).time[0] - start)

    taken = np.array([seconds(batch, [0]) for batch in (100, 200, 300)])
    one, another = np.diff(taken)  # without what goes by around it, for the cell that is joined anew
    assert one > 0
    assert another == pytest.approx(one, rel=0.05)
    assert seconds(100, None) - taken[0] > 0.5 * one


def test_mixed_precision_around_a_call_changes_nothing(backend: Backend, reopen: Callable[..., Backend]) -> None:
    given = volts(backend, backend.spec.n_bl)
    with torch.autocast(backend.device.type, dtype=torch.bfloat16):
        mixed = backend.mvm(given).currents
    assert mixed.dtype == backend.dtype
    torch.testing.assert_close(mixed, reopen().mvm(given).currents, rtol=0, atol=0)


@pytest.fixture
def never_asked(simulated: str, references: dict[str, torch.Tensor], reopen: Callable[..., Backend]) -> torch.Tensor:
    """A: the first product of a chip of the same seed that has done nothing yet."""
    if simulated not in references:
        backend = reopen()
        references[simulated] = backend.mvm(volts(backend, backend.spec.n_bl)).currents
    return references[simulated]


@pytest.fixture(scope="module")
def references() -> dict[str, torch.Tensor]:
    return {}


def bad_requests(backend: Backend) -> dict[str, tuple[Callable[[], object], type[RmhilError], str]]:
    n_bl, limit = backend.spec.n_bl, backend.spec.limits.read_voltage
    good = torch.zeros((backend.spec.n_arrays, 1, n_bl), dtype=backend.dtype, device=backend.device)
    one = good.clone()
    one[0, 0, 0] = math.nan
    return {
        "over the read limit": (lambda: backend.mvm(good + 1.01 * limit), OutOfRangeError, "bl_voltages"),
        "under the read limit": (lambda: backend.mvm(good - 1.01 * limit), OutOfRangeError, "bl_voltages"),
        "NaN": (lambda: backend.mvm(one), NotFiniteError, "bl_voltages holds 1 value"),
        "infinite": (lambda: backend.mvm(good + math.inf), NotFiniteError, "bl_voltages"),
        "too few lines": (lambda: backend.mvm(good[..., 1:]), ShapeError, "bl_voltages"),
        "no batch axis": (lambda: backend.mvm(good[:, 0]), ShapeError, "bl_voltages"),
        "too many arrays": (lambda: backend.mvm(torch.cat([good, good])), ShapeError, "bl_voltages"),
        "integers": (lambda: backend.mvm(good.to(torch.int64)), ShapeError, "floating-point"),
        "no such BL": (lambda: backend.mvm(good[..., :1], bl=[n_bl]), OutOfRangeError, "bl line"),
        "SLs out of order": (lambda: backend.mvm(good, sl=[2, 1]), OutOfRangeError, "sl lines"),
        "a BL twice": (lambda: backend.mvm(good[..., :2], bl=[1, 1]), OutOfRangeError, "bl lines"),
        "no such array": (lambda: backend.mvm(good[:1], arrays=[99]), OutOfRangeError, "array line"),
        "BLs between lines": (lambda: backend.mvm(good[..., :2], bl=np.array([0.9, 1.7])), ConfigError, "bl lines"),
        "a mask of SLs": (lambda: backend.mvm(good, sl=np.array([False, True])), ConfigError, "sl lines"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "over the read limit",
        "under the read limit",
        "NaN",
        "infinite",
        "too few lines",
        "no batch axis",
        "too many arrays",
        "integers",
        "no such BL",
        "SLs out of order",
        "a BL twice",
        "no such array",
        "BLs between lines",
        "a mask of SLs",
    ],
)
def test_a_request_that_cannot_be_driven_is_refused_and_nothing_is_driven(
    backend: Backend, never_asked: torch.Tensor, case: str
) -> None:
    request, error, name = bad_requests(backend)[case]
    with pytest.raises(error, match=name):
        request()
    given = volts(backend, backend.spec.n_bl)
    torch.testing.assert_close(backend.mvm(given).currents, never_asked, rtol=0, atol=0)
