"""How the SET staircase of one cell is drawn: with a few SETs at each gate voltage, histograms would say nothing."""

from __future__ import annotations

import numpy as np

from rmhil.report.canvas import COLOURS, GREY, Picture, figure, png, row
from rmhil.units import MICRO
from sim_backend.characterise.levels import Levels


def staircase_picture(measured: Levels) -> Picture:
    """Every SET against its gate voltage, and how far each lies from the straight line through all of them."""
    made = figure(8.4, 3.1)
    stairs, distance = row(made, 2)
    reached = measured.conductance[0] / MICRO
    gate = np.broadcast_to(measured.gate[:, None], reached.shape)
    slope, origin = np.polyfit(gate.reshape(-1), reached.reshape(-1), 1)
    line = origin + slope * measured.gate
    stairs.plot(measured.gate, reached, ".", color=COLOURS[0], markersize=2.5)
    stairs.plot(measured.gate, line, color=COLOURS[1], linewidth=0.9)
    stairs.set(ylabel="conductance (uS)", title=f"{len(measured.gate)} gate voltages")
    stairs.text(
        0.05, 0.9, f"{slope:.1f} uS/V, R2 = {measured.r_squared()[0]:.5f}", transform=stairs.transAxes, fontsize=8
    )
    distance.plot(measured.gate, reached - line[:, None], ".", color=COLOURS[0], markersize=2.5)
    distance.axhline(0.0, color=COLOURS[1], linewidth=0.9)
    half = abs(slope) * float(np.diff(measured.gate).mean()) / 2
    distance.axhspan(-half, half, color=GREY, alpha=0.22, linewidth=0)
    distance.set(ylabel="distance from the line (uS)", title="Single SETs")
    for ax in (stairs, distance):
        ax.set_xlabel("gate voltage of the SET (V)")
        ax.grid(True, axis="y")
    text = (
        f"{measured.conductance.shape[2]} single SETs at each gate voltage, every one from the fully RESET state. "
        "Shaded: half the step from one gate voltage to the next."
    )
    return Picture("levels", text, png(made))
