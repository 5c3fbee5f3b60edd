"""Adapters of a model to and from files in PEFT's format."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from loguru import logger
from torch import nn

from rmhil.errors import AdapterFileError, ConfigError, NotFiniteError
from rmhil.nn.adapters import (
    AdaptableLayer,
    Adapter,
    adaptable_layers,
    check_new,
    get_adapter,
    install,
    new_branch,
)
from rmhil.nn.layers import AnalogConv2d
from rmhil.nn.lora import AdapterStack, ConvGeometry, LoraBranch
from rmhil.nn.peft_files import AdapterFile, LayerFactors, read_files, write_files
from rmhil.nn.sram import SramBank

if TYPE_CHECKING:
    from peft import LoraConfig


def save_adapter(model: nn.Module, name: str, path: str | Path) -> Path:
    """Save an adapter as `adapter_config.json` and `adapter_model.safetensors`.

    The matrices are saved as float32 with the values that are in SRAM, rounded to its format, so that
    PEFT (`PeftModel.from_pretrained`) computes what this model computes. For the unrounded masters of a
    training that goes on, keep `state_dict`.

    Args:
        model: a model with the adapter.
        name: of the adapter.
        path: a directory; made if it is missing.

    Returns:
        The directory.

    Raises:
        UnknownNameError: there is no such adapter.
        ConfigError: the model is a single layer, which PEFT has no name for.
        NotFiniteError: it holds NaN or infinity.
        AdapterFileError: the directory cannot be written.
    """
    adapter = get_adapter(model, name)
    if "" in adapter.layers:
        raise ConfigError("the adapted layer is the model itself and has no name; put it into an nn.Sequential")
    directory = Path(path)
    layers = {layer: _factors(name, branch) for layer, branch in adapter.branches.items()}
    first = next(iter(adapter.branches.values()))
    for layer, branch in adapter.branches.items():
        if not _as_in_peft(branch):
            logger.warning("{}: PEFT ignores dilation and padding mode, and will compute something else", layer)
    file = AdapterFile(name, first.scaling, layers, first.bank.format.name)
    write_files(file, directory, _peft_targets(model, adapter))
    logger.info("saved adapter {} to {}", adapter, directory)
    return directory


def load_adapter(model: nn.Module, path: str | Path, *, bank: SramBank, name: str | None = None) -> Adapter:
    """Add an adapter that was saved by `save_adapter` or by PEFT.

    It is added to the adapters that are there already, enabled and **frozen** (see `unfreeze_adapter`);
    otherwise as `add_adapter`. A bank of another format than the one it was saved from rounds again.

    Args:
        model: a model with layers of the same names and shapes as the one that it was saved from.
        path: the directory.
        bank: where it is stored.
        name: for the adapter; None means as it was saved, or the name of the directory if PEFT made it.

    Returns:
        A view of the adapter.

    Raises:
        AdapterFileError: the files are missing or damaged, ask for more than plain LoRA, or were made for
            other layers; the model is as it was.
        ConfigError: the name is taken or not allowed; the model is as it was.
        SramCapacityError: it does not fit the bank; the model is as it was.
    """
    directory = Path(path)
    file = read_files(directory)
    layers = _layers_for(model, file)
    chosen = next(each for each in (name, file.name, directory.resolve().name) if each is not None)
    check_new(model, chosen, layers)
    branches = {layer: _branch(layer, layers[layer], factors, file, bank) for layer, factors in file.layers.items()}
    branches = {layer: branches[layer] for layer in layers}
    bank.require(sum(branch.size for branch in branches.values()))
    adapter = install(model, chosen, branches)
    if file.dropout:
        logger.warning("{}: was trained with dropout {:g}, which rmhil does not have", chosen, file.dropout)
    _report_rounding(adapter, bank)
    return adapter


def prepare_peft(config: LoraConfig) -> LoraConfig:
    """Let PEFT adapt analogue convolutions: `get_peft_model(chip, nn.prepare_peft(LoraConfig(...)))`.

    Analogue linear layers need no preparation. Not for adapters of rmhil, which PEFT takes no part in.

    Args:
        config: a `LoraConfig` of the `peft` package, for `get_peft_model` or `PeftModel.from_pretrained`.

    Returns:
        The same object.
    """
    from rmhil.nn.peft_layers import LoraAnalogConv2d

    config._register_custom_module({AnalogConv2d: LoraAnalogConv2d})
    return config


def _factors(name: str, branch: LoraBranch) -> LayerFactors:
    contents = {key: values.to("cpu", torch.float32) for key, values in branch.contents().items()}
    for key, values in contents.items():
        broken = int((~torch.isfinite(values)).sum())
        if broken:
            raise NotFiniteError(f"{key} of adapter {name!r}", broken, values.numel())
    return LayerFactors(contents["A"], contents["B"], branch.alpha)


def _as_in_peft(branch: LoraBranch) -> bool:
    """Whether PEFT's low-rank form of the layer is this one: it takes no dilation and pads with zeros."""
    geometry = branch.geometry
    return not isinstance(geometry, ConvGeometry) or (
        geometry.dilation == (1, 1) and (geometry.padding_mode == "zeros" or not any(geometry.padding_widths))
    )


def _peft_targets(model: nn.Module, adapter: Adapter) -> list[str] | str:
    """Names of the layers for PEFT, which takes each as the end of a name; a pattern where that says too much."""
    others = [
        name
        for name, module in model.named_modules()
        if name not in adapter.branches and not isinstance(module, (AdapterStack, LoraBranch))
    ]
    if any(other.endswith(f".{layer}") for layer in adapter.layers for other in others):
        return "|".join(re.escape(layer) for layer in adapter.layers)
    return list(adapter.layers)


def _layers_for(model: nn.Module, file: AdapterFile) -> dict[str, AdaptableLayer]:
    """The layers that a file names, in the order of the model.

    Raises:
        AdapterFileError: one is missing.
    """
    known = adaptable_layers(model)
    missing = [layer for layer in file.layers if layer not in known]
    if missing:
        raise AdapterFileError(
            f"the adapter was made for layers that are not in the model: {', '.join(missing)}; "
            f"the model has {', '.join(known) or 'none that can be adapted'}"
        )
    return {layer: module for layer, module in known.items() if layer in file.layers}


def _branch(name: str, layer: AdaptableLayer, factors: LayerFactors, file: AdapterFile, bank: SramBank) -> LoraBranch:
    """A frozen branch with the values of a file.

    Raises:
        AdapterFileError: the layer has another shape.
    """
    try:
        branch = new_branch(name, layer, factors.rank, factors.alpha, file.scaling, bank)
    except ConfigError as error:
        raise AdapterFileError(str(error)) from error
    if (factors.A.shape, factors.B.shape) != (branch.A.shape, branch.B.shape):
        raise AdapterFileError(
            f"{name}: the adapter has A {tuple(factors.A.shape)} and B {tuple(factors.B.shape)}, the layer needs "
            f"{tuple(branch.A.shape)} and {tuple(branch.B.shape)}"
        )
    if file.name is None and not _as_in_peft(branch):
        raise AdapterFileError(f"{name}: PEFT made this adapter for a convolution without dilation and padding mode")
    with torch.no_grad():
        branch.A.copy_(factors.A)
        branch.B.copy_(factors.B)
    return branch.requires_grad_(False)


def _report_rounding(adapter: Adapter, bank: SramBank) -> None:
    with torch.no_grad():
        worst = max(float((bank.stored(each) - each).abs().max()) for each in adapter.parameters())
    if worst > 0:
        logger.warning("{}: {} changes its values by up to {:.3g}", adapter.name, bank.format.name, worst)
