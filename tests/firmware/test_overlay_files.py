"""What Vivado is given follows from the board descriptions, and is refused where it cannot be."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE
from tests.firmware.overlay import VIVADO, chips, numbers_of

sys.path.insert(0, str(FIRMWARE / "vivado"))
import make_overlay
import overlay_ports
import overlay_timing

ADC8 = FIRMWARE / "boards" / "adc8.toml"
PINS = VIVADO / "pins" / "adc8.toml"


def changed(source: Path, folder: Path, old: str, new: str) -> Path:
    """A copy with one text replaced."""
    text = source.read_text()
    assert old in text
    path = folder / source.name
    path.write_text(text.replace(old, new, 1))
    return path


def test_generated_files_follow_from_their_sources() -> None:
    stale = [str(path) for path, text in make_overlay.outputs().items() if path.read_text() != text]
    assert stale == [], "run make regmap"


def test_files_of_example_pins_say_so(tmp_path: Path) -> None:
    assert "EXAMPLE" in make_overlay.outputs_of(ADC8, PINS)["pins.xdc"]
    real = make_overlay.outputs_of(ADC8, changed(PINS, tmp_path, "example = true", "example = false"))
    assert "EXAMPLE" not in real["pins.xdc"]
    assert "    pins board\n" in real["overlay.tcl"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('wl_gate = ["HPC.LA16_P"]', 'wl_gate = ["HPC.LA17_P"]', "LA17_P is given to"),
        ('wl_gate = ["HPC.LA16_P"]', 'wl_gate = ["HPC.LA34_P"]', "no FMC signal HPC.LA34_P"),
        ('wl_gate = ["HPC.LA16_P"]', 'wl_gate = ["LA16_P"]', "no FMC signal LA16_P"),
        ('wl_gate = ["HPC.LA16_P"]', 'wl_gate = ["HPC.LA16_P", "HPC.LA16_N"]', "wl_gate has 2 pins, needs 1"),
        ("wl_gate =", "gate =", "missing or unknown: gate, wl_gate"),
        ("example = true", 'example = "yes"', "needs `example = true`"),
    ],
)
def test_a_pin_file_that_does_not_fit_the_ports_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(overlay_ports.OverlayError, match=message):
        make_overlay.outputs_of(ADC8, changed(PINS, tmp_path, old, new))


@pytest.mark.parametrize(
    ("skew_ns", "return_ns", "chip", "number", "value", "message"),
    [
        (2.0, 8.0, "dac80508", "sdi_setup_ns", 5, "dac_sdi: 1 ns are left to place and route, at least 2 ns"),
        (1.0, 18.0, "dac80508", "read_delay_ns", 25, "dac_sdo: data is back 7 ns before it is taken"),
        (1.0, 8.0, "sn74hc595", "latch_setup_ns", 35, "sr_rclk: 5 ns are to spare"),
        (1.0, 8.0, "ads8324", "data_delay_ns", 410, "adc_dout: data is back 2 ns before"),
    ],
)
def test_pins_that_place_and_route_could_not_meet_are_refused(
    skew_ns: float, return_ns: float, chip: str, number: str, value: int, message: str
) -> None:
    numbers, found = numbers_of("adc8"), chips()
    found[chip][number] = value
    with pytest.raises(overlay_ports.OverlayError, match=message):
        overlay_timing.check(overlay_timing.timing(numbers, found), skew_ns, return_ns, 2.0)


def test_a_clock_that_the_processing_system_cannot_make_is_refused(tmp_path: Path) -> None:
    odd = changed(ADC8, tmp_path, "clock_hz = 100_000_000", "clock_hz = 97_000_000")
    with pytest.raises(overlay_ports.OverlayError, match="nearest that 1000000000 Hz can be divided to is"):
        make_overlay.outputs_of(odd, PINS)


@pytest.mark.parametrize("address", [0x3FFC0000, 0x43C10000, 0x7FFE0000, 0x80000000])
def test_an_address_that_the_port_does_not_have_is_refused(address: int) -> None:
    overlay = tomllib.loads((VIVADO / "overlay.toml").read_text())
    overlay["axi"]["base_address"] = address
    with pytest.raises(overlay_ports.OverlayError, match=f"{address:#x}"):
        make_overlay.check_system(overlay, 100_000_000, 0x40000)


def test_a_port_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    top = FIRMWARE / "rtl" / "rm_board.v"
    with pytest.raises(overlay_ports.OverlayError, match="not a port"):
        overlay_ports.read_ports(changed(top, tmp_path, "output wire        irq", "inout wire irq"), {})
    with pytest.raises(overlay_ports.OverlayError, match="width of dac_cs_n is"):
        overlay_ports.read_ports(top, {})
