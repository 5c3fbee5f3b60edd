"""The digital memory that adapters live in: capacity, number formats and traffic.

A bank is bookkeeping, not storage: the values stay in torch parameters on the host, and the bank says
what remains of them once they are stored in its format, how many bits that takes, and how many of
those bits were moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import torch

from rmhil.checks import whole_number
from rmhil.errors import SramCapacityError, UnknownNameError

if TYPE_CHECKING:
    from rmhil.ledger import Ledger

INT8_MAX: Final = 127
"""1: largest code of a symmetric 8-bit integer; -128 is left unused, so that a sign change is exact."""


@dataclass(frozen=True, slots=True)
class SramFormat:
    """How numbers are kept: rounding, and the bits it takes.

    Attributes:
        name: as given to `SramBank`.
        value_bits: bits for each value.
        row_bits: bits shared by one row of a matrix (its scale), 0 where there is none.
        round: values of any floating type -> the values that are stored, in the same type. The last axis
            of a matrix is its row; tensors of more axes are taken as `(rows, everything else)`.
    """

    name: str
    value_bits: int
    row_bits: int
    round: Callable[[torch.Tensor], torch.Tensor]

    def bits(self, shape: Sequence[int]) -> int:
        """Bits that a tensor of this shape takes, the scales of its rows included."""
        return math.prod(shape) * self.value_bits + shape[0] * self.row_bits


def _through(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return values.to(dtype).to(values.dtype)


def _int8_by_row(values: torch.Tensor) -> torch.Tensor:
    """Round to 8-bit codes times one scale a row.

    The scale is a bfloat16: it has the range of a float32 in half the bits. Its 8 significant bits move the
    largest code by a quarter of a step at most, so that nothing is cut off; and as code times scale is
    exact in float32, storing what was stored changes nothing. A row of zeros, or one so small that its scale
    is no normal number (below 1.5e-36 throughout), is stored as zeros. A row with NaN or infinity is NaN
    throughout: integers have no way to say so, and it must not pass for numbers.
    """
    rows = values.reshape(values.shape[0], -1)
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    largest = wide.abs().amax(dim=1, keepdim=True)
    scale = _through(largest / INT8_MAX, torch.bfloat16)
    zero = scale < torch.finfo(torch.bfloat16).tiny
    stored = torch.where(zero, torch.zeros_like(wide), torch.round(wide / scale) * scale)
    return stored.to(values.dtype).reshape(values.shape)


SRAM_FORMATS: Final[Mapping[str, SramFormat]] = {
    kind.name: kind
    for kind in (
        SramFormat("float32", 32, 0, partial(_through, dtype=torch.float32)),
        SramFormat("float16", 16, 0, partial(_through, dtype=torch.float16)),
        SramFormat("bfloat16", 16, 0, partial(_through, dtype=torch.bfloat16)),
        SramFormat("int8", 8, 16, _int8_by_row),
    )
}
"""The formats by name. `int8` adds a bfloat16 scale of 16 bits to each row."""


class _StraightThrough(torch.autograd.Function):
    """Rounding in the forward pass, identity in the backward pass."""

    generate_vmap_rule = True

    @staticmethod
    def forward(values: torch.Tensor, rounding: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """The values as stored."""
        return rounding(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:  # noqa: ANN401
        """Nothing is kept for the backward pass."""

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401
        """The gradient, as it came."""
        return gradients[0], None


class SramBank:
    """A bank of SRAM with a fixed capacity and one number format.

    Several adapters, of one or several models, share a bank; each holds an allocation. A deep copy of a
    model copies the banks of its adapters with what they hold; ledgers are shared by the copies.

    Attributes:
        capacity: bytes.
        name: for messages.
        ledger: where traffic is counted too; None counts it here only. `add_adapter` fills in the model's.
        bits_read, bits_written: traffic so far.
    """

    def __init__(
        self, capacity: int, format: str = "float32", ledger: Ledger | None = None, name: str = "sram"
    ) -> None:
        """Make an empty bank.

        Args:
            capacity: bytes, a whole number of at least 1.
            format: `float32`, `float16`, `bfloat16` or `int8` (one scale a row).
            ledger: where to count bits as well.
            name: for messages.

        Raises:
            ConfigError: the capacity is not a whole number.
            OutOfRangeError: it is below 1.
            UnknownNameError: no such format.
        """
        capacity = whole_number("capacity", capacity, "bytes")
        if format not in SRAM_FORMATS:
            raise UnknownNameError("SRAM format", format, list(SRAM_FORMATS))
        self.capacity = capacity
        self.name = name
        self.ledger = ledger
        self.bits_read = 0
        self.bits_written = 0
        self._format = format
        self._allocations: dict[int, tuple[str, int]] = {}
        self._next_handle = 0

    def __repr__(self) -> str:
        return f"SramBank({self.name}: {self.used:,} of {self.capacity:,} bytes used, {self._format})"

    @property
    def format(self) -> SramFormat:
        """The number format."""
        return SRAM_FORMATS[self._format]

    @property
    def used(self) -> int:
        """Bytes allocated."""
        return sum(size for _, size in self._allocations.values())

    @property
    def available(self) -> int:
        """Bytes not allocated."""
        return self.capacity - self.used

    @property
    def contents(self) -> dict[str, int]:
        """Bytes allocated, by label."""
        sizes: dict[str, int] = {}
        for label, size in self._allocations.values():
            sizes[label] = sizes.get(label, 0) + size
        return sizes

    def size(self, *shapes: Sequence[int]) -> int:
        """Bytes that tensors of these shapes take, each rounded up to whole bytes."""
        return sum(-(-self.format.bits(shape) // 8) for shape in shapes)

    def require(self, size: int) -> None:
        """Refuse a size in bytes that does not fit.

        Raises:
            SramCapacityError: it does not; nothing was written.
        """
        if size > self.available:
            raise SramCapacityError(self.name, size, self.available, self.capacity)

    def allocate(self, label: str, size: int) -> int:
        """Take bytes of the bank.

        Args:
            label: what they are for, for messages; need not be unique.
            size: bytes.

        Returns:
            A handle for `free`.

        Raises:
            SramCapacityError: they do not fit; nothing was allocated.
        """
        self.require(size)
        handle = self._next_handle
        self._next_handle += 1
        self._allocations[handle] = (label, size)
        return handle

    def free(self, handle: int) -> None:
        """Give back one allocation.

        Raises:
            UnknownNameError: there is none of this handle (it was given back before).
        """
        if handle not in self._allocations:
            raise UnknownNameError("SRAM allocation", str(handle), [str(known) for known in self._allocations])
        del self._allocations[handle]

    def stored(self, values: torch.Tensor) -> torch.Tensor:
        """What is left of values once they are stored; the gradient passes straight through.

        Values too large for a format become infinite, as they do in torch.
        """
        if self._format == "float32" and values.dtype == torch.float32:
            return values
        rounded: torch.Tensor = _StraightThrough.apply(values, self.format.round)  # type: ignore[no-untyped-call]
        return rounded

    def count_read(self, bits: int) -> None:
        """Count bits read, here and in the ledger."""
        self.bits_read += bits
        if self.ledger is not None:
            self.ledger.count_sram(bits_read=bits)

    def count_write(self, bits: int) -> None:
        """Count bits written, here and in the ledger."""
        self.bits_written += bits
        if self.ledger is not None:
            self.ledger.count_sram(bits_written=bits)
