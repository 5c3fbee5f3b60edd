"""A policy that learns how each cell answers, from what its population shows and from that cell's own pulses.

Two straight lines are believed of each cell, with what is uncertain of them: the conductance that a SET leaves
against its gate voltage, and the one down to which a RESET lowers against its amplitude. They start as
the `Population` has them, and every pulse of the cell sharpens them by Bayes' rule: also one that moved
nothing, which says on what side its line lies. What a cell holds is a belief as well, from every reading since its
last pulse. A cell is left when it is likely enough to be in tolerance, now and after the pause.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from rmhil.backend import ArraySpec, Floats, Ints, Operation, Pulses, Status
from rmhil.checks import whole_number
from rmhil.errors import OutOfRangeError
from rmhil.units import Seconds, Siemens, Volts
from rmhil.write_verify.levels import SET_AMPLITUDE, check_settings, highest_level, pulses_at
from rmhil.write_verify.line_fit import LineFit
from rmhil.write_verify.policy import Mask, PerCell, Silence, Verdict
from rmhil.write_verify.population import PAUSE, LinePrior, Population
from rmhil.write_verify.response import bounded, fall_share, reset_line_at


@dataclass(frozen=True, slots=True)
class AdaptiveState(PerCell):
    """What is believed of each cell.

    Attributes:
        spec: of the backend.
        population: what all cells have in common.
        tolerance: S.
        averages: readings averaged for each reading.
        target: S.
        literal: where the tolerance is finer than noise and drift: readings are then taken at their word.
        most_reads: readings after one pulse; a cell that is still unsure then is pulsed.
        mean, variance: S and S^2, conductance of the cell, from all readings since its last pulse.
        normal: whether the last reading is valid.
        reads: readings since the last pulse.
        rested: whether the pause has passed since the last pulse.
        before, before_variance: S and S^2, conductance before the last pulse; NaN where it was not known.
        operation: of the last pulse; -1 before the first.
        level: V, gate voltage of the last SET or amplitude of the last RESET.
        set_line: conductance in S against the gate voltage of a SET.
        reset_line: conductance in S against minus the amplitude of a RESET.
        unanswered: pulses of one kind in a row that were not visibly answered.
        silence: strong pulses that were not answered.
    """

    spec: ArraySpec
    population: Population
    tolerance: Siemens
    averages: int
    target: Floats
    literal: Mask
    most_reads: Ints
    mean: Floats
    variance: Floats
    normal: Mask
    reads: Ints
    rested: Mask
    before: Floats
    before_variance: Floats
    operation: Ints
    level: Floats
    set_line: LineFit
    reset_line: LineFit
    unanswered: Ints
    silence: Silence

    def noise(self, conductance: Floats) -> Floats:
        """S^2: variance of one reading, which is the mean of several if they are averaged."""
        of_reads = self.population.read_floor**2 + (self.population.read_share * conductance) ** 2
        of_reads = of_reads / self.averages
        return np.where(self.literal, (self.tolerance * _LITERAL) ** 2, of_reads)

    def scatter(self, line: LinePrior) -> Floats:
        """S^2: variance from pulse to pulse."""
        return np.where(self.literal, self.tolerance**2, line.scatter**2)

    def drift(self, conductance: Floats) -> tuple[Floats, Floats]:
        """S and S^2: by how much a cell will have changed after the pause."""
        population = self.population
        spread = population.drift_spread**2 + (population.drift_spread_share * conductance) ** 2
        return np.where(self.literal, 0.0, population.drift_share * conductance), np.where(self.literal, 0.0, spread)

    def later(self, pauses: Floats | float) -> tuple[Floats, Floats]:
        """S and S^2: the belief of each cell when it has drifted so many times as far as in the pause."""
        change, spread = self.drift(self.mean)
        return self.mean + pauses * change, self.variance + pauses**2 * spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """The adaptive policy: what it knows of the population, and how it decides.

    The numbers that decide were chosen on the simulator's `taox180` cells alone, for few pulses at 1 uS.

    Attributes:
        name: of the policy.
        population: learnt by `Crossbar.learn_population`, or kept in a file; None takes `Population.estimate`.
        set_amplitude: V on the BL during a SET (estimate, range 1.5 to 2.5).
        gate_stop: V, highest gate voltage of a SET; well above the window.
        sure: 1, probability of being in tolerance at which a rested cell is done.
        hopeful: 1, probability at which a cell is worth another reading rather than a pulse.
        most_reads: readings after one pulse; a cell that is still unsure then is pulsed. Where the tolerance asks for
            more, twice as many are allowed as make a cell on its target sure.
        set_caution: 1, how many times worse it is to end above the target by a SET than below it.
        first_raise: V, by how much at least a pulse that was not answered is outdone by the next of its kind;
            doubled each time, so that a stuck cell is soon known.
        response: S, a change below this in answer to a strong pulse is no answer.
    """

    name: str = "adaptive"
    population: Population | None = None
    set_amplitude: Volts = SET_AMPLITUDE
    gate_stop: Volts = 4.5
    sure: float = 0.995
    hopeful: float = 0.5
    most_reads: int = 3
    set_caution: float = 1.5
    first_raise: Volts = 0.02
    response: Siemens = 1e-6

    def __post_init__(self) -> None:
        whole_number("most_reads", self.most_reads, "readings")
        for name in ("sure", "hopeful"):
            share = getattr(self, name)
            if not 0.0 < share < 1.0:  # written this way, NaN fails too
                raise OutOfRangeError(name, share, 0.0, 1.0, "of 1", above=True, below=True)
        units = {"set_amplitude": "V", "gate_stop": "V", "first_raise": "V", "response": "S"}
        check_settings(self, units)
        if not 1.0 <= self.set_caution < math.inf:
            raise OutOfRangeError("set_caution", self.set_caution, 1.0, math.inf, "times")

    @property
    def pause(self) -> Seconds:
        """As `Policy.pause`."""
        return PAUSE if self.population is None else self.population.pause

    def start(self, spec: ArraySpec, target: Floats, tolerance: Siemens, averages: int = 1) -> AdaptiveState:
        """As `Policy.start`. A cell that was not pulsed yet has rested.

        Raises:
            PopulationError: the population is of another window, or of other pulses.
        """
        n = len(target)
        population = self.population or Population.estimate(spec)
        population.check_fits(spec)
        state = AdaptiveState(
            spec,
            population,
            tolerance,
            averages,
            target,
            literal=np.zeros(n, dtype=bool),
            most_reads=np.full(n, self.most_reads),
            mean=np.full(n, np.nan),
            variance=np.full(n, np.nan),
            normal=np.ones(n, dtype=bool),
            reads=np.zeros(n, dtype=np.int64),
            rested=np.ones(n, dtype=bool),
            before=np.full(n, np.nan),
            before_variance=np.full(n, np.nan),
            operation=np.full(n, -1, dtype=np.int64),
            level=np.zeros(n),
            set_line=LineFit.prior(n, population.set_line),
            reset_line=LineFit.prior(n, population.reset_line),
            unanswered=np.zeros(n, dtype=np.int64),
            silence=Silence.none(n),
        )
        needed = self._reads_in_the_middle(state)
        literal = (tolerance < np.sqrt(state.noise(target) + state.drift(target)[1])) | (needed > _READS_WORTH)
        allowed = np.where(literal, self.most_reads, np.maximum(self.most_reads, _READS_MARGIN * needed))
        return replace(state, literal=literal, most_reads=allowed.astype(np.int64))

    def _reads_in_the_middle(self, state: AdaptiveState) -> Floats:
        """1: readings, one before the pause and the others after it, that make a cell on its target sure."""
        noise, drift = state.noise(state.target), state.drift(state.target)[1]
        enough = (state.tolerance / ndtri((1.0 + self.sure) / 2.0)) ** 2 - _AFTER**2 * drift  # S^2, of a belief
        with np.errstate(divide="ignore"):
            more = noise * (1.0 / np.maximum(enough, 0.0) - 1.0 / (noise + drift))
        return 1.0 + np.ceil(np.maximum(more, 0.0))

    def judge(self, state: AdaptiveState, conductance: Floats, status: Ints) -> tuple[AdaptiveState, Ints]:
        """As `Policy.judge`: by the probability that the cell is in tolerance once it has rested."""
        state = self._take_in(state, conductance, status)
        mean, variance = state.later(np.where(state.rested, _AFTER, 1.0 + _AFTER))
        off, sigma = mean - state.target, np.sqrt(variance)
        chance = ndtr((state.tolerance - off) / sigma) - ndtr((-state.tolerance - off) / sigma)
        hopeful = state.normal & (chance >= self.hopeful)
        verdict = np.full(len(off), Verdict.PULSE, dtype=np.int64)
        verdict[state.silence.both] = Verdict.STUCK
        verdict[hopeful & state.rested & (state.reads < state.most_reads)] = Verdict.READ
        verdict[hopeful & state.rested & (chance >= self.sure)] = Verdict.DONE
        rests = hopeful & ~state.rested
        verdict[rests] = Verdict.REST
        mean, variance = state.later(1.0)
        following = replace(
            state,
            mean=np.where(rests, mean, state.mean),
            variance=np.where(rests, variance, state.variance),
            rested=state.rested | rests,
        )
        return following, verdict

    def _take_in(self, state: AdaptiveState, conductance: Floats, status: Ints) -> AdaptiveState:
        """The belief of each cell after one more reading, and whether its last pulse was answered at all."""
        noise, first = state.noise(conductance), state.reads == 0
        gain = np.where(first, 1.0, state.variance / (state.variance + noise))
        mean = np.where(first, conductance, state.mean + gain * (conductance - state.mean))
        stop = highest_level(state.spec, state.operation, self.gate_stop)
        strong = first & (state.operation >= 0) & (state.level >= stop)
        moved = first & (np.abs(conductance - state.before) > self.response)
        return replace(
            state,
            mean=mean,
            variance=np.where(first, noise, (1.0 - gain) * state.variance),
            normal=status == Status.NORMAL,
            reads=state.reads + 1,
            silence=state.silence.after(state.operation, strong, moved),
        )

    def step(self, state: AdaptiveState) -> tuple[AdaptiveState, Pulses]:
        """As `Policy.step`: learn from the last pulse, and aim the next one."""
        state = _learn(state)
        too_high = (state.mean > state.target) | ~state.normal
        wanted = np.where(too_high, Operation.RESET, Operation.SET).astype(np.int64)
        operation = state.silence.choose(wanted)
        stop = highest_level(state.spec, operation, self.gate_stop)
        level = np.where(operation == wanted, np.minimum(self._level(state, operation), stop), stop)
        following = replace(
            state,
            before=np.where(state.normal, state.mean, np.nan),
            before_variance=state.variance,
            operation=operation,
            level=level,
            unanswered=np.where(operation == state.operation, state.unanswered, 0),
            reads=np.zeros_like(state.reads),
            rested=np.zeros_like(state.rested),
        )
        return following, pulses_at(state.spec, operation, level, self.set_amplitude)

    def believed(self, state: AdaptiveState) -> Floats:
        """As `Policy.believed`: the mean of the readings since the last pulse, moved by the drift of the pause."""
        return state.mean

    def _level(self, state: AdaptiveState, operation: Ints) -> Floats:
        """V: where the line is at the aim; never below the last pulse if that one did not go far enough."""
        aim = np.where(
            state.literal, state.target, state.target / (1.0 + (1.0 + _AFTER) * state.population.drift_share)
        )
        is_set = operation == Operation.SET
        level = np.maximum(np.where(is_set, self._gate(state, aim), _amplitude(state, aim)), 0.0)
        louder = state.level + self.first_raise * 2.0 ** (state.unanswered - 1)
        again = (operation == state.operation) & (state.unanswered > 0)
        return np.where(again, np.maximum(level, louder), level)

    def _gate(self, state: AdaptiveState, aim: Floats) -> Floats:
        """V of a SET: below the aim by as much as ending above it is worse, at most by a standard deviation."""
        line = state.set_line
        variance = line.variance(line.solve(aim)) + state.scatter(state.population.set_line)
        guard = np.sqrt(state.noise(aim) + state.drift(aim)[1])
        band = np.maximum(state.tolerance - _GUARD * guard, _BAND_MIN * state.tolerance)
        below = np.minimum(variance * np.log(self.set_caution) / (2.0 * band), np.sqrt(variance))
        return line.solve(aim - below)


def _amplitude(state: AdaptiveState, aim: Floats) -> Floats:
    """V of a RESET that lowers each cell to its aim."""
    softness = state.population.reset_softness
    fall = np.maximum(state.mean - aim, _FALL_MIN * softness)
    return -state.reset_line.solve(reset_line_at(state.mean, fall, softness))


def _learn(state: AdaptiveState) -> AdaptiveState:
    """Sharpen the line of the last pulse's kind."""
    noise = state.variance + state.before_variance
    clear = _VISIBLE * np.sqrt(noise)
    change = state.mean - state.before
    known = state.normal & ~np.isnan(state.before)
    is_set, is_reset = state.operation == Operation.SET, state.operation == Operation.RESET
    rose, fell = is_set & (change > clear), is_reset & (change < -clear)
    return replace(
        state,
        set_line=_after_set(state, noise, rose, is_set & known),
        reset_line=_after_reset(state, noise, np.maximum(-change, clear), fell, is_reset & known),
        unanswered=np.where(rose | fell, 0, state.unanswered + (state.operation >= 0)),
    )


def _after_set(state: AdaptiveState, noise: Floats, rose: Mask, seen: Mask) -> LineFit:
    """A cell that rose shows its line; one that did not has it no higher than where it is."""
    line, x = state.set_line, state.level
    scatter = state.scatter(state.population.set_line) + noise
    highest = np.maximum(state.mean, state.before)
    bound, left = bounded(line.at(x), line.variance(x) + scatter, highest)
    return line.observe(x, np.where(rose, state.mean, bound), scatter, np.where(rose, 0.0, left), seen)


def _after_reset(state: AdaptiveState, noise: Floats, fall: Floats, fell: Mask, seen: Mask) -> LineFit:
    """A cell that fell shows its line; one that did not has it no lower than where a fall would be seen."""
    line, x, softness = state.reset_line, -state.level, state.population.reset_softness
    reached = reset_line_at(state.before, fall, softness)
    scatter = state.scatter(state.population.reset_line) + noise / fall_share(fall, softness) ** 2
    bound, left = bounded(-line.at(x), line.variance(x) + scatter, -reached)
    return line.observe(x, np.where(fell, reached, -bound), scatter, np.where(fell, 0.0, left), seen)


_AFTER = 0.4
"""1: drift that is allowed for after the pause, as a share of that during it. Drift goes with the logarithm of time:
from some milliseconds to a second are two and a half decades, and this is one more."""

_READS_MARGIN = 2
"""1: a cell off its target needs more readings than one on it. Twice as many are allowed."""

_READS_WORTH = 10
"""1: where a cell on its target would need more readings than this, they are taken at their word."""

_VISIBLE = 2.0
"""1: standard deviations by which a reading must differ from the one before for a pulse to count as answered."""

_GUARD = 2.0
"""1: standard deviations of noise and drift by which the band that a pulse aims at is narrower than the tolerance."""

_BAND_MIN = 0.25
"""1: that band is never narrower than this share of the tolerance."""

_FALL_MIN = 0.01
"""1: smallest fall that a RESET aims at, as a share of the softness."""

_LITERAL = 0.25
"""1: noise that is assumed where readings are taken at their word, as a share of the tolerance."""
