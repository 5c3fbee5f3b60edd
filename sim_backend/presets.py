"""Parameters of the simulated cells and of the analogue periphery, each with unit and source.

Where no public figure was found, the text says "estimate" and gives the range that is thought
possible. Policies never read these numbers; they are the simulator's own business.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rmhil.backend import Limits
from rmhil.units import Amperes, Seconds, Siemens, Volts

RELATIVE_MIN: Final = 0.2
"""1: smallest factor of a relative spread, so that no cell has a parameter of the wrong sign. Reached
beyond 5 standard deviations at the default spreads."""

_EXTREME: Final = 5.0
"""1: standard deviations within which every cell of a bound is taken to lie."""

_RESET_EXPONENT_MAX: Final = 600.0
"""1: largest exponent of the RESET law that is let through; exp(-745) is zero in float64. The rest is for what
temperature and cycle spread add to the most conducting cell."""


class DevicePreset(BaseModel):
    """One kind of 1T1R cell, as a population.

    The rate laws are in `sim_backend.device`. "Spread" is device to device, "cycle" is pulse to
    pulse on one cell; both are standard deviations of a normal law.

    Attributes:
        name: of the preset.
        conductance_min, conductance_max: S, the window that targets must lie in (arXiv 2601.10037,
            Fig. 3a: 10 to 80 uS).
        compliance_slope: S/V, `k` of `Gc = k (Vg - Vt)`: 10 uS at 1.0 V and 80 uS at 3.3 V on the
            gate give 30.4 uS/V (window as above; gate range is an estimate, 0.8 to 4 V).
        gate_threshold: V, `Vt`; follows from the same two points.
        set_stop_voltage: V across the cell at which a SET stops by itself; the transistor
            saturates at `Gc` times this (estimate, range 0.5 to 1.2).
        set_voltage: V at which a SET proceeds by 1/e in `reference_time` (estimate, range 0.7 to
            1.3: the SET onset of TaOx cells).
        set_voltage_scale: V per e-fold of the SET rate (estimate, range 0.02 to 0.05: 46 to
            115 mV per decade, the voltage-time dilemma of valence-change cells).
        reset_voltage: V at which a cell at `conductance_max` begins to RESET (estimate, range
            0.7 to 1.2).
        reset_voltage_scale: V per e-fold of the RESET rate (estimate, range 0.02 to 0.05).
        reset_slope: S/V, by how much a higher amplitude lowers the conductance where a gradual
            RESET ends: the window in about 0.9 V (estimate, range 50 to 150 uS/V).
        reset_floor: S, what RESET relaxes to in the end (estimate, range 1 to 8 uS: it must lie below the window).
        form_voltage: V at which FORM takes `reference_time` on average (estimate, range 2.5 to 3.5).
        form_voltage_scale: V per e-fold of the forming rate (estimate, range 0.05 to 0.2).
        virgin_conductance: S, median before FORM (estimate, range 1 to 10 nS).
        reference_time: s, the time in which the rates above are stated: a 1 ms SMU pulse.
        n_bl, n_sl: lines of the array that such cells were published in.
        pulse_width_min: s, shortest pulse of the bench that drives them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    conductance_min: Siemens = Field(default=10e-6, gt=0)
    conductance_max: Siemens = Field(default=80e-6, gt=0)
    compliance_slope: float = Field(default=70e-6 / 2.3, gt=0)
    gate_threshold: Volts = 0.67
    set_stop_voltage: Volts = Field(default=0.9, gt=0)
    set_voltage: Volts = Field(default=1.1, gt=0)
    set_voltage_scale: Volts = Field(default=0.03, gt=0)
    reset_voltage: Volts = Field(default=1.0, gt=0)
    reset_voltage_scale: Volts = Field(default=0.03, gt=0)
    reset_slope: float = Field(default=80e-6, gt=0)
    reset_floor: Siemens = Field(default=4e-6, gt=0)
    form_voltage: Volts = Field(default=3.0, gt=0)
    form_voltage_scale: Volts = Field(default=0.1, gt=0)
    virgin_conductance: Siemens = Field(default=3e-9, gt=0)
    reference_time: Seconds = Field(default=1e-3, gt=0)
    n_bl: int = Field(default=128, gt=0)
    n_sl: int = Field(default=128, gt=0)
    pulse_width_min: Seconds = Field(default=0.5e-3, gt=0)

    gate_threshold_spread: Volts = Field(default=0.03, ge=0)
    """V. Mismatch of a minimum-size 180 nm transistor (estimate, range 10 to 50 mV)."""
    compliance_slope_spread: float = Field(default=0.05, ge=0)
    """1, relative (estimate, range 0.02 to 0.1)."""
    set_voltage_spread: Volts = Field(default=0.05, ge=0)
    """V (estimate, range 0.03 to 0.1)."""
    reset_voltage_spread: Volts = Field(default=0.05, ge=0)
    """V (estimate, range 0.03 to 0.1)."""
    reset_slope_spread: float = Field(default=0.1, ge=0)
    """1, relative (estimate, range 0.05 to 0.2)."""
    reset_floor_spread: float = Field(default=0.15, ge=0)
    """1, relative (estimate, range 0.1 to 0.3)."""
    form_voltage_spread: Volts = Field(default=0.15, ge=0)
    """V (estimate, range 0.1 to 0.3)."""
    virgin_spread: float = Field(default=0.4, ge=0)
    """1, standard deviation of the logarithm (estimate, range 0.2 to 1)."""

    cycle_level: Siemens = Field(default=0.6e-6, ge=0)
    """S, of the level at which one SET stops. More than 128 levels told apart in single-shot SET (arXiv 2601.10037)
    bound it: 129 means over the window lie 0.55 uS apart, and 100 repeats of each separate all neighbours at 1 %
    only below about 0.7 uS (range 0.3 to 0.7)."""
    cycle_level_share: float = Field(default=0.05, ge=0, le=0.2)
    """1, largest `cycle_level` relative to the level itself: what a barely open transistor lets through varies by
    as little (estimate, range 0.03 to 0.1)."""
    cycle_set_voltage: Volts = Field(default=0.03, ge=0)
    """V, of `set_voltage` at one pulse (estimate, range 0.01 to 0.1)."""
    cycle_reset_voltage: Volts = Field(default=0.015, ge=0)
    """V, of `reset_voltage` at one pulse: 1.2 uS at the default slope (estimate, range 0.01 to 0.05)."""

    read_noise: float = Field(default=0.003, ge=0)
    """1, of one reading, relative to the conductance (estimate, range 0.1 to 1 %)."""
    telegraph_share: float = Field(default=0.05, ge=0, le=1)
    """1, share of the cells with a random-telegraph trap (estimate, range 0.02 to 0.2)."""
    telegraph_depth: float = Field(default=0.01, ge=0, lt=1)
    """1, mean of the exponential law of the step between the trap's two levels, relative to the
    conductance (estimate, range 0.5 to 3 %)."""
    telegraph_dwell: tuple[Seconds, Seconds] = (1e-3, 1e2)
    """s, between which the mean dwell time of a trap lies, evenly in its logarithm (estimate: traps slower than the
    upper end look like drift, those faster than the lower one average out in a reading)."""

    relaxation: Siemens = Field(default=0.05e-6, ge=0)
    """S a decade of time, standard deviation from write to write of the drift that follows it (estimate, range 0.02 to
    0.15: 17 levels 4.4 uS apart stayed apart for 1e6 s, nine decades, arXiv 2601.10037)."""
    drift: float = -0.001
    """1 a decade of time, mean relative drift after a write (estimate, range -0.005 to 0; bound as `relaxation`)."""
    drift_spread: float = Field(default=0.001, ge=0)
    """1 a decade of time, of `drift` from cell to cell (estimate, range 0 to 0.003)."""
    drift_time: Seconds = Field(default=1e-3, gt=0)
    """s at which the drift begins: it goes with `log10(1 + age / drift_time)` (estimate, range 1e-6 to 1e-2)."""
    drift_energy: float = Field(default=1.1, ge=0)
    """eV, activation energy by which a higher temperature hastens the drift (estimate for TaOx, range 0.8 to 1.5)."""

    endurance: float = Field(default=4e5, gt=0)
    """Pulses after which the window has closed by 1 - 1/e in the median cell: 30,000 cycles of SET and RESET are 60,000
    pulses and leave the window open (arXiv 2601.10037), flat, so well above 2e5 (estimate, range 2e5 to 1e7)."""
    endurance_spread: float = Field(default=0.3, ge=0)
    """1, standard deviation of the logarithm (estimate, range 0.1 to 1)."""
    endurance_shape: float = Field(default=4.0, gt=0)
    """1, exponent of the closing, `1 - exp(-(pulses / endurance)^shape)` (estimate, range 2 to 6)."""

    switching_energy: float = Field(default=0.6, ge=0)
    """eV, activation energy of FORM, SET and RESET rates at constant voltage (estimate, range 0.3 to 1.2)."""
    conductance_temperature: float = 0.0005
    """1/K, relative change of a formed cell's conductance (estimate, range -0.001 to 0.002)."""
    gate_threshold_temperature: float = -1e-3
    """V/K (typical of long-channel nMOS transistors; range -0.5 to -2 mV/K)."""

    stuck_share: float = Field(default=0.002, ge=0, le=1)
    """1, share of the cells that answer to no pulse (estimate, range 0.05 to 1 %)."""
    stuck_conductance_max: Siemens = Field(default=100e-6, gt=0)
    """S: stuck cells lie anywhere from zero to this (estimate, range 80 to 200 uS)."""

    filament_bend: Volts = Field(default=0.5, gt=0)
    """V, `V0` of a filament's current `g V0 sinh(v / V0)`; plays a part where `SimConfig.nonlinear` is on (estimate,
    range 0.25 to 2: 10 % to 0.2 % more conductance at 0.2 V than near zero)."""
    selector_gain: float = Field(default=5e-4, gt=0)
    """A/V^2, of the square law of the cell's transistor, likewise (estimate for a minimum-size thick-oxide transistor
    of 180 nm, range 2e-4 to 2e-3)."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        ascending = {
            "virgin_conductance, reset_floor, conductance_min, conductance_max": (
                self.virgin_conductance,
                self.reset_floor,
                self.conductance_min,
                self.conductance_max,
            ),
            "zero, telegraph_dwell": (0.0, *self.telegraph_dwell),
        }
        for names, values in ascending.items():
            if not all(low < high for low, high in pairwise(values)):
                raise ValueError(f"{names} must ascend, not {', '.join(f'{value:g}' for value in values)}")
        if self.reference_time < self.pulse_width_min:
            raise ValueError(f"reference_time = {self.reference_time:g} s is below pulse_width_min")
        return self

    @model_validator(mode="after")
    def _resets_within_float64(self) -> Self:
        """The state of a RESET is `exp(-b y)`, which must not vanish for the steepest and most conducting cell."""
        steepest = max(1.0 - _EXTREME * self.reset_slope_spread, RELATIVE_MIN)
        overdrive = Limits().gate_voltage - self.gate_threshold + _EXTREME * self.gate_threshold_spread
        most = self.compliance_slope * (1.0 + _EXTREME * self.compliance_slope_spread) * overdrive
        above = max(most, self.conductance_max) - self.reset_floor
        least = above / (_RESET_EXPONENT_MAX * steepest * self.reset_voltage_scale)
        if not self.reset_slope >= least:
            raise ValueError(
                f"reset_slope = {self.reset_slope:g} S/V is below {least:g} S/V, where a RESET cannot be computed with "
                f"reset_voltage_scale = {self.reset_voltage_scale:g} V"
            )
        return self


class PeripheryPreset(BaseModel):
    """What the drivers and converters add to the wiring's nominal figures.

    Attributes:
        mux_spread: 1, relative standard deviation of the routing resistance from channel to channel: the
            CD4051B's difference between two channels is 15 ohm of 470 at 5 V (TI SCHS047M), taken as
            one standard deviation.
        mux_temperature: 1/K, relative change of the routing resistance: the CD4051B's largest on-resistance at 15 V
            is 240 ohm at 25 C and 300 ohm at 85 C (TI SCHS047M).
        mux_channels: channels of one multiplexer: 8 of a CD4051B. One of them is on, the others hang on the line.
        mux_leakage: A, standard deviation of what one off channel leaks into the line: 0.1 nA typical (TI SCHS047I);
            no more than 100 nA is promised at 25 C (TI SCHS047M).
        tia_offset: V, standard deviation of the OPA4322's input offset: 0.5 mV typical, 2 mV at most (TI SBOS538F).
        adc_noise_lsb: LSB, standard deviation of one conversion: 5 LSB peak to peak at a 0.9 V
            reference is about 0.8 LSB (TI SBAS172A).
        tia_settling: s, of the OPA4322 to 14 bits after the DAC has settled (estimate, range 0.3 to 2 us).
        dac_frame: s, one 24-bit frame at 50 MHz with its gaps (TI SLASEL1D: 518 ns).
        dac_channels_per_lane: frames sent one after the other before the common update: channels of one DAC80508.
        smu_noise: A, standard deviation of one SMU reading: its resolution is 5e-5 of the range, 5 nA
            at 100 uA (B1500A data sheet, high-speed converter), taken as one standard deviation.
        read_time: s, one SMU reading with its settling (estimate, range 0.1 to 20 ms).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mux_spread: float = Field(default=15.0 / 470.0, ge=0, lt=0.2)
    mux_temperature: float = (300.0 / 240.0 - 1.0) / 60.0
    mux_channels: int = Field(default=8, gt=1)
    mux_leakage: Amperes = Field(default=0.1e-9, ge=0)
    tia_offset: Volts = Field(default=0.5e-3, ge=0)
    adc_noise_lsb: float = Field(default=0.8, ge=0)
    tia_settling: Seconds = Field(default=1e-6, ge=0)
    dac_frame: Seconds = Field(default=518e-9, gt=0)
    dac_channels_per_lane: int = Field(default=8, gt=0)
    smu_noise: Amperes = Field(default=5e-9, ge=0)
    read_time: Seconds = Field(default=1e-3, gt=0)


TAOX_180 = DevicePreset(name="taox180")
"""TiN/Ta2O5/TaOx/TiN on 180 nm transistors, 128 x 128 (arXiv 2601.10037)."""

TAOX_40 = DevicePreset(
    name="taox40",
    n_bl=512,
    n_sl=512,
    pulse_width_min=10e-6,
    reference_time=10e-6,
    set_voltage=1.24,
    reset_voltage=1.14,
    form_voltage=2.4,
    form_voltage_spread=0.1,
    read_noise=0.01,
    telegraph_share=0.3,
    telegraph_depth=0.015,
    stuck_share=0.01,
)
"""TaOx on 40 nm transistors, 512 x 512 (256 kb) between M4 and M5: the array of the chip for mixed-precision
continual learning.

Published: pulses of 3 V and 10 us form a cell (low-resistance state), cells that were never formed are the
high-resistance state, fewer than 1 % are reset later to about 135 kohm (7.4 uS); 99 % of the cells are mapped right; a
formed cell's readings stay within 15 % of each other over 10,000. From these:

- FORM takes 10 us at 2.4 V on average (estimate, range 2.2 to 2.6), so that 3 V form all but the stuck cells.
- SET and RESET onsets are those of `taox180`, carried from 1 ms to 10 us by their own laws: higher by ln(100) scales.
- 10,000 readings of 1 % noise lie within 7.7 %, and a trap of 1.5 % on average in three cells of ten adds its step
  (estimates: noise 0.5 to 1.5 %, share 0.1 to 0.5, step 1 to 3 %).
- 1 % of the cells are stuck: the share that was not mapped right (range 0.5 to 2 %).

The conductance of the formed state is not published; window, gate and everything else are taken over from `taox180`.
"""

PERIPHERY = PeripheryPreset()

DEVICE_PRESETS = {preset.name: preset for preset in (TAOX_180, TAOX_40)}
