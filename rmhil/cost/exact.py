"""Preset `exact`: ratios of counts that follow from the architectures, with no fitted count."""

from __future__ import annotations

from rmhil.cost.networks import NETWORKS, Network
from rmhil.cost.paper_fit import PUBLISHED, WRITE_ENERGY_RATIO
from rmhil.cost.table import STAGES, CostEntry, CostTable


def table() -> CostTable:
    """The table of exact counts."""
    entries = [entry for network in NETWORKS for entry in (*_adaptation(network), *_inference(network))]
    return CostTable(
        preset="exact",
        title="Ratios of exact counts, derived from the layer tables of the published networks",
        entries=tuple(entries),
        notes=(
            "Training and write: parameters that full reprogramming trains, over parameters of the adapter.",
            f"Write: the same counts times k = {WRITE_ENERGY_RATIO}, the paper's energy of writing one RM weight over "
            "that of one SRAM weight (inferred; the one constant here that is not a count).",
            "Inference: digital MACs of the whole backbone, over the LoRA MACs that stay digital when the backbone is "
            "on the array. It compares operations, not energy, and leaves the array and its converters out; nothing "
            "published corresponds to it (the paper's inference ratios are energies against a GPU).",
        ),
        decimals=3,
    )


def _adaptation(network: Network) -> list[CostEntry]:
    training, write = [], []
    for stage in ("unlearn", "continual"):
        full, lora = network.fully_trained, network.lora_parameters(network.ranks[stage])
        counts = f"{full:,} / {lora:,}"
        training.append(
            CostEntry(
                workload=network.name,
                quantity="training",
                stage=stage,
                ratio=full / lora,
                source=f"{counts} trained parameters (full: {network.baseline}; LoRA rank {network.ranks[stage]})",
                published=PUBLISHED[network.name]["training"][stage],
            )
        )
        write.append(
            CostEntry(
                workload=network.name,
                quantity="write",
                stage=stage,
                ratio=WRITE_ENERGY_RATIO * full / lora,
                source=f"k = {WRITE_ENERGY_RATIO} (inferred from the paper) x {counts} weights written",
                published=PUBLISHED[network.name]["write"][stage],
            )
        )
    return [*training, *write]


def _inference(network: Network) -> list[CostEntry]:
    entries = []
    for stage in STAGES:
        rank = network.running_rank(stage)
        digital = network.lora_macs(rank)
        entries.append(
            CostEntry(
                workload=network.name,
                quantity="inference",
                stage=stage,
                ratio=network.macs / digital,
                source=f"{network.macs:,} / {digital:,} digital MACs per {network.inference}: whole backbone / LoRA of "
                f"running rank {rank}; operations, not energy: no published counterpart",
            )
        )
    return entries
