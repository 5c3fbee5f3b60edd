"""Incremental step pulse programming: the usual baseline (arXiv 2601.10037 programs its array this way).

Too low: SET pulses with a rising gate voltage. Too high: RESET pulses with a rising amplitude. Steps
are fixed and nothing is learnt. Each change of direction starts its ramp again, from the bottom or,
as an option, from somewhat below where that ramp last stood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses, Status
from rmhil.checks import whole_number
from rmhil.errors import OutOfRangeError
from rmhil.units import Seconds, Siemens, Volts
from rmhil.write_verify.levels import SET_AMPLITUDE, check_settings, highest_level, pulses_at
from rmhil.write_verify.policy import Mask, PerCell, Silence, Verdict


@dataclass(frozen=True, slots=True)
class IncrementalState(PerCell):
    """Ramp position of each cell.

    Attributes:
        spec: of the backend.
        tolerance: S.
        target: S.
        reading: S, the last one.
        before: S, reading before the last pulse.
        too_high: whether the last reading asks for a RESET.
        within: readings in a row within tolerance.
        operation: of the last pulse; -1 before the first.
        level: V, gate voltage of the last SET or amplitude of the last RESET.
        gate: V, gate voltage of the last SET; NaN before the first.
        amplitude: V, of the last RESET; NaN before the first.
        pending: whether the answer to the last pulse has yet to be noted.
        silence: strong pulses that were not answered.
    """

    spec: ArraySpec
    tolerance: Siemens
    target: Floats
    reading: Floats
    before: Floats
    too_high: Mask
    within: Ints
    operation: Ints
    gate: Floats
    amplitude: Floats
    pending: Mask
    silence: Silence


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
        step_back: 1, steps below its last level at which a ramp begins again after a change of direction; None
            starts every ramp from its bottom.
        confirm_reads: further readings in a row that must be in tolerance too: one reading alone is in tolerance
            by its noise in some per cent of the cells that are not.
        response: S, a change below this in answer to a strong pulse is no answer.
    """

    name: str = "incremental"
    set_amplitude: Volts = SET_AMPLITUDE
    gate_start: Volts = 0.75
    gate_step: Volts = 0.03
    gate_stop: Volts = 4.5
    reset_start: Volts = 0.8
    reset_step: Volts = 0.05
    step_back: float | None = None
    confirm_reads: int = 3
    response: Siemens = 1e-6

    def __post_init__(self) -> None:
        whole_number("confirm_reads", self.confirm_reads, least=0)
        volts = ("set_amplitude", "gate_start", "gate_step", "gate_stop", "reset_start", "reset_step")
        check_settings(self, dict.fromkeys(volts, "V") | {"response": "S"})
        if self.step_back is not None:
            check_settings(self, {"step_back": "steps"}, zero=True)
        if not self.gate_start <= self.gate_stop:
            raise OutOfRangeError("gate_start", self.gate_start, 0.0, self.gate_stop, "V", above=True)

    @property
    def pause(self) -> Seconds:
        """As `Policy.pause`: cells are done without one."""
        return 0.0

    def start(self, spec: ArraySpec, target: Floats, tolerance: Siemens, averages: int = 1) -> IncrementalState:
        """As `Policy.start`; every reading counts alike, however many are averaged for it."""
        n = len(target)
        unknown = np.full(n, np.nan)
        return IncrementalState(
            spec,
            tolerance,
            target,
            reading=unknown,
            before=unknown,
            too_high=np.zeros(n, dtype=bool),
            within=np.zeros(n, dtype=np.int64),
            operation=np.full(n, -1, dtype=np.int64),
            gate=unknown,
            amplitude=unknown,
            pending=np.zeros(n, dtype=bool),
            silence=Silence.none(n),
        )

    def judge(self, state: IncrementalState, conductance: Floats, status: Ints) -> tuple[IncrementalState, Ints]:
        """As `Policy.judge`: in tolerance so many times in a row."""
        normal = status == Status.NORMAL
        near = (np.abs(conductance - state.target) <= state.tolerance) & normal
        within = np.where(near, state.within + 1, 0)
        level = np.where(state.operation == Operation.SET, state.gate, state.amplitude)
        strong = state.pending & (level >= highest_level(state.spec, state.operation, self.gate_stop))
        moved = state.pending & (np.abs(conductance - state.before) > self.response)
        silence = state.silence.after(state.operation, strong, moved)
        verdict = np.select(
            [within > self.confirm_reads, near, silence.both],
            [Verdict.DONE, Verdict.READ, Verdict.STUCK],
            default=Verdict.PULSE,
        )
        following = replace(
            state,
            reading=conductance,
            too_high=(conductance > state.target) | ~normal,
            within=within,
            pending=np.zeros_like(state.pending),
            silence=silence,
        )
        return following, verdict.astype(np.int64)

    def step(self, state: IncrementalState) -> tuple[IncrementalState, Pulses]:
        """As `Policy.step`."""
        wanted = np.where(state.too_high, Operation.RESET, Operation.SET).astype(np.int64)
        operation = state.silence.choose(wanted)
        level = self._level(state, operation, probe=operation != wanted)
        is_set = operation == Operation.SET
        following = replace(
            state,
            before=state.reading,
            within=np.zeros_like(state.within),
            operation=operation,
            gate=np.where(is_set, level, state.gate),
            amplitude=np.where(is_set, state.amplitude, level),
            pending=np.ones_like(state.pending),
        )
        return following, pulses_at(state.spec, operation, level, self.set_amplitude)

    def believed(self, state: IncrementalState) -> Floats:
        """As `Policy.believed`: the last reading."""
        return state.reading

    def _level(self, state: IncrementalState, operation: Ints, probe: Mask) -> Floats:
        is_set = operation == Operation.SET
        stop = highest_level(state.spec, operation, self.gate_stop)
        first = np.where(is_set, self.gate_start, self.reset_start)
        step = np.where(is_set, self.gate_step, self.reset_step)
        last = np.where(is_set, state.gate, state.amplitude)
        if self.step_back is not None:
            first = np.fmax(first, last - self.step_back * step)  # NaN: this ramp has not been used yet
        level = np.where(operation == state.operation, last + step, first)
        return np.minimum(np.where(probe, stop, level), stop)
