"""The report of a run: one HTML file with its pictures inside."""

from __future__ import annotations

from rmhil.report.build import write_report

__all__ = ["write_report"]
