"""Procedures that measure converters, lines and cells, through the backend seam alone."""

from calibration.line_fit import LineFit, fit_lines

__all__ = ["LineFit", "fit_lines"]
