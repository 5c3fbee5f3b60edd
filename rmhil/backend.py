"""The seam: everything the runtime may ask of an array, whichever target stands behind it.

Indices are `(array, bl, sl)`. Conductance has shape `(n_arrays, n_bl, n_sl)`. The control plane
(cells, pulses, readings) is numpy float64; the data plane (`mvm`) is torch tensors on the
backend's device. SI units throughout. Every promise made here is a test in `tests/contract/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rmhil.errors import ConfigError, OutOfRangeError
from rmhil.units import Amperes, Seconds, Siemens, Volts
from rmhil.wiring import Wiring

if TYPE_CHECKING:
    from pathlib import Path

    import torch

Lines: TypeAlias = Sequence[int] | NDArray[np.int64] | None
"""Line numbers in ascending order, without repeats; None means all."""

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]


class Operation(IntEnum):
    """What a pulse is for; it fixes the polarity."""

    FORM = 0
    """Make the first filament: BL positive, SL at 0 V."""
    SET = 1
    """Towards the low-resistance state: BL positive, SL at 0 V."""
    RESET = 2
    """Towards the high-resistance state: SL positive, BL at 0 V."""


class Status(IntEnum):
    """What the instrument says of one reading."""

    NORMAL = 0
    COMPLIANCE = 1
    """A source reached its current limit; the value is not the cell's."""
    OVER_RANGE = 2
    """The converter's range was exceeded; the value is its end."""
    UNCERTAIN = 3
    """Of a pulse only: it broke off, and nobody knows whether it was given. Its reading was taken later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What must never be exceeded at an array's terminals.

    Attributes:
        read_voltage: V, largest magnitude across a cell in a read or an MVM.
        set_voltage, reset_voltage, form_voltage: V, largest pulse amplitude of each operation.
        gate_voltage: V, largest WL level.
        current: A, largest compliance.
        pulse_width_min, pulse_width_max: s. An SMU of the B1500A pulses no shorter than 0.5 ms.
        pulse_period_min: s, from one pulse to the next (5 ms for the same instrument).
    """

    read_voltage: Volts = 0.2
    set_voltage: Volts = 3.0
    reset_voltage: Volts = 3.0
    form_voltage: Volts = 4.5
    gate_voltage: Volts = 5.0
    current: Amperes = 1e-3
    pulse_width_min: Seconds = 0.5e-3
    pulse_width_max: Seconds = 2.0
    pulse_period_min: Seconds = 5e-3

    def amplitude(self, operation: Operation) -> Volts:
        """V: the largest amplitude allowed for one operation."""
        return (self.form_voltage, self.set_voltage, self.reset_voltage)[operation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One analogue pass: the lines driven and sensed together."""

    bl: Ints
    sl: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """What a backend is; fixed for its life.

    Attributes:
        provenance: identity of the target, e.g. `sim(seed=7)`; carried by every result.
        n_arrays, n_bl, n_sl: geometry.
        conductance_min, conductance_max: S, the window that targets must lie in.
        limits: what is never exceeded.
        wiring: routing and converters.
        cells_at_once: cells that one `apply` takes; None means any number.
        pulse_width: s, the width that policies use unless told otherwise.
        read_voltage: V, BL level of a verify read.
        read_gate_voltage: V, WL level of a verify read and of an MVM.
    """

    provenance: str
    n_arrays: int
    n_bl: int
    n_sl: int
    conductance_min: Siemens
    conductance_max: Siemens
    limits: Limits = field(default_factory=Limits)
    wiring: Wiring = field(default_factory=Wiring)
    cells_at_once: int | None = None
    pulse_width: Seconds = 1e-3
    read_voltage: Volts = 0.2
    read_gate_voltage: Volts = 5.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(n_arrays, n_bl, n_sl)`."""
        return (self.n_arrays, self.n_bl, self.n_sl)

    @property
    def n_cells(self) -> int:
        """Cells in all arrays together."""
        return self.n_arrays * self.n_bl * self.n_sl

    def passes(self, bl: Lines = None, sl: Lines = None) -> list[Pass]:
        """The passes an MVM over these lines takes, in order; a pass without lines is not run."""
        rows, columns = line_numbers("bl", bl, self.n_bl), line_numbers("sl", sl, self.n_sl)
        return line_passes(rows, columns, self.wiring.bl_channels, self.wiring.sl_channels)


def line_passes(bl: Ints, sl: Ints, bl_channels: int, sl_channels: int) -> list[Pass]:
    """The passes over ascending line numbers, in order: for each bank of SLs the banks of BLs.

    Lines are wired in banks: channel c drives BLs c, c + bl_channels, ...
    """
    return [Pass(bl=rows, sl=columns) for columns in _banks(sl, sl_channels) for rows in _banks(bl, bl_channels)]


def _banks(lines: Ints, channels: int) -> list[Ints]:
    banks = lines // channels
    return [lines[banks == bank] for bank in np.unique(banks)]


def whole_numbers(name: str, values: ArrayLike) -> Ints:
    """Indices or codes as an int64 array of their shape; it is a view where the values are one already.

    Raises:
        ConfigError: they are not whole numbers. A fraction would be cut off, and a mask read as zeros and ones.
    """
    try:
        numbers = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: whole numbers are needed: {error}") from error
    if numbers.dtype.kind not in "iu" and numbers.size:  # an empty list is float64 to numpy
        hint = "; np.flatnonzero turns a mask into numbers" if numbers.dtype.kind == "b" else ""
        raise ConfigError(f"{name}: whole numbers are needed, not {numbers.dtype}{hint}")
    return numbers.astype(np.int64, copy=False)


def line_numbers(name: str, lines: Lines, count: int) -> Ints:
    """The line numbers as an ascending int64 array; None means `0 .. count-1`.

    Raises:
        ConfigError: they are not whole numbers.
        OutOfRangeError: a number is outside `0 .. count-1`, repeats or is out of order.
    """
    if lines is None:
        return np.arange(count, dtype=np.int64)
    numbers = whole_numbers(f"{name} lines", lines).reshape(-1)
    outside = numbers[(numbers < 0) | (numbers >= count)]
    if outside.size:
        raise OutOfRangeError(f"{name} line", float(outside[0]), 0, count - 1, "")
    if np.any(np.diff(numbers) <= 0):
        raise OutOfRangeError(f"smallest step between {name} lines", float(np.diff(numbers).min()), 1, count - 1, "")
    return numbers


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells named one by one: three int64 arrays of one length."""

    array: Ints
    bl: Ints
    sl: Ints

    @classmethod
    def of(cls, array: ArrayLike, bl: ArrayLike, sl: ArrayLike) -> Self:
        """Broadcast three index arrays to one flat list of cells.

        Raises:
            ConfigError: an index is not a whole number.
        """
        named = (("cells.array", array), ("cells.bl", bl), ("cells.sl", sl))
        parts = np.broadcast_arrays(*(whole_numbers(name, part) for name, part in named))
        return cls(*(part.reshape(-1).copy() for part in parts))

    @classmethod
    def from_mask(cls, mask: NDArray[np.bool_]) -> Self:
        """The cells where a `(n_arrays, n_bl, n_sl)` mask is true, in index order."""
        return cls(*(np.asarray(part, dtype=np.int64) for part in np.nonzero(mask)))

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Cells:
        return Cells(self.array[chosen], self.bl[chosen], self.sl[chosen])

    @property
    def index(self) -> tuple[Ints, Ints, Ints]:
        """The three arrays, ready to index a conductance map."""
        return (self.array, self.bl, self.sl)

    @property
    def names(self) -> NDArray[np.str_]:
        """`array/bl/sl` of each, as all tables name cells."""
        return np.array([f"{array}/{bl}/{sl}" for array, bl, sl in zip(*self.index, strict=True)], dtype=np.str_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulses:
    """One programming pulse for each of a list of cells: five arrays of one length.

    Attributes:
        operation: `Operation` codes, int64.
        amplitude: V, magnitude between BL and SL.
        width: s, at half amplitude.
        gate_voltage: V on the WL; sets the compliance of a SET.
        compliance: A, limit of the source that drives the pulse.
    """

    operation: Ints
    amplitude: Floats
    width: Floats
    gate_voltage: Floats
    compliance: Floats

    @classmethod
    def of(
        cls,
        n_cells: int,
        operation: ArrayLike,
        amplitude: ArrayLike,
        width: ArrayLike,
        gate_voltage: ArrayLike,
        compliance: ArrayLike,
    ) -> Self:
        """Broadcast scalars or arrays to one pulse a cell.

        Raises:
            ConfigError: an operation is not a whole number.
        """

        def spread(value: ArrayLike) -> Floats:
            return np.broadcast_to(np.asarray(value, dtype=np.float64), (n_cells,)).copy()

        return cls(
            operation=np.broadcast_to(whole_numbers("pulses.operation", operation), (n_cells,)).copy(),
            amplitude=spread(amplitude),
            width=spread(width),
            gate_voltage=spread(gate_voltage),
            compliance=spread(compliance),
        )

    def __len__(self) -> int:
        return len(self.operation)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Pulses:
        return Pulses(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How a verify read is taken.

    A reading holds for its gate level only: the transistor is in series with the cell. At a low level it
    carries nearly all of the voltage, and the reading is far below what the cell conducts in an MVM, though
    its status is NORMAL. Readings that are compared with one another, or with a target, share one level.

    Attributes:
        voltage: V on the BL, SL at 0 V.
        gate_voltage: V on the WL; `spec.read_gate_voltage` is that of targets and of an MVM.
        averages: readings averaged for one value, at least 1.
    """

    voltage: Volts
    gate_voltage: Volts
    averages: int = 1

    @classmethod
    def default(cls, spec: ArraySpec, averages: int = 1) -> Self:
        """The read that a target is specified with."""
        return cls(voltage=spec.read_voltage, gate_voltage=spec.read_gate_voltage, averages=averages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What came back from `Backend.apply`: arrays of one length, one element a cell.

    Attributes:
        conductance: S, of the cell with its transistor at the read's gate voltage, for which alone it holds (see
            `Read`); the routing resistance of the wiring is removed.
        current: A, as the instrument gave it.
        pulse_current: A during the pulse, positive from BL to SL; NaN where it is not sensed or no pulse was given.
        status: `Status` codes of the verify read, int64.
        pulse_status: `Status` codes of the pulse, int64 (a SET at its compliance says so here).
        time: s on the backend's clock, when the read was taken.
    """

    conductance: Floats
    current: Floats
    pulse_current: Floats
    status: Ints
    pulse_status: Ints
    time: Floats

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_] | slice) -> Readings:
        return Readings(**{one.name: getattr(self, one.name)[chosen] for one in fields(self)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Several transactions as one."""
        if len(parts) == 1:
            return parts[0]
        return cls(**{one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Biases:
    """The steps of a sweep: three voltage arrays of one length, one dwell, one compliance.

    Attributes:
        bl, sl, wl: V at each step; `bl` and `sl` are not both above 0 V.
        dwell: s at each step.
        compliance: A.
    """

    bl: Floats
    sl: Floats
    wl: Floats
    dwell: Seconds
    compliance: Amperes

    @classmethod
    def of(cls, bl: ArrayLike, sl: ArrayLike, wl: ArrayLike, dwell: Seconds, compliance: Amperes) -> Self:
        """Broadcast scalars or arrays to one list of steps."""
        parts = np.broadcast_arrays(*(np.asarray(part, dtype=np.float64) for part in (bl, sl, wl)))
        b, s, w = (part.reshape(-1).copy() for part in parts)
        return cls(bl=b, sl=s, wl=w, dwell=dwell, compliance=compliance)

    def __len__(self) -> int:
        return len(self.bl)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A measured sweep: one element a step.

    Attributes:
        biases: what was asked for.
        current: A, positive from BL to SL, under bias.
        status: `Status` codes, int64.
        time: s on the backend's clock at the end of each step.
    """

    biases: Biases
    current: Floats
    status: Ints
    time: Floats


@dataclass(frozen=True, slots=True)
class MvmResult:
    """What came back from `Backend.mvm`.

    Attributes:
        currents: A, positive into the TIA, shape `(arrays, batch, sensed SLs)`.
        over_range: bool, same shape: a conversion of this sum gave an end code, which stands for all that is beyond it.
    """

    currents: torch.Tensor
    over_range: torch.Tensor


class Backend(Protocol):
    """Arrays that can be programmed, read and used for MVM.

    Cells are programmed one transaction at a time and multiplied one batch at a time; everything
    else (write-verify, mapping, tiling, adapters, cost) stands above this protocol. A backend is
    a context manager: leaving it calls `close`.
    """

    @property
    def spec(self) -> ArraySpec:
        """Geometry, limits, converters and provenance; fixed for the life of the backend."""

    @property
    def device(self) -> torch.device:
        """Where `mvm` takes and returns tensors."""

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the data plane."""

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """Give each cell one pulse (None: no pulse), then read each, as one transaction.

        Args:
            cells: at most `spec.cells_at_once` of them, none twice.
            pulses: one a cell, within `spec.limits`.
            read: the verify read.

        Raises:
            ShapeError: lengths differ, or too many cells; nothing was driven.
            ConfigError: a cell, an operation or the averages are not whole numbers; nothing was driven.
            OutOfRangeError: a cell, voltage, width or current is outside its limit; nothing was driven.
            NotFiniteError: a value is NaN or infinite; nothing was driven.
            BackendUnavailableError: no answer; the message says whether the pulse was sent.
        """

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        """Step one cell through biases and measure its current under each.

        Args:
            cells: exactly one cell.
            biases: V at BL, SL and WL; the cell sees `bl - sl`. Positive steps keep to the larger of
                the SET and FORM limits, negative ones to the RESET limit.

        Raises: as `apply`.
        """

    def mvm(self, bl_voltages: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> MvmResult:
        """Drive bit lines and measure source-line currents.

        Args:
            bl_voltages: V relative to the virtual ground, shape `(arrays, batch, driven BLs)`, each
                within +-`spec.limits.read_voltage`, on `device`, of `dtype`.
            bl: lines to drive; the last axis of `bl_voltages` counts only these.
            sl: lines to sense; the last axis of the result counts only these. A pass without lines is not run.
            arrays: arrays to use; the first axis counts only these.

        Raises:
            ShapeError, NotFiniteError, OutOfRangeError, ConfigError: nothing was driven.
            BackendUnavailableError: no answer; the lines may still be driven.
        """

    def wait(self, seconds: Seconds) -> None:
        """Let time pass: really on a bench, on the virtual clock elsewhere.

        Raises:
            OutOfRangeError: negative or not finite.
        """

    def safe(self) -> None:
        """Put every output at 0 V and disconnect it. Idempotent, and allowed at any time."""

    def close(self) -> None:
        """`safe`, then let go of the hardware. Idempotent.

        Afterwards every call but `safe` and `close` raises `BackendClosedError`.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class StateSaving(Protocol):
    """A backend whose cells live in this machine, so that their state can be kept in a file.

    A chip keeps its own state; a simulated one is rebuilt with `open_backend(name, state=path)`.
    """

    def save_state(self, path: Path) -> None:
        """Write the state of every cell to one file."""


@runtime_checkable
class ChipNaming(Protocol):
    """A backend that knows which chip it is on, so that the wear of its cells is counted under that name.

    The name is of the array, not of the instruments around it; a virgin array that is made anew has a new one.
    """

    @property
    def chip_id(self) -> str:
        """Name of the chip."""

    @property
    def chip_folder(self) -> Path | None:
        """Where chip files lie; None leaves that to the user's settings."""
