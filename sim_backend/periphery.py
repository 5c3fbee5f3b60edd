"""Drivers and converters: DAC codes, offset currents, ADC codes and range, and the time they take.

Voltages are counted in codes of the DAC from that of the virtual ground, SL currents in codes of the ADC, one of
which is `wiring.adc_lsb` amperes at its input. Without quantisation codes are not whole numbers.
"""

from __future__ import annotations

import math

import torch

from rmhil.backend import Floats, Ints
from rmhil.units import Amperes, Seconds
from rmhil.wiring import Wiring
from sim_backend.config import SimConfig
from sim_backend.noise import Noise
from sim_backend.presets import PeripheryPreset
from sim_backend.rng import Stream, keys, normal


def adc_ends(wiring: Wiring) -> tuple[int, int]:
    """First and last code of the ADC: two's complement."""
    half: int = 2 ** (wiring.adc_bits - 1)
    return -half, half - 1


class Periphery:
    """The drivers and converters of one simulated backend, with what was drawn for them.

    Attributes:
        noise: the generators of the noise of MVMs.
        dac_lsb, adc_lsb: V and A of one code, as tensors: torch takes a number in several times as slowly.
        adc_noise: standard deviation of one conversion, in codes.
    """

    def __init__(self, config: SimConfig, preset: PeripheryPreset) -> None:
        self._config = config
        self._preset = preset
        self._wiring = config.wiring
        self._device = torch.device(config.device)
        self.noise = Noise(config.seed, self._device)
        dtype = torch.float64 if config.dtype == "float64" else torch.float32
        self.dac_lsb = torch.tensor(self._wiring.dac_lsb, dtype=dtype)
        self.adc_lsb = torch.tensor(self._wiring.adc_lsb, dtype=dtype)
        self.adc_noise = preset.adc_noise_lsb if config.has("adc-noise") else 0.0
        self._rounds_voltages = config.has("dac-quantisation")
        self._rounds_currents = config.has("adc-quantisation")
        self._ends = adc_ends(self._wiring) if config.has("adc-range") else None
        # An ADC cannot tell its end codes from what is beyond them. Values that are not rounded have no end codes.
        first, last = adc_ends(self._wiring)
        self._inside = (first + 1, last - 1) if self._rounds_currents else (first, last)
        self._extremes = (torch.empty((), dtype=dtype), torch.empty((), dtype=dtype))
        off_channels = preset.mux_channels - 1 if config.has("leakage") else 0
        self._leakage: Amperes = preset.mux_leakage * math.sqrt(off_channels)
        self._tia_offset = preset.tia_offset if config.has("tia-offset") else 0.0

    def offset_currents(self, arrays: Ints, sl: Ints, effective: torch.Tensor, bl_source: Floats) -> torch.Tensor:
        """Currents (A) that one conversion of each SL has at zero input.

        The TIAs' input offsets are amplified by the noise gain `1 + R_f G_column`, so they change with what is
        programmed; SLs of different banks share a TIA. The off channels of the multiplexers leak into the TIAs'
        inputs, and into the BLs, which that raises by the leakage times the resistance to their drivers.

        Args:
            arrays: their numbers.
            sl: numbers of the SLs.
            effective: S, (arrays, n_bl, SLs), float64.
            bl_source: ohm between every BL and its driver, (arrays, n_bl), float64.
        """
        array = torch.from_numpy(arrays).to(self._device)[:, None]
        column = torch.from_numpy(sl).to(self._device)
        offsets = self._drawn(Stream.TIA_OFFSET, array, column % self._wiring.sl_channels) * self._tia_offset
        amplified = offsets * (1.0 / self._wiring.tia_resistance + effective.sum(dim=1))
        row = torch.arange(effective.shape[1], device=self._device)
        raised = self.leakage(Stream.BL_LEAKAGE, array, row) * torch.from_numpy(bl_source).to(self._device)
        through_cells = torch.bmm(raised[:, None, :], effective).squeeze(1)
        return amplified + through_cells + self.leakage(Stream.SL_LEAKAGE, array, column)

    def leakage(self, stream: Stream, array: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
        """Current (A, float64) that the off channels of a line's multiplexer drive into it; the numbers broadcast."""
        return self._drawn(stream, array, line) * self._leakage

    def _drawn(self, stream: Stream, array: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
        """Standard normal draws that belong to lines of arrays."""
        return normal(keys(self._config.seed, array, torch.zeros_like(line), line), stream)

    def drive(self, voltages: torch.Tensor, codes: torch.Tensor) -> None:
        """Turn voltages (V) into the nearest codes of the DAC, in `codes`."""
        torch.div(voltages, self.dac_lsb, out=codes)
        if self._rounds_voltages:
            codes.round_()

    def convert(
        self, currents: torch.Tensor, spare: torch.Tensor, *, look: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Turn currents, counted in codes of the ADC, into the nearest of its codes.

        Args:
            currents: are overwritten.
            spare: of the same shape, may be overwritten.
            look: whether to look first if any is out of range at all.

        Returns:
            Codes, in one of the two; bool, true where the code is an end of the range, which stands for all values
            beyond it too, or None, where it nowhere is.
        """
        if self._rounds_currents:
            currents.round_()
        if self._ends is None or (look and self._are_inside(currents, *self._inside)):
            return currents, None
        over_range = torch.ne(torch.clamp(currents, *self._inside, out=spare), currents)
        return currents.clamp_(*self._ends), over_range

    def _are_inside(self, currents: torch.Tensor, low: int, high: int) -> bool:
        if currents.numel() == 0:
            return True
        least, most = torch.aminmax(currents, out=self._extremes)
        return bool(low <= least.item() and most.item() <= high)

    @property
    def generator_state(self) -> torch.Tensor:
        """Where the noise of MVMs has got to."""
        return self.noise.state

    def restore_generator(self, state: torch.Tensor) -> None:
        """Go on from `generator_state`."""
        self.noise.restore(state)

    def pass_time(self, n_bl: int, n_sl: int) -> Seconds:
        """Time (s) of one vector of one pass.

        The ADC holds its input after sampling, so the next vector's DAC frames and settling overlap
        with its conversion; the slower of the two sets the pace.
        """
        frames = min(n_bl, self._preset.dac_channels_per_lane) + 1  # and the common update
        settle = self._wiring.dac_settling + self._preset.tia_settling
        driving = frames * self._preset.dac_frame + settle
        conversions = math.ceil(n_sl / self._wiring.adc_count)
        return max(driving, conversions * self._wiring.adc_conversion)
