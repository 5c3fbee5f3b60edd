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
from rmhil.whole_files import whole

_FORMAT: Final = "rmhil-sim-state-2"

_FORMER_FORMAT: Final = "rmhil-sim-state-1"

_TENSORS: Final = {
    "conductance": np.float32,
    "written": np.float32,
    "counts": np.int32,
    "base": np.float64,
    "generator": np.uint8,
}
"""Parts of the file, and their types."""

IDENTITY: Final = ("n_arrays", "n_bl", "n_sl", "seed", "preset")
"""Settings that make the chip: a state fits no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """What a simulated chip must remember.

    Attributes:
        settings: those named in `IDENTITY`.
        conductance, written, counts: float32, float32, int32, flat; as `sim_backend.cells.CellStore` keeps them.
        base: s, of each array, from which `written` counts.
        epoch: of the draws' numbers.
        clock: s on the virtual clock.
        temperature: K, at which the cells have been so far.
        generator: state of the MVM noise's generator, bytes.
        device: type of the device whose generator that is, e.g. `cpu`; the states of others have other forms.
    """

    settings: dict[str, Any]
    conductance: NDArray[np.float32]
    written: NDArray[np.float32]
    counts: NDArray[np.int32]
    base: Floats
    epoch: int
    clock: Seconds
    temperature: float
    generator: NDArray[np.uint8]
    device: str

    def save(self, path: Path) -> None:
        """Write to one file, under a temporary name until it is whole."""
        facts = {name: getattr(self, name) for name in ("settings", "clock", "temperature", "epoch", "device")}
        header = json.dumps({"format": _FORMAT} | facts)
        with whole(path) as unfinished, unfinished.open("wb") as file:
            np.savez(file, header=np.array(header), **{name: getattr(self, name) for name in _TENSORS})

    @classmethod
    def load(cls, path: Path) -> SavedState:
        """Read a file of `save`.

        Raises:
            ConfigError: the file is missing, damaged, of another kind or of another version.
        """
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                _check_format(path, header["format"])
                state = cls(
                    settings=dict(header["settings"]),
                    clock=float(header["clock"]),
                    temperature=float(header["temperature"]),
                    epoch=int(header["epoch"]),
                    device=str(header["device"]),
                    **{name: np.asarray(file[name]) for name in _TENSORS},
                )
            state._check(path)
        except ConfigError:
            raise
        except FileNotFoundError as error:
            raise ConfigError(f"{path} does not exist: a state of the simulator is needed") from error
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{path} is not a saved simulator state, or is damaged: {error}") from error
        return state

    def _check(self, path: Path) -> None:
        missing = [name for name in IDENTITY if name not in self.settings]
        if missing:
            raise ConfigError(f"{path}: saved state without {', '.join(missing)}")
        count = math.prod(int(self.settings[name]) for name in ("n_arrays", "n_bl", "n_sl"))
        for name, kind in _TENSORS.items():
            tensor = getattr(self, name)
            if tensor.dtype != kind:
                raise ConfigError(f"{path}: saved state with {name} in {tensor.dtype}, expected {np.dtype(kind)}")
            if name in ("conductance", "written", "counts") and tensor.shape != (count,):
                raise ConfigError(f"{path}: saved state holds {tensor.size} cells, its geometry has {count}")
            if not np.isfinite(tensor).all():
                raise ConfigError(f"{path}: saved state holds values of {name} that are not finite")
        if self.base.shape != (int(self.settings["n_arrays"]),):
            raise ConfigError(f"{path}: saved state holds {self.base.size} arrays, not {self.settings['n_arrays']}")
        if not (0.0 <= self.clock < math.inf and 0.0 < self.temperature < math.inf and self.epoch >= 0):
            raise ConfigError(
                f"{path}: saved state with a clock at {self.clock} s, {self.temperature} K, epoch {self.epoch}"
            )


def _check_format(path: Path, known: object) -> None:
    if known == _FORMAT:
        return
    hint = "; cells have no time of their last write in it: program them again" if known == _FORMER_FORMAT else ""
    raise ConfigError(f"{path}: saved state of format {known!r}, expected {_FORMAT!r}{hint}")
