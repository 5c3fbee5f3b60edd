"""Handwritten digits of 8 x 8 pixels: the main job on data that comes with scikit-learn."""

from __future__ import annotations

from .workload import WORKLOAD

__all__ = ["WORKLOAD"]
