"""The board's side of rmhil: loads the overlay with pynq, checks it, and runs the daemon.

It runs on the board's own Python (3.10 or newer, as PYNQ images have it) and needs nothing but pynq.
"""
