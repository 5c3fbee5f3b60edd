"""The C interfaces of the simulated board and of its daemon: `firmware/sim/*.h` and `firmware/c/embed.h`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_POINTER = ctypes.POINTER

CHANNELS: Final = 64
"""DAC channels, and TIAs (`RM_ARRAY_CHANNELS`)."""


class Lines(ctypes.Structure):
    """`board_sim_lines`."""

    _fields_ = (
        ("time_ns", ctypes.c_uint64),
        ("epoch", ctypes.c_uint64),
        ("dac_level", _POINTER(ctypes.c_uint32)),
        ("bl_source", _POINTER(ctypes.c_uint8)),
        ("sl_source", _POINTER(ctypes.c_uint8)),
        ("wl_source", _POINTER(ctypes.c_uint8)),
        ("dac_of_bl", _POINTER(ctypes.c_uint16)),
        ("tia_of_sl", _POINTER(ctypes.c_uint16)),
        ("tia", _POINTER(ctypes.c_uint16)),
        ("n_dac", ctypes.c_uint32),
        ("n_bl", ctypes.c_uint32),
        ("n_sl", ctypes.c_uint32),
        ("n_adc", ctypes.c_uint32),
    )


class Outputs(ctypes.Structure):
    """`board_sim_outputs`."""

    _fields_ = (
        ("time_ns", ctypes.c_uint64),
        ("outputs_enabled", ctypes.c_bool),
        ("gate", ctypes.c_bool),
        ("irq", ctypes.c_bool),
        ("lines_driven", ctypes.c_uint32),
        ("dacs_off_rest", ctypes.c_uint32),
    )


CALL: Final = ctypes.CFUNCTYPE(None)
QUESTION: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
WATCH: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, _POINTER(Lines))


class Products(ctypes.Structure):
    """`board_array`."""

    _fields_ = (
        ("renew", CALL),
        ("draw", CALL),
        ("bend", CALL),
        ("stale", ctypes.c_uint32),
        ("rest_code", ctypes.c_uint32),
        ("samples", ctypes.c_uint64),
        ("renew_at", ctypes.c_uint64),
        ("rows", ctypes.c_uint32),
        ("columns", ctypes.c_uint32),
        ("dac_of_column", ctypes.c_void_p),
        ("row_of_tia", ctypes.c_void_p),
        ("weight", ctypes.c_void_p),
        ("variance", ctypes.c_void_p),
        ("shielding", ctypes.c_void_p),
        ("offset", ctypes.c_void_p),
        ("adc_variance", ctypes.c_double),
        ("normals", ctypes.c_void_p),
        ("normals_left", ctypes.c_uint64),
        ("codes", ctypes.c_double * CHANNELS),
        ("excess", ctypes.c_double * CHANNELS),
    )


def board_library(path: Path) -> ctypes.CDLL:
    """The Verilated board, its functions with their types."""
    library = ctypes.CDLL(str(path))
    handle = ctypes.c_void_p
    strings = [_POINTER(ctypes.c_char_p)] * 2
    _declare(library, "board_sim_create", handle, ctypes.c_uint32)
    _declare(library, "board_sim_destroy", None, handle)
    _declare(library, "board_sim_set_array", None, handle, ctypes.c_void_p, ctypes.c_void_p)
    _declare(library, "board_sim_set_watch", None, handle, WATCH, ctypes.c_void_p)
    _declare(library, "board_sim_time_ns", ctypes.c_uint64, handle)
    _declare(library, "board_sim_outputs_now", None, handle, _POINTER(Outputs))
    _declare(library, "board_sim_violation_count", ctypes.c_size_t, handle)
    times = _POINTER(ctypes.c_uint64)
    _declare(library, "board_sim_violation", ctypes.c_bool, handle, ctypes.c_size_t, *strings, times)
    _declare(library, "board_sim_trace_start", ctypes.c_int, handle, ctypes.c_char_p)
    _declare(library, "board_sim_trace_stop", None, handle)
    return library


def daemon_library(path: Path) -> ctypes.CDLL:
    """The board's daemon, its functions with their types."""
    library = ctypes.CDLL(str(path))
    text, number = ctypes.c_char_p, ctypes.c_int
    _declare(library, "rm_embedded_run", number, text, ctypes.c_void_p, text, ctypes.c_bool, number)
    _declare(library, "rm_embedded_key", ctypes.c_bool, ctypes.c_char_p, ctypes.c_size_t)
    _declare(library, "rm_embedded_stop", None)
    _declare(library, "rm_embedded_ask", ctypes.c_bool, QUESTION, ctypes.c_void_p)
    _declare(library, "rm_embedded_drop", None)
    return library


def _declare(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> None:  # noqa: ANN401 - types of ctypes
    function: Callable[..., Any] = getattr(library, name)
    function.restype, function.argtypes = result, list(arguments)  # type: ignore[attr-defined]
