"""The report of a run: one HTML file with its pictures inside."""

from __future__ import annotations

from rmhil.report.build import plots_of, write_report

__all__ = ["plots_of", "write_report"]
