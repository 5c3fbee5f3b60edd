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
from rmhil.errors import ConfigError, NotProgrammedError, ShapeError
from rmhil.line_model import measured_matrix, series_resistance
from rmhil.units import Ohms, Siemens

_PARAMETERS = 2
"""1: resistances fitted, that of BLs and that of SLs."""

_CONDITION_MAX = 1e8
"""1: condition number of the normal matrix above which the two resistances cannot be told apart. Estimate: arrays of
2 x 2 to 32 x 32 cells have 14 to 600, a single row or column 3e10 and more."""

_RESISTANCE_SCALE: Ohms = 100.0
"""Ohm: the routing resistance that the fit starts its steps from, and the least error that is too large to be of use.
Estimate: CMOS multiplexers have 5 to 500 ohm."""


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
        ConfigError: the array says too little of its lines: it has no more cells than there are resistances, or
            a single row or column, or its cells are so few or conduct so little that a standard error is larger
            than the resistances themselves (fitted or nominal ones, or 100 ohm if those are less).
        NotProgrammedError: the median cell lies below half of the window's lower end: the array is not formed.
    """
    spec = crossbar.spec
    if crossbar.shape != (spec.n_bl, spec.n_sl):
        raise ShapeError("crossbar", crossbar.shape, f"({spec.n_bl}, {spec.n_sl}), one whole array")
    if spec.n_bl * spec.n_sl <= _PARAMETERS:
        raise _no_information(spec, f"{_PARAMETERS} resistances from {spec.n_bl * spec.n_sl} measured value(s)")
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

    fit = least_squares(misfit, nominal, bounds=(0.0, np.inf), x_scale=_RESISTANCE_SCALE, diff_step=[1e-3])
    errors = _standard_errors(spec, np.asarray(fit.fun), np.asarray(fit.jac, dtype=np.float64))
    largest = max(_RESISTANCE_SCALE, float(fit.x.max()), float(nominal.max()))
    if not errors.max() <= largest:  # written this way, NaN fails too
        raise _no_information(spec, f"a standard error of {errors.max():.0f} ohm, of resistances of {largest:.0f} ohm")
    return LineFit(
        bl_routing_resistance=float(fit.x[0]),
        sl_routing_resistance=float(fit.x[1]),
        bl_error=float(errors[0]),
        sl_error=float(errors[1]),
        residual=_rms(fit.fun) * spec.conductance_max,
        nominal_residual=_rms(misfit(nominal)) * spec.conductance_max,
        provenance=spec.provenance,
    )


def _standard_errors(spec: ArraySpec, residuals: Floats, slopes: Floats) -> Floats:
    """Ohm: one of each resistance, from the residuals of the fit and their slopes by the resistances."""
    normal = slopes.T @ slopes
    condition = float(np.linalg.cond(normal))
    if not condition <= _CONDITION_MAX:
        raise _no_information(spec, f"its two resistances cannot be told apart (condition number {condition:.1g})")
    variance = float(np.sum(residuals**2)) / (residuals.size - _PARAMETERS)
    return np.asarray(np.sqrt(np.diag(np.linalg.inv(normal)) * variance))


def _no_information(spec: ArraySpec, reason: str) -> ConfigError:
    return ConfigError(f"an array of {spec.n_bl} x {spec.n_sl} cells says too little of its lines: {reason}")


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
