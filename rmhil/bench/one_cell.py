"""One discrete 1T1R cell on three SMUs of an analyser: a backend of one cell, without a board.

Everything that goes through `rmhil.backend.Backend` - write-verify, characterisation, maps - runs on it as it is.
A pulse and its verify reading are one message to the analyser; a sweep is a staircase for each straight part of it.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from rmhil.backend import (
    ArraySpec,
    Biases,
    Cells,
    Limits,
    Lines,
    MvmResult,
    Pulses,
    Read,
    Readings,
    Status,
    Trace,
)
from rmhil.bench.b1500a import B1500A
from rmhil.bench.config import Channels
from rmhil.bench.limits import AnalyserWiring
from rmhil.bench.session import ANSWER_WAIT
from rmhil.bench.three_lines import ThreeLines, readings_of
from rmhil.bench.wire import DEFAULT_LIBRARY
from rmhil.checks import check_biases, check_cells, check_mvm, check_pulses, check_read
from rmhil.errors import ConfigError, ShapeError
from rmhil.units import Seconds, Siemens
from rmhil.wiring import Wiring

if TYPE_CHECKING:
    import torch

WINDOW: Final[tuple[Siemens, Siemens]] = (10e-6, 80e-6)
"""S: of the TaOx cells of arXiv 2601.10037."""

NO_LINES: Final = Wiring(
    bl_channels=1, sl_channels=1, adc_count=1,
    bl_routing_resistance=0.0, sl_routing_resistance=0.0, bl_wire_resistance=0.0, sl_wire_resistance=0.0,
)  # fmt: skip
"""A discrete cell on the analyser's own cables, sensed at its end (Kelvin)."""


class OneCell:
    """A cell whose bit line, source line and gate are each joined to an SMU.

    Args:
        analyser: open; it is closed with this backend.
        bl, sl, wl: channels of the lines.
        limits: of the cell.
        window: S, in which targets lie.
    """

    def __init__(
        self,
        analyser: B1500A,
        bl: int,
        sl: int,
        wl: int,
        limits: Limits,
        window: tuple[Siemens, Siemens] = WINDOW,
    ) -> None:
        self._analyser = analyser
        self._channels = Channels(bl=bl, sl=sl, wl=wl)
        self._lines = ThreeLines(analyser, self._channels, limits.current)
        self._spec = ArraySpec(
            provenance=f"one cell on {analyser.identity}, BL {bl}, SL {sl}, WL {wl}",
            n_arrays=1, n_bl=1, n_sl=1,
            conductance_min=window[0], conductance_max=window[1],
            limits=limits, wiring=NO_LINES, cells_at_once=1,
        )  # fmt: skip

    @classmethod
    def open(
        cls,
        resource: str,
        *,
        bl: int = 1,
        sl: int = 2,
        wl: int = 3,
        limits: Limits | None = None,
        library: str = DEFAULT_LIBRARY,
        patience: Seconds = ANSWER_WAIT,
    ) -> Self:
        """Open the analyser that a cell is joined to.

        Args:
            resource: its VISA name.
            bl: channel of the bit line.
            sl: channel of the source line.
            wl: channel of the gate.
            limits: of the cell; None takes those of `rmhil.backend.Limits`.
            library: as `B1500A.open`.
            patience: as `B1500A.open`.

        Raises: as `B1500A.open`; ConfigError: two lines share a channel.
        """
        chosen = limits or Limits()
        if len({bl, sl, wl}) < 3:
            raise ConfigError(f"BL {bl}, SL {sl}, WL {wl}: each line needs a channel of its own")
        wiring = AnalyserWiring.of_lines({"bl": bl, "sl": sl, "wl": wl}, chosen)
        return cls(B1500A.open(resource, wiring, library=library, patience=patience), bl, sl, wl, chosen)

    @property
    def spec(self) -> ArraySpec:
        """As `Backend.spec`."""
        return self._spec

    @property
    def analyser(self) -> B1500A:
        """The analyser, for what a backend does not offer."""
        return self._analyser

    @property
    def device(self) -> torch.device:
        """As `Backend.device`: readings are numbers of this machine."""
        import torch

        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """As `Backend.dtype`."""
        import torch

        return torch.float64

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """As `Backend.apply`: one message to the analyser and one read."""
        check_cells(self._spec, cells)
        check_read(self._spec, read)
        if pulses is not None:
            check_pulses(self._spec, cells, pulses)
        steps = [self._lines.step(pulses, read)] if len(cells) else []
        return readings_of(steps, read, np.zeros(len(steps)), self._channels.sl)

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        """As `Backend.sweep`; each step lasts the dwell and, after it, its measurement."""
        if len(cells) != 1:
            raise ShapeError("cells", (len(cells),), "(1,): a sweep takes one cell")
        check_cells(self._spec, cells)
        check_biases(self._spec, biases)
        current, status, time = self._lines.sweep(biases)
        return Trace(biases=biases, current=current, status=status, time=time)

    def mvm(self, bl_voltages: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> MvmResult:
        """As `Backend.mvm`: one spot for each element of the batch."""
        import torch

        _, columns, numbers = check_mvm(self._spec, bl_voltages, bl, sl, arrays)
        shape = (len(numbers), bl_voltages.shape[1], len(columns))
        currents, over = torch.zeros(shape, dtype=self.dtype), torch.zeros(shape, dtype=torch.bool)
        if bl_voltages.numel() and currents.numel():
            spots = self._lines.spots(self._spec.read_gate_voltage, bl_voltages.reshape(-1).tolist())
            currents[0, :, 0] = torch.tensor([current for current, _ in spots], dtype=self.dtype)
            over[0, :, 0] = torch.tensor([status != Status.NORMAL for _, status in spots])
        return MvmResult(currents=currents, over_range=over)

    def wait(self, seconds: Seconds) -> None:
        """As `Backend.wait`, on the analyser's clock."""
        self._analyser.wait(seconds)

    def safe(self) -> None:
        """As `Backend.safe`."""
        if not self._analyser.closed:
            self._analyser.switch_off()

    def close(self) -> None:
        """As `Backend.close`."""
        self._analyser.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
