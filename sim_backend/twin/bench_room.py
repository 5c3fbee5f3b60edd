"""A whole bench in one process: the array, the board in front of it, and the analyser behind the board.

The array has one clock. Time that the analyser spends moves it, and so does each conversion of the board, by the time
that a conversion takes; while one of them works the other one's time stands still. A gate pulse on a cell that the
analyser biases lasts as long as the board says. What the board does otherwise (routes, waiting for the host) takes no
time of the array, so that a run comes out alike however slowly its host goes about it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rmhil.bench.boards import BOARDS
from rmhil.plain import plain
from sim_backend.b1500a.alert import ALERT
from sim_backend.b1500a.dut.load import Terminals
from sim_backend.b1500a.engine import Engine
from sim_backend.b1500a.instrument import Instrument
from sim_backend.b1500a.modules import DEFAULT_SLOTS, Mainframe
from sim_backend.b1500a.server import Emulator, Ports
from sim_backend.twin.board_room import BoardRoom
from sim_backend.twin.build import Libraries
from sim_backend.twin.chip_room import ChipRoom
from sim_backend.twin.lines import Bonds, Joints, Selected
from sim_backend.twin.products import ArrayProducts
from sim_backend.twin.records import TwinRecords
from sim_backend.twin.routed_cells import RoutedCells
from sim_backend.twin.settings import CHANNELS, LOOPBACK, TwinSettings


class PromptEngine(Engine):
    """An instrument whose time the array has seen when a message ends, for the board looks at the array as well.

    Its own clock goes on while the board works, as all clocks do.

    Args:
        instrument: that it is.
        products: of the board.
        seed: as the base class.
    """

    def __init__(self, instrument: Instrument, products: ArrayProducts, *, seed: int) -> None:
        super().__init__(instrument, seed=seed)
        self._products, self._seen = products, products.seconds

    def feed(self, data: bytes, *, end: bool = False) -> None:
        """As the base class."""
        board = self._products.seconds
        self.instrument.clock += board - self._seen
        self._seen = board
        super().feed(data, end=end)
        self.instrument.settle()

    def trigger(self) -> None:
        """As the base class."""
        super().trigger()
        self.instrument.settle()


class BenchRoom:
    """One bench.

    Args:
        settings: of everything.
        libraries: of the board.

    Raises:
        ConfigError, OutOfRangeError: a setting makes no sense.
    """

    def __init__(self, settings: TwinSettings, libraries: Libraries) -> None:
        self.settings = settings
        self.chip = ChipRoom(BOARDS[settings.topology], settings.array)
        terminals = Terminals(bl=(CHANNELS["bl"],), sl=(CHANNELS["sl"],), wl=(CHANNELS["wl"],))
        products = self.chip.products
        self.cells = RoutedCells(self.chip.chip, terminals, CHANNELS["inhibit"], self.chip.lock, products)
        self.analyser = self._analyser()
        self._selected: Selected | None = None
        self._since = 0.0
        self.board = BoardRoom(libraries, products, Bonds.of(self.chip.config), self._join)
        self.board_url = ""

    def _analyser(self) -> Emulator:
        config, settings = self.chip.config, self.settings
        ideal = settings.analyser_ideal
        instrument = Instrument(
            Mainframe.of(DEFAULT_SLOTS),
            self.cells,
            seed=config.seed,
            ideal=not config.has("read-noise") if ideal is None else ideal,
        )
        ports = Ports(settings.socket_port, settings.hislip_port)
        return Emulator(
            PromptEngine(instrument, self.chip.products, seed=config.seed), host=LOOPBACK, ports=ports, alert=ALERT
        )

    def start(self) -> None:
        """Serve analyser and board.

        Raises:
            ConfigError: a port is in use.
            BackendUnavailableError: the board's daemon did not start.
        """
        self.analyser.start()
        try:
            given = self.settings
            self.board_url = self.board.start(given.board, given.board_host, given.board_port, given.key)
            if given.wave_file is not None:
                self.board.start_waves(given.wave_file)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Everything off, and served no longer."""
        self.board.stop()
        self.analyser.close()

    @property
    def running(self) -> bool:
        """Whether both are served."""
        return self.board.running and self.analyser.running

    def _join(self, joints: Joints) -> None:
        """The board's lines have moved; the analyser's time so far belongs to the cell that was selected."""
        selected = joints.selected
        if selected == self._selected:
            return
        seconds = joints.time - self._since
        self.analyser.ask(lambda engine: self._move_on(engine.instrument, selected, seconds))
        self._selected, self._since = selected, joints.time

    def _move_on(self, instrument: Instrument, selected: Selected | None, seconds: float) -> None:
        if self.cells.is_biased(instrument.sources):
            self.cells.elapse(instrument.sources, seconds)
        self.cells.join(selected)

    # For the control connection

    def facts(self) -> dict[str, Any]:
        """What a client must know to use it, as JSON takes it."""
        spec, config = self.chip.spec, self.chip.config
        resources = self.analyser.resources
        facts: dict[str, Any] = plain(
            {
                "topology": self.settings.topology,
                "board": self.settings.board,
                "waves": self.settings.with_waves,
                "identity": self.chip.identity,
                "board_url": self.board_url,
                "analyser": resources.get("HiSLIP") or resources.get("SOCKET"),
                "analyser_socket": resources.get("SOCKET"),
                "channels": CHANNELS,
                "preset": config.device_preset.name,
                "seed": config.seed,
                "array_id": self.chip.array_id,
                "n_bl": spec.n_bl,
                "n_sl": spec.n_sl,
                "conductance_min": spec.conductance_min,
                "conductance_max": spec.conductance_max,
                "pulse_width": spec.pulse_width,
                "limits": spec.limits,
                "wiring": spec.wiring,
            }
        )
        return facts

    def records(self) -> TwinRecords:
        """What is driven now."""
        return TwinRecords(
            board=self.board.outputs(),
            violations=tuple(self.board.violations()),
            analyser=self.analyser.outputs(),
            clock=self.clock(),
            pulses=int(self.cells.pulse_counts.sum()),
        )

    def clock(self) -> float:
        """Time (s) on the array's clock."""
        with self.chip.lock:
            self.chip.products.catch_up()
            return self.chip.chip.clock

    def save(self, path: Path) -> None:
        """Write the state of the array, between two messages to the analyser."""
        self.analyser.ask(lambda _: self._between(lambda: self.chip.save(path)))

    def load(self, path: Path) -> None:
        """Take over the state of an array, between two messages to the analyser."""
        self.analyser.ask(lambda _: self._between(lambda: self.chip.load(path)))

    def _between(self, work: Callable[[], None]) -> None:
        self.cells.release()
        work()
