"""Helpers of several tests: fill an array through the seam alone, and solve a network the slow way."""

from __future__ import annotations

import numpy as np

from rmhil.backend import Backend, Cells, Floats, Operation, Pulses, Read, Readings
from rmhil.line_model import LineResistances


def all_cells(backend: Backend) -> Cells:
    return Cells.from_mask(np.ones(backend.spec.shape, dtype=bool))


def pulse(
    backend: Backend,
    operation: Operation,
    amplitude: float | Floats,
    gate_voltage: float | Floats,
    cells: Cells | None = None,
    width: float | None = None,
) -> Readings:
    """One pulse and one default read for each cell (None: all cells)."""
    chosen = all_cells(backend) if cells is None else cells
    spec = backend.spec
    pulses = Pulses.of(len(chosen), operation, amplitude, width or spec.pulse_width, gate_voltage, spec.limits.current)
    return transact(backend, chosen, pulses, Read.default(spec))


def read(backend: Backend, cells: Cells | None = None, averages: int = 1) -> Readings:
    """A verify read of each cell (None: all cells)."""
    chosen = all_cells(backend) if cells is None else cells
    return transact(backend, chosen, None, Read.default(backend.spec, averages))


def transact(backend: Backend, cells: Cells, pulses: Pulses | None, how: Read) -> Readings:
    """`Backend.apply` of any number of cells, as many at once as the backend takes."""
    size = backend.spec.cells_at_once or max(1, len(cells))
    parts = [slice(first, first + size) for first in range(0, max(1, len(cells)), size)]
    return Readings.joined(
        [backend.apply(cells[part], None if pulses is None else pulses[part], how) for part in parts]
    )


def fill(backend: Backend, seed: int = 0) -> Floats:
    """FORM every cell and SET each at a gate voltage of its own; returns an averaged map."""
    limits = backend.spec.limits
    pulse(backend, Operation.FORM, limits.form_voltage, 1.5)
    pulse(backend, Operation.RESET, 2.2, limits.gate_voltage)
    gates = np.random.default_rng(seed).uniform(1.0, 3.2, backend.spec.n_cells)
    pulse(backend, Operation.SET, 2.0, gates)
    return read(backend, averages=16).conductance.reshape(backend.spec.shape)


def nodal_matrix(conductance: Floats, lines: LineResistances, on: list[int]) -> Floats:
    """The effective matrix by one dense nodal solve of the whole network: no structure, no elimination.

    Args:
        conductance: S, (n_bl, n_sl).
        lines: no resistance zero, or the node equations are singular.
        on: SLs whose word lines are on.
    """
    n_bl, n_sl, k = *conductance.shape, len(on)
    admittance = np.zeros((2 * n_bl * k, 2 * n_bl * k))
    sources = np.zeros((2 * n_bl * k, n_bl))
    sinks = np.zeros((k, 2 * n_bl * k))

    def on_bl(row: int, c: int) -> int:
        return row * k + c

    def on_sl(row: int, c: int) -> int:
        return (n_bl + row) * k + c

    def join(a: int, b: int, siemens: float) -> None:
        admittance[a, a] += siemens
        admittance[b, b] += siemens
        admittance[a, b] -= siemens
        admittance[b, a] -= siemens

    def ground(node: int, siemens: float, into: np.ndarray, where: tuple[int, int]) -> None:
        admittance[node, node] += siemens
        into[where] += siemens

    for row in range(n_bl):
        for c, column in enumerate(on):
            join(on_bl(row, c), on_sl(row, c), conductance[row, column])
            if c:
                join(on_bl(row, c - 1), on_bl(row, c), 1 / ((column - on[c - 1]) * lines.bl_segment))
            if row:
                join(on_sl(row - 1, c), on_sl(row, c), 1 / lines.sl_segment)
        near = 1 / (lines.bl_source[row] + (on[0] + 1) * lines.bl_segment)
        ground(on_bl(row, 0), near, sources, (on_bl(row, 0), row))
        if lines.bl_both_ends:
            far = 1 / (lines.bl_source[row] + (n_sl - on[-1]) * lines.bl_segment)
            ground(on_bl(row, k - 1), far, sources, (on_bl(row, k - 1), row))
    for c, column in enumerate(on):
        load = 1 / (lines.sl_load[column] + lines.sl_segment)
        ground(on_sl(n_bl - 1, c), load, sinks, (c, on_sl(n_bl - 1, c)))
        if lines.sl_both_ends:
            ground(on_sl(0, c), load, sinks, (c, on_sl(0, c)))
    return np.asarray((sinks @ np.linalg.solve(admittance, sources)).T)


def random_target(shape: tuple[int, ...], seed: int = 0) -> Floats:
    """Targets (S) all over the usual window of 10 to 80 uS."""
    return np.random.default_rng(seed).uniform(10e-6, 80e-6, shape)
