"""What a policy knows of a kind of cell before it has met one: explicit, frozen, kept in a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rmhil.backend import ArraySpec
from rmhil.errors import ConfigError, PopulationError
from rmhil.units import Seconds, Siemens, Volts
from rmhil.validation_errors import problems

PAUSE: Seconds = 1.0
"""s between writing cells and reading them again: by then most of the relaxation is over, and a bench can wait so long
(estimate, range 0.1 to 10)."""

_KEYS: Final = {
    "conductance_min": "conductance_min_siemens",
    "conductance_max": "conductance_max_siemens",
    "pulse_width": "pulse_width_s",
    "origin": "origin_v",
    "level": "level_siemens",
    "slope": "slope_siemens_per_v",
    "level_spread": "level_spread_siemens",
    "slope_spread": "slope_spread_siemens_per_v",
    "scatter": "scatter_siemens",
    "reset_softness": "reset_softness_siemens",
    "read_floor": "read_floor_siemens",
    "pause": "pause_s",
    "drift_spread": "drift_spread_siemens",
}
"""Keys of the file that carry a unit."""

_SETTINGS: Final = ConfigDict(
    frozen=True,
    extra="forbid",
    allow_inf_nan=False,
    alias_generator=lambda name: _KEYS.get(name, name),
    populate_by_name=True,
)


_SAME: Final = 1e-6
"""1: relative difference of two numbers that were meant to be the same."""


class LinePrior(BaseModel):
    """A straight line from voltage to conductance, as it differs from cell to cell.

    Attributes:
        origin: V, where `level` holds.
        level: S, mean conductance there.
        slope: S/V, mean.
        level_spread: S, standard deviation from cell to cell.
        slope_spread: S/V, the same.
        correlation: 1, between level and slope.
        scatter: S, standard deviation from pulse to pulse on one cell.
    """

    model_config = _SETTINGS

    origin: Volts
    level: Siemens
    slope: float = Field(gt=0)
    level_spread: Siemens = Field(gt=0)
    slope_spread: float = Field(gt=0)
    correlation: float = Field(default=0.0, ge=-1, le=1)
    scatter: Siemens = Field(gt=0)


class Population(BaseModel):
    """A kind of cell, as far as pulses and readings show it.

    Attributes:
        format: of the file.
        conductance_min, conductance_max: S, the window for which it holds.
        pulse_width: s, width of the pulses for which it holds.
        set_line: conductance that a SET leaves, against its gate voltage.
        reset_line: conductance above which a RESET lowers a cell, against minus its amplitude.
        reset_softness: S, over which that bend is spread (`rmhil.write_verify.response`).
        read_floor: S, standard deviation of one reading of a cell that hardly conducts.
        read_share: 1, what the conductance adds to it, relative, in quadrature.
        pause: s, after which written cells were read again.
        drift_share: 1, mean relative change of the conductance over the pause.
        drift_spread: S, standard deviation of that change where the cell hardly conducts.
        drift_spread_share: 1, what the conductance adds to it, relative, in quadrature.
        pilot_cells: cells that this was learnt on; 0 for estimates.
        pilot_form_pulses: FORM pulses that the pilot cells took first.
        pilot_pulses: SET and RESET pulses that learning took, of all pilot cells together.
        pilot_reads: readings that learning took beside those that came with a pulse.
        provenance: of the backend it was learnt on.
    """

    model_config = _SETTINGS

    format: Literal["rmhil-population-1"] = "rmhil-population-1"
    conductance_min: Siemens = Field(gt=0)
    conductance_max: Siemens = Field(gt=0)
    pulse_width: Seconds = Field(gt=0)
    set_line: LinePrior
    reset_line: LinePrior
    reset_softness: Siemens = Field(gt=0)
    read_floor: Siemens = Field(gt=0)
    read_share: float = Field(ge=0, lt=1)
    pause: Seconds = Field(ge=0)
    drift_share: float = Field(gt=-1, lt=1)
    drift_spread: Siemens = Field(ge=0)
    drift_spread_share: float = Field(ge=0, lt=1)
    pilot_cells: int = Field(default=0, ge=0)
    pilot_form_pulses: int = Field(default=0, ge=0)
    pilot_pulses: int = Field(default=0, ge=0)
    pilot_reads: int = Field(default=0, ge=0)
    provenance: str = ""

    @classmethod
    def estimate(cls, spec: ArraySpec) -> Self:
        """Wide estimates for 1T1R TaOx cells with the window of a spec; nothing is read.

        The window is taken to be crossed by 2.2 V of gate voltage, and by 1 V of RESET amplitude (estimates, ranges 1.5
        to 3.5 and 0.5 to 1.5); spreads are wide enough for cells whose thresholds lie some 0.3 V elsewhere.
        """
        low, window = spec.conductance_min, spec.conductance_max - spec.conductance_min
        gates = LinePrior(
            origin=2.0,
            level=low + 0.45 * window,
            slope=0.45 * window,
            level_spread=0.2 * window,
            slope_spread=0.12 * window,
            scatter=0.01 * window,
        )
        amplitudes = LinePrior(
            origin=-1.5,
            level=low + 0.5 * window,
            slope=1.0 * window,
            level_spread=0.2 * window,
            slope_spread=0.35 * window,
            scatter=0.02 * window,
        )
        return cls(
            conductance_min=spec.conductance_min,
            conductance_max=spec.conductance_max,
            pulse_width=spec.pulse_width,
            set_line=gates,
            reset_line=amplitudes,
            reset_softness=0.03 * window,
            read_floor=0.03e-6,
            read_share=0.004,
            pause=PAUSE,
            drift_share=-0.002,
            drift_spread=0.15e-6,
            drift_spread_share=0.003,
        )

    def check_fits(self, spec: ArraySpec) -> None:
        """Refuse a backend whose window or pulses are not those that this was learnt with.

        Raises:
            PopulationError: one of them differs.
        """
        pairs = {
            "conductance_min": (self.conductance_min, spec.conductance_min, "S"),
            "conductance_max": (self.conductance_max, spec.conductance_max, "S"),
            "pulse_width": (self.pulse_width, spec.pulse_width, "s"),
        }
        for name, (learnt, here, unit) in pairs.items():
            if not math.isclose(learnt, here, rel_tol=_SAME):
                of = f" (learnt on {self.provenance})" if self.provenance else ""
                raise PopulationError(
                    f"population: {name} = {learnt:g} {unit}{of}, but {here:g} {unit} on {spec.provenance}: "
                    "learn one there"
                )

    def to_json(self) -> str:
        """As text whose keys carry their units."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    def save(self, path: Path) -> None:
        """Write to a JSON file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file of `save`.

        Raises:
            ConfigError: it cannot be read, or is no population.
        """
        try:
            return cls.model_validate_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"population: cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"population: {path} is not text: {error}") from error
        except ValidationError as error:
            raise ConfigError(f"population: {path}: {problems(error, cls)}") from error
