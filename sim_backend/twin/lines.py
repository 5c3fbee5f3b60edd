"""What the lines of the array are joined to, by the outputs of the board's chips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rmhil.backend import Ints
from rmhil.bench.board_map import GateSource, Source
from rmhil.bench.line_order import board_lines
from rmhil.units import Seconds
from sim_backend.config import SimConfig
from sim_backend.twin.native import Lines

NANOSECOND: Final[Seconds] = 1e-9

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Selected:
    """The cell that is joined to the analyser and whose gate is let through.

    Attributes:
        bl, sl: its lines.
        inhibited: other BLs that are joined to the analyser's inhibit line.
    """

    bl: int
    sl: int
    inhibited: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bonds:
    """Lines of the board that the lines of the array are bonded to; others end in the air.

    Attributes:
        bl, sl: numbers on the board, by line of the array.
    """

    bl: Ints
    sl: Ints

    @classmethod
    def of(cls, config: SimConfig) -> Bonds:
        """Those of a chip that uses as many channels of each bank as its wiring says."""
        return cls(
            bl=board_lines(np.arange(config.n_bl), config.wiring.bl_channels),
            sl=board_lines(np.arange(config.n_sl), config.wiring.sl_channels),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Joints:
    """What every line of the array is joined to: copies of `board_sim_lines`.

    Attributes:
        time: s on the board's clock, from which on it is so.
        bl, sl: `Source` of each line, `RM_SIM_OPEN` of one that nothing drives.
        wl: `GateSource` of each line; ground where the gate is closed.
        dac: DAC channel behind each BL.
        tia: TIA behind each SL.
    """

    time: Seconds
    bl: Bytes
    sl: Bytes
    wl: Bytes
    dac: NDArray[np.uint16]
    tia: NDArray[np.uint16]

    @classmethod
    def of(cls, lines: Lines, bonds: Bonds) -> Joints:
        """As the board has them now."""
        return cls(
            time=lines.time_ns * NANOSECOND,
            bl=_seen(lines.bl_source, lines.n_bl)[bonds.bl],
            sl=_seen(lines.sl_source, lines.n_sl)[bonds.sl],
            wl=_seen(lines.wl_source, lines.n_sl)[bonds.sl],
            dac=_seen(lines.dac_of_bl, lines.n_bl)[bonds.bl],
            tia=_seen(lines.tia_of_sl, lines.n_sl)[bonds.sl],
        )

    @property
    def selected(self) -> Selected | None:
        """The cell that the analyser reaches; None where there is none, or its gate is closed."""
        (bl,) = np.nonzero(self.bl == Source.ANALYSER)
        (sl,) = np.nonzero((self.sl == Source.ANALYSER) & (self.wl == GateSource.ANALYSER))
        if not bl.size or not sl.size:
            return None
        (inhibited,) = np.nonzero(self.bl == Source.INHIBIT)
        return Selected(int(bl[0]), int(sl[0]), tuple(inhibited.tolist()))

    @property
    def driven(self) -> Ints:
        """BLs that a DAC drives."""
        return np.flatnonzero(self.bl == Source.CONVERTER)

    @property
    def sensed(self) -> Ints:
        """SLs that a TIA senses and whose cells are on."""
        return np.flatnonzero((self.sl == Source.CONVERTER) & (self.wl == GateSource.RAIL))


def _seen(values: Any, count: int) -> NDArray[Any]:  # noqa: ANN401 - a pointer to numbers of any type
    """The numbers behind a pointer as they are; indexing with the bonds copies them."""
    return np.ctypeslib.as_array(values, (count,))
