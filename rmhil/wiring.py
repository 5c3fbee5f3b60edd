"""The wiring: what joins converters and array, as data that every target shares.

The published texts do not fix the custom board, so the defaults are an assumption, marked as such
where they are one. The chip facts are from the data sheets named at each field.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from rmhil.units import Amperes, Ohms, Seconds, Volts


class Wiring(BaseModel):
    """Lines, routing and converters between host and array.

    Attributes:
        bl_channels: BLs that can be driven in one pass (assumed: 8 DAC80508 with 8 channels each).
        sl_channels: SLs that can be sensed in one pass (assumed: 64 TIAs).
        adc_count: ADCs; `sl_channels / adc_count` SLs share one.
        bl_routing_resistance: ohm, in series with every BL: one CD4051B at 15 V, 125 ohm typical
            (TI SCHS047M); 470 ohm at 5 V.
        sl_routing_resistance: ohm, in series with every SL; same part.
        bl_wire_resistance: ohm per cell pitch of a BL (estimate, range 0.5 to 10).
        sl_wire_resistance: ohm per cell pitch of an SL (estimate, range 0.5 to 10).
        bl_driven_from: ends of a BL that are driven.
        sl_sensed_at: ends of an SL that are sensed.
        dac_bits: resolution of the DAC80508 (TI SLASEL1D).
        dac_span: V, full span of the DAC with its 2.5 V reference at gain 1 (TI SLASEL1D).
        virtual_ground: V, mid-rail level of the SLs above board ground (assumed).
        tia_resistance: ohm, feedback of the OPA4322 transimpedance amplifier (assumed: 64 cells of
            80 uS at 0.2 V then fill the ADC).
        adc_bits: resolution of the ADS8324 (TI SBAS172A).
        adc_reference: V, external reference of the ADS8324; its span is +-this (TI SBAS172A).
        dac_settling: s, DAC80508 quarter-to-three-quarter settling (typical, unverified).
        adc_conversion: s, one ADS8324 conversion at 50 kS/s (TI SBAS172A).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bl_channels: int = Field(default=64, gt=0)
    sl_channels: int = Field(default=64, gt=0)
    adc_count: int = Field(default=64, gt=0)
    bl_routing_resistance: Ohms = Field(default=125.0, ge=0)
    sl_routing_resistance: Ohms = Field(default=125.0, ge=0)
    bl_wire_resistance: Ohms = Field(default=1.0, ge=0)
    sl_wire_resistance: Ohms = Field(default=1.0, ge=0)
    bl_driven_from: Literal["one end", "both ends"] = "one end"
    sl_sensed_at: Literal["one end", "both ends"] = "one end"
    dac_bits: int = Field(default=16, ge=1, le=24)
    dac_span: Volts = Field(default=2.5, gt=0)
    virtual_ground: Volts = Field(default=1.5, gt=0)
    tia_resistance: Ohms = Field(default=1200.0, gt=0)
    adc_bits: int = Field(default=14, ge=1, le=24)
    adc_reference: Volts = Field(default=1.25, gt=0)
    dac_settling: Seconds = Field(default=5e-6, gt=0)
    adc_conversion: Seconds = Field(default=20e-6, gt=0)

    @property
    def dac_lsb(self) -> Volts:
        """V: one code of the DAC."""
        return self.dac_span / 2.0**self.dac_bits

    @property
    def adc_lsb(self) -> Amperes:
        """A: one code of the ADC, referred to the SL current."""
        return 2 * self.adc_reference / 2.0**self.adc_bits / self.tia_resistance

    @property
    def adc_current_range(self) -> Amperes:
        """A: largest SL current of either sign that the ADC can express."""
        return self.adc_reference / self.tia_resistance
