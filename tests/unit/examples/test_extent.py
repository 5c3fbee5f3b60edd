"""Promises of how much of the main job is done on the array."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rmhil_examples.extent import PICTURES, Extent

from rmhil.errors import UnknownNameError
from rmhil.mapping import DifferentialPair, OffsetColumn
from sim_backend.backend import SimBackend

Opener = Callable[..., SimBackend]
NOTHING = {"pictures": None, "array_steps": None, "comparisons": None, "cells": None}


def test_in_simulation_all_of_it_is_done_on_the_array(open_sim: Opener) -> None:
    extent = Extent.of(open_sim(n_bl=4, n_sl=4).spec, **NOTHING)
    assert extent == Extent()
    assert extent.mapping == DifferentialPair()


def test_where_cells_are_written_one_at_a_time_it_is_done_in_less(open_sim: Opener) -> None:
    extent = Extent.of(open_sim(n_bl=4, n_sl=4, cells_at_once=1).spec, **NOTHING)
    assert (extent.pictures, extent.array_steps, extent.comparisons) == (PICTURES, 0, False)
    assert extent.mapping == OffsetColumn()
    assert extent.measured_from == "columns"


def test_what_is_asked_for_is_done(open_sim: Opener) -> None:
    spec = open_sim(n_bl=4, n_sl=4, cells_at_once=1).spec
    asked = Extent.of(spec, pictures=12, array_steps=1, comparisons=True, cells="pair")
    assert (asked.pictures, asked.array_steps, asked.comparisons, asked.cells) == (12, 1, True, "pair")
    with pytest.raises(UnknownNameError, match="mapping"):
        Extent.of(spec, **NOTHING | {"cells": "pairs"})
