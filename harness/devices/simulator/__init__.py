"""Thousands of devices in one process, for load: on the wire they behave as agents do, and they run nothing.

    plan -> fleet (who is due) -> device (what it knows, pure) -> keys (fenced writes, reads) -> line (one connection)

Scripted devices (`harness.devices.scripted`) are for tests: each action of theirs stands in a history.
"""
