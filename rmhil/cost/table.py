"""The cost table: ratios by workload, quantity and stage, each with its origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rmhil.errors import UnknownNameError

Quantity: TypeAlias = Literal["training", "write", "inference"]
Stage: TypeAlias = Literal["learn", "unlearn", "continual"]

QUANTITIES: Final[tuple[Quantity, ...]] = ("training", "write", "inference")
STAGES: Final[tuple[Stage, ...]] = ("learn", "unlearn", "continual")


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEntry:
    """One ratio: the conventional way divided by adapters beside a resistive-memory array.

    Attributes:
        workload: name of the workload.
        quantity: what is compared.
        stage: after which step of the main job.
        ratio: 1, unrounded; above 1 the array with adapters is the cheaper one.
        source: where the ratio comes from, in words and numbers.
        published: the ratio printed in arXiv 2601.10037, if there is one.
        variant: tells a second ratio of the same kind apart; the main one has none.
    """

    workload: str
    quantity: Quantity
    stage: Stage
    ratio: float
    source: str
    published: float | None = None
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """All ratios of one preset.

    Attributes:
        preset: name of the preset.
        title: what the preset is, in one sentence.
        entries: the ratios, in the order of printing.
        notes: what a reader must know to judge them.
        decimals: digits after the point that are printed; None prints four significant ones.
    """

    preset: str
    title: str
    entries: tuple[CostEntry, ...]
    notes: tuple[str, ...] = ()
    decimals: int | None = None

    def ratio(self, workload: str, quantity: Quantity, stage: Stage) -> float:
        """The main ratio of one kind.

        Raises:
            UnknownNameError: the table has none of that kind.
        """
        main = {
            (entry.workload, entry.quantity, entry.stage): entry.ratio for entry in self.entries if not entry.variant
        }
        if (workload, quantity, stage) not in main:
            known = [" ".join(key) for key in main]
            raise UnknownNameError("ratio", f"{workload} {quantity} {stage}", known)
        return main[workload, quantity, stage]

    def to_dict(self) -> dict[str, dict[str, dict[str, float]]]:
        """The main ratios, unrounded: workload -> quantity -> stage -> ratio."""
        nested: dict[str, dict[str, dict[str, float]]] = {}
        for entry in self.entries:
            if not entry.variant:
                nested.setdefault(entry.workload, {}).setdefault(entry.quantity, {})[entry.stage] = entry.ratio
        return nested

    def text(self, ratio: float) -> str:
        """A ratio as it is printed, e.g. `36.68`."""
        return f"{ratio:.4g}" if self.decimals is None else f"{ratio:.{self.decimals}f}"
