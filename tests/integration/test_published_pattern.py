"""The letters CL and UL (arXiv 2601.10037, Fig. 2g), written cell by cell through FLEX and the board of a twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rmhil import Crossbar
from rmhil.backend import Backend, Cells, Floats, Pulses, Read, Readings
from rmhil.bench.backend import ChipBench
from rmhil.cli.app import app
from rmhil.program_report import ProgramReport
from rmhil.store import Run
from sim_backend import SimBackend, open_backend
from sim_backend.characterise.pattern import GROUND, LETTER, PATTERNS, TOLERANCE, letters
from sim_backend.twin.backend import twin_config
from tests.twins import fresh_twin, require_twin

LEAST = 0.99
"""1: share of the good cells in tolerance (arXiv 2601.10037, Fig. 2g)."""

READ_NOISE = ("read-noise", "telegraph", "retention", "adc-noise")
"""Everything that differs from one time to the next; spread from cell to cell and from pulse to pulse stays."""

VOLTAGE_APART = 1e-4
"""V: what the six digits of the analyser's readings come to in the next pulse of a policy that goes by them; five times
what 32 x 32 cells showed."""

CONDUCTANCE_APART = 1e-8
"""S: the same in what is read at last; nine times what 32 x 32 cells showed."""

SMALL, WHOLE = 5, 32
"""Cells each way."""


def part_of(text: str, size: int) -> Floats:
    """The pattern of 32 x 32 cells, or the corner of it at which its first letter begins."""
    whole = np.where(letters(text, (WHOLE, WHOLE)), LETTER, GROUND)
    return whole if size == WHOLE else whole[6 : 6 + size, 3 : 3 + size]


@pytest.mark.parametrize("size", [SMALL, pytest.param(WHOLE, marks=pytest.mark.long)])
def test_the_pattern_is_written_to_the_published_tolerance(size: int, tmp_path: Path) -> None:
    """By `rmhil program`, with all noise on."""
    require_twin()
    for place, text in enumerate(PATTERNS if size == WHOLE else PATTERNS[:1]):
        np.save(tmp_path / "letters.npy", part_of(text, size))
        where = ("--region", f"0:{size},{place * size}:{(place + 1) * size}", "--out", str(tmp_path / "runs"))
        array = ("--run", "latest") if place else ("--backend", "twin", "--seed", "7")
        command = ["program", str(tmp_path / "letters.npy"), "--tolerance", str(TOLERANCE), *where, *array]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        run = Run.open("latest", tmp_path / "runs")
        kept = run.load_map("program" if not place else f"program-{place + 1}")
        assert kept.attrs["provenance"] == "twin(taox180, seed=7, adc64)"
        with open_backend(state=run.path / "chip-state.npz") as chip:
            good = ~chip.stuck_cells[0, :size, place * size : (place + 1) * size]
        assert good.mean() > 0.97
        within = np.abs(kept["error"].values[0][good]) <= TOLERANCE
        assert within.mean() >= LEAST


class Noted:
    """A backend, with the pulses that it was asked for."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.pulses = inner, []

    def __getattr__(self, name: str) -> object:
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


@pytest.mark.parametrize(
    ("policy", "size"),
    [
        ("adaptive", SMALL),
        pytest.param("incremental", SMALL, marks=pytest.mark.long),
        pytest.param("adaptive", WHOLE, marks=pytest.mark.long),
    ],
)
def test_the_pulses_are_those_of_the_simulator(policy: str, size: int, open_sim: Callable[..., SimBackend]) -> None:
    """Same policy, seed and order of cells, without noise of readings: the same cells get the same pulses."""
    chip = {"seed": 7, "n_bl": WHOLE, "n_sl": WHOLE, "off": READ_NOISE}
    twin = fresh_twin(**chip)
    with ChipBench(twin_config(twin)) as bench:
        there, report = written(bench, size, policy)
    here, expected = written(open_sim(cells_at_once=1, **chip), size, policy)
    assert len(there) == twin.records().pulses > size**2
    np.testing.assert_array_equal(there[:, :3], here[:, :3])
    np.testing.assert_allclose(there, here, rtol=0.0, atol=VOLTAGE_APART)
    np.testing.assert_array_equal(report.outcome, expected.outcome)
    np.testing.assert_allclose(report.achieved, expected.achieved, rtol=0.0, atol=CONDUCTANCE_APART)
