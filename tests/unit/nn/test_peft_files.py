"""Adapter files that are damaged, contradict themselves or belong elsewhere are refused with nothing changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rmhil.errors import AdapterFileError, ConfigError, NotFiniteError, SramCapacityError, UnknownNameError
from rmhil.nn import adapters as A
from rmhil.nn.lora import SCALINGS, Scaling
from rmhil.nn.peft_format import load_adapter, save_adapter
from rmhil.nn.sram import SRAM_FORMATS, SramBank

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, groups=2), nn.GELU(), nn.Flatten(), nn.Linear(4 * 16, 5), nn.Linear(5, 3)
    )


def adapted(format: str = "float32", scaling: Scaling = "alpha", alpha: float = 1.7) -> nn.Module:
    model = network()
    bank = SramBank(1 << 16, format)
    adapter = A.add_adapter(model, "forget-2", rank=6, alpha=alpha, bank=bank, scaling=scaling, seed=1)
    with torch.no_grad():
        for branch in adapter.branches.values():
            branch.B.normal_(std=0.1, generator=torch.Generator().manual_seed(2))
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_adapter(adapted(), "forget-2", tmp_path / "forget-2")


def inputs() -> torch.Tensor:
    return torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(5))


def edit_config(path: Path, **changes: Any) -> None:  # noqa: ANN401
    config = json.loads((path / CONFIG).read_text())
    (path / CONFIG).write_text(json.dumps({**config, **changes}))


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Rewrite the tensors as another program would: without the metadata of rmhil."""
    save_file(change(load_file(path / TENSORS)), path / TENSORS, {"format": "pt"})


@pytest.mark.parametrize("format", list(SRAM_FORMATS))
@pytest.mark.parametrize("scaling", list(SCALINGS))
def test_an_adapter_goes_round_through_files(tmp_path: Path, format: str, scaling: Scaling) -> None:
    model = adapted(format, scaling)
    save_adapter(model, "forget-2", tmp_path)
    other = network()
    bank = SramBank(1 << 16, format)
    adapter = load_adapter(other, tmp_path, bank=bank)
    x = inputs()
    torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)
    original = A.get_adapter(model, "forget-2")
    assert (adapter.name, adapter.version, adapter.size) == ("forget-2", original.version, bank.used)
    for layer, branch in adapter.branches.items():
        assert (branch.alpha, branch.scaling, branch.rank) == (1.7, scaling, 6)
        assert branch.bank is bank
        assert layer in original.layers


def test_a_directory_holds_the_two_files_of_peft_and_nothing_else(saved: Path) -> None:
    assert sorted(file.name for file in saved.iterdir()) == [CONFIG, TENSORS]
    assert sorted(load_file(saved / TENSORS)) == sorted(
        f"base_model.model.{layer}.lora_{matrix}.weight" for layer in ("0", "3", "4") for matrix in "AB"
    )


@pytest.mark.parametrize(
    ("scaling", "alpha", "written"),
    [("alpha", 4.0, 24), ("alpha/rank", 16.0, 16), ("alpha/sqrt(rank)", 0.5, 0.5), ("alpha", 0.1, 0.1 * 6)],
)
def test_lora_alpha_is_the_one_that_peft_divides_by_the_rank(
    tmp_path: Path, scaling: Scaling, alpha: float, written: float
) -> None:
    save_adapter(adapted(scaling=scaling, alpha=alpha), "forget-2", tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    assert (config["r"], config["lora_alpha"]) == (6, written)
    assert config["use_rslora"] is (scaling == "alpha/sqrt(rank)")


def test_saving_again_replaces_the_files(saved: Path) -> None:
    model = adapted()
    with torch.no_grad():
        A.adapter_parameters(model)[0].mul_(2)
    save_adapter(model, "forget-2", saved)
    other = network()
    load_adapter(other, saved, bank=SramBank(1 << 16))
    torch.testing.assert_close(other(inputs()), model(inputs()), rtol=0, atol=0)


def test_a_loaded_adapter_is_enabled_and_frozen_and_freezes_the_backbone(saved: Path) -> None:
    model = network()
    adapter = load_adapter(model, saved, bank=SramBank(1 << 16))
    assert adapter.enabled
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_loaded_adapter_can_be_given_another_name_and_stacked(saved: Path) -> None:
    model = adapted()
    load_adapter(model, saved, bank=SramBank(1 << 16), name="again")
    assert A.adapter_names(model) == ["forget-2", "again"]
    with A.adapters_off(model):
        base = model(inputs())
    assert not torch.equal(model(inputs()), base)


def test_a_bank_of_a_coarser_format_rounds_again(saved: Path) -> None:
    model = network()
    bank = SramBank(1 << 16, "int8")
    load_adapter(model, saved, bank=bank)
    assert not torch.equal(model(inputs()), adapted()(inputs()))
    torch.testing.assert_close(model(inputs()), adapted()(inputs()), rtol=0.05, atol=0.05)


def test_the_first_use_of_a_loaded_adapter_is_its_write(saved: Path) -> None:
    model, bank = network(), SramBank(1 << 16, "float16")
    load_adapter(model, saved, bank=bank)
    assert bank.bits_written == 0
    model(inputs())
    assert bank.bits_written == 8 * bank.used


def test_saving_an_unknown_adapter_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="known: forget-2"):
        save_adapter(adapted(), "learn-5", tmp_path)


def test_a_diverged_adapter_is_not_saved(tmp_path: Path) -> None:
    model = adapted()
    with torch.no_grad():
        A.adapter_parameters(model)[1].fill_(float("nan"))
    with pytest.raises(NotFiniteError, match="B of adapter 'forget-2'"):
        save_adapter(model, "forget-2", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_model_that_is_one_layer_cannot_be_saved(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    A.add_adapter(layer, "one", rank=1, alpha=1.0, bank=SramBank(1 << 10))
    with pytest.raises(ConfigError, match=r"nn\.Sequential"):
        save_adapter(layer, "one", tmp_path)


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(AdapterFileError, match="cannot write"):
        save_adapter(adapted(), "forget-2", tmp_path / "taken")


def truncate(path: Path) -> None:
    data = (path / TENSORS).read_bytes()
    (path / TENSORS).write_bytes(data[: len(data) // 2])


def flip_one_bit(path: Path) -> None:
    data = bytearray((path / TENSORS).read_bytes())
    data[-5] ^= 1
    (path / TENSORS).write_bytes(bytes(data))


def drop(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def pickled(path: Path) -> None:
    (path / TENSORS).rename(path / "adapter_model.bin")


def tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[[Path], None]:
    return lambda path: edit_tensors(path, change)


def config(**changes: Any) -> Callable[[Path], None]:  # noqa: ANN401
    return lambda path: edit_config(path, **changes)


KEY = "base_model.model.3.lora_A.weight"

DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no configuration": (drop(CONFIG), f"{CONFIG} is missing"),
    "no tensors": (drop(TENSORS), f"{TENSORS} is missing"),
    "pickled weights": (pickled, "pickled weights are not read"),
    "cut off": (truncate, "is damaged"),
    "one bit": (flip_one_bit, "values are not those that were saved"),
    "no safetensors": (lambda path: (path / TENSORS).write_bytes(b"not tensors"), "is damaged"),
    "no JSON": (lambda path: (path / CONFIG).write_text("{r: 6"), "cannot be read"),
    "no object": (lambda path: (path / CONFIG).write_text("[1]"), "not the configuration"),
    "no text": (lambda path: (path / CONFIG).write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "another method": (config(peft_type="IA3"), "peft_type is 'IA3'"),
    "no rank": (config(r=None), "not the configuration of a LoRA adapter: r"),
    "another rank": (config(r=4), "rank 4"),
    "another alpha": (config(lora_alpha=99), "has the scale 1.7"),
    "infinite alpha": (config(lora_alpha=float("inf")), "lora_alpha"),
    "rank-stabilised": (config(use_rslora=True), "has the scale"),
    "bad pattern": (config(rank_pattern={"(": 4}), "not a pattern"),
    "DoRA": (config(use_dora=True), "not supported: use_dora"),
    "biases": (config(bias="all", lora_bias=True), "not supported: bias, lora_bias"),
    "saved modules": (config(modules_to_save=["4"]), "not supported: modules_to_save"),
    "altered weights": (config(init_lora_weights="pissa_niter_4"), "not supported: init_lora_weights"),
    "a variant yet unknown": (config(moon_config={"phase": 1}), "not supported: moon_config"),
    "a matrix is missing": (tensors(lambda t: {k: v for k, v in t.items() if k != KEY}), "3 has only lora_B"),
    "no matrices": (tensors(lambda t: {}), "holds no matrices"),
    "a foreign key": (tensors(lambda t: {**t, "base_model.model.3.bias": torch.ones(5)}), "not a matrix"),
    "integers": (tensors(lambda t: {**t, KEY: t[KEY].to(torch.int8)}), "not a matrix"),
    "NaN": (tensors(lambda t: {**t, KEY: t[KEY] * float("nan")}), "NaN or infinity"),
    "a vector": (tensors(lambda t: {**t, KEY: torch.ones(6)}), "not of the rank 6"),
    "another width": (tensors(lambda t: {**t, KEY: torch.ones(6, 63)}), r"3: .*A \(6, 63\).*needs \(6, 64\)"),
    "another kind": (tensors(lambda t: {**t, KEY: torch.ones(6, 64, 1, 1)}), "not of the rank"),
    "another model": (
        tensors(lambda t: {k.replace(".3.", ".encoder.fc."): v for k, v in t.items()}),
        r"not in the model: encoder\.fc; the model has 0, 3, 4",
    ),
}


@pytest.mark.parametrize("case", list(DAMAGES))
def test_a_damaged_or_foreign_adapter_is_refused_with_nothing_changed(saved: Path, case: str) -> None:
    damage, message = DAMAGES[case]
    damage(saved)
    model, bank = network(), SramBank(1 << 16)
    with pytest.raises(AdapterFileError, match=message):
        load_adapter(model, saved, bank=bank)
    assert A.adapter_names(model) == []
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert bank.used == 0


def test_a_missing_directory_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(AdapterFileError, match="no adapter in"):
        load_adapter(network(), tmp_path / "nowhere", bank=SramBank(1 << 16))


def test_a_taken_name_or_a_full_bank_changes_nothing(saved: Path) -> None:
    model, bank = adapted(), SramBank(100)
    with pytest.raises(ConfigError, match="'forget-2' already"):
        load_adapter(model, saved, bank=bank)
    with pytest.raises(SramCapacityError):
        load_adapter(model, saved, bank=bank, name="again")
    assert A.adapter_names(model) == ["forget-2"]
    assert bank.used == 0


def test_ranks_that_groups_do_not_divide_are_refused(saved: Path) -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), *list(network())[1:])
    with pytest.raises(AdapterFileError, match=r"0.*4 groups"):
        load_adapter(model, saved, bank=SramBank(1 << 16))


def test_an_adapter_of_peft_is_refused_where_peft_computes_something_else(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=2, dilation=2))
    A.add_adapter(model, "one", rank=2, alpha=1.0, bank=SramBank(1 << 16))
    save_adapter(model, "one", tmp_path)
    fresh = nn.Sequential(nn.Conv2d(2, 4, 3, padding=2, dilation=2))
    load_adapter(fresh, tmp_path, bank=SramBank(1 << 16))
    edit_tensors(tmp_path, dict)
    with pytest.raises(AdapterFileError, match="without dilation"):
        load_adapter(nn.Sequential(nn.Conv2d(2, 4, 3, padding=2, dilation=2)), tmp_path, bank=SramBank(1 << 16))


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float64])
def test_matrices_of_other_floating_types_are_read(saved: Path, stored: torch.dtype) -> None:
    edit_tensors(saved, lambda t: {key: values.to(stored) for key, values in t.items()})
    model = network()
    load_adapter(model, saved, bank=SramBank(1 << 16))
    torch.testing.assert_close(model(inputs()), adapted()(inputs()), rtol=0.02, atol=0.02)
