"""Weights to conductances and back: pure functions, one small class a mapping.

A weight matrix has shape `(n_out, n_in)`. Its inputs are BLs and its outputs SLs, so the map of its
cells has shape `(n_bl, n_sl)` with `n_bl == n_in`. A mapping says how many SLs an output takes, which
conductance stands for a weight, and how the SL currents combine to an output (the *readout*).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from rmhil.backend import ArraySpec, Floats
from rmhil.errors import NotFiniteError, OutOfRangeError, ShapeError
from rmhil.units import MICRO, Siemens

_ROUNDING = 1e-9
"""1, relative: how far the largest weight of a tile may seem to leave the room that its own scale gives it."""


@dataclass(frozen=True, slots=True)
class Window:
    """The conductances a mapping uses.

    Attributes:
        low, high: S.
    """

    low: Siemens
    high: Siemens

    @property
    def span(self) -> Siemens:
        """S: from end to end."""
        return self.high - self.low


@runtime_checkable
class Mapping(Protocol):
    """How signed weights become conductances."""

    @property
    def name(self) -> str:
        """A short name for reports."""

    def window(self, spec: ArraySpec) -> Window:
        """The conductances used on this target.

        Raises:
            OutOfRangeError: the mapping asks for more than the target's window.
        """

    def n_sl(self, n_out: int) -> int:
        """SLs that this many outputs take in one tile."""

    def n_out(self, n_sl: int) -> int:
        """Most outputs of a tile with this many SLs; 0 where not one fits."""

    def scale(self, weight_max: float, window: Window) -> Siemens:
        """S for a weight of 1, so that weights up to +-`weight_max` just fit; 1 stands in for a maximum of 0."""

    def conductance(self, weight: Floats, scale: Siemens, window: Window) -> Floats:
        """S, shape `(n_in, n_sl)`: the cells that stand for `weight`, shape `(n_out, n_in)`.

        Raises:
            OutOfRangeError: a weight is beyond what `scale` leaves room for.
            NotFiniteError, ShapeError: the weights are not a finite matrix.
        """

    def weight(self, conductance: Floats, scale: Siemens) -> Floats:
        """The weights, shape `(n_out, n_in)`, that cells of shape `(n_in, n_sl)` stand for."""

    def compensate(self, target: Floats, achieved: Floats, window: Window) -> Floats:
        """Targets that make up for cells which could not be programmed, as far as other cells of the same weight can.

        Args:
            target: S, shape `(n_in, n_sl)`, as `conductance` gave it.
            achieved: S, same shape: what the faulty cells hold, NaN for all that obey.
            window: of the targets.

        Returns:
            S, same shape.
        """

    def readout(self, n_out: int) -> Floats:
        """How SL currents combine to outputs: +1, -1 or 0, shape `(n_out, n_sl)`.

        Every output has the same number of entries that are not 0. Those that are 0 stay so when the gains are
        corrected; the others may be changed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentialPair:
    """Two cells a weight on neighbouring SLs: G+ - G- = scale x weight, the smaller of the two at the window's end.

    A cell that carries no signal rests at the low end, so that arrays draw little current and lines drop
    little voltage.

    Attributes:
        low, high: S, ends of the window used; None takes the target's.
    """

    low: Siemens | None = None
    high: Siemens | None = None

    @property
    def name(self) -> str:
        """A short name for reports."""
        return "differential pair"

    def window(self, spec: ArraySpec) -> Window:
        """The conductances used on this target; see `Mapping.window`."""
        return _window(self.low, self.high, spec)

    def n_sl(self, n_out: int) -> int:
        """Two SLs an output."""
        return 2 * n_out

    def n_out(self, n_sl: int) -> int:
        """Half the SLs."""
        return n_sl // 2

    def scale(self, weight_max: float, window: Window) -> Siemens:
        """S for a weight of 1: the whole window for the largest weight."""
        return window.span / (weight_max or 1.0)

    def conductance(self, weight: Floats, scale: Siemens, window: Window) -> Floats:
        """S, shape `(n_in, 2 n_out)`: G+ at even SLs, G- at odd ones; see `Mapping.conductance`."""
        steps = scale * _finite_matrix(weight).T
        _check_room(steps, window.span, window.span, scale)
        cells = np.empty((steps.shape[0], 2 * steps.shape[1]))
        cells[:, 0::2] = _kept_inside(window.low + np.maximum(steps, 0.0), window)
        cells[:, 1::2] = _kept_inside(window.low + np.maximum(-steps, 0.0), window)
        return cells

    def weight(self, conductance: Floats, scale: Siemens) -> Floats:
        """The weights that cells stand for, shape `(n_out, n_in)`."""
        return np.asarray((conductance[:, 0::2] - conductance[:, 1::2]).T / scale)

    def compensate(self, target: Floats, achieved: Floats, window: Window) -> Floats:
        """Shift the other cell of a pair by a faulty cell's error, within the window; see `Mapping.compensate`."""
        error = np.nan_to_num(achieved - target)
        partner = error.reshape(len(error), -1, 2)[:, :, ::-1].reshape(error.shape)
        obeys = np.isnan(achieved)
        return np.where(obeys & (partner != 0.0), _kept_inside(target + partner, window), target)

    def readout(self, n_out: int) -> Floats:
        """+1 for the SL of G+, -1 for that of G-."""
        return np.asarray(np.kron(np.eye(n_out), np.array([1.0, -1.0])))


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetColumn:
    """One cell a weight around a zero level, and a reference column of such zeros in every tile.

    arXiv 2601.10037 uses a window of 20 to 80 uS with its zero at 50 uS:
    `OffsetColumn(low=20e-6, zero=50e-6, high=80e-6)`.

    Attributes:
        low, high: S, ends of the window used; None takes the target's.
        zero: S that stands for a weight of 0; None takes the middle of the window.
    """

    low: Siemens | None = None
    high: Siemens | None = None
    zero: Siemens | None = None

    @property
    def name(self) -> str:
        """A short name for reports."""
        return "offset column"

    def window(self, spec: ArraySpec) -> Window:
        """The conductances used on this target; see `Mapping.window`.

        Raises:
            OutOfRangeError: also where the zero is not inside the window.
        """
        window = _window(self.low, self.high, spec)
        zero = self._zero(window)
        if not window.low < zero < window.high:
            raise OutOfRangeError("zero level", zero / MICRO, window.low / MICRO, window.high / MICRO, "uS")
        return window

    def n_sl(self, n_out: int) -> int:
        """One SL an output, and the reference column."""
        return n_out + 1

    def n_out(self, n_sl: int) -> int:
        """All SLs but the reference column."""
        return max(n_sl - 1, 0)

    def scale(self, weight_max: float, window: Window) -> Siemens:
        """S for a weight of 1: the largest weight touches the nearer end of the window."""
        zero = self._zero(window)
        return min(window.high - zero, zero - window.low) / (weight_max or 1.0)

    def conductance(self, weight: Floats, scale: Siemens, window: Window) -> Floats:
        """S, shape `(n_in, n_out + 1)`: the reference column is the last; see `Mapping.conductance`."""
        zero = self._zero(window)
        steps = scale * _finite_matrix(weight).T
        _check_room(steps, zero - window.low, window.high - zero, scale)
        return np.hstack([_kept_inside(zero + steps, window), np.full((len(steps), 1), zero)])

    def weight(self, conductance: Floats, scale: Siemens) -> Floats:
        """The weights that cells stand for, shape `(n_out, n_in)`; the zero is the reference column's."""
        return np.asarray((conductance[:, :-1] - conductance[:, -1:]).T / scale)

    def compensate(self, target: Floats, achieved: Floats, window: Window) -> Floats:
        """The targets as they are: a weight has one cell; see `Mapping.compensate`."""
        return target

    def readout(self, n_out: int) -> Floats:
        """+1 for an output's own SL, -1 for the reference column."""
        return np.hstack([np.eye(n_out), np.full((n_out, 1), -1.0)])

    def _zero(self, window: Window) -> Siemens:
        return (window.low + window.high) / 2 if self.zero is None else self.zero


@dataclass(frozen=True, slots=True)
class Block:
    """The part of a weight matrix that one tile holds.

    Attributes:
        outputs, inputs: rows and columns of the matrix.
    """

    outputs: slice
    inputs: slice


def blocks(n_out: int, n_in: int, mapping: Mapping, n_bl: int, n_sl: int) -> list[Block]:
    """Cut a weight matrix into tiles of at most `n_bl` BLs and `n_sl` SLs, full ones first.

    Raises:
        ShapeError: the lines cannot hold even one weight.
    """
    outputs_each = mapping.n_out(n_sl)
    if n_bl < 1 or outputs_each < 1:
        raise ShapeError("array", (n_bl, n_sl), f"at least 1 BL and {mapping.n_sl(1)} SLs for one {mapping.name}")
    return [
        Block(outputs=slice(o, min(o + outputs_each, n_out)), inputs=slice(i, min(i + n_bl, n_in)))
        for o in range(0, n_out, outputs_each)
        for i in range(0, n_in, n_bl)
    ]


def _window(low: Siemens | None, high: Siemens | None, spec: ArraySpec) -> Window:
    ends = Window(
        spec.conductance_min if low is None else low,
        spec.conductance_max if high is None else high,
    )
    least, most = spec.conductance_min, spec.conductance_max
    if not least <= ends.low < ends.high:
        raise OutOfRangeError("low end of the window", ends.low / MICRO, least / MICRO, ends.high / MICRO, "uS")
    if not ends.high <= most:
        raise OutOfRangeError("high end of the window", ends.high / MICRO, ends.low / MICRO, most / MICRO, "uS")
    return ends


def _finite_matrix(weight: Floats) -> Floats:
    matrix = np.asarray(weight, dtype=np.float64)
    if matrix.ndim != 2:
        raise ShapeError("weight", matrix.shape, "(n_out, n_in)")
    bad = matrix.size - int(np.isfinite(matrix).sum())
    if bad:
        raise NotFiniteError("weight", bad, matrix.size)
    return matrix


def _check_room(steps: Floats, below: Siemens, above: Siemens, scale: Siemens) -> None:
    if not steps.size:
        return
    worst = float(steps.max() if steps.max() / above > -steps.min() / below else steps.min())
    if steps.max() > above * (1 + _ROUNDING) or -steps.min() > below * (1 + _ROUNDING):
        raise OutOfRangeError("weight", worst / scale, -below / scale, above / scale, "")


def _kept_inside(conductance: Floats, window: Window) -> Floats:
    """Take back the last bit that rounding may have put beyond the window; `_check_room` has refused the rest."""
    return np.clip(conductance, window.low, window.high)
