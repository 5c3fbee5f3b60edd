"""The line network against programs that know nothing of it: ngspice, and badcrossbar for larger arrays.

A missing program skips its tests; with RMHIL_REQUIRE_REFERENCES=1 it fails them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rmhil.backend import Floats
from rmhil.line_model import LineResistances, effective_matrix
from sim_backend.line_factors import LineFactors
from sim_backend.nonlinear import CellCurve, nonlinear_currents

AGREEMENT = 1e-9
"""1, relative to the largest current; element by element as well, since no column is weak here."""

VECTORS = 2


def need(found: bool, name: str, install: str) -> None:
    """Skip without a reference program, or fail where it is asked for."""
    if found:
        return
    reason = f"{name} is not here; {install}"
    if os.environ.get("RMHIL_REQUIRE_REFERENCES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def ngspice() -> str:
    found = shutil.which("ngspice")
    need(found is not None, "ngspice", "apt-get install ngspice")
    return str(found)


def draw(n: int, wire: float, seed: int, *, bl_both: bool = False, sl_both: bool = False) -> LineResistances:
    """Lines with all their resistances, each mux channel its own."""
    rng = np.random.default_rng(seed)
    return LineResistances(
        bl_source=rng.uniform(100.0, 500.0, n),
        sl_load=rng.uniform(100.0, 500.0, n),
        bl_segment=wire,
        sl_segment=wire,
        bl_both_ends=bl_both,
        sl_both_ends=sl_both,
    )


def resistor_lines(lines: LineResistances) -> Iterator[str]:
    """SPICE cards of routing and wires; nodes b<row>_<column> and s<row>_<column>, sources d<row>, sinks g<column>."""
    n_bl, n_sl = lines.bl_source.size, lines.sl_load.size
    for row in range(n_bl):
        nodes = [f"d{row}", *(f"b{row}_{column}" for column in range(n_sl))]
        ohms = [lines.bl_source[row] + lines.bl_segment] + [lines.bl_segment] * (n_sl - 1)
        if lines.bl_both_ends:
            nodes.append(f"d{row}")
            ohms.append(lines.bl_source[row] + lines.bl_segment)
        for at, (a, b, ohm) in enumerate(zip(nodes, nodes[1:], ohms, strict=False)):
            yield f"rb{row}_{at} {a} {b} {ohm:.17g}"
    for column in range(n_sl):
        nodes = [*(f"s{row}_{column}" for row in range(n_bl)), f"g{column}"]
        ohms = [lines.sl_segment] * (n_bl - 1) + [lines.sl_load[column] + lines.sl_segment]
        if lines.sl_both_ends:
            nodes.insert(0, f"g{column}")
            ohms.insert(0, lines.sl_load[column] + lines.sl_segment)
        for at, (a, b, ohm) in enumerate(zip(nodes, nodes[1:], ohms, strict=False)):
            yield f"rs{column}_{at} {a} {b} {ohm:.17g}"


def run_ngspice(program: str, folder: Path, lines: LineResistances, cells: list[str], drive: Floats) -> Floats:
    """Currents (A) into the virtual grounds for two vectors of driver voltages (V): the two points of one sweep.

    A switch voltage of 0 or 1 V goes from one vector to the other, so that the network is ordered only once.
    """
    first, step = drive[0], drive[1] - drive[0]
    sources = ["vswitch switch 0 0"]
    for row in range(drive.shape[1]):
        sources += [f"vd{row} d{row} e{row} {first[row]:.17g}", f"ed{row} e{row} 0 switch 0 {step[row]:.17g}"]
    n_sl = lines.sl_load.size
    sinks = [f"vg{column} g{column} 0 0" for column in range(n_sl)]
    asked = " ".join(f"i(vg{column})" for column in range(n_sl))
    control = [".control", "dc vswitch 0 1 1", f"write points.raw {asked}", ".endc"]
    tight = ".options reltol=1e-13 abstol=1e-20 vntol=1e-15 itl1=500 itl2=500"
    deck = ["array", *sources, *sinks, *resistor_lines(lines), *cells, tight, *control, ".end"]
    (folder / "deck.cir").write_text("\n".join(deck) + "\n")
    done = subprocess.run([program, "-b", "deck.cir"], cwd=folder, capture_output=True, text=True, check=False)
    assert (folder / "points.raw").exists(), done.stderr[-2000:]
    _, _, values = (folder / "points.raw").read_bytes().partition(b"Binary:\n")
    return np.frombuffer(values, dtype=np.float64).reshape(len(drive), -1)[:, -n_sl:]


CASES = [
    pytest.param(32, 0.5, {}, id="32, 0.5 ohm"),
    pytest.param(32, 3.0, {"bl_both": True}, id="32, 3 ohm, driven at both ends"),
    pytest.param(32, 10.0, {"sl_both": True}, id="32, 10 ohm, sensed at both ends"),
    pytest.param(64, 0.5, {"bl_both": True, "sl_both": True}, id="64, 0.5 ohm, both ends of both"),
    pytest.param(64, 10.0, {}, id="64, 10 ohm"),
]


@pytest.mark.parametrize(("n", "wire", "ends"), CASES)
def test_ngspice_finds_the_same_currents(
    n: int, wire: float, ends: dict[str, bool], ngspice: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(n)
    lines = draw(n, wire, seed=n, **ends)
    conductance = rng.uniform(10e-6, 80e-6, (n, n))
    drive = rng.uniform(-0.2, 0.2, (VECTORS, n))
    cells = [f"rc{i}_{j} b{i}_{j} s{i}_{j} {1 / conductance[i, j]:.17g}" for i in range(n) for j in range(n)]
    expected = run_ngspice(ngspice, tmp_path, lines, cells, drive)
    found = drive @ effective_matrix(conductance, lines)
    assert np.abs(found - expected).max() <= AGREEMENT * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=AGREEMENT, atol=1e-4 * AGREEMENT * np.abs(expected).max())


@pytest.mark.parametrize(("bend", "gain"), [(0.5, 5e-4), (0.2, 2e-4)])
def test_ngspice_finds_the_same_currents_of_cells_that_are_not_ohmic(
    bend: float, gain: float, ngspice: str, tmp_path: Path
) -> None:
    n = 12
    rng = np.random.default_rng(n)
    lines = draw(n, 10.0, seed=n)
    conductance = rng.uniform(10e-6, 80e-6, (n, n))
    drive = rng.uniform(-0.2, 0.2, (VECTORS, n))
    curve = CellCurve(reference=0.2, bend=bend, gain=gain, overdrive=4.3)
    filament = curve.filament(torch.from_numpy(conductance))[0].numpy()
    cells = [card for i in range(n) for j in range(n) for card in bent_cell(f"{i}_{j}", filament[i, j], curve)]
    expected = run_ngspice(ngspice, tmp_path, lines, cells, drive)
    network = LineFactors(torch.from_numpy(conductance)[None], [lines], np.arange(n), n)
    found = nonlinear_currents(network, curve, torch.from_numpy(drive)[None])[0].numpy()
    assert np.abs(found - expected).max() <= AGREEMENT * np.abs(expected).max()
    ohmic = drive @ effective_matrix(conductance, lines)
    assert np.abs(ohmic - expected).max() > 1e-3 * np.abs(expected).max()  # so that the option is what is tested


def bent_cell(name: str, filament: float, curve: CellCurve) -> list[str]:
    """A filament and its transistor as behavioural sources."""
    v, u = f"v(b{name},m{name})", f"v(m{name},s{name})"
    return [
        f"bf{name} b{name} m{name} i={filament * curve.bend:.17g}*sinh({v}/{curve.bend:.17g})",
        f"bt{name} m{name} s{name} i={curve.gain:.17g}*({curve.overdrive:.17g}*{u}-0.5*{u}*{u})",
    ]


@pytest.mark.parametrize("wire", [1.0, 5.0])
def test_badcrossbar_finds_the_same_currents_at_128_x_128(wire: float) -> None:
    install = "apt-get install libcairo2-dev pkg-config gcc python3-dev, then pip install badcrossbar"
    need(importlib.util.find_spec("badcrossbar") is not None, "badcrossbar", install)
    import badcrossbar

    n = 128
    rng = np.random.default_rng(1)
    conductance = rng.uniform(10e-6, 80e-6, (n, n))
    drive = rng.uniform(0.0, 0.2, (VECTORS, n))
    expected = badcrossbar.compute(drive.T, 1 / conductance, wire).currents.output
    none = np.zeros(n)
    lines = LineResistances(bl_source=none, sl_load=none, bl_segment=wire, sl_segment=wire)
    found = drive @ effective_matrix(conductance, lines)
    np.testing.assert_allclose(found, expected, rtol=AGREEMENT)
