"""The checks of the array: its lines, as far as readings can tell, and a few cells.

A reading at the read voltage goes through one bit line, one cell and one source line, and needs the word line. Where it
shows a conducting cell, all three are joined. Where it does not, the cell may be virgin or a line open: readings cannot
tell. With the gate at 0 V no cell conducts; what still does is a short, or a word line that does not reach its gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Cells, Read, Readings, Status
from rmhil.bench.backend import BenchBackend
from rmhil.bench.bench_under_test import BenchUnderTest
from rmhil.bench.lights import Light, Seen
from rmhil.units import MICRO, Siemens

CONDUCTS: Final[Siemens] = 1e-6
"""S: above it a cell is formed; virgin cells have a few nS (arXiv 2601.10037), and the reading resolves 25 nS."""

LEAKS: Final[Siemens] = 0.5e-6
"""S: above it something conducts although the gate is at 0 V (estimate, range 0.2 to 1 uS; a transistor that is off and
the multiplexers together leak some nA)."""

PARTNERS: Final = 3
"""1: cells that are tried for a line before it counts as unknown."""


def look_at_lines(bench: BenchUnderTest) -> Seen:
    """Which lines are shown to be joined, and whether anything conducts that must not."""
    backend = bench.backend
    spec = backend.spec
    bl_known, sl_known = np.zeros(spec.n_bl, dtype=bool), np.zeros(spec.n_sl, dtype=bool)
    leaking, total = [], max(spec.n_bl, spec.n_sl)
    for done, (bl, sl) in enumerate(_diagonal(spec.n_bl, spec.n_sl), 1):
        if _conductance(backend, bl, sl, gate_voltage=0.0) > LEAKS:
            leaking.append((bl, sl))
        elif _conductance(backend, bl, sl) > CONDUCTS:
            bl_known[bl] = sl_known[sl] = True
        if bench.progress is not None:
            bench.progress(done, total, "testing lines")
    _try_others(backend, bl_known, sl_known)
    if leaking:
        listed = ", ".join(f"BL {bl} with SL {sl}" for bl, sl in leaking[:8]) + (", .." if len(leaking) > 8 else "")
        return Seen(
            Light.RED, f"conducting with the word line at 0 V: {listed}",
            "a short between the lines, or a word line that does not reach its gates: look at bonds and probe card",
        )  # fmt: skip
    return _seen(bl_known, sl_known)


def _diagonal(n_bl: int, n_sl: int) -> Iterator[tuple[int, int]]:
    """Cells that together take every line at least once."""
    for number in range(max(n_bl, n_sl)):
        yield number % n_bl, number % n_sl


def _try_others(backend: BenchBackend, bl_known: NDArray[np.bool_], sl_known: NDArray[np.bool_]) -> None:
    """Look for lines that no cell has shown yet through other cells, on lines that were shown."""
    for bl in np.flatnonzero(~bl_known):
        for sl in np.flatnonzero(sl_known)[:PARTNERS]:
            bl_known[bl] |= _conductance(backend, int(bl), int(sl)) > CONDUCTS
    for sl in np.flatnonzero(~sl_known):
        for bl in np.flatnonzero(bl_known)[:PARTNERS]:
            sl_known[sl] |= _conductance(backend, int(bl), int(sl)) > CONDUCTS


def _seen(bl_known: NDArray[np.bool_], sl_known: NDArray[np.bool_]) -> Seen:
    text = (
        f"{np.count_nonzero(bl_known)} of {bl_known.size} BLs and {np.count_nonzero(sl_known)} of {sl_known.size} SLs "
        "with their WLs are shown to be joined; nothing conducts with the word line at 0 V"
    )
    if bl_known.all() and sl_known.all():
        return Seen(Light.GREEN, text)
    unknown = [
        f"{line} {', '.join(str(one) for one in np.flatnonzero(~known)[:8])}{', ..' if (~known).sum() > 8 else ''}"
        for line, known in (("BL", bl_known), ("SL", sl_known))
        if not known.all()
    ]
    hint = f"not told ({'; '.join(unknown)}): no cell tried there conducts. Form some on these lines, and look again"
    return Seen(Light.AMBER, text, hint)


def look_at_cells(bench: BenchUnderTest) -> Seen:
    """A reading of the corners and of the middle."""
    spec = bench.backend.spec
    bl, sl = spec.n_bl - 1, spec.n_sl - 1
    chosen = sorted({(0, 0), (0, sl), (bl // 2, sl // 2), (bl, 0), (bl, sl)})
    found = {cell: _read(bench.backend, *cell, gate_voltage=spec.read_gate_voltage) for cell in chosen}
    listed = ", ".join(f"{cell} {one.conductance[0] / MICRO:.3g} uS" for cell, one in found.items())
    bad = [cell for cell, one in found.items() if one.status[0] != Status.NORMAL]
    if bad:
        hint = f"cells {bad} carry a status: a short on their lines, or limits.current_a below what they carry"
        return Seen(Light.RED, listed, hint)
    virgin = all(one.conductance[0] < CONDUCTS for one in found.values())
    return Seen(Light.GREEN, f"{listed}{'; none conducts, as virgin cells do' if virgin else ''}")


def _conductance(backend: BenchBackend, bl: int, sl: int, gate_voltage: float | None = None) -> Siemens:
    gate = backend.spec.read_gate_voltage if gate_voltage is None else gate_voltage
    reading = _read(backend, bl, sl, gate)
    return float(reading.current[0]) / backend.spec.read_voltage


def _read(backend: BenchBackend, bl: int, sl: int, gate_voltage: float) -> Readings:
    read = Read(voltage=backend.spec.read_voltage, gate_voltage=gate_voltage)
    return backend.apply(Cells.of(0, bl, sl), None, read)
