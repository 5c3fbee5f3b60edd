"""The ledger: events of the hardware and of the digital side, counted where they happen.

A `Ledger` only counts. What a count costs is the business of `rmhil.cost`, except for three energies
that are measured with the event itself (volts times amperes times seconds at the array's terminals).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from rmhil.backend import ArraySpec, Lines, Operation, Pulses, Read, Readings, Trace
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError, UnknownNameError
from rmhil.units import Joules, Seconds
from rmhil.wiring import Wiring

READ_SECONDS: Final[Seconds] = 1e-3
"""s a cell is biased for one reading of an SMU (estimate, range 0.1e-3 to 20e-3: a sample of the B1500A's high-speed
converter with its command, up to one cycle of the power line)."""

DEPLOYMENT: Final = "deployment"
"""The mark that is set once the pretrained weights are on the array; later RM pulses are counted from it."""

MacKind: TypeAlias = Literal["lora", "digital"]

_PULSE_FIELDS: Final = {
    Operation.FORM: "form_pulses",
    Operation.SET: "set_pulses",
    Operation.RESET: "reset_pulses",
}
_MAC_FIELDS: Final[dict[str, str]] = {"lora": "lora_macs", "digital": "digital_macs"}
_JOULES: Final = ("pulse_energy", "unsensed_energy", "read_energy", "sweep_energy", "array_energy")
_SECONDS: Final = ("dac_time", "tia_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was counted between two moments. Counts add and subtract field by field.

    Attributes:
        form_pulses, set_pulses, reset_pulses: programming pulses of each kind.
        pulse_energy: J in the pulses whose current was sensed: V x I x t at the array's terminals.
        unsensed_pulses: those of the pulses whose current was not sensed.
        unsensed_energy: J in these, estimated from the conductance read after the pulse.
        reads: readings of single cells; an average of n counts n.
        read_energy: J in these readings.
        sweep_steps, sweep_energy: steps of bias sweeps, and J in them.
        mvms: vectors multiplied by an array, whatever number of passes each took.
        passes: analogue passes of these.
        analog_macs: cells that took part, summed over all MVMs.
        dac_conversions, adc_conversions: levels set and currents converted, each pass by itself.
        array_energy: J in the cells during MVMs.
        dac_time, tia_time: s that a driven DAC channel or a sensing amplifier was in use, summed over channels.
        sram_bits_read, sram_bits_written: bits of adapters.
        lora_macs, digital_macs: multiply-accumulates done digitally, in adapters and in layers left digital.
        training_steps: optimiser steps.
        parameter_updates: values that these steps have changed, summed over the steps.
    """

    form_pulses: int = 0
    set_pulses: int = 0
    reset_pulses: int = 0
    pulse_energy: Joules = 0.0
    unsensed_pulses: int = 0
    unsensed_energy: Joules = 0.0
    reads: int = 0
    read_energy: Joules = 0.0
    sweep_steps: int = 0
    sweep_energy: Joules = 0.0
    mvms: int = 0
    passes: int = 0
    analog_macs: int = 0
    dac_conversions: int = 0
    adc_conversions: int = 0
    array_energy: Joules = 0.0
    dac_time: Seconds = 0.0
    tia_time: Seconds = 0.0
    sram_bits_read: int = 0
    sram_bits_written: int = 0
    lora_macs: int = 0
    digital_macs: int = 0
    training_steps: int = 0
    parameter_updates: int = 0

    @property
    def pulses(self) -> int:
        """Programming pulses of every kind: the RM writes."""
        return self.form_pulses + self.set_pulses + self.reset_pulses

    @property
    def programming_energy(self) -> Joules:
        """J in all pulses, sensed and estimated."""
        return self.pulse_energy + self.unsensed_energy

    @property
    def trained_parameters(self) -> float:
        """Values changed by one optimiser step, averaged over the steps; 0 where there was none."""
        return self.parameter_updates / self.training_steps if self.training_steps else 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    def __sub__(self, other: Counts) -> Counts:
        return Counts(**{name: value - getattr(other, name) for name, value in asdict(self).items()})

    def to_dict(self) -> dict[str, int | float]:
        """A plain dictionary for JSON; keys of energies end in `_j`, of times in `_s`."""
        return {_KEYS[name]: value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, int | float]) -> Self:
        """The counts that `to_dict` wrote.

        Raises:
            ConfigError: a count is missing, unknown, not a number or negative.
        """
        if set(data) != set(_KEYS.values()):
            odd = sorted(set(data) ^ set(_KEYS.values()))
            raise ConfigError(f"not the counts of a ledger: missing or unknown {', '.join(odd)}")
        values: dict[str, int | float] = {}
        for name, key in _KEYS.items():
            value, physical = data[key], key != name
            number = isinstance(value, (int, float) if physical else int) and not isinstance(value, bool)
            if not number or not value >= 0:
                raise ConfigError(f"not the counts of a ledger: {key} = {value!r}")
            values[name] = float(value) if physical else value
        return cls(**values)  # type: ignore[arg-type]  # each value has the type of its field


_KEYS: Final[dict[str, str]] = {
    field.name: field.name + ("_j" if field.name in _JOULES else "_s" if field.name in _SECONDS else "")
    for field in fields(Counts)
}


def pass_seconds(wiring: Wiring, sensed: int) -> Seconds:
    """Time of one analogue pass in s: the DACs settle, then each ADC converts the lines it shares, one by one.

    The next vector is not overlapped with the conversion of the last, so this is the upper bound of the board.
    """
    return wiring.dac_settling + -(-sensed // wiring.adc_count) * wiring.adc_conversion


def mvm_array_energy(spec: ArraySpec, voltages: ArrayLike, line_conductance: ArrayLike, sensed: int) -> Joules:
    """Energy in J that MVMs leave in the cells: the sum of V^2 G t, each cell biased for one pass.

    The drop along the lines is left out, so this is an upper bound.

    Args:
        spec: the target, for the time of a pass.
        voltages: V, shape `(arrays, vectors, driven BLs)`.
        line_conductance: S, shape `(arrays, driven BLs)`: from each BL to all sensed SLs together.
        sensed: how many SLs those are.

    Raises:
        ShapeError: arrays or BLs of the two differ.
    """
    volts = np.asarray(voltages, dtype=np.float64)
    siemens = np.asarray(line_conductance, dtype=np.float64)
    if siemens.ndim != 2 or volts.ndim != 3 or (volts.shape[0], volts.shape[2]) != siemens.shape:
        raise ShapeError("voltages", volts.shape, f"(arrays, vectors, driven BLs) for lines of {siemens.shape}")
    squares = np.square(volts).sum(axis=1)
    return float(np.vdot(squares, siemens)) * pass_seconds(spec.wiring, min(sensed, spec.wiring.sl_channels))


class Ledger:
    """Counts of everything that happened on one or several arrays that work together.

    A ledger belongs to the hardware: a copy of a model that runs on it shares the ledger, as `copy` and
    `deepcopy` return the ledger itself. `counts` is a snapshot.
    """

    def __init__(self) -> None:
        self._now: dict[str, int | float] = asdict(Counts())
        self._marks: dict[str, Counts] = {}

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __repr__(self) -> str:
        return f"Ledger({self.counts.pulses} pulses, {self.counts.mvms} MVMs, marks {list(self._marks)})"

    @property
    def counts(self) -> Counts:
        """Everything so far."""
        return Counts(**self._now)  # type: ignore[arg-type]  # the fields of Counts by construction

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the moments that were marked, in the order of their first marking."""
        return tuple(self._marks)

    def count_pulses(self, pulses: Pulses, readings: Readings) -> None:
        """Count programming pulses by kind, with V x I x t of each.

        A pulse whose current was not sensed (NaN) is counted apart, with V^2 G t of the conductance that was
        read after it, or V x compliance x t where that is smaller or the reading is not a conductance.
        """
        if len(pulses) != len(readings.pulse_current):
            raise ShapeError("readings", readings.pulse_current.shape, f"({len(pulses)},), one a pulse")
        for operation, name in _PULSE_FIELDS.items():
            self._now[name] += int(np.count_nonzero(pulses.operation == operation))
        sensed = np.isfinite(readings.pulse_current)
        dose = pulses.amplitude * pulses.width
        self._now["pulse_energy"] += float(np.sum(dose[sensed] * np.abs(readings.pulse_current[sensed])))
        if not sensed.all():
            ohmic = np.abs(pulses.amplitude * readings.conductance)
            guess = np.fmin(ohmic, pulses.compliance)
            self._now["unsensed_pulses"] += int(np.count_nonzero(~sensed))
            self._now["unsensed_energy"] += float(np.sum((dose * guess)[~sensed]))

    def count_reads(self, read: Read, readings: Readings, seconds_each: Seconds = READ_SECONDS) -> None:
        """Count the verify reads of one `apply`, with V x I x t of each; `seconds_each` is s for one reading."""
        seconds = _whole("averages", read.averages) * seconds_each
        self._now["reads"] += len(readings.current) * read.averages
        self._now["read_energy"] += float(np.nansum(np.abs(readings.current)) * abs(read.voltage) * seconds)

    def count_sweep(self, trace: Trace) -> None:
        """Count the steps of a bias sweep, with V x I x t of each."""
        volts = np.abs(trace.biases.bl - trace.biases.sl)
        self._now["sweep_steps"] += len(trace.biases)
        self._now["sweep_energy"] += float(np.nansum(volts * np.abs(trace.current)) * trace.biases.dwell)

    def count_mvm(
        self,
        spec: ArraySpec,
        vectors: int,
        bl: Lines = None,
        sl: Lines = None,
        n_arrays: int = 1,
        array_energy: Joules = 0.0,
    ) -> None:
        """Count the MVMs of one call, as many passes each as the wiring needs.

        Args:
            spec: the target; its wiring says which lines share a pass.
            vectors: vectors given to each array.
            bl: lines driven; None means all.
            sl: lines sensed; None means all.
            n_arrays: arrays that took part.
            array_energy: J in the cells, e.g. from `mvm_array_energy`.
        """
        repeats = _whole("vectors", vectors) * _whole("n_arrays", n_arrays)
        passes = spec.passes(bl, sl)
        self._now["mvms"] += repeats
        self._now["passes"] += repeats * len(passes)
        for each in passes:
            driven, sensed, seconds = len(each.bl), len(each.sl), pass_seconds(spec.wiring, len(each.sl))
            self._now["analog_macs"] += repeats * driven * sensed
            self._now["dac_conversions"] += repeats * driven
            self._now["adc_conversions"] += repeats * sensed
            self._now["dac_time"] += repeats * driven * seconds
            self._now["tia_time"] += repeats * sensed * seconds
        self._now["array_energy"] += float(array_energy)

    def count_sram(self, *, bits_read: int = 0, bits_written: int = 0) -> None:
        """Count bits of adapters read from and written to SRAM."""
        self._now["sram_bits_read"] += _whole("bits_read", bits_read)
        self._now["sram_bits_written"] += _whole("bits_written", bits_written)

    def count_macs(self, count: int, kind: MacKind) -> None:
        """Count digital multiply-accumulates: `lora` in adapters, `digital` in layers that are not on an array."""
        if kind not in _MAC_FIELDS:
            raise UnknownNameError("kind of MAC", kind, list(_MAC_FIELDS))
        self._now[_MAC_FIELDS[kind]] += _whole("count", count)

    def count_training(self, parameters: int, steps: int) -> None:
        """Count optimiser steps, each of which changes `parameters` values."""
        self._now["training_steps"] += _whole("steps", steps)
        self._now["parameter_updates"] += _whole("parameters", parameters) * steps

    def mark(self, name: str) -> None:
        """Name this moment; a name that was used before moves here."""
        self._marks[name] = self.counts

    def since(self, name: str) -> Counts:
        """What was counted since a mark.

        Raises:
            UnknownNameError: there is no such mark.
        """
        return self.counts - self._at(name)

    def between(self, start: str, end: str) -> Counts:
        """What was counted from one mark to a later one.

        Raises:
            UnknownNameError: there is no such mark.
        """
        return self._at(end) - self._at(start)

    @property
    def pulses_since_deployment(self) -> int | None:
        """RM pulses since the mark `deployment`; None before it is set."""
        return self.since(DEPLOYMENT).pulses if DEPLOYMENT in self._marks else None

    def summary(self) -> str:
        """A table of the counts as text, one a line."""
        now = self.counts
        since = self.pulses_since_deployment
        after = [] if since is None else [("RM pulses since deployment", f"{since:,}")]
        rows = [
            ("RM pulses (FORM / SET / RESET)", f"{now.form_pulses:,} / {now.set_pulses:,} / {now.reset_pulses:,}"),
            *after,
            ("  energy of pulses", f"{now.pulse_energy:.3g} J"),
            ("  not sensed, energy estimated", f"{now.unsensed_pulses:,}, {now.unsensed_energy:.3g} J"),
            ("cell reads", f"{now.reads:,}, {now.read_energy:.3g} J"),
            ("sweep steps", f"{now.sweep_steps:,}, {now.sweep_energy:.3g} J"),
            ("MVMs (analogue passes)", f"{now.mvms:,} ({now.passes:,}), {now.array_energy:.3g} J in the cells"),
            ("conversions DAC / ADC", f"{now.dac_conversions:,} / {now.adc_conversions:,}"),
            ("MACs analogue / LoRA / digital", f"{now.analog_macs:,} / {now.lora_macs:,} / {now.digital_macs:,}"),
            ("SRAM bits read / written", f"{now.sram_bits_read:,} / {now.sram_bits_written:,}"),
            ("training steps (values updated)", f"{now.training_steps:,} ({now.parameter_updates:,})"),
        ]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name + ':':<{width + 1}} {value}" for name, value in rows)

    def to_dict(self) -> dict[str, dict[str, int | float] | dict[str, dict[str, int | float]]]:
        """A plain dictionary for JSON: `counts`, and `marks` by name."""
        return {
            "counts": self.counts.to_dict(),
            "marks": {name: counts.to_dict() for name, counts in self._marks.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """The ledger that `to_dict` wrote.

        Raises:
            ConfigError: it is not a ledger.
        """
        counts, marks = data.get("counts"), data.get("marks")
        if not isinstance(counts, Mapping) or not isinstance(marks, Mapping):
            raise ConfigError("not a ledger: it needs 'counts' and 'marks'")
        ledger = cls()
        ledger._now = asdict(Counts.from_dict(counts))
        for name, marked in marks.items():
            if not isinstance(marked, Mapping):
                raise ConfigError(f"not a ledger: mark {name!r} holds no counts")
            ledger._marks[str(name)] = Counts.from_dict(marked)
        return ledger

    def _at(self, name: str) -> Counts:
        if name not in self._marks:
            raise UnknownNameError("mark", name, list(self._marks))
        return self._marks[name]


def _whole(name: str, value: int) -> int:
    if not value >= 0:
        raise OutOfRangeError(name, float(value), 0, float("inf"), "")
    return int(value)
