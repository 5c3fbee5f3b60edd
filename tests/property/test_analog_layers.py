"""With every non-ideality off, an analogue layer is its digital one to float precision, however it is cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rmhil import Crossbar
from rmhil.mapping import DifferentialPair, Mapping, OffsetColumn
from rmhil.nn import convert
from rmhil.wiring import Wiring
from sim_backend.backend import open_backend

PROGRAMMED_TO = 1e-11
"""S: 1.4e-7 of the window of 70 uS, the resolution of float32."""

TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-5}
"""1, relative to the largest output: cells within `PROGRAMMED_TO`, and rounding of sums with a common level."""

MAPPINGS = st.sampled_from([DifferentialPair(), OffsetColumn(), OffsetColumn(low=20e-6, zero=50e-6, high=80e-6)])
WIRINGS = st.builds(Wiring, bl_channels=st.integers(1, 9), sl_channels=st.integers(1, 9), adc_count=st.integers(1, 3))
ARRAYS = st.fixed_dictionaries({"n_bl": st.integers(3, 9), "n_sl": st.integers(4, 9), "wiring": WIRINGS})


def assert_equal_on_ideal_arrays(
    model: nn.Module, x: torch.Tensor, mapping: Mapping, array: dict[str, Any], input_range: float | str
) -> None:
    kind = "float64" if x.dtype == torch.float64 else "float32"
    with open_backend(seed=1, ideal=True, dtype=kind, n_arrays=24, **array) as backend:
        chip = convert(
            model,
            [Crossbar(backend)],
            mapping=mapping,
            tolerance=PROGRAMMED_TO,
            input_range=input_range,  # type: ignore[arg-type]
        )
        assert chip.report[0].converged_fraction() == 1.0  # type: ignore[union-attr]
        one, other = (x.clone().requires_grad_() for _ in range(2))
        wanted, got = model(one), chip(other)
        slack = TOLERANCE[x.dtype]
        torch.testing.assert_close(got, wanted, rtol=0, atol=slack * wanted.abs().max().item())
        wanted.square().sum().backward()
        got.square().sum().backward()
        assert one.grad is not None
        torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=4 * slack * one.grad.abs().max().item())


@given(
    n_in=st.integers(1, 20),
    n_out=st.integers(1, 10),
    batch=st.integers(1, 4),
    bias=st.booleans(),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    mapping=MAPPINGS,
    array=ARRAYS,
    input_range=st.sampled_from(["dynamic", 6.0]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=12, deadline=None)
def test_an_ideal_linear_layer_is_nn_linear(
    n_in: int,
    n_out: int,
    batch: int,
    bias: bool,
    dtype: torch.dtype,
    mapping: Mapping,
    array: dict[str, Any],
    input_range: float | str,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    model = nn.Linear(n_in, n_out, bias=bias, dtype=dtype)
    assert_equal_on_ideal_arrays(model, torch.randn(batch, n_in, dtype=dtype), mapping, array, input_range)


@given(
    groups=st.sampled_from([1, 2, 4]),
    in_each=st.integers(1, 2),
    out_each=st.integers(1, 2),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    mapping=MAPPINGS,
    array=ARRAYS,
    seed=st.integers(0, 2**16),
)
@settings(max_examples=12, deadline=None)
def test_an_ideal_convolution_is_nn_conv2d(
    groups: int,
    in_each: int,
    out_each: int,
    kernel: tuple[int, int],
    stride: int,
    padding: int,
    dilation: int,
    dtype: torch.dtype,
    mapping: Mapping,
    array: dict[str, Any],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    model = nn.Conv2d(
        groups * in_each, groups * out_each, kernel, stride, padding, dilation, groups, bias=bool(seed % 2), dtype=dtype
    )
    x = torch.randn(2, groups * in_each, 6, 5, dtype=dtype)
    assert_equal_on_ideal_arrays(model, x, mapping, array, "dynamic")


@pytest.mark.parametrize("mapping", [DifferentialPair(), OffsetColumn()])
def test_an_ideal_depthwise_convolution_is_nn_conv2d(mapping: Mapping) -> None:
    torch.manual_seed(0)
    model = nn.Conv2d(6, 6, 3, padding=1, groups=6, dtype=torch.float64)
    x = torch.randn(3, 6, 5, 5, dtype=torch.float64)
    assert_equal_on_ideal_arrays(model, x, mapping, {"n_bl": 9, "n_sl": 4}, "dynamic")
