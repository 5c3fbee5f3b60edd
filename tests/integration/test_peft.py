"""Adapters change hands with the PEFT package, in both directions, and PEFT adapts analogue layers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import rmhil
from rmhil import nn as rnn
from rmhil.errors import AdapterFileError, NotProgrammedError
from rmhil.nn.lora import SCALINGS, Scaling
from rmhil.nn.sram import SRAM_FORMATS

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings(
    # PEFT says so of every grouped convolution; merging is none of our business.
    r"ignore:LoRA adapter added to ConvNd layer with groups > 1:UserWarning"
)

ROUNDING = {"rtol": 1e-5, "atol": 1e-6}
"""float32: PEFT and rmhil multiply by the scale in the same order, but may sum in another one."""


class Network(nn.Module):
    """Convolutions of two kinds, and linear layers of which one's name ends another's."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.block = nn.ModuleDict({"head": nn.Linear(16, 12), "out": nn.Linear(12, 12)})
        self.head = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.grouped(torch.relu(self.stem(x)))).flatten(1)
        x = torch.relu(self.block["head"](x))
        scores: torch.Tensor = self.head(self.block["out"](x))
        return scores


EVERY_LAYER = ["stem", "grouped", "block.head", "block.out", "head"]


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def stir(parameters: list[nn.Parameter], seed: int = 3) -> None:
    """Give an adapter something to say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter.normal_(std=0.3, generator=generator)


def adapted(network: nn.Module, **options: Any) -> nn.Module:  # noqa: ANN401
    """A copy of the network with one adapter that says something."""
    model = copy.deepcopy(network)
    settings = {"rank": 4, "alpha": 1.3, "bank": rnn.SramBank(1 << 16), "seed": 1, **options}
    adapter = rnn.add_adapter(model, "ours", **settings)
    stir(adapter.parameters())
    return model


def wrapped(network: nn.Module, **options: Any) -> Any:  # noqa: ANN401 - a class of an untyped package
    """A copy of the network with an adapter of PEFT that says something."""
    settings = {"r": 4, "lora_alpha": 6, "target_modules": EVERY_LAYER, **options}
    model = peft.get_peft_model(copy.deepcopy(network), peft.LoraConfig(**settings)).eval()
    stir([parameter for name, parameter in model.named_parameters() if "lora_" in name])
    return model


@pytest.mark.parametrize("scaling", list(SCALINGS))
@pytest.mark.parametrize("format", list(SRAM_FORMATS))
def test_peft_computes_what_we_saved(
    network: Network, x: torch.Tensor, tmp_path: Path, scaling: Scaling, format: str
) -> None:
    ours = adapted(network, scaling=scaling, bank=rnn.SramBank(1 << 16, format))
    rnn.save_adapter(ours, "ours", tmp_path)
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(network), tmp_path)
    torch.testing.assert_close(theirs(x), ours(x), **ROUNDING)
    assert not torch.equal(theirs(x), network(x))


@pytest.mark.parametrize("targets", [["head"], ["block.head", "stem"], ["grouped"]])
def test_peft_adapts_the_layers_that_we_saved_and_no_others(
    network: Network, x: torch.Tensor, tmp_path: Path, targets: list[str]
) -> None:
    ours = adapted(network, targets=targets)
    if targets == ["head"]:  # it means block.head as well, until that is given up
        rnn.remove_adapter(ours.block, "ours")
    rnn.save_adapter(ours, "ours", tmp_path)
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(network), tmp_path)
    torch.testing.assert_close(theirs(x), ours(x), **ROUNDING)
    layers = {
        name.split(".lora_")[0].removeprefix("base_model.model.") for name in theirs.state_dict() if "lora_" in name
    }
    assert layers == set(rnn.get_adapter(ours, "ours").layers)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lora_alpha": 3, "use_rslora": True},
        {"rank_pattern": {"head": 2, "stem": 6}, "alpha_pattern": {"block.out": 1, "^head": 5}},
        {"init_lora_weights": "gaussian", "target_modules": ["head"]},
        {"target_modules": r".*\.(head|out)"},
    ],
    ids=["plain", "rank-stabilised", "patterns", "gaussian", "regular expression"],
)
def test_we_compute_what_peft_saved(network: Network, x: torch.Tensor, tmp_path: Path, options: dict[str, Any]) -> None:
    theirs = wrapped(network, **options)
    theirs.save_pretrained(tmp_path)
    ours = copy.deepcopy(network)
    adapter = rnn.load_adapter(ours, tmp_path, bank=rnn.SramBank(1 << 16), name="theirs")
    torch.testing.assert_close(ours(x), theirs(x), **ROUNDING)
    assert sum(adapter.branches[layer].rank for layer in adapter.layers) > 0


def test_an_adapter_of_uneven_ranks_goes_on_to_peft_again(network: Network, x: torch.Tensor, tmp_path: Path) -> None:
    theirs = wrapped(network, rank_pattern={"block.head": 2}, alpha_pattern={"^head": 5, "stem": 1})
    theirs.save_pretrained(tmp_path / "theirs")
    ours = copy.deepcopy(network)
    rnn.load_adapter(ours, tmp_path / "theirs", bank=rnn.SramBank(1 << 16))
    rnn.save_adapter(ours, "theirs", tmp_path / "ours")
    again = peft.PeftModel.from_pretrained(copy.deepcopy(network), tmp_path / "ours")
    torch.testing.assert_close(again(x), theirs(x), **ROUNDING)
    back = copy.deepcopy(network)
    rnn.load_adapter(back, tmp_path / "ours", bank=rnn.SramBank(1 << 16))
    torch.testing.assert_close(back(x), theirs(x), **ROUNDING)


def test_an_adapter_that_peft_trained_on_is_taken_as_peft_left_it(
    network: Network, x: torch.Tensor, tmp_path: Path
) -> None:
    rnn.save_adapter(adapted(network), "ours", tmp_path)
    theirs = peft.PeftModel.from_pretrained(copy.deepcopy(network), tmp_path, is_trainable=True)
    stir([parameter for parameter in theirs.parameters() if parameter.requires_grad], seed=9)
    theirs.save_pretrained(tmp_path)
    ours = copy.deepcopy(network)
    rnn.load_adapter(ours, tmp_path, bank=rnn.SramBank(1 << 16), name="back")
    torch.testing.assert_close(ours(x), theirs.eval()(x), **ROUNDING)


@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True, "target_modules": ["head"]},
        {"bias": "lora_only"},
        {"modules_to_save": ["stem"], "target_modules": ["out"]},
        {"init_lora_weights": "pissa", "target_modules": ["out"]},
    ],
    ids=["DoRA", "biases", "saved modules", "altered weights"],
)
def test_what_is_more_than_plain_lora_is_refused(network: Network, tmp_path: Path, options: dict[str, Any]) -> None:
    wrapped(network, **options).save_pretrained(tmp_path)
    with pytest.raises(AdapterFileError, match="not supported"):
        rnn.load_adapter(network, tmp_path, bank=rnn.SramBank(1 << 16), name="theirs")
    assert rnn.adapter_names(network) == []


def test_peft_wraps_a_model_that_has_adapters_of_ours(network: Network, x: torch.Tensor, tmp_path: Path) -> None:
    ours = adapted(network)
    before = ours(x)
    both = peft.get_peft_model(ours, peft.LoraConfig(r=2, target_modules=["head"]))
    torch.testing.assert_close(both(x), before, rtol=0, atol=0)
    trained = [name for name, parameter in both.named_parameters() if parameter.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    both.save_pretrained(tmp_path)
    assert rnn.load_adapter(network, tmp_path, bank=rnn.SramBank(1 << 16), name="theirs").layers == (
        "block.head",
        "head",
    )


# On arrays ----------------------------------------------------------------------------------------


@pytest.fixture
def chip(network: Network) -> Iterator[nn.Module]:
    with rmhil.open_backend("sim", seed=7, n_arrays=2, n_bl=32, n_sl=32, ideal=True, dtype="float64") as backend:
        yield rnn.convert(network, [rmhil.Crossbar(backend)], tolerance=1e-11)


def test_an_adapter_learnt_digitally_works_on_the_arrays(
    network: Network, chip: nn.Module, x: torch.Tensor, tmp_path: Path
) -> None:
    digital = adapted(network)
    rnn.save_adapter(digital, "ours", tmp_path)
    bank = rnn.SramBank(1 << 16)
    rnn.load_adapter(chip, tmp_path, bank=bank)
    torch.testing.assert_close(chip(x), digital(x), rtol=1e-4, atol=1e-4)
    assert bank.ledger is chip.ledger


def test_peft_wraps_and_trains_analogue_layers(chip: nn.Module, x: torch.Tensor, tmp_path: Path) -> None:
    before, pulses = chip(x), chip.ledger.counts.pulses
    config = rnn.prepare_peft(peft.LoraConfig(r=4, lora_alpha=6, target_modules=EVERY_LAYER))
    theirs = peft.get_peft_model(chip, config)
    torch.testing.assert_close(theirs(x), before, **ROUNDING)
    optimiser = torch.optim.Adam([each for each in theirs.parameters() if each.requires_grad], lr=0.05)
    losses = []
    for _ in range(5):
        loss = theirs(x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert theirs.base_model.model.ledger.counts.pulses == pulses
    theirs.save_pretrained(tmp_path)
    trained = theirs.eval()(x)
    plain = theirs.unload()
    rnn.load_adapter(plain, tmp_path, bank=rnn.SramBank(1 << 16), name="theirs")
    torch.testing.assert_close(plain(x), trained, **ROUNDING)


def test_merging_by_peft_leaves_a_model_that_refuses_to_compute() -> None:
    with rmhil.open_backend("sim", seed=7, n_bl=32, n_sl=32, ideal=True) as backend:
        chip = rnn.convert(nn.Sequential(nn.Linear(6, 4)), [rmhil.Crossbar(backend)])
        theirs = peft.get_peft_model(chip, peft.LoraConfig(r=2, target_modules=["0"]))
        stir([each for each in theirs.parameters() if each.requires_grad])
        merged = theirs.merge_and_unload()
        with pytest.raises(NotProgrammedError, match="reprogram"):
            merged(torch.ones(1, 6))
