"""What a fit found: each parameter with its interval and source, what was not determined, residuals, and the preset."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmhil.backend import Floats
from sim_backend.fit.statistics import Spread
from sim_backend.presets import DevicePreset

_SIGMA = 1.959964
"""1: standard errors on either side of a 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One parameter of the population.

    Attributes:
        name: field of `DevicePreset`.
        value: in the field's unit.
        low, high: 95 % interval.
        source: what determined it.
        count: data (cells, pulses or sweeps, as the source says).
        kept: what the start preset had.
    """

    name: str
    value: float
    low: float
    high: float
    source: str
    count: int
    kept: float

    @classmethod
    def normal(cls, name: str, value: float, error: float, source: str, count: int, kept: float) -> Estimate:
        """An estimate with a standard error in its unit."""
        low, high = value - _SIGMA * error, value + _SIGMA * error
        return cls(name=name, value=value, low=low, high=high, source=source, count=count, kept=kept)

    @classmethod
    def positive(cls, name: str, value: float, relative: float, source: str, count: int, kept: float) -> Estimate:
        """An estimate with a relative standard error, the interval even in the logarithm."""
        factor = math.exp(_SIGMA * relative)
        return cls(
            name=name, value=value, low=value / factor, high=value * factor, source=source, count=count, kept=kept
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How well one part of the data is described.

    Attributes:
        part: of the data, e.g. `SET levels`.
        cell: name of the cell of each datum.
        measured, modelled: in `unit`.
        expected: standard deviation that the model gives each difference.
        along: what the data are drawn against, and its label.
        label: of `along`.
        unit: of `measured`.
    """

    part: str
    cell: Any
    measured: Floats
    modelled: Floats
    expected: Floats
    along: Floats
    label: str
    unit: str = "S"

    @property
    def rms(self) -> float:
        """Root mean square of measured minus modelled."""
        return float(((self.measured - self.modelled) ** 2).mean() ** 0.5)

    @property
    def scaled_rms(self) -> float:
        """The same in expected standard deviations: 1 where the model says what the data do."""
        return float((((self.measured - self.modelled) / self.expected) ** 2).mean() ** 0.5)

    def worst(self, count: int = 3) -> list[tuple[str, float]]:
        """Cells with the largest scaled rms."""
        scaled = ((self.measured - self.modelled) / self.expected) ** 2
        names = sorted(set(self.cell))
        each = [(str(name), float(scaled[self.cell == name].mean() ** 0.5)) for name in names]
        return sorted(each, key=lambda one: -one[1])[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """The result of `fit_cell`.

    Attributes:
        preset: start preset with every determined parameter replaced.
        start: name of the start preset.
        estimates: determined parameters by name.
        undetermined: parameters that keep the start preset's value -> why.
        residuals: by part of the data.
        notes: what else there is to know: cells left out, columns not used.
    """

    preset: DevicePreset
    start: str
    estimates: Mapping[str, Estimate]
    undetermined: Mapping[str, str]
    residuals: Sequence[Residual]
    notes: Sequence[str]

    def __getitem__(self, name: str) -> Estimate:
        return self.estimates[name]

    def write_preset(self, path: str | Path) -> Path:
        """Write the preset as TOML; `open_backend("sim", preset=path)` opens chips of such cells.

        Raises:
            InputFileError: the file cannot be written.
        """
        from rmhil.errors import InputFileError
        from sim_backend.preset_file import write_preset

        target = Path(path)
        remarks = [f"Fitted by rmhil from measured tables, starting from {self.start}; SI units."]
        remarks += [
            f"{one.name}: 95 % from {one.low:.4g} to {one.high:.4g} ({one.source})" for one in self.estimates.values()
        ]
        remarks += [f"{name}: not determined, as {self.start} ({why})" for name, why in self.undetermined.items()]
        try:
            write_preset(self.preset, target, remarks)
        except OSError as error:
            raise InputFileError(f"{target} cannot be written: {error.strerror}") from error
        return target

    def to_dict(self) -> dict[str, Any]:
        """Everything but the data, as plain values."""
        return {
            "preset": self.preset.model_dump(mode="json"),
            "start": self.start,
            "estimates": {
                name: {"value": one.value, "low": one.low, "high": one.high, "source": one.source, "count": one.count}
                for name, one in self.estimates.items()
            },
            "undetermined": dict(self.undetermined),
            "residuals": {
                one.part: {"rms": one.rms, "scaled_rms": one.scaled_rms, "unit": one.unit, "count": len(one.measured)}
                for one in self.residuals
            },
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class Findings:
    """What the parts of a fit add up."""

    start: DevicePreset
    estimates: dict[str, Estimate] = field(default_factory=dict)
    undetermined: dict[str, str] = field(default_factory=dict)
    residuals: list[Residual] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    restless: set[str] = field(default_factory=set)
    """Cells whose readings jump: their pulses say little of the rates."""

    def value(self, name: str) -> float:
        """The parameter as far as it is known now."""
        found = self.estimates.get(name)
        return float(getattr(self.start, name)) if found is None else found.value

    def add(self, name: str, value: float, error: float, source: str, count: int, *, log: bool = False) -> None:
        """Note a determined parameter; its error is relative where `log`."""
        make = Estimate.positive if log else Estimate.normal
        self.estimates[name] = make(name, value, error, source, count, float(getattr(self.start, name)))
        self.undetermined.pop(name, None)

    def add_spread(self, name: str, found: Spread, source: str, *, relative: bool = False) -> None:
        """Note mean and spread of a population; the spread over the mean where `relative`."""
        self.add(name, found.mean, found.mean_error, source, found.count)
        scale = abs(found.mean) if relative else 1.0
        self.add(
            f"{name}_spread", found.spread / scale, found.spread_error / found.spread, source, found.count, log=True
        )

    def leave(self, names: Sequence[str], why: str) -> None:
        """Note parameters that stay as they were."""
        for name in names:
            if name not in self.estimates:
                self.undetermined[name] = why
