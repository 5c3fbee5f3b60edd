"""The three published networks as tables of matrices; every count of them is derived here.

Source of the shapes: arXiv 2601.10037 and the code its authors published with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rmhil.cost.table import STAGES, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A weight matrix, or several of one shape.

    Attributes:
        name: what it does.
        outputs, inputs: its shape; of a depth-wise convolution, channels and taps of one kernel.
        uses: vectors multiplied by it for one inference; 0 for a table that is looked up.
        count: matrices of this kind.
        bias: whether each output has a bias.
        adapted: whether it carries a LoRA adapter.
    """

    name: str
    outputs: int
    inputs: int
    uses: int
    count: int = 1
    bias: bool = False
    adapted: bool = False

    @property
    def parameters(self) -> int:
        """Weights and biases of all of them."""
        return self.count * (self.outputs * self.inputs + (self.outputs if self.bias else 0))

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one inference."""
        return self.count * self.outputs * self.inputs * self.uses

    @property
    def lora_parameters(self) -> int:
        """Weights of an adapter of rank 1: a row of A and a column of B."""
        return self.count * (self.outputs + self.inputs) if self.adapted else 0

    @property
    def lora_macs(self) -> int:
        """Multiply-accumulates of an adapter of rank 1 for one inference, as B(Ax)."""
        return self.lora_parameters * self.uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A published network and how it was adapted.

    Attributes:
        name: the workload.
        inference: what one inference is.
        matrices: its weight matrices.
        gains: trained values outside the matrices (gains of norms).
        ranks: rank of the adapter that each stage trains; in `learn` the one that restores the accuracy after
            programming.
        baseline: what full reprogramming trains, in words.
        adapted_only: full reprogramming trains only the matrices that carry adapters.
    """

    name: str
    inference: str
    matrices: tuple[Matrix, ...]
    gains: int
    ranks: Mapping[Stage, int]
    baseline: str
    adapted_only: bool = False

    @property
    def parameters(self) -> int:
        """Everything that the learn stage trains."""
        return sum(matrix.parameters for matrix in self.matrices) + self.gains

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the backbone for one inference."""
        return sum(matrix.macs for matrix in self.matrices)

    @property
    def fully_trained(self) -> int:
        """Values that full reprogramming trains and writes."""
        if self.adapted_only:
            return sum(matrix.parameters for matrix in self.matrices if matrix.adapted)
        return self.parameters

    def lora_parameters(self, rank: int) -> int:
        """Weights of an adapter of one rank."""
        return rank * sum(matrix.lora_parameters for matrix in self.matrices)

    def lora_macs(self, rank: int) -> int:
        """Multiply-accumulates of adapters whose ranks add up to `rank`, for one inference."""
        return rank * sum(matrix.lora_macs for matrix in self.matrices)

    def running_rank(self, stage: Stage) -> int:
        """Sum of the ranks that run in a stage: in `continual` the adapter of `unlearn` stays on below the new one.

        That is the only assignment that fits the published inference ratios of the face task.
        """
        return self.ranks[stage] + (self.ranks["unlearn"] if stage == "continual" else 0)


def _ranks(learn: int, unlearn: int, continual: int) -> dict[Stage, int]:
    return dict(zip(STAGES, (learn, unlearn, continual), strict=True))


FACE: Final = Network(
    name="face",
    inference="picture",
    matrices=(
        Matrix(name="patch embedding", outputs=20, inputs=16, uses=16),
        Matrix(name="token mixing 1", outputs=32, inputs=16, uses=20, count=2),
        Matrix(name="token mixing 2", outputs=16, inputs=32, uses=20, count=2),
        Matrix(name="channel mixing 1", outputs=32, inputs=20, uses=16, count=2, adapted=True),
        Matrix(name="channel mixing 2", outputs=20, inputs=32, uses=16, count=2, adapted=True),
        Matrix(name="head", outputs=6, inputs=20, uses=1, adapted=True),
    ),
    gains=5 * 20,
    ranks=_ranks(8, 6, 8),
    baseline="all parameters",
)
"""MLP-mixer on 16 x 16 faces: 16 tokens, width 20, hidden 32, two blocks, six outputs; five RMS norms."""

SPEAKER: Final = Network(
    name="speaker",
    inference="utterance",
    matrices=(
        Matrix(name="input", outputs=512, inputs=140, uses=10, bias=True, adapted=True),
        Matrix(name="recurrent", outputs=512, inputs=512, uses=10, bias=True, adapted=True),
        Matrix(name="read-out", outputs=5, inputs=512, uses=1, bias=True),
    ),
    gains=0,
    ranks=_ranks(8, 8, 8),
    baseline="all parameters, five speakers",
)
"""Recurrent spiking network on spiking speech commands: 10 steps, one read-out at the end."""

IMAGE: Final = Network(
    name="image",
    inference="denoising step, one branch",
    matrices=(
        Matrix(name="patch embedding", outputs=768, inputs=4 * 2 * 2, uses=64, bias=True),
        Matrix(name="time embedding 1", outputs=768, inputs=256, uses=1, bias=True),
        Matrix(name="time embedding 2", outputs=768, inputs=768, uses=1, bias=True),
        Matrix(name="class table", outputs=31, inputs=768, uses=0),
        Matrix(name="depth-wise convolution", outputs=768, inputs=7 * 7, uses=64, count=12, bias=True),
        Matrix(name="feed-forward 1", outputs=3072, inputs=768, uses=64, count=12, bias=True, adapted=True),
        Matrix(name="feed-forward 2", outputs=768, inputs=3072, uses=64, count=12, bias=True, adapted=True),
        Matrix(name="modulation", outputs=6 * 768, inputs=768, uses=1, count=12, bias=True),
        Matrix(name="last modulation", outputs=2 * 768, inputs=768, uses=1, bias=True),
        Matrix(name="last layer", outputs=32, inputs=768, uses=64, bias=True),
    ),
    gains=0,
    ranks=_ranks(4, 4, 4),
    baseline="the feed-forward layers only",
    adapted_only=True,
)
"""Diffusion transformer with depth-wise convolutions: 64 tokens, width 768, 12 blocks. The position table is fixed."""

NETWORKS: Final = (FACE, SPEAKER, IMAGE)
