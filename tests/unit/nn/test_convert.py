"""Promises of `nn.convert` and `nn.reprogram`: a model comes to the arrays whole, or not at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from rmhil import Crossbar
from rmhil.errors import (
    ConfigError,
    NotFiniteError,
    NotProgrammedError,
    OutOfRangeError,
    PlacementError,
    ShapeError,
    UnknownNameError,
)
from rmhil.nn import AnalogConv2d, AnalogLinear, OffsetColumn, analog_layers, convert, reprogram
from rmhil.program_report import Outcome
from sim_backend.backend import SimBackend, open_backend


@pytest.fixture
def sim() -> Iterator[SimBackend]:
    with open_backend(seed=5, n_arrays=2, n_bl=24, n_sl=24) as backend:
        yield backend


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU())
        self.middle = nn.Linear(8, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.middle(self.features(x).flatten(1)).relu())


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


PICTURES = torch.rand(5, 1, 4, 4)


def pulses(chip: nn.Module) -> int:
    return chip.ledger.counts.pulses  # type: ignore[union-attr]


def driven(backend: SimBackend) -> bool:
    """Whether any cell has left its virgin state."""
    return bool((backend.true_conductance > 1e-6).mean() > 0.05)


# ---- convert --------------------------------------------------------------------------------------------------------


def test_every_linear_and_convolution_becomes_analogue_and_the_rest_stays(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)])
    assert list(analog_layers(chip)) == ["features.0", "middle", "head"]
    assert type(chip.features[0]) is AnalogConv2d  # type: ignore[index]
    assert type(chip.middle) is AnalogLinear
    assert type(chip.features[1]) is nn.BatchNorm2d  # type: ignore[index]
    assert isinstance(chip.middle, nn.Linear)


def test_a_converted_model_computes_nearly_the_same(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)])
    assert (chip(PICTURES) - net(PICTURES)).norm() / net(PICTURES).norm() < 0.15


def test_the_model_itself_stays_digital_unless_it_is_converted_in_place(sim: SimBackend, net: Net) -> None:
    convert(net, [Crossbar(sim)])
    assert type(net.middle) is nn.Linear
    middle = net.middle
    assert convert(net, [Crossbar(sim)], inplace=True) is net
    assert net.middle is middle
    assert type(net.middle) is AnalogLinear


def test_hooks_and_children_of_a_layer_survive(sim: SimBackend, net: Net) -> None:
    seen: list[str] = []
    net.middle.register_forward_hook(lambda *_: seen.append("hook"))
    convert(net, [Crossbar(sim)])(PICTURES)
    assert seen == ["hook"]


def test_reports_tell_of_every_cell_of_the_placement(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)])
    weights = 2 * 9 + 8 * 6 + 6 * 3
    assert chip.placement.cells == 2 * weights  # type: ignore[union-attr]
    assert [report.asked_for.sum() for report in chip.report] == [2 * weights]  # type: ignore[union-attr]


def test_pulses_are_counted_up_to_the_deployment_and_none_after(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)])
    chip(PICTURES).sum().backward()
    assert pulses(chip) > 0
    assert chip.ledger.pulses_since_deployment == 0  # type: ignore[union-attr]


def test_all_crossbars_count_in_the_ledger_of_the_first(net: Net) -> None:
    with open_backend(seed=1, n_bl=10, n_sl=12) as one, open_backend(seed=2, n_bl=10, n_sl=12) as two:
        first, second = Crossbar(one), Crossbar(two)
        chip = convert(net, [first, second])
        assert chip.ledger is first.ledger
        assert second.ledger.counts.pulses == 0
        used = {site.crossbar for site in chip.placement.sites}  # type: ignore[union-attr]
        assert used == {0, 1}
        assert (chip(PICTURES) - net(PICTURES)).norm() / net(PICTURES).norm() < 0.2


def test_layers_wider_than_an_array_are_cut_and_their_partial_sums_added() -> None:
    with open_backend(seed=1, ideal=True, dtype="float64", n_arrays=6, n_bl=8, n_sl=8) as backend:
        torch.manual_seed(0)
        model = nn.Linear(19, 7, dtype=torch.float64)
        chip = convert(model, [Crossbar(backend)], tolerance=1e-11)
        assert len(chip.placement.sites) == 6  # type: ignore[union-attr]
        x = torch.randn(4, 19, dtype=torch.float64)
        torch.testing.assert_close(chip(x), model(x), rtol=1e-6, atol=1e-6)


def test_tiles_go_only_on_the_region_given(sim: SimBackend) -> None:
    region = Crossbar(sim).region(bl=slice(8, 16), sl=slice(4, 20), arrays=[1])
    model = nn.Linear(8, 8)
    chip = convert(model, [region])
    touched = np.argwhere(sim.true_conductance > 5e-6)
    cells = {tuple(cell) for cell in touched.tolist()}
    outside = [cell for cell in cells if not (cell[0] == 1 and 8 <= cell[1] < 16 and 4 <= cell[2] < 20)]
    assert len(outside) <= 0.01 * sim.spec.n_cells  # stuck cells may conduct anywhere
    x = torch.randn(50, 8)
    assert (chip(x) - model(x)).norm() / model(x).norm() < 0.15


@pytest.mark.parametrize("source", ["verify reads", "columns"])
def test_the_measured_weights_are_near_the_wanted_ones(sim: SimBackend, source: str) -> None:
    torch.manual_seed(0)
    chip = convert(nn.Linear(12, 8), [Crossbar(sim)], measured_from=source)  # type: ignore[arg-type]
    assert isinstance(chip, AnalogLinear)
    assert chip.measured_weight is not None
    assert (chip.measured_weight - chip.weight).norm() / chip.weight.norm() < 0.1


def test_a_pair_makes_up_for_its_stuck_cell() -> None:
    """Seed 4 leaves stuck cells in a 64 x 64 array; what a partner can mend is mended."""
    errors = []
    for compensate in (False, True):
        with open_backend(seed=4, n_bl=64, n_sl=64) as backend:
            torch.manual_seed(0)
            chip = convert(nn.Linear(64, 32), [Crossbar(backend)], compensate=compensate)
            assert chip.report[0].count(Outcome.STUCK) > 0  # type: ignore[union-attr]
            assert isinstance(chip, AnalogLinear)
            assert chip.measured_weight is not None
            errors.append((chip.measured_weight - chip.weight).norm().item())
    assert errors[1] < 0.8 * errors[0]


# ---- layers left digital --------------------------------------------------------------------------------------------


def test_named_layers_stay_digital_and_their_macs_are_counted(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)], digital=["features", "head"])
    assert list(analog_layers(chip)) == ["middle"]
    before = chip.ledger.counts  # type: ignore[union-attr]
    chip(PICTURES)
    after = chip.ledger.counts  # type: ignore[union-attr]
    assert after.digital_macs - before.digital_macs == 5 * (2 * 9 * 4 + 6 * 3)
    assert after.analog_macs - before.analog_macs == 5 * 8 * 12


def test_peft_wraps_a_converted_model_and_trains_only_its_own_matrices(sim: SimBackend, net: Net) -> None:
    peft = pytest.importorskip("peft")
    chip = convert(net, [Crossbar(sim)])
    wrapped = peft.get_peft_model(chip, peft.LoraConfig(r=2, target_modules=["middle", "head"]))
    before = pulses(chip)
    wrapped(PICTURES).sum().backward()
    trained = {name for name, each in wrapped.named_parameters() if each.grad is not None and each.grad.any()}
    assert {name.split(".")[-3] for name in trained} == {"lora_B"}  # lora_A has no gradient while B is zero
    assert pulses(chip) == before


def test_unknown_names_are_refused_with_the_known_ones_and_nothing_is_driven(sim: SimBackend, net: Net) -> None:
    with pytest.raises(UnknownNameError, match=r"'heads'.*features\.0, head, middle"):
        convert(net, [Crossbar(sim)], digital=["heads"])
    assert not driven(sim)


def test_a_model_with_nothing_to_convert_is_refused(sim: SimBackend, net: Net) -> None:
    with pytest.raises(ConfigError, match=r"no nn\.Linear"):
        convert(net, [Crossbar(sim)], digital=["features", "middle", "head"])


def test_layers_that_bypass_their_own_forward_must_be_left_digital_by_name(sim: SimBackend) -> None:
    encoder = nn.TransformerEncoderLayer(4, 2, 4, batch_first=True)
    with pytest.raises(ConfigError, match=r"self_attn\.out_proj"):
        convert(encoder, [Crossbar(sim)])
    with pytest.raises(ConfigError, match=r"linear1.*TransformerEncoderLayer"):
        convert(encoder, [Crossbar(sim)], digital=["self_attn"])


def by_weight_norm(layer: nn.Linear) -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(layer)


def by_spectral_norm(layer: nn.Linear) -> None:
    nn.utils.spectral_norm(layer)


def by_pruning(layer: nn.Linear) -> None:
    prune.l1_unstructured(layer, "weight", 0.5)


@pytest.mark.parametrize("change", [by_weight_norm, by_spectral_norm, by_pruning])
@pytest.mark.parametrize("inplace", [True, False])
def test_a_weight_that_is_computed_from_others_is_refused_and_nothing_is_driven(
    sim: SimBackend, net: Net, change: Callable[[nn.Linear], None], inplace: bool
) -> None:
    change(net.middle)
    with pytest.raises(ConfigError, match="middle"):
        convert(net, [Crossbar(sim)], inplace=inplace)
    assert not driven(sim)
    assert type(net.head) is nn.Linear


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("layer", [(0, 3), (3, 0)])
def test_a_layer_without_weights_is_refused_and_nothing_is_driven(sim: SimBackend, layer: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="'1' has no weights"):
        convert(nn.Sequential(nn.Linear(4, 3), nn.Linear(*layer)), [Crossbar(sim)])
    assert not driven(sim)


# ---- what does not fit ----------------------------------------------------------------------------------------------


def test_a_model_too_large_is_refused_with_the_shortfall_and_nothing_is_driven(sim: SimBackend) -> None:
    with pytest.raises(PlacementError, match="missing"):
        convert(nn.Linear(100, 100), [Crossbar(sim)])
    assert not driven(sim)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tolerance": -1e-6}, OutOfRangeError),
        ({"tolerance": float("nan")}, OutOfRangeError),
        ({"policy": "hopeful"}, UnknownNameError),
        ({"input_range": 0.0}, OutOfRangeError),
        ({"measured_from": "hearsay"}, UnknownNameError),
        ({"averages": 0}, OutOfRangeError),
        ({"averages": 2.0}, ConfigError),
        ({"max_pulses": 0}, OutOfRangeError),
        ({"max_pulses": 1.5}, ConfigError),
        ({"mapping": OffsetColumn(zero=1e-3)}, OutOfRangeError),
        ({"digital": "head"}, ConfigError),
        ({"mapping": "differential pair"}, ConfigError),
        ({"mapping": OffsetColumn}, ConfigError),
        ({"mapping": 0}, ConfigError),
    ],
)
def test_bad_settings_are_refused_and_nothing_is_driven(
    sim: SimBackend, net: Net, options: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        convert(net, [Crossbar(sim)], **options)  # type: ignore[arg-type]
    assert not driven(sim)
    assert type(net.middle) is nn.Linear


def test_weights_that_are_not_finite_are_refused_and_nothing_is_driven(sim: SimBackend, net: Net) -> None:
    with torch.no_grad():
        net.middle.weight[0, 0] = float("nan")
    with pytest.raises(NotFiniteError, match="middle"):
        convert(net, [Crossbar(sim)])
    assert not driven(sim)


def test_crossbars_that_share_cells_are_refused(sim: SimBackend, net: Net) -> None:
    array = Crossbar(sim)
    with pytest.raises(ConfigError, match="share cells"):
        convert(net, [array, array.region(bl=slice(0, 4))])
    with pytest.raises(ConfigError, match="no arrays"):
        convert(net, [])


def test_a_model_is_converted_once(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)])
    with pytest.raises(ConfigError, match=r"nn\.reprogram"):
        convert(chip, [Crossbar(sim)])


# ---- reprogram ------------------------------------------------------------------------------------------------------


def other_net() -> Net:
    torch.manual_seed(9)
    return Net().eval()


def test_reprogramming_brings_new_weights_and_biases(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)])
    other = other_net()
    reports = reprogram(chip, other)
    assert reports == chip.report
    assert torch.equal(chip.head.bias, other.head.bias)  # type: ignore[union-attr]
    assert (chip(PICTURES) - other(PICTURES)).norm() / other(PICTURES).norm() < 0.15
    assert chip.ledger.pulses_since_deployment > 0  # type: ignore[union-attr]


def test_skipping_cells_in_tolerance_costs_fewer_pulses_than_rewriting_them(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)], tolerance=2e-6)
    start = pulses(chip)
    reprogram(chip, net.state_dict())
    skipped = pulses(chip) - start
    reprogram(chip, net.state_dict(), rewrite=True)
    rewritten = pulses(chip) - start - skipped
    assert rewritten >= chip.placement.cells  # type: ignore[union-attr]
    assert skipped < 0.2 * rewritten


def test_a_tile_keeps_its_scale_while_its_weights_fit(sim: SimBackend) -> None:
    torch.manual_seed(0)
    model = nn.Linear(8, 6, bias=False)
    chip = convert(model, [Crossbar(sim)])
    tiles = chip.deployment.matrices[""].tiles  # type: ignore[union-attr,index]
    scale = tiles[0].scale
    smaller = {"weight": model.weight.detach() * 0.5}
    reprogram(chip, smaller)
    assert tiles[0].scale == scale
    larger = {"weight": model.weight.detach() * 2}
    reprogram(chip, larger)
    assert tiles[0].scale == pytest.approx(scale / 2)
    x = torch.randn(50, 8)
    assert (chip(x) - 2 * model(x)).norm() / (2 * model(x)).norm() < 0.15


def test_an_interrupted_reprogramming_leaves_layers_that_refuse_until_it_is_done(sim: SimBackend, net: Net) -> None:
    chip = convert(net, [Crossbar(sim)])

    def press_ctrl_c(done: int, total: int, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reprogram(chip, other_net(), progress=press_ctrl_c)
    with pytest.raises(NotProgrammedError, match="only in part"):
        chip(PICTURES)
    reprogram(chip, net)
    chip(PICTURES)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda state: state.update(extra=torch.zeros(1)), UnknownNameError, "extra"),
        (lambda state: state.pop("middle.weight"), UnknownNameError, "middle.weight"),
        (lambda state: state.update({"middle.weight": torch.zeros(6, 9)}), ShapeError, "middle.weight"),
        (lambda state: state["head.weight"].fill_(float("inf")), NotFiniteError, "head.weight"),
    ],
)
def test_parameters_that_do_not_fit_change_nothing(
    sim: SimBackend, net: Net, change: object, error: type[Exception], message: str
) -> None:
    chip = convert(net, [Crossbar(sim)])
    state = copy.deepcopy(other_net().state_dict())
    change(state)  # type: ignore[operator]
    before = pulses(chip)
    with pytest.raises(error, match=message):
        reprogram(chip, state)
    assert pulses(chip) == before
    assert torch.equal(chip.middle.weight, net.middle.weight)  # type: ignore[union-attr,arg-type]
    chip(PICTURES)


def test_a_digital_model_cannot_be_reprogrammed(net: Net) -> None:
    with pytest.raises(NotProgrammedError, match=r"nn\.convert"):
        reprogram(net, net)


def test_the_same_seed_gives_the_same_chip_and_the_same_answers(net: Net) -> None:
    answers = []
    for _ in range(2):
        with open_backend(seed=5, n_arrays=2, n_bl=24, n_sl=24) as backend:
            answers.append(convert(net, [Crossbar(backend)])(PICTURES))
    assert torch.equal(*answers)
