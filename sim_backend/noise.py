"""Normal noise of MVMs: repeatable by seed and order of calls, whatever the number of threads.

One generator draws serially, which would cost more than the product itself. So on a CPU there are several of
them, the lanes, each with a stream of its own. A tensor is cut into blocks of a fixed size, and block i is always
drawn by lane i modulo the number of lanes: how many threads work on the lanes changes nothing. On other devices
torch draws in parallel by itself, and one lane does.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import torch

from rmhil.errors import ConfigError
from sim_backend.rng import Stream, stream_seed

_LANES: Final = 8
_BLOCK: Final = 1 << 15
"""Draws: some 130 us of work, so that cutting costs 2 %. Both numbers are part of a seed's meaning. With a block for
every lane, a second thread pays: starting it costs some 60 us."""

_SEED_BITS: Final = 32
"""Bits of a seed that torch's Mersenne Twister takes in."""

Blocks = list[list[torch.Tensor]]
"""Parts of one tensor, those of each lane in order; lanes that get nothing are left out at the end."""


class Noise:
    """The generators of one simulated backend's MVM noise.

    Args:
        seed: of the backend.
        device: that the tensors to fill are on.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        first = stream_seed(seed, Stream.MVM)
        lanes = _LANES if device.type == "cpu" else 1
        self._lanes = [torch.Generator(device=device) for _ in range(lanes)]
        for number, lane in enumerate(self._lanes):
            lane.manual_seed((first + number) % 2**_SEED_BITS)  # neighbours, so no two are alike

    def blocks(self, tensor: torch.Tensor) -> Blocks:
        """Cut a contiguous tensor into what each lane has to draw."""
        parts: defaultdict[int, list[torch.Tensor]] = defaultdict(list)
        lanes = len(self._lanes)
        flat, size = tensor.view(-1), _BLOCK if lanes > 1 else max(1, tensor.numel())
        for number, start in enumerate(range(0, flat.numel(), size)):
            parts[number % lanes].append(flat[start : start + size])
        return list(parts.values())

    def fill(self, blocks: Blocks) -> None:
        """Draw standard normal numbers into the tensor that `blocks` was given."""
        if len(blocks) < len(self._lanes) or (workers := min(len(blocks), torch.get_num_threads())) == 1:
            self._draw(blocks, 0, 1)
            return
        with ThreadPoolExecutor(workers - 1) as pool:  # of this call alone: threads do not outlive a fork
            others = [pool.submit(self._draw, blocks, first, workers) for first in range(1, workers)]
            self._draw(blocks, 0, workers)
        for other in others:
            other.result()

    def _draw(self, blocks: Blocks, first: int, step: int) -> None:
        """The share of one thread: every `step`-th lane."""
        for number in range(first, len(blocks), step):
            lane = self._lanes[number]
            for part in blocks[number]:
                part.normal_(generator=lane)

    @property
    def state(self) -> torch.Tensor:
        """Where the lanes have got to, uint8 on the CPU."""
        return torch.cat([lane.get_state() for lane in self._lanes])

    def restore(self, state: torch.Tensor) -> None:
        """Go on from `state`.

        Raises:
            ConfigError: it is not that of as many lanes.
        """
        size = self._lanes[0].get_state().numel()
        if state.shape != (size * len(self._lanes),):
            raise ConfigError(
                f"saved state of the MVM noise holds {state.numel()} bytes, expected {size} for each of "
                f"{len(self._lanes)} generators"
            )
        for number, lane in enumerate(self._lanes):
            lane.set_state(state[number * size : (number + 1) * size].clone())
