"""Parameters of the simulated cells and of the analogue periphery, each with unit and source.

Where no public figure was found, the text says "estimate" and gives the range that is thought
possible. Policies never read these numbers; they are the simulator's own business.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from rmhil.errors import UnknownNameError
from rmhil.units import Amperes, Seconds, Siemens, Volts


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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    cycle_level: Siemens = Field(default=1.5e-6, ge=0)
    """S, of the level at which one SET stops (estimate, range 1 to 3 uS)."""
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
    conductance (estimate, range 0.5 to 3 %). The trap is fast: its state is drawn anew at each reading."""

    stuck_share: float = Field(default=0.002, ge=0, le=1)
    """1, share of the cells that answer to no pulse (estimate, range 0.05 to 1 %)."""
    stuck_conductance_max: Siemens = Field(default=100e-6, gt=0)
    """S: stuck cells lie anywhere from zero to this (estimate, range 80 to 200 uS)."""


class PeripheryPreset(BaseModel):
    """What the drivers and converters add to the wiring's nominal figures.

    Attributes:
        mux_spread: 1, relative standard deviation of the routing resistance from channel to channel: the
            CD4051B's difference between two channels is 15 ohm of 470 at 5 V (TI SCHS047M), taken as
            one standard deviation.
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

    model_config = ConfigDict(frozen=True, extra="forbid")

    mux_spread: float = Field(default=15.0 / 470.0, ge=0, lt=0.2)
    tia_offset: Volts = Field(default=0.5e-3, ge=0)
    adc_noise_lsb: float = Field(default=0.8, ge=0)
    tia_settling: Seconds = Field(default=1e-6, ge=0)
    dac_frame: Seconds = Field(default=518e-9, gt=0)
    dac_channels_per_lane: int = Field(default=8, gt=0)
    smu_noise: Amperes = Field(default=5e-9, ge=0)
    read_time: Seconds = Field(default=1e-3, gt=0)


TAOX_180 = DevicePreset(name="taox180")
"""TiN/Ta2O5/TaOx/TiN on 180 nm transistors, 128 x 128 (arXiv 2601.10037)."""

PERIPHERY = PeripheryPreset()

DEVICE_PRESETS = {preset.name: preset for preset in (TAOX_180,)}


def device_preset(name: str) -> DevicePreset:
    """The preset of that name.

    Raises:
        UnknownNameError: there is none; the message lists those there are.
    """
    if name not in DEVICE_PRESETS:
        raise UnknownNameError("preset", name, list(DEVICE_PRESETS))
    return DEVICE_PRESETS[name]
