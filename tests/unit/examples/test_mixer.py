from __future__ import annotations

import pytest
import torch
from rmhil_examples.mixer import Mixer, RmsNorm, adapter_targets

from rmhil.errors import ShapeError
from rmhil.ledger import Ledger
from rmhil.nn import SramBank, add_adapter

RANK_1_MACS = 3_354
"""LoRA MACs of one picture for each unit of rank (arXiv 2601.10037, face)."""


def test_the_face_network_has_the_published_size() -> None:
    model = Mixer()
    weights = {name: each.numel() for name, each in model.named_parameters()}
    assert sum(weights.values()) == 5_148
    assert sum(count for name, count in weights.items() if "gain" in name) == 100


def test_one_picture_takes_the_published_number_of_macs() -> None:
    macs = 0

    def count(layer: torch.nn.Linear, inputs: object, output: torch.Tensor) -> None:
        nonlocal macs
        macs += output.numel() * layer.in_features

    model = Mixer()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(count)
    model(torch.rand(1, 1, 16, 16))
    assert macs == 87_160


@pytest.mark.parametrize(("rank", "parameters"), [(6, 1_404), (8, 1_872)])
def test_adapters_have_the_published_size(rank: int, parameters: int) -> None:
    model, ledger = Mixer(), Ledger()
    bank = SramBank(64 * 1024, ledger=ledger)
    adapter = add_adapter(model, "a", rank=rank, alpha=4.0, bank=bank, targets=adapter_targets(model))
    assert adapter.n_parameters == parameters
    model(torch.rand(1, 1, 16, 16))
    assert ledger.counts.lora_macs == RANK_1_MACS * rank


def test_a_token_is_one_patch_row_by_row() -> None:
    model = Mixer(side=4, patch=2)
    seen: list[torch.Tensor] = []
    model.embedding.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    model(torch.arange(16.0).reshape(1, 1, 4, 4))
    expected = torch.tensor([[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]], dtype=torch.float32)
    assert torch.equal(seen[0][0], expected)


def test_the_norm_divides_by_the_root_mean_square() -> None:
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(RmsNorm(8)(x), x / x.square().mean(-1, keepdim=True).sqrt())


def test_a_black_picture_has_finite_gradients() -> None:
    model = Mixer()
    model(torch.zeros(2, 1, 16, 16)).sum().backward()
    assert all(each.grad is None or each.grad.isfinite().all() for each in model.parameters())


def test_pictures_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(batch, 1, 16, 16\)"):
        Mixer()(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ShapeError, match="multiple of the patch"):
        Mixer(side=10, patch=4)
