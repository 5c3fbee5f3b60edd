"""Measurements of cells through the seam: sweeps, endurance, retention, yield. The same on a simulator as on a bench.

`pulsing` is what they share, `labelled` keeps their results with units, `pictures` draws them.
"""
