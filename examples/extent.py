"""How much of the main job is done on the array: all of it in simulation, what there is time for on instruments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from rmhil.errors import UnknownNameError

if TYPE_CHECKING:
    from rmhil.backend import ArraySpec
    from rmhil.mapping import Mapping
    from rmhil.nn.tiles import MapSource

PICTURES: Final = 36
"""Test pictures on instruments: six of each class. Each takes the array some tenths of a second."""

CELLS: Final = ("pair", "offset")
"""Names of mappings: two cells a weight, or one and a column of zeros (arXiv 2601.10037)."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What is done on the array.

    Attributes:
        pictures: test pictures; None means all.
        array_steps: as in `rmhil.adapt.TrainOptions`.
        comparisons: whether the array is written again for comparison.
        cells: name of the mapping.
        measured_from: as in `rmhil.nn.convert`.
    """

    pictures: int | None = None
    array_steps: int | None = None
    comparisons: bool = True
    cells: str = "pair"
    measured_from: MapSource = "verify reads"

    @classmethod
    def of(
        cls,
        spec: ArraySpec,
        *,
        pictures: int | None,
        array_steps: int | None,
        comparisons: bool | None,
        cells: str | None,
    ) -> Self:
        """What was asked for; the rest by whether cells are written one at a time, as on instruments.

        Raises:
            UnknownNameError: no such mapping.
        """
        if cells is not None and cells not in CELLS:
            raise UnknownNameError("mapping", cells, CELLS)
        if spec.cells_at_once is None:
            return cls(pictures, array_steps, comparisons is not False, cells or "pair")
        return cls(
            pictures=pictures or PICTURES,
            array_steps=array_steps or 0,
            comparisons=comparisons is True,
            cells=cells or "offset",
            measured_from="columns",
        )

    @property
    def mapping(self) -> Mapping:
        """Of weights to cells."""
        from rmhil.mapping import DifferentialPair, OffsetColumn

        return OffsetColumn() if self.cells == "offset" else DifferentialPair()
