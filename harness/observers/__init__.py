"""Witnesses: they watch from beside the system, on connections no fault touches, and write what they see."""
