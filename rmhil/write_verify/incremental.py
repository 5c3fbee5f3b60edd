"""Incremental step pulse programming: the usual baseline (arXiv 2601.10037 programs its array this way).

Too low: SET pulses with a rising gate voltage. Too high: RESET pulses with a rising amplitude. Each
change of direction starts its ramp again from the bottom. Steps are fixed and nothing is learnt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses, Status
from rmhil.units import Siemens, Volts
from rmhil.write_verify.levels import highest_level, pulses_at
from rmhil.write_verify.policy import Mask, PerCell, Silence


@dataclass(frozen=True, slots=True)
class IncrementalState(PerCell):
    """Ramp position of each cell.

    Attributes:
        spec: of the backend.
        target: S.
        before: S, reading before the last pulse.
        operation: of the last pulse; -1 before the first.
        level: V, gate voltage of the last SET or amplitude of the last RESET.
        silence: strong pulses that were not answered.
    """

    spec: ArraySpec
    target: Floats
    before: Floats
    operation: Ints
    level: Floats
    silence: Silence

    @property
    def stuck(self) -> Mask:
        """As `PolicyState.stuck`."""
        return self.silence.both


@dataclass(frozen=True, slots=True, kw_only=True)
class Incremental:
    """The incremental policy and its fixed settings (estimates for 1T1R TaOx cells, to suit any chip of the window).

    Attributes:
        name: of the policy.
        set_amplitude: V on the BL during a SET (estimate, range 1.5 to 2.5).
        gate_start, gate_step, gate_stop: V, the gate ramp of a SET: from about the transistor's threshold
            in steps of about 1 uS, as fine as the tightest usual tolerance, to well above the window (estimate,
            step 0.02 to 0.05; coarser steps take fewer pulses).
        reset_start, reset_step: V, the amplitude ramp of a RESET, up to the limit of the spec (estimate).
        response: S, a change below this in answer to a strong pulse is no answer.
    """

    name: str = "incremental"
    set_amplitude: Volts = 2.0
    gate_start: Volts = 0.9
    gate_step: Volts = 0.03
    gate_stop: Volts = 4.0
    reset_start: Volts = 0.8
    reset_step: Volts = 0.05
    response: Siemens = 1e-6

    def start(self, spec: ArraySpec, target: Floats, tolerance: Siemens, conductance: Floats) -> IncrementalState:
        """As `Policy.start`."""
        n = len(target)
        none = np.full(n, -1, dtype=np.int64)
        return IncrementalState(spec, target, conductance, none, np.zeros(n), Silence.none(n))

    def step(self, state: IncrementalState, conductance: Floats, status: Ints) -> tuple[IncrementalState, Pulses]:
        """As `Policy.step`."""
        moved = np.abs(conductance - state.before) > self.response
        strong = (state.operation >= 0) & (state.level >= highest_level(state.spec, state.operation, self.gate_stop))
        silence = state.silence.after(state.operation, strong, moved)
        too_high = (conductance > state.target) | (status != Status.NORMAL)
        wanted = np.where(too_high, Operation.RESET, Operation.SET).astype(np.int64)
        operation = silence.choose(wanted)
        level = self._level(state, operation, probe=operation != wanted)
        following = IncrementalState(state.spec, state.target, conductance, operation, level, silence)
        return following, pulses_at(state.spec, operation, level, self.set_amplitude)

    def _level(self, state: IncrementalState, operation: Ints, probe: Mask) -> Floats:
        is_set = operation == Operation.SET
        stop = highest_level(state.spec, operation, self.gate_stop)
        first = np.where(is_set, self.gate_start, self.reset_start)
        following = state.level + np.where(is_set, self.gate_step, self.reset_step)
        level = np.where(operation == state.operation, following, first)
        return np.minimum(np.where(probe, stop, level), stop)
