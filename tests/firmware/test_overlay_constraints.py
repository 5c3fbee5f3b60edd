"""Constraints name what is there, every port once, and say what the RTL and the data sheets say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.firmware.board import FIRMWARE, GENERATED, require_tool
from tests.firmware.overlay import BOARDS, VIVADO, Constraints, ports_of, read_constraints, registers_of

FMC_PINS = 68
"""LA signals of a connector (ANSI/VITA 57.1): 34 pairs."""


@pytest.fixture(scope="module")
def registers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return {board: registers_of(board, tmp_path_factory.mktemp(board)) for board in BOARDS}


def bits_of(board: str) -> list[str]:
    return [bit for port in ports_of(board) if port.is_pin for bit in port.bits]


def texts_of(board: str) -> list[str]:
    return [(VIVADO / "generated" / board / name).read_text() for name in ("pins.xdc", "timing.xdc")]


def faults(said: Constraints, ports: list[str]) -> list[str]:
    """What is wrong with constraints of these ports."""
    wrong = []
    for port in ports:
        given = said.properties.get(port, {})
        for name in ("PACKAGE_PIN", "IOSTANDARD"):
            if len(given.get(name, [])) != 1:
                wrong.append(f"{port}: {name} {given.get(name, [])}")
        if said.timed.count(port) != 1:
            wrong.append(f"{port}: timed {said.timed.count(port)} times")
    pins = [pin for given in said.properties.values() for pin in given.get("PACKAGE_PIN", [])]
    wrong += [f"pin {pin} twice" for pin in sorted(set(pins)) if pins.count(pin) > 1]
    for port, delays in said.delays.items():
        if {key[3] for key in delays} != {"max", "min"} or len(delays) != 2:
            wrong.append(f"{port}: delays {sorted(delays)}")
        if len({key[1:3] for key in delays}) != 1:
            wrong.append(f"{port}: edges {sorted(key[1:3] for key in delays)}")
        if {key[0] for key in said.multicycles.get(port, {})} != {"setup", "hold"}:
            wrong.append(f"{port}: no relation to its clock")
    return wrong


def read(board: str, texts: list[str], registers: dict[str, list[str]], folder: Path) -> Constraints:
    said = read_constraints(texts, bits_of(board), registers[board], folder)
    assert not isinstance(said, str), said
    return said


@pytest.mark.parametrize("board", BOARDS)
def test_every_port_has_one_pin_one_standard_and_timing(
    board: str, registers: dict[str, list[str]], tmp_path: Path
) -> None:
    said = read(board, texts_of(board), registers, tmp_path)
    assert faults(said, bits_of(board)) == []
    assert set(said.properties) == set(bits_of(board))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[get_ports {wl_gate}]\n", "[get_ports {sr_oe_n}]\n", "wl_gate: PACKAGE_PIN"),
        ("PACKAGE_PIN AK18", "PACKAGE_PIN AK17", "pin AK17 twice"),
        (" IOSTANDARD LVCMOS25", "", "IOSTANDARD"),
        ("-to [get_ports {wl_gate}] 10", "-to [get_ports {sr_oe_n}] 10", "wl_gate: timed 0"),
        ("set_multicycle_path 5 -setup", "set_multicycle_path 5 -hold", "dac_sdo"),
        ("-clock_fall -max 6", "-max 6", "dac_sdi[0]: edges"),
        ("-max 6 [get_ports {dac_sdi[*]}]", "-min 6 [get_ports {dac_sdi[*]}]", "dac_sdi[0]: delays"),
    ],
)  # fmt: skip
def test_the_check_sees_what_is_wrong(
    old: str, new: str, fault: str, registers: dict[str, list[str]], tmp_path: Path
) -> None:
    texts = [text.replace(old, new, 1) for text in texts_of("adc8")]
    assert texts != texts_of("adc8")
    said = read("adc8", texts, registers, tmp_path)
    assert any(fault in line for line in faults(said, bits_of("adc8")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[get_ports {wl_gate}]", "[get_ports {gate}]", "no port gate"),
        ("[get_ports {dac_sdi[7]}]", "[get_ports {dac_sdi[8]}]", "no port dac_sdi"),
        ("dac/spi/dac_sclk_reg", "dac/spi/sclk_reg", "is 0 registers"),
        ("[get_clocks dac_sclk]", "[get_clocks sclk]", "no clock sclk"),
        ("IOSTANDARD", "IO_STANDARD", "no property IO_STANDARD"),
        ("-divide_by", "-divide", "no option -divide"),
        ("-clock_fall", "-clock_falling", "-clock_falling"),
        ("set_max_delay", "set_maximum_delay", "set_maximum_delay"),
    ],
)
def test_names_that_do_not_exist_are_errors(
    old: str, new: str, message: str, registers: dict[str, list[str]], tmp_path: Path
) -> None:
    texts = [text.replace(old, new, 1) for text in texts_of("adc8")]
    said = read_constraints(texts, bits_of("adc8"), registers["adc8"], tmp_path)
    assert isinstance(said, str)
    assert message in said


def measured(board: str, folder: Path) -> dict[str, list[int]]:
    """Clocks between changes and edges at the pins of the RTL, in Icarus."""
    image = folder / "bench"
    rtl = [FIRMWARE / "rtl" / name for name in ("rm_dac_spi.v", "rm_adc.v", "rm_shift_chain.v")]
    includes = [f"-I{path}" for path in (FIRMWARE / "rtl", GENERATED, GENERATED / "boards" / board)]
    bench = Path(__file__).parent / "benches" / "pin_timing.v"
    command = [require_tool("iverilog"), "-g2005", *includes, "-s", "pin_timing", "-o", image, bench, *rtl]
    subprocess.run([*map(str, command)], check=True, capture_output=True)
    done = subprocess.run([require_tool("vvp"), str(image)], check=True, capture_output=True, text=True)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith(("output", "input"))]
    return {name: [int(number) for number in numbers] for _, name, *numbers in lines}


@pytest.mark.parametrize("board", BOARDS)
def test_relations_to_the_chips_clocks_are_those_of_the_rtl(
    board: str, registers: dict[str, list[str]], tmp_path: Path
) -> None:
    said = read(board, texts_of(board), registers, tmp_path)
    found = measured(board, tmp_path)
    assert set(found) == {port.split("[")[0] for port in said.delays}
    for name, numbers in found.items():
        relations = said.multicycles[f"{name}[0]"]
        if len(numbers) == 2:  # clocks from a change to the edge, and on to the next change
            ahead, behind = numbers
            assert relations == {("setup", "start"): ahead, ("hold", "start"): ahead - 1 + behind}
        else:  # clocks from the edge that changes it; hold is counted from that edge
            assert relations == {("setup", "end"): numbers[0], ("hold", "end"): numbers[0] - 1}


def test_delays_are_those_of_the_data_sheets(registers: dict[str, list[str]], tmp_path: Path) -> None:
    # TI SLASEL1D: SDI 5 ns before and 10 ns after the falling SCLK edge, CS 13 ns before and 10 ns after; 1 ns of skew.
    # TI SBAS172A: DOUT 250 ns after the falling DCLOCK edge; 8 ns there and back.
    said = read("adc64", texts_of("adc64"), registers, tmp_path)
    sclk, dclock = ("dac_sclk", "fall"), ("adc_dclock", "fall")
    assert said.delays["dac_sdi[0]"] == {("output", *sclk, "max"): 6.0, ("output", *sclk, "min"): -11.0}
    assert said.delays["dac_cs_n[7]"] == {("output", *sclk, "max"): 14.0, ("output", *sclk, "min"): -11.0}
    assert said.delays["adc_dout[63]"] == {("input", *dclock, "max"): 258.0, ("input", *dclock, "min"): 0.0}
    assert said.clocks == {"dac_sclk": (2, "dac_sclk"), "adc_dclock": (84, "adc_dclock"), "sr_srclk": (8, "sr_srclk")}


def test_pins_are_signals_of_the_fmc_connectors(registers: dict[str, list[str]], tmp_path: Path) -> None:
    said = read("adc64", texts_of("adc64"), registers, tmp_path)
    # Two pins of each connector that the board files and Analog Devices' designs for the ZC706 agree on.
    fmc = (VIVADO / "zc706_fmc.toml").read_text()
    assert fmc.count("pin = ") == 2 * FMC_PINS
    for line, pin in (("LA00_P", "AF20"), ("LA33_N", "N27"), ("LA00_P", "AE13"), ("LA33_N", "AA30")):
        assert f'{line} = {{ pin = "{pin}"' in fmc
    assert said.properties["dac_sclk"]["PACKAGE_PIN"] == ["AF20"]
    assert said.properties["adc_dout[0]"] == {
        "PACKAGE_PIN": ["AE13"],
        "IOSTANDARD": ["LVCMOS25"],
        "PULLTYPE": ["PULLUP"],
    }
