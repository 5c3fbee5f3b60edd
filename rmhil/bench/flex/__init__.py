"""FLEX, the language of the B1500A: facts, messages and data, without input or output."""

from __future__ import annotations
