"""What is refused of adapters, and that nothing has changed then."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rmhil.errors import (
    ConfigError,
    MergeRefusedError,
    OutOfRangeError,
    RmhilError,
    SramCapacityError,
    UnknownNameError,
)
from rmhil.ledger import Ledger
from rmhil.nn import adapters as A
from rmhil.nn.sram import SramBank
from tests.unit.nn.mixer import MIXED, ChannelMixing


@pytest.fixture
def model() -> ChannelMixing:
    torch.manual_seed(0)
    return ChannelMixing()


@pytest.fixture
def bank() -> SramBank:
    return SramBank(1 << 16)


def snapshot(model: nn.Module) -> dict[str, Any]:
    """Everything that a refused request must leave alone."""
    return {
        "state": {name: value.clone() for name, value in model.state_dict().items()},
        "trainable": [name for name, parameter in model.named_parameters() if parameter.requires_grad],
        "modules": [name for name, _ in model.named_modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
        "enabled": [A.get_adapter(model, name).enabled for name in A.adapter_names(model)],
    }


REFUSED: dict[str, tuple[dict[str, Any], type[RmhilError], str]] = {
    "unknown layer": ({"targets": ["up.0", "tail"]}, UnknownNameError, "unknown layer 'tail'; known: down.0"),
    "one string": ({"targets": "head"}, ConfigError, "list of names"),
    "no layer": ({"targets": []}, ConfigError, "no nn.Linear"),
    "rank zero": ({"rank": 0}, OutOfRangeError, "rank = 0"),
    "rank of a half": ({"rank": 2.5}, ConfigError, "rank = 2.5"),
    "alpha zero": ({"alpha": 0.0}, OutOfRangeError, "alpha"),
    "alpha NaN": ({"alpha": float("nan")}, OutOfRangeError, "alpha"),
    "alpha infinite": ({"alpha": float("inf")}, OutOfRangeError, "alpha"),
    "unknown scaling": ({"scaling": "rank"}, UnknownNameError, "alpha/sqrt"),
    "seed and generator": ({"seed": 1, "generator": torch.Generator()}, ConfigError, "not both"),
    "does not fit": ({"rank": 6}, SramCapacityError, "bytes asked for, 96 free of 3000 bytes"),
    "taken": ({"name": "kept"}, ConfigError, "'kept' already; adapters: kept"),
    "empty name": ({"name": ""}, ConfigError, "cannot be called"),
    "dotted name": ({"name": "a.b"}, ConfigError, "cannot be called"),
    "path as name": ({"name": "../a"}, ConfigError, "cannot be called"),
    "name of torch": ({"name": "keys"}, ConfigError, "cannot be called"),
    "state of torch": ({"name": "training"}, ConfigError, "cannot be called"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_a_refused_adapter_leaves_the_model_and_the_bank_as_they_were(model: ChannelMixing, case: str) -> None:
    wrong, error, message = REFUSED[case]
    bank = SramBank(3000)
    kept = A.add_adapter(model, "kept", rank=2, alpha=1.0, bank=bank, targets=MIXED)
    bank.allocate("other", bank.available - 96)
    model.up[0].requires_grad_(True)
    before, used, random = snapshot(model), bank.used, torch.get_rng_state()
    request = {"name": "new", "rank": 1, "alpha": 1.0, "bank": bank, **wrong}
    with pytest.raises(error, match=message):
        A.add_adapter(model, **request)
    after = snapshot(model)
    torch.testing.assert_close(after.pop("state"), before.pop("state"), rtol=0, atol=0)
    assert after == before
    assert bank.used == used
    assert torch.equal(torch.get_rng_state(), random)
    assert not kept.frozen


def test_a_rank_that_groups_do_not_divide_names_the_layer(bank: SramBank) -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4))
    with pytest.raises(ConfigError, match=r"layer '0': rank 6 .* 4 groups"):
        A.add_adapter(model, "one", rank=6, alpha=1.0, bank=bank)


def test_a_layer_that_uses_the_name_itself_is_left_alone(bank: SramBank) -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].adapters = "mine"
    with pytest.raises(ConfigError, match="'adapters' of its own"):
        A.add_adapter(model, "one", rank=1, alpha=1.0, bank=bank)


def test_a_layer_without_weights_is_refused(bank: SramBank) -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(ConfigError, match="no weights yet"):
        A.add_adapter(model, "one", rank=1, alpha=1.0, bank=bank)


@pytest.mark.parametrize(
    "function",
    [
        A.get_adapter,
        A.remove_adapter,
        A.enable_adapter,
        A.disable_adapter,
        A.freeze_adapter,
        A.unfreeze_adapter,
        A.adapter_parameters,
        A.merge,
    ],
)
def test_an_unknown_adapter_lists_the_known_ones(model: ChannelMixing, bank: SramBank, function: Any) -> None:  # noqa: ANN401
    A.add_adapter(model, "one", rank=1, alpha=1.0, bank=bank)
    with pytest.raises(UnknownNameError, match="unknown adapter 'two'; known: one"):
        function(model, "two")


@pytest.mark.parametrize("name", [None, "one"])
def test_merging_is_refused_with_the_reason(model: ChannelMixing, bank: SramBank, name: str | None) -> None:
    A.add_adapter(model, "one", rank=1, alpha=1.0, bank=bank)
    with pytest.raises(MergeRefusedError, match=r"conductance map.*reprogram"):
        A.merge(model, name)


def test_a_refused_adapter_connects_no_ledger(model: ChannelMixing) -> None:
    model.ledger = Ledger()
    bank = SramBank(10)
    with pytest.raises(SramCapacityError):
        A.add_adapter(model, "one", rank=2, alpha=1.0, bank=bank)
    assert bank.ledger is None
