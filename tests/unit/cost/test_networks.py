"""Counts of the published networks, against numbers found by instantiating and counting them."""

from __future__ import annotations

import pytest

from rmhil.cost.networks import FACE, IMAGE, SPEAKER, Network


@pytest.mark.parametrize(
    ("network", "parameters", "fully_trained", "macs"),
    [
        (FACE, 5_148, 5_148, 87_160),
        (SPEAKER, 337_413, 337_413, 3_340_800),
        (IMAGE, 101_683_232, 56_669_184, 3_699_572_736),
    ],
    ids=["face", "speaker", "image"],
)
def test_backbones_have_the_parameters_and_macs_of_the_published_code(
    network: Network, parameters: int, fully_trained: int, macs: int
) -> None:
    assert network.parameters == parameters
    assert network.fully_trained == fully_trained
    assert network.macs == macs


@pytest.mark.parametrize(
    ("network", "rank", "parameters", "macs_per_rank"),
    [
        (FACE, 6, 1_404, 3_354),
        (FACE, 8, 1_872, 3_354),
        (SPEAKER, 8, 13_408, 16_760),
        (IMAGE, 4, 368_640, 5_898_240),
    ],
)
def test_adapters_have_the_parameters_and_macs_of_the_published_code(
    network: Network, rank: int, parameters: int, macs_per_rank: int
) -> None:
    assert network.lora_parameters(rank) == parameters
    assert network.lora_macs(rank) == rank * macs_per_rank


def test_the_face_backbone_has_5048_matrix_weights_and_100_gains() -> None:
    assert sum(matrix.parameters for matrix in FACE.matrices) == 5_048
    assert FACE.gains == 100


def test_the_image_backbone_has_101544960_matrix_weights_on_the_array() -> None:
    weights = sum(m.count * m.outputs * m.inputs for m in IMAGE.matrices if m.uses)
    assert weights == 101_544_960


@pytest.mark.parametrize(
    ("network", "ranks"),
    [(FACE, (8, 6, 14)), (SPEAKER, (8, 8, 16)), (IMAGE, (4, 4, 8))],
    ids=lambda value: str(value)[:8],
)
def test_in_the_continual_stage_both_adapters_run(network: Network, ranks: tuple[int, int, int]) -> None:
    assert tuple(network.running_rank(stage) for stage in ("learn", "unlearn", "continual")) == ranks
