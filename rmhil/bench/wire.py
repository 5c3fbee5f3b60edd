"""The way to an instrument: bytes out, bytes in, and no more; over VISA, or scripted in a test."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from loguru import logger

from rmhil.bench.errors import BusHeldError, InstrumentNotFoundError
from rmhil.units import Seconds

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

DEFAULT_LIBRARY: Final = "@py"
"""pyvisa-py, which needs no vendor's software; `@ivi` is the vendor's library."""

_OPEN_TIMEOUT: Final[Seconds] = 5.0
"""s until a link stands (estimate; a gateway on the same network takes well under one)."""

_LOCK_TIMEOUT: Final[Seconds] = 1.0
"""s until a lock that somebody else holds counts as held (estimate; it is asked for once, at the start)."""

TERMINATOR: Final = b"\r\n"
"""Ends a message to the instrument."""

_DRAIN_BYTES, _DRAIN_READS, _DRAIN_WAIT = 4096, 1000, 0.1
"""What is read away: at most so many times so many bytes, until so many s of silence."""

_RESET_WAIT: Final[Seconds] = 0.02
"""s in which the other end's refusal of a message arrives (estimate; a local network takes under 1 ms)."""


class WireSilence(Exception):  # noqa: N818 - not a fault by itself: the session decides
    """Nothing came in time."""


class WireBroken(Exception):  # noqa: N818 - the session says what was lost
    """The link is gone."""


class Wire(Protocol):
    """One open link. `read` and `read_line` raise `WireSilence`; everything raises `WireBroken`."""

    def write(self, message: bytes) -> None:
        """Send one message, its terminator included."""

    def read(self, count: int, wait: Seconds) -> bytes:
        """At most so many bytes: as many as there are at the end of a message, at least one."""

    def read_line(self, wait: Seconds) -> bytes:
        """One answer, up to its line feed."""

    def clear(self) -> None:
        """Throw away what the instrument has not carried out yet: a device clear where the link has one."""

    def drain(self) -> None:
        """Read away what is on the way from the instrument, where `clear` does not do that."""

    def probe(self) -> None:
        """Find out whether the link stands, after a silence; empty messages may be sent for it."""

    def close(self) -> None:
        """Let go of the link. Idempotent."""


class VisaWire:
    """A VISA resource.

    Args:
        resource: any VISA name of an instrument or socket.
        library: as `pyvisa.ResourceManager` takes it.
        exclusive: whether to lock it for others, where the transport has locks.
        again: whether this is in the place of a link that broke, and outputs wait for it.

    Attributes:
        locked: whether it is locked for others.

    Raises:
        InstrumentNotFoundError: VISA cannot open it. The first time it says what else VISA lists, which may take 1 s.
        BusHeldError: somebody else holds it.
    """

    def __init__(
        self, resource: str, library: str = DEFAULT_LIBRARY, exclusive: bool = False, again: bool = False
    ) -> None:
        from pyvisa.constants import ResourceAttribute, StatusCode

        self._visa = _open(resource, library, again)
        self.locked = exclusive and _locked(self._visa, resource)
        self._visa.read_termination = "\n"
        self._wait: int | None = None
        self._socket = resource.upper().endswith("SOCKET")
        self._expected = (StatusCode.success_device_not_present, StatusCode.success_max_count_read)
        if self._socket:  # one that falls silent hands out what it has, instead of dropping it
            self._visa.set_visa_attribute(ResourceAttribute.suppress_end_enabled, False)

    def write(self, message: bytes) -> None:
        """As `Wire.write`."""
        with _translated():
            self._visa.write_raw(message)

    def read(self, count: int, wait: Seconds) -> bytes:
        """As `Wire.read`."""
        with _translated(), self._visa.ignore_warning(*self._expected):
            self._set_wait(wait)
            found, _ = self._visa.visalib.read(self._visa.session, count)
        return bytes(found)

    def read_line(self, wait: Seconds) -> bytes:
        """As `Wire.read_line`."""
        with _translated():
            self._set_wait(wait)
            return self._visa.read_raw()

    def clear(self) -> None:
        """As `Wire.clear`. A socket has none: an unfinished message is ended, and refused."""
        if self._socket:
            self.write(TERMINATOR)
            return
        with _translated():
            self._visa.clear()

    def drain(self) -> None:
        """As `Wire.drain`."""
        for _ in range(_DRAIN_READS if self._socket else 0):
            try:
                self.read(_DRAIN_BYTES, _DRAIN_WAIT)
            except WireSilence:
                return

    def probe(self) -> None:
        """As `Wire.probe`. A socket tells that it is closed only to the second of two messages."""
        if self._socket:
            self.write(TERMINATOR)
            time.sleep(_RESET_WAIT)
            self.write(TERMINATOR)

    def close(self) -> None:
        """As `Wire.close`."""
        with suppress(Exception):  # a library that cannot close a dead link must not hide why it is dead
            self._visa.close()

    def _set_wait(self, wait: Seconds) -> None:
        milliseconds = max(1, round(1000 * wait))
        if milliseconds != self._wait:
            self._visa.timeout = milliseconds
            self._wait = milliseconds


def visa_links(resource: str, library: str, exclusive: bool) -> Callable[[], VisaWire]:
    """Opens links to a resource: the first one locked for others if wished, those in place of a broken one at once.

    They must not wait until the lock of the broken one is forgotten.
    """
    firsts = [True]

    def open_link() -> VisaWire:
        first = bool(firsts and firsts.pop())
        return VisaWire(resource, library, exclusive and first, again=not first)

    return open_link


def resources_seen(library: str = DEFAULT_LIBRARY) -> list[str]:
    """The names that VISA lists by itself; sockets and gateways are never among them."""
    import pyvisa

    with _quiet():
        try:
            return list(pyvisa.ResourceManager(library).list_resources("?*"))
        except Exception:
            return []


def _open(resource: str, library: str, again: bool) -> MessageBasedResource:
    import pyvisa

    try:
        with _quiet():
            manager = pyvisa.ResourceManager(library)
            opened: Any = manager.open_resource(resource, open_timeout=int(1000 * _OPEN_TIMEOUT))
    except Exception as error:  # libraries raise errors of their own, bare Exception among them
        code = getattr(error, "abbreviation", "")
        if code in ("VI_ERROR_RSRC_BUSY", "VI_ERROR_RSRC_LOCKED", "VI_ERROR_NCIC"):
            raise BusHeldError(resource, f"somebody else holds it ({code})") from error
        raise InstrumentNotFoundError(resource, _reason(error), None if again else resources_seen(library)) from error
    if not hasattr(opened, "write_raw"):
        opened.close()
        raise InstrumentNotFoundError(resource, "it takes no messages", resources_seen(library))
    return opened  # type: ignore[no-any-return]


def _locked(visa: MessageBasedResource, resource: str) -> bool:
    """Lock a resource for others; False where its transport has no locks.

    Raises:
        BusHeldError: somebody else has locked it.
    """
    import pyvisa

    try:
        visa.lock_excl(timeout=int(1000 * _LOCK_TIMEOUT))
    except pyvisa.VisaIOError as error:
        if error.abbreviation in ("VI_ERROR_RSRC_BUSY", "VI_ERROR_RSRC_LOCKED", "VI_ERROR_TMO"):
            visa.close()
            raise BusHeldError(resource, f"another session has locked it ({error.abbreviation})") from error
        logger.info("{}: no lock of VISA ({})", resource, error.abbreviation)
        return False
    return True


@contextmanager
def _translated() -> Iterator[None]:
    """VISA's and the system's errors as those of a wire."""
    import pyvisa

    try:
        yield
    except pyvisa.VisaIOError as error:
        if error.abbreviation == "VI_ERROR_TMO":
            raise WireSilence from error
        raise WireBroken(_reason(error)) from error
    except pyvisa.errors.InvalidSession as error:
        raise WireBroken("the session is closed") from error
    except (OSError, EOFError, RuntimeError, AttributeError, AssertionError) as error:  # pyvisa-py on a dead link
        raise WireBroken(_reason(error)) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """VISA warns of reads that end by their count, the normal case here, and of discovery helpers that are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
