"""The array of a twin: one simulated chip, its converters and its state file; board and analyser share it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import torch
from loguru import logger

from rmhil.backend import ArraySpec
from rmhil.bench.board_description import BoardDescription
from rmhil.bench.board_map import VECTOR_LINES
from rmhil.bench.line_order import board_lines
from rmhil.checks import check_wiring
from rmhil.errors import OutOfRangeError
from rmhil.wiring import Wiring
from sim_backend.backend import array_spec
from sim_backend.chip import Chip
from sim_backend.config import SimConfig, check_same_chip, load_config
from sim_backend.nonlinear import CellCurve
from sim_backend.periphery import Periphery
from sim_backend.presets import PERIPHERY
from sim_backend.state import SavedState
from sim_backend.twin.products import ArrayProducts


class ChipRoom:
    """One chip on one board.

    Args:
        description: of the board.
        options: of `SimConfig`.

    Attributes:
        array_id: of this array, another one for every chip that is put in.
        lock: held by whoever uses the chip.
        spec: as the simulator would have it.
        products: what the ADCs sample.

    Raises:
        ConfigError, OutOfRangeError: a setting makes no sense, or does not fit the board.
    """

    def __init__(self, description: BoardDescription, options: Mapping[str, Any]) -> None:
        self.config = _config(description, options)
        self.array_id = secrets.token_hex(4)
        self._description = description
        self.spec: ArraySpec = array_spec(self.config)
        check_wiring(self.spec)
        description.check_wiring(self.config.wiring)
        _check_lines("n_bl", self.config.n_bl, self.config.wiring.bl_channels, description.n_bl)
        _check_lines("n_sl", self.config.n_sl, self.config.wiring.sl_channels, description.n_sl)
        self.lock = RLock()
        self._periphery = Periphery(self.config, PERIPHERY)
        self.chip = Chip(self.config, self._periphery)
        if self.config.nonlinear:
            self.chip.curve = CellCurve.of(self.chip.preset, self.spec.read_voltage, self.spec.read_gate_voltage)
        self.products = ArrayProducts(self.chip, self._periphery, description.rest_code, self.lock)
        if self.config.state is not None:
            self.load(self.config.state)

    @property
    def identity(self) -> str:
        """What chip on which board: preset, seed, every setting that is not the default, and the board's name."""
        usual: dict[str, Any] = {"dtype": "float32"}
        if self.config.wiring.adc_count == self._description.adc_count:
            usual["wiring"] = self.config.wiring.model_copy(update={"adc_count": Wiring().adc_count})
        chip = self.config.model_copy(update=usual).provenance.removeprefix("sim(").removesuffix(")")
        return f"{chip}, {self._description.name}"

    def save(self, path: Path) -> None:
        """Write the simulator's state file; no transaction may be under way."""
        with self.lock:
            self.products.catch_up()
            self.products.start_over()
            self.chip.saved_state(self._periphery.generator_state).save(path)

    def load(self, path: Path) -> None:
        """Take over a state file; no transaction may be under way.

        Raises:
            ConfigError: it is damaged, or of another chip.
        """
        saved = SavedState.load(path)
        check_same_chip(path, saved.settings, self.config.identity)
        with self.lock:
            self.products.catch_up()
            self.products.start_over()
            self.chip.restore(saved)
            if saved.device == "cpu":
                self._periphery.restore_generator(torch.from_numpy(saved.generator))
            else:
                logger.warning("{}: saved on {}, so the noise of MVMs begins anew", path, saved.device)


def _config(description: BoardDescription, options: Mapping[str, Any]) -> SimConfig:
    wiring = {"adc_count": description.adc_count} | dict(options.get("wiring", {}))
    return load_config(None, dict(options) | {"wiring": wiring, "dtype": "float64"})


def _check_lines(name: str, lines: int, channels: int, most: int) -> None:
    last = int(board_lines(np.array([lines - 1]), channels)[0])
    if last >= most:
        fit = channels * (most // VECTOR_LINES)
        raise OutOfRangeError(f"{name} with {channels} channels of each bank", lines, 1, fit, "lines")
