"""Learning what a kind of cell is like on a few of them, by pulses and readings alone.

The sequence is the same on every target; every pulse is followed by its reading:

1. The first pilot cells, the scouts, show where the window lies. RESETs whose amplitude rises from 2 V in steps of
   0.1 V until their median is below the window; SETs whose gate voltage rises from 0.4 V in steps of 0.1 V until it
   is at the upper end; RESETs whose amplitude rises from 0.5 V in steps of 0.05 V until it is at the lower end.
2. All pilot cells: one RESET 0.2 V stronger than the scouts' last; SETs at 6 gate voltages, evenly spaced over the
   window; a pause; 8 readings.
3. All pilot cells: RESETs at 8 amplitudes, evenly spaced over the window, each given twice, since how far the second
   one goes shows the softness; a pause; 8 readings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from rmhil.backend import Floats, Ints, Operation
from rmhil.errors import PopulationError
from rmhil.program_report import Outcome
from rmhil.units import Siemens, Volts
from rmhil.write_verify import pilot_fit
from rmhil.write_verify.cell_run import CellRun, Chosen
from rmhil.write_verify.levels import SET_AMPLITUDE, pulses_at
from rmhil.write_verify.pilot_fit import Series, Watch
from rmhil.write_verify.policy import Mask
from rmhil.write_verify.population import PAUSE, Population

CELLS_MIN: Final = 16
"""Cells: fewer say too little of how cells differ (the spread of 16 is known to 18 %)."""

_GOLDEN: Final = (5.0**0.5 - 1.0) / 2.0
"""1: golden section."""

_ERASING: Final = (2.0, 0.1)
_GATES: Final = (0.4, 0.1)
_AMPLITUDES: Final = (0.5, 0.05)
"""V: start and step of the scouts' ramps (estimates). The first one is to erase; the others begin where TaOx cells do
not answer yet."""

_SCOUTS: Final = 4
"""Cells: the median of four stands one that is stuck."""

_SET_LEVELS: Final = 6
_RESET_LEVELS: Final = 8
_RESET_AGAIN: Final = 2
_READS: Final = 8
"""1: pulses and readings of the sequence. Lines differ from cell to cell far more than so many points leave open."""

_DEEPER: Volts = 0.2
"""V: beyond the scouts' last RESET, so that nearly all cells start below the window (estimate, range 0.1 to 0.4)."""

_ONSET: Final = 0.1
"""1: share of the window by which the scouts must have fallen for the RESET to have begun."""

_ANSWER: Final = 0.5
"""1: share of the window that a cell must cross in both directions to be of the population."""


def pilot_order(n_cells: int) -> Ints:
    """Positions in a list of cells in the order in which they become pilot cells: spread evenly, by golden section."""
    return np.argsort((np.arange(n_cells) * _GOLDEN) % 1.0, kind="stable").astype(np.int64)


def learn(run: CellRun) -> Population:
    """Take formed cells through the sequence, and say what they are like.

    Args:
        run: its cells have been read one by one, not averaged, and those that are not CONVERGED could not be formed.

    Raises:
        PopulationError: too few cells answer, or they do not reach the ends of the window.
    """
    formed = np.flatnonzero(run.outcome == Outcome.CONVERGED).astype(np.int64)
    _refuse_few(len(formed), "conduct")
    pilot = _Pilot(run, formed)
    gates, amplitudes = pilot.scout(formed[:_SCOUTS])
    deepest = min(amplitudes[1] + _DEEPER, run.spec.limits.reset_voltage)
    pilot.pulse(formed, Operation.RESET, deepest)
    sets = pilot.series(Operation.SET, np.linspace(*gates, _SET_LEVELS))
    high = pilot.watch()
    resets = pilot.series(Operation.RESET, np.repeat(np.linspace(*amplitudes, _RESET_LEVELS), _RESET_AGAIN))
    low = pilot.watch()
    return _population(run, sets, resets, high, low)


class _Pilot:
    """The cells of a run, all pulsed alike."""

    def __init__(self, run: CellRun, cells: Chosen) -> None:
        self._run, self._cells = run, cells

    def pulse(self, chosen: Chosen, operation: Operation, level: Volts) -> None:
        """One pulse each."""
        for part in self._run.chunks(chosen):
            code, levels = np.full(len(part), operation, dtype=np.int64), np.full(len(part), level)
            self._run.transact(part, pulses_at(self._run.spec, code, levels, SET_AMPLITUDE))

    def series(self, operation: Operation, levels: Floats) -> Series:
        """Pulses at several levels in turn."""
        readings = [self._readings]
        for level in levels:
            self.pulse(self._cells, operation, float(level))
            readings.append(self._readings)
            self._run.tell()
        return Series(levels, np.array(readings[:-1]), np.array(readings[1:]))

    def watch(self) -> Watch:
        """The pause, then several readings."""
        fresh, rested = self._readings, []
        self._run.wait(PAUSE)
        for _ in range(_READS):
            for part in self._run.chunks(self._cells):
                self._run.take_reading(part)
            rested.append(self._readings)
        return Watch(fresh, np.array(rested))

    @property
    def _readings(self) -> Floats:
        return self._run.conductance[self._cells]

    def scout(self, scouts: Chosen) -> tuple[tuple[Volts, Volts], tuple[Volts, Volts]]:
        """V: gate voltages, and amplitudes, between which the window is crossed."""
        spec = self._run.spec
        low, high, limits = spec.conductance_min, spec.conductance_max, spec.limits
        self._ramp(scouts, Operation.RESET, _ERASING, limits.reset_voltage, lambda g: g < low)
        gates, rising = self._ramp(scouts, Operation.SET, _GATES, limits.gate_voltage, lambda g: g >= high)
        amplitudes, falling = self._ramp(scouts, Operation.RESET, _AMPLITUDES, limits.reset_voltage, lambda g: g <= low)
        if rising[-1] < high or falling[-1] > low:
            reached = f"{falling.min():.3g} to {rising.max():.3g} S of {low:.3g} to {high:.3g} S"
            raise PopulationError(f"the first pilot cells do not cross the window within the limits: {reached}")
        rising, falling = np.maximum.accumulate(rising), np.minimum.accumulate(falling)
        onset = falling[0] - _ONSET * (high - low)
        return (
            (float(np.interp(low, rising, gates)), float(np.interp(high, rising, gates))),
            (float(np.interp(-onset, -falling, amplitudes)), float(np.interp(-low, -falling, amplitudes))),
        )

    def _ramp(
        self,
        scouts: Chosen,
        operation: Operation,
        start_and_step: tuple[Volts, Volts],
        stop: Volts,
        there: Callable[[Siemens], bool],
    ) -> tuple[Floats, Floats]:
        """V of pulses that grow until the scouts are there, and S of their median after each."""
        start, step = start_and_step
        levels, medians = [], []
        for level in np.arange(start, stop + 0.5 * step, step):
            self.pulse(scouts, operation, min(float(level), stop))
            levels.append(float(level))
            medians.append(float(np.median(self._run.conductance[scouts])))
            if there(medians[-1]):
                break
        return np.array(levels), np.array(medians)


def _population(run: CellRun, sets: Series, resets: Series, high: Watch, low: Watch) -> Population:
    """What the cells that answered have in common."""
    spec = run.spec
    window = spec.conductance_max - spec.conductance_min
    crossed: Mask = (sets.after[-1] - sets.before[0] > _ANSWER * window) & (
        resets.before[0] - resets.after[-1] > _ANSWER * window
    )
    _refuse_few(int(crossed.sum()), "answer to pulses")
    high, low = high.of(crossed), low.of(crossed)
    noise = pilot_fit.read_noise(high, low)
    drift, drift_law = pilot_fit.drift(high, low, noise)
    reset_line, softness = pilot_fit.reset_line(resets.of(crossed), noise, window)
    pulses = int(run.pulses[Operation.SET].sum() + run.pulses[Operation.RESET].sum())
    return Population(
        conductance_min=spec.conductance_min,
        conductance_max=spec.conductance_max,
        pulse_width=spec.pulse_width,
        set_line=pilot_fit.set_line(sets.of(crossed), noise, window),
        reset_line=reset_line,
        reset_softness=softness,
        read_floor=max(noise.floor, pilot_fit.FLOOR_MIN),
        read_share=noise.share,
        pause=PAUSE,
        drift_share=drift,
        drift_spread=drift_law.floor,
        drift_spread_share=drift_law.share,
        pilot_cells=len(run.cells),
        pilot_form_pulses=int(run.pulses[Operation.FORM].sum()),
        pilot_pulses=pulses,
        pilot_reads=int(run.reads.sum() - run.pulses.sum()),
        provenance=spec.provenance,
    )


def _refuse_few(cells: int, what: str) -> None:
    if cells < CELLS_MIN:
        raise PopulationError(f"only {cells} pilot cells {what}, at least {CELLS_MIN} are needed")
