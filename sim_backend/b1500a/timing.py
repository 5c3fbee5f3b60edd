"""How long things take on the virtual clock. Every figure can be set; none of them is waited for.

No published time of a FLEX command of the B1500A was found. Estimates are marked, with their ranges.
"""

from __future__ import annotations

from dataclasses import dataclass

from rmhil.errors import OutOfRangeError
from rmhil.units import Amperes, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times of the emulated instrument.

    Attributes:
        message: s from the arrival of a message to its first command done (estimate, range 2 to 7 ms: set or query
            of comparable instruments over GPIB, ADCMT 6146).
        command: s of each further command of a message (estimate, range 0.2 to 3 ms).
        stored_command: s of a command from the program memory (estimate, range 0.1 to 2 ms).
        switch: s of an output relay (B1500A data sheet, page 19, relay of the pulse generator: 100 us; an estimate
            for SMUs, range 0.1 to 10 ms).
        source_settling: s of an output that moves (estimate, range 20 to 500 us).
        settling_charge: A s; a measurement on a range waits for this over the range: 5 ms on 1 nA (estimate,
            range 1e-12 to 2e-11).
        settling_min, settling_max: s, least and longest such wait (estimates, ranges 10 to 100 us and 50 to 500 ms).
        conversion: s that a conversion takes beside its samples (estimate, range 10 to 60 us).
        range_change: s of one step of automatic ranging (estimate, range 0.1 to 5 ms).
        calibration: s of an automatic calibration, outputs open (estimate, range 5 to 60 s).
        calibration_interval: s between two of them (B1500A Programming Guide, CM: 30 minutes).
        pulse_rest_short: s at base after a pulse of up to 0.1 s (E5260/E5270 Programming Guide, page 4-90).
        pulse_rest_long: s at base after a longer one (same).
        real_time_factor: 1; seconds waited before an answer for each second of the virtual clock. 0: none.
    """

    message: Seconds = 3e-3
    command: Seconds = 1e-3
    stored_command: Seconds = 1e-3
    switch: Seconds = 1e-3
    source_settling: Seconds = 100e-6
    settling_charge: float = 5e-12
    settling_min: Seconds = 50e-6
    settling_max: Seconds = 0.1
    conversion: Seconds = 30e-6
    range_change: Seconds = 1e-3
    calibration: Seconds = 30.0
    calibration_interval: Seconds = 1800.0
    pulse_rest_short: Seconds = 2e-3
    pulse_rest_long: Seconds = 10e-3
    real_time_factor: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not 0.0 <= value < 1e6:
                raise OutOfRangeError(name, value, 0.0, 1e6, "s", below=True)

    def settling(self, full_scale: Amperes) -> Seconds:
        """Time (s) that a measurement of current waits on a range (A)."""
        return min(max(self.settling_charge / full_scale, self.settling_min), self.settling_max)
