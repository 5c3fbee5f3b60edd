"""What the ADCs of the board sample: products of the DACs' codes with the simulator's own matrices.

The product itself, with its noise, is done in C (`firmware/sim/board_array.c`). This class hands over what to
multiply by, whenever lines were joined anew or cells have drifted, and normal numbers as they are used up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from threading import RLock
from typing import Any, Final, NoReturn

import numpy as np
import torch
from loguru import logger
from numpy.typing import NDArray

from rmhil.backend import Floats, Ints
from rmhil.line_solver import one_thread
from rmhil.units import Seconds
from sim_backend.chip import Chip
from sim_backend.nonlinear import CellCurve, nonlinear_excess
from sim_backend.periphery import Periphery
from sim_backend.twin.lines import Joints
from sim_backend.twin.native import CALL, CHANNELS, Products

_NORMALS: Final = 1 << 12
"""Normal numbers drawn at once: those of 64 MVMs."""

_NEVER: Final = (1 << 64) - 1
"""Samples: more than there will ever be."""

_ARRAYS: Final = np.array([0])
"""A board has one."""

_BROKEN: Final = 70
"""Exit status of a program with an internal error (sysexits.h)."""


class ArrayProducts:
    """The array as the ADCs see it.

    Args:
        chip: its cells and lines, of type float64.
        periphery: its converters.
        rest_code: DAC code of the virtual ground.
        lock: of the chip.

    Attributes:
        products: for `board_array_sample`; it must live as long as the board.
    """

    def __init__(self, chip: Chip, periphery: Periphery, rest_code: int, lock: RLock) -> None:
        self._chip, self._periphery, self._lock = chip, periphery, lock
        self._wiring = chip.config.wiring
        self._noisy = chip.config.has("read-noise") or chip.config.has("telegraph")
        self._counted = 0
        self._held_until = math.inf
        self._drops_normals = False
        self._driven: Ints = np.empty(0, dtype=np.int64)
        self._sensed: Ints = np.empty(0, dtype=np.int64)
        self._joints: Joints | None = None
        self._handed: dict[str, NDArray[Any]] = {}
        self.products = Products(
            renew=CALL(_or_end(self._renew)),
            draw=CALL(_or_end(self._draw)),
            bend=CALL() if chip.curve is None else CALL(_or_end(self._bend)),
            stale=1,
            rest_code=rest_code,
            adc_variance=periphery.adc_noise**2,
        )

    def join(self, joints: Joints) -> None:
        """Lines are joined otherwise from now on; on the board's thread."""
        self._joints = joints
        self.forget()

    def forget(self) -> None:
        """Let the next sample ask for its matrices anew."""
        self.products.stale = 1

    def start_over(self) -> None:
        """`forget`, and let noise be drawn from where the generator is then; the chip's lock is held."""
        self._drops_normals = True
        self.forget()

    @property
    def seconds(self) -> Seconds:
        """S that all conversions so far have taken."""
        return float(self.products.samples * self._wiring.adc_conversion)

    def catch_up(self) -> None:
        """Move the chip's clock by the conversions since the last call; whoever calls has the chip's lock."""
        done = self.products.samples
        self._chip.clock += (done - self._counted) * self._wiring.adc_conversion
        self._counted = done

    def age(self) -> None:
        """Let the next sample ask for matrices anew if the chip's clock is past those that C has."""
        if self._chip.clock > self._held_until:
            self.forget()

    def _renew(self) -> None:
        with self._lock, one_thread():
            self.catch_up()
            self.products.stale = 0
            if self._drops_normals:
                self.products.normals_left, self._drops_normals = 0, False
            assert self._joints is not None, "the board tells its lines before it samples"
            self._driven, self._sensed = self._joints.driven, self._joints.sensed
            self._hand_over(dac_of_column=self._joints.dac[self._driven], row_of_tia=_rows(self._joints, self._sensed))
            self.products.rows, self.products.columns = self._sensed.size, self._driven.size
            self.products.renew_at = _NEVER
            if self._sensed.size:
                self._take_matrices()

    def _take_matrices(self) -> None:
        matrices = self._chip.matrices(_ARRAYS, self._sensed)
        scale = self._wiring.dac_lsb / self._wiring.adc_lsb
        part = {
            "weight": matrices.effective[0, self._driven].T * scale,
            "offset": matrices.offset[0] / self._wiring.adc_lsb,
        }
        if self._noisy:
            part |= {"variance": matrices.variance[0, self._driven].T * scale**2, "shielding": matrices.shielding[0]}
        self._hand_over(**{name: values.contiguous().numpy() for name, values in part.items()})
        self._held_until = matrices.held_until
        self.products.renew_at = self._last_sample()

    def _last_sample(self) -> int:
        """Samples at which cells may have drifted too far, if no time passes otherwise."""
        left = (self._held_until - self._chip.clock) / self._wiring.adc_conversion
        return _NEVER if math.isinf(left) else int(self.products.samples) + max(1, math.floor(left))

    def _hand_over(self, **arrays: NDArray[Any]) -> None:
        """Give arrays to C, and keep them alive as long as C has them."""
        self._handed |= arrays
        for name, values in arrays.items():
            setattr(self.products, name, values.ctypes.data)

    def _draw(self) -> None:
        with self._lock:
            drawn = torch.empty(_NORMALS, dtype=torch.float64)
            self._periphery.noise.fill(self._periphery.noise.blocks(drawn))
        self._hand_over(normals=drawn.numpy())
        self.products.normals_left = _NORMALS

    def _bend(self) -> None:
        """What the sensed SLs carry beyond Ohm's law at the last codes."""
        with self._lock, one_thread():
            excess = self._excess(np.array(self.products.codes[: self._driven.size]))
        self.products.excess[: excess.size] = excess.tolist()

    def _excess(self, codes: Floats) -> Floats:
        curve = self._chip.curve
        assert isinstance(curve, CellCurve)
        drive = torch.zeros(1, 1, self._chip.config.n_bl, dtype=torch.float64)
        drive[0, 0, torch.from_numpy(self._driven)] = torch.from_numpy(codes * self._wiring.dac_lsb)
        (network,) = self._chip.networks(_ARRAYS, self._sensed) if self._sensed.size else (None,)
        if network is None:
            return np.empty(0)
        return np.asarray(nonlinear_excess(network, curve, drive)[0, 0].numpy() / self._wiring.adc_lsb)


def _rows(joints: Joints, sensed: Ints) -> NDArray[np.int16]:
    """Which of the sensed SLs each TIA has; -1 of none."""
    rows = np.full(CHANNELS, -1, dtype=np.int16)
    rows[joints.tia[sensed]] = np.arange(sensed.size)
    return rows


def _or_end(call: Callable[[], None]) -> Callable[[], None]:
    """A call from C, which no exception can leave: a twin that cannot go on is ended, as a board that burns."""

    def guarded() -> None:
        try:
            call()
        except BaseException as error:
            end_at_once(error)

    return guarded


def end_at_once(error: BaseException) -> NoReturn:
    """End the process, with the error in the log."""
    logger.opt(exception=error).critical("the twin cannot go on")
    os._exit(_BROKEN)
