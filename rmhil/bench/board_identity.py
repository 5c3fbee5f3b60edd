"""Which board is on a link, and whether it is the one that was described: known before anything is driven."""

from __future__ import annotations

from dataclasses import dataclass

from rmhil.bench.board_description import BoardDescription
from rmhil.bench.board_errors import BoardMismatchError
from rmhil.bench.board_map import FIELDS, MAP_HASH, REGISTERS, VECTOR_BYTES, VECTOR_LINES
from rmhil.bench.link import Link
from rmhil.bench.messages import Read, Welcome


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardIdentity:
    """Which board this is.

    Attributes:
        name: of its description.
        map_hash, board_hash: of the register map and of the description that it was built from.
        build: first 32 bits of the commit that it was built from; 0 where that is unknown.
        protocol: version that its daemon speaks.
        n_bl, n_sl: lines.
        adc_count: ADCs.
        clock_hz: Hz, of its logic.
    """

    name: str
    map_hash: int
    board_hash: int
    build: int
    protocol: int
    n_bl: int
    n_sl: int
    adc_count: int
    clock_hz: int

    def __str__(self) -> str:
        build = f"build {self.build:08x}" if self.build else "build unknown"
        return f"board {self.name} ({self.n_bl} x {self.n_sl} lines, {self.adc_count} ADCs, {build})"


def identify(link: Link, described: BoardDescription) -> BoardIdentity:
    """Compare a board with its description.

    Raises:
        BoardMismatchError: it has another register map, or was made from another description.
        BoardLinkError: no answer.
    """
    welcome = link.welcome
    if welcome.map_hash != MAP_HASH:
        numbers = f"0x{welcome.map_hash:08X} there, 0x{MAP_HASH:08X} here"
        raise BoardMismatchError("the board has another register map than this rmhil; update the older", [numbers])
    found, expected = _found(link), _expected(described)
    differences = [f"{name} {found[name]}, not {expected[name]}" for name in found if found[name] != expected[name]]
    if differences:
        raise BoardMismatchError(f"the board is not made from description {described.name}", differences)
    return _identity(welcome, described)


def _found(link: Link) -> dict[str, int | str]:
    """What the daemon and the registers say."""
    names = ("LINES", "CHANNELS", "CLOCK_HZ", "INPUT_LIMITS")
    words = dict(zip(names, link.transact([Read(REGISTERS[name]) for name in names]), strict=True))

    def field(register: str, name: str) -> int:
        return FIELDS[f"{register}.{name}"].of(words[register])

    return {
        "description hash": f"0x{link.welcome.board_hash:08X}",
        "bytes of a vector": link.welcome.vector_bytes,
        "bytes of a result": link.welcome.result_bytes,
        "bit lines": field("LINES", "N_BL"),
        "source lines": field("LINES", "N_SL"),
        "DAC channels": field("CHANNELS", "DAC"),
        "TIAs": field("CHANNELS", "TIA"),
        "ADCs": field("CHANNELS", "ADC"),
        "clock in Hz": words["CLOCK_HZ"],
        "resting code": field("INPUT_LIMITS", "REST_CODE"),
        "largest code from rest": field("INPUT_LIMITS", "LIMIT_CODES"),
    }


def _expected(described: BoardDescription) -> dict[str, int | str]:
    return {
        "description hash": f"0x{described.hash:08X}",
        "bytes of a vector": VECTOR_BYTES,
        "bytes of a result": VECTOR_BYTES,
        "bit lines": described.n_bl,
        "source lines": described.n_sl,
        "DAC channels": VECTOR_LINES,
        "TIAs": VECTOR_LINES,
        "ADCs": described.adc_count,
        "clock in Hz": described.clock_hz,
        "resting code": described.rest_code,
        "largest code from rest": described.limit_codes,
    }


def _identity(welcome: Welcome, described: BoardDescription) -> BoardIdentity:
    return BoardIdentity(
        name=described.name,
        map_hash=welcome.map_hash,
        board_hash=welcome.board_hash,
        build=welcome.build,
        protocol=welcome.version,
        n_bl=described.n_bl,
        n_sl=described.n_sl,
        adc_count=described.adc_count,
        clock_hz=described.clock_hz,
    )
