"""Procedures that measure converters, lines and cells, through the backend seam alone."""
