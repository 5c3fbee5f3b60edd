"""The file that keeps the cells of a simulated chip between two processes."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Floats
from rmhil.errors import ConfigError
from rmhil.units import Seconds

_FORMAT: Final = "rmhil-sim-state-1"

IDENTITY: Final = ("n_arrays", "n_bl", "n_sl", "seed", "preset")
"""Settings that make the chip: a state fits no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """What a simulated chip must remember.

    Attributes:
        settings: those named in `IDENTITY`.
        conductance: S, flat; minus the conductance where the cell is virgin.
        events: transactions each cell has seen, int32, flat.
        clock: s on the virtual clock.
        generator: state of the MVM noise's generator, bytes.
        device: type of the device whose generator that is, e.g. `cpu`; the states of others have other forms.
    """

    settings: dict[str, Any]
    conductance: Floats
    events: NDArray[np.int32]
    clock: Seconds
    generator: NDArray[np.uint8]
    device: str

    def save(self, path: Path) -> None:
        """Write to one file, under a temporary name until it is whole."""
        facts = {"format": _FORMAT, "settings": self.settings, "clock": self.clock, "device": self.device}
        header = json.dumps(facts)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                header=np.array(header),
                conductance=self.conductance,
                events=self.events,
                generator=self.generator,
            )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> SavedState:
        """Read a file of `save`.

        Raises:
            ConfigError: the file is missing, damaged or of another kind.
        """
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                state = cls(
                    settings=dict(header["settings"]),
                    conductance=np.asarray(file["conductance"], dtype=np.float64),
                    events=file["events"],
                    clock=float(header["clock"]),
                    generator=np.asarray(file["generator"], dtype=np.uint8),
                    device=str(header["device"]),
                )
            state._check(path, header["format"])
        except ConfigError:
            raise
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path} is not a saved simulator state, or is damaged: {error}") from error
        return state

    def _check(self, path: Path, known: object) -> None:
        if known != _FORMAT:
            raise ConfigError(f"{path}: saved state of format {known!r}, expected {_FORMAT!r}")
        missing = [name for name in IDENTITY if name not in self.settings]
        if missing:
            raise ConfigError(f"{path}: saved state without {', '.join(missing)}")
        count = math.prod(int(self.settings[name]) for name in ("n_arrays", "n_bl", "n_sl"))
        if self.conductance.shape != (count,) or self.events.shape != (count,):
            raise ConfigError(f"{path}: saved state holds {self.conductance.size} cells, its geometry has {count}")
        if self.events.dtype != np.int32:
            raise ConfigError(f"{path}: saved state counts events in {self.events.dtype}, expected int32")
        if not 0.0 <= self.clock < math.inf:
            raise ConfigError(f"{path}: saved state with a clock at {self.clock} s")
        if not np.isfinite(self.conductance).all():
            raise ConfigError(f"{path}: saved state holds conductances that are not finite")
