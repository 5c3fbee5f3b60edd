"""What write-verify takes for one tolerance or another: measured on cells that no network needs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.crossbar import Crossbar
from rmhil.ledger import Ledger
from rmhil.program_report import Progress
from rmhil.units import Siemens

CELLS: Final = 256
"""Cells of the sample: the mean number of pulses is then known to a few percent."""

TOLERANCES: Final[tuple[Siemens, ...]] = (4e-6, 2e-6, 1e-6, 0.5e-6)
"""S. arXiv 2601.10037 names 2 uS and 1 uS."""

POLICIES: Final = ("adaptive", "incremental")


def pulses_against_tolerance(
    crossbar: Crossbar, used: NDArray[np.bool_], seed: int, progress: Progress, ledger: Ledger | None = None
) -> list[dict[str, Any]]:
    """Program spare cells to random targets, once for each policy and tolerance; every time from RESET.

    Args:
        crossbar: its own ledger counts none of this.
        used: cells that hold a network, in the crossbar's shape; they are left alone.
        seed: of targets and choice of cells.
        progress: told how many programmings are done.
        ledger: counts what is done; None: nobody does.

    Returns:
        Entries `policy`, `tolerance_siemens`, `pulses_per_cell` (FORM apart), `converged_fraction`; none without
        spare cells.
    """
    spare = np.argwhere(~used)
    if not len(spare):
        return []
    generator = np.random.default_rng(seed)
    cells = tuple(generator.permutation(spare)[:CELLS].T)
    aside = crossbar.counted_in(ledger or Ledger())
    work = [(policy, tolerance) for policy in POLICIES for tolerance in TOLERANCES]
    points = []
    for done, (policy, tolerance) in enumerate(work):
        progress(done, len(work), f"{policy}, {tolerance:g} S")
        target = np.full(crossbar.shape, np.nan)
        low, high = crossbar.spec.conductance_min, crossbar.spec.conductance_max
        target[cells] = generator.uniform(low, high, len(cells[0]))
        report = aside.program(target, tolerance, policy, rewrite=True)
        points.append(
            {
                "policy": policy,
                "tolerance_siemens": tolerance,
                "pulses_per_cell": report.pulses_per_cell(),
                "converged_fraction": report.converged_fraction(),
            }
        )
    progress(len(work), len(work), "")
    return points
