"""Fit the routing resistances of a board to an array that is already programmed.

The wiring states nominal resistances. This procedure measures the matrix that the array multiplies
with, line by line, and finds the routing resistances of BLs and of SLs with which the line model
explains it best. Verify readings had the nominal routing removed, so each resistance that is tried
also changes what the cells are taken to be. No pulse is given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from rmhil.backend import ArraySpec, Floats
from rmhil.crossbar import Crossbar
from rmhil.errors import NotProgrammedError, ShapeError
from rmhil.line_model import measured_matrix, series_resistance
from rmhil.units import Ohms, Siemens


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFit:
    """Routing resistances that explain a measured array.

    Attributes:
        bl_routing_resistance, sl_routing_resistance: ohm.
        bl_error, sl_error: ohm, one standard error of each, from the residuals.
        residual: S, root mean square of measured minus modelled matrix with these resistances.
        nominal_residual: S, the same with the wiring's own.
        provenance: identity of the target.
    """

    bl_routing_resistance: Ohms
    sl_routing_resistance: Ohms
    bl_error: Ohms
    sl_error: Ohms
    residual: Siemens
    nominal_residual: Siemens
    provenance: str

    def __str__(self) -> str:
        return (
            f"{self.provenance}: BL routing {self.bl_routing_resistance:.1f} +- {self.bl_error:.1f} ohm, "
            f"SL routing {self.sl_routing_resistance:.1f} +- {self.sl_error:.1f} ohm, "
            f"residual {self.residual * 1e6:.3f} uS (nominal wiring: {self.nominal_residual * 1e6:.3f} uS)"
        )


def fit_lines(crossbar: Crossbar) -> LineFit:
    """Fit the routing resistance of BLs and of SLs, one value each.

    Args:
        crossbar: one whole array. Cells that were never read are read first.

    Raises:
        ShapeError: not one whole array.
        NotProgrammedError: the median cell lies below half of the window's lower end: the array is not formed.
    """
    spec = crossbar.spec
    if crossbar.shape != (spec.n_bl, spec.n_sl):
        raise ShapeError("crossbar", crossbar.shape, f"({spec.n_bl}, {spec.n_sl}), one whole array")
    known = crossbar.conductance
    conductance = crossbar.read() if np.isnan(known).any() else known
    typical = float(np.median(conductance))
    if typical < spec.conductance_min / 2:
        raise NotProgrammedError(
            f"the median cell reads {typical * 1e6:.3g} uS, too little to load a line; form the array first"
        )
    measured = crossbar.measure_columns()
    nominal = np.array([spec.wiring.bl_routing_resistance, spec.wiring.sl_routing_resistance])

    def misfit(routing: Floats) -> Floats:
        return np.asarray((_modelled(spec, conductance, routing) - measured).ravel() / spec.conductance_max)

    fit = least_squares(misfit, nominal, bounds=(0.0, np.inf), x_scale=100.0, diff_step=[1e-3])
    variance = float(np.sum(fit.fun**2)) / (fit.fun.size - fit.x.size)
    slopes = np.asarray(fit.jac, dtype=np.float64)
    errors = np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes)) * variance)
    return LineFit(
        bl_routing_resistance=float(fit.x[0]),
        sl_routing_resistance=float(fit.x[1]),
        bl_error=float(errors[0]),
        sl_error=float(errors[1]),
        residual=_rms(fit.fun) * spec.conductance_max,
        nominal_residual=_rms(misfit(nominal)) * spec.conductance_max,
        provenance=spec.provenance,
    )


def _modelled(spec: ArraySpec, conductance: Floats, routing: Floats) -> Floats:
    """The line model's matrix (S) with other routing resistances (ohm: of BLs, of SLs)."""
    wiring = spec.wiring.model_copy(
        update={"bl_routing_resistance": float(routing[0]), "sl_routing_resistance": float(routing[1])}
    )
    tried = replace(spec, wiring=wiring)
    bl, sl = np.arange(spec.n_bl)[:, None], np.arange(spec.n_sl)
    less = series_resistance(tried, bl, sl) - series_resistance(spec, bl, sl)
    return measured_matrix(tried, conductance / (1.0 - conductance * less))


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
