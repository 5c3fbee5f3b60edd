"""Named, stacked low-rank adapters on the layers of a model, held in SRAM.

Everything is found by walking the model, so a copy, a pickle or a part of a model can be handed to these
functions as well.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn, TypeAlias, cast

import torch
from loguru import logger
from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.parameter import UninitializedParameter

from rmhil.checks import whole_number
from rmhil.errors import ConfigError, MergeRefusedError, OutOfRangeError, UnknownNameError
from rmhil.ledger import Ledger
from rmhil.nn.lora import (
    ATTRIBUTE,
    SCALINGS,
    AdapterStack,
    LoraBranch,
    Scaling,
    attach,
    connect_ledger,
    detach,
    geometry_of,
    stack_of,
)
from rmhil.nn.sram import SramBank

AdaptableLayer: TypeAlias = nn.Linear | nn.Conv2d

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""Names of adapters: they become names of torch modules, of files and of PEFT adapters."""


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """One adapter of a model: a view of its branches, which live in the layers.

    Attributes:
        name: as given to `add_adapter`.
        branches: the branch of each layer, by the layer's name, in the order of the model.
    """

    name: str
    branches: Mapping[str, LoraBranch]

    def __str__(self) -> str:
        banks = ", ".join(sorted({branch.bank.name for branch in self.branches.values()}))
        return (
            f"{self.name}@{self.version}: {self.n_parameters:,} parameters on {len(self.branches)} layers, "
            f"{self.size:,} bytes in {banks}"
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the adapted layers."""
        return tuple(self.branches)

    def parameters(self) -> list[nn.Parameter]:
        """A and B of each layer, in the order of the model."""
        return [matrix for branch in self.branches.values() for matrix in (branch.A, branch.B)]

    @property
    def n_parameters(self) -> int:
        """Values in all matrices."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def size(self) -> int:
        """Bytes of SRAM, scales included."""
        return sum(branch.size for branch in self.branches.values())

    @property
    def enabled(self) -> bool:
        """Whether it takes part in the forward pass."""
        return all(branch.enabled for branch in self.branches.values())

    @property
    def frozen(self) -> bool:
        """Whether training leaves it alone."""
        return not any(parameter.requires_grad for parameter in self.parameters())

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits that name its contents: layers, scales and stored values."""
        digest = hashlib.sha256()
        for layer, branch in self.branches.items():
            digest.update(f"{layer} {branch.scale!r} ".encode())
            for key, values in branch.contents().items():
                digest.update(f"{key}{tuple(values.shape)}".encode())
                digest.update(values.to("cpu", torch.float32).numpy().tobytes())
        return digest.hexdigest()[:12]


def add_adapter(
    model: nn.Module,
    name: str,
    *,
    rank: int,
    alpha: float,
    bank: SramBank,
    scaling: Scaling = "alpha",
    targets: Sequence[str] | None = None,
    generator: torch.Generator | None = None,
    seed: int | None = None,
) -> Adapter:
    """Add a low-rank branch to layers of a model: y += scale * B (A x).

    A is Kaiming-uniform with a = sqrt(5), B is zero, so that the model says the same as before until the
    adapter is trained. It is added to the adapters that are there already and starts enabled and
    trainable. **Every other parameter of the model stops requiring gradients**, but for those of
    adapters, which stay as they are; running statistics of normalisation layers follow train and eval mode
    as ever.

    Args:
        model: the model, digital or on arrays; changed in place.
        name: letters, digits, `-` and `_`.
        rank: at least 1; a multiple of the groups of grouped convolutions.
        alpha: above 0; see `scaling`.
        bank: where it is stored. A bank without a ledger takes the model's (`model.ledger`), if there is one.
        scaling: the factor of B (A x): `alpha`, `alpha/rank` or `alpha/sqrt(rank)`.
        targets: names of `nn.Linear` and `nn.Conv2d` layers, or ends of names after a dot (`fc1` is every
            layer called so); None means all of them.
        generator: what A is drawn from; None means torch's own.
        seed: instead of a generator.

    Returns:
        A view of the new adapter.

    Raises:
        ConfigError: the name is taken or not allowed, or a setting is wrong; the model is as it was.
        UnknownNameError: a target is no layer that can be adapted; the model is as it was.
        SramCapacityError: it does not fit the bank; the model is as it was.
    """
    chosen = resolve_targets(model, targets)
    if scaling not in SCALINGS:
        raise UnknownNameError("scaling", scaling, list(SCALINGS))
    rank = whole_number("rank", rank)
    if not (alpha > 0 and math.isfinite(alpha)):
        raise OutOfRangeError("alpha", alpha, 0, math.inf, "", above=True)
    if seed is not None and generator is not None:
        raise ConfigError("give a generator or a seed, not both")
    check_new(model, name, chosen)
    branches = {
        layer_name: new_branch(layer_name, layer, rank, alpha, scaling, bank) for layer_name, layer in chosen.items()
    }
    bank.require(sum(branch.size for branch in branches.values()))
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
    for branch in branches.values():
        branch.initialise(generator)
    return install(model, name, branches)


def remove_adapter(model: nn.Module, name: str) -> None:
    """Take an adapter off the model and give its SRAM back; the backbone stays frozen.

    Raises:
        UnknownNameError: there is none of this name.
    """
    for layer_name in get_adapter(model, name).layers:
        detach(model.get_submodule(layer_name), name)


def get_adapter(model: nn.Module, name: str) -> Adapter:
    """The adapter of this name.

    Raises:
        UnknownNameError: there is none; the message lists those that exist.
    """
    found = _adapters(model)
    if name not in found:
        raise UnknownNameError("adapter", name, list(found))
    return found[name]


def adapter_names(model: nn.Module) -> list[str]:
    """Names of the model's adapters, in the order they were added."""
    return list(_adapters(model))


def adapter_parameters(model: nn.Module, name: str | None = None) -> list[nn.Parameter]:
    """Parameters of one adapter, or of all of them.

    Raises:
        UnknownNameError: there is none of this name.
    """
    chosen = list(_adapters(model).values()) if name is None else [get_adapter(model, name)]
    return [parameter for adapter in chosen for parameter in adapter.parameters()]


def enable_adapter(model: nn.Module, name: str) -> None:
    """Let an adapter take part in the forward pass.

    Raises:
        UnknownNameError: there is none of this name.
    """
    for branch in get_adapter(model, name).branches.values():
        branch.enabled = True


def disable_adapter(model: nn.Module, name: str) -> None:
    """Leave an adapter out of the forward pass; it keeps its SRAM.

    Raises:
        UnknownNameError: there is none of this name.
    """
    for branch in get_adapter(model, name).branches.values():
        branch.enabled = False


def freeze_adapter(model: nn.Module, name: str) -> None:
    """Keep training from changing an adapter; it takes part as before.

    Raises:
        UnknownNameError: there is none of this name.
    """
    for parameter in get_adapter(model, name).parameters():
        parameter.requires_grad_(False)


def unfreeze_adapter(model: nn.Module, name: str) -> None:
    """Let training change an adapter.

    Raises:
        UnknownNameError: there is none of this name.
    """
    for parameter in get_adapter(model, name).parameters():
        parameter.requires_grad_(True)


@contextmanager
def adapters_off(model: nn.Module, *names: str) -> Iterator[None]:
    """Leave adapters out of the forward pass for a while; afterwards each is as it was.

    Args:
        model: the model.
        *names: the adapters; none given means all of them.

    Raises:
        UnknownNameError: there is none of a name.
    """
    chosen = [get_adapter(model, name) for name in names] if names else list(_adapters(model).values())
    before = [(branch, branch.enabled) for adapter in chosen for branch in adapter.branches.values()]
    for branch, _ in before:
        branch.enabled = False
    try:
        yield
    finally:
        for branch, enabled in before:
            branch.enabled = enabled


def merge(model: nn.Module, name: str | None = None) -> NoReturn:
    """Refuse to add an adapter to the weights of its layers.

    Raises:
        MergeRefusedError: always; the message says why, and what to do instead.
    """
    which = "the adapters" if name is None else f"adapter {get_adapter(model, name).name!r}"
    raise MergeRefusedError(
        f"{which} cannot be merged: the backbone is a conductance map, so that W + scale * B A would have to be "
        "programmed again, which is what adapters are there to avoid. Adapters stack: leave them enabled side by "
        "side. To rewrite the arrays on purpose, use rmhil.nn.reprogram, which counts every pulse."
    )


def adaptable_layers(model: nn.Module) -> dict[str, AdaptableLayer]:
    """The layers that can carry adapters, by every name they have in the model.

    The projection inside `nn.MultiheadAttention` is not among them: that module reads its weights without
    calling it.
    """
    return {
        name: module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, (nn.Linear, nn.Conv2d)) and not isinstance(module, NonDynamicallyQuantizableLinear)
    }


def resolve_targets(model: nn.Module, targets: Sequence[str] | None) -> dict[str, AdaptableLayer]:
    """The layers that targets name, each once, in the order of the model.

    Raises:
        UnknownNameError: a target names none; the message lists what can be adapted.
        ConfigError: there is nothing to adapt, or a layer has no weights yet.
    """
    layers = adaptable_layers(model)
    if isinstance(targets, str):
        raise ConfigError(f"targets is a list of names, not one string: [{targets!r}]")
    for target in targets if targets is not None else ():
        if not any(_matches(layer_name, target) for layer_name in layers):
            raise UnknownNameError("layer", target, list(layers))
    first_names = {id(layer): layer_name for layer_name, layer in reversed(layers.items())}
    wanted = {
        first_names[id(layer)]
        for layer_name, layer in layers.items()
        if targets is None or any(_matches(layer_name, target) for target in targets)
    }
    chosen = {layer_name: layer for layer_name, layer in layers.items() if layer_name in wanted}
    if not chosen:
        raise ConfigError("there is no nn.Linear or nn.Conv2d to adapt")
    for layer_name, layer in chosen.items():
        if isinstance(layer.weight, UninitializedParameter):
            raise ConfigError(f"layer {layer_name!r} has no weights yet; run the model once")
    return chosen


def check_new(model: nn.Module, name: str, layers: Mapping[str, nn.Module]) -> None:
    """Refuse a name that an adapter cannot have.

    Raises:
        ConfigError: it is taken, or not allowed.
    """
    if not _NAME.fullmatch(name) or hasattr(AdapterStack, name) or name == "training":
        raise ConfigError(
            f"an adapter cannot be called {name!r}: letters, digits, - and _ only, and no name torch uses"
        )
    if name in adapter_names(model):
        raise ConfigError(f"there is an adapter {name!r} already; adapters: {', '.join(adapter_names(model))}")
    for layer_name, layer in layers.items():
        if hasattr(layer, ATTRIBUTE) and stack_of(layer) is None:
            raise ConfigError(f"layer {layer_name!r} has an attribute {ATTRIBUTE!r} of its own")


def new_branch(
    layer_name: str, layer: AdaptableLayer, rank: int, alpha: float, scaling: Scaling, bank: SramBank
) -> LoraBranch:
    """A branch of zeros for a layer, on its device, in float32 or in the layer's type if that is wider.

    Raises:
        ConfigError: the layer cannot have this rank.
    """
    geometry = geometry_of(layer)
    try:
        geometry.check_rank(rank)
    except ConfigError as error:
        raise ConfigError(f"layer {layer_name!r}: {error}") from error
    dtype = torch.promote_types(layer.weight.dtype, torch.float32)
    return LoraBranch(geometry, rank, alpha, scaling, bank, layer.weight.device, dtype)


def install(model: nn.Module, name: str, branches: Mapping[str, LoraBranch]) -> Adapter:
    """Hang checked branches on their layers, freeze everything that is not an adapter, connect the ledger."""
    order = 1 + max((_order(adapter) for adapter in _adapters(model).values()), default=-1)
    for layer_name, branch in branches.items():
        branch.order = order
        attach(model.get_submodule(layer_name), name, branch, name)
    ours = {id(parameter) for parameter in adapter_parameters(model)}
    for parameter in model.parameters():
        if id(parameter) not in ours:
            parameter.requires_grad_(False)
    ledger = getattr(model, "ledger", None)
    if isinstance(ledger, Ledger):
        connect_ledger(model, ledger)
    adapter = Adapter(name, dict(branches))
    logger.info("adapter {}", adapter)
    return adapter


def _adapters(model: nn.Module) -> dict[str, Adapter]:
    """All adapters of a model by name, in the order they were added."""
    found: dict[str, dict[str, LoraBranch]] = {}
    for layer_name, layer in model.named_modules():
        for name, branch in (stack_of(layer) or {}).items():
            found.setdefault(name, {})[layer_name] = cast("LoraBranch", branch)
    adapters = [Adapter(name, branches) for name, branches in found.items()]
    return {adapter.name: adapter for adapter in sorted(adapters, key=_order)}


def _order(adapter: Adapter) -> int:
    return min(branch.order for branch in adapter.branches.values())


def _matches(layer_name: str, target: str) -> bool:
    return layer_name == target or layer_name.endswith(f".{target}")
