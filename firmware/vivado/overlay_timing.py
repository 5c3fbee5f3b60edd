"""When a pin may change, against the clock that its chip takes it with: the relations behind the timing constraints.

The FPGA's logic moves data and the chips' clocks with one clock. Between a change of data and the edge that takes it
lie so many of its periods (`ahead`), and so many to the next change (`behind`); a test measures both in the RTL.
"""

from __future__ import annotations

from dataclasses import dataclass

from overlay_ports import OverlayError

Chips = dict[str, dict[str, float]]


@dataclass(frozen=True)
class ChipClock:
    """A clock that the FPGA makes for chips.

    Attributes:
        port: its pin.
        register: of it, as a path below the top module.
        clocks: of its period, high and low for half of it each.
    """

    port: str
    register: str
    clocks: int


@dataclass(frozen=True)
class Output:
    """A port that chips take with a clock of theirs.

    Attributes:
        clock: port of that clock.
        falling: taken with the falling edge.
        ahead, behind: clocks from a change to that edge, and on to the next change.
        setup_ns, hold_ns: what the chip needs.
    """

    port: str
    clock: str
    falling: bool
    ahead: int
    behind: int
    setup_ns: float
    hold_ns: float

    def window_ns(self, period_ns: float, skew_ns: float) -> float:
        """Ns between the earliest and the latest time, against the clock's, at which a change may leave the FPGA."""
        latest = self.ahead * period_ns - self.setup_ns - skew_ns
        earliest = self.hold_ns + skew_ns - self.behind * period_ns
        return latest - earliest


@dataclass(frozen=True)
class Input:
    """A port that the FPGA takes, so many clocks after the edge with which the chip begins to change it.

    Attributes:
        delay_ns: longest from that edge, at the chip.
    """

    port: str
    clock: str
    falling: bool
    after: int
    delay_ns: float


@dataclass(frozen=True)
class Level:
    """A port whose levels last long: it may leave the FPGA at any time in the clock after its register changed.

    Attributes:
        spare_ns: what the chips leave of the time between it and the changes that it must come before or after.
    """

    port: str
    spare_ns: float


@dataclass(frozen=True)
class Timing:
    """All ports that go to pins."""

    period_ns: float
    clocks: tuple[ChipClock, ...]
    outputs: tuple[Output, ...]
    inputs: tuple[Input, ...]
    levels: tuple[Level, ...]


def timing(numbers: dict[str, int], chips: Chips) -> Timing:
    """Relations of a board, from its clock counts (`board_params.parameters`) and the chips' numbers."""
    period = 1e9 / numbers["CLOCK_HZ"]
    spi, read, adc = (numbers[key] for key in ("SPI_HALF_CLOCKS", "SPI_READ_HALF_CLOCKS", "ADC_HALF_CLOCKS"))
    shift = numbers["SHIFT_HALF_CLOCKS"]
    image = numbers["N_BL"] * 2 * shift * period
    dac, ads, sr, mux = (chips[name] for name in ("dac80508", "ads8324", "sn74hc595", "cd4051b"))
    return Timing(
        period_ns=period,
        clocks=(
            ChipClock("dac_sclk", "dac/spi/dac_sclk_reg", 2 * spi),
            ChipClock("adc_dclock", "adc/adc_dclock_reg", 2 * adc),
            ChipClock("sr_srclk", "router/chain/sr_srclk_reg", 2 * shift),
        ),
        outputs=(
            Output("dac_sdi", "dac_sclk", True, spi, spi, dac["sdi_setup_ns"], dac["sdi_hold_ns"]),
            Output("dac_cs_n", "dac_sclk", True, 2 * spi, spi, dac["cs_setup_ns"], dac["cs_hold_ns"]),
            Output("sr_ser", "sr_srclk", False, shift, shift, sr["ser_setup_ns"], 0.0),
        ),
        inputs=(
            Input("dac_sdo", "dac_sclk", False, read, dac["read_delay_ns"]),
            Input("adc_dout", "adc_dclock", True, adc, ads["data_delay_ns"]),
        ),
        levels=(
            Level("sr_rclk", shift * period - max(sr["latch_setup_ns"], sr["width_ns"])),
            Level("sr_srclr_n", shift * period - max(sr["clear_recovery_ns"], sr["width_ns"])),
            # The first latch of a route change comes an image after these.
            Level("sr_oe_n", image - mux["switch_ns"]),
            Level("wl_gate", image - mux["switch_ns"]),
            Level("sense_mux", numbers["SENSE_MUX_CLOCKS"] * period - mux["switch_ns"]),
            Level("adc_cs_n", adc * period - ads["cs_setup_ns"]),
        ),
    )


def check(relations: Timing, skew_ns: float, return_ns: float, window_ns: float) -> None:
    """Refuse a board that place and route could not meet.

    Raises:
        OverlayError: a window between earliest and latest is too small, or data is back too late; all are named.
    """
    period = relations.period_ns
    faults = []
    for output in relations.outputs:
        window = output.window_ns(period, skew_ns)
        if window < window_ns:
            faults.append(
                f"{output.port}: {window:g} ns are left to place and route, at least {window_ns:g} ns are needed"
            )
    for line in relations.inputs:
        spare = line.after * period - line.delay_ns - return_ns
        if spare < period:
            faults.append(
                f"{line.port}: data is back {spare:g} ns before it is taken, at least {period:g} ns are needed"
            )
    for level in relations.levels:
        if level.spare_ns < period:
            faults.append(f"{level.port}: {level.spare_ns:g} ns are to spare, at least {period:g} ns are needed")
    if faults:
        raise OverlayError("; ".join(faults))
