"""Presets: those that have a name, and those in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rmhil.backend import Operation
from rmhil.errors import ConfigError, UnknownNameError
from sim_backend import SimBackend, open_backend
from sim_backend.preset_file import find_preset, label, load_preset, write_preset
from sim_backend.presets import TAOX_40, TAOX_180, DevicePreset
from tests.arrays import pulse, read

OpenSim = Callable[..., SimBackend]


def test_a_preset_comes_back_from_its_file_exactly(tmp_path: Path) -> None:
    path = tmp_path / "cell.toml"
    own = TAOX_40.model_copy(update={"name": 'wafer "7"', "set_voltage": 1.1 / 3.0, "drift": -1e-17})
    write_preset(own, path, remarks=["Fitted on a Sunday.", ""])
    assert path.read_text().startswith("# Fitted on a Sunday.\n#\nname = ")
    assert load_preset(path) == own


def test_a_field_left_out_is_that_of_taox180(tmp_path: Path) -> None:
    path = tmp_path / "cell.toml"
    path.write_text('name = "mine"\nset_voltage = 1.2\ntelegraph_dwell = [0.01, 1.0]\n')
    assert load_preset(path) == TAOX_180.model_copy(
        update={"name": "mine", "set_voltage": 1.2, "telegraph_dwell": (0.01, 1.0)}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("set_voltage = 1.2", "name"),
        ('name = "x"\nset_voltige = 1.2', "set_voltige"),
        ('name = "x"\nset_voltage = -1.2', "set_voltage"),
        ('name = "x"\ndrift = nan', "drift"),
        ('name = "x"\nconductance_min = 9e-5', "conductance_min, conductance_max must ascend"),
        ('name = "x"\ntelegraph_dwell = [1.0, 0.1]', "telegraph_dwell must ascend"),
        ('name = "x"\nreference_time = 1e-6', "below pulse_width_min"),
        ('name = "x"\nreset_slope = 1e-6', "reset_slope = 1e-06 S/V is below 1.8.*e-05 S/V"),
        ("name = ", "not TOML"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "cell.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        open_backend(preset=path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        open_backend(preset=str(tmp_path / "none.toml"))
    with pytest.raises(UnknownNameError, match="taox180, taox40"):
        open_backend(preset="taox90")


def test_a_preset_of_ones_own_is_told_apart_by_its_values(tmp_path: Path) -> None:
    path = tmp_path / "cell.toml"
    write_preset(TAOX_180.model_copy(update={"set_voltage": 1.2}), path)
    one, other = open_backend(preset=path), open_backend(preset=find_preset(path).model_copy(update={"drift": 0.0}))
    assert one.spec.provenance.startswith("sim(taox180#")
    assert one.spec.provenance != other.spec.provenance
    assert label(TAOX_180) == "taox180"


def test_cells_of_the_40_nm_array_form_with_one_pulse_of_3_volts_and_10_microseconds(open_sim: OpenSim) -> None:
    """All but the 1 % that were not mapped right; cells that were not formed stay far below."""
    chip = open_sim(n_bl=64, n_sl=64, preset="taox40")
    virgin = read(chip).conductance
    formed = pulse(chip, Operation.FORM, 3.0, 2.0, width=10e-6).conductance
    assert np.mean(virgin < 0.1e-6) > 0.98
    assert np.mean((formed > 20e-6) & (formed < 60e-6)) > 0.98


def test_readings_of_the_40_nm_array_stay_within_15_percent_of_each_other(open_sim: OpenSim) -> None:
    """Over 10,000 readings, of which 500 are taken here: the spread of the rest is that of normal noise."""
    chip = open_sim(n_bl=32, n_sl=32, preset="taox40")
    pulse(chip, Operation.FORM, 3.0, 2.0)
    found = np.array([read(chip).conductance for _ in range(200)])[:, ~chip.stuck_cells.ravel()]
    spread = found.std(axis=0) / found.mean(axis=0)
    assert np.median(7.7 * spread) < 0.15
    assert np.mean((found.max(axis=0) - found.min(axis=0)) / found.mean(axis=0) < 0.15) > 0.98


def test_a_40_nm_cell_resets_to_a_state_that_counts_as_high_resistance(open_sim: OpenSim) -> None:
    """135 kohm (7.4 uS) and the state of a cell that was never formed are one level to its readers."""
    chip = open_sim(n_bl=16, n_sl=16, preset="taox40", off=("stuck-cells",))
    pulse(chip, Operation.FORM, 3.0, 2.0)
    for _ in range(5):
        pulse(chip, Operation.RESET, 2.6, 5.0, width=10e-6)
    assert np.all(read(chip).conductance < 1.2 / 135e3)


def test_the_flattest_reset_that_is_let_through_can_be_computed(open_sim: OpenSim) -> None:
    """Also from far above the window; within it, a bias too weak to move a cell leaves it where it is."""
    chip = open_sim(n_bl=64, n_sl=64, preset=DevicePreset(name="flat", reset_slope=1.86e-5), temperature=310.0)
    pulse(chip, Operation.FORM, 4.5, 5.0)
    pulse(chip, Operation.SET, 2.5, 5.0)
    assert np.quantile(chip.true_conductance, 0.99) > 140e-6
    pulse(chip, Operation.RESET, 1.0, 5.0)
    high = chip.true_conductance
    assert np.isfinite(high).all()
    pulse(chip, Operation.RESET, 0.1, 5.0)
    np.testing.assert_allclose(chip.true_conductance, high, rtol=0.02)  # drift
    pulse(chip, Operation.RESET, 2.8, 5.0)
    low = chip.true_conductance[~chip.stuck_cells]
    assert np.all(low > chip.spec.conductance_min)
    assert np.median(low) < 0.95 * np.median(high)
