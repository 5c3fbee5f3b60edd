"""A policy that learns how each cell answers, from that cell's own pulses.

Two straight lines are learnt for each cell: the conductance that a SET leaves against its gate voltage,
and the logarithm of the relative change that a RESET makes against its amplitude (rates of switching
are exponential in the voltage). Too low: SET straight to the target. Too high: RESET by the excess,
stopping a little above the target, because a RESET that goes too far costs a SET and its spread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses, Status
from rmhil.units import Siemens, Volts
from rmhil.write_verify.line_fit import LineFit
from rmhil.write_verify.policy import Mask, PerCell, Silence


@dataclass(frozen=True, slots=True)
class AdaptiveState(PerCell):
    """What is known of each cell.

    Attributes:
        spec: of the backend.
        tolerance: S.
        target: S.
        before: S, reading before the last pulse.
        operation: of the last pulse; -1 before the first.
        level: V, gate voltage of the last SET or amplitude of the last RESET.
        set_line: conductance in S against the gate voltage of a SET.
        reset_line: log of the relative change against the amplitude of a RESET.
        silence: strong pulses that were not answered.
    """

    spec: ArraySpec
    tolerance: Siemens
    target: Floats
    before: Floats
    operation: Ints
    level: Floats
    set_line: LineFit
    reset_line: LineFit
    silence: Silence

    @property
    def stuck(self) -> Mask:
        """As `PolicyState.stuck`."""
        return self.silence.both


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """The adaptive policy and its first guesses (estimates for 1T1R TaOx cells, replaced by what a cell shows).

    Attributes:
        name: of the policy.
        set_amplitude: V on the BL during a SET (estimate, range 1.5 to 2.5).
        gate_origin: V, where the first guess of a SET holds.
        gate_level: S, conductance that a SET at `gate_origin` leaves, and its standard deviation.
        gate_slope: S/V, and its standard deviation.
        gate_stop: V, highest gate voltage of a SET; well above the window.
        reset_origin: V, where the first guess of a RESET holds.
        reset_level: log of the relative change that a RESET at `reset_origin` makes, and its deviation.
        reset_slope: 1/V, and its standard deviation.
        reset_start: V, lowest amplitude of a RESET.
        margin: 1, share of the excess that a RESET leaves, up to half the tolerance.
        forgetting: 1, see `LineFit.observe`.
        response: S, a change below this in answer to a strong pulse is no answer.
    """

    name: str = "adaptive"
    set_amplitude: Volts = 2.0
    gate_origin: Volts = 2.0
    gate_level: tuple[Siemens, Siemens] = (40e-6, 15e-6)
    gate_slope: tuple[float, float] = (32e-6, 10e-6)
    gate_stop: Volts = 4.0
    reset_origin: Volts = 1.5
    reset_level: tuple[float, float] = (-1.5, 1.5)
    reset_slope: tuple[float, float] = (8.0, 3.0)
    reset_start: Volts = 0.3
    margin: float = 0.1
    forgetting: float = 0.8
    response: Siemens = 1e-6

    def start(self, spec: ArraySpec, target: Floats, tolerance: Siemens, conductance: Floats) -> AdaptiveState:
        """As `Policy.start`."""
        n = len(target)
        return AdaptiveState(
            spec,
            tolerance,
            target,
            conductance,
            operation=np.full(n, -1, dtype=np.int64),
            level=np.zeros(n),
            set_line=LineFit.prior(n, self.gate_origin, self.gate_level, self.gate_slope, self.gate_slope[0] / 4),
            reset_line=LineFit.prior(n, self.reset_origin, self.reset_level, self.reset_slope, self.reset_slope[0] / 4),
            silence=Silence.none(n),
        )

    def step(self, state: AdaptiveState, conductance: Floats, status: Ints) -> tuple[AdaptiveState, Pulses]:
        """As `Policy.step`."""
        state = self._learn(state, conductance, status)
        too_high = (conductance > state.target) | (status != Status.NORMAL)
        wanted = np.where(too_high, Operation.RESET, Operation.SET).astype(np.int64)
        operation = state.silence.choose(wanted)
        stop = self._stop(state.spec, operation)
        level = np.where(operation == Operation.SET, self._gate(state), self._reset_amplitude(state, conductance))
        level = np.where(operation == wanted, np.minimum(level, stop), stop)
        following = replace(state, before=conductance, operation=operation, level=level)
        return following, self._pulses(state.spec, operation, level)

    def _learn(self, state: AdaptiveState, conductance: Floats, status: Ints) -> AdaptiveState:
        normal = status == Status.NORMAL
        change = conductance - state.before
        strong = (state.operation >= 0) & (state.level >= self._stop(state.spec, state.operation))
        return replace(
            state,
            set_line=self._learn_set(state, conductance, change, normal),
            reset_line=self._learn_reset(state, conductance, change, normal),
            silence=state.silence.after(state.operation, strong, np.abs(change) > self.response),
        )

    def _learn_set(self, state: AdaptiveState, conductance: Floats, change: Floats, normal: Mask) -> LineFit:
        """A SET that did not raise the cell says only that its level is no higher."""
        rose = change > state.tolerance * _VISIBLE
        seen = (state.operation == Operation.SET) & normal & (rose | (state.set_line.at(state.level) > conductance))
        variance = np.full(len(conductance), state.tolerance**2)
        return state.set_line.observe(state.level, conductance, variance, seen, self.forgetting)

    def _learn_reset(self, state: AdaptiveState, conductance: Floats, change: Floats, normal: Mask) -> LineFit:
        """A RESET that did not visibly lower the cell says only that its effect was below what can be seen."""
        before = np.maximum(state.before, _TINY)
        least = np.minimum(state.tolerance * _VISIBLE, before / 2)
        drop = np.clip(-change, least, before * _WHOLE)
        effect = np.log(-np.log1p(-drop / before))
        fell = -change > least
        seen = (state.operation == Operation.RESET) & normal & (fell | (state.reset_line.at(state.level) > effect))
        variance = np.minimum((state.tolerance / drop) ** 2, 1.0)
        return state.reset_line.observe(state.level, effect, variance, seen, self.forgetting)

    def _gate(self, state: AdaptiveState) -> Floats:
        return np.maximum(state.set_line.solve(state.target), 0.0)

    def _reset_amplitude(self, state: AdaptiveState, conductance: Floats) -> Floats:
        excess = np.maximum(conductance - state.target, state.tolerance * _VISIBLE)
        leave = np.minimum(self.margin * excess, state.tolerance / 2)
        share = np.clip((excess - leave) / np.maximum(conductance, _TINY), _SMALLEST, _WHOLE)
        return np.maximum(state.reset_line.solve(np.log(-np.log1p(-share))), self.reset_start)

    def _stop(self, spec: ArraySpec, operation: Ints) -> Floats:
        gate_stop = min(self.gate_stop, spec.limits.gate_voltage)
        return np.where(operation == Operation.SET, gate_stop, spec.limits.reset_voltage)

    def _pulses(self, spec: ArraySpec, operation: Ints, level: Floats) -> Pulses:
        is_set = operation == Operation.SET
        return Pulses.of(
            len(operation),
            operation=operation,
            amplitude=np.where(is_set, min(self.set_amplitude, spec.limits.set_voltage), level),
            width=spec.pulse_width,
            gate_voltage=np.where(is_set, level, spec.limits.gate_voltage),
            compliance=spec.limits.current,
        )


_VISIBLE = 0.25
"""1: share of the tolerance below which a change is taken for noise."""

_WHOLE = 0.98
"""1: largest relative change that a RESET is asked for, or believed."""

_SMALLEST = 1e-12
"""1: smallest relative change that a RESET is asked for."""

_TINY: Siemens = 1e-12
"""S: keeps a division by a conductance finite."""
