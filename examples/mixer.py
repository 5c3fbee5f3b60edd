"""The MLP-Mixer of the face workload (arXiv 2601.10037), for any square picture.

No biases anywhere; the norm is an RMS norm over the channels with a learned gain. With its defaults
it has 5,148 parameters: 5,048 matrix weights and 100 gains.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from rmhil.errors import ShapeError

EPSILON = 1e-8
"""Added to the root mean square, so that a silent token divides by something; no unit (published model)."""


class RmsNorm(nn.Module):
    """Divide by the root mean square over the last axis, times a learned gain."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The normalised input; the shape stays."""
        # the gradient of a vector's norm at zero is zero, that of a square root is not a number
        size = torch.linalg.vector_norm(x, dim=-1, keepdim=True) / math.sqrt(x.shape[-1])
        normalised: torch.Tensor = self.gain * x / (size + EPSILON)
        return normalised


class Mixing(nn.Module):
    """Two linear layers with an exact GELU between them, over the last axis."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(size, hidden, bias=False)
        self.down = nn.Linear(hidden, size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The mixed input; the shape stays."""
        mixed: torch.Tensor = self.down(F.gelu(self.up(x)))
        return mixed


class MixerBlock(nn.Module):
    """Mixing across tokens, then across channels; each after a norm and beside a residual."""

    def __init__(self, tokens: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.token_norm = RmsNorm(channels)
        self.token_mixing = Mixing(tokens, hidden)
        self.channel_norm = RmsNorm(channels)
        self.channel_mixing = Mixing(channels, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(batch, tokens, channels)` to the same shape."""
        x = x + self.token_mixing(self.token_norm(x).mT).mT
        mixed: torch.Tensor = x + self.channel_mixing(self.channel_norm(x))
        return mixed


class Mixer(nn.Module):
    """MLP-Mixer that classifies square grey pictures.

    Args:
        side: pixels on one side of a picture; a multiple of `patch`.
        patch: pixels on one side of a patch; one patch is one token, in raster order.
        channels: width of a token.
        hidden: width inside both mixings.
        blocks: mixer blocks.
        classes: outputs; all exist from the first stage on, also those that are learnt later.
    """

    def __init__(
        self, side: int = 16, patch: int = 4, channels: int = 20, hidden: int = 32, blocks: int = 2, classes: int = 6
    ) -> None:
        super().__init__()
        if side % patch:
            raise ShapeError("picture", (side, side), f"sides that are a multiple of the patch ({patch})")
        self.side, self.patch = side, patch
        tokens = (side // patch) ** 2
        self.embedding = nn.Linear(patch * patch, channels, bias=False)
        self.blocks = nn.Sequential(*(MixerBlock(tokens, channels, hidden) for _ in range(blocks)))
        self.norm = RmsNorm(channels)
        self.head = nn.Linear(channels, classes, bias=False)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """What the head sees: `(batch, 1, side, side)` to `(batch, channels)`.

        Raises:
            ShapeError: the pictures have another size.
        """
        if pictures.shape[1:] != (1, self.side, self.side):
            raise ShapeError("pictures", pictures.shape, f"(batch, 1, {self.side}, {self.side})")
        x = self.blocks(self.embedding(F.unfold(pictures, self.patch, stride=self.patch).mT))
        pooled: torch.Tensor = self.norm(x).mean(1)
        return pooled

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits, `(batch, classes)`, of pictures `(batch, 1, side, side)` with values of 0 to 1."""
        logits: torch.Tensor = self.head(self.features(pictures))
        return logits


CHANNEL_MIXING_AND_HEAD = ("channel_mixing.up", "channel_mixing.down", "head")
"""Endings of the names of the layers that carry adapters: both channel mixings of each block, and the head."""


def adapter_targets(model: nn.Module) -> list[str]:
    """Names of the linear layers that carry adapters (arXiv 2601.10037)."""
    return [name for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and name.endswith(CHANNEL_MIXING_AND_HEAD)]  # fmt: skip
