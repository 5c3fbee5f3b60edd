"""The letters CL and UL (arXiv 2601.10037, Fig. 2g), written cell by cell through FLEX and the board of a twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from rmhil import Crossbar
from rmhil.backend import Backend, Cells, Floats, Pulses, Read, Readings
from rmhil.bench.backend import ChipBench
from rmhil.cli.app import app
from rmhil.program_report import Outcome, ProgramReport
from rmhil.store import Run
from sim_backend import SimBackend
from sim_backend.characterise.pattern import GROUND, LETTER, PATTERNS, TOLERANCE, letters
from sim_backend.twin.backend import twin_config
from tests.twins import fresh_twin, require_twin

LEAST = 0.99
"""1: share of the good cells in tolerance (arXiv 2601.10037, Fig. 2g)."""

READ_NOISE = ("read-noise", "telegraph", "retention", "adc-noise")
"""Everything that differs from one time to the next; spread from cell to cell and from pulse to pulse stays."""

VOLTAGE_APART = 1e-3
"""V"""

CONDUCTANCE_APART = 1e-8

SIZES = [pytest.param(8, id="8 x 8"), pytest.param(32, id="32 x 32", marks=pytest.mark.long)]


def part_of(text: str, size: int) -> Floats:
    """The pattern of 32 x 32 cells, or the corner of it at which its first letter begins."""
    whole = np.where(letters(text, (32, 32)), LETTER, GROUND)
    return whole if size == 32 else whole[4 : 4 + size, 3 : 3 + size]


@pytest.mark.parametrize("size", SIZES)
def test_the_pattern_is_written_to_the_published_tolerance(size: int, tmp_path: Path) -> None:
    """By `rmhil program`, with all noise on."""
    require_twin()
    for place, text in enumerate(PATTERNS if size == 32 else PATTERNS[:1]):
        np.save(tmp_path / "letters.npy", part_of(text, size))
        where = ("--region", f"0:{size},{place * size}:{(place + 1) * size}", "--out", str(tmp_path / "runs"))
        array = ("--run", "latest") if place else ("--backend", "twin", "--seed", "7")
        done = CliRunner().invoke(app, ["program", str(tmp_path / "letters.npy"), "--tolerance", "2e-6", *where, *array])
        assert done.exit_code == 0, done.output
        run = Run.open("latest", tmp_path / "runs")
        kept = run.load_map("program" if not place else f"program-{place + 1}")
        assert kept.attrs["provenance"] == "twin(taox180, seed=7, adc64)"
        good = kept["outcome"].values != Outcome.STUCK
        assert good.mean() > 0.97
        within = np.abs(kept["error"].values[good]) <= TOLERANCE
        assert within.mean() >= LEAST


class Noted:
    """A backend, with the pulses that it was asked for."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.pulses = inner, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        if pulses is not None:
            columns = (cells.bl, cells.sl, pulses.operation, pulses.amplitude, pulses.gate_voltage, pulses.width)
            self.pulses.append([float(one[0]) for one in columns])
        return self.inner.apply(cells, pulses, read)


def written(backend: Backend, size: int, policy: str) -> tuple[Floats, ProgramReport]:
    """BL, SL, operation, amplitude, gate voltage and width of each pulse in order, and the report."""
    noted = Noted(backend)
    report = Crossbar(noted).region(bl=range(size), sl=range(size)).program(part_of("CL", size), TOLERANCE, policy)
    return np.array(noted.pulses), report


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("policy", ["adaptive", "incremental"])
def test_the_pulses_are_those_of_the_simulator(size: int, policy: str, open_sim: Callable[..., SimBackend]) -> None:
    """Same policy, seed and order of cells, without noise of readings: the same cells get the same pulses."""
    chip = {"seed": 7, "n_bl": 32, "n_sl": 32, "off": READ_NOISE}
    twin = fresh_twin(**chip)
    with ChipBench(twin_config(twin)) as bench:
        there, report = written(bench, size, policy)
    here, expected = written(open_sim(cells_at_once=1, **chip), size, policy)
    print(np.abs(there - here).max(axis=0) if there.shape==here.shape else (there.shape, here.shape))
    assert len(there) == twin.records().pulses > size**2
    np.testing.assert_array_equal(there[:, :3], here[:, :3])
    np.testing.assert_allclose(there, here, atol=VOLTAGE_APART)
    np.testing.assert_array_equal(report.outcome, expected.outcome)
    np.testing.assert_allclose(report.achieved, expected.achieved, atol=CONDUCTANCE_APART)
