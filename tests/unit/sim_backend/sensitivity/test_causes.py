"""Which chips answer what costs accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rmhil import Crossbar
from rmhil.backend import Floats
from rmhil.errors import ConfigError, UnknownNameError
from rmhil.wiring import Wiring
from sim_backend import NON_IDEALITIES, open_backend
from sim_backend.config import MVM_ONLY, SimConfig
from sim_backend.sensitivity import LOW_SUPPLY, PASSES, PROGRAMMING, Plan, plan_of
from sim_backend.sensitivity.causes import LOW_SUPPLY_RESISTANCE
from tests.arrays import random_target


def names(plan: Plan) -> list[str]:
    return [cause.name for cause in plan.causes]


def test_every_non_ideality_is_a_cause_and_so_are_programming_and_passes() -> None:
    assert names(plan_of(SimConfig())) == [PROGRAMMING, *NON_IDEALITIES, PASSES, LOW_SUPPLY]


def test_the_causes_keep_their_order_whatever_the_order_asked_in() -> None:
    plan = plan_of(SimConfig(), ["lines", "telegraph", "wire"])
    assert names(plan) == ["routing", "wire", "mux-spread", "telegraph"]


def test_what_is_switched_off_is_no_cause() -> None:
    plan = plan_of(SimConfig(off=("lines", "adc-noise")))
    assert not {"routing", "wire", "mux-spread", "adc-noise", LOW_SUPPLY} & set(names(plan))
    assert all({"wire", "adc-noise"} <= set(cause.gain.less.config.off) for cause in plan.causes)


def test_a_board_with_a_channel_for_every_line_has_no_passes() -> None:
    assert PASSES not in names(plan_of(SimConfig(n_bl=16, n_sl=16)))


def test_one_switch_tells_the_two_chips_of_a_pair_apart() -> None:
    for cause in plan_of(SimConfig()).causes:
        if cause.name in NON_IDEALITIES:
            assert set(cause.gain.less.config.off) == {cause.name}
            for pair in cause.cost:
                assert set(pair.less.config.off) - set(pair.more.config.off) == {cause.name}
                assert set(pair.less.config.off) == set(NON_IDEALITIES)


def test_the_what_if_changes_the_routing_and_nothing_else() -> None:
    (low,) = (cause for cause in plan_of(SimConfig()).causes if cause.what_if)
    changed, usual = low.gain.less.config.wiring.model_dump(), Wiring().model_dump()
    assert {name for name in usual if changed[name] != usual[name]} == {
        "bl_routing_resistance",
        "sl_routing_resistance",
    }
    assert changed["bl_routing_resistance"] == LOW_SUPPLY_RESISTANCE


def test_passes_leave_the_cells_where_they_are() -> None:
    plan = plan_of(SimConfig(), [PASSES])
    (passes,) = plan.causes
    assert passes.gain.less.cells == plan.as_it_is.cells
    assert passes.gain.less.config.wiring.bl_channels == 128


@pytest.mark.parametrize("name", ["wyre", "ideal"])
def test_an_unknown_cause_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown cause '{name}'.*adc-noise.*passes.*programming"):
        plan_of(SimConfig(), [name])


def test_a_chip_without_causes_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves nothing"):
        plan_of(SimConfig(ideal=True))


def test_a_chip_with_a_past_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave out state"):
        plan_of(SimConfig(state=Path("cells")))


def written(*off: str) -> tuple[Floats, Floats]:
    """Cells as they truly are, and as they were read, after write-verify."""
    with open_backend(n_bl=8, n_sl=8, seed=5, off=off) as backend:
        report = Crossbar(backend).program(random_target((8, 8)), tolerance=1e-6)
        return backend.true_conductance, report.achieved


@pytest.fixture(scope="module")
def as_it_is() -> tuple[Floats, Floats]:
    return written()


@pytest.mark.parametrize("name", MVM_ONLY)
def test_what_acts_in_mvms_only_changes_no_cell(name: str, as_it_is: tuple[Floats, Floats]) -> None:
    for one, other in zip(written(name), as_it_is, strict=True):
        np.testing.assert_array_equal(one, other)
