"""Energy constants of the preset `measured`: each with its unit, its source and, for an estimate, its range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from rmhil.ledger import Counts
from rmhil.units import Joules

_HOROWITZ: Final = "Horowitz, ISSCC 2014, 45 nm at 0.9 V"
_CACHE_BIT: Final[Joules] = 10e-12 / 64
"""J: one bit of a 64-bit access to an 8 kB cache (Horowitz, ISSCC 2014, 45 nm)."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A physical constant.

    Attributes:
        value: in `unit`.
        unit: SI.
        source: data sheet or publication.
        low, high: range of an estimate, in `unit`; both None for a documented value.
    """

    value: float
    unit: str
    source: str
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        span = "" if self.low is None else f"; estimate, range {self.low:.3g} to {self.high:.3g}"
        return f"{self.value:.3g} {self.unit} ({self.source}{span})"


class EnergyConstants(NamedTuple):
    """What the counted events cost, apart from those whose energy is measured with them.

    Attributes:
        float_multiply: one float32 multiplication.
        float_add: one float32 addition.
        sram_read: one bit read from SRAM.
        sram_write: one bit written to SRAM.
        dac_channel: power of one DAC80508 channel while in use.
        adc_conversion: one ADS8324 conversion.
        amplifier: power of one OPA4322 amplifier while in use.
    """

    float_multiply: Constant = Constant(3.7e-12, "J", _HOROWITZ)
    float_add: Constant = Constant(0.9e-12, "J", _HOROWITZ)
    sram_read: Constant = Constant(_CACHE_BIT, "J/bit", f"{_HOROWITZ}: 10 pJ for 64 bits of an 8 kB cache")
    sram_write: Constant = Constant(
        _CACHE_BIT,
        "J/bit",
        "taken equal to a read; the upper end is 180 nm at 1.8 V by C V^2",
        0.5 * _CACHE_BIT,
        _CACHE_BIT * (180 / 45) * (1.8 / 0.9) ** 2,
    )
    dac_channel: Constant = Constant(0.6e-3 * 5.5, "W", "TI SLASEL1D: 0.6 mA a channel at 5.5 V")
    adc_conversion: Constant = Constant(3.0e-3 / 50e3, "J", "TI SBAS172A: less than 3.0 mW at 50 kS/s")
    amplifier: Constant = Constant(
        1.5e-3 * 3.3, "W", "TI SBOS538F: 1.5 mA a channel; supply of 3.3 V assumed", 1.5e-3 * 1.8, 1.5e-3 * 5.5
    )

    @property
    def mac(self) -> Joules:
        """J: one float32 multiply-accumulate."""
        return self.float_multiply.value + self.float_add.value


DEFAULT_CONSTANTS: Final = EnergyConstants()


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceEnergy:
    """Where the energy of inference on the array goes.

    Attributes:
        array: J in the cells.
        converters: J in DACs, amplifiers and ADCs.
        lora: J in the MACs and the SRAM reads of adapters.
        digital: J in the MACs of layers that are not on an array.
    """

    array: Joules
    converters: Joules
    lora: Joules
    digital: Joules

    @property
    def total(self) -> Joules:
        """J in all of them."""
        return self.array + self.converters + self.lora + self.digital


def inference_energy(counts: Counts, constants: EnergyConstants = DEFAULT_CONSTANTS) -> InferenceEnergy:
    """The energy of counted inferences. Idle channels, FPGA, host and the analyser are left out."""
    return InferenceEnergy(
        array=counts.array_energy,
        converters=counts.dac_time * constants.dac_channel.value
        + counts.tia_time * constants.amplifier.value
        + counts.adc_conversions * constants.adc_conversion.value,
        lora=counts.lora_macs * constants.mac + counts.sram_bits_read * constants.sram_read.value,
        digital=counts.digital_macs * constants.mac,
    )


def rm_write_energy(counts: Counts) -> Joules:
    """J at the array's terminals in counted write-verify: every pulse and every verify read."""
    return counts.programming_energy + counts.read_energy


def sram_write_energy(counts: Counts, constants: EnergyConstants = DEFAULT_CONSTANTS) -> Joules:
    """J in counted SRAM writes; an adapter is written after each of its training steps."""
    return counts.sram_bits_written * constants.sram_write.value
