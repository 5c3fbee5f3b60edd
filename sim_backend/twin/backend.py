"""The target `twin`: `rmhil.bench.backend.BenchBackend`, unchanged, on the instruments of a twin's process.

with rmhil.open_backend("twin", seed=7) as backend: ...                  # starts one, and ends it
with rmhil.open_backend("twin", twin="twin://127.0.0.1:40001/..") as backend: ...   # one that runs, and goes on
with rmhil.open_backend("twin", config="twin.toml") as backend: ...      # the same, as its file has it
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rmhil.bench.backend import BenchBackend, ChipBench
from rmhil.bench.config import BenchConfig, bench_config, load_bench_config
from rmhil.errors import ConfigError
from sim_backend.twin import pool
from sim_backend.twin.client import Twin, attach_twin

if TYPE_CHECKING:
    from rmhil.backend import Backend, StateSaving
    from sim_backend.twin.start import StartedTwin

_FIXED: Final = {"cells_at_once": 1, "n_arrays": 1}
"""Options of the simulator that a bench leaves no choice in; given as they are, they are taken."""


def open_backend(
    config: str | Path | BenchConfig | None = None,
    *,
    twin: str | None = None,
    **options: Any,  # noqa: ANN401 - settings of any type
) -> BenchBackend:
    """Open a twin: start one, or go to one that runs.

    Args:
        config: configuration that a running twin has handed out, or path of its file; None: there is none.
        twin: URL of a running twin; None starts one, unless `config` names one.
        **options: of the twin to start, as `start_twin`: `seed`, `n_bl`, `n_sl`, `topology`, `off`, `state` and so on.

    Raises:
        ToolMissingError: the board must be built first, and a program is missing; the message names the packages.
        ConfigError: a setting makes no sense, or options are given for a twin that runs.
        BackendUnavailableError: no twin answers, or it did not start.
        BenchHeldError: another process works on it.
    """
    if config is None and twin is None:
        return StartedTwinBackend(_without_fixed(options))
    if options:
        names = ", ".join(sorted(options))
        raise ConfigError(f"twin: {names} cannot be given for a twin that runs: its settings were chosen at its start")
    if config is not None and twin is not None:
        raise ConfigError("twin: a configuration and a URL are both given; one of them says which twin it is")
    if config is not None:
        return ChipBench(_of_a_twin(config))
    with attach_twin(twin) as running:
        return ChipBench(twin_config(running))


class StartedTwinBackend(BenchBackend):
    """A bench on a twin of its own, whose array can be saved: it ends with the backend.

    Args:
        options: as `start_twin`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._twin: StartedTwin = pool.lend(options)
        try:
            super().__init__(twin_config(self._twin))
        except BaseException:
            self._twin.stop()
            raise

    @property
    def twin(self) -> Twin:
        """The twin, for what no bench can do."""
        return self._twin

    def save_state(self, path: Path) -> None:
        """As `StateSaving.save_state`, in the simulator's own format."""
        self._begin()
        self._twin.save_state(path)

    def close(self) -> None:
        """As `Backend.close`; the twin's array is gone then."""
        if self.instruments.closed:
            return
        try:
            super().close()
        finally:
            pool.give_back(self._twin)


def twin_config(twin: Twin) -> BenchConfig:
    """The configuration of a running twin: what `rmhil bench init` would write for it."""
    facts, limits = twin.facts, twin.limits
    return bench_config(
        {
            "analyser": {"resource": twin.analyser, "channels": dict(twin.channels)},
            "board": {"url": twin.board_url, "description": twin.topology},
            "array": {
                "chip": f"twin-{facts['array_id']}",
                "n_bl": facts["n_bl"],
                "n_sl": facts["n_sl"],
                "conductance_min_siemens": facts["conductance_min"],
                "conductance_max_siemens": facts["conductance_max"],
                "pulse_width_s": facts["pulse_width"],
            },
            "wiring": twin.wiring.model_dump(),
            "limits": {
                "read_voltage_v": limits.read_voltage,
                "set_voltage_v": limits.set_voltage,
                "reset_voltage_v": limits.reset_voltage,
                "form_voltage_v": limits.form_voltage,
                "gate_voltage_v": limits.gate_voltage,
                "current_a": limits.current,
                "pulse_width_min_s": limits.pulse_width_min,
                "pulse_width_max_s": limits.pulse_width_max,
                "pulse_period_min_s": limits.pulse_period_min,
            },
            "twin": {"identity": twin.identity, "url": twin.url},
        }
    )


def _of_a_twin(config: str | Path | BenchConfig) -> BenchConfig:
    loaded = config if isinstance(config, BenchConfig) else load_bench_config(config)
    if loaded.twin is None:
        raise ConfigError(f"{config}: has no table [twin], so it is a bench: open it as `bench`")
    return loaded


def _without_fixed(options: dict[str, Any]) -> dict[str, Any]:
    """Options without those that a bench leaves no choice in.

    Raises:
        ConfigError: one of these is given as something else.
    """
    for name, only in _FIXED.items():
        if options.get(name, only) != only:
            raise ConfigError(f"twin: {name} = {options[name]!r}, allowed {only}: one array, written cell by cell")
    return {name: value for name, value in options.items() if name not in _FIXED}


if TYPE_CHECKING:
    _CONFORMS: type[Backend] = StartedTwinBackend
    _SAVES: type[StateSaving] = StartedTwinBackend
