"""How a module says which commands it has, and what they take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sim_backend.b1500a.parser import Parameter, one_of, real

Handler = Callable[..., None]
"""Takes the instrument and the values of the parameters; those left out are None."""

CHANNEL: Final = one_of(1, 1099)
VOLTAGE: Final = real()
"""V; modules know their limits."""

RANGE: Final = one_of(-1000, 1000)
OPTIONAL_RANGE: Final = one_of(-1000, 1000, optional=True)
OPTIONAL_REAL: Final = real(optional=True)
SWITCH: Final = one_of(0, 1)


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        run: what it does.
        parameters: in their order.
        rest: what further ones are; None where there are none.
        storable: whether the program memory takes it.
    """

    run: Handler
    parameters: tuple[Parameter, ...] = ()
    rest: Parameter | None = None
    storable: bool = True


class Table:
    """Commands of one module."""

    def __init__(self) -> None:
        self.commands: dict[str, Command] = {}

    def add(
        self, *headers: str, takes: tuple[Parameter, ...] = (), rest: Parameter | None = None, storable: bool = True
    ) -> Callable[[Handler], Handler]:
        """Register a function under some headers.

        Queries (headers that end in `?`) are never storable (B1500A Programming Guide, Table 2-1).
        """

        def register(function: Handler) -> Handler:
            for header in headers:
                keeps = storable and not header.endswith("?")
                self.commands[header] = Command(function, takes, rest, keeps)
            return function

        return register
