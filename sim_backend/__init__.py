"""The simulator of rmhil: cells, lines and converters behind the seam of `rmhil.backend`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from loguru import logger

if TYPE_CHECKING:
    from sim_backend.backend import SimBackend, open_backend
    from sim_backend.config import NON_IDEALITIES, SimConfig

logger.disable("sim_backend")

__all__ = ["NON_IDEALITIES", "SimBackend", "SimConfig", "open_backend"]

_HOMES = {
    "NON_IDEALITIES": "sim_backend.config",
    "SimBackend": "sim_backend.backend",
    "SimConfig": "sim_backend.config",
    "open_backend": "sim_backend.backend",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what needs torch when it is first asked for: the list of commands must not wait for it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
