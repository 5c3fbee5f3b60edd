"""A policy that learns how each cell answers, from that cell's own pulses.

Two straight lines are learnt for each cell: the conductance that a SET leaves against its gate voltage,
and the one that a RESET leaves against its amplitude. Too low: SET at the gate voltage whose line is at
the target. Too high: RESET at the amplitude whose line is there. A SET only raises and a RESET only
lowers a cell, so one that did not move says no more than that its level lies on the other side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses, Status
from rmhil.units import Siemens, Volts
from rmhil.write_verify.levels import highest_level, pulses_at
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
        reset_line: conductance in S against minus the amplitude of a RESET.
        unanswered: pulses of one kind in a row that were not visibly answered.
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
    unanswered: Ints
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
        gate_slope: S/V by which a higher gate voltage raises it, and its standard deviation.
        gate_stop: V, highest gate voltage of a SET; well above the window.
        reset_origin: V, where the first guess of a RESET holds.
        reset_level: S, conductance that a RESET at `reset_origin` leaves, and its standard deviation.
        reset_slope: S/V by which a higher amplitude lowers it, and its standard deviation.
        first_raise: V, by how much at least a pulse that was not answered is outdone by the next of its kind;
            doubled each time, so that a stuck cell is soon known.
        response: S, a change below this in answer to a strong pulse is no answer.
    """

    name: str = "adaptive"
    set_amplitude: Volts = 2.0
    gate_origin: Volts = 2.0
    gate_level: tuple[Siemens, Siemens] = (40e-6, 15e-6)
    gate_slope: tuple[float, float] = (32e-6, 10e-6)
    gate_stop: Volts = 4.0
    reset_origin: Volts = 1.5
    reset_level: tuple[Siemens, Siemens] = (45e-6, 15e-6)
    reset_slope: tuple[float, float] = (70e-6, 25e-6)
    first_raise: Volts = 0.02
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
            set_line=_first_guess(n, self.gate_origin, self.gate_level, self.gate_slope),
            reset_line=_first_guess(n, -self.reset_origin, self.reset_level, self.reset_slope),
            unanswered=np.zeros(n, dtype=np.int64),
            silence=Silence.none(n),
        )

    def step(self, state: AdaptiveState, conductance: Floats, status: Ints) -> tuple[AdaptiveState, Pulses]:
        """As `Policy.step`."""
        state = self._learn(state, conductance, status)
        too_high = (conductance > state.target) | (status != Status.NORMAL)
        wanted = np.where(too_high, Operation.RESET, Operation.SET).astype(np.int64)
        operation = state.silence.choose(wanted)
        stop = highest_level(state.spec, operation, self.gate_stop)
        level = np.where(operation == wanted, np.minimum(self._level(state, operation), stop), stop)
        unanswered = np.where(operation == state.operation, state.unanswered, 0)
        following = replace(state, before=conductance, operation=operation, level=level, unanswered=unanswered)
        return following, pulses_at(state.spec, operation, level, self.set_amplitude)

    def _level(self, state: AdaptiveState, operation: Ints) -> Floats:
        """V: where the line is at the target; never below the last pulse if that one did not go far enough."""
        gate, amplitude = state.set_line.solve(state.target), -state.reset_line.solve(state.target)
        level = np.maximum(np.where(operation == Operation.SET, gate, amplitude), 0.0)
        louder = state.level + self.first_raise * 2.0 ** (state.unanswered - 1)
        again = (operation == state.operation) & (state.unanswered > 0)
        return np.where(again, np.maximum(level, louder), level)

    def _learn(self, state: AdaptiveState, conductance: Floats, status: Ints) -> AdaptiveState:
        change = conductance - state.before
        visible = state.tolerance * _VISIBLE
        normal = status == Status.NORMAL
        is_set, is_reset = state.operation == Operation.SET, state.operation == Operation.RESET
        answered = normal & ((is_set & (change > visible)) | (is_reset & (change < -visible)))
        rose = is_set & (answered | (normal & (state.set_line.at(state.level) > conductance)))
        fell = is_reset & (answered | (normal & (state.reset_line.at(-state.level) < conductance)))
        strong = (state.operation >= 0) & (state.level >= highest_level(state.spec, state.operation, self.gate_stop))
        return replace(
            state,
            set_line=self._observe(state, state.set_line, state.level, conductance, rose),
            reset_line=self._observe(state, state.reset_line, -state.level, conductance, fell),
            unanswered=np.where(answered, 0, state.unanswered + (state.operation >= 0)),
            silence=state.silence.after(state.operation, strong, np.abs(change) > self.response),
        )

    def _observe(self, state: AdaptiveState, line: LineFit, x: Floats, conductance: Floats, seen: Mask) -> LineFit:
        """Differences below the tolerance do not matter, so it stands for the spread of an observation."""
        variance = np.full(len(conductance), state.tolerance**2)
        return line.observe(x, conductance, variance, seen)


def _first_guess(n_cells: int, origin: Volts, level: tuple[float, float], slope: tuple[float, float]) -> LineFit:
    return LineFit.prior(n_cells, origin, level, slope, slope_min=slope[0] * _SLOPE_SHARE)


_VISIBLE = 0.25
"""1: share of the tolerance below which a change is taken for noise."""

_SLOPE_SHARE = 0.25
"""1: a slope is never taken to be smaller than this share of the first guess."""
