"""Drivers and converters: DAC codes, TIA offset, ADC codes and range, and the time they take.

SL currents are referred to the ADC's input: one code is `wiring.adc_lsb` amperes.
"""

from __future__ import annotations

import math

import torch

from rmhil.backend import Ints
from rmhil.units import Amperes, Seconds
from rmhil.wiring import Wiring
from sim_backend.config import SimConfig
from sim_backend.presets import PeripheryPreset
from sim_backend.rng import Stream, keys, normal, stream_seed


def drive(voltages: torch.Tensor, wiring: Wiring) -> torch.Tensor:
    """Voltages (V) that the DAC puts out: the nearest of its codes, counted from that of the virtual ground."""
    return torch.round(voltages / wiring.dac_lsb) * wiring.dac_lsb


def convert(currents: torch.Tensor, wiring: Wiring) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise SL currents to ADC codes; what lies beyond the last code is flagged, never hidden.

    Returns:
        A, multiples of the LSB; bool, true where the code is an end of the range in place of the value.
    """
    codes = currents.div(wiring.adc_lsb).round_()
    half = 2 ** (wiring.adc_bits - 1)
    if codes.numel() and bool((codes.amin() >= -half) & (codes.amax() <= half - 1)):
        return codes.mul_(wiring.adc_lsb), torch.zeros_like(codes, dtype=torch.bool)
    inside = codes.clamp(-half, half - 1)
    return inside * wiring.adc_lsb, inside != codes


class Periphery:
    """The drivers and converters of one simulated backend, with what was drawn for them."""

    def __init__(self, config: SimConfig, preset: PeripheryPreset) -> None:
        self._config = config
        self._preset = preset
        self._wiring = config.wiring
        self._device = torch.device(config.device)
        self._exact = not config.has("converters")
        self._generator = torch.Generator(device=self._device)
        self._generator.manual_seed(stream_seed(config.seed, Stream.MVM) >> 1)
        self._offsets = self._tia_offsets()
        self.adc_noise: Amperes = preset.adc_noise_lsb * self._wiring.adc_lsb if config.has("adc-noise") else 0.0

    def _tia_offsets(self) -> torch.Tensor:
        """Input offset of every TIA in V, (arrays, channels), float64."""
        shape = (self._config.n_arrays, self._wiring.sl_channels)
        if not self._config.has("tia-offset"):
            return torch.zeros(shape, dtype=torch.float64, device=self._device)
        array = torch.arange(shape[0])[:, None].expand(shape)
        channel = torch.arange(shape[1]).expand(shape)
        drawn = normal(
            keys(self._config.seed, array, torch.zeros(shape, dtype=torch.int64), channel), Stream.TIA_OFFSET
        )
        return (drawn * self._preset.tia_offset).to(self._device)

    def offset_currents(self, arrays: Ints, sl: Ints, column: torch.Tensor) -> torch.Tensor:
        """Currents (A) that the TIAs' input offsets add to one conversion of each SL.

        An offset is amplified by the noise gain `1 + R_f G_column`, so it changes with what is
        programmed. SLs of different banks share a TIA.

        Args:
            arrays: their numbers.
            sl: numbers of the SLs.
            column: S from each SL to ground, (arrays, SLs).
        """
        chosen, channels = (torch.from_numpy(part).to(self._device) for part in (arrays, sl % self._wiring.sl_channels))
        offsets = self._offsets[chosen[:, None], channels]
        return offsets.to(column.dtype) * (1.0 / self._wiring.tia_resistance + column)

    @property
    def generator_state(self) -> torch.Tensor:
        """Where the noise of MVMs has got to."""
        return self._generator.get_state()

    def restore_generator(self, state: torch.Tensor) -> None:
        """Go on from `generator_state`."""
        self._generator.set_state(state)

    def drive(self, voltages: torch.Tensor) -> torch.Tensor:
        """Voltages (V) at the BL drivers."""
        return voltages if self._exact else drive(voltages, self._wiring)

    def convert(self, currents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents (A) after the ADC, and where it left its range."""
        if self._exact:
            return currents, torch.zeros_like(currents, dtype=torch.bool)
        return convert(currents, self._wiring)

    def gaussian(self, deviation: torch.Tensor) -> torch.Tensor:
        """Normal noise of the given standard deviations; repeatable by seed and order of calls."""
        drawn = torch.randn(deviation.shape, generator=self._generator, dtype=deviation.dtype, device=self._device)
        return drawn.mul_(deviation)

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
