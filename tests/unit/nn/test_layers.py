"""Promises of analogue layers: what they compute, differentiate, refuse and remember."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn

from rmhil import Crossbar
from rmhil.backend import Biases
from rmhil.errors import ConfigError, NotFiniteError, NotProgrammedError, OutOfRangeError, ShapeError
from rmhil.nn import AnalogConv2d, AnalogLinear, convert, off_the_arrays, reprogram
from rmhil.program_report import ProgramInterruptedError
from rmhil.wiring import Wiring
from sim_backend.backend import SimBackend, open_backend

SIZE = {"n_bl": 16, "n_sl": 16}
"""A small array keeps programming short."""

NOISE = 0.08
"""1: norm of an output's noise over the output's, a bound for a 6 x 5 layer: ADC noise, read noise and quantisation."""


@pytest.fixture
def sim() -> Iterator[SimBackend]:
    with open_backend(seed=3, **SIZE) as backend:
        yield backend


@pytest.fixture
def ideal() -> Iterator[SimBackend]:
    with open_backend(seed=3, ideal=True, dtype="float64", **SIZE) as backend:
        yield backend


def linear(backend: SimBackend, n_in: int = 6, n_out: int = 5, seed: int = 0, **options: object) -> AnalogLinear:
    torch.manual_seed(seed)
    layer = convert(nn.Linear(n_in, n_out, dtype=backend.dtype), [Crossbar(backend)], **options)  # type: ignore[arg-type]
    assert isinstance(layer, AnalogLinear)
    return layer


def jacobian(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """d output / d input of one vector, row by row through the backward pass."""
    x = x.clone().requires_grad_()
    y = layer(x)
    return torch.stack([torch.autograd.grad(one, x, retain_graph=True)[0] for one in y])


# ---- forward --------------------------------------------------------------------------------------------------------


def test_a_layer_computes_its_measured_weights_within_noise(sim: SimBackend) -> None:
    layer = linear(sim)
    x = torch.randn(400, 6)
    assert layer.measured_weight is not None
    expected = x @ layer.measured_weight.T + layer.bias
    assert (layer(x) - expected).norm() / expected.norm() < NOISE


def test_the_offset_of_the_amplifiers_is_taken_away(sim: SimBackend) -> None:
    """A residue of the TIA offsets would be the same in every vector, so that the mean shows it under the noise."""
    layer = linear(sim)
    assert layer.measured_weight is not None
    x = torch.rand(2000, 6)
    residue = (layer(x) - x @ layer.measured_weight.T - layer.bias).mean(dim=0)
    noise_of_the_mean = NOISE * layer.weight.abs().max() / 2000**0.5
    assert residue.abs().max() < 6 * noise_of_the_mean


def test_correction_of_the_lines_brings_the_weights_closer(sim: SimBackend) -> None:
    array = Crossbar(sim)
    torch.manual_seed(0)
    model = nn.Linear(16, 8, bias=False)
    errors = []
    for correct in (False, True):
        layer = convert(model, [array], correct_lines=correct)
        assert isinstance(layer, AnalogLinear)
        assert layer.measured_weight is not None
        errors.append(((layer.measured_weight - layer.weight).norm() / layer.weight.norm()).item())
    assert errors[1] < 0.5 * errors[0]


def test_a_vector_of_zeros_gives_the_bias(ideal: SimBackend) -> None:
    layer = linear(ideal)
    torch.testing.assert_close(layer(torch.zeros(6, dtype=torch.float64)), layer.bias)


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6), (0, 6), (2, 0, 6)])
def test_any_leading_shape_will_do(ideal: SimBackend, shape: tuple[int, ...]) -> None:
    layer = linear(ideal, tolerance=1e-11)
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.weight, layer.bias), rtol=1e-5, atol=1e-6)


def test_a_layer_answers_in_the_type_of_its_input_and_its_parameters(sim: SimBackend) -> None:
    layer = linear(sim).double()
    assert layer(torch.randn(2, 6, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_inputs_that_are_not_finite_are_refused_and_nothing_is_driven(sim: SimBackend, bad: float) -> None:
    layer = linear(sim)
    before = layer.ledger.counts  # type: ignore[union-attr]
    x = torch.randn(3, 6)
    x[1, 2] = bad
    with pytest.raises(NotFiniteError, match=r"1 value\(s\)"):
        layer(x)
    assert layer.ledger.counts == before  # type: ignore[union-attr]


def test_a_wrong_width_is_refused(sim: SimBackend) -> None:
    with pytest.raises(ShapeError, match="AnalogLinear"):
        linear(sim)(torch.randn(3, 7))


def test_off_the_arrays_the_measured_weights_are_used_and_nothing_is_driven(sim: SimBackend) -> None:
    layer = linear(sim)
    x = torch.randn(3, 6)
    before = layer.ledger.counts  # type: ignore[union-attr]
    with off_the_arrays(layer):
        y = layer(x)
    assert layer.measured_weight is not None
    torch.testing.assert_close(y, nn.functional.linear(x, layer.measured_weight, layer.bias))
    assert layer.ledger.counts == before  # type: ignore[union-attr]
    layer(x)
    assert layer.ledger.counts != before  # type: ignore[union-attr]


def test_off_the_arrays_a_fixed_range_clips_too(sim: SimBackend) -> None:
    layer = linear(sim, input_range=1.0)
    with off_the_arrays(layer):
        x = torch.tensor([0.5, -1.5, 1.0, -1.0, 2.0, 0.0])
        assert torch.equal(layer(x), layer(x.clamp(-1, 1)))


# ---- backward -------------------------------------------------------------------------------------------------------


def test_gradcheck_passes_without_converters_and_noise(ideal: SimBackend) -> None:
    layer = linear(ideal, tolerance=1e-11)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(layer, (x,))


def test_gradcheck_passes_for_a_grouped_convolution(ideal: SimBackend) -> None:
    layer = convert(nn.Conv2d(4, 2, 2, groups=2, dtype=torch.float64), [Crossbar(ideal)], tolerance=1e-11)
    x = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_backward_is_the_measured_weight_exactly_with_converters_on(sim: SimBackend) -> None:
    layer = linear(sim)
    assert layer.measured_weight is not None
    assert torch.equal(jacobian(layer, torch.randn(6)), layer.measured_weight)


def test_backward_of_a_fixed_range_is_zero_exactly_where_inputs_clip(sim: SimBackend) -> None:
    layer = linear(sim, input_range=1.0)
    x = torch.tensor([0.5, -1.5, 1.0, -1.0, 2.0, 0.0])
    expected = layer.measured_weight.clone()  # type: ignore[union-attr]
    expected[:, [1, 4]] = 0.0
    assert torch.equal(jacobian(layer, x), expected)
    assert layer.clip_count == 2


def test_a_clipped_input_counts_as_the_end_of_the_range(ideal: SimBackend) -> None:
    layer = linear(ideal, tolerance=1e-11, input_range=1.0)
    x = torch.randn(50, 6, dtype=torch.float64) * 2
    expected = nn.functional.linear(x.clamp(-1, 1), layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_backward_is_zero_exactly_where_outputs_leave_the_range() -> None:
    """An amplifier of 60 kohm reaches the ADC's end at 21 uA: a cell of 80 uS at 0.2 V gives 16 uA, two give 32."""
    with open_backend(seed=3, wiring=Wiring(tia_resistance=60e3), **SIZE) as backend:
        torch.manual_seed(0)
        model = nn.Linear(4, 3, bias=False)
        with torch.no_grad():
            model.weight[0] = 1.0
            model.weight[1:] *= 0.01
        layer = convert(model, [Crossbar(backend)])
        assert isinstance(layer, AnalogLinear)
        expected = layer.measured_weight.clone()  # type: ignore[union-attr]
        expected[0] = 0.0
        assert torch.equal(jacobian(layer, torch.ones(4)), expected)
        assert layer.over_range_count == 1
        layer(torch.tensor([1.0, -1.0, 0.0, 0.0]))
        assert layer.over_range_count == 1


def test_no_gradient_reaches_the_frozen_weight(sim: SimBackend) -> None:
    layer = linear(sim)
    layer(torch.randn(2, 6)).sum().backward()
    assert not layer.weight.requires_grad
    assert layer.weight.grad is None
    assert layer.bias.grad is not None


# ---- a torch module -------------------------------------------------------------------------------------------------


def test_the_state_dict_is_that_of_a_linear_layer(sim: SimBackend) -> None:
    layer = linear(sim)
    assert list(layer.state_dict()) == ["weight", "bias"]
    nn.Linear(6, 5).load_state_dict(layer.state_dict())


def test_loading_the_same_weights_keeps_the_layer_usable(sim: SimBackend) -> None:
    layer = linear(sim)
    layer.load_state_dict(copy.deepcopy(layer.state_dict()))
    layer(torch.randn(2, 6))


def test_loading_other_weights_makes_the_layer_refuse_until_it_is_reprogrammed(sim: SimBackend) -> None:
    layer = linear(sim)
    other = nn.Linear(6, 5)
    layer.load_state_dict(other.state_dict())
    with pytest.raises(NotProgrammedError, match=r"nn\.reprogram"):
        layer(torch.randn(2, 6))
    reprogram(layer, other)
    layer(torch.randn(2, 6))


def test_weights_changed_behind_the_back_of_autograd_are_noticed(sim: SimBackend) -> None:
    layer = linear(sim)
    layer.weight.data[0, 0] += 0.1
    with pytest.raises(NotProgrammedError, match=r"nn\.reprogram"):
        layer(torch.randn(2, 6))


def test_a_layer_that_was_never_converted_refuses(sim: SimBackend) -> None:
    for layer, x in ((AnalogLinear(6, 5), torch.randn(2, 6)), (AnalogConv2d(1, 1, 3), torch.randn(1, 1, 5, 5))):
        with pytest.raises(NotProgrammedError, match=r"nn\.convert"):
            layer(x)


def test_moving_a_layer_to_another_type_and_back_keeps_it_usable(sim: SimBackend) -> None:
    layer = linear(sim)
    layer.half().float()
    assert layer.measured_weight is not None
    assert layer.measured_weight.dtype == torch.float32
    layer(torch.randn(2, 6))


def test_a_copy_shares_the_array_and_the_ledger(sim: SimBackend) -> None:
    layer = linear(sim)
    twin = copy.deepcopy(layer)
    before = layer.ledger.counts.mvms  # type: ignore[union-attr]
    twin(torch.randn(2, 6))
    assert layer.ledger.counts.mvms == before + 2  # type: ignore[union-attr]


def test_a_copy_notices_that_its_cells_were_programmed_anew(sim: SimBackend) -> None:
    layer = linear(sim)
    twin = copy.deepcopy(layer)
    reprogram(layer, nn.Linear(6, 5))
    layer(torch.randn(2, 6))
    with pytest.raises(NotProgrammedError, match="another copy"):
        twin(torch.randn(2, 6))


# ---- cells that something else wrote --------------------------------------------------------------------------------


def overwrite_with_another_model(array: Crossbar) -> None:
    convert(nn.Linear(6, 5), [array])


def program_a_region(array: Crossbar) -> None:
    array.region(bl=slice(0, 2), sl=slice(0, 2)).program([[40e-6, 20e-6], [20e-6, 40e-6]])


def sweep_one_cell(array: Crossbar) -> None:
    array.sweep(2, 3, Biases.of([0.0, 1.5], 0.0, 2.0, 1e-3, 1e-3))


def program_a_neighbour(array: Crossbar) -> None:
    """A cell on a bit line that the layer does not drive loads its source lines nevertheless."""
    array.region(bl=[15], sl=[3]).program([[40e-6]])


def program_through_another_crossbar(array: Crossbar) -> None:
    program_a_region(Crossbar(array.backend))


def program_and_press_ctrl_c(array: Crossbar) -> None:
    def press_ctrl_c(done: int, total: int, text: str) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(ProgramInterruptedError):
        array.region(bl=slice(12, 16)).program(np.full((4, 16), 40e-6), progress=press_ctrl_c)


@pytest.mark.parametrize(
    "write",
    [
        overwrite_with_another_model,
        program_a_region,
        sweep_one_cell,
        program_a_neighbour,
        program_through_another_crossbar,
        program_and_press_ctrl_c,
    ],
)
def test_a_layer_refuses_once_anything_else_pulsed_its_source_lines(
    sim: SimBackend, write: Callable[[Crossbar], None]
) -> None:
    layer, array = linear(sim), Crossbar(sim)
    twin = copy.deepcopy(layer)
    write(array)
    before = layer.ledger.counts  # type: ignore[union-attr]
    for each in (layer, twin):
        with pytest.raises(NotProgrammedError, match=r"AnalogLinear were pulsed.*nn\.reprogram"):
            each(torch.randn(2, 6))
    assert layer.ledger.counts == before  # type: ignore[union-attr]
    reprogram(layer, copy.deepcopy(layer))
    test = torch.randn(400, 6)
    expected = test @ layer.measured_weight.T + layer.bias  # type: ignore[union-attr]
    assert (layer(test) - expected).norm() / expected.norm() < NOISE


def test_reads_and_writes_on_other_source_lines_leave_a_layer_usable(sim: SimBackend) -> None:
    layer, array = linear(sim), Crossbar(sim)
    array.read()
    array.matrix()
    array.region(sl=slice(10, 16)).program(np.full((16, 6), 40e-6))
    for _ in range(2):
        layer(torch.randn(2, 6))
    program_a_neighbour(array)
    with pytest.raises(NotProgrammedError, match="pulsed"):
        layer(torch.randn(2, 6))


# ---- copies and files -----------------------------------------------------------------------------------------------


def test_a_pickled_layer_keeps_its_weights_and_says_that_it_is_on_no_array(sim: SimBackend) -> None:
    layer = linear(sim)
    thawed = pickle.loads(pickle.dumps(layer))
    assert torch.equal(thawed.weight, layer.weight)
    with pytest.raises(NotProgrammedError, match=r"nn\.convert"):
        thawed(torch.randn(2, 6))


def test_train_and_eval_change_nothing_but_the_flag(sim: SimBackend) -> None:
    layer = linear(sim)
    assert layer.eval().training is False
    assert layer.train().training is True


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_an_input_range_that_is_not_positive_is_refused(bad: float) -> None:
    with pytest.raises(OutOfRangeError, match="input_range"):
        AnalogLinear(2, 2, input_range=bad)


def test_an_unknown_input_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="dynamic"):
        AnalogLinear(2, 2, input_range="auto")  # type: ignore[arg-type]


def test_only_the_plain_digital_layer_can_be_adopted() -> None:
    with pytest.raises(ConfigError, match="Conv2d"):
        AnalogConv2d.adopt(nn.Linear(2, 2))


# ---- convolution ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"padding": 1, "stride": 2},
        {"padding": "same", "dilation": 2},
        {"padding": (1, 0), "padding_mode": "circular"},
        {"padding": 1, "padding_mode": "reflect", "bias": False},
    ],
)
def test_a_convolution_pads_strides_and_dilates_as_torch_does(ideal: SimBackend, options: dict[str, object]) -> None:
    torch.manual_seed(1)
    model = nn.Conv2d(2, 3, (2, 3), dtype=torch.float64, **options)  # type: ignore[arg-type]
    layer = convert(model, [Crossbar(ideal)], tolerance=1e-11)
    x = torch.randn(2, 2, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(layer(x), model(x), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(layer(x[0]), model(x[0]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"groups": 2}, {"padding": 1, "padding_mode": "circular"}])
def test_an_empty_batch_of_pictures_gives_an_empty_output(ideal: SimBackend, options: dict[str, object]) -> None:
    model = nn.Conv2d(2, 4, 2, dtype=torch.float64, **options)  # type: ignore[arg-type]
    layer = convert(model, [Crossbar(ideal)])
    x = torch.empty(0, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert layer(x).shape == model(x).shape
    layer(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("shape", [(1, 3, 5, 5), (5, 5), (1, 2, 1, 5)])
def test_a_picture_that_does_not_fit_is_refused(ideal: SimBackend, shape: tuple[int, ...]) -> None:
    layer = convert(nn.Conv2d(2, 1, 2, dtype=torch.float64), [Crossbar(ideal)])
    with pytest.raises(ShapeError, match="AnalogConv2d"):
        layer(torch.randn(shape, dtype=torch.float64))
