"""A model's weights on the arrays it was given: programmed, verified, calibrated, and programmed again."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, get_args

import numpy as np

from rmhil.backend import Floats
from rmhil.checks import whole_number
from rmhil.crossbar import Crossbar
from rmhil.errors import ConfigError, UnknownNameError
from rmhil.mapping import DifferentialPair, Mapping, blocks
from rmhil.nn.tiles import MapSource, MatrixOnArrays, Tile
from rmhil.placement import Bin, Rectangle, Site, passes, place
from rmhil.program_report import Outcome, ProgramReport, Progress
from rmhil.units import Siemens
from rmhil.write_verify import AnyPolicy, find_policy

Matrices: TypeAlias = Dict[str, Floats]
"""Weights by layer name, each `(groups, n_out, n_in)`, float64."""

_FAULTY_FOR_GOOD = (Outcome.STUCK, Outcome.FORM_FAILED)
"""Outcomes of a cell that will not be programmed another time either."""

_FAULTY = (*_FAULTY_FOR_GOOD, Outcome.OUT_OF_PULSES)
"""Outcomes of a cell whose reading is valid, but not what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How weights are written and measured; the defaults are those of `rmhil.nn.convert`.

    Attributes:
        mapping: weights to conductances.
        tolerance: S, of the write-verify.
        policy, max_pulses: of the write-verify; a rewrite erases with further pulses.
        source: where the measured weights come from.
        averages: readings, or columns, averaged for the measured map.
        correct_lines: take back digitally what lines cost.
        compensate: let other cells of the same weight make up for cells that cannot be programmed.
    """

    mapping: Mapping = field(default_factory=DifferentialPair)
    tolerance: Siemens = 1e-6
    policy: str | AnyPolicy = "adaptive"
    max_pulses: int = 200
    source: MapSource = "verify reads"
    averages: int = 4
    correct_lines: bool = True
    compensate: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.mapping, type) or not isinstance(self.mapping, Mapping):
            raise ConfigError(f"mapping = {self.mapping!r}, expected DifferentialPair(), OffsetColumn() or the like")
        find_policy(self.policy)
        if self.source not in get_args(MapSource):
            raise UnknownNameError("source of the measured weights", self.source, get_args(MapSource))
        whole_number("averages", self.averages)
        whole_number("max_pulses", self.max_pulses)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the tiles of every layer lie.

    Attributes:
        tiles: by layer name.
        bins: the arrays that were at hand.
    """

    tiles: Dict[str, tuple[Tile, ...]]
    bins: tuple[Bin, ...]

    @property
    def sites(self) -> list[Site]:
        """The sites of all tiles, layer by layer."""
        return [tile.site for tiles in self.tiles.values() for tile in tiles]

    @property
    def cells(self) -> int:
        """Cells used."""
        return sum(len(site.bl_lines) * len(site.sl_lines) for site in self.sites)

    @property
    def passes(self) -> int:
        """Analogue passes that one vector through every tile takes."""
        return passes(self.sites, self.bins)

    def __str__(self) -> str:
        have = sum(each.shape[0] * each.shape[1] for each in self.bins)
        used = len({(site.crossbar, site.array) for site in self.sites})
        return (
            f"{len(self.tiles)} layers in {len(self.sites)} tiles: {self.cells:,} of {have:,} cells, "
            f"{used} of {len(self.bins)} array(s), {self.passes} passes"
        )


class Deployment:
    """The arrays behind a converted model.

    A handle: copies of the model share it, and a pickled model loses it.

    Args:
        crossbars: the arrays; earlier ones are filled first.
        recipe: how.
        weights: by layer name.
        tiles: where each layer lies; None: where they fit.

    Attributes:
        crossbars: the arrays.
        matrices: what is on them, by layer name.
        recipe: how.
        reports: of the last programming, one a crossbar.
    """

    def __init__(
        self,
        crossbars: Sequence[Crossbar],
        recipe: Recipe,
        weights: Matrices,
        tiles: Dict[str, Sequence[Tile]] | None = None,
    ) -> None:
        self.crossbars, self.recipe = list(crossbars), recipe
        self._bins = tuple(each for number, crossbar in enumerate(crossbars) for each in _bins(number, crossbar))
        placed = _placed(weights, self.crossbars, self._bins, recipe.mapping) if tiles is None else tiles
        self.matrices = {
            name: MatrixOnArrays(self.crossbars, parts, recipe.mapping, weights[name].shape)
            for name, parts in placed.items()
        }
        self.reports: list[ProgramReport] = []
        self._faulty = self._held_by(())

    def __deepcopy__(self, memo: dict[int, object]) -> Deployment:
        return self

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return (_nowhere, ())

    @property
    def placement(self) -> Placement:
        """Where the tiles lie."""
        return Placement({name: tuple(matrix.tiles) for name, matrix in self.matrices.items()}, self._bins)

    def program(self, weights: Matrices, rewrite: bool, progress: Progress | None) -> list[ProgramReport]:
        """Write weights to the cells; until `calibrate`, no layer will compute.

        Each crossbar takes one `Crossbar.program`, and a second one for cells that make up for others which turned
        out faulty in the first.

        Returns:
            One report a crossbar.

        Raises: as `Crossbar.program`.
        """
        self._faulty = self._held_by(_FAULTY_FOR_GOOD)
        for name, matrix in self.matrices.items():
            matrix.rescale(weights[name])
        targets = self._targets(weights)
        for matrix in self.matrices.values():
            matrix.generation += 1
        self.reports = [self._write(number, target, rewrite, progress) for number, target in enumerate(targets)]
        if self.recipe.compensate:
            self._compensate(weights, targets, progress)
        return self.reports

    def _write(self, number: int, target: Floats, rewrite: bool, progress: Progress | None) -> ProgramReport:
        crossbar, recipe = self.crossbars[number], self.recipe
        return crossbar.program(
            target.reshape(crossbar.shape),
            recipe.tolerance,
            recipe.policy,
            recipe.max_pulses,
            rewrite=rewrite,
            progress=progress,
        )

    def _compensate(self, weights: Matrices, written: list[Floats], progress: Progress | None) -> None:
        self._faulty = self._held_by(_FAULTY)
        for number, target in enumerate(self._targets(weights)):
            changed = np.isfinite(target) & (target != written[number])
            if changed.any():
                again = self._write(number, np.where(changed, target, np.nan), False, progress)
                self.reports[number] = self.reports[number].followed_by(again)

    def calibrate(self, weights: Matrices) -> dict[str, Floats]:
        """Measure the programmed cells and set the layers' digital factors.

        Returns:
            The weights that each layer really has, by name, as `weights`.
        """
        recipe = self.recipe
        if recipe.source == "verify reads":
            for crossbar, target in zip(self.crossbars, self._targets(weights), strict=True):
                crossbar.verify(target.reshape(crossbar.shape), recipe.tolerance, recipe.averages)
        return {
            name: matrix.calibrate(weights[name], recipe.source, recipe.averages, recipe.correct_lines)
            for name, matrix in self.matrices.items()
        }

    def _held_by(self, outcomes: Sequence[Outcome]) -> list[Floats]:
        """S that cells with these outcomes hold, NaN for all others; one map a crossbar."""
        held = [np.full(_full_shape(crossbar), np.nan) for crossbar in self.crossbars]
        for full, report in zip(held, self.reports, strict=False):
            full[...] = np.where(np.isin(report.outcome, outcomes), report.achieved, np.nan).reshape(full.shape)
        return held

    def _targets(self, weights: Matrices) -> list[Floats]:
        targets = [np.full(_full_shape(crossbar), np.nan) for crossbar in self.crossbars]
        for name, matrix in self.matrices.items():
            matrix.write_target(weights[name], self._faulty, targets)
        return targets


def check_apart(crossbars: Sequence[Crossbar]) -> None:
    """Refuse crossbars that share cells.

    Raises:
        ConfigError: there is none, or two of them overlap.
    """
    if not crossbars:
        raise ConfigError("no arrays were given")
    for number, one in enumerate(crossbars):
        for other in crossbars[:number]:
            if one.backend is other.backend and all(
                np.intersect1d(getattr(one, lines), getattr(other, lines)).size for lines in ("arrays", "bl", "sl")
            ):
                raise ConfigError(f"{other!r} and {one!r} of arrays share cells")


def _placed(
    weights: Matrices, crossbars: Sequence[Crossbar], bins: Sequence[Bin], mapping: Mapping
) -> dict[str, list[Tile]]:
    """Cut every matrix to tiles that any of the arrays can hold, and give each tile its place."""
    n_bl = min(each.shape[0] for each in bins)
    n_sl = min(each.shape[1] for each in bins)
    cuts = [
        (name, group, block)
        for name, weight in weights.items()
        for group in range(len(weight))
        for block in blocks(weight.shape[1], weight.shape[2], mapping, n_bl, n_sl)
    ]
    needs = [
        Rectangle(block.inputs.stop - block.inputs.start, mapping.n_sl(block.outputs.stop - block.outputs.start))
        for _, _, block in cuts
    ]
    tiles: dict[str, list[Tile]] = {name: [] for name in weights}
    for (name, group, block), site in zip(cuts, place(needs, bins), strict=True):
        largest = float(np.abs(weights[name][group, block.outputs, block.inputs]).max())
        window = mapping.window(crossbars[site.crossbar].spec)
        tiles[name].append(Tile(group, block, site, largest, mapping.scale(largest, window)))
    return tiles


def _bins(number: int, crossbar: Crossbar) -> list[Bin]:
    wiring = crossbar.spec.wiring
    bl, sl = crossbar.bl // wiring.bl_channels, crossbar.sl // wiring.sl_channels
    return [Bin(number, array, bl, sl) for array in range(len(crossbar.arrays))]


def _full_shape(crossbar: Crossbar) -> tuple[int, int, int]:
    return (len(crossbar.arrays), len(crossbar.bl), len(crossbar.sl))


def _nowhere() -> None:
    """What a pickled handle becomes: the arrays stay where they are."""
