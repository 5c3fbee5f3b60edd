"""Every command, by its header."""

from __future__ import annotations

from typing import Final

from sim_backend.b1500a.commands.capacitance import TABLE as CAPACITANCE
from sim_backend.b1500a.commands.learn import TABLE as LEARN
from sim_backend.b1500a.commands.memory import TABLE as MEMORY
from sim_backend.b1500a.commands.multi import TABLE as MULTI
from sim_backend.b1500a.commands.output import TABLE as OUTPUT
from sim_backend.b1500a.commands.pulse import TABLE as PULSE
from sim_backend.b1500a.commands.query import TABLE as QUERY
from sim_backend.b1500a.commands.registry import Command
from sim_backend.b1500a.commands.sampling import TABLE as SAMPLING
from sim_backend.b1500a.commands.setup import TABLE as SETUP
from sim_backend.b1500a.commands.spgu import TABLE as SPGU
from sim_backend.b1500a.commands.spot import TABLE as SPOT
from sim_backend.b1500a.commands.sweep import TABLE as SWEEP
from sim_backend.b1500a.commands.trigger import TABLE as TRIGGER

_TABLES: Final = (CAPACITANCE, LEARN, MEMORY, MULTI, OUTPUT, PULSE, QUERY, SAMPLING, SETUP, SPGU, SPOT, SWEEP, TRIGGER)

ALL: Final[dict[str, Command]] = {header: command for table in _TABLES for header, command in table.commands.items()}
