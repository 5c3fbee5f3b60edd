"""The product of an analogue layer in autograd: forward on the array, backward through the measured weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch


class Product(NamedTuple):
    """A forward product and where it clipped.

    Attributes:
        outputs: shape `(groups, batch, n_out)`.
        clipped: bool, shape `(groups, batch, n_in)`: inputs beyond the fixed range; None: there were none.
        over_range: bool, shape of `outputs`: sums with a current at the end of its range; None: there were none.
    """

    outputs: torch.Tensor
    clipped: torch.Tensor | None
    over_range: torch.Tensor | None


Forward = Callable[[torch.Tensor], Product]


class _ArrayProduct(torch.autograd.Function):
    """y = forward(x); dx = dy @ measured weights, zero where x was clipped or y over range."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, measured: torch.Tensor, forward: Forward) -> torch.Tensor:  # noqa: ANN401
        with torch.autocast(x.device.type, enabled=False):
            product = forward(x)
        ctx.save_for_backward(measured, product.clipped, product.over_range)
        return product.outputs

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:  # noqa: ANN401
        if not ctx.needs_input_grad[0]:
            return None, None, None
        measured, clipped, over_range = ctx.saved_tensors
        if over_range is not None:
            grad = grad.masked_fill(over_range, 0.0)
        with torch.autocast(grad.device.type, enabled=False):
            back = grad @ measured.to(grad.dtype)
        if clipped is not None:
            back = back.masked_fill(clipped, 0.0)
        return back, None, None


def array_product(x: torch.Tensor, measured: torch.Tensor, forward: Forward) -> torch.Tensor:
    """Multiply on the array.

    Args:
        x: shape `(groups, batch, n_in)`.
        measured: the weights of the backward pass, shape `(groups, n_out, n_in)`, on the device of `x`.
        forward: drives the array; gives back tensors like `x`.

    Returns:
        Outputs, shape `(groups, batch, n_out)`.
    """
    return cast("torch.Tensor", _ArrayProduct.apply(x, measured, forward))  # type: ignore[no-untyped-call]  # torch has no types for it
