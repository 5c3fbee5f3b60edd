"""Checks of every request that crosses the seam; each backend makes them before it drives a line.

A check raises and changes nothing, or returns what it was given in canonical form.
"""

from __future__ import annotations

import math
from functools import cache
from numbers import Integral
from typing import TYPE_CHECKING

import numpy as np

from rmhil.backend import (
    ArraySpec,
    Biases,
    Cells,
    Floats,
    Ints,
    Lines,
    Operation,
    Pulses,
    Read,
    line_numbers,
    whole_numbers,
)
from rmhil.errors import ConfigError, NotFiniteError, OutOfRangeError, ShapeError

if TYPE_CHECKING:
    import torch


def whole_number(name: str, value: object, unit: str = "", least: int = 1) -> int:
    """A whole number of at least `least`, as a Python integer.

    Raises:
        ConfigError: it is not a whole number.
        OutOfRangeError: it is below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ConfigError(f"{name} = {value!r}: a whole number is needed")
    number = int(value)
    if number < least:
        raise OutOfRangeError(name, number, least, math.inf, unit)
    return number


def check_wiring(spec: ArraySpec) -> None:
    """Refuse wiring whose DAC cannot reach every voltage that `mvm` allows.

    Raises:
        ConfigError: the read limit around the virtual ground leaves the DAC's span.
    """
    ground, limit, span = spec.wiring.virtual_ground, spec.limits.read_voltage, spec.wiring.dac_span
    if not limit <= ground <= span - limit:
        raise ConfigError(
            f"wiring: virtual_ground = {ground:g} V with inputs of +-{limit:g} V leaves the DAC's span, 0 to {span:g} V"
        )


def check_cells(spec: ArraySpec, cells: Cells) -> None:
    """Refuse cells that do not exist, repeat, or are too many for one transaction.

    Raises:
        ShapeError: the three index arrays differ in length or are not flat, or there are more than
            `spec.cells_at_once` cells.
        ConfigError: an index is not a whole number.
        OutOfRangeError: an index is outside the geometry, or a cell is named twice.
    """
    count = len(cells)
    for name in ("array", "bl", "sl"):
        numbers = getattr(cells, name)
        if numbers.shape != (count,):
            raise ShapeError(f"cells.{name}", numbers.shape, f"({count},), as cells.array")
        whole_numbers(f"cells.{name}", numbers)
    if spec.cells_at_once is not None and count > spec.cells_at_once:
        raise ShapeError("cells", (count,), f"at most {spec.cells_at_once} cell(s) in one transaction")
    for name, size in zip(("array", "bl", "sl"), spec.shape, strict=True):
        _within(f"cells.{name}", getattr(cells, name), 0, size - 1, "")
    flat = np.ravel_multi_index(cells.index, spec.shape)
    if np.all(np.diff(flat) > 0):  # in index order, as most are: nothing to sort
        return
    repeats = count - np.unique(flat).size
    if repeats:
        raise OutOfRangeError("cells named twice", repeats, 0, 0, "")


def check_pulses(spec: ArraySpec, cells: Cells, pulses: Pulses) -> None:
    """Refuse pulses outside the limits, or not one a cell.

    Raises:
        ShapeError: an attribute does not have one element a cell.
        ConfigError: an operation is not a whole number.
        NotFiniteError: a value is NaN or infinite.
        OutOfRangeError: a value is outside `spec.limits`, or an operation is unknown.
    """
    count = len(cells)
    for name in ("operation", "amplitude", "width", "gate_voltage", "compliance"):
        values = getattr(pulses, name)
        if values.shape != (count,):
            raise ShapeError(f"pulses.{name}", values.shape, f"({count},): one pulse a cell")
        _finite(f"pulses.{name}", values)
    limits = spec.limits
    whole_numbers("pulses.operation", pulses.operation)
    _within("operation", pulses.operation, 0, len(Operation) - 1, "")
    for operation in Operation:
        chosen = pulses.amplitude[pulses.operation == operation]
        _within(f"{operation.name} amplitude", chosen, 0.0, limits.amplitude(operation), "V")
    _within("width", pulses.width, limits.pulse_width_min, limits.pulse_width_max, "s")
    _within("gate_voltage", pulses.gate_voltage, 0.0, limits.gate_voltage, "V")
    _within("compliance", pulses.compliance, 0.0, limits.current, "A")


def check_read(spec: ArraySpec, read: Read) -> None:
    """Refuse a read that would disturb the cell or that no instrument can take.

    A gate voltage below the transistor's threshold passes: the read can be taken, and says little of the cell
    (see `Read`).

    Raises:
        NotFiniteError: a voltage is NaN or infinite.
        OutOfRangeError: a voltage is outside `spec.limits` or zero, or there is no reading to average.
        ConfigError: the averages are not a whole number.
    """
    _finite("read voltage", np.array([read.voltage]))
    _finite("read gate_voltage", np.array([read.gate_voltage]))
    limit = spec.limits.read_voltage
    if read.voltage == 0.0:
        raise OutOfRangeError("read voltage", 0.0, 0.0, limit, "V", above=True)
    _within("read voltage", np.array([read.voltage]), -limit, limit, "V")
    _within("read gate_voltage", np.array([read.gate_voltage]), 0.0, spec.limits.gate_voltage, "V")
    whole_number("read averages", read.averages)


def check_biases(spec: ArraySpec, biases: Biases) -> None:
    """Refuse a sweep that leaves the limits of any operation.

    Positive steps (BL above SL) keep to the larger of the SET and FORM limits, negative ones to the
    RESET limit; BL and SL are never both above 0 V, and neither goes below it.

    Raises:
        ShapeError: no step, or the voltage arrays differ in length.
        NotFiniteError: a value is NaN or infinite.
        OutOfRangeError: a value is outside `spec.limits`.
    """
    count = len(biases)
    for name in ("bl", "sl", "wl"):
        values = getattr(biases, name)
        if count == 0 or values.shape != (count,):
            raise ShapeError(f"biases.{name}", values.shape, "(steps,) with at least one step, one length for all")
        _finite(f"biases.{name}", values)
    _finite("dwell", np.array([biases.dwell]))
    _finite("compliance", np.array([biases.compliance]))
    limits = spec.limits
    _within("biases.bl", biases.bl, 0.0, max(limits.set_voltage, limits.form_voltage), "V")
    _within("biases.sl", biases.sl, 0.0, limits.reset_voltage, "V")
    _within("lower of biases.bl and biases.sl", np.minimum(biases.bl, biases.sl), 0.0, 0.0, "V")
    _within("biases.wl", biases.wl, 0.0, limits.gate_voltage, "V")
    if not biases.dwell > 0.0:
        raise OutOfRangeError("dwell", biases.dwell, 0.0, math.inf, "s", above=True)
    _within("compliance", np.array([biases.compliance]), 0.0, limits.current, "A")


def check_mvm(
    spec: ArraySpec, bl_voltages: torch.Tensor, bl: Lines, sl: Lines, arrays: Lines
) -> tuple[Ints, Ints, Ints]:
    """Refuse an MVM that cannot be driven; otherwise return its lines and arrays.

    Args:
        spec: geometry and limits.
        bl_voltages: V, shape `(arrays, batch, driven BLs)`.
        bl: bit lines to drive; None means all.
        sl: source lines to sense; None means all.
        arrays: arrays to use; None means all.

    Returns:
        BLs, SLs and arrays, each as an ascending int64 array; read only where it is all of them.

    Raises:
        ShapeError: the shape does not follow from the lines and arrays.
        NotFiniteError: a voltage is NaN or infinite.
        OutOfRangeError: a voltage is larger than `spec.limits.read_voltage`, or a line or array
            does not exist.
        ConfigError: lines or arrays are not whole numbers.
    """
    bl_lines = _all_lines(spec.n_bl) if bl is None else line_numbers("bl", bl, spec.n_bl)
    sl_lines = _all_lines(spec.n_sl) if sl is None else line_numbers("sl", sl, spec.n_sl)
    array_numbers = _all_lines(spec.n_arrays) if arrays is None else line_numbers("array", arrays, spec.n_arrays)
    shape = bl_voltages.shape
    if len(shape) != 3 or shape[0] != array_numbers.size or shape[2] != bl_lines.size:
        raise ShapeError("bl_voltages", tuple(shape), _voltage_shape(array_numbers, bl_lines))
    if not bl_voltages.dtype.is_floating_point:
        expected = _voltage_shape(array_numbers, bl_lines)
        raise ShapeError("bl_voltages", tuple(shape), f"{expected} of a floating-point type, not {bl_voltages.dtype}")
    if bl_voltages.numel():
        _check_voltages(spec, bl_voltages)
    return bl_lines, sl_lines, array_numbers


@cache
def _all_lines(count: int) -> Ints:
    """`0 .. count-1`, made once: a small MVM takes little longer than to make them. Read only, since it is shared."""
    numbers = np.arange(count, dtype=np.int64)
    numbers.setflags(write=False)
    return numbers


def _voltage_shape(arrays: Ints, bl: Ints) -> str:
    return f"({arrays.size} arrays, batch, {bl.size} driven BLs)"


def _check_voltages(spec: ArraySpec, bl_voltages: torch.Tensor) -> None:
    """One look at the smallest and the largest; NaN is both of them, and fails the comparison."""
    limit = spec.limits.read_voltage
    # Round-off of the tensor's own type is not a broken limit: 0.2 V is 0.200000003 V in float32.
    allowed = limit * (1.0 + 1e-6)
    least, most = bl_voltages.aminmax()
    low, high = least.item(), most.item()
    if -allowed <= low and high <= allowed:
        return
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int((~bl_voltages.isfinite()).sum())
        raise NotFiniteError("bl_voltages", bad, bl_voltages.numel())
    raise OutOfRangeError("bl_voltages", high if low >= -allowed else low, -limit, limit, "V")


def _finite(name: str, values: Floats | Ints) -> None:
    bad = int(values.size - np.count_nonzero(np.isfinite(values)))
    if bad:
        raise NotFiniteError(name, bad, values.size)


def _within(name: str, values: Floats | Ints, low: float, high: float, unit: str) -> None:
    if values.size == 0:
        return
    for value in (float(values.min()), float(values.max())):
        if not low <= value <= high:
            raise OutOfRangeError(name, value, low, high, unit)
