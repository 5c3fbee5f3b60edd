"""Layers whose weights are conductances: `nn.Linear` and `nn.Conv2d` from outside.

`weight` holds the digital target, frozen; `measured_weight` what the array really multiplies by. Forward runs on
the array, backward through `measured_weight`. Biases stay digital.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

import torch
import torch.nn.functional as F
from loguru import logger
from torch import nn

from rmhil.errors import ConfigError, NotFiniteError, NotProgrammedError, OutOfRangeError, ShapeError
from rmhil.nn.autograd import Product, array_product

if TYPE_CHECKING:
    from rmhil.backend import Floats
    from rmhil.nn.tiles import MatrixOnArrays

InputRange: TypeAlias = float | Literal["dynamic"]
"""How activations become volts: `dynamic` scales each vector so that its largest element is full scale; a number is
the activation at full scale, beyond which inputs clip and are counted."""


class _AnalogModule(nn.Module):
    """What both layers share; the classes below put it in front of their digital one."""

    _digital: ClassVar[type[nn.Module]]
    weight: torch.Tensor
    measured_weight: torch.Tensor | None
    programmed_weight: torch.Tensor | None

    def _start(self, input_range: InputRange) -> None:
        self.input_range = check_input_range(input_range)
        self.in_the_loop = True
        """Forward on the array. False: forward with `measured_weight` on the host, nothing is driven."""
        self.clip_count = 0
        """Inputs that were beyond a fixed `input_range`."""
        self.over_range_count = 0
        """Outputs with a current that left its converter's range."""
        self.label = type(self).__name__
        """Name in messages; `nn.convert` sets the layer's name in its model."""
        self._arrays: MatrixOnArrays | None = None
        self._generation = 0
        self._warned = False
        self.weight.requires_grad_(False)
        self.register_buffer("measured_weight", None, persistent=False)
        self.register_buffer("programmed_weight", None, persistent=False)

    @classmethod
    def adopt(cls, module: nn.Module, input_range: InputRange = "dynamic") -> Self:
        """Turn a digital layer into an analogue one: the same object, with its parameters, hooks and children.

        It is not programmed yet.

        Raises:
            ConfigError: the module is not exactly of the digital class.
        """
        if type(module) is not cls._digital:
            allowed = cls._digital.__name__
            raise ConfigError(f"a {type(module).__name__} cannot become an {cls.__name__}, only a {allowed}")
        check_input_range(input_range)
        module.__class__ = cls
        assert isinstance(module, cls)
        module._start(input_range)
        return module

    @property
    def on_arrays(self) -> MatrixOnArrays | None:
        """The layer's tiles and what drives them; None if it was never programmed."""
        return self._arrays

    def bind(self, arrays: MatrixOnArrays, measured: torch.Tensor) -> None:
        """Take over cells that now hold `weight`.

        Args:
            arrays: the tiles.
            measured: what they multiply by, shape `(groups, n_out, n_in)`.
        """
        self._arrays, self._generation = arrays, arrays.generation
        self.programmed_weight = self.weight.detach().clone()
        self.measured_weight = measured.to(self.weight).reshape(self.weight.shape)

    def check_programmed(self) -> None:
        """Refuse to compute with weights that are not on an array.

        Raises:
            NotProgrammedError: never programmed, programmed otherwise since, or the digital weights have changed; or
                anyone has pulsed cells of the source lines since they were measured, be it these cells or neighbours
                on other bit lines, which load the same lines.
        """
        if self._arrays is None or self.programmed_weight is None:
            raise NotProgrammedError(f"{self.label} is on no array; program it with nn.convert")
        if self._generation != self._arrays.generation:
            raise NotProgrammedError(
                f"the cells of {self.label} were programmed again, through another copy of the model or only in part; "
                "nn.reprogram writes these weights"
            )
        if not self._arrays.is_as_calibrated:
            raise NotProgrammedError(
                f"cells on the source lines of {self.label} were pulsed since they were measured, by something else "
                "than this model: its own cells, or neighbours that load the same lines; nn.reprogram writes and "
                "measures these weights again, and nn.convert with other source lines keeps models apart"
            )
        if not torch.equal(self.weight, self.programmed_weight):
            raise NotProgrammedError(
                f"the weights of {self.label} are not the ones on the array any more; nn.reprogram writes them"
            )

    def _multiply(self, x: torch.Tensor) -> torch.Tensor:
        """Products with all matrices, `(groups, batch, n_in)` to `(groups, batch, n_out)`."""
        self.check_programmed()
        assert self.measured_weight is not None
        groups, batch, n_in = x.shape
        measured = self.measured_weight.view(groups, -1, n_in)
        if batch == 0 or not self.in_the_loop:
            if self.input_range != "dynamic":
                x = x.clamp(-self.input_range, self.input_range)
            return x @ measured.transpose(1, 2).to(x.dtype)
        return array_product(x, measured, self._drive)

    def _drive(self, x: torch.Tensor) -> Product:
        assert self._arrays is not None
        volts_like = x.to(device=self._arrays.device, dtype=self._arrays.dtype)
        top, clipped = self._full_scale(volts_like)
        outputs, over_range = self._arrays.drive(_levels(volts_like, top, clipped))
        outputs = outputs.mul_(top).to(x)
        if over_range is not None:
            over_range = over_range.to(x.device)
            self._count_over_range(over_range)
        return Product(outputs, None if clipped is None else clipped.to(x.device), over_range)

    def _full_scale(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The activation that becomes full scale, for each vector or for all, and which inputs are beyond it."""
        size = x.abs()
        top = size.amax(dim=-1, keepdim=True)
        if not top.isfinite().all():
            raise NotFiniteError(f"input of {self.label}", int((~x.isfinite()).sum()), x.numel())
        if self.input_range == "dynamic":
            return top.clamp_min_(torch.finfo(x.dtype).tiny), None
        clipped = size > self.input_range
        count = int(clipped.sum())
        self.clip_count += count
        return x.new_tensor(self.input_range), clipped if count else None

    def _count_over_range(self, over_range: torch.Tensor) -> None:
        count = int(over_range.sum())
        self.over_range_count += count
        if not self._warned:
            self._warned = True
            logger.warning(
                "{}: {} of {} outputs hold a current beyond the converter's range; later ones are counted in "
                "over_range_count",
                self.label,
                count,
                over_range.numel(),
            )


class AnalogLinear(_AnalogModule, nn.Linear):
    """A linear layer on arrays.

    Args:
        in_features, out_features, bias, device, dtype: as `nn.Linear`.
        input_range: how activations become volts.

    Attributes:
        weight: the target, shape `(out_features, in_features)`, frozen.
        measured_weight: what the array multiplies by, same shape; None before it is programmed. Not in `state_dict`.
        clip_count, over_range_count: inputs beyond a fixed `input_range`; outputs with a current over range.
    """

    _digital = nn.Linear

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        input_range: InputRange = "dynamic",
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self._start(input_range)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply on the array and add the bias; shapes as `nn.Linear`.

        Raises:
            NotProgrammedError: the weights are not the ones on the array; nothing was driven.
            ShapeError, NotFiniteError: nothing was driven.
        """
        if x.dim() == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(f"input of {self.label}", x.shape, f"(..., {self.in_features})")
        y = self._multiply(x.reshape(1, -1, self.in_features)).view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y + self.bias


class AnalogConv2d(_AnalogModule, nn.Conv2d):
    """A two-dimensional convolution on arrays: the picture's patches are the vectors.

    Each group has cells of its own, so a depth-wise convolution takes one small tile a channel.

    Args:
        in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype: as
            `nn.Conv2d`.
        input_range: how activations become volts.

    Attributes:
        weight: the target, shape `(out_channels, in_channels / groups, height, width)`, frozen.
        measured_weight: what the array multiplies by, same shape; None before it is programmed. Not in `state_dict`.
        clip_count, over_range_count: inputs beyond a fixed `input_range`; outputs with a current over range.
    """

    _digital = nn.Conv2d

    def __init__(self, *args: Any, input_range: InputRange = "dynamic", **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        self._start(input_range)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve on the array and add the bias; shapes as `nn.Conv2d`.

        Raises:
            NotProgrammedError: the weights are not the ones on the array; nothing was driven.
            ShapeError, NotFiniteError: nothing was driven.
        """
        if x.dim() not in (3, 4) or x.shape[-3] != self.in_channels:
            expected = f"(batch, {self.in_channels}, height, width) or ({self.in_channels}, height, width)"
            raise ShapeError(f"input of {self.label}", x.shape, expected)
        pictures = x if x.dim() == 4 else x[None]
        height, width, patches = self._patches(pictures)
        n_out = self.out_channels // self.groups
        y = self._multiply(patches).view(self.groups, len(pictures), height, width, n_out)
        y = y.permute(1, 0, 4, 2, 3).reshape(len(pictures), self.out_channels, height, width)
        y = y if self.bias is None else y + self.bias[:, None, None]
        return y if x.dim() == 4 else y[0]

    def _patches(self, pictures: torch.Tensor) -> tuple[int, int, torch.Tensor]:
        """Height and width of the output, and the patches as `(groups, pictures x height x width, inputs)`."""
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        padded = F.pad(pictures, self._reversed_padding_repeated_twice, mode=mode)
        size = [
            (padded.shape[2 + axis] - self.dilation[axis] * (self.kernel_size[axis] - 1) - 1) // self.stride[axis] + 1
            for axis in (0, 1)
        ]
        if min(size) < 1:
            raise ShapeError(f"input of {self.label}", pictures.shape, f"at least the kernel of {self.kernel_size}")
        columns = F.unfold(padded, self.kernel_size, dilation=self.dilation, stride=self.stride)
        batch, n_in, n_patches = len(pictures), self.weight[0].numel(), columns.shape[-1]
        columns = columns.view(batch, self.groups, n_in, n_patches)
        return size[0], size[1], columns.permute(1, 0, 3, 2).reshape(self.groups, batch * n_patches, n_in)


AnalogLayer: TypeAlias = AnalogLinear | AnalogConv2d


def matrices_of(layer: nn.Linear | nn.Conv2d) -> Floats:
    """The weights of a layer as matrices, float64: `(groups, n_out, n_in)`, one a group of a convolution."""
    weight = layer.weight.detach().to("cpu", torch.float64).numpy()
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return weight.reshape(groups, len(weight) // groups, -1)


def analog_layers(model: nn.Module) -> dict[str, AnalogLayer]:
    """The analogue layers of a model by name; a model that is one itself has the name ''."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AnalogLinear | AnalogConv2d)}


@contextmanager
def off_the_arrays(model: nn.Module) -> Iterator[None]:
    """Compute with the measured weights on the host: nothing is driven, nothing counted, no noise is drawn."""
    layers = analog_layers(model).values()
    before = [(layer, layer.in_the_loop) for layer in layers]
    try:
        for layer in layers:
            layer.in_the_loop = False
        yield
    finally:
        for layer, flag in before:
            layer.in_the_loop = flag


def check_input_range(input_range: InputRange) -> InputRange:
    """The setting itself, if it is one.

    Raises:
        ConfigError: a word other than `dynamic`.
        OutOfRangeError: a number that is not above 0 and finite.
    """
    if isinstance(input_range, str):
        if input_range != "dynamic":
            raise ConfigError(f"input_range = {input_range!r}, allowed 'dynamic' or a number")
        return input_range
    if not 0.0 < input_range < float("inf"):
        raise OutOfRangeError("input_range", input_range, 0.0, float("inf"), "", above=True)
    return float(input_range)


def _levels(x: torch.Tensor, top: torch.Tensor, clipped: torch.Tensor | None) -> torch.Tensor:
    levels = x * top.reciprocal()
    return levels if clipped is None else levels.clamp_(-1.0, 1.0)
