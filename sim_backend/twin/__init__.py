"""The twin: a whole bench in one process of its own, board and analyser in front of the simulator's array."""

from __future__ import annotations

from sim_backend.twin.client import Twin, attach_twin
from sim_backend.twin.records import AnalyserOutput, BoardOutputs, PulseRecord, TwinRecords, Violation
from sim_backend.twin.running import RunningTwin, running_twins
from sim_backend.twin.start import StartedTwin, start_twin

__all__ = [
    "AnalyserOutput", "BoardOutputs", "PulseRecord", "RunningTwin", "StartedTwin", "Twin", "TwinRecords", "Violation",
    "attach_twin", "running_twins", "start_twin",
]  # fmt: skip
