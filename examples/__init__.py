"""Workloads of rmhil: networks with their data, and the main job that runs them on arrays."""

from __future__ import annotations

from loguru import logger

logger.disable("rmhil_examples")
