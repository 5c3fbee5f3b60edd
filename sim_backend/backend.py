"""`SimBackend`: the seam of `rmhil.backend` on simulated cells, lines and converters."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch
from loguru import logger
from numpy.typing import NDArray

from rmhil.backend import (
    ArraySpec,
    Biases,
    Cells,
    Floats,
    Ints,
    Limits,
    Lines,
    MvmResult,
    Operation,
    Pulses,
    Read,
    Readings,
    Status,
    Trace,
)
from rmhil.checks import check_biases, check_cells, check_mvm, check_pulses, check_read, check_wiring
from rmhil.errors import BackendClosedError, OutOfRangeError, ShapeError
from rmhil.line_model import cell_conductance, series_resistance
from rmhil.line_solver import one_thread
from rmhil.smu_rest import smu_rest
from rmhil.units import Seconds, Siemens
from sim_backend.cells import STEPS_MAX
from sim_backend.chip import CELLS_AT_ONCE, Chip
from sim_backend.config import SimConfig, check_same_chip, load_config
from sim_backend.device import Bias
from sim_backend.multiplier import Multiplier
from sim_backend.nonlinear import CellCurve
from sim_backend.periphery import Periphery
from sim_backend.presets import PERIPHERY, DevicePreset
from sim_backend.selection import Selection
from sim_backend.state import SavedState

if TYPE_CHECKING:
    from rmhil.backend import Backend

_FEW_CELLS: Final = 1 << 18
"""Cells of a transaction below which one thread is quickest."""

_DRIFT_MAX: Final[Siemens] = 1e-9
"""S: largest move of a half-selected cell in one pulse that may be left out."""


def open_backend(config: str | Path | None = None, **options: Any) -> SimBackend:  # noqa: ANN401
    """Open a simulated chip.

    Args:
        config: path of a TOML file with the fields of `SimConfig`; None takes the defaults.
        **options: fields of `SimConfig`, over those of the file.

    Raises:
        ConfigError: a setting is unknown or out of its range, or a saved state does not fit it.
    """
    return SimBackend(load_config(config, options))


def array_spec(config: SimConfig) -> ArraySpec:
    """What a backend of these settings is."""
    preset = config.device_preset
    return ArraySpec(
        provenance=config.provenance,
        n_arrays=config.n_arrays,
        n_bl=config.n_bl,
        n_sl=config.n_sl,
        conductance_min=preset.conductance_min,
        conductance_max=preset.conductance_max,
        limits=_limits(preset),
        pulse_width=preset.reference_time,
        wiring=config.effective_wiring,
        cells_at_once=config.cells_at_once,
    )


class SimBackend:
    """Simulated arrays behind the seam; see `rmhil.backend.Backend` for the promises."""

    def __init__(self, config: SimConfig) -> None:
        self.config = config
        self._periphery = Periphery(config, PERIPHERY)
        self._chip = Chip(config, self._periphery)
        self._closed = False
        self._spec = array_spec(config)
        check_wiring(self._spec)
        if config.nonlinear:
            self._chip.curve = CellCurve.of(self._chip.preset, self._spec.read_voltage, self._spec.read_gate_voltage)
        self._multiplier = Multiplier(self._spec, config, self._chip, self._periphery)
        if config.state is not None:
            saved = SavedState.load(config.state)
            check_same_chip(config.state, saved.settings, config.identity)
            self._restore(saved)

    def _refuse_disturbing(self, seconds: Seconds) -> None:
        """Refuse pulses that would move half-selected cells, which are not followed here."""
        drift = self._chip.half_selected_drift(self._spec.limits, seconds)
        if drift > _DRIFT_MAX:
            name = f"move of half-selected cells through this wiring in {seconds:g} s"
            raise OutOfRangeError(name, drift, 0.0, _DRIFT_MAX, "S")

    @property
    def spec(self) -> ArraySpec:
        """Geometry, limits, converters and provenance."""
        return self._spec

    @property
    def device(self) -> torch.device:
        """Where `mvm` takes and returns tensors."""
        return self._chip.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the data plane."""
        return self._chip.dtype

    @property
    def true_conductance(self) -> Floats:
        """S of every cell as it truly is, shape (n_arrays, n_bl, n_sl): what no bench can know."""
        return self._chip.conductance

    @property
    def stuck_cells(self) -> NDArray[np.bool_]:
        """Which cells answer to no pulse, shape (n_arrays, n_bl, n_sl): what a bench can only guess."""
        return self._chip.stuck

    @property
    def clock(self) -> Seconds:
        """Time (s) on the virtual clock."""
        return self._chip.clock

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """Give each cell one pulse (None: no pulse), then read each; see `Backend.apply`."""
        self._refuse_if_closed()
        check_cells(self._spec, cells)
        check_read(self._spec, read)
        if pulses is not None:
            check_pulses(self._spec, cells, pulses)
            self._refuse_disturbing(float(pulses.width.max(initial=0.0)))
        with one_thread(len(cells) < _FEW_CELLS):
            return self._transact(cells, pulses, read)

    def _transact(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        lasts, time = self._pass_time(len(cells), pulses, read)
        done = Readings(
            conductance=np.empty(len(cells)),
            current=np.empty(len(cells)),
            pulse_current=np.full(len(cells), np.nan),
            status=np.empty(len(cells), dtype=np.int64),
            pulse_status=np.zeros(len(cells), dtype=np.int64),
            time=time,
        )
        for first in range(0, len(cells), CELLS_AT_ONCE):
            part = slice(first, first + CELLS_AT_ONCE)
            chosen = self._chip.select(cells[part])
            if pulses is not None:
                start = self._tensor(time[part] - lasts[part])
                done.pulse_current[part], done.pulse_status[part] = self._pulse(chosen, pulses[part], start)
            flowing, limited = self._chip.read(
                chosen, self._read_bias(chosen, read), self._tensor(time[part]), read.averages
            )
            self._chip.finish(chosen)
            done.current[part], done.status[part] = flowing.cpu().numpy(), _status(limited)
        nominal = series_resistance(self._spec, cells.bl, cells.sl)
        done.conductance[:] = cell_conductance(done.current, read.voltage, nominal)
        return done

    def _pulse(self, chosen: Selection, pulses: Pulses, start: torch.Tensor) -> tuple[Floats, Ints]:
        sign = np.where(pulses.operation == Operation.RESET, -1.0, 1.0)
        bias = Bias(
            voltage=self._tensor(sign * pulses.amplitude),
            gate_voltage=self._tensor(pulses.gate_voltage),
            compliance=self._tensor(pulses.compliance),
            time=self._tensor(pulses.width),
            series=chosen.series,
        )
        flowing, limited = self._chip.bias(chosen, bias, start)
        return flowing.cpu().numpy(), _status(limited)

    def _read_bias(self, chosen: Selection, read: Read) -> Bias:
        duration = read.averages * PERIPHERY.read_time
        return self._bias(chosen, read.voltage, read.gate_voltage, self._spec.limits.current, duration)

    def _bias(self, chosen: Selection, voltage: float, gate: float, compliance: float, time: float) -> Bias:
        """One bias for all chosen cells."""
        parts = {"voltage": voltage, "gate_voltage": gate, "compliance": compliance, "time": time}
        tensors = {name: torch.tensor(value, dtype=torch.float64, device=self.device) for name, value in parts.items()}
        return Bias(**tensors, series=chosen.series)

    def _pass_time(self, count: int, pulses: Pulses | None, read: Read) -> tuple[Floats, Floats]:
        """Advance the clock over one transaction, one cell after the other.

        Returns:
            s that each cell takes; s on the clock when it has been read.
        """
        each = np.full(count, read.averages * PERIPHERY.read_time)
        if pulses is not None:
            rest = smu_rest(pulses.width) * _pace(self.config.device_preset)
            each += np.maximum(pulses.width + rest, self._spec.limits.pulse_period_min)
        times = self._chip.clock + np.cumsum(each)
        self._chip.clock += float(each.sum())
        return each, times

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        """Step one cell through biases and measure its current under each; see `Backend.sweep`.

        Steps of one polarity are one transaction, as a pulse is: at most one write, and one draw of what differs from
        pulse to pulse. With the polarity the next one begins.
        """
        self._refuse_if_closed()
        if len(cells) != 1:
            raise ShapeError("cells", (len(cells),), "(1,): a sweep takes one cell")
        check_cells(self._spec, cells)
        check_biases(self._spec, biases)
        if len(biases) > STEPS_MAX:
            raise OutOfRangeError("length of the sweep", len(biases), 1, STEPS_MAX, "steps")
        self._refuse_disturbing(biases.dwell * len(biases))
        current, status = np.zeros(len(biases)), np.zeros(len(biases), dtype=np.int64)
        times: Floats = self._chip.clock + biases.dwell * np.arange(1.0, len(biases) + 1)
        for part in _of_one_polarity(biases):
            current[part], status[part] = self._sweep_part(cells, biases, part, times)
            self._chip.clock = float(times[part.stop - 1])
        return Trace(biases=biases, current=current, status=status, time=times)

    def _sweep_part(self, cells: Cells, biases: Biases, part: slice, times: Floats) -> tuple[Floats, Ints]:
        """One transaction of a sweep: currents (A) and statuses of its steps, which end at `times` (s)."""
        chosen = self._chip.select(cells)
        current, status = [], []
        for step, number in enumerate(range(part.start, part.stop)):
            volts, gate = float(biases.bl[number] - biases.sl[number]), float(biases.wl[number])
            bias = self._bias(chosen, volts, gate, biases.compliance, biases.dwell)
            end = self._tensor(times[number : number + 1])
            self._chip.bias(chosen, bias, end - biases.dwell)
            flowing, limited = self._chip.measure(chosen, bias, end, step=step)
            current.append(float(flowing))
            status.append(int(_status(limited)[0]))
        self._chip.finish(chosen)
        return np.array(current), np.array(status)

    def mvm(
        self,
        bl_voltages: torch.Tensor,
        bl: Lines = None,
        sl: Lines = None,
        arrays: Lines = None,
        *,
        out: MvmResult | None = None,
    ) -> MvmResult:
        """Drive bit lines and measure source-line currents; see `Backend.mvm`.

        Args:
            bl_voltages: V, `(arrays, batch, driven BLs)`.
            bl: lines to drive; None means all.
            sl: lines to sense; None means all.
            arrays: arrays to use; None means all.
            out: tensors that take the result, which is then returned itself: such a call allocates nothing. None makes
                new ones.

        Raises:
            ShapeError: also where `out` does not fit; nothing was driven.
            ConfigError: also where `out` lies in the memory of `bl_voltages`; nothing was driven.
        """
        self._refuse_if_closed()
        rows, columns, numbers = check_mvm(self._spec, bl_voltages, bl, sl, arrays)
        result, seconds = self._multiplier.multiply(bl_voltages, rows, columns, numbers, out)
        self._chip.clock += seconds
        return result

    def wait(self, seconds: Seconds) -> None:
        """Move the virtual clock."""
        self._refuse_if_closed()
        if not 0.0 <= seconds < math.inf:
            raise OutOfRangeError("seconds", seconds, 0.0, math.inf, "s")
        self._chip.clock += seconds

    def safe(self) -> None:
        """Nothing is driven between two calls of a simulator, so all outputs are at 0 V already."""

    def close(self) -> None:
        """`safe`, then refuse everything else."""
        self.safe()
        self._closed = True

    def save_state(self, path: Path) -> None:
        """Write the state of every cell, the clock and the noise generator to one file."""
        self._refuse_if_closed()
        self._chip.saved_state(self._periphery.generator_state).save(Path(path))

    def _restore(self, saved: SavedState) -> None:
        self._chip.restore(saved)
        if saved.device == self.device.type:
            self._periphery.restore_generator(torch.from_numpy(saved.generator))
        else:
            logger.warning(
                "{}: the state was saved on {}, so the noise of MVMs on {} begins anew; cells are as they were",
                self._spec.provenance,
                saved.device,
                self.device.type,
            )

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise BackendClosedError(f"{self._spec.provenance} is closed; open it again with open_backend")

    def _tensor(self, values: Floats) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _limits(preset: DevicePreset) -> Limits:
    """Those of the seam, with pulses as short as the preset's bench makes them."""
    usual = Limits()
    period = usual.pulse_period_min * _pace(preset)
    return replace(usual, pulse_width_min=preset.pulse_width_min, pulse_period_min=period)


def _pace(preset: DevicePreset) -> float:
    """1: pauses over those of an SMU. What pulses faster is taken to rest less in proportion (estimate)."""
    return min(preset.pulse_width_min / Limits().pulse_width_min, 1.0)


def _of_one_polarity(biases: Biases) -> list[slice]:
    """The steps of a sweep, cut where the voltage across the cell turns round; steps at 0 V belong to those before."""
    sign = np.sign(biases.bl - biases.sl)
    (driven,) = np.nonzero(sign)
    turns = driven[1:][np.diff(sign[driven]) != 0].tolist()
    return [slice(start, stop) for start, stop in zip([0, *turns], [*turns, len(biases)], strict=True)]


def _status(limited: torch.Tensor) -> Ints:
    return np.where(limited.cpu().numpy(), Status.COMPLIANCE, Status.NORMAL).astype(np.int64)


if TYPE_CHECKING:
    _CONFORMS: type[Backend] = SimBackend
