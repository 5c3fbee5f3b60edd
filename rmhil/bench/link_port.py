"""Bytes to and from a board's daemon, over whatever pyserial's `serial_for_url` opens; no protocol here."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

import serial

from rmhil.units import Seconds

_BITS_PER_BYTE: Final = 10
"""1: eight data bits, a start and a stop bit."""

_WRITE_TIMEOUT: Final[Seconds] = 2.0
"""s: a daemon that lives takes what is sent; more is allowed for what a serial line needs."""


class PortBroken(Exception):  # noqa: N818 - a condition that the link handles, no error of rmhil's
    """The bytes stopped: the device is gone, or the other side closed the connection."""


class Port:
    """An open line.

    Args:
        url: a device (`/dev/ttyUSB0`), a pseudo-terminal, or `socket://host:port`.
        baud: of a device.
        turn: s: `read` returns after this time at the latest.

    Raises:
        PortBroken: it cannot be opened.
    """

    def __init__(self, url: str, baud: int, turn: Seconds) -> None:
        self._is_socket = url.startswith("socket://")
        self._byte_time = 0.0 if self._is_socket else _BITS_PER_BYTE / baud
        write_timeout = _WRITE_TIMEOUT + self.transfer_time(1 << 14)
        try:
            self._serial = serial.serial_for_url(
                url, do_not_open=True, baudrate=baud, timeout=turn, write_timeout=write_timeout
            )
        except (serial.SerialException, ValueError) as error:
            raise PortBroken(str(error)) from error
        try:
            self._serial.open()
            if self._is_socket:
                self._send_at_once()
        except (serial.SerialException, OSError, ValueError) as error:
            self.close()
            raise PortBroken(str(error)) from error

    def transfer_time(self, count: int) -> Seconds:
        """S that `count` bytes take on the line; zero on a network."""
        return count * self._byte_time

    def read(self, wanted: int) -> bytes:
        """At least `wanted` bytes, or fewer after one turn.

        Raises:
            PortBroken: there will be none.
        """
        try:
            ready = 0 if self._is_socket else self._serial.in_waiting
            return bytes(self._serial.read(max(wanted, ready)))
        except (serial.SerialException, OSError, TypeError) as error:  # pyserial: TypeError after a concurrent close
            raise PortBroken(str(error)) from error

    def write(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            PortBroken: it could not be sent.
        """
        try:
            self._serial.write(data)
        except (serial.SerialException, OSError) as error:
            raise PortBroken(str(error)) from error

    def close(self) -> None:
        """Let go of the line; again is allowed."""
        connection = getattr(self._serial, "_socket", None)
        with suppress(serial.SerialException, OSError):
            self._serial.close()
        if connection is not None:
            connection.close()  # pyserial leaves it open where the other side has closed it already

    def _send_at_once(self) -> None:
        """Small frames do not wait for the acknowledgement of earlier ones (Nagle); pyserial has no setting for it."""
        with socket.socket(fileno=os.dup(self._serial.fileno())) as same:
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
