"""The causes that are asked about, and the chips that answer: each cause off, and each alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rmhil.errors import ConfigError, UnknownNameError
from rmhil.units import Ohms
from rmhil.wiring import Wiring
from sim_backend.config import GROUPS, MVM_ONLY, NON_IDEALITIES, SimConfig

PROGRAMMING: Final = "programming"
"""Cause: cells are not on their targets, but within the tolerance of the write-verify, or out of pulses."""

PASSES: Final = "passes"
"""Cause: an array is driven and sensed bank by bank, each converted by itself and summed."""

LOW_SUPPLY: Final = "mux at 5 V"
"""What if the multiplexers ran at 5 V instead of 15 V?"""

LOW_SUPPLY_RESISTANCE: Final[Ohms] = 470.0
"""ohm: CD4051B at 5 V, typical (TI SCHS047M); the wiring's default is that at 15 V."""

_STUCK: Final = "stuck-cells"


@dataclass(frozen=True, slots=True)
class Writing:
    """How cells got to where they are.

    Attributes:
        config: of the chip that they were written on.
        exact: exactly on their targets (but for those that are stuck), instead of within the tolerance.
    """

    config: SimConfig
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A chip that the network runs on; the seed of its configurations gives way to that of each chip.

    Attributes:
        config: of the chip.
        cells: how they were written; the same placement, and the same cells.
    """

    config: SimConfig
    cells: Writing


@dataclass(frozen=True, slots=True)
class Pair:
    """Two settings that differ by one cause: with more of it, and with less."""

    more: Setting
    less: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One bar.

    Attributes:
        name: short name.
        gain: everything on, and everything on but this; for a what-if, everything on, and that with it.
        cost: this alone, and nothing. The second pair is asked where the outputs of the first do not differ.
        what_if: a change of the chip, not a part of it.
    """

    name: str
    gain: Pair
    cost: tuple[Pair, ...]
    what_if: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        as_it_is: everything on.
        ideal: everything off, cells exactly on their targets: the float network, to rounding.
        causes: in the order of the configuration.
    """

    as_it_is: Setting
    ideal: Setting
    causes: tuple[Cause, ...]


def plan_of(config: SimConfig, names: Sequence[str] | None = None) -> Plan:
    """Which chips to make to learn what costs accuracy on this one.

    A cause alone is one on a chip that is otherwise ideal, with its cells exactly on target. One that changes nothing
    there (the spreads of the cells, say) may act through the programming, so that it is then asked again with cells
    written by write-verify.

    Args:
        config: the chip as it is; what it has switched off is no cause.
        names: causes, or groups of them; None means all. Those that are not named stay as they are.

    Raises:
        UnknownNameError: no such cause; the message lists those of this chip.
        ConfigError: the chip is ideal, or goes on from a saved state.
    """
    if config.ideal:
        raise ConfigError("ideal = true leaves nothing that could cost accuracy")
    if config.state is not None:
        raise ConfigError("every chip of a sensitivity study is a new one; leave out state")
    causes = {cause.name: cause for cause in _causes(config)}
    if names is not None:
        chosen = [one for name in names for one in _members(name, list(causes))]
        causes = {name: causes[name] for name in dict.fromkeys(chosen)}
    return Plan(_written(config), _on_target(_ideal(config)), tuple(causes.values()))


def _members(name: str, known: list[str]) -> list[str]:
    """The causes that a name stands for."""
    found = [one for one in (name, *GROUPS.get(name, ())) if one in known]
    if not found:
        raise UnknownNameError("cause", name, [*known, *GROUPS])
    return found


def _causes(config: SimConfig) -> list[Cause]:
    """All causes of a chip."""
    as_it_is = _written(config)
    return [_programming(config, as_it_is), *_switches(config, as_it_is), *_wirings(config, as_it_is)]


def _programming(config: SimConfig, as_it_is: Setting) -> Cause:
    ideal = _ideal(config)
    return Cause(
        name=PROGRAMMING,
        gain=Pair(as_it_is, _on_target(config)),
        cost=(Pair(_written(ideal), _on_target(ideal)),),
    )


def _switches(config: SimConfig, as_it_is: Setting) -> list[Cause]:
    """One cause a non-ideality that is on."""
    ideal = _ideal(config)
    return [
        Cause(
            name=name,
            gain=Pair(as_it_is, _written(_off(config, (*config.off, name)))),
            cost=(
                Pair(_on_target(_only(config, name)), _on_target(ideal)),
                *([] if name in MVM_ONLY else [Pair(_written(_only(config, name)), _written(ideal))]),
            ),
        )
        for name in NON_IDEALITIES
        if config.has(name)
    ]


def _wirings(config: SimConfig, as_it_is: Setting) -> list[Cause]:
    """Causes that are choices of the wiring."""
    found, ideal = [], _ideal(config)
    one_pass, low = _in_one_pass(config), _at_low_supply(config)
    if one_pass != config:
        same_cells = Setting(one_pass, as_it_is.cells)
        ideal_cells = _on_target(ideal)
        summed = Pair(ideal_cells, Setting(_ideal(one_pass), ideal_cells.cells))
        found.append(Cause(name=PASSES, gain=Pair(as_it_is, same_cells), cost=(summed,)))
    if low != config and config.has("routing"):
        alone = Pair(_on_target(_only(low, "routing")), _on_target(ideal))
        found.append(Cause(name=LOW_SUPPLY, gain=Pair(as_it_is, _written(low)), cost=(alone,), what_if=True))
    return found


def _written(config: SimConfig) -> Setting:
    """A chip whose cells were written by write-verify on itself, or on one that does the same to cells."""
    return Setting(config, Writing(_off(config, [name for name in config.off if name not in MVM_ONLY])))


def _on_target(config: SimConfig) -> Setting:
    """A chip whose cells lie exactly on their targets: they were written on one that has stuck cells at most."""
    gone = [name for name in NON_IDEALITIES if name != _STUCK or not config.has(_STUCK)]
    return Setting(config, Writing(_off(config, gone), exact=True))


def _ideal(config: SimConfig) -> SimConfig:
    return _off(config, NON_IDEALITIES)


def _only(config: SimConfig, name: str) -> SimConfig:
    return _off(config, [each for each in NON_IDEALITIES if each != name])


def _off(config: SimConfig, names: Sequence[str]) -> SimConfig:
    return config.model_copy(update={"off": tuple(name for name in NON_IDEALITIES if name in names)})


def _in_one_pass(config: SimConfig) -> SimConfig:
    """With a channel for every line."""
    wiring = config.wiring
    return _wired(
        config, bl_channels=max(config.n_bl, wiring.bl_channels), sl_channels=max(config.n_sl, wiring.sl_channels)
    )


def _at_low_supply(config: SimConfig) -> SimConfig:
    ohms = LOW_SUPPLY_RESISTANCE
    return _wired(config, bl_routing_resistance=ohms, sl_routing_resistance=ohms)


def _wired(config: SimConfig, **changes: float) -> SimConfig:
    wiring = Wiring.model_validate(config.wiring.model_dump() | changes)
    return config.model_copy(update={"wiring": wiring})
