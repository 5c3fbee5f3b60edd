"""What a board was made from, as the host must know it: `firmware/boards/*.toml` in numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from rmhil.bench.board_errors import BoardMismatchError
from rmhil.bench.board_map import FIELDS, VECTOR_LINES
from rmhil.errors import ConfigError
from rmhil.units import Volts
from rmhil.wiring import Wiring

DAC_BITS: Final = 16
"""1: bits of a code of the DAC80508 (TI SLASEL1D); the codes of a vector are words of this size."""

ADC_BITS: Final = FIELDS["RESULT.CODE"].bits
"""1: bits of a code of the ADS8324 (TI SBAS172A)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardDescription:
    """One board description.

    Attributes:
        name: of the board.
        hash: first 32 bits of the description's SHA-256; the board has it in a register.
        n_bl, n_sl: lines.
        adc_count: ADCs; the TIAs of a bank share them.
        clock_hz: Hz, of the board's logic.
        dac_span: V, full span of the DACs.
        virtual_ground: V, above board ground.
        read_limit: V, largest distance of an input from the virtual ground.
        rest_code: code of the DAC at the virtual ground.
        limit_codes: codes that an input may be away from it.
        pulse_clocks_min: clocks of the shortest gate pulse.
    """

    name: str
    hash: int
    n_bl: int
    n_sl: int
    adc_count: int
    clock_hz: int
    dac_span: Volts
    virtual_ground: Volts
    read_limit: Volts
    rest_code: int
    limit_codes: int
    pulse_clocks_min: int

    def __post_init__(self) -> None:
        reach = round(self.read_limit / self.dac_span * 2**DAC_BITS)
        if not reach <= self.rest_code < 2**DAC_BITS - reach:
            raise ConfigError(
                f"board {self.name}: {self.read_limit:g} V around the virtual ground leave the DAC's span"
            )

    def check_wiring(self, wiring: Wiring) -> None:
        """Refuse wiring that is not this board's. It may leave channels of each bank unused, and ADCs with them.

        Raises:
            BoardMismatchError: it differs; all differences are named.
        """
        all_tias = wiring.sl_channels == VECTOR_LINES
        pairs: dict[str, tuple[float, float]] = {
            "bl_channels": (wiring.bl_channels, min(wiring.bl_channels, VECTOR_LINES)),
            "sl_channels": (wiring.sl_channels, min(wiring.sl_channels, VECTOR_LINES)),
            "adc_count": (wiring.adc_count, self.adc_count if all_tias else min(wiring.adc_count, self.adc_count)),
            "dac_bits": (wiring.dac_bits, DAC_BITS),
            "adc_bits": (wiring.adc_bits, ADC_BITS),
            "dac_span (V)": (wiring.dac_span, self.dac_span),
            "virtual_ground (V)": (wiring.virtual_ground, self.virtual_ground),
        }
        differences = [
            f"{name} = {given:g}, not {there:g}"
            for name, (given, there) in pairs.items()
            if not math.isclose(given, there, rel_tol=1e-9)
        ]
        if differences:
            raise BoardMismatchError(f"the wiring is not that of board {self.name}", differences)
