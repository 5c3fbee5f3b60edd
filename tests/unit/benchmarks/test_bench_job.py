from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import bench_job
import pytest

from sim_backend.b1500a import Timing
from tests.twins import fresh_twin


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return bench_job.campaign(fresh_twin(), 2)


def test_every_driver_gives_the_cells_the_same_pulses(found: dict[str, Any]) -> None:
    """`campaign` refuses to go on otherwise; readings differ by what noise and drift make of other times."""
    assert found["job"]["converged_fraction"] == 1.0
    assert found["job"]["pulses"] > 4
    assert found["readings_apart_a"] < 0.2 * bench_job.TOLERANCE


def test_a_transaction_is_one_message_and_one_answer(found: dict[str, Any]) -> None:
    """Beside the programs of the analyser, which are written once, and a question for errors when a cell is left."""
    ours, transactions = found["drivers"][bench_job.OURS], found["job"]["transactions"]
    assert 0 <= ours["read"] - transactions < 30
    assert 0 <= ours["written"] - transactions < 80


def test_spot_by_spot_takes_more_messages_and_more_time(found: dict[str, Any]) -> None:
    ours, frugal, spots, checked = found["drivers"].values()
    assert ours["written"] < frugal["written"] < spots["written"] < checked["written"]
    assert ours["seconds"] < frugal["seconds"] < spots["seconds"] < checked["seconds"]
    assert checked["written"] - checked["read"] == spots["written"] - spots["read"]


def test_the_file_names_its_command_and_the_timing_it_stands_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]
) -> None:
    monkeypatch.setattr(bench_job, "start_twin", lambda tied: nullcontext())
    monkeypatch.setattr(bench_job, "campaign", lambda twin, size: found)
    bench_job.main(["--size", "2", "--out", str(tmp_path / "job.json")])
    content = json.loads((tmp_path / "job.json").read_text())
    assert content["command"] == f"python benchmarks/bench_job.py --size 2 --out {tmp_path / 'job.json'}"
    assert content["timing"]["message"] == Timing().message
    assert content["drivers"] == found["drivers"]
