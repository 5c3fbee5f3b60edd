"""The simulator of rmhil: cells, lines and converters behind the seam of `rmhil.backend`."""

from loguru import logger

from sim_backend.backend import SimBackend, open_backend
from sim_backend.config import NON_IDEALITIES, SimConfig

logger.disable("sim_backend")

__all__ = ["NON_IDEALITIES", "SimBackend", "SimConfig", "open_backend"]
