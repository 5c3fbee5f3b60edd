"""Parameters of the simulated cell from measured pulse, sweep, retention and read tables."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim_backend.fit.fit import fit_cell
    from sim_backend.fit.measure import FitPlan, Measured, measure_for_fit
    from sim_backend.fit.recorder import Recorder
    from sim_backend.fit.report import Estimate, FitReport, Residual
    from sim_backend.fit.tables import (
        Table,
        join_tables,
        load_table,
        pulse_table,
        read_table,
        retention_table,
        sweep_table,
    )

_HOMES = {
    "fit_cell": "fit",
    "FitPlan": "measure", "Measured": "measure", "measure_for_fit": "measure",
    "Recorder": "recorder",
    "Estimate": "report", "FitReport": "report", "Residual": "report",
    "Table": "tables", "join_tables": "tables", "load_table": "tables",
    "pulse_table": "tables", "read_table": "tables", "retention_table": "tables", "sweep_table": "tables",
}  # fmt: skip

__all__ = [
    "Estimate",
    "FitPlan",
    "FitReport",
    "Measured",
    "Recorder",
    "Residual",
    "Table",
    "fit_cell",
    "join_tables",
    "load_table",
    "measure_for_fit",
    "pulse_table",
    "read_table",
    "retention_table",
    "sweep_table",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what needs torch when it is first asked for: the list of commands must not wait for it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
