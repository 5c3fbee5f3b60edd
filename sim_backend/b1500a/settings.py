"""Settings of the mainframe that belong to no single channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rmhil.units import Seconds, Volts, Watts
from sim_backend.b1500a.adc import DEFAULTS, Integration


@dataclass(frozen=True, slots=True, kw_only=True)
class Stair:
    """A source that steps: `WV`, `WI`, `WSV`, `WSI`, `WNX`, `PWV`, `PWI`, `MCPWNX`.

    Attributes:
        channel: of the source.
        kind: `V` or `I`.
        mode: 1 linear, 2 logarithmic, 3 and 4 the same up and back; that of the primary source counts.
        range_code: of the output.
        start, stop: V or A.
        steps: from start to stop.
        compliance: A or V; None keeps that of the channel.
        power: W, power compliance; None has none.
        base: V or A between pulses; None where there are no pulses.
    """

    channel: int
    kind: Literal["V", "I"]
    mode: int
    range_code: int
    start: float
    stop: float
    steps: int
    compliance: float | None
    power: Watts | None = None
    base: float | None = None

    def pulse_to(self, peak: float) -> Step:
        """One of its pulses, to that level (V or A)."""
        return Step(
            channel=self.channel, kind=self.kind, range_code=self.range_code, base=self.base or 0.0, peak=peak,
            compliance=self.compliance,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A source that goes from one level to another: `PV`, `PI`, `MCPNX`, `MV`, `MI`.

    Attributes:
        channel: of the source.
        kind: `V` or `I`.
        range_code: of the output.
        base, peak: V or A; of a sampling measurement, before and during it.
        compliance: A or V; None keeps that of the channel.
    """

    channel: int
    kind: Literal["V", "I"]
    range_code: int
    base: float
    peak: float
    compliance: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTiming:
    """`WT`: s; trigger delays are kept and play no part."""

    hold: Seconds = 0.0
    delay: Seconds = 0.0
    step_delay: Seconds = 0.0
    source_trigger: Seconds = 0.0
    measure_trigger: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseTiming:
    """`PT`: s; a period of 0 is chosen by the instrument."""

    hold: Seconds = 0.0
    width: Seconds = 1e-3
    period: Seconds = 10e-3
    trigger_delay: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiTiming:
    """`MCPT`: s, and readings averaged; delay 0 measures at the end of the pulses."""

    hold: Seconds = 0.0
    period: Seconds = 10e-3
    delay: Seconds = 0.0
    averages: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingTiming:
    """`MT`: s, and number of samples."""

    hold: Seconds = 0.0
    interval: Seconds = 2e-3
    samples: int = 1000
    base_hold: Seconds = 0.0


@dataclass(slots=True, kw_only=True)
class Settings:
    """What `*RST` puts back.

    Attributes:
        fmt: format of data and its mode (`FMT`).
        measurement: mode and channels of `MM`; None before the first.
        trigger: of `TM`.
        averaging_mode: second parameter of `AV`.
        calibrating: of `CM`.
        integration: of `AIT`, by converter.
        auto_zero: of `AZ`.
        stamped: of `TSC`.
        parallel: of `PAD`.
        wait: factor and offset (s) of `WAT`, by type.
        sweep: of `WT`, and `sweep_abort` of `WM`.
        stair, synchronous: sources of a staircase sweep, the primary one and by number those that follow.
        pulse, pulsed, pulsed_stair: of `PT`, `PV`/`PI`, `PWV`/`PWI`.
        multi, multi_windows, multi_pulsed, multi_stairs, multi_steps: of `MCPT`, `MCPNT`, `MCPNX`, `MCPWNX`, `MCPWS`.
        sampling, sampled, sampling_mode, sampling_abort: of `MT`, `MV`/`MI`, `ML`, `MSC`.
        digital: mode of the digital port (`ERMOD`) and states of the selector's ports (`ERSSP`).
        interlock_threshold, service_mask: of `INTLKVTH` and `*SRE`.
        output_limits: V and A of `LIM`.
        capacitance_...: of `WTDCV`, `WDCV`, `ACT`, `IMP` and `LMN`.
        generator_period, generator_run, generator_operation: of `SPPER`, `SPRM`, `SIM`.
    """

    fmt: tuple[int, int] = (1, 0)
    measurement: tuple[int, tuple[int, ...]] | None = None
    trigger: int = 1
    averaging_mode: int = 0
    calibrating: bool = True
    integration: dict[int, Integration] = field(default_factory=lambda: dict(DEFAULTS))
    auto_zero: bool = False
    stamped: bool = False
    parallel: bool = False
    wait: dict[int, tuple[float, Seconds]] = field(default_factory=lambda: {1: (1.0, 0.0), 2: (1.0, 0.0)})
    sweep: SweepTiming = field(default_factory=SweepTiming)
    sweep_abort: tuple[int, int] = (1, 1)
    stair: Stair | None = None
    synchronous: dict[int, Stair] = field(default_factory=dict)
    pulse: PulseTiming = field(default_factory=PulseTiming)
    pulsed: Step | None = None
    pulsed_stair: Stair | None = None
    multi: MultiTiming = field(default_factory=MultiTiming)
    multi_windows: dict[int, tuple[Seconds, Seconds]] = field(default_factory=dict)
    multi_pulsed: dict[int, Step] = field(default_factory=dict)
    multi_stairs: dict[int, Stair] = field(default_factory=dict)
    multi_steps: tuple[int, int] = (1, 1)
    sampling: SamplingTiming = field(default_factory=SamplingTiming)
    sampled: dict[int, Step] = field(default_factory=dict)
    sampling_mode: int = 1
    sampling_abort: tuple[int, int] = (1, 2)
    digital: int = 0
    selector: dict[int, int] = field(default_factory=lambda: dict.fromkeys(range(4), 0))
    interlock_threshold: Volts = 42.0
    service_mask: int = 0
    output_limits: dict[str, float] = field(default_factory=lambda: {"V": 200.0, "I": 1.0})
    capacitance_integration: tuple[int, int] = (0, 1)
    capacitance_parameters: int = 100
    capacitance_monitor: bool = False
    capacitance_delays: tuple[Seconds, ...] = (0.0,) * 5
    capacitance_sweep: tuple[int, int, Volts, Volts, int] | None = None
    generator_period: Seconds = 1e-6
    generator_run: tuple[int, float] = (0, 0.0)
    generator_operation: int = 0
