"""What every result file says of its origin: the command, the day, the machine and the versions."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def provenance(script: str, packages: Sequence[str], argv: Sequence[str] | None = None) -> dict[str, Any]:
    """The head of a result file.

    Args:
        script: name of the benchmark's file.
        packages: whose versions matter; Python's is always there.
        argv: its arguments; those of the process by default.
    """
    return {
        "command": " ".join([f"python benchmarks/{script}", *(sys.argv[1:] if argv is None else argv)]),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "versions": {name: version(name) for name in packages} | {"python": platform.python_version()},
    }


def machine() -> dict[str, Any]:
    """What it runs on."""
    return {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "platform": platform.platform()}


def processor() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
