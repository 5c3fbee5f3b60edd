from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from rmhil.backend import ArraySpec, Biases, Operation, Pulses, Read, Readings, Trace
from rmhil.errors import ConfigError, OutOfRangeError, ShapeError, UnknownNameError
from rmhil.ledger import DEPLOYMENT, READ_SECONDS, Counts, Ledger, mvm_array_energy, pass_seconds
from rmhil.wiring import Wiring


def spec_with(**wiring: int) -> ArraySpec:
    return ArraySpec(
        provenance="test",
        n_arrays=1,
        n_bl=128,
        n_sl=128,
        conductance_min=10e-6,
        conductance_max=80e-6,
        wiring=Wiring(**wiring),
    )


def readings_of(pulse_current: list[float], conductance: float = 50e-6, current: float = 10e-6) -> Readings:
    n = len(pulse_current)
    return Readings(
        conductance=np.full(n, conductance),
        current=np.full(n, current),
        pulse_current=np.asarray(pulse_current, dtype=np.float64),
        status=np.zeros(n, dtype=np.int64),
        pulse_status=np.zeros(n, dtype=np.int64),
        time=np.zeros(n),
    )


def pulses_of(operations: list[Operation], amplitude: float = 2.0, compliance: float = 1e-3) -> Pulses:
    return Pulses.of(len(operations), [int(each) for each in operations], amplitude, 1e-3, 3.0, compliance)


def test_pulses_are_counted_by_kind_with_volts_times_amperes_times_seconds() -> None:
    ledger = Ledger()
    kinds = [Operation.FORM, Operation.SET, Operation.SET, Operation.RESET]
    ledger.count_pulses(pulses_of(kinds), readings_of([1e-4, 1e-4, 2e-4, -1e-4]))
    counts = ledger.counts
    assert (counts.form_pulses, counts.set_pulses, counts.reset_pulses, counts.pulses) == (1, 2, 1, 4)
    assert counts.pulse_energy == pytest.approx(2.0 * 5e-4 * 1e-3)
    assert counts.unsensed_pulses == 0
    assert counts.unsensed_energy == 0


def test_the_energy_of_unsensed_pulses_is_estimated_and_kept_apart() -> None:
    ledger = Ledger()
    ledger.count_pulses(pulses_of([Operation.SET] * 2), readings_of([1e-4, math.nan], conductance=50e-6))
    counts = ledger.counts
    assert counts.pulses == 2
    assert counts.unsensed_pulses == 1
    assert counts.pulse_energy == pytest.approx(2.0 * 1e-4 * 1e-3)
    assert counts.unsensed_energy == pytest.approx(2.0**2 * 50e-6 * 1e-3)
    assert counts.programming_energy == pytest.approx(counts.pulse_energy + counts.unsensed_energy)


@pytest.mark.parametrize("conductance", [1.0, math.nan], ids=["large", "unknown"])
def test_an_estimate_never_exceeds_what_the_compliance_allows(conductance: float) -> None:
    ledger = Ledger()
    ledger.count_pulses(pulses_of([Operation.SET], compliance=2e-4), readings_of([math.nan], conductance=conductance))
    assert ledger.counts.unsensed_energy == pytest.approx(2.0 * 2e-4 * 1e-3)


def test_readings_must_match_the_pulses_and_nothing_is_counted_otherwise() -> None:
    ledger = Ledger()
    with pytest.raises(ShapeError, match="readings"):
        ledger.count_pulses(pulses_of([Operation.SET]), readings_of([0.0, 0.0]))
    assert ledger.counts == Counts()


def test_an_average_counts_as_many_reads_as_it_takes() -> None:
    ledger = Ledger()
    ledger.count_reads(Read(voltage=0.2, gate_voltage=5.0, averages=4), readings_of([math.nan] * 3, current=10e-6))
    assert ledger.counts.reads == 12
    assert ledger.counts.read_energy == pytest.approx(12 * 0.2 * 10e-6 * READ_SECONDS)


def test_a_sweep_counts_its_steps_and_their_energy() -> None:
    biases = Biases.of([0.5, 1.0, 0.0], [0.0, 0.0, 1.0], 3.0, dwell=1e-3, compliance=1e-3)
    current = np.array([1e-5, 2e-5, -3e-5])
    trace = Trace(biases=biases, current=current, status=np.zeros(3, dtype=np.int64), time=np.zeros(3))
    ledger = Ledger()
    ledger.count_sweep(trace)
    assert ledger.counts.sweep_steps == 3
    assert ledger.counts.sweep_energy == pytest.approx((0.5e-5 + 2e-5 + 3e-5) * 1e-3)


def test_a_full_array_takes_four_passes_and_converts_each_line_twice() -> None:
    ledger = Ledger()
    ledger.count_mvm(spec_with(), vectors=10)
    counts = ledger.counts
    assert counts.mvms == 10
    assert counts.passes == 40
    assert counts.dac_conversions == 10 * 2 * 128
    assert counts.adc_conversions == 10 * 2 * 128
    assert counts.analog_macs == 10 * 128 * 128


def test_a_pass_without_lines_is_not_counted() -> None:
    ledger = Ledger()
    ledger.count_mvm(spec_with(), vectors=3, bl=np.arange(16), sl=np.arange(70), n_arrays=2)
    counts = ledger.counts
    assert counts.mvms == 6
    assert counts.passes == 6 * 2
    assert counts.dac_conversions == 6 * 2 * 16
    assert counts.adc_conversions == 6 * 70


def test_shared_converters_lengthen_a_pass() -> None:
    wiring = Wiring(adc_count=8)
    assert pass_seconds(wiring, 64) == pytest.approx(wiring.dac_settling + 8 * wiring.adc_conversion)
    assert pass_seconds(wiring, 1) == pytest.approx(wiring.dac_settling + wiring.adc_conversion)
    ledger = Ledger()
    ledger.count_mvm(spec_with(adc_count=8), vectors=1, bl=[0, 1], sl=np.arange(64))
    assert ledger.counts.dac_time == pytest.approx(2 * pass_seconds(wiring, 64))
    assert ledger.counts.tia_time == pytest.approx(64 * pass_seconds(wiring, 64))


def test_array_energy_is_volts_squared_times_conductance_times_the_time_of_a_pass() -> None:
    spec = spec_with()
    voltages = np.array([[0.1, 0.2], [0.0, -0.2]])
    lines = np.array([[30e-6, 120e-6], [0.0, 50e-6]])
    expected = (0.01 * 30e-6 + 0.08 * 120e-6 + 0.04 * 50e-6) * pass_seconds(spec.wiring, 3)
    assert mvm_array_energy(spec, [voltages, voltages[1:].repeat(2, 0) / 2**0.5], lines, 3) == pytest.approx(expected)


def test_array_energy_refuses_voltages_for_other_lines() -> None:
    with pytest.raises(ShapeError, match="voltages"):
        mvm_array_energy(spec_with(), np.zeros((1, 4, 3)), np.zeros((1, 2)), 3)


def test_digital_work_is_counted() -> None:
    ledger = Ledger()
    ledger.count_sram(bits_read=64, bits_written=32)
    ledger.count_macs(100, "lora")
    ledger.count_macs(7, "digital")
    ledger.count_training(parameters=1404, steps=16)
    counts = ledger.counts
    assert (counts.sram_bits_read, counts.sram_bits_written) == (64, 32)
    assert (counts.lora_macs, counts.digital_macs) == (100, 7)
    assert (counts.training_steps, counts.parameter_updates) == (16, 16 * 1404)
    assert counts.trained_parameters == 1404


def test_an_unknown_kind_of_mac_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match=r"'analog'.*digital, lora"):
        Ledger().count_macs(1, "analog")  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [-1, math.nan])
def test_negative_counts_are_refused(count: float) -> None:
    ledger = Ledger()
    with pytest.raises(OutOfRangeError):
        ledger.count_macs(count, "lora")  # type: ignore[arg-type]
    with pytest.raises(OutOfRangeError):
        ledger.count_sram(bits_written=count)  # type: ignore[arg-type]
    assert ledger.counts == Counts()


def test_marks_split_the_counts_into_stages() -> None:
    ledger = Ledger()
    ledger.count_macs(1, "lora")
    ledger.mark("learned")
    ledger.count_macs(10, "lora")
    ledger.mark("unlearned")
    ledger.count_macs(100, "lora")
    assert ledger.between("learned", "unlearned").lora_macs == 10
    assert ledger.since("unlearned").lora_macs == 100
    assert ledger.marks == ("learned", "unlearned")


def test_an_unknown_mark_is_refused_with_those_that_exist() -> None:
    ledger = Ledger()
    ledger.mark("learned")
    with pytest.raises(UnknownNameError, match="'unlearned'; known: learned"):
        ledger.since("unlearned")


def test_pulses_since_deployment_are_told_only_once_it_is_marked() -> None:
    ledger = Ledger()
    ledger.count_pulses(pulses_of([Operation.SET]), readings_of([1e-4]))
    assert ledger.pulses_since_deployment is None
    assert "since deployment" not in ledger.summary()
    ledger.mark(DEPLOYMENT)
    assert ledger.pulses_since_deployment == 0
    assert "RM pulses since deployment:" in ledger.summary()
    assert ledger.summary().splitlines()[1].split(":")[1].strip() == "0"
    ledger.count_pulses(pulses_of([Operation.RESET] * 3), readings_of([1e-4] * 3))
    assert ledger.pulses_since_deployment == 3


def test_a_copied_model_shares_the_ledger_of_its_hardware() -> None:
    ledger = Ledger()
    assert copy.deepcopy({"ledger": ledger})["ledger"] is ledger
    assert copy.copy(ledger) is ledger


def test_a_ledger_goes_through_json_and_pickle_unchanged() -> None:
    ledger = Ledger()
    ledger.count_pulses(pulses_of([Operation.SET]), readings_of([1.23e-4]))
    ledger.mark("a")
    ledger.count_mvm(spec_with(), vectors=3)
    read_back = Ledger.from_dict(json.loads(json.dumps(ledger.to_dict())))
    assert read_back.to_dict() == ledger.to_dict()
    assert read_back.counts == ledger.counts
    assert pickle.loads(pickle.dumps(ledger)).to_dict() == ledger.to_dict()


def test_energies_and_times_carry_their_unit_in_files() -> None:
    keys = Counts().to_dict().keys()
    assert {"pulse_energy_j", "array_energy_j", "dac_time_s", "set_pulses"} <= keys
    assert "pulse_energy" not in keys


@pytest.mark.parametrize(
    "damage",
    [
        {"set_pulses": -1},
        {"set_pulses": "many"},
        {"set_pulses": None},
        {"set_pulses": math.nan},
        {"set_pulses": 0.5},
        {"votes": 3},
    ],
    ids=str,
)
def test_damaged_counts_are_refused(damage: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="not the counts of a ledger"):
        Counts.from_dict(Counts().to_dict() | damage)  # type: ignore[operator]


def test_incomplete_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="reads"):
        Counts.from_dict({key: value for key, value in Counts().to_dict().items() if key != "reads"})


@pytest.mark.parametrize("content", [{}, {"counts": 3, "marks": {}}, {"counts": Counts().to_dict(), "marks": {"a": 1}}])
def test_something_that_is_not_a_ledger_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="not a ledger"):
        Ledger.from_dict(content)


def test_importing_the_ledger_and_the_cost_loads_no_torch() -> None:
    code = "import sys, rmhil.ledger, rmhil.cost; print([m for m in ('torch', 'scipy', 'xarray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
