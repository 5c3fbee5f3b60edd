"""The simulator of rmhil: cells, lines and converters behind the seam of `rmhil.backend`."""

from sim_backend.backend import SimBackend, open_backend
from sim_backend.config import NON_IDEALITIES, SimConfig

__all__ = ["NON_IDEALITIES", "SimBackend", "SimConfig", "open_backend"]
