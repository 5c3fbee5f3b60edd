"""rmhil: drive a resistive-memory compute-in-memory array, and run and adapt PyTorch networks on it.

Names are imported when they are first used, so that `import rmhil` is quick and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loguru import logger

if TYPE_CHECKING:
    from rmhil.crossbar import Crossbar as Crossbar
    from rmhil.ledger import Ledger as Ledger
    from rmhil.registry import open_backend as open_backend

__version__ = "0.1.0"

logger.disable("rmhil")

_HOMES = {
    "Crossbar": "rmhil.crossbar",
    "Ledger": "rmhil.ledger",
    "open_backend": "rmhil.registry",
}

__all__ = ["Crossbar", "Ledger", "__version__", "open_backend"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the module's attributes are of every type
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'rmhil' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
