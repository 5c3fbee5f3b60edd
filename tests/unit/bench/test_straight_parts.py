from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmhil.backend import Biases
from rmhil.bench.straight_parts import straight_parts


def biases(bl: object, sl: object = 0.0, wl: object = 2.0) -> Biases:
    return Biases.of(bl, sl, wl, dwell=1e-3, compliance=1e-3)  # type: ignore[arg-type]


def test_a_triangle_is_two_staircases() -> None:
    up = np.linspace(0.1, 1.0, 10)
    parts = straight_parts(biases(np.concatenate([up, up[-2::-1]])))
    assert [(part.steps.start, part.steps.stop, part.moving) for part in parts] == [(0, 10, "bl"), (10, 19, "bl")]


def test_the_line_that_moves_is_the_one_that_is_driven() -> None:
    up = np.linspace(0.1, 1.0, 10)
    parts = straight_parts(biases(np.concatenate([up, np.zeros(10)]), np.concatenate([np.zeros(10), up])))
    assert [part.moving for part in parts] == ["bl", "sl"]


def test_a_gate_that_changes_ends_a_staircase() -> None:
    gate = np.repeat([1.0, 2.0], 5)
    parts = straight_parts(biases(np.linspace(0.1, 1.0, 10), wl=gate))
    assert [(part.steps.start, part.steps.stop) for part in parts] == [(0, 5), (5, 10)]


def test_steps_that_stay_are_taken_one_by_one() -> None:
    assert len(straight_parts(biases([0.5, 0.5, 0.5]))) == 3


@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.4]), min_size=1, max_size=20), st.integers(0, 1))
def test_parts_cover_every_step_once_and_are_straight(values: list[float], on_sl: int) -> None:
    swept = biases(0.0, values) if on_sl else biases(values)
    parts = straight_parts(swept)
    covered = [step for part in parts for step in range(part.steps.start, part.steps.stop)]
    assert covered == list(range(len(values)))
    for part in parts:
        inside = getattr(swept, part.moving)[part.steps]
        assert inside == pytest.approx(np.linspace(inside[0], inside[-1], len(inside)))
