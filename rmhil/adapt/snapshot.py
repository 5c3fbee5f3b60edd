"""What a training can go back to: values of parameters and buffers, and the order of batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Values of the trained parameters and of the model's buffers (running statistics) at one moment.

    Attributes:
        parameters: in the order of the training.
        buffers: by name; those that `state_dict` holds.
    """

    parameters: Sequence[torch.Tensor]
    buffers: Mapping[str, torch.Tensor]

    @classmethod
    def of(cls, model: nn.Module, parameters: Sequence[nn.Parameter]) -> Self:
        """Copies of what the model holds now."""
        buffers = {name: each.clone() for name, each in _buffers(model).items()}
        return cls([parameter.detach().clone() for parameter in parameters], buffers)

    def restore(self, model: nn.Module, parameters: Sequence[nn.Parameter]) -> None:
        """Put the values back; what holds them already is not written."""
        with torch.no_grad():
            for parameter, value in zip(parameters, self.parameters, strict=True):
                if not torch.equal(parameter, value):
                    parameter.copy_(value)
            for name, buffer in _buffers(model).items():
                buffer.copy_(self.buffers[name])

    def to_dict(self) -> dict[str, Any]:
        """Plain containers of tensors."""
        return {"parameters": list(self.parameters), "buffers": dict(self.buffers)}


def _buffers(model: nn.Module) -> dict[str, torch.Tensor]:
    kept = model.state_dict()
    return {name: each for name, each in model.named_buffers() if name in kept}


class Batches:
    """Indices of one batch after another; every sample once before any comes again.

    Args:
        samples: how many there are.
        size: of a batch; None means all samples, in their order.
        generator: that shuffles.
    """

    def __init__(self, samples: int, size: int | None, generator: torch.Generator) -> None:
        self._samples, self._size, self._generator = samples, size, generator
        self._order = torch.empty(0, dtype=torch.int64)

    def draw(self) -> torch.Tensor | slice:
        """What to index samples with; batches that cross the end of a pass go on with the next."""
        if self._size is None:
            return slice(None)
        while len(self._order) < self._size:
            self._order = torch.cat((self._order, torch.randperm(self._samples, generator=self._generator)))
        chosen, self._order = self._order[: self._size], self._order[self._size :]
        return chosen

    def state(self) -> torch.Tensor:
        """What is left of the present pass."""
        return self._order.clone()

    def load_state(self, order: torch.Tensor) -> None:
        """Go on with what was left."""
        self._order = order.clone()
