"""A Zynq for pynq whose FPGA is the Verilated board, at the overlay's address. Needs pynq and nothing else."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import ClassVar

import pynq
from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
from pynqmetadata.frontends import Metadata

SLCR = 0xF8000000
"""System-level control registers (UG585). pynq writes the divisors of the fabric clocks there."""

FPGA0_CLK_CTRL = 0x170
"""Offset of the divisors of FCLK_CLK0: bits 13..8 and 25..20 (UG585)."""

PS_CLK_HZ = 100e6 / 3
"""Hz (UG954); IO_PLL_CTRL says how often the IO PLL multiplies it."""

IO_PLL_CTRL, PLL_FDIV_LOW = 0x108, 12

AFTER_BOOT = {
    0x100: 40 << PLL_FDIV_LOW,
    0x104: 32 << PLL_FDIV_LOW,
    IO_PLL_CTRL: 30 << PLL_FDIV_LOW,
    FPGA0_CLK_CTRL: 10 << 8 | 4 << 20,
}
"""ARM, DDR and IO PLL, and FCLK_CLK0 at 25 MHz: the overlay must set it."""

BOARD = 0x43C00000


class BusError(OSError):
    """An access that would end the program with SIGBUS on a board."""


class SimulatedZynq(pynq.Device):
    """The Verilated board behind pynq's device interface.

    Attributes:
        downloads: bitstreams that were loaded.
    """

    _slcr: ClassVar[dict[int, int]] = {}  # of the machine: pynq keeps the clocks of the first device that it met

    def __init__(self, library: Path) -> None:
        super().__init__("simulated")
        self.capabilities = {"REGISTER_RW": True}
        self.arch = "armv7l"
        self.downloads: list[str] = []
        self._slcr.clear()
        self._slcr.update(AFTER_BOOT)
        self._sim = ctypes.CDLL(str(library))
        self._sim.board_sim_create.restype = ctypes.c_void_p
        self._sim.board_sim_time_ns.restype = ctypes.c_uint64
        self._handle = ctypes.c_void_p(self._sim.board_sim_create(ctypes.c_uint32(1)))

    # What pynq asks for

    def get_bitfile_metadata(self, bitfile_name: str) -> RuntimeMetadataParser:
        return RuntimeMetadataParser(Metadata(input=Path(bitfile_name).with_suffix(".hwh")))

    def download(self, bitstream: pynq.Bitstream, parser: RuntimeMetadataParser) -> None:
        self.downloads.append(bitstream.bitfile_name)
        self.post_download(bitstream, parser, "simulated")

    def read_registers(self, address: int, length: int) -> bytes:
        words = [self._read(address + offset) for offset in range(0, length, 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)

    def write_registers(self, address: int, data: bytes) -> None:
        data = bytes(data)
        for offset in range(0, len(data), 4):
            self._write(address + offset, int.from_bytes(data[offset : offset + 4], "little"))

    # Time

    @property
    def clock_hz(self) -> float:
        """Hz, as the divisors are set."""
        word = self._slcr[FPGA0_CLK_CTRL]
        pll_hz = PS_CLK_HZ * (self._slcr[IO_PLL_CTRL] >> PLL_FDIV_LOW & 127)
        return pll_hz / ((word >> 8 & 63) * (word >> 20 & 63))

    def now(self) -> float:
        """S: a clock of the simulation is 10 ns, one of the board takes as long as the divisors say."""
        clocks = int(self._sim.board_sim_time_ns(self._handle)) // 10
        return clocks / self.clock_hz

    def sleep(self, seconds: float) -> None:
        self._sim.board_sim_step(self._handle, ctypes.c_uint64(round(seconds * self.clock_hz)))

    # Buses

    def _read(self, address: int) -> int:
        if address >= SLCR:
            return self._slcr.get(address - SLCR, 0)
        value = ctypes.c_uint32()
        self._check(self._sim.board_sim_read(self._handle, self._offset(address), ctypes.byref(value)), address)
        return value.value

    def _write(self, address: int, value: int) -> None:
        if address >= SLCR:
            self._slcr[address - SLCR] = value
            return
        self._check(self._sim.board_sim_write(self._handle, self._offset(address), ctypes.c_uint32(value)), address)

    def _offset(self, address: int) -> ctypes.c_uint32:
        if not self.downloads:
            raise BusError("the FPGA is not configured: on a board, this access would never end")
        return ctypes.c_uint32(address - BOARD)

    @staticmethod
    def _check(response: int, address: int) -> None:
        if response:
            raise BusError(f"{address:#x} answered with AXI response {response}")
