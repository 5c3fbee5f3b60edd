"""Loads an overlay with pynq and gives its registers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from rmhil_board.errors import ManifestError, OverlayError
from rmhil_board.manifest import Manifest
from rmhil_board.registers import Registers, Time, check_clock, check_identity

log = logging.getLogger("rmhil_board")


@dataclass(frozen=True)
class Loaded:
    """A loaded overlay.

    Attributes:
        registers: of the board, by byte offset.
        clock: Hz, measured.
    """

    registers: Registers
    clock: float


def load(manifest: Manifest, clock: Time) -> Loaded:
    """Configure the FPGA and check what answers. The board is DISARMED afterwards.

    Raises:
        ManifestError: the hardware hand-off says something else than the manifest; the FPGA was left as it was.
        OverlayError: pynq is missing, finds no FPGA, or could not load.
        IdentityError: another build answers, or its clock is wrong.
    """
    pynq = _pynq()
    try:
        overlay = pynq.Overlay(str(manifest.bitstream), download=False)
    except (RuntimeError, OSError) as error:
        raise OverlayError(f"pynq finds no FPGA or cannot read {manifest.bitstream.name}: {error}") from error
    address, size = find_registers(overlay.ip_dict, manifest)
    try:
        overlay.download()
        registers = pynq.MMIO(address, size)
    except (RuntimeError, OSError) as error:
        raise OverlayError(f"{manifest.bitstream.name} could not be loaded: {error}") from error
    check_identity(registers, manifest)
    measured = check_clock(registers, manifest, clock)
    log.info("%s at %#x, build %08x, %.2f MHz", manifest.bitstream.name, address, manifest.build_id, measured / 1e6)
    return Loaded(registers, measured)


def find_registers(ip_dict: dict[str, Any], manifest: Manifest) -> tuple[int, int]:
    """Address and size of the registers in pynq's dictionary of the overlay.

    Raises:
        ManifestError: the board is not in it once, or not where the manifest has it.
    """
    kind = f"xilinx.com:module_ref:{manifest.module}:1.0"
    found = [entry for entry in ip_dict.values() if entry["type"] == kind]
    name = manifest.bitstream.with_suffix(".hwh").name
    if len(found) != 1:
        raise ManifestError(f"{name} has {len(found)} blocks {kind}, expected 1")
    address, size = found[0]["phys_addr"], found[0]["addr_range"]
    if (address, size) != (manifest.base_address, manifest.size):
        expected = f"{manifest.size:#x} bytes at {manifest.base_address:#x}"
        raise ManifestError(f"{name} has the registers in {size:#x} bytes at {address:#x}, the manifest in {expected}")
    return address, size


def _pynq() -> Any:  # noqa: ANN401 - pynq has no types
    # Imported when it is needed: this package is also read where pynq is not.
    try:
        import pynq
    except ImportError as error:
        raise OverlayError(
            f"this Python has no pynq ({error}); PYNQ images have it in /usr/local/share/pynq-venv/bin/python3"
        ) from error
    return pynq
