"""The bench behind the seam: the board joins a cell to the analyser, the analyser pulses and reads it.

    with rmhil.open_backend("bench", config="bench.toml") as backend:
        rmhil.Crossbar(backend).program(target)

A cell stays joined while pulses and readings of it follow one another, so write-verify takes one route a cell. The
twin is this very class on emulated instruments.
"""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from rmhil.backend import (
    ArraySpec,
    Biases,
    Cells,
    Lines,
    MvmResult,
    Operation,
    Pulses,
    Read,
    Readings,
    Trace,
)
from rmhil.bench.backend_errors import CellInDoubtError, OutputsNotSafeError, RouteLostError, StepFailedError
from rmhil.bench.board_map import Route
from rmhil.bench.config import BenchConfig, load_bench_config
from rmhil.bench.errors import ReportedError
from rmhil.bench.instruments import Instruments
from rmhil.bench.line_order import board_lines
from rmhil.bench.step_signals import StepSignals
from rmhil.bench.step_times import StepTimes
from rmhil.bench.three_lines import ThreeLines, readings_of
from rmhil.checks import check_biases, check_cells, check_mvm, check_pulses, check_read, check_wiring
from rmhil.errors import BackendClosedError, ConfigError, OutOfRangeError, RmhilError, ShapeError
from rmhil.line_model import series_resistance
from rmhil.units import Seconds

if TYPE_CHECKING:
    import torch

    from rmhil.backend import Backend

_NO_CELL: Final = (-1, -1)


def open_backend(config: str | Path | BenchConfig | None = None, **options: Any) -> ChipBench:  # noqa: ANN401
    """Open a bench.

    Args:
        config: path of its TOML file, or the configuration itself.
        **options: none; what a bench is stands in its file.

    Raises:
        ConfigError: there is no file, it is wrong, or options were given.
        BenchHeldError: another process owns the bench.
        BackendUnavailableError: an instrument does not answer.
    """
    if options:
        raise ConfigError(f"bench: unknown option {', '.join(sorted(options))}; its settings stand in its file")
    if config is None:
        raise ConfigError("bench: a configuration is needed (config=..., --config); `rmhil bench init` writes one")
    return ChipBench(config if isinstance(config, BenchConfig) else load_bench_config(config))


class BenchBackend:
    """One array on a board and an analyser; see `rmhil.backend.Backend` for the promises.

    Args:
        config: of the bench.
        instruments: open; None opens them.

    Attributes:
        config: as given.
        step_times: how long each transaction took.
    """

    def __init__(self, config: BenchConfig, instruments: Instruments | None = None) -> None:
        self.config = config
        self._instruments = instruments or _opened(config)
        try:
            self._spec = spec_of(config, self._instruments)
            check_wiring(self._spec)
        except BaseException:
            self._instruments.close()
            raise
        self._lines = self._new_lines()
        self._cell = _NO_CELL
        self._driving = False
        self._signals = StepSignals()
        self.step_times = StepTimes()
        self._finalizer = weakref.finalize(self, self._instruments.close)
        self._finalizer.atexit = False  # the instruments do that, in order

    @property
    def spec(self) -> ArraySpec:
        """As `Backend.spec`."""
        return self._spec

    @property
    def instruments(self) -> Instruments:
        """Analyser and board, for what a backend does not offer."""
        return self._instruments

    @property
    def device(self) -> torch.device:
        """As `Backend.device`: currents are numbers of this machine."""
        import torch

        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """As `Backend.dtype`: codes times a step, exactly."""
        import torch

        return torch.float64

    # Cells

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """As `Backend.apply`: the cell is joined to the analyser, which pulses and reads it in one message.

        Raises:
            StepFailedError: it broke off; `pulse_sent` says what became of the pulse.
        """
        self._begin()
        check_cells(self._spec, cells)
        check_read(self._spec, read)
        if pulses is not None:
            check_pulses(self._spec, cells, pulses)
        series = series_resistance(self._spec, cells.bl, cells.sl)
        sl = self.config.analyser.channels.sl
        if not len(cells):
            return readings_of([], read, series, sl)
        cell = (0, int(cells.bl[0]), int(cells.sl[0]))
        with self._step(cell, _text(pulses)):
            begun = time.perf_counter()
            self._lines.prepare(read)
            routed = self._join(cell[1:])
            sent = time.perf_counter()
            self._driving = pulses is not None
            found = self._lines.step(pulses, read)
            self._still_joined()
            readings = readings_of([found], read, series, sl)
        self.step_times.add(sent - begun if routed else 0.0, time.perf_counter() - sent, float(readings.time[0]))
        return readings

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        """As `Backend.sweep`; each step lasts the dwell and, after it, its measurement.

        Raises: as `apply`.
        """
        self._begin()
        if len(cells) != 1:
            raise ShapeError("cells", (len(cells),), "(1,): a sweep takes one cell")
        check_cells(self._spec, cells)
        check_biases(self._spec, biases)
        cell = (0, int(cells.bl[0]), int(cells.sl[0]))
        with self._step(cell, f"sweep of {len(biases)} steps"):
            self._lines.switch_on()
            self._join(cell[1:])
            self._driving = True
            current, status, times = self._lines.sweep(biases)
            self._still_joined()
        return Trace(biases=biases, current=current, status=status, time=times)

    def _join(self, cell: tuple[int, int]) -> bool:
        """Join a cell to the analyser, whose outputs are at 0 V; False where it is joined already."""
        if cell == self._cell:
            return False
        self._leave_cell()
        board, held = self._instruments.board, self.config.analyser.channels.inhibit is not None
        wiring = self._spec.wiring
        (bl,), (sl,) = (
            board_lines(np.array([line]), channels)
            for line, channels in zip(cell, (wiring.bl_channels, wiring.sl_channels), strict=True)
        )
        board.arm()
        # Other bit lines on the inhibit line, as a RESET has them, serve a SET and a reading as well: see ThreeLines.
        board.route_cell(int(bl), int(sl), Operation.RESET if held else None, gate=True)
        self._cell = cell
        return True

    def _leave_cell(self) -> None:
        """Ask the analyser, once for all steps at a cell, whether it has refused any of their commands.

        Raises:
            CellInDoubtError: it has.
        """
        if self._cell == _NO_CELL:
            return
        cell, self._cell = self._cell, _NO_CELL
        try:
            self._instruments.analyser.check_errors()
        except ReportedError as error:
            raise CellInDoubtError((0, *cell), error) from error

    def _still_joined(self) -> None:
        """Refuse what was read while the board had let go of the cell."""
        status = self._instruments.board.status()
        if status.route is not Route.CELL or not status.gate or not status.outputs:
            raise RouteLostError(f"the board has let go of the cell: {status}")

    # Vectors

    def mvm(self, bl_voltages: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> MvmResult:
        """As `Backend.mvm`, by the board's converters; the analyser is disconnected meanwhile."""
        import torch

        self._begin()
        rows, columns, numbers = check_mvm(self._spec, bl_voltages, bl, sl, arrays)
        shape = (len(numbers), bl_voltages.shape[1], len(columns))
        if not (bl_voltages.numel() and len(columns)):
            return MvmResult(torch.zeros(shape, dtype=self.dtype), torch.zeros(shape, dtype=torch.bool))
        wiring, board = self._spec.wiring, self._instruments.board
        volts = bl_voltages.detach().to(device="cpu", dtype=self.dtype)[0].contiguous().numpy()
        with self._safe_on_errors():
            self._leave_cell()
            board.arm()
            if board.has_cell:
                board.release()
            lines = board_lines(rows, wiring.bl_channels), board_lines(columns, wiring.sl_channels)
            found = board.mvm(volts, *lines)
        currents, over_range = torch.from_numpy(found.currents), torch.from_numpy(found.over_range)
        return MvmResult(currents=currents[None], over_range=over_range[None])

    # Time and its end

    def wait(self, seconds: Seconds) -> None:
        """As `Backend.wait`, on the analyser's clock; every output is at 0 V meanwhile."""
        self._begin()
        if not 0.0 <= seconds < math.inf:
            raise OutOfRangeError("seconds", seconds, 0.0, math.inf, "s")
        with self._safe_on_errors():
            self._instruments.analyser.wait(seconds)

    def safe(self) -> None:
        """As `Backend.safe`: outputs at 0 V, word lines off, lines open, switches open, in this order.

        Raises:
            OutputsNotSafeError: a part could not be made safe; the message says which.
        """
        self._cell = _NO_CELL
        self._instruments.safe()

    def close(self) -> None:
        """As `Backend.close`. A Ctrl-C that a finished step has held back is delivered once all is safe.

        Raises: as `safe`.
            CellInDoubtError: the analyser has refused a command at the last cell; all is safe.
        """
        self._finalizer.detach()
        with ExitStack() as last_first:
            last_first.callback(self._signals.deliver)
            last_first.callback(self._instruments.close)
            self._leave_cell()

    def _begin(self) -> None:
        if self._instruments.closed:
            raise BackendClosedError(f"{self._spec.provenance} is closed; open it again with open_backend")
        self._signals.deliver()

    @contextmanager
    def _step(self, cell: tuple[int, int, int], what: str) -> Iterator[None]:
        """All that one transaction with a cell is inside of."""
        with self._signals.step(), self._safe_on_errors(), self._told(cell, what):
            yield

    @contextmanager
    def _safe_on_errors(self) -> Iterator[None]:
        """Whatever breaks off what is done inside, the bench is made safe before it is told."""
        try:
            yield
        except BaseException as error:
            self._lines = self._new_lines()  # what an instrument has in its memory after a fault is anyone's guess
            try:
                self.safe()
            except OutputsNotSafeError as unsafe:
                _say_both(error, unsafe)
            raise

    @contextmanager
    def _told(self, cell: tuple[int, int, int], what: str) -> Iterator[None]:
        """Errors say whether the pulse was sent; a refusal before anything was sent stays what it is."""
        self._driving = False
        try:
            yield
        except RmhilError as error:
            if isinstance(error, ValueError) and not self._driving:
                raise
            raise StepFailedError(cell, what, None if self._driving else False, error) from error

    def _new_lines(self) -> ThreeLines:
        return ThreeLines(self._instruments.analyser, self.config.analyser.channels, self._spec.limits.current)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `close`; an error that leaves the context keeps its say, and the bench is made safe at once."""
        if error is not None:
            self._cell = _NO_CELL
        try:
            self.close()
        except OutputsNotSafeError as unsafe:
            if error is None:
                raise
            _say_both(error, unsafe)


class ChipBench(BenchBackend):
    """A bench whose chip stays when it is closed, and is known by its name."""

    @property
    def chip_id(self) -> str:
        """As `ChipNaming.chip_id`."""
        return self.config.array.chip

    @property
    def chip_folder(self) -> Path:
        """As `ChipNaming.chip_folder`."""
        return self.config.paths.chips.expanduser()


def _opened(config: BenchConfig) -> Instruments:
    """The instruments of a bench, for work with vectors too."""
    import torch  # noqa: F401 - first: while it is imported no heartbeat is sent, for longer than the link timeout

    return Instruments.open(config)


def spec_of(config: BenchConfig, instruments: Instruments) -> ArraySpec:
    """What the seam says of a bench."""
    array = config.array
    return ArraySpec(
        provenance=provenance_of(config, instruments),
        n_arrays=1,
        n_bl=array.n_bl,
        n_sl=array.n_sl,
        conductance_min=array.conductance_min_siemens,
        conductance_max=array.conductance_max_siemens,
        limits=config.limits.limits,
        wiring=config.wiring,
        cells_at_once=1,
        pulse_width=array.pulse_width_s,
        read_voltage=array.read_voltage_v,
        read_gate_voltage=array.read_gate_voltage_v,
    )


def provenance_of(config: BenchConfig, instruments: Instruments) -> str:
    """Which instruments results come from, and which chip; a twin says that it is one."""
    if config.twin is not None:
        return f"twin({config.twin.identity})"
    board = config.board.serial or f"build-{instruments.board.identity.build:08x}"
    told = instruments.analyser.identity
    analyser = config.analyser.serial or (told.serial if told.serial.strip("0") else f"firmware-{told.firmware}")
    return f"zc706#{board} + B1500A#{analyser}, chip {config.array.chip}"


def _say_both(error: BaseException, unsafe: OutputsNotSafeError) -> None:
    """An error came first, and then the bench could not be made safe: whoever hears of the one hears of the other.

    Raises:
        OutputsNotSafeError: with the error in it, where that is one of ours and does not say so already.
    """
    if isinstance(error, OutputsNotSafeError):
        return
    if isinstance(error, RmhilError):
        raise unsafe.after(error) from error
    error.add_note(str(unsafe))


def _text(pulses: Pulses | None) -> str:
    """What a transaction was to do."""
    if pulses is None:
        return "reading"
    return f"{Operation(int(pulses.operation[0])).name} of {pulses.amplitude[0]:g} V"


if TYPE_CHECKING:
    _CONFORMS: type[Backend] = BenchBackend
