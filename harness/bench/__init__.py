"""Measures what recovery costs: the operator against bare drains and a plain twin, on the same real servers."""
