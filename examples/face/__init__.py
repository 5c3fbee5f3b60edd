"""Face recognition of arXiv 2601.10037: an MLP-Mixer on the Olivetti photographs."""

from __future__ import annotations

from .workload import WORKLOAD

__all__ = ["WORKLOAD"]
