"""A backend whose every drive is written down: before it is given, and again with what came of it.

It stands in front of any backend, so that the record is the same on all targets, whoever asks for a pulse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from loguru import logger

from rmhil.backend import (
    ArraySpec,
    Backend,
    Biases,
    Cells,
    Floats,
    Lines,
    MvmResult,
    Operation,
    Pulses,
    Read,
    Readings,
    StateSaving,
    Status,
    Trace,
)
from rmhil.errors import RunDirectoryError, nothing_was_driven
from rmhil.journal.entries import Kind
from rmhil.journal.journal import Intent, Journal
from rmhil.journal.replay import Replay
from rmhil.units import Seconds

if TYPE_CHECKING:
    import torch


class WearCounter(Protocol):
    """Who counts the wear of cells, and says when it is enough."""

    def refuse_worn(self, cells: Cells, pulses: Pulses) -> None:
        """Refuse pulses beyond what the cells may take.

        Raises:
            WearError: one of them is beyond; nothing was driven.
        """

    def count(self, cells: Cells, pulses: Pulses) -> None:
        """Take note that the cells were pulsed, or may have been."""


def recorded(
    backend: Backend, journal: Journal, job: int, wear: WearCounter | None = None, replay: Replay | None = None
) -> RecordedBackend:
    """A backend that records what it is asked for; it can save its state if the backend itself can.

    Args:
        backend: is driven.
        journal: takes the record; the caller closes it.
        job: number of the job that everything belongs to.
        wear: asked before each pulse.
        replay: answers what the job has done already.
    """
    kind = StateSavingRecordedBackend if isinstance(backend, StateSaving) else RecordedBackend
    return kind(backend, journal, job, wear, replay)


class RecordedBackend:
    """A backend in front of another; see `rmhil.backend.Backend` for the promises, and `recorded` for the arguments.

    An intent is on the disk before its pulse is given, so that not even a power cut loses it (`Journal.durable`).
    """

    def __init__(
        self, inner: Backend, journal: Journal, job: int, wear: WearCounter | None, replay: Replay | None
    ) -> None:
        self.inner = inner
        self._journal, self._job, self._wear, self._replay = journal, job, wear, replay
        self._last_time: Seconds = -np.inf
        self._shift: Seconds | None = None

    @property
    def spec(self) -> ArraySpec:
        """Of the backend behind."""
        return self.inner.spec

    @property
    def device(self) -> torch.device:
        """Of the backend behind."""
        return self.inner.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the backend behind."""
        return self.inner.dtype

    def apply(self, cells: Cells, pulses: Pulses | None, read: Read) -> Readings:
        """As `Backend.apply`; what a resumed job has done already is answered from the journal.

        Raises:
            WearError: a cell has had its pulses; nothing was driven.
            ResumeError: the job does not repeat what the journal holds; nothing was driven.
            RunDirectoryError: the journal cannot be written. The message says whether the pulse was given.
        """
        done = None if self._replay is None else self._replay.next(cells, pulses, read)
        if done is not None and done.readings is not None:
            self._last_time = max(self._last_time, float(done.readings.time.max(initial=-np.inf)))
            return done.readings
        if done is not None:
            readings = self._verify(done.id, cells, read)
        elif pulses is None:
            readings = self.inner.apply(cells, None, read)
            self._journal.write_reading(self._job, cells, read, readings)
        else:
            readings = self._pulse(cells, pulses, read)
        return replace(readings, time=readings.time + self._clock_shift(readings.time))

    def sweep(self, cells: Cells, biases: Biases) -> Trace:
        """As `Backend.sweep`; the journal keeps what was driven beyond the voltage of a read, not the curve.

        Raises:
            WearError, RunDirectoryError: as `apply`.
        """
        parts = [part for part in _of_one_polarity(biases) if _is_beyond_read(self.spec, biases, part)]
        drives: list[Intent] = [(cells, _drive(self.spec, biases, part), None) for part in parts]
        for _, pulses, _ in drives:
            self._refuse_worn(cells, pulses)
        numbers = self._intend(Kind.SWEEP, drives)
        try:
            trace = self.inner.sweep(cells, biases)
        except BaseException as error:
            self._broke_off(numbers, drives, error)
            raise
        for number, part, (_, pulses, _) in zip(numbers, parts, drives, strict=True):
            self._count(cells, pulses)
            self._journal.write_result(number, _end_of_drive(trace, part))
        return replace(trace, time=trace.time + self._clock_shift(trace.time))

    def mvm(self, bl_voltages: torch.Tensor, bl: Lines = None, sl: Lines = None, arrays: Lines = None) -> MvmResult:
        """As `Backend.mvm`; it is not recorded, as it moves no cell."""
        return self.inner.mvm(bl_voltages, bl, sl, arrays)

    def wait(self, seconds: Seconds) -> None:
        """As `Backend.wait`; a resumed job does not wait again for what it has waited for."""
        if self._replay is None or self._replay.is_over:
            self.inner.wait(seconds)

    def safe(self) -> None:
        """As `Backend.safe`."""
        self.inner.safe()

    def close(self) -> None:
        """As `Backend.close`."""
        self.inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pulse(self, cells: Cells, pulses: Pulses, read: Read) -> Readings:
        self._refuse_worn(cells, pulses)
        intents: list[Intent] = [(cells, pulses, read)]
        numbers = self._intend(Kind.PULSE, intents)
        try:
            readings = self.inner.apply(cells, pulses, read)
        except BaseException as error:
            self._broke_off(numbers, intents, error)
            raise
        self._count(cells, pulses)
        self._journal.write_result(numbers[0], readings)
        return readings

    def _verify(self, number: int, cells: Cells, read: Read) -> Readings:
        """Read cells whose last pulse has no result: whether it was given is not known, and the record says so."""
        readings = self.inner.apply(cells, None, read)
        uncertain = replace(readings, pulse_status=np.full(len(cells), Status.UNCERTAIN, dtype=np.int64))
        self._journal.write_result(number, uncertain)
        return uncertain

    def _intend(self, kind: Kind, intents: Sequence[Intent]) -> list[int]:
        try:
            return self._journal.write_intents(self._job, kind, intents)
        except RunDirectoryError as error:
            error.pulse_sent = False
            raise

    def _broke_off(self, numbers: list[int], intents: Sequence[Intent], error: BaseException) -> None:
        """Take note of a drive that ended without readings; nothing here may hide the error."""
        if not nothing_was_driven(error):
            for cells, pulses, _ in intents:
                self._count(cells, pulses)
            return
        try:
            self._journal.write_refusals(numbers)
        except RunDirectoryError as second:
            logger.error("{}", second)

    def _refuse_worn(self, cells: Cells, pulses: Pulses) -> None:
        if self._wear is not None:
            self._wear.refuse_worn(cells, pulses)

    def _count(self, cells: Cells, pulses: Pulses) -> None:
        if self._wear is not None:
            self._wear.count(cells, pulses)

    def _clock_shift(self, times: Floats) -> Seconds:
        """S added to the backend's clock where it began again below what the journal had reached."""
        if self._shift is None:
            behind = self._last_time - float(times.min(initial=np.inf))
            self._shift = behind if np.isfinite(behind) and behind > 0 else 0.0
        return self._shift


class StateSavingRecordedBackend(RecordedBackend):
    """The same in front of a backend whose cells live in this machine."""

    def save_state(self, path: Path) -> None:
        """As `StateSaving.save_state`."""
        if isinstance(self.inner, StateSaving):
            self.inner.save_state(path)


def _of_one_polarity(biases: Biases) -> list[slice]:
    """Steps of a sweep that follow one another with the voltage across the cell of one sign."""
    sign = np.sign(biases.bl - biases.sl)
    turns = (np.flatnonzero(np.diff(sign)) + 1).tolist()
    return [slice(start, stop) for start, stop in zip([0, *turns], [*turns, len(biases)], strict=True) if start < stop]


def _is_beyond_read(spec: ArraySpec, biases: Biases, part: slice) -> bool:
    return bool(np.abs(biases.bl[part] - biases.sl[part]).max() > spec.limits.read_voltage)


def _drive(spec: ArraySpec, biases: Biases, part: slice) -> Pulses:
    """The pulse that some steps of a sweep come to."""
    volts = biases.bl[part] - biases.sl[part]
    peak = float(np.abs(volts).max())
    rising = Operation.FORM if peak > spec.limits.set_voltage else Operation.SET
    operation = rising if volts[0] > 0 else Operation.RESET
    gate, width = float(biases.wl[part].max()), biases.dwell * len(volts)
    return Pulses.of(1, operation, peak, width, gate, biases.compliance)


def _end_of_drive(trace: Trace, part: slice) -> Readings:
    """The largest current of some steps of a sweep, as that of a pulse; there is no verify read."""
    current, none = trace.current[part], np.full(1, np.nan)
    peak = current[np.abs(current).argmax()]
    return Readings(
        conductance=none,
        current=none,
        pulse_current=np.array([peak]),
        status=np.array([Status.NORMAL], dtype=np.int64),
        pulse_status=np.array([trace.status[part].max()], dtype=np.int64),
        time=trace.time[part][-1:],
    )
