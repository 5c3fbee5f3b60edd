"""What the branch of one layer computes, counts and keeps."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rmhil.ledger import Ledger
from rmhil.nn.adapters import adapters_off, add_adapter, get_adapter, remove_adapter
from rmhil.nn.lora import ATTRIBUTE, LoraBranch, Scaling, geometry_of
from rmhil.nn.sram import SRAM_FORMATS, SramBank

FORMATS = list(SRAM_FORMATS)

CONVOLUTIONS = {
    "plain": lambda: nn.Conv2d(3, 8, 3),
    "strided": lambda: nn.Conv2d(3, 8, 3, stride=(2, 1), padding=(1, 2)),
    "dilated": lambda: nn.Conv2d(3, 8, 3, dilation=2, padding=2),
    "same": lambda: nn.Conv2d(3, 8, (5, 3), padding="same", dilation=(1, 2)),
    "circular": lambda: nn.Conv2d(3, 8, 3, padding=(2, 1), padding_mode="circular"),
    "reflected": lambda: nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect", bias=False),
    "grouped": lambda: nn.Conv2d(4, 8, 3, groups=2, padding=1),
    "depth-wise": lambda: nn.Conv2d(4, 4, 3, groups=4, padding=1),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def adapted(layer: nn.Module, bank: SramBank | None = None, **options: Any) -> tuple[nn.Module, LoraBranch]:  # noqa: ANN401
    """A layer with one adapter whose B is not zero, and its branch."""
    settings: dict[str, Any] = {"rank": 4, "alpha": 2.0, "seed": 1, **options}
    adapter = add_adapter(layer, "one", bank=bank or SramBank(1 << 16), **settings)
    branch = adapter.branches[""]
    with torch.no_grad():
        branch.B.normal_(generator=generator(2))
    return layer, branch


@pytest.mark.parametrize(("scaling", "scale"), [("alpha", 2.0), ("alpha/rank", 0.5), ("alpha/sqrt(rank)", 1.0)])
def test_a_linear_layer_gains_scale_times_b_times_a(scaling: Scaling, scale: float) -> None:
    layer, branch = adapted(nn.Linear(5, 3), scaling=scaling)
    x = torch.randn(2, 7, 5, generator=generator())
    wanted = F.linear(x, layer.weight + scale * branch.B @ branch.A, layer.bias)
    torch.testing.assert_close(layer(x), wanted)


@pytest.mark.parametrize("name", list(CONVOLUTIONS))
def test_a_convolution_gains_a_convolution_of_its_own_form(name: str) -> None:
    layer, branch = adapted(CONVOLUTIONS[name]())
    assert isinstance(layer, nn.Conv2d)
    x = torch.randn(2, layer.in_channels, 9, 8, generator=generator())
    down = nn.Conv2d(
        layer.in_channels, 4, layer.kernel_size, layer.stride, layer.padding, layer.dilation, 1, False,
        layer.padding_mode,
    )  # fmt: skip
    up = nn.Conv2d(4, layer.out_channels, 1, groups=layer.groups, bias=False)
    down.weight.data, up.weight.data = branch.A.data, branch.B.data
    with adapters_off(layer):
        base = layer(x)
    torch.testing.assert_close(layer(x), base + 2.0 * up(down(x)))
    torch.testing.assert_close(layer(x[0]), layer(x)[0])


def test_macs_of_a_convolution_are_those_of_its_two_factors() -> None:
    bank = SramBank(1 << 16, ledger=Ledger())
    layer, _ = adapted(nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), bank)
    positions = layer(torch.zeros(5, 4, 8, 8)).shape[-1] ** 2 * 5
    assert bank.ledger is not None
    assert bank.ledger.counts.lora_macs == positions * (4 * 4 * 9 + 6 * 4 // 2)


def test_an_input_given_by_name_is_seen() -> None:
    layer, _ = adapted(nn.Linear(5, 3))
    x = torch.randn(2, 5, generator=generator())
    torch.testing.assert_close(layer(input=x), layer(x), rtol=0, atol=0)


def test_hooks_of_the_user_see_the_adapted_output() -> None:
    layer = nn.Linear(5, 3)
    seen: list[torch.Tensor] = []
    layer.register_forward_hook(lambda module, args, output: seen.append(output))
    adapted(layer)
    y = layer(torch.ones(1, 5))
    assert seen[0] is y


@pytest.mark.parametrize("format", FORMATS)
def test_a_branch_computes_with_what_its_bank_holds(format: str) -> None:
    bank = SramBank(1 << 16, format)
    layer, branch = adapted(nn.Linear(5, 3, bias=False), bank)
    x = torch.randn(4, 5, generator=generator())
    A, B = bank.stored(branch.A), bank.stored(branch.B)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight) + F.linear(F.linear(x, A), B) * 2.0)


@pytest.mark.parametrize("format", FORMATS)
def test_gradients_are_those_of_the_stored_values_and_reach_the_masters(format: str) -> None:
    bank = SramBank(1 << 16, format)
    layer, branch = adapted(nn.Linear(5, 3), bank)
    x = torch.randn(4, 5, generator=generator(), requires_grad=True)
    layer(x).square().sum().backward()
    A, B = (bank.stored(each.detach()).clone().requires_grad_() for each in (branch.A, branch.B))
    copied = x.detach().clone().requires_grad_()
    (F.linear(copied, layer.weight, layer.bias) + F.linear(F.linear(copied, A), B) * 2.0).square().sum().backward()
    for got, wanted in ((branch.A.grad, A.grad), (branch.B.grad, B.grad), (x.grad, copied.grad)):
        torch.testing.assert_close(got, wanted)
    assert layer.weight.grad is None


def test_small_steps_add_up_below_the_step_of_the_format() -> None:
    bank = SramBank(1 << 16, "int8")
    _, branch = adapted(nn.Linear(5, 3), bank)
    before = bank.stored(branch.A).detach().clone()
    step = float(branch.A.detach().abs().max()) / 127
    with torch.no_grad():
        branch.A[0, 0] += 0.4 * step
        branch.A[0, 0] += 0.4 * step
        branch.A[0, 0] += 0.4 * step
    assert bool((bank.stored(branch.A) != before).any())


# Traffic ------------------------------------------------------------------------------------------


def traffic(bank: SramBank, action: Any) -> tuple[int, int]:  # noqa: ANN401
    """Bits that an action reads and writes."""
    read, written = bank.bits_read, bank.bits_written
    action()
    return bank.bits_read - read, bank.bits_written - written


@pytest.mark.parametrize("format", FORMATS)
def test_the_first_use_writes_everything_and_later_ones_only_read(format: str) -> None:
    bank = SramBank(1 << 16, format)
    layer, branch = adapted(nn.Linear(5, 3), bank)
    x = torch.ones(7, 5)
    assert traffic(bank, lambda: layer(x)) == (8 * branch.size, 8 * branch.size)
    assert traffic(bank, lambda: layer(x)) == (8 * branch.size, 0)


@pytest.mark.parametrize("matrix", ["A", "B"])
def test_only_the_matrix_that_changed_is_written(matrix: str) -> None:
    bank = SramBank(1 << 16, "int8")
    layer, branch = adapted(nn.Linear(5, 3), bank)
    layer(torch.ones(1, 5))
    with torch.no_grad():
        getattr(branch, matrix).mul_(1.5)
    written = bank.format.bits(getattr(branch, matrix).shape)
    assert traffic(bank, lambda: layer(torch.ones(1, 5))) == (8 * branch.size, written)


@pytest.mark.parametrize("options", [{"foreach": False}, {"foreach": True}, {"fused": True}])
def test_each_step_of_an_optimiser_is_one_write(options: dict[str, bool]) -> None:
    bank = SramBank(1 << 16, "int8")
    layer, branch = adapted(nn.Linear(5, 3), bank)
    optimiser = torch.optim.Adam([branch.A, branch.B], lr=0.01, **options)
    layer(torch.ones(1, 5))
    for _ in range(3):
        layer(torch.ones(1, 5)).square().sum().backward()
        before = bank.bits_written
        optimiser.step()
        assert traffic(bank, lambda: layer(torch.ones(1, 5)))[1] == 8 * branch.size
        assert bank.bits_written == before + 8 * branch.size


@pytest.mark.parametrize(
    "change",
    [
        lambda branch: branch.A.data.mul_(1.5),
        lambda branch: setattr(branch.A, "data", branch.A.data * 1.5),
        lambda branch: branch.load_state_dict({"A": branch.A * 1.5, "B": branch.B}, assign=True),
        lambda branch: setattr(branch, "A", nn.Parameter(branch.A.detach() * 1.5)),
    ],
    ids=["data in place", "data replaced", "assigned", "new parameter"],
)
def test_a_change_behind_the_version_counter_is_a_write(change: Any) -> None:  # noqa: ANN401
    bank = SramBank(1 << 16)
    layer, branch = adapted(nn.Linear(5, 3), bank)
    layer(torch.ones(1, 5))
    change(branch)
    assert traffic(bank, lambda: layer(torch.ones(1, 5)))[1] == bank.format.bits(branch.A.shape)


def test_loading_a_state_is_a_write() -> None:
    bank = SramBank(1 << 16)
    layer, branch = adapted(nn.Linear(5, 3), bank)
    layer(torch.ones(1, 5))
    layer.load_state_dict(layer.state_dict())
    assert traffic(bank, lambda: layer(torch.ones(1, 5)))[1] == 8 * branch.size


def test_a_layer_used_twice_reads_twice_and_writes_once() -> None:
    bank = SramBank(1 << 16, ledger=Ledger())
    layer, branch = adapted(nn.Linear(5, 5), bank)
    assert traffic(bank, lambda: layer(layer(torch.ones(3, 5)))) == (2 * 8 * branch.size, 8 * branch.size)
    assert bank.ledger is not None
    assert bank.ledger.counts.lora_macs == 2 * 3 * 4 * (5 + 5)


def test_a_disabled_branch_moves_no_bits_and_computes_nothing() -> None:
    bank = SramBank(1 << 16, ledger=Ledger())
    layer, _ = adapted(nn.Linear(5, 3), bank)
    with adapters_off(layer):
        assert traffic(bank, lambda: layer(torch.ones(3, 5))) == (0, 0)
    assert bank.ledger is not None
    assert bank.ledger.counts.lora_macs == 0


@pytest.mark.parametrize("format", FORMATS)
def test_moving_to_a_wider_type_and_back_writes_nothing(format: str) -> None:
    bank = SramBank(1 << 16, format)
    layer, _ = adapted(nn.Linear(5, 3), bank)
    x = torch.randn(2, 5, generator=generator())
    before = layer(x)
    assert traffic(bank, lambda: layer.double()(x.double()))[1] == 0
    assert traffic(bank, lambda: layer.float()(x))[1] == 0
    torch.testing.assert_close(layer(x), before, rtol=0, atol=0)


def test_moving_to_a_narrower_type_writes_what_it_changed() -> None:
    bank = SramBank(1 << 16)
    layer, branch = adapted(nn.Linear(5, 3), bank)
    layer(torch.ones(1, 5))
    assert traffic(bank, lambda: layer.bfloat16()(torch.ones(1, 5).bfloat16()))[1] == 8 * branch.size


def test_a_diverged_adapter_is_not_written_again_and_again() -> None:
    bank = SramBank(1 << 16)
    layer, branch = adapted(nn.Linear(5, 3), bank)
    with torch.no_grad():
        branch.A.fill_(float("nan"))
    layer(torch.ones(1, 5))
    assert traffic(bank, lambda: layer(torch.ones(1, 5)))[1] == 0


# Copies -------------------------------------------------------------------------------------------


def by_deepcopy(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model)


def by_pickle(model: nn.Module) -> nn.Module:
    restored: nn.Module = pickle.loads(pickle.dumps(model))
    return restored


def by_torch_save(model: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    restored: nn.Module = torch.load(buffer, weights_only=False)
    return restored


@pytest.mark.parametrize("duplicate", [by_deepcopy, by_pickle, by_torch_save])
@pytest.mark.parametrize("format", ["float32", "int8"])
def test_a_copy_says_the_same_and_is_apart(duplicate: Any, format: str) -> None:  # noqa: ANN401
    layer, branch = adapted(nn.Linear(5, 3), SramBank(1 << 16, format))
    x = torch.randn(2, 5, generator=generator())
    before = layer(x)
    other = duplicate(layer)
    theirs = get_adapter(other, "one").branches[""]
    torch.testing.assert_close(other(x), before, rtol=0, atol=0)
    assert traffic(theirs.bank, lambda: other(x))[1] == 0
    with torch.no_grad():
        theirs.B.zero_()
    torch.testing.assert_close(layer(x), before, rtol=0, atol=0)
    assert not torch.equal(other(x), before)
    remove_adapter(other, "one")
    assert (theirs.bank.used, branch.bank.used) == (0, branch.size)
    assert (len(other._forward_hooks), len(layer._forward_hooks)) == (0, 1)
    torch.testing.assert_close(other(x), F.linear(x, layer.weight, layer.bias))


def test_a_copy_of_an_unwritten_adapter_is_written_at_its_first_use() -> None:
    layer, branch = adapted(nn.Linear(5, 3))
    other = copy.deepcopy(layer)
    bank = get_adapter(other, "one").branches[""].bank
    assert traffic(bank, lambda: other(torch.ones(1, 5)))[1] == 8 * branch.size


def test_copies_count_into_one_ledger() -> None:
    ledger = Ledger()
    layer, branch = adapted(nn.Linear(5, 3), SramBank(1 << 16, ledger=ledger))
    copy.deepcopy(layer)(torch.ones(1, 5))
    assert ledger.counts.sram_bits_read == 8 * branch.size


def test_removing_the_last_adapter_leaves_the_layer_as_it_was() -> None:
    plain = nn.Linear(5, 3)
    names, hooks = list(plain.__dict__), dict(plain._forward_hooks)
    layer, _ = adapted(plain)
    remove_adapter(layer, "one")
    assert list(layer.__dict__) == names
    assert dict(layer._forward_hooks) == hooks
    assert list(layer.state_dict()) == ["weight", "bias"]


# Types, devices, transforms -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_output_keeps_the_type_of_the_layer(dtype: torch.dtype) -> None:
    layer, branch = adapted(nn.Linear(5, 3, dtype=dtype))
    assert branch.A.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert layer(torch.ones(2, 5, dtype=dtype)).dtype == dtype


def test_gradients_of_a_double_model_pass_gradcheck_in_its_input() -> None:
    layer, _ = adapted(nn.Linear(5, 3, dtype=torch.float64), SramBank(1 << 16, "int8"))
    x = torch.randn(2, 5, dtype=torch.float64, generator=generator(), requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_function_transforms_see_the_adapter_and_write_nothing() -> None:
    bank = SramBank(1 << 16, "int8")
    layer, branch = adapted(nn.Linear(5, 3), bank)
    x = torch.randn(4, 5, generator=generator())
    y = layer(x)
    assert traffic(bank, lambda: torch.testing.assert_close(torch.func.vmap(layer)(x), y))[1] == 0
    parameters = {name: each.detach() for name, each in layer.named_parameters()}

    def loss(values: dict[str, torch.Tensor]) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(layer, values, (x,)).square().sum()
        return result

    gradients = torch.func.grad(loss)(parameters)
    layer(x).square().sum().backward()
    torch.testing.assert_close(gradients[f"{ATTRIBUTE}.one.A"], branch.A.grad)


def test_printing_a_model_shows_its_adapters() -> None:
    layer, branch = adapted(nn.Linear(5, 3), SramBank(1 << 16, name="near"))
    branch.enabled = False
    assert "rank=4, alpha=2, scaling='alpha', bank='near', off" in repr(layer)


def test_the_geometry_of_equal_layers_is_equal() -> None:
    assert geometry_of(nn.Conv2d(3, 4, 3)) == geometry_of(nn.Conv2d(3, 4, 3))
    assert geometry_of(nn.Linear(3, 4)) != geometry_of(nn.Linear(4, 3))
