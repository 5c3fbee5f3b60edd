"""A small model for the tests of adapters."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from rmhil.nn import adapters as A


class ChannelMixing(nn.Module):
    """The part of the face mixer that is adapted: widths and applications of arXiv 2601.10037."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ModuleList(nn.Linear(20, 32, bias=False) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(32, 20, bias=False) for _ in range(2))
        self.token = nn.Linear(16, 16, bias=False)
        self.head = nn.Linear(20, 6, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for up, down in zip(self.up, self.down, strict=True):
            x = x + self.token(x.transpose(1, 2)).transpose(1, 2)
            x = x + down(F.gelu(up(x)))
        scores: torch.Tensor = self.head(x.mean(1))
        return scores


MIXED = ("up.0", "up.1", "down.0", "down.1", "head")


def stir(model: nn.Module, name: str, seed: int = 3) -> None:
    """Give an adapter something to say."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for branch in A.get_adapter(model, name).branches.values():
            branch.B.normal_(std=0.1, generator=generator)
