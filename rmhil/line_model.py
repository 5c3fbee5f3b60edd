"""The array as a linear network of lines: routing, wire segments, cells, virtual grounds.

Runtime and simulator both use it: the one with the nominal wiring, the other with the resistance
of every single line. The matrices are exact, and zero resistances are ordinary values.

Geometry: bit line i runs across the source lines and is driven before the first of them; source
line j runs across the bit lines and is sensed after the last of them. Between neighbours, and
between a line's end and its first cell, lies one wire segment. A line that is driven or sensed at
both ends has the same routing at its other end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rmhil.backend import ArraySpec, Floats, Ints, Lines, line_numbers
from rmhil.errors import NotFiniteError, ShapeError
from rmhil.units import Ohms
from rmhil.wiring import Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class LineResistances:
    """Resistances of every line of one array.

    Attributes:
        bl_source: ohm between a BL's driver and the wire, shape (n_bl,).
        sl_load: ohm between an SL's wire and its virtual ground, shape (n_sl,).
        bl_segment: ohm of a BL's wire per cell pitch.
        sl_segment: ohm of an SL's wire per cell pitch.
        bl_both_ends: whether BLs are driven from both ends.
        sl_both_ends: whether SLs are sensed at both ends.
    """

    bl_source: Floats
    sl_load: Floats
    bl_segment: Ohms
    sl_segment: Ohms
    bl_both_ends: bool = False
    sl_both_ends: bool = False

    @classmethod
    def nominal(cls, wiring: Wiring, n_bl: int, n_sl: int) -> LineResistances:
        """What the wiring says of every line of an array."""
        return cls(
            bl_source=np.full(n_bl, wiring.bl_routing_resistance),
            sl_load=np.full(n_sl, wiring.sl_routing_resistance),
            bl_segment=wiring.bl_wire_resistance,
            sl_segment=wiring.sl_wire_resistance,
            bl_both_ends=wiring.bl_driven_from == "both ends",
            sl_both_ends=wiring.sl_sensed_at == "both ends",
        )


def series_resistances(lines: LineResistances, bl: Ints, sl: Ints) -> Floats:
    """Resistance in series with single cells, while every other cell of their lines is off.

    Args:
        lines: of the array.
        bl: bit line of each cell.
        sl: source line of each cell, of a shape that broadcasts with `bl`.

    Returns:
        ohm, routing and wire of both lines.
    """
    return series_between(lines.bl_source[bl], lines.sl_load[sl], bl, sl, lines)


def series_between(bl_end: Floats, sl_end: Floats, bl: Ints, sl: Ints, lines: LineResistances) -> Floats:
    """As `series_resistances`, with the routing of each cell's own lines given (ohm)."""
    n_bl, n_sl = lines.bl_source.size, lines.sl_load.size
    on_bl = _from_ends(bl_end, lines.bl_segment, sl + 1, n_sl - sl, lines.bl_both_ends)
    on_sl = _from_ends(sl_end, lines.sl_segment, n_bl - bl, bl + 1, lines.sl_both_ends)
    return on_bl + on_sl


def _from_ends(end: Floats, segment: Ohms, pitches: Ints, pitches_other: Ints, both: bool) -> Floats:
    near = end + segment * pitches
    if not both:
        return near
    far = end + segment * pitches_other
    total = near + far
    parallel: Floats = np.divide(near * far, total, out=np.zeros_like(total), where=total > 0)
    return parallel


def series_resistance(spec: ArraySpec, bl: Ints | int, sl: Ints | int) -> Floats:
    """Resistance (ohm) in series with single cells by the nominal wiring; arguments as `series_resistances`."""
    lines = LineResistances.nominal(spec.wiring, spec.n_bl, spec.n_sl)
    return series_resistances(lines, np.asarray(bl, dtype=np.int64), np.asarray(sl, dtype=np.int64))


def cell_conductance(current: Floats, voltage: float, series: Floats) -> Floats:
    """Conductance of a cell from the current through it and the resistance in series with it.

    Args:
        current: A.
        voltage: V between the drivers, not zero.
        series: ohm.

    Returns:
        S. Noise may make it slightly negative. A current that even a short circuit could not
        carry gives infinity.
    """
    total = np.asarray(current, dtype=np.float64) / voltage
    rest = 1.0 - total * series
    conductance: Floats = np.divide(total, rest, out=np.full_like(total, np.inf), where=rest > 0)
    return conductance


def effective_matrix(conductance: Floats, lines: LineResistances, sl: Lines = None) -> Floats:
    """Currents into the virtual grounds per volt at the drivers: the exact solution of the network.

    The cells of the SLs in `sl` are on, all others off. Every BL is driven or at 0 V.

    Args:
        conductance: S, shape (n_bl, n_sl).
        lines: of the array.
        sl: the SLs whose word lines are on; None means all.

    Returns:
        S, shape (n_bl, len(sl)), float64: element [i, j] is the current into SL sl[j] at 1 V on BL i.

    Raises:
        ShapeError: conductance and lines differ in size.
        NotFiniteError: a conductance is NaN or infinite.
    """
    n_bl, n_sl = lines.bl_source.size, lines.sl_load.size
    if conductance.shape != (n_bl, n_sl):
        raise ShapeError("conductance", conductance.shape, f"({n_bl}, {n_sl}), as the lines")
    on = line_numbers("sl", sl, n_sl)
    bad = int(np.count_nonzero(~np.isfinite(conductance)))
    if bad:
        raise NotFiniteError("conductance", bad, conductance.size)
    if on.size == 0:
        return np.zeros((n_bl, 0))
    import torch  # here, so that importing this module stays quick

    from rmhil.line_solver import LineTensors, solve

    tensors = LineTensors.of([lines], on, torch.device("cpu"))
    cells = torch.from_numpy(np.asarray(conductance[:, on], dtype=np.float64))
    solution: Floats = solve(cells[None], on.tolist(), n_sl, tensors)[0].numpy()
    return solution


def measured_matrix(spec: ArraySpec, conductance: Floats, bl: Lines = None, sl: Lines = None) -> Floats:
    """What an MVM multiplies by, from a conductance map and the nominal wiring.

    SLs are sensed pass by pass, so each bank of them has its own network; BLs of other passes stay
    at virtual ground, so that passes add up.

    Args:
        spec: geometry, wiring and passes.
        conductance: S, of one array, shape (n_bl, n_sl).
        bl: bit lines driven; None means all.
        sl: source lines sensed; None means all.

    Returns:
        S, shape (len(bl), len(sl)).

    Raises:
        ShapeError, NotFiniteError: as `effective_matrix`.
        OutOfRangeError: a line does not exist.
    """
    rows = line_numbers("bl", bl, spec.n_bl)
    lines = LineResistances.nominal(spec.wiring, spec.n_bl, spec.n_sl)
    banks = [one.sl for one in spec.passes([0], sl)]
    parts = [effective_matrix(conductance, lines, bank)[rows] for bank in banks]
    return np.concatenate(parts, axis=1) if parts else np.zeros((rows.size, 0))
