"""What adapting and running a network costs, as ratios against the conventional way.

Three presets turn counts into ratios: `paper-fit` returns the published ones from constants fitted to
them, `exact` uses counts that follow from the architectures, `measured` uses what a run counted.
"""

from __future__ import annotations

from rmhil.cost.presets import PRESETS, cost_table
from rmhil.cost.table import QUANTITIES, STAGES, CostEntry, CostTable

__all__ = ["PRESETS", "QUANTITIES", "STAGES", "CostEntry", "CostTable", "cost_table"]
