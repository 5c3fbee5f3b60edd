"""What a user may ask of the adapters of a model."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rmhil.errors import UnknownNameError
from rmhil.ledger import Ledger
from rmhil.nn import adapters as A
from rmhil.nn.sram import SRAM_FORMATS, SramBank
from tests.unit.nn.mixer import MIXED, ChannelMixing, stir


@pytest.fixture
def model() -> ChannelMixing:
    torch.manual_seed(0)
    return ChannelMixing()


@pytest.fixture
def bank() -> SramBank:
    return SramBank(1 << 16)


@pytest.mark.parametrize(("rank", "parameters"), [(6, 1404), (8, 1872)])
def test_the_face_mixer_has_the_published_number_of_adapter_values(
    model: ChannelMixing, bank: SramBank, rank: int, parameters: int
) -> None:
    adapter = A.add_adapter(model, "forget-2", rank=rank, alpha=4.0, bank=bank, targets=MIXED)
    assert adapter.n_parameters == parameters
    assert sum(each.numel() for each in model.parameters() if each.requires_grad) == parameters
    assert adapter.size == bank.used == 4 * parameters


@pytest.mark.parametrize("rank", [1, 6, 8])
def test_the_face_mixer_takes_3354_macs_for_a_unit_of_rank_and_image(model: ChannelMixing, rank: int) -> None:
    bank = SramBank(1 << 16, ledger=Ledger())
    A.add_adapter(model, "forget-2", rank=rank, alpha=4.0, bank=bank, targets=MIXED)
    model(torch.zeros(3, 16, 20))
    assert bank.ledger is not None
    assert bank.ledger.counts.lora_macs == 3 * rank * 3354


def test_a_new_adapter_changes_no_output(model: ChannelMixing, bank: SramBank) -> None:
    x = torch.randn(2, 16, 20)
    before = model(x)
    A.add_adapter(model, "forget-2", rank=6, alpha=4.0, bank=bank)
    torch.testing.assert_close(model(x), before, rtol=0, atol=0)


def test_only_adapters_are_trained(model: ChannelMixing, bank: SramBank) -> None:
    A.add_adapter(model, "one", rank=2, alpha=4.0, bank=bank, targets=["up.0", "head"])
    stir(model, "one")
    model(torch.randn(2, 16, 20)).square().sum().backward()
    trained = {name for name, each in model.named_parameters() if each.grad is not None}
    assert trained == {f"{layer}.adapters.one.{matrix}" for layer in ("up.0", "head") for matrix in "AB"}


@pytest.mark.parametrize(
    ("targets", "layers"),
    [
        (["head"], ["head"]),
        (["head", "up.0"], ["up.0", "head"]),
        (["0"], ["up.0", "down.0"]),
        (["0", "up.0"], ["up.0", "down.0"]),
        (None, ["up.0", "up.1", "down.0", "down.1", "token", "head"]),
    ],
)
def test_targets_are_names_or_ends_of_names(
    model: ChannelMixing, bank: SramBank, targets: list[str] | None, layers: list[str]
) -> None:
    assert list(A.add_adapter(model, "one", rank=1, alpha=1.0, bank=bank, targets=targets).layers) == layers


def test_a_tied_layer_is_adapted_once(bank: SramBank) -> None:
    shared = nn.Linear(4, 4)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    adapter = A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank, targets=["2"])
    assert adapter.layers == A.get_adapter(model, "one").layers == ("0",)
    A.remove_adapter(model, "one")
    assert bank.used == 0


def test_attention_projections_that_are_never_called_are_no_targets(bank: SramBank) -> None:
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2), "head": nn.Linear(8, 2)})
    assert A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank).layers == ("head",)
    with pytest.raises(UnknownNameError, match="known: head"):
        A.add_adapter(model, "two", rank=2, alpha=1.0, bank=bank, targets=["attention.out_proj"])


def test_whole_numbers_of_numpy_are_whole_numbers(model: ChannelMixing, bank: SramBank) -> None:
    adapter = A.add_adapter(model, "one", rank=np.int64(3), alpha=1.0, bank=bank)
    assert adapter.branches["head"].rank == 3


def test_one_seed_gives_one_adapter(model: ChannelMixing, bank: SramBank) -> None:
    other = copy.deepcopy(model)
    torch.manual_seed(1)
    first = A.add_adapter(model, "one", rank=3, alpha=4.0, bank=bank, seed=7)
    torch.manual_seed(2)
    second = A.add_adapter(other, "one", rank=3, alpha=4.0, bank=bank, generator=torch.Generator().manual_seed(7))
    third = A.add_adapter(other, "two", rank=3, alpha=4.0, bank=bank, seed=8)
    assert first.version == second.version != third.version
    fan_in_bound = 1 / 20**0.5
    assert 0.9 * fan_in_bound < float(first.branches["up.0"].A.detach().abs().max()) <= fan_in_bound


def test_adapters_stack_across_banks_formats_and_scales(model: ChannelMixing) -> None:
    banks = {f"in-{format}": SramBank(1 << 14, format) for format in SRAM_FORMATS}
    x = torch.randn(5, 20)
    wanted = F.linear(x, model.head.weight)
    for seed, (name, bank) in enumerate(banks.items()):
        A.add_adapter(model, name, rank=2, alpha=seed + 1.0, bank=bank, scaling="alpha/rank", targets=["head"])
        stir(model, name, seed)
        branch = A.get_adapter(model, name).branches["head"]
        wanted = wanted + (seed + 1.0) / 2 * x @ bank.stored(branch.A).T @ bank.stored(branch.B).T
    torch.testing.assert_close(model.head(x), wanted)
    assert A.adapter_names(model) == list(banks)
    model.head(x)
    for bank in banks.values():
        assert bank.bits_written == 8 * bank.used
        assert bank.bits_read == 2 * 8 * bank.used


def test_names_come_in_the_order_of_adding_whatever_the_layers(model: ChannelMixing, bank: SramBank) -> None:
    A.add_adapter(model, "late-layer", rank=1, alpha=1.0, bank=bank, targets=["head"])
    A.add_adapter(model, "early-layer", rank=1, alpha=1.0, bank=bank, targets=["up.0"])
    assert A.adapter_names(model) == ["late-layer", "early-layer"]


def test_switching_an_adapter_off_gives_the_model_without_it(model: ChannelMixing, bank: SramBank) -> None:
    x = torch.randn(2, 16, 20)
    base = model(x)
    for name in ("one", "two"):
        A.add_adapter(model, name, rank=2, alpha=1.0, bank=bank)
        stir(model, name)
    both = model(x)
    A.disable_adapter(model, "one")
    A.disable_adapter(model, "two")
    torch.testing.assert_close(model(x), base, rtol=0, atol=0)
    A.enable_adapter(model, "one")
    A.enable_adapter(model, "two")
    torch.testing.assert_close(model(x), both, rtol=0, atol=0)


def test_adapters_off_puts_each_back_as_it_was(model: ChannelMixing, bank: SramBank) -> None:
    for name in ("on", "off"):
        A.add_adapter(model, name, rank=1, alpha=1.0, bank=bank)
    A.disable_adapter(model, "off")

    def interrupted() -> None:
        with A.adapters_off(model):
            assert not A.get_adapter(model, "on").enabled
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert A.get_adapter(model, "on").enabled
    assert not A.get_adapter(model, "off").enabled


def test_adapters_off_takes_names(model: ChannelMixing, bank: SramBank) -> None:
    for name in ("one", "two"):
        A.add_adapter(model, name, rank=1, alpha=1.0, bank=bank)
    with A.adapters_off(model, "two"):
        assert A.get_adapter(model, "one").enabled
        assert not A.get_adapter(model, "two").enabled


def test_a_frozen_adapter_works_and_is_not_trained(model: ChannelMixing, bank: SramBank) -> None:
    for name in ("old", "new"):
        A.add_adapter(model, name, rank=2, alpha=1.0, bank=bank)
        stir(model, name)
    A.freeze_adapter(model, "old")
    old, new = A.get_adapter(model, "old"), A.get_adapter(model, "new")
    assert (old.frozen, new.frozen) == (True, False)
    version = old.version
    optimiser = torch.optim.Adam((each for each in model.parameters() if each.requires_grad), lr=0.1)
    model(torch.randn(2, 16, 20))
    before = bank.bits_written
    for _ in range(2):
        model(torch.randn(2, 16, 20)).square().sum().backward()
        optimiser.step()
    model(torch.randn(2, 16, 20))
    assert old.version == version
    assert bank.bits_written - before == 2 * 8 * new.size
    A.unfreeze_adapter(model, "old")
    assert not old.frozen


def test_adding_an_adapter_leaves_a_frozen_one_frozen(model: ChannelMixing, bank: SramBank) -> None:
    A.add_adapter(model, "old", rank=2, alpha=1.0, bank=bank)
    A.freeze_adapter(model, "old")
    A.add_adapter(model, "new", rank=2, alpha=1.0, bank=bank)
    assert A.get_adapter(model, "old").frozen


def test_removing_gives_back_the_bytes_of_that_adapter_only(model: ChannelMixing) -> None:
    first, second = SramBank(1 << 14, "int8"), SramBank(1 << 14, "float16")
    one = A.add_adapter(model, "one", rank=2, alpha=1.0, bank=first)
    two = A.add_adapter(model, "two", rank=3, alpha=1.0, bank=first)
    A.add_adapter(model, "three", rank=3, alpha=1.0, bank=second)
    assert first.contents == {"one": one.size, "two": two.size}
    size = two.size
    A.remove_adapter(model, "one")
    assert first.contents == {"two": size}
    assert second.used > 0
    assert A.adapter_names(model) == ["two", "three"]
    again = A.add_adapter(model, "one", rank=2, alpha=1.0, bank=first)
    assert first.used == size + again.size


def test_an_adapter_can_be_removed_from_a_part_of_a_model(model: ChannelMixing, bank: SramBank) -> None:
    adapter = A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank)
    head = adapter.branches["head"].size
    A.remove_adapter(model.head, "one")
    assert bank.used == adapter.size - head
    assert "head" not in A.get_adapter(model, "one").layers


def test_parameters_are_those_of_the_adapter(model: ChannelMixing, bank: SramBank) -> None:
    one = A.add_adapter(model, "one", rank=1, alpha=1.0, bank=bank)
    two = A.add_adapter(model, "two", rank=1, alpha=1.0, bank=bank)
    assert list(map(id, A.adapter_parameters(model, "two"))) == list(map(id, two.parameters()))
    assert list(map(id, A.adapter_parameters(model))) == list(map(id, one.parameters() + two.parameters()))


def test_a_state_of_the_model_goes_round_with_its_adapters(model: ChannelMixing, bank: SramBank) -> None:
    A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank)
    stir(model, "one")
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    other = ChannelMixing()
    A.add_adapter(other, "one", rank=2, alpha=1.0, bank=SramBank(1 << 16))
    other.load_state_dict(kept)
    x = torch.randn(2, 16, 20)
    torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)
    assert A.get_adapter(other, "one").version == A.get_adapter(model, "one").version


def test_train_and_eval_mode_reach_the_adapters_and_change_nothing(model: ChannelMixing, bank: SramBank) -> None:
    A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank)
    stir(model, "one")
    x = torch.randn(2, 16, 20)
    trained = model.train()(x)
    torch.testing.assert_close(model.eval()(x), trained, rtol=0, atol=0)
    assert not A.get_adapter(model, "one").branches["head"].training


def test_a_bank_without_a_ledger_takes_the_one_of_the_model(model: ChannelMixing, bank: SramBank) -> None:
    ledger = Ledger()
    model.ledger = ledger
    A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank)
    assert bank.ledger is ledger
    own = SramBank(1 << 14, ledger=Ledger())
    A.add_adapter(model, "two", rank=2, alpha=1.0, bank=own)
    assert own.ledger is not ledger


def test_an_adapter_tells_what_it_is(model: ChannelMixing, bank: SramBank) -> None:
    adapter = A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank, targets=["head"], seed=1)
    assert str(adapter) == f"one@{adapter.version}: 52 parameters on 1 layers, 208 bytes in sram"
    version = adapter.version
    stir(model, "one")
    assert adapter.version != version
