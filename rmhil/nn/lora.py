"""The low-rank branch of one layer, y += scale * B (A x), and how it hangs on that layer.

A layer with adapters has one more child, `adapters`: an `AdapterStack` of `LoraBranch` by adapter name. A
forward hook, which is a plain function of this module, adds what the enabled branches say. The layer
itself is untouched, so digital and analogue layers, and whatever else derives from `nn.Linear` or
`nn.Conv2d`, are adapted alike; copies and pickles of a model keep their adapters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias, cast

import torch
from torch import nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.nn import functional as F

from rmhil.errors import ConfigError
from rmhil.nn.sram import SramBank

if TYPE_CHECKING:
    from rmhil.ledger import Ledger

Scaling: TypeAlias = Literal["alpha", "alpha/rank", "alpha/sqrt(rank)"]

SCALINGS: Final[Mapping[Scaling, Callable[[float, int], float]]] = {
    "alpha": lambda alpha, rank: alpha,
    "alpha/rank": lambda alpha, rank: alpha / rank,
    "alpha/sqrt(rank)": lambda alpha, rank: alpha / math.sqrt(rank),
}
"""Factor of B (A x) by convention: that of arXiv 2601.10037 for faces; that of LoRA; that of rank-stabilised LoRA."""

ATTRIBUTE: Final = "adapters"
"""Name of the child that holds a layer's adapters."""

Shape: TypeAlias = tuple[int, ...]

_BITS: Final = {torch.float64: torch.int64, torch.float32: torch.int32}
"""Integer type of the same width; other floating types are 16 bits wide."""


@dataclass(frozen=True, slots=True)
class LinearGeometry:
    """The low-rank form of an `nn.Linear`: A is `(rank, in)`, B is `(out, rank)`."""

    n_in: int
    n_out: int

    @classmethod
    def of(cls, layer: nn.Linear) -> Self:
        """The geometry of a layer."""
        return cls(layer.in_features, layer.out_features)

    def check_rank(self, rank: int) -> None:
        """Every rank is possible."""

    def shapes(self, rank: int) -> tuple[Shape, Shape]:
        """Shapes of A and B."""
        return (rank, self.n_in), (self.n_out, rank)

    def apply(self, x: torch.Tensor, A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        """B (A x) for inputs of shape `(..., in)`."""
        return F.linear(F.linear(x, A), B)

    def macs(self, rank: int, output: torch.Tensor) -> int:
        """Multiply-accumulates that `apply` took for this output."""
        return output.numel() // self.n_out * rank * (self.n_in + self.n_out)


@dataclass(frozen=True, slots=True)
class ConvGeometry:
    """The low-rank form of an `nn.Conv2d`, as PEFT has it.

    A is a convolution like the layer's, from all input channels to `rank` channels; B is a 1 x 1
    convolution with the layer's groups, so that the rank must be divisible by them.
    """

    n_in: int
    n_out: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] | str
    dilation: tuple[int, int]
    groups: int
    padding_mode: str
    padding_widths: tuple[int, ...]

    @classmethod
    def of(cls, layer: nn.Conv2d) -> Self:
        """The geometry of a layer."""
        return cls(
            n_in=layer.in_channels,
            n_out=layer.out_channels,
            kernel=cast("tuple[int, int]", layer.kernel_size),
            stride=cast("tuple[int, int]", layer.stride),
            padding=cast("tuple[int, int] | str", layer.padding),
            dilation=cast("tuple[int, int]", layer.dilation),
            groups=layer.groups,
            padding_mode=layer.padding_mode,
            padding_widths=tuple(layer._reversed_padding_repeated_twice),
        )

    def check_rank(self, rank: int) -> None:
        """Refuse a rank that the groups do not divide.

        Raises:
            ConfigError: they do not.
        """
        if rank % self.groups:
            raise ConfigError(f"rank {rank} is not divisible by the {self.groups} groups of the convolution")

    def shapes(self, rank: int) -> tuple[Shape, Shape]:
        """Shapes of A and B."""
        return (rank, self.n_in, *self.kernel), (self.n_out, rank // self.groups, 1, 1)

    def apply(self, x: torch.Tensor, A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        """B (A x) for inputs of shape `(batch, in, height, width)` or `(in, height, width)`."""
        if self.padding_mode == "zeros":
            inner = F.conv2d(x, A, None, self.stride, self.padding, self.dilation)
        else:
            padded = F.pad(x, self.padding_widths, mode=self.padding_mode)
            inner = F.conv2d(padded, A, None, self.stride, 0, self.dilation)
        return F.conv2d(inner, B, groups=self.groups)

    def macs(self, rank: int, output: torch.Tensor) -> int:
        """Multiply-accumulates that `apply` took for this output; padding counts as data."""
        down = rank * self.n_in * math.prod(self.kernel)
        up = self.n_out * (rank // self.groups)
        return output.numel() // self.n_out * (down + up)


Geometry: TypeAlias = LinearGeometry | ConvGeometry


def geometry_of(layer: nn.Linear | nn.Conv2d) -> Geometry:
    """The low-rank form of a layer."""
    return LinearGeometry.of(layer) if isinstance(layer, nn.Linear) else ConvGeometry.of(layer)


class LoraBranch(nn.Module):
    """One adapter's share of one layer.

    `A` and `B` are masters on the host: what training updates, and what `state_dict` holds. The branch
    computes with what is left of them in the format of its bank, and the gradient passes straight through
    that rounding. A matrix that has changed since it was last used is written to the bank first.

    Attributes:
        A, B: the matrices, in the shapes of `geometry`.
        geometry: the layer's low-rank form.
        rank, alpha, scaling: the factor of B (A x) is `scale`.
        bank: where the branch lives.
        enabled: whether it takes part.
        order: place of the adapter among those of the model, in the order they were added.
    """

    def __init__(
        self,
        geometry: Geometry,
        rank: int,
        alpha: float,
        scaling: Scaling,
        bank: SramBank,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Make a branch of zeros that holds no bytes of its bank yet (see `attach`)."""
        super().__init__()
        shape_a, shape_b = geometry.shapes(rank)
        self.A = nn.Parameter(torch.zeros(shape_a, device=device, dtype=dtype))
        self.B = nn.Parameter(torch.zeros(shape_b, device=device, dtype=dtype))
        self.geometry = geometry
        self.rank = rank
        self.alpha = alpha
        self.scaling: Scaling = scaling
        self.bank = bank
        self.enabled = True
        self.order = 0
        self._allocation: int | None = None
        self._written: dict[str, tuple[torch.Tensor, int | None]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # The version counter of a copy starts afresh: what is in the bank is then told by its value alone.
        held = {key: (self._written[key][0], None) for key in self._written if self._holds(key)}
        return {**self.__dict__, "_written": held}

    @property
    def scale(self) -> float:
        """Factor of B (A x)."""
        return SCALINGS[self.scaling](self.alpha, self.rank)

    @property
    def size(self) -> int:
        """Bytes it takes in its bank."""
        return self.bank.size(*self.geometry.shapes(self.rank))

    def extra_repr(self) -> str:
        """What printing the model shows."""
        state = "" if self.enabled else ", off"
        return f"rank={self.rank}, alpha={self.alpha:g}, scaling={self.scaling!r}, bank={self.bank.name!r}{state}"

    def initialise(self, generator: torch.Generator | None) -> None:
        """A Kaiming-uniform with a = sqrt(5), B zero: the branch says nothing until it is trained."""
        drawn_on = self.A.device if generator is None else generator.device
        drawn = torch.empty(self.A.shape, dtype=self.A.dtype, device=drawn_on)
        nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
        with torch.no_grad():
            self.A.copy_(drawn)
            self.B.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale * B (A x), computed with the stored values; traffic and MACs are counted."""
        A, B = self._fetch("A"), self._fetch("B")
        product = self.geometry.apply(x.to(A.dtype), A, B)
        if self.bank.ledger is not None:
            self.bank.ledger.count_macs(self.geometry.macs(self.rank, product), "lora")
        return product * self.scale

    def contents(self) -> dict[str, torch.Tensor]:
        """The values as stored, by matrix; a look at them, which is not counted as a read."""
        with torch.no_grad():
            return {key: self.bank.stored(getattr(self, key)).detach().clone() for key in ("A", "B")}

    def take(self, label: str) -> None:
        """Take the bytes of this branch in its bank."""
        self._allocation = self.bank.allocate(label, self.size)

    def give_back(self) -> None:
        """Give the bytes back to the bank."""
        if self._allocation is not None:
            self.bank.free(self._allocation)
            self._allocation = None
        self._written.clear()

    def _fetch(self, key: str) -> torch.Tensor:
        master: torch.Tensor = getattr(self, key)
        bits = self.bank.format.bits(master.shape)
        if not is_functorch_wrapped_tensor(master):  # a function transform looks at what is there already
            held = self._holds(key)
            if not held:
                self.bank.count_write(bits)
            if not held or self._written[key][1] is None or not _alike(self._written[key][0], master):
                self._written[key] = (master.detach().clone(), _version(master))
        self.bank.count_read(bits)
        return self.bank.stored(master)

    def _holds(self, key: str) -> bool:
        """Whether the bank holds this matrix as it is now.

        Writes through the version counter of torch count even where they leave every value as it was; the
        values are compared as well, because fused optimisers and `.data` pass that counter by. A model that
        moved to another device or type has written nothing, as long as the stored values are the same.
        """
        if key not in self._written:
            return False
        master: torch.Tensor = getattr(self, key)
        kept, version = self._written[key]
        if version is not None and version != _version(master):
            return False
        if _alike(kept, master):
            return _same_bits(kept, master)
        stored = [self.bank.stored(each.detach()).to(master.device, torch.float64) for each in (kept, master)]
        return _same_bits(*stored)


def _alike(first: torch.Tensor, second: torch.Tensor) -> bool:
    return (first.shape, first.dtype, first.device) == (second.shape, second.dtype, second.device)


def _same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Whether two tensors are of one type and place and agree in every bit, NaN included."""
    if not _alike(first, second):
        return False
    integer = _BITS.get(first.dtype, torch.int16)
    return torch.equal(first.detach().contiguous().view(integer), second.detach().contiguous().view(integer))


def _version(tensor: torch.Tensor) -> int | None:
    return None if tensor.is_inference() else tensor._version


class AdapterStack(nn.ModuleDict):
    """The branches of one layer by adapter name, and the hook that adds them."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self._hook = layer.register_forward_hook(add_branches, with_kwargs=True, prepend=True)

    def unhook(self) -> None:
        """Take the hook off the layer."""
        self._hook.remove()


def add_branches(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: torch.Tensor) -> torch.Tensor:
    """Forward hook of a layer with adapters: its output, plus what the enabled branches say."""
    x = args[0] if args else next(iter(kwargs.values()))
    stack = stack_of(layer)
    if stack is None:
        return output
    for branch in stack.values():
        if cast("LoraBranch", branch).enabled:
            output = output + branch(x).to(output.dtype)
    return output


def stack_of(layer: nn.Module) -> AdapterStack | None:
    """The adapters of a layer; None where it has none."""
    child = layer._modules.get(ATTRIBUTE)
    return child if isinstance(child, AdapterStack) else None


def attach(layer: nn.Module, name: str, branch: LoraBranch, label: str) -> None:
    """Hang a branch on a layer and take its bytes in the bank."""
    branch.take(label)
    stack = stack_of(layer)
    if stack is None:
        stack = AdapterStack(layer)
        layer.add_module(ATTRIBUTE, stack)
    stack[name] = branch


def detach(layer: nn.Module, name: str) -> None:
    """Take a branch off a layer and free its bytes; the last one leaves the layer as it was."""
    stack = stack_of(layer)
    if stack is None:
        return
    cast("LoraBranch", stack[name]).give_back()
    del stack[name]
    if not stack:
        stack.unhook()
        del layer._modules[ATTRIBUTE]


def connect_ledger(model: nn.Module, ledger: Ledger) -> None:
    """Let the banks of a model's adapters count into a ledger, those that have none yet."""
    for module in model.modules():
        if isinstance(module, LoraBranch) and module.bank.ledger is None:
            module.bank.ledger = ledger
