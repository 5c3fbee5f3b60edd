"""An engine on a desk: commands as text, answers as text."""

from __future__ import annotations

from sim_backend.b1500a import DEFAULT_SLOTS, Engine, Instrument, Mainframe, Network, Timing, load_of


class Desk:
    """An emulated instrument without a link."""

    def __init__(
        self, load: str | Network = "10e3", *, ideal: bool = True, timing: Timing | None = None, seed: int = 3
    ) -> None:
        network = load_of(load, seed=seed) if isinstance(load, str) else load
        self.instrument = Instrument(Mainframe.of(DEFAULT_SLOTS), network, timing, seed=seed, ideal=ideal)
        self.engine = Engine(self.instrument)

    def send(self, *messages: str) -> None:
        """Send messages, none of which may be refused."""
        for message in messages:
            self.engine.feed(message.encode() + b"\r\n")
            assert self.errors() == [], message

    def ask(self, message: str) -> str:
        """Send a message and read everything there is; no error may come up."""
        self.send(message)
        return self.read().decode().strip()

    def read(self) -> bytes:
        """Everything there is to read."""
        return b"".join(answer.payload for answer in self.engine.take())

    def errors(self) -> list[int]:
        """Codes of all errors; they are gone afterwards."""
        codes = self.instrument.errors.codes
        self.instrument.errors.clear()
        return codes

    def refused(self, message: str) -> int:
        """The code with which a message is refused."""
        self.engine.feed(message.encode() + b"\r\n")
        (code,) = self.errors()
        return code

    def values(self, message: str) -> list[float]:
        """Data in format 1, without their headers."""
        return [float(one[3:]) for one in self.ask(message).split(",")]

    @property
    def clock(self) -> float:
        """Time (s) on the virtual clock."""
        return self.instrument.clock
