"""Promises of the write-verify tables: text and results say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import write_verify_tables as tables

RESULTS = Path(tables.__file__).parent / "results" / "write_verify.json"


def row(policy: str, pulses: float, cost: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """One row of the results."""
    return {
        "population": "some",
        "tolerance_us": 1.0,
        "policy": policy,
        "pulses": pulses,
        "reads": cost - pulses,
        "cost": cost,
        "pilot_pulses": 0.0,
        "pilot_reads": 0.0,
        "truly": 0.99999,
        "truly_after_1_s": 1.0,
        "stuck": 4.0,
        "fluctuating": 7.0,
        "settings": {"confirm_reads": 5},
    } | more


def some_results(*sure: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [row("incremental-best", 10.0, 20.0), *sure]
    rows += [row("adaptive", 3.0, 5.0, pilot_pulses=0.1, pilot_reads=0.05), row("adaptive, no pilot", 4.0, 8.0)]
    return [{"rows": rows}]


def test_the_committed_text_is_that_of_the_committed_results() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))["results"]
    made = (tables.measured(results), tables.ratios(results))
    assert RESULTS.with_suffix(".md").read_text(encoding="utf-8") == "\n".join(made)
    document = tables.DOCUMENT.read_text(encoding="utf-8")
    for name, table in zip(("measured", "ratios"), made, strict=True):
        assert tables.placed(document, name, table) == document


def test_every_policy_is_in_the_table_with_its_cost_and_its_pilot() -> None:
    lines = tables.measured(some_results(row("incremental-best, sure", 11.0, 25.0))).splitlines()[2:]
    assert [line.split(" | ")[2] for line in lines] == [
        "incremental-best",
        "incremental-best, sure (5 reads)",
        "adaptive",
        "adaptive, no pilot",
    ]
    assert "| 3.00 | 2.00 | 5.00 | 0.10 + 0.05 |" in lines[2]


def test_a_share_is_never_rounded_up_to_all() -> None:
    assert "| 99.99 % | 100.00 % |" in tables.measured(some_results()).splitlines()[2]


def test_ratios_are_of_pulses_and_of_cost_and_missing_where_nothing_is_sure() -> None:
    sure = tables.ratios(some_results(row("incremental-best, sure", 12.0, 25.0))).splitlines()[-1]
    assert sure == "| some | 1 | 0.30, 0.25 | 0.25, 0.20 | 0.40, 0.40 | 0.33, 0.32 |"
    assert tables.ratios(some_results()).splitlines()[-1] == "| some | 1 | 0.30, 0.25 | - | 0.40, 0.40 | - |"


def test_a_table_replaces_the_one_between_its_marks(tmp_path: Path) -> None:
    text = "before\n<!-- begin: one -->\nold\n<!-- end: one -->\nafter\n"
    assert tables.placed(text, "one", "new\n") == text.replace("old", "new")
    with pytest.raises(ValueError, match="unpack"):
        tables.placed("no marks", "one", "new\n")
