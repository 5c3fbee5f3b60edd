"""PEFT's low-rank convolution for analogue layers. The only module that imports `peft`.

PEFT makes the factors of a convolution from the class of the convolution itself. For an analogue one these
would be analogue too, on no array and frozen; here they are digital. Linear layers need nothing of the kind.
"""

from __future__ import annotations

from typing import Any, cast

from peft.tuners.lora.layer import Conv2d
from torch import nn


class LoraAnalogConv2d(Conv2d):
    """PEFT's low-rank convolution with digital factors, whatever the class of the convolution."""

    def update_layer(self, adapter_name: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Make the factors of an adapter."""
        super().update_layer(adapter_name, *args, **kwargs)
        for factors in (self.lora_A, self.lora_B):
            factors[adapter_name] = _digital(cast("nn.Conv2d", factors[adapter_name]))


def _digital(factor: nn.Conv2d) -> nn.Conv2d:
    plain = nn.Conv2d(
        factor.in_channels,
        factor.out_channels,
        factor.kernel_size,  # type: ignore[arg-type]  # two numbers, of a convolution of two dimensions
        factor.stride,  # type: ignore[arg-type]
        factor.padding,  # type: ignore[arg-type]
        groups=factor.groups,
        bias=factor.bias is not None,
    )
    plain.weight = nn.Parameter(factor.weight.detach(), requires_grad=factor.weight.requires_grad)
    plain.bias = factor.bias
    return plain
