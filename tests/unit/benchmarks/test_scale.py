"""The network of the scale benchmark is the published one, and the arrays that it takes are counted, not guessed."""

from __future__ import annotations

import pytest
import scale


def test_the_network_has_the_published_number_of_weights() -> None:
    layers = scale.network()
    assert sum(groups * outputs * inputs for groups, outputs, inputs in layers.values()) == 101_544_960
    fully_connected = [scale.tiles(matrix) for name, matrix in layers.items() if ".fc" in name]
    assert len(fully_connected) == 24
    assert sum(map(len, fully_connected)) == 2 * 3456  # 3,456 with one cell a weight


def test_full_arrays_and_small_tiles_are_placed_without_waste() -> None:
    layers = {name: matrix for name, matrix in scale.network().items() if name.startswith("0.")}
    placed = scale.placed(layers)
    assert placed["weights"] == 8_295_168
    assert placed["cells_used"] == 2 * placed["weights"]
    assert placed["arrays"] == 288 + 288 + 432 + 6  # fc1, fc2, modulation; 128 channels of the convolution an array


def test_what_is_worked_out_follows_from_what_was_measured() -> None:
    found = {
        "cells": 3600 * 1000,
        "programming": {"cells_per_s": 500.0},
        "multiplying": {
            "first_call_s": 3.0, "call_s": 1.0, "arrays": 10, "array_vectors_per_s": 40.0,
            "held_bytes_a_cell_by_arithmetic": 8,
        },
    }  # fmt: skip
    assert scale.worked_out(found, arrays=600) == {
        "programming_all_h": 2.0,
        "effective_matrices_of_all_min": 2.0,
        "effective_matrices_of_all_gb": pytest.approx(0.0288),
        "one_vector_through_all_s": 15.0,
    }
