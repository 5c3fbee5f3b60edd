"""One discrete 1T1R cell on three SMUs of an analyser, emulated or real: formed, swept, written, cycled and kept."""

from __future__ import annotations
