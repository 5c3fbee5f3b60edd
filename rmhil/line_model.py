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
from scipy.linalg import lapack

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
        bl, sl: line numbers of the cells, of shapes that broadcast.

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
    return np.divide(near * far, total, out=np.zeros_like(total), where=total > 0)


def series_resistance(spec: ArraySpec, bl: Ints | int, sl: Ints | int) -> Floats:
    """ohm in series with single cells by the nominal wiring; arguments as `series_resistances`."""
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
    return np.divide(total, rest, out=np.full_like(total, np.inf), where=rest > 0)


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
    bad = conductance.size - np.count_nonzero(np.isfinite(conductance))
    if bad:
        raise NotFiniteError("conductance", bad, conductance.size)
    if on.size == 0:
        return np.zeros((n_bl, 0))
    cells = np.ascontiguousarray(conductance[:, on], dtype=np.float64)
    admittances = _bit_line_admittances(cells, lines, on)
    load = lines.sl_load[on] + lines.sl_segment
    top = np.zeros(on.size)
    if lines.sl_both_ends:
        top = np.divide(1.0, load, out=top, where=load > 0)
    matrix = _sweep(admittances, lines.sl_segment, top, load)
    if lines.sl_both_ends:
        matrix += _sweep(admittances[::-1], lines.sl_segment, top, load)[::-1] * (load > 0)
    return matrix


def measured_matrix(spec: ArraySpec, conductance: Floats, bl: Lines = None, sl: Lines = None) -> Floats:
    """What an MVM multiplies by, from a conductance map and the nominal wiring.

    SLs are sensed pass by pass, so each bank of them has its own network; BLs of other passes stay
    at virtual ground, so that passes add up.

    Args:
        spec: geometry, wiring and passes.
        conductance: S, of one array, shape (n_bl, n_sl).
        bl, sl: lines driven and sensed; None means all.

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


def _bit_line_admittances(cells: Floats, lines: LineResistances, on: Ints) -> Floats:
    """Each BL with its cells, seen from the SLs: admittance matrices of shape (n_bl, k, k).

    The currents out of BL i into its SLs are `S_i (V_i - s)`, with s the SLs' voltages there: the
    ladder of wire segments and cells has been eliminated exactly, by impedances looking back to the driver
    and admittances looking away from it, so that neither may be infinite.
    """
    n_bl, k = cells.shape
    n_sl = lines.sl_load.size
    gaps = np.diff(on) * lines.bl_segment
    back = np.empty_like(cells)  # ohm, from node c towards the driver
    back[:, 0] = lines.bl_source + (on[0] + 1) * lines.bl_segment
    for c in range(1, k):
        back[:, c] = gaps[c - 1] + back[:, c - 1] / (1.0 + back[:, c - 1] * cells[:, c - 1])
    away = np.zeros_like(cells)  # S, from node c away from the driver, without its own cell
    if lines.bl_both_ends:
        other = lines.bl_source + (n_sl - on[-1]) * lines.bl_segment
        away[:, -1] = np.divide(1.0, other, out=np.zeros(n_bl), where=other > 0)
    for c in range(k - 2, -1, -1):
        beyond = cells[:, c + 1] + away[:, c + 1]
        away[:, c] = beyond / (1.0 + gaps[c] * beyond)
    divider = 1.0 / (1.0 + gaps * (cells[:, 1:] + away[:, 1:]))  # node c+1 over node c
    loaded = 1.0 + back * (cells + away)
    node = back / loaded  # ohm, impedance of node c to ground
    result = np.zeros((n_bl, k, k))
    transfer = np.zeros((n_bl, k))
    for c in range(k):
        if c:
            transfer[:, :c] *= divider[:, c - 1, None]
        transfer[:, c] = node[:, c]
        result[:, c, : c + 1] = -cells[:, : c + 1] * transfer[:, : c + 1] * cells[:, c, None]
    lower = np.tril_indices(k, -1)
    result[:, lower[1], lower[0]] = result[:, lower[0], lower[1]]
    diagonal = np.arange(k)
    result[:, diagonal, diagonal] = cells * (1.0 + back * away) / loaded
    return result


def _sweep(admittances: Floats, segment: Ohms, top: Floats, load: Floats) -> Floats:
    """Walk down the SLs row by row, folding all above into one admittance and its source currents.

    Looking up from row i, the network is an admittance Y with one source-current vector a driven
    BL. Through a wire segment r both become `(1 + r Y)^-1` times themselves, which is regular for
    every r >= 0; the next row adds its own.

    Args:
        admittances: S, (n_bl, k, k), in the order of the walk.
        segment: ohm.
        top: S from the first row to ground, (k,).
        load: ohm from the last row to the virtual grounds, (k,).

    Returns:
        S, (n_bl, k), rows in the order of the walk.
    """
    n_bl, k, _ = admittances.shape
    state = np.zeros((k, k + n_bl), order="F")  # [Y | source currents]
    state[:, :k] = np.diag(top)
    unit = np.arange(k)
    for row in range(n_bl):
        used = k + row
        if row and segment > 0:
            system = np.asfortranarray(segment * state[:, :k])
            system[unit, unit] += 1.0
            _, folded, _ = lapack.dposv(system, state[:, :used], lower=1, overwrite_a=1, overwrite_b=0)
            state[:, :used] = folded
        state[:, :k] += admittances[row]
        state[:, used] = admittances[row].sum(axis=1)
    closing = state[:, :k] * load[None, :]
    closing[unit, unit] += 1.0
    return np.linalg.solve(closing, state[:, k:]).T
