from __future__ import annotations

import json
from pathlib import Path

import pytest
import write_verify_step

from sim_backend.b1500a import Timing


@pytest.fixture(scope="module")
def found() -> dict[str, write_verify_step.Cost]:
    return write_verify_step.campaign(5, Timing())


def test_a_step_is_one_message_written_and_one_answer_read(found: dict[str, write_verify_step.Cost]) -> None:
    assert (found["one message"].written, found["one message"].read) == (1.0, 1.0)


def test_spot_by_spot_it_is_six_messages_and_the_question_for_errors(
    found: dict[str, write_verify_step.Cost],
) -> None:
    assert found["spot by spot"].written == 7.0
    assert found["spot by spot, each checked"].written == 12.0


def test_one_message_takes_the_least_time(found: dict[str, write_verify_step.Cost]) -> None:
    one, spots, checked = (found[name].seconds for name in write_verify_step.DRIVERS)
    assert one < spots < checked


def test_shares_add_up_and_the_pulse_is_the_same(found: dict[str, write_verify_step.Cost]) -> None:
    for one in found.values():
        assert one.messages + one.stored + one.pulse + one.measurement == pytest.approx(one.seconds)
        assert one.measurement > 0.0


def test_the_file_names_its_command_and_the_timing_it_stands_on(tmp_path: Path) -> None:
    out = tmp_path / "step.json"
    write_verify_step.main(["--steps", "2", "--out", str(out)])
    content = json.loads(out.read_text())
    assert content["timing"]["message"] == Timing().message
    assert set(content["drivers"]) == set(write_verify_step.DRIVERS)
