"""A twin from outside: where its instruments are, and what only a twin can tell or do."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Floats, Ints, Limits
from rmhil.errors import BackendClosedError, BackendUnavailableError, ConfigError
from rmhil.units import Seconds
from rmhil.wiring import Wiring
from sim_backend.b1500a.faults import Fault
from sim_backend.b1500a.wire_log import Entry
from sim_backend.twin.build import libraries
from sim_backend.twin.protocol import ANSWER_MAX, Address, packed, raised, unpacked
from sim_backend.twin.records import AnalyserOutput, BoardOutputs, PulseRecord, TwinRecords, Violation
from sim_backend.twin.running import running_twins
from sim_backend.twin.settings import twin_settings

_PATIENCE: Final[Seconds] = 60.0
"""s for an answer; a renewal takes well below 1 s."""


class Twin:
    """A connection to a twin. One thread at a time is served.

    Args:
        url: of its control connection.

    Attributes:
        url: the same.
        facts: what the twin says of itself.

    Raises:
        ConfigError: the URL is not that of a twin.
        BackendUnavailableError: no twin answers there.
    """

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self.url = url
        self._door = threading.Lock()
        try:
            self._socket = socket.create_connection((self._address.host, self._address.port), _PATIENCE)
        except OSError as error:
            raise BackendUnavailableError(f"no twin answers at {url}: {error.strerror or error}") from error
        self._file = self._socket.makefile("rb")
        self._open = True
        try:
            self.facts: Mapping[str, Any] = self._ask("facts")
        except BaseException:
            self.close()
            raise

    # What it is

    @property
    def board_url(self) -> str:
        """What a host opens to reach the board."""
        return str(self.facts["board_url"])

    @property
    def analyser(self) -> str:
        """VISA name of the analyser, HiSLIP where it is served."""
        return str(self.facts["analyser"])

    @property
    def analyser_socket(self) -> str | None:
        """VISA name of the analyser's plain socket; None where there is none."""
        name = self.facts["analyser_socket"]
        return None if name is None else str(name)

    @property
    def channels(self) -> Mapping[str, int]:
        """Channels of the analyser at the board's lines `bl`, `sl`, `wl`, `inhibit`."""
        return dict(self.facts["channels"])

    @property
    def topology(self) -> str:
        """Name of the board description."""
        return str(self.facts["topology"])

    @property
    def identity(self) -> str:
        """Chip and board, every setting that is not the default named."""
        return str(self.facts["identity"])

    @property
    def provenance(self) -> str:
        """`twin(..)` around the identity."""
        return f"twin({self.identity})"

    @property
    def wiring(self) -> Wiring:
        """Of the array, resistances that are switched off at zero."""
        return Wiring(**self.facts["wiring"])

    @property
    def limits(self) -> Limits:
        """Of the array's preset, as the simulator has them."""
        return Limits(**self.facts["limits"])

    # The array

    def renew(self, **options: Any) -> None:  # noqa: ANN401 - settings of any type
        """Put another chip in, board and analyser switched off and on again; their addresses stay.

        Args:
            **options: `topology`, `board` (these two stay as they are if they are left out), `analyser_ideal`, and
                options of the array, as `start_twin`; what is not named takes its default.

        Raises:
            ToolMissingError: a board of another topology must be built first, and a program is missing.
            ConfigError, OutOfRangeError: a setting makes no sense; the twin is as it was.
            BackendUnavailableError: the other board cannot be built; the twin is as it was.
        """
        present = {name: self.facts[name] for name in ("topology", "board", "waves")}
        settings = twin_settings(present | options)
        found = libraries(settings.topology, waves=settings.with_waves)
        changed = settings.model_dump(mode="json", include={"topology", "board", "analyser_ideal", "array"})
        self.facts = self._ask("renew", settings=changed, libraries=found.paths)

    def save_state(self, path: Path) -> None:
        """Write the state of the array, in the simulator's own file format."""
        self._ask("save", path=str(Path(path).absolute()))

    def load_state(self, path: Path) -> None:
        """Take over the state of an array of the same chip.

        Raises:
            ConfigError: the file is damaged, or of another chip; the array is as it was.
        """
        self._ask("load", path=str(Path(path).absolute()))

    # What no bench can know

    def true_conductance(self) -> Floats:
        """S of every cell as it is, (n_bl, n_sl)."""
        found: Floats = _array(self._ask("conductance"))
        return found

    def stuck_cells(self) -> NDArray[np.bool_]:
        """Which cells answer to no pulse, (n_bl, n_sl)."""
        found: NDArray[np.bool_] = _array(self._ask("stuck"))
        return found

    def pulse_counts(self) -> Ints:
        """Pulses (and parts of sweeps of one polarity) that each cell was given, (n_bl, n_sl)."""
        found: Ints = _array(self._ask("pulse_counts"))
        return found

    def pulses(self, since: int = 0) -> list[PulseRecord]:
        """What cells were given, from a number on, oldest first."""
        return [PulseRecord(**one) for one in self._ask("pulses", since=since)]

    def records(self) -> TwinRecords:
        """What is driven now, by the twin's own word, and what was violated so far."""
        found = self._ask("records")
        return TwinRecords(
            board=BoardOutputs(**found["board"]),
            violations=tuple(Violation(**one) for one in found["violations"]),
            analyser={int(channel): AnalyserOutput(**one) for channel, one in found["analyser"].items()},
            clock=found["clock"],
            pulses=found["pulses"],
        )

    def wire_log(self) -> list[Entry]:
        """What went over the analyser's link."""
        entries = self._ask("wire_log")
        return [Entry(direction, clock, text.encode("latin-1")) for direction, clock, text in entries]

    # Pins

    def start_waves(self, path: Path) -> None:
        """Write all pins of the board to a VCD file from now on.

        Raises:
            InputFileError: the file cannot be written, or the twin was started without `waves=True`.
        """
        self._ask("start_waves", path=str(Path(path).absolute()))

    def stop_waves(self) -> None:
        """End the dump."""
        self._ask("stop_waves")

    # Faults

    def inject(self, fault: Fault) -> None:
        """Arm a fault of the analyser."""
        self._ask("inject", **(asdict(fault) | {"kind": fault.kind.name}))

    def set_interlock(self, *, closed: bool) -> None:
        """Close or open the lid of the analyser's fixture."""
        self._ask("interlock", closed=closed)

    def drop_board(self) -> None:
        """Break every TCP connection to the board, as when a cable is pulled."""
        self._ask("drop_board")

    # The end

    def stop(self) -> None:
        """End the twin; idempotent, also where it has ended already."""
        if self._open:
            with suppress(BackendUnavailableError):
                self._ask("stop")
                self._file.read()  # until its end closes the connection
        self.close()

    def close(self) -> None:
        """Let go of it; the twin goes on."""
        self._open = False
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, what: str, **values: Any) -> Any:  # noqa: ANN401 - JSON
        if not self._open:
            raise BackendClosedError(f"the connection to {self.url} is closed")
        with self._door:
            try:
                self._socket.sendall(packed({"token": self._address.token, "do": what, "with": values}))
                answer = unpacked(self._file.readline(ANSWER_MAX + 1), ANSWER_MAX)
            except (OSError, ValueError) as error:
                raise BackendUnavailableError(f"the twin at {self.url} does not answer {what!r}: {error}") from error
        if "done" not in answer:
            raise raised(answer)
        return answer["done"]


def attach_twin(url: str | None = None) -> Twin:
    """Connect to a twin that runs.

    Args:
        url: of it; None takes the only one of this user.

    Raises:
        ConfigError: the URL is not that of a twin, or there is none or more than one.
        BackendUnavailableError: no twin answers there.
    """
    if url is not None:
        return Twin(url)
    known = running_twins()
    if len(known) != 1:
        listed = "".join(f"\n  {one.url}  {one.identity}" for one in known) or " none"
        raise ConfigError(f"name the twin to attach to; running:{listed}")
    return Twin(known[0].url)


def _array(packed_array: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of any type
    data = base64.b64decode(packed_array["data"])
    return np.frombuffer(data, dtype=packed_array["dtype"]).reshape(packed_array["shape"]).copy()
