"""Settings and saved states: what is accepted, what is refused, what is passed on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from loguru import logger

from rmhil.errors import ConfigError, UnknownNameError
from rmhil.wiring import Wiring
from sim_backend import NON_IDEALITIES, SimBackend, SimConfig, open_backend
from sim_backend.presets import TAOX_180
from tests.arrays import fill

OpenSim = Callable[..., SimBackend]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bl": 0}, "n_bl = 0, allowed above 0"),
        ({"n_bl": "0"}, "n_bl = 0, allowed above 0"),
        ({"seed": -1}, "seed = -1, allowed 0 or more"),
        ({"dtype": "float16"}, "dtype"),
        ({"wirign": {}}, "wirign is unknown; known here: preset, .*wiring"),
        ({"wiring": {"bl_chanels": 3}}, "bl_chanels"),
        ({"wiring": {"dac_bits": 99}}, "dac_bits"),
        ({"wiring": {"dac_span": 1.25}}, "virtual_ground"),
        ({"wiring": {"virtual_ground": 0.1}}, "virtual_ground"),
        ({"cells_at_once": 0}, "cells_at_once"),
        ({"device": "warp-drive"}, "warp-drive"),
        ({"temperature": 77}, "temperature = 77 K, allowed 200 to 500 K"),
        ({"temperature": float("nan")}, "temperature"),
        ({"preset": {"name": "mine", "set_voltige": 1.0}}, "set_voltige"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_backend(**options)


@pytest.mark.parametrize(("options", "known"), [({"preset": "pcm"}, "taox180"), ({"off": ("gravity",)}, "telegraph")])
def test_an_unknown_name_lists_the_known_ones(options: dict[str, object], known: str) -> None:
    with pytest.raises(UnknownNameError, match=known):
        open_backend(**options)


def test_options_stand_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "sim.toml"
    path.write_text('seed = 3\nn_bl = 20\nn_sl = 10\noff = ["lines"]\n[wiring]\nbl_channels = 5\nsl_channels = 6\n')
    chip = open_backend(path, seed=4, wiring={"bl_channels": 10})
    assert chip.spec.shape == (1, 20, 10)
    assert chip.config.seed == 4
    assert (chip.spec.wiring.bl_channels, chip.spec.wiring.sl_channels) == (10, 6)
    assert chip.config.off == ("routing", "wire", "mux-spread")


@pytest.mark.parametrize("text", ["seed = ", "unknown = 1", "[wiring]\nunknown = 1"])
def test_a_bad_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sim.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"unknown|TOML"):
        open_backend(path)


def test_the_file_of_a_bench_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "bench.toml"
    path.write_text("[analyser]\n[board]\n[array]\n")
    with pytest.raises(ConfigError, match="describes a bench"):
        open_backend(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        open_backend(tmp_path / "none.toml")


def test_the_file_of_the_seam_is_a_wiring_too(tmp_path: Path) -> None:
    chip = open_backend(n_bl=8, n_sl=8, wiring=Wiring(sl_channels=2))
    assert chip.spec.wiring.sl_channels == 2


def test_provenance_tells_every_switch() -> None:
    assert open_backend(n_bl=4, n_sl=4).spec.provenance == "sim(taox180, seed=0)"
    text = open_backend(
        n_bl=4, n_sl=4, seed=7, off=("lines", "adc-noise"), dtype="float64", wiring={"sl_channels": 2}
    ).spec.provenance
    assert text == "sim(taox180, seed=7, dtype=float64, off=routing+wire+mux-spread+adc-noise, sl_channels=2)"
    assert "temperature=350.0" in open_backend(n_bl=4, n_sl=4, temperature=350).spec.provenance
    assert "ideal=True" in open_backend(n_bl=4, n_sl=4, ideal=True).spec.provenance


def test_without_lines_the_runtime_is_told_of_no_resistance() -> None:
    wiring = open_backend(n_bl=4, n_sl=4, off=("lines",)).spec.wiring
    assert wiring.bl_routing_resistance == wiring.sl_routing_resistance == 0
    assert wiring.bl_wire_resistance == wiring.sl_wire_resistance == 0


@pytest.mark.parametrize("name", NON_IDEALITIES)
def test_each_non_ideality_alone_makes_a_difference(open_sim: OpenSim, name: str) -> None:
    """Leaving one on in an ideal chip changes what is measured."""
    others = tuple(other for other in NON_IDEALITIES if other != name)
    # A spread of the multiplexers needs multiplexers.
    others = tuple(other for other in others if not (name == "mux-spread" and other == "routing"))
    # Cells that last for one write, and amplifiers that 24 cells overload.
    frail = {"name": "frail", "endurance": 1.0}
    options = {"n_bl": 24, "n_sl": 24, "preset": frail, "wiring": {"tia_resistance": 12e3}}
    ideal = open_sim(off=(*others, name), **options)
    alone = open_sim(off=others, **options)
    assert outcome(alone) != outcome(ideal)


def outcome(chip: SimBackend) -> bytes:
    conductance = fill(chip)
    rising = torch.linspace(-0.2, 0.2, chip.spec.n_bl, dtype=chip.dtype)
    volts = torch.stack([rising, torch.full_like(rising, 0.2)])[None]
    return conductance.tobytes() + chip.mvm(volts).currents.numpy().tobytes()


def test_an_ideal_chip_multiplies_exactly(open_sim: OpenSim) -> None:
    chip = open_sim(ideal=True, dtype="float64", n_arrays=2, wiring={"bl_channels": 5, "sl_channels": 4})
    measured = fill(chip)
    np.testing.assert_allclose(measured, chip.true_conductance, rtol=1e-10)
    volts = torch.linspace(-0.2, 0.2, 2 * 3 * 16, dtype=torch.float64).reshape(2, 3, 16)
    expected = volts.numpy() @ chip.true_conductance
    np.testing.assert_allclose(chip.mvm(volts).currents.numpy(), expected, rtol=1e-12, atol=1e-18)


def test_a_state_brings_its_chip_along(open_sim: OpenSim, tmp_path: Path) -> None:
    path = tmp_path / "chip.npz"
    chip = open_sim(seed=11)
    fill(chip)
    chip.save_state(path)
    again = open_backend(state=path)
    assert again.config.seed == 11
    assert again.spec.shape == chip.spec.shape
    np.testing.assert_array_equal(again.true_conductance, chip.true_conductance)
    assert again.clock == chip.clock


def test_a_state_of_another_chip_is_refused(open_sim: OpenSim, tmp_path: Path) -> None:
    path = tmp_path / "chip.npz"
    open_sim(seed=11).save_state(path)
    with pytest.raises(ConfigError, match=r"n_bl = 16, not 17"):
        open_backend(state=path, n_bl=17)
    with pytest.raises(ConfigError, match="seed = 11, not 12"):
        open_backend(state=path, seed=12)
    with pytest.raises(ConfigError, match="preset = 'taox180', not 'taox40'"):
        open_backend(state=path, preset="taox40")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 12}, "seed = 7, not 12"),
        ({"preset": "taox40"}, "preset = 'taox180', not 'taox40'"),
        ({"n_sl": 16}, "n_sl"),
    ],
)
def test_settings_made_by_hand_take_no_state_of_another_chip(
    open_sim: OpenSim, tmp_path: Path, other: dict[str, object], message: str
) -> None:
    """Of 12 x 16 cells there are as many as of 16 x 12."""
    path = tmp_path / "chip.npz"
    open_sim().save_state(path)
    own: dict[str, object] = {"n_bl": 16, "n_sl": 12, "seed": 7}
    with pytest.raises(ConfigError, match=message):
        SimBackend(SimConfig.model_validate(own | other | {"state": path}))


@pytest.mark.parametrize(
    ("change", "temperature", "limit"), [(-0.006, 500.0, "above -0.005 1/K"), (0.03, 250.0, "below 0.02 1/K")]
)
def test_a_temperature_at_which_cells_would_conduct_backwards_is_refused(
    change: float, temperature: float, limit: str
) -> None:
    own = TAOX_180.model_copy(update={"conductance_temperature": change})
    with pytest.raises(ConfigError, match=rf"conductance_temperature = {change:g} 1/K .* {limit}"):
        open_backend(n_bl=4, n_sl=4, preset=own, temperature=temperature)
    assert open_backend(n_bl=4, n_sl=4, preset=own).spec.n_cells == 16


def test_a_state_brings_a_preset_of_the_users_along(open_sim: OpenSim, tmp_path: Path) -> None:
    path, own = tmp_path / "chip.npz", TAOX_180.model_copy(update={"name": "wafer-7", "set_voltage": 1.2})
    chip = open_sim(preset=own)
    chip.save_state(path)
    for again in (open_backend(state=path), open_backend(state=path, preset=own)):
        assert again.config.device_preset == own
        assert again.spec.provenance == chip.spec.provenance
    with pytest.raises(ConfigError, match="preset = 'wafer-7#"):
        open_backend(state=path, preset=own.model_copy(update={"set_voltage": 1.3}))


def test_a_state_of_an_earlier_version_is_refused(open_sim: OpenSim, tmp_path: Path) -> None:
    path = tmp_path / "chip.npz"
    open_sim().save_state(path)
    edit_header(path, format="rmhil-sim-state-1")
    with pytest.raises(ConfigError, match="program them again"):
        open_backend(state=path)


def test_lines_are_those_of_the_preset_unless_told_otherwise() -> None:
    assert open_backend().spec.shape == (1, 128, 128)
    assert open_backend(preset="taox40").spec.shape == (1, 512, 512)
    assert open_backend(preset="taox40", n_sl=20).spec.shape == (1, 512, 20)


def test_a_preset_brings_its_pulses_along() -> None:
    slow, fast = open_backend(n_bl=4, n_sl=4).spec, open_backend(n_bl=4, n_sl=4, preset="taox40").spec
    assert (slow.pulse_width, slow.limits.pulse_width_min, slow.limits.pulse_period_min) == (1e-3, 0.5e-3, 5e-3)
    assert (fast.pulse_width, fast.limits.pulse_width_min) == (10e-6, 10e-6)
    assert fast.limits.pulse_period_min == pytest.approx(100e-6)


def test_a_damaged_state_is_refused(open_sim: OpenSim, tmp_path: Path) -> None:
    path = tmp_path / "chip.npz"
    open_sim().save_state(path)
    whole = path.read_bytes()
    for damaged in (b"", b"not a state", whole[: len(whole) // 2], whole[:200] + b"x" * 64 + whole[264:]):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="damaged"):
            open_backend(state=path)
    with pytest.raises(ConfigError, match="damaged"):
        open_backend(state=tmp_path / "none.npz")


def test_a_state_that_lost_cells_is_refused(open_sim: OpenSim, tmp_path: Path) -> None:
    path = tmp_path / "chip.npz"
    open_sim().save_state(path)
    with np.load(path) as file:
        parts = dict(file)
    np.savez(path, **(parts | {"conductance": parts["conductance"][:-1]}))
    with pytest.raises(ConfigError, match="191 cells, its geometry has 192"):
        open_backend(state=path)


def edit_header(path: Path, **changes: object) -> None:
    with np.load(path) as file:
        parts = dict(file)
    header = json.loads(str(parts["header"])) | changes
    np.savez(path, **(parts | {"header": np.array(json.dumps(header))}))


@pytest.mark.parametrize(
    "changes",
    [
        {"clock": float("nan")},
        {"clock": -1.0},
        {"temperature": 0.0},
        {"epoch": -1},
        {"settings": {"n_arrays": "x"}},
    ],
)
def test_a_state_with_a_damaged_header_is_refused(
    open_sim: OpenSim, tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "chip.npz"
    open_sim().save_state(path)
    edit_header(path, **changes)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        open_backend(state=path)


def test_a_state_of_another_device_keeps_its_cells_and_says_that_the_noise_begins_anew(
    open_sim: OpenSim, tmp_path: Path
) -> None:
    path = tmp_path / "chip.npz"
    chip = open_sim()
    fill(chip)
    chip.save_state(path)
    edit_header(path, device="cuda")
    said: list[str] = []
    logger.enable("sim_backend")
    sink = logger.add(said.append, level="WARNING")
    try:
        again = open_backend(state=path)
    finally:
        logger.remove(sink)
        logger.disable("sim_backend")
    np.testing.assert_array_equal(again.true_conductance, chip.true_conductance)
    assert "begins anew" in "".join(said)


def test_a_device_without_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="meta"):
        open_backend(device="meta")
