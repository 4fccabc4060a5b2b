"""Real services, started, watched and ended by the harness. Each class owns what it starts.

Nothing is imported here: the warden's process starts from this package and has to be quick.
"""
