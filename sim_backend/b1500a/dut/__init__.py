"""Devices under test: nothing, a resistor, a cell. The cell needs torch, so that each is imported by itself."""
