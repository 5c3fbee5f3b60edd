"""Readings, sweeps, pulses, samples: against Ohm's law, and in time."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sim_backend.b1500a import Source
from sim_backend.b1500a.commands.sampling import sample_times
from sim_backend.b1500a.network import Point
from sim_backend.b1500a.settings import SamplingTiming
from tests.unit.sim_backend.b1500a.desk import Desk

OHMS = 10e3
NEAR = 1e-3


@pytest.fixture
def desk() -> Desk:
    found = Desk()
    found.send("CN 1,2,3", "DV 1,0,0,0.02;DV 2,0,0,0.02")
    return found


class Recorder:
    """A resistor to ground at every channel, that remembers for how long it was at which voltages."""

    def __init__(self) -> None:
        self.held: list[tuple[dict[int, float], float]] = []

    def solve(self, sources: dict[int, Source], integration: float) -> dict[int, Point]:
        return {number: Point(one.value, one.value / OHMS, False) for number, one in sources.items()}

    def elapse(self, sources: dict[int, Source], seconds: float) -> None:
        self.held.append(({number: one.value for number, one in sources.items()}, seconds))

    def describe(self) -> str:
        return "recorder"

    def time_at(self, **volts: float) -> float:
        """s for which the named channels (`ch1`, ...) were at these voltages."""
        wanted = {int(name[2:]): value for name, value in volts.items()}
        return sum(
            seconds
            for levels, seconds in self.held
            if all(levels.get(number) == pytest.approx(value) for number, value in wanted.items())
        )


def test_a_spot_measures_current_and_voltage(desk: Desk) -> None:
    desk.send("DV 1,0,1.5")
    assert desk.values("TI 1,0") == [pytest.approx(1.5 / OHMS, rel=NEAR)]
    assert desk.values("TI 2,0") == [pytest.approx(-1.5 / OHMS, rel=NEAR)]
    assert desk.values("TIV 1,0,0") == [pytest.approx(1.5 / OHMS, rel=NEAR), pytest.approx(1.5, rel=NEAR)]
    assert desk.ask("TI 3,0").startswith("NCI+")


def test_a_forced_current_is_measured_as_a_voltage(desk: Desk) -> None:
    desk.send("DI 1,0,1E-4,5", "MM 1,1")
    assert desk.values("XE") == [pytest.approx(1.0, rel=NEAR)]
    desk.send("CMM 1,4")
    assert desk.values("XE") == [pytest.approx(1e-4, rel=NEAR), pytest.approx(1.0, rel=NEAR)]


def test_compliance_is_told_by_its_own_channel_and_by_others(desk: Desk) -> None:
    desk.send("DV 1,0,2,1E-4")
    assert desk.ask("TI 1,0") == "CAI+100.000E-06"
    assert desk.ask("TI 2,0").startswith("TBI-100.000E-06")
    assert desk.values("TV 1,0") == [pytest.approx(1.0, rel=NEAR)]


def test_a_fixed_range_that_is_too_small_is_over_range(desk: Desk) -> None:
    desk.send("DV 1,0,1.5")
    assert desk.ask("TI 1,-15") == "VAI+199.999E+99"
    assert desk.ask("TI 1,-16") == "VAI+199.999E+99"
    assert desk.ask("TI 1,-17").endswith("E-03")
    desk.send("DV 1,0,1.1")
    assert desk.ask("TI 1,-16").startswith("NAI+109.99")


def test_automatic_ranges_grow_and_shrink_with_the_current(desk: Desk) -> None:
    desk.send("DV 1,0,0.01")
    assert desk.ask("TI 1,0").endswith("E-06")
    desk.send("DV 1,0,0.00001")
    assert desk.ask("TI 1,0").endswith("E-09")
    assert desk.ask("TI 1,17").endswith("E-03")


def test_automatic_ranging_takes_time(desk: Desk) -> None:
    desk.send("DV 1,0,1", "TI 1,0")
    before = desk.clock
    desk.send("TI 1,0")
    same = desk.clock - before
    desk.send("DV 1,0,0.00001")
    before = desk.clock
    desk.send("TI 1,0")
    assert desk.clock - before > same + 3e-3


def test_averaging_lowers_the_noise_and_takes_time() -> None:
    def spread(setting: str) -> tuple[float, float]:
        desk = Desk(ideal=False)
        desk.send("CN 1,2", "DV 1,0,1,0.01", "DV 2,0,0,0.01", setting)
        begun = desk.clock
        found = [desk.values("TI 1,-16")[0] for _ in range(60)]
        mean = sum(found) / len(found)
        return (sum((one - mean) ** 2 for one in found) / 60) ** 0.5, desk.clock - begun

    quick, slow = spread("AIT 0,1,1"), spread("AIT 0,2,2")
    assert quick[0] == pytest.approx(5e-5 * 1e-4, rel=0.4)
    assert slow[0] < quick[0] / 8
    assert slow[1] > quick[1] + 60 * 0.039


def test_a_series_resistor_shows() -> None:
    desk = Desk()
    desk.send("CN 1,2", "DV 1,0,1,0.01", "DV 2,0,0,0.01", "SSR 1,1")
    assert desk.values("TI 1,0") == [pytest.approx(1.0 / (1e6 + OHMS), rel=NEAR)]


def test_a_staircase_goes_up_and_back(desk: Desk) -> None:
    desk.send("WV 1,3,0,0,2,5,0.01", "MM 2,1,2", "FMT 1,1")
    values = desk.values("XE")
    assert values[2::3] == pytest.approx([0, 0.5, 1, 1.5, 2, 2, 1.5, 1, 0.5, 0])
    assert values[0::3] == pytest.approx([volts / OHMS for volts in values[2::3]], rel=NEAR, abs=1e-9)
    assert desk.instrument.outputs()[1].value == 0.0


def test_a_sweep_may_be_logarithmic_and_end_at_its_stop(desk: Desk) -> None:
    desk.send("WV 1,2,0,0.01,1,3,0.01", "MM 2,1", "FMT 1,1", "WM 1,2")
    assert desk.values("XE")[1::2] == pytest.approx([0.01, 0.1, 1.0])
    assert desk.instrument.outputs()[1].value == 1.0


def test_synchronous_sources_step_along(desk: Desk) -> None:
    desk.send("WV 1,1,0,0,1,3,0.01", "WSV 2,0,0,-1,0.01", "MM 2,1", "FMT 1,2")
    values = desk.values("XE")
    assert values[1::2] == pytest.approx([0.0, -0.5, -1.0])
    assert values[0::2] == pytest.approx([0.0, 1.0 / OHMS, 2.0 / OHMS], rel=NEAR, abs=1e-9)


def test_compliance_ends_a_sweep_that_asks_for_it(desk: Desk) -> None:
    desk.send("WV 1,1,0,0,2,5,1E-4", "MM 2,1", "FMT 1,1", "WM 2,2")
    items = desk.ask("XE").split(",")
    assert [one[0] for one in items[0::2]] == ["N", "N", "C", "V", "V"] or [one[0] for one in items[0::2]] == [
        "N", "N", "N", "C", "V",
    ]  # fmt: skip
    assert items[-2] == "VAI+199.999E+99"
    assert desk.instrument.outputs()[1].value == 0.0


def test_power_compliance_lowers_the_current(desk: Desk) -> None:
    desk.send("WV 1,1,0,0,10,3,0.01,0.002", "MM 2,1", "WM 1,2")
    values = desk.values("XE")
    assert values[1] == pytest.approx(0.002 / 5, rel=NEAR)
    assert values[2] == pytest.approx(0.002 / 10, rel=NEAR)


def test_hold_and_delays_take_their_time(desk: Desk) -> None:
    desk.send("WV 1,1,0,0,1,11,0.01", "MM 2,1", "WT 0.5,0.1,0.05")
    before = desk.clock
    desk.send("XE")
    assert desk.clock - before == pytest.approx(0.5 + 11 * 0.15, abs=0.15)


def test_a_pulse_lasts_its_width_and_rests_at_base() -> None:
    recorder = Recorder()
    desk = Desk(recorder)
    desk.send("CN 1", "PT 0.01,0.002,0.02", "PV 1,0,0.1,1.5,0.01", "MM 3,1")
    before = desk.clock
    assert desk.values("XE") == [pytest.approx(1.5 / OHMS, rel=NEAR)]
    desk.send("CL")
    assert recorder.time_at(ch1=1.5) == pytest.approx(2e-3)
    assert desk.clock - before > 0.03
    assert desk.instrument.outputs()[1].value == 0.0


def test_a_pulsed_sweep_pulses_every_step() -> None:
    recorder = Recorder()
    desk = Desk(recorder)
    desk.send("CN 1", "PT 0,0.001,0.005", "PWV 1,1,0,0,1,2,3,0.01", "MM 4,1", "FMT 1,1")
    values = desk.values("XE")
    desk.send("CL")
    assert values[1::2] == pytest.approx([1.0, 1.5, 2.0])
    for volts in (1.0, 1.5, 2.0):
        assert recorder.time_at(ch1=volts) == pytest.approx(1e-3)


def test_gate_and_bit_line_are_pulsed_together() -> None:
    recorder = Recorder()
    desk = Desk(recorder)
    desk.send(
        "CN 1,2,3", "MCPT 0,0.01", "MCPNT 1,0.0005,0.001", "MCPNT 3,0,0.001",
        "MCPNX 1,1,1,0,0,2,0.01", "MCPNX 2,3,1,0,0,3,0.01", "MM 27,1,3",
    )  # fmt: skip
    assert desk.values("XE") == [pytest.approx(2.0 / OHMS, rel=NEAR), pytest.approx(3.0 / OHMS, rel=NEAR)]
    desk.send("CL")
    assert recorder.time_at(ch1=2.0, ch3=3.0) == pytest.approx(0.5e-3)
    assert recorder.time_at(ch1=2.0) == pytest.approx(1e-3)
    assert recorder.time_at(ch3=3.0) == pytest.approx(1e-3)


def test_pulses_of_different_widths_are_refused(desk: Desk) -> None:
    desk.send("MCPT 0,0.01", "MCPNT 1,0,0.001", "MCPNT 3,0,0.002")
    desk.send("MCPNX 1,1,1,0,0,2,0.01", "MCPNX 2,3,1,0,0,3,0.01", "MM 27,1")
    assert desk.refused("XE") == 120


def test_a_sweep_of_pulses_on_several_channels(desk: Desk) -> None:
    desk.send("MCPT 0,0.01", "MCPNT 1,0,0.001", "MCPNT 2,0,0.001", "MCPWS 1,3")
    desk.send("MCPWNX 1,1,1,0,0,1,2,0.01", "MCPNX 1,2,1,0,0,-1,0.01", "MM 28,1,2", "FMT 1,1")
    values = desk.values("XE")
    assert values[2::3] == pytest.approx([1.0, 1.5, 2.0])
    assert values[0::3] == pytest.approx([2.0 / OHMS, 2.5 / OHMS, 3.0 / OHMS], rel=NEAR)
    assert values[1::3] == pytest.approx([-value for value in values[0::3]], rel=NEAR)


def test_samples_come_at_their_interval(desk: Desk) -> None:
    desk.send("MT 0.02,0.01,5,0.03", "MV 1,0,0,1,0.01", "MM 10,1", "TSC 1", "TSR")
    values = desk.values("XE")
    assert values[1::2] == pytest.approx([1.0 / OHMS] * 5, rel=NEAR)
    steps = [later - earlier for earlier, later in zip(values[0::2], values[2::2], strict=False)]
    assert steps == pytest.approx([0.01] * 4, abs=2e-4)


def test_samples_before_the_bias_are_at_the_base(desk: Desk) -> None:
    desk.send("MT -0.001,0.0005,6", "MV 1,0,0.2,1,0.01", "MM 10,1", "RI 1,-17")
    values = desk.values("XE")
    assert values == pytest.approx([0.2 / OHMS] * 2 + [1.0 / OHMS] * 4, rel=NEAR)


def test_logarithmic_samples_spread_and_never_coincide() -> None:
    times = sample_times(SamplingTiming(hold=0.0, interval=1e-3, samples=21), 2)
    assert all(later > earlier for earlier, later in pairwise(times))
    assert times[20] == pytest.approx(99e-3)


def test_parallel_readings_take_the_time_of_one(desk: Desk) -> None:
    desk.send("MM 1,1,2", "AIT 0,2,1")
    before = desk.clock
    desk.send("XE")
    one_by_one = desk.clock - before
    desk.send("PAD 1")
    before = desk.clock
    desk.send("XE")
    assert desk.clock - before < one_by_one - 15e-3


def test_generator_pulses_reach_the_device() -> None:
    recorder = Recorder()
    desk = Desk(recorder)
    desk.send("CN 501", "SER 501,1E6", "SPPER 1E-3", "SPT 501,1,0,1E-4,2E-8", "SPV 501,1,0,2", "SPM 501,1")
    desk.send("SPRM 1,50", "SRP")
    assert desk.ask("SPST?") == "1"
    desk.send("PA 0.1")
    assert desk.ask("SPST?") == "0"
    desk.send("CL")
    assert recorder.time_at(ch501=2.0 * (1e6 + 50) / 1e6) == pytest.approx(50 * 1e-4)


def test_generator_settings_are_read_back(desk: Desk) -> None:
    desk.send("SPPER 1E-3", "SPT 501,1,0,1E-4,2E-8", "SPV 501,1,-1,2", "SPM 502,2", "SPRM 2,0.5", "ODSW 501,1,1")
    assert float(desk.ask("SPPER?")) == pytest.approx(1e-3)
    assert [float(one) for one in desk.ask("SPT? 501,1").split(",")] == pytest.approx([0, 1e-4, 2e-8, 2e-8])
    assert [float(one) for one in desk.ask("SPV? 501,1").split(",")] == pytest.approx([-1, 2])
    assert desk.ask("SPM? 502") == "2"
    assert desk.ask("SPRM?") == "2,0.5"
    assert desk.ask("ODSW? 501").startswith("1,1,")
    assert desk.refused("SPV 501,1,0,25") == 120
    assert desk.refused("SRP") == 200


def test_wz_tells_whether_outputs_are_near_zero(desk: Desk) -> None:
    assert desk.ask("WZ?") == "0"
    desk.send("DV 1,0,3")
    before = desk.clock
    assert desk.ask("WZ? 0.5") == "1"
    assert desk.clock - before > 0.5
    desk.send("DV 1,0,1.9")
    assert desk.ask("WZ?") == "0"


def test_a_limit_of_outputs_holds(desk: Desk) -> None:
    desk.send("LIM 1,3")
    assert desk.refused("DV 1,0,3.1") == 120
    assert desk.ask("LIM? 1") == "3"
    desk.send("DV 1,0,3")


def test_a_closed_interlock_lets_high_voltage_through(desk: Desk) -> None:
    desk.instrument.interlock_closed = True
    desk.send("DV 1,0,60,0.01")
    desk.instrument.open_interlock()
    assert desk.errors() == [202]
    assert not desk.instrument.outputs()[1].closed
    assert desk.instrument.outputs()[2].closed
