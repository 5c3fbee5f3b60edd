"""Adapters in SRAM over a backbone on simulated arrays, with every non-ideality of the default device."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import rmhil
from rmhil import nn as rnn
from rmhil.backend import Backend
from rmhil.ledger import DEPLOYMENT


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 4))


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(24, 8, generator=generator), torch.randint(4, (24,), generator=generator)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with rmhil.open_backend("sim", seed=7, n_bl=32, n_sl=32) as opened:
        yield opened


@pytest.fixture
def chip(backend: Backend) -> nn.Module:
    return rnn.convert(network(), [rmhil.Crossbar(backend)])


def fit(model: nn.Module, steps: int = 15) -> list[float]:
    """Train whatever may be trained; the loss of each step."""
    x, y = data()
    optimiser = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=0.05)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("format", ["float32", "int8"])
def test_stacked_adapters_learn_without_one_pulse(chip: nn.Module, format: str) -> None:
    bank = rnn.SramBank(4096, format)
    first = rnn.add_adapter(chip, "first", rank=3, alpha=4.0, bank=bank, seed=1)
    losses = fit(chip)
    rnn.freeze_adapter(chip, "first")
    version = first.version
    second = rnn.add_adapter(chip, "second", rank=2, alpha=4.0, bank=bank, seed=2)
    more = fit(chip)
    assert more[-1] < 0.7 * more[0] < 0.7 * losses[0]
    assert first.version == version
    since = chip.ledger.since(DEPLOYMENT)
    assert since.pulses == 0
    # What starts an adapter is written once, and so is each step that is followed by a forward pass.
    assert since.sram_bits_written == 8 * ((1 + 15) * first.size + (1 + 14) * second.size)
    assert since.sram_bits_read == 8 * (30 * first.size + 15 * second.size)
    assert since.lora_macs == 24 * (30 * 3 + 15 * 2) * (8 + 12 + 12 + 4)


def test_gradients_of_adapters_come_through_the_measured_map(chip: nn.Module) -> None:
    adapter = rnn.add_adapter(chip, "one", rank=3, alpha=4.0, bank=rnn.SramBank(4096), targets=["0"], seed=1)
    with torch.no_grad():
        adapter.branches["0"].B.normal_(generator=torch.Generator().manual_seed(2))
    x, _ = data()
    seen: list[torch.Tensor] = []
    chip[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    chip[2].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    output = chip(x)
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    A, B = adapter.parameters()
    at_a, at_b, before, after = torch.autograd.grad((output * weights).sum(), [A, B, *seen])
    torch.testing.assert_close(after, weights @ chip[2].measured_weight)
    torch.testing.assert_close(at_a, 4.0 * (before @ B).T @ x)
    torch.testing.assert_close(at_b, 4.0 * before.T @ (x @ A.T))


def test_a_digital_model_takes_its_adapters_to_the_arrays(backend: Backend) -> None:
    digital, bank = network(), rnn.SramBank(4096, "float16")
    adapter = rnn.add_adapter(digital, "one", rank=3, alpha=4.0, bank=bank, seed=1)
    fit(digital)
    chip = rnn.convert(digital, [rmhil.Crossbar(backend)])
    x, _ = data()
    assert rnn.get_adapter(chip, "one").version == adapter.version
    torch.testing.assert_close(chip(x), digital(x), rtol=0.2, atol=0.2)
    moved = rnn.get_adapter(chip, "one").branches["0"].bank
    assert moved.ledger is chip.ledger
    assert chip.ledger.counts.sram_bits_read == 8 * adapter.size
    assert bank.ledger is None


def test_a_copy_of_a_chip_shares_the_array_and_has_adapters_of_its_own(chip: nn.Module) -> None:
    rnn.add_adapter(chip, "one", rank=3, alpha=4.0, bank=rnn.SramBank(4096), seed=1)
    other = copy.deepcopy(chip)
    fit(other)
    assert rnn.get_adapter(other, "one").version != rnn.get_adapter(chip, "one").version
    assert other.ledger is chip.ledger
    assert chip.ledger.since(DEPLOYMENT).lora_macs > 0


def test_reprogramming_leaves_the_adapters_alone(chip: nn.Module) -> None:
    adapter = rnn.add_adapter(chip, "one", rank=3, alpha=4.0, bank=rnn.SramBank(4096), seed=1)
    version = adapter.version
    rnn.reprogram(chip, network())
    assert rnn.get_adapter(chip, "one").version == version
    assert chip(data()[0]).isfinite().all()


def test_one_seed_gives_one_adapted_chip() -> None:
    outputs = []
    for _ in range(2):
        with rmhil.open_backend("sim", seed=7, n_bl=32, n_sl=32) as backend:
            chip = rnn.convert(network(), [rmhil.Crossbar(backend)])
            rnn.add_adapter(chip, "one", rank=3, alpha=4.0, bank=rnn.SramBank(4096, "int8"), seed=1)
            fit(chip, steps=4)
            outputs.append((rnn.get_adapter(chip, "one").version, chip(data()[0])))
    assert outputs[0][0] == outputs[1][0]
    torch.testing.assert_close(outputs[0][1], outputs[1][1], rtol=0, atol=0)
