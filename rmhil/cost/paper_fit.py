"""Preset `paper-fit`: the published ratios, from constants that were fitted to them.

Only counts and ratios can be recovered from the paper (arXiv 2601.10037), no absolute energy. Every
constant below is inferred: it is the value that returns the published digits, not one the authors state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rmhil.cost.networks import FACE, IMAGE, NETWORKS, SPEAKER, Network
from rmhil.cost.table import STAGES, CostEntry, CostTable, Stage

WRITE_ENERGY_RATIO: Final = 2.53293
"""1: energy to write one backbone weight to RM, over that to write one LoRA weight to SRAM (inferred, range 2.53290 to
2.53297: the published write ratios of all three tasks follow from it)."""

FACE_SLIP: Final = 10
"""1: factor on the face backbone's 5.15 k parameters in training and write ratios (inferred: a decimal slip)."""

IMAGE_TRAINED_REPORTED: Final = 54.67e6
"""1: trained parameters of the image baseline that give the published training ratio (inferred: a digit slip for
56.67 M, which the published write ratio needs)."""


@dataclass(frozen=True, slots=True)
class InferenceFit:
    """Energies of one inference, each a fraction of the GPU's (1; inferred).

    Attributes:
        array: the backbone on RM.
        per_rank: digital LoRA, for each unit of rank.
    """

    array: float
    per_rank: float


INFERENCE_FITS: Final = {
    FACE.name: InferenceFit(0.00872, 0.005101),
    SPEAKER.name: InferenceFit(0.00312, 0.010001),
    IMAGE.name: InferenceFit(0.013656, 0.001747),
}

PUBLISHED: Final[dict[str, dict[str, dict[Stage, float]]]] = {
    FACE.name: {
        "training": {"unlearn": 36.68, "continual": 27.51},
        "write": {"unlearn": 92.91, "continual": 69.68},
        "inference": {"learn": 20.19, "unlearn": 25.43, "continual": 12.48},
    },
    SPEAKER.name: {
        "training": {"unlearn": 25.16, "continual": 25.16},
        "write": {"unlearn": 63.74, "continual": 63.74},
        "inference": {"learn": 12.03, "unlearn": 12.03, "continual": 6.13},
    },
    IMAGE.name: {
        "training": {"unlearn": 147.76, "continual": 147.76},
        "write": {"unlearn": 387.95, "continual": 387.95},
        "inference": {"learn": 48.44, "unlearn": 48.44, "continual": 36.19},
    },
}
"""The ratios printed in arXiv 2601.10037, for comparison only: no ratio is computed from them."""


@dataclass(frozen=True, slots=True)
class _Reported:
    """Counts as the paper seems to have used them: backbone in training and in writing, and adapter."""

    trained: float
    written: float
    lora_trained: float
    lora_written: float
    why: str


def table() -> CostTable:
    """The published table."""
    entries = [entry for network in NETWORKS for entry in (*_adaptation(network), *_inference(network))]
    return CostTable(
        preset="paper-fit",
        title="Published ratios of arXiv 2601.10037, from constants fitted to them",
        entries=tuple(entries),
        notes=(
            "Every constant is inferred from the published ratios; the absolute energies behind them are not known.",
            "Write: one constant k fits all four numbers. Inference: the face task has three numbers for two "
            "constants, so there the model is tested; the others have two for two.",
            "Training counts parameters. The preset 'exact' shows what the counts give without the slips named here.",
        ),
        decimals=2,
    )


def _adaptation(network: Network) -> list[CostEntry]:
    training, write = [], []
    for stage in ("unlearn", "continual"):
        reported = _reported(network, stage)
        published = PUBLISHED[network.name]
        training.append(
            CostEntry(
                workload=network.name,
                quantity="training",
                stage=stage,
                ratio=reported.trained / reported.lora_trained,
                source=f"{reported.trained:,.0f} / {reported.lora_trained:,.0f} trained parameters; {reported.why}",
                published=published["training"][stage],
            )
        )
        write.append(
            CostEntry(
                workload=network.name,
                quantity="write",
                stage=stage,
                ratio=WRITE_ENERGY_RATIO * reported.written / reported.lora_written,
                source=f"k = {WRITE_ENERGY_RATIO} (inferred) x {reported.written:,.0f} / {reported.lora_written:,.0f} "
                "weights written",
                published=published["write"][stage],
            )
        )
    return [*training, *write]


def _reported(network: Network, stage: Stage) -> _Reported:
    full, lora = network.fully_trained, network.lora_parameters(network.ranks[stage])
    if network is FACE:
        backbone = FACE_SLIP * round(full, -1)
        return _Reported(
            backbone, backbone, lora, lora, f"{FACE_SLIP} x {round(full, -1):,}: a decimal slip (inferred)"
        )
    if network is SPEAKER:
        return _Reported(round(full, -1), full, round(lora, -1), lora, "both rounded to 0.01 k")
    written, rounded = round(full, -4), round(lora, -4)
    why = f"54.67 M: a digit slip for {written / 1e6:.2f} M (inferred)"
    return _Reported(IMAGE_TRAINED_REPORTED, written, rounded, rounded, why)


def _inference(network: Network) -> list[CostEntry]:
    fit = INFERENCE_FITS[network.name]
    entries = []
    for stage in STAGES:
        rank = network.running_rank(stage)
        entries.append(
            CostEntry(
                workload=network.name,
                quantity="inference",
                stage=stage,
                ratio=1 / (fit.array + fit.per_rank * rank),
                source=f"GPU / (array {fit.array:g} + LoRA {fit.per_rank:g} x rank {rank}), in GPU energies (inferred)",
                published=PUBLISHED[network.name]["inference"][stage],
            )
        )
    return entries
